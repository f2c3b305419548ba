"""Receiving a request body at a minimum rate: a client that stalls cannot hold a request open.

Used by every handler that reads a body, in ingest and in the gateway.
"""

import asyncio
from collections.abc import AsyncIterable, Callable

# A body may be behind the rate, or pause, for this long at any time: slow starts and short pauses are normal.
GRACE_SECONDS = 10.0
BYTES_PER_SECOND = 1_000
# The longest time for a body of any size.
MAX_SECONDS = 60.0


class TooSlow(Exception):
    """The body arrives too slowly; the message says what is expected."""

    def __init__(self) -> None:
        super().__init__(
            f"the body arrives too slowly: at least {BYTES_PER_SECOND} bytes a second are expected over "
            f"{GRACE_SECONDS:g} s, and the end within {MAX_SECONDS:g} s"
        )


async def receive(chunks: AsyncIterable[bytes], take: Callable[[bytes], None]) -> None:
    """Pass each chunk of a body to ``take`` as it arrives; return at the end. Raises ``TooSlow``.

    What ``chunks`` and ``take`` raise ends it too.
    """
    now = asyncio.get_running_loop().time
    started = now()
    until = started + GRACE_SECONDS
    try:
        async with asyncio.timeout_at(until) as limit:
            async for chunk in chunks:
                take(chunk)
                # What arrived fast is no credit for a pause later.
                until = min(until + len(chunk) / BYTES_PER_SECOND, now() + GRACE_SECONDS)
                limit.reschedule(min(until, started + MAX_SECONDS))
    except TimeoutError:
        raise TooSlow from None
