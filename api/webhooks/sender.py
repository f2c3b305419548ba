"""One event as one signed request, as https://www.standardwebhooks.com (specification 1.0.0) describes it."""

import base64
import binascii
import contextlib
import errno
import hashlib
import hmac
import json
import re
import secrets
import time
from collections.abc import Callable
from datetime import UTC
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from importlib.metadata import version
from typing import Final

import aiohttp

from api.stream.stream_event import Event
from api.webhooks.resolver import Names
from services.addresses import PrivateAddress, public_socket
from services.store.webhooks import Webhook

_PREFIX: Final = "whsec_"
_NEW_BYTES: Final = 32
# As the specification says.
_LEAST_BYTES, _MOST_BYTES = 24, 64
# What a receiver answers is of no interest; a little is read, so that the connection can be used again.
_MOST_READ: Final = 64 * 1024
_SECONDS_FORM = re.compile(r"\d{1,9}")


class Failed(Exception):
    """The receiver has not taken the event; the message says why, and nothing of how the house looks inside.

    ``retry_after``: seconds that the receiver asks for. ``gone``: it wants no more at all.
    """

    def __init__(self, message: str, *, retry_after: float = 0.0, gone: bool = False) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.gone = gone


def new_secret() -> str:
    """A secret to sign with."""
    return _PREFIX + base64.b64encode(secrets.token_bytes(_NEW_BYTES)).decode()


def secret_bytes(secret: str) -> bytes:
    """The bytes of a secret, ``whsec_`` and base64 of 24 to 64 bytes. Raises ``ValueError``."""
    try:
        found = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        found = b""
    if not secret.startswith(_PREFIX) or not _LEAST_BYTES <= len(found) <= _MOST_BYTES:
        raise ValueError(f"secret must be {_PREFIX} and {_LEAST_BYTES} to {_MOST_BYTES} bytes in base64")
    return found


def sign(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """The header ``webhook-signature`` of a message."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    return f"v1,{base64.b64encode(hmac.digest(secret_bytes(secret), signed, hashlib.sha256)).decode()}"


def body_of(event: Event) -> bytes:
    """The message of an event: its type and time, and as ``data`` its envelope."""
    told = json.loads(event.line[: event.data_at] + b"null}")["time"]
    head = f'{{"type":"{event.facets.type}","timestamp":"{told}","data":'
    return head.encode() + event.line + b"}"


class Sender:
    """Sends events. One for all webhooks of a gateway; it has no memory of any."""

    def __init__(
        self, names: Names, *, allow_private: bool, timeout: float, clock: Callable[[], float] = time.time
    ) -> None:
        self._clock = clock
        self._timeout = timeout
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0,
                socket_factory=None if allow_private else public_socket,
                resolver=names,
                ttl_dns_cache=30,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": f"Khabar/{version('khabar')} (webhooks)", "Content-Type": "application/json"},
            timeout=aiohttp.ClientTimeout(total=timeout),
            auto_decompress=False,
            trust_env=False,
        )

    async def send(self, webhook: Webhook, event: Event) -> None:
        """Return when the receiver has taken the event. Raises ``Failed``.

        The same event of a webhook has the same ``webhook-id`` each time, so that a receiver can tell repetitions.
        """
        message_id = f"{webhook.id}_{event.cursor}"
        body = body_of(event)
        timestamp = int(self._clock())
        headers = {
            "webhook-id": message_id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": sign(webhook.secret, message_id, timestamp, body),
        }
        try:
            async with self._http.post(webhook.url, data=body, headers=headers, allow_redirects=False) as answer:
                if not HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
                    raise self._refused(answer)
                await _drain(answer)
        except TimeoutError:
            raise Failed(f"no answer within {self._timeout:g} s") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise Failed(_sentence(error)) from None

    def _refused(self, answer: aiohttp.ClientResponse) -> Failed:
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
        return max(0.0, moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() - self._clock())

    async def close(self) -> None:
        """Close all connections."""
        await self._http.close()


async def _drain(answer: aiohttp.ClientResponse) -> None:
    """Read what little may follow; close the connection when it is more. The event is taken, whatever happens."""
    read = 0
    with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
        async for chunk in answer.content.iter_any():
            read += len(chunk)
            if read > _MOST_READ:
                break
        else:
            return
    answer.close()


def _sentence(error: Exception) -> str:
    """What went wrong, without the addresses that a name was resolved to."""
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(error, aiohttp.InvalidURL | aiohttp.InvalidUrlClientError):
        return "the url is not valid"
    if isinstance(cause, PrivateAddress) or (isinstance(cause, OSError) and cause.errno == errno.EACCES):
        return "the address is not a public one"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "the name cannot be resolved"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"the certificate is not valid: {error.certificate_error}"[:300]
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"cannot connect: {cause.strerror or type(cause).__name__}"[:300] if isinstance(cause, OSError) else ""
    return f"the connection was lost ({type(error).__name__})"
