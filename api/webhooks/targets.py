"""Which addresses a webhook may have."""

import asyncio
from typing import Final

from yarl import URL

from api.webhooks.resolver import Names
from services.addresses import is_public

_LONGEST: Final = 2_000
_RESOLVE_SECONDS: Final = 3.0


class BadTarget(ValueError):
    """An address that nothing will be sent to; the message says why."""


async def check(address: str, names: Names, *, allow_private: bool) -> None:
    """Return when a webhook may have this address. Raises ``BadTarget``.

    Where a name leads to may change: it is checked again with each connection. Here it is for the sake of whoever
    makes the webhook; a name that cannot be resolved at the moment passes.
    """
    if len(address) > _LONGEST:
        raise BadTarget(f"url has more than {_LONGEST} characters")
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
        addresses = await _resolved(names, host, port)
        if addresses and not any(map(is_public, addresses)):
            raise BadTarget("url must lead to a public address")


async def _resolved(names: Names, host: str, port: int) -> list[str]:
    try:
        async with asyncio.timeout(_RESOLVE_SECONDS):
            return [one["host"] for one in await names.resolve(host, port)]
    except OSError:  # TimeoutError is one too
        return []
