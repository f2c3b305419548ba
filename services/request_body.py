"""Receiving a request body at a minimum rate: a client that stalls cannot hold a request open.

Used by every handler that reads a body, in ingest and in the gateway.
"""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable

# A body may be behind the rate, or pause, for this long at any time: slow starts and short pauses are normal.
GRACE_SECONDS = 10.0
BYTES_PER_SECOND = 1_000
# The longest time for a body of any size.
MAX_SECONDS = 60.0


class TooSlow(Exception):
    """The body arrives too slowly; the message says what is expected."""

    def __init__(self, end: str = "the end") -> None:
        super().__init__(
            f"the body arrives too slowly: at least {BYTES_PER_SECOND} bytes a second are expected over "
            f"{GRACE_SECONDS:g} s, and {end} within {MAX_SECONDS:g} s"
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


class LongBody:
    """The chunks of a body of any length, which is handled while it arrives.

    Only the time that is spent waiting for the sender counts: ``waited``, in seconds. Iterating raises ``TooSlow``.
    """

    def __init__(self, chunks: AsyncIterable[bytes]) -> None:
        self._chunks = aiter(chunks)
        self.waited = 0.0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        now = asyncio.get_running_loop().time
        credit = GRACE_SECONDS
        while True:
            started = now()
            try:
                async with asyncio.timeout(credit):
                    chunk = await anext(self._chunks)
            except StopAsyncIteration:
                return
            except TimeoutError:
                raise TooSlow("the end of each line") from None
            took = now() - started
            self.waited += took
            credit = min(credit - took + len(chunk) / BYTES_PER_SECOND, GRACE_SECONDS)
            yield chunk
