"""Clients that are hostile by the work they ask for. The package's docstring describes each kind."""

import asyncio
import json
import random
from collections.abc import Iterator
from contextlib import suppress

from benchmarks.fanout import CURSORS, VOCABULARY
from benchmarks.hostile.client import Address, Attack, Client, Outcomes, concurrently, frame

_VALUES, _WORDS = 100, 10
_UPGRADE_HEAD = (
    b"GET /v1/stream HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
)


def _full_filters(seed: int) -> Iterator[bytes]:
    """Subscriptions as large as they may be, in frames; all their words but the last occur in long articles."""
    rng = random.Random(seed)  # noqa: S311 - not for security
    while True:
        values = [
            " ".join([*rng.sample(VOCABULARY, _WORDS - 1), f"x{rng.getrandbits(48)}"]) for _ in range(_VALUES - 1)
        ]
        wanted = {"q": values, "duplicates": "show"}
        yield frame(json.dumps({"op": "subscribe", "filter": wanted}, ensure_ascii=False).encode())


async def filters(outcomes: Outcomes, address: Address) -> None:
    """See the package's docstring."""
    seeds = iter(range(10_000))

    async def once(outcomes: Outcomes, address: Address) -> None:
        client = await Client.upgrade(outcomes, address)
        client.writer.write(next(_full_filters(next(seeds))))
        await client.read(3_600)
        client.close()

    await concurrently(outcomes, address, 10, once)


async def churn(outcomes: Outcomes, address: Address) -> None:
    """See the package's docstring."""

    async def once(outcomes: Outcomes, address: Address) -> None:
        client = await Client.upgrade(outcomes, address)
        reading = asyncio.create_task(client.read(3_600))
        for one in _full_filters(1):
            if reading.done():
                break
            client.writer.write(one)
            outcomes["filters sent"] += 1
            with suppress(OSError):
                await client.writer.drain()
            await asyncio.sleep(1 / 20)
        client.close()

    await concurrently(outcomes, address, 10, once)


async def scans(outcomes: Outcomes, address: Address) -> None:
    """See the package's docstring."""
    path = f"/v1/stream?cursor={CURSORS.encode(0)}&q=nothing"

    async def once(outcomes: Outcomes, address: Address) -> None:
        client = await Client.upgrade(outcomes, address, path)
        await client.read(0.5)
        client.close()

    await concurrently(outcomes, address, 20, once, pause=0.01)


async def upgrades(outcomes: Outcomes, address: Address) -> None:
    """See the package's docstring."""
    heads = [
        _UPGRADE_HEAD + b"Content-Length: 5\r\n\r\n",
        _UPGRADE_HEAD + b"Transfer-Encoding: chunked\r\n\r\n",
        _UPGRADE_HEAD + b"X-Long: " + b"x" * 9_000 + b"\r\n\r\n",
        _UPGRADE_HEAD + b"X: y\r\n" * 150 + b"\r\n",
        _UPGRADE_HEAD.replace(b"/v1/stream", b"/v1/stream?q=" + b"x" * 9_000) + b"\r\n",
    ]
    turn = iter(range(10**9))

    async def once(outcomes: Outcomes, address: Address) -> None:
        client = await Client.connect(outcomes, address)
        client.writer.write(heads[next(turn) % len(heads)])
        try:
            async with asyncio.timeout(60):
                outcomes[f"HTTP {(await client.head()).split(b' ')[1].decode()}"] += 1
        except TimeoutError:
            outcomes["never answered"] += 1
        client.close()

    await concurrently(outcomes, address, 100, once)


async def slow_bodies(outcomes: Outcomes, address: Address) -> None:
    """See the package's docstring."""

    async def once(outcomes: Outcomes, address: Address) -> None:
        client = await Client.connect(outcomes, address)
        client.writer.write(b"POST /v1/webhooks HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n{")
        outcomes[f"HTTP {(await client.head()).split(b' ')[1].decode()}"] += 1
        client.close()

    await concurrently(outcomes, address, 100, once)


ATTACKS: dict[str, Attack] = {
    "filters": filters,
    "churn": churn,
    "scans": scans,
    "upgrades": upgrades,
    "slow_bodies": slow_bodies,
}
