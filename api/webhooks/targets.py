"""Which URLs a webhook may have."""

import asyncio
from typing import Final

from yarl import URL

from services.addresses import is_public, is_web_port
from services.resolver import ThreadedResolver

_MAX_URL_CHARACTERS: Final = 2_000
_RESOLVE_SECONDS: Final = 3.0


class BadTarget(ValueError):
    """A URL that a webhook may not have; the message says why."""


async def check(address: str, resolver: ThreadedResolver, *, allow_private: bool) -> None:
    """Return when a webhook may have this URL. Raises ``BadTarget``.

    A name may later resolve to other addresses, so they are checked again at each connection. The check here gives an
    early error to the client that creates the webhook; a name that cannot be resolved at the moment is accepted.
    """
    if len(address) > _MAX_URL_CHARACTERS:
        raise BadTarget(f"url has more than {_MAX_URL_CHARACTERS} characters")
    try:
        url = URL(address)
        host, port = url.host, url.port
    except ValueError:
        host = port = None
    if host is None or port is None or url.scheme not in {"http", "https"}:
        raise BadTarget("url must be an http or https address")
    if url.user is not None or url.password is not None:
        raise BadTarget("url must not hold a user or a password: the signature says who sends")
    if url.fragment:
        raise BadTarget("url must not have a fragment, which is never sent")
    if not allow_private:
        if not is_web_port(port):
            raise BadTarget("url must have the port 80, 443, or one from 1024")
        addresses = await _resolved(resolver, host, port)
        if addresses and not any(map(is_public, addresses)):
            raise BadTarget("url must lead to a public address")


async def _resolved(resolver: ThreadedResolver, host: str, port: int) -> list[str]:
    try:
        async with asyncio.timeout(_RESOLVE_SECONDS):
            return [one["host"] for one in await resolver.resolve(host, port)]
    except OSError:  # TimeoutError is a subclass
        return []
