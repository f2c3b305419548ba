"""Sends one event as one signed request, as https://www.standardwebhooks.com specifies (version 1.0.0)."""

import base64
import binascii
import contextlib
import errno
import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from importlib.metadata import version
from typing import Final

import aiohttp

from api.stream.stream_event import Event
from services.addresses import PrivateAddress, public_socket
from services.clock import utc_now
from services.resolver import ThreadedResolver, looking_up_for
from services.store.webhooks import Webhook

_PREFIX: Final = "whsec_"
_NEW_BYTES: Final = 32
# Bounds of the specification.
_MIN_BYTES, _MAX_BYTES = 24, 64
# The receiver's response is discarded; only this much of it is read, so that the connection can be reused.
_MAX_RESPONSE_BYTES: Final = 64 * 1024
_SECONDS_FORM = re.compile(r"\d{1,9}")


class Failed(Exception):
    """The receiver has not accepted the event; the message says why and reveals nothing of the internal network.

    ``retry_after``: seconds that the receiver requests. ``gone``: it wants no more events.
    """

    def __init__(self, message: str, *, retry_after: float = 0.0, gone: bool = False) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.gone = gone


def new_secret() -> str:
    """A new secret for signatures."""
    return _PREFIX + base64.b64encode(secrets.token_bytes(_NEW_BYTES)).decode()


def secret_bytes(secret: str) -> bytes:
    """The bytes of a secret, ``whsec_`` and base64 of 24 to 64 bytes. Raises ``ValueError``."""
    try:
        found = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        found = b""
    if not secret.startswith(_PREFIX) or not _MIN_BYTES <= len(found) <= _MAX_BYTES:
        raise ValueError(f"secret must be {_PREFIX} and {_MIN_BYTES} to {_MAX_BYTES} bytes in base64")
    return found


def sign(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """The header ``webhook-signature`` of a message."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    return f"v1,{base64.b64encode(hmac.digest(secret_bytes(secret), signed, hashlib.sha256)).decode()}"


def body_of(event: Event) -> bytes:
    """The body that is sent for an event: its type and time, and its envelope as ``data``."""
    time_published = json.loads(event.line[: event.data_at] + b"null}")["time"]
    head = f'{{"type":"{event.facets.type}","timestamp":"{time_published}","data":'
    return head.encode() + event.line + b"}"


class Sender:
    """Sends events. Stateless: one sender serves all webhooks of a gateway."""

    def __init__(
        self, resolver: ThreadedResolver, *, allow_private: bool, timeout: float, now: Callable[[], datetime] = utc_now
    ) -> None:
        self._now = now
        self._timeout = timeout
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0,
                socket_factory=None if allow_private else public_socket,
                resolver=resolver,
                ttl_dns_cache=30,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": f"Khabar/{version('khabar')} (webhooks)", "Content-Type": "application/json"},
            timeout=aiohttp.ClientTimeout(total=timeout),
            auto_decompress=False,
            trust_env=False,
        )

    async def send(self, webhook: Webhook, event: Event) -> None:
        """Return when the receiver has accepted the event. Raises ``Failed``.

        An event of a webhook has the same ``webhook-id`` each time, so that a receiver can detect repetitions.
        """
        message_id = f"{webhook.id}_{event.cursor}"
        body = body_of(event)
        timestamp = int(self._now().timestamp())
        headers = {
            "webhook-id": message_id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": sign(webhook.secret, message_id, timestamp, body),
        }
        try:
            with looking_up_for(webhook.owner):
                request = self._http.post(webhook.url, data=body, headers=headers, allow_redirects=False)
                answer = await request
            async with answer:
                if not HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
                    raise self._rejected(answer)
                await _drain(answer)
        except TimeoutError:
            raise Failed(f"no answer within {self._timeout:g} s") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise Failed(_sentence(error)) from None

    def _rejected(self, answer: aiohttp.ClientResponse) -> Failed:
        status = answer.status
        if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
            return Failed(f"HTTP status {status}: redirects are not followed")
        retry_after = self._seconds(answer.headers.get("Retry-After", ""))
        return Failed(f"HTTP status {status}", retry_after=retry_after, gone=status == HTTPStatus.GONE)

    def _seconds(self, text: str) -> float:
        if _SECONDS_FORM.fullmatch(text):
            return float(text)
        try:
            moment = parsedate_to_datetime(text)
        except ValueError:
            return 0.0
        return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - self._now()).total_seconds())

    async def close(self) -> None:
        """Close all connections."""
        await self._http.close()


async def _drain(answer: aiohttp.ClientResponse) -> None:
    """Read the rest of the response; close the connection if it is long. The event is accepted in any case."""
    read = 0
    with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
        async for chunk in answer.content.iter_any():
            read += len(chunk)
            if read > _MAX_RESPONSE_BYTES:
                break
        else:
            return
    answer.close()


def _sentence(error: Exception) -> str:
    """The cause of an error, without the addresses that a name was resolved to."""
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(error, aiohttp.InvalidURL | aiohttp.InvalidUrlClientError):
        return "the url is not valid"
    if isinstance(cause, PrivateAddress) or (isinstance(cause, OSError) and cause.errno == errno.EACCES):
        return "the address or port is not a public one"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "the name cannot be resolved"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"the certificate is not valid: {error.certificate_error}"[:300]
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"cannot connect: {cause.strerror or type(cause).__name__}"[:300] if isinstance(cause, OSError) else ""
    return f"the connection was lost ({type(error).__name__})"
