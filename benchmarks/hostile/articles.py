"""Clients of a whole Khabar that are hostile by what they push and ask. The package's docstring describes each kind."""

import asyncio
import gzip
import itertools
import json
import zlib

import aiohttp

from benchmarks.hostile.client import Address, Attack, Client, Outcomes, concurrently

_HTML_BYTES = 128_000
_JSON = {"Content-Type": "application/json"}
_GZIP = _JSON | {"Content-Encoding": "gzip"}
_TIMEOUT = aiohttp.ClientTimeout(total=120)

_numbers = itertools.count()


async def _post(outcomes: Outcomes, address: Address, path: str, body: bytes, headers: dict[str, str]) -> None:
    async with (
        aiohttp.ClientSession(timeout=_TIMEOUT) as session,
        session.post(f"http://{address[0]}:{address[1]}{path}", data=body, headers=headers) as answer,
    ):
        await answer.read()
        outcomes[f"HTTP {answer.status}"] += 1


async def _push(outcomes: Outcomes, address: Address, **article: str) -> None:
    number = next(_numbers)
    fields = {"source": "hostile", "guid": f"hostile {number}", "title": f"{number}", **article}
    await _post(outcomes, address, "/v1/articles", json.dumps(fields).encode(), _JSON)


async def uploads(outcomes: Outcomes, address: Address) -> None:
    """See the package's docstring."""
    packed = zlib.compressobj(9, zlib.DEFLATED, 31)
    begun = packed.compress(b" " * 15_900_000) + packed.flush(zlib.Z_SYNC_FLUSH)

    async def once(outcomes: Outcomes, address: Address) -> None:
        client = await Client.connect(outcomes, address)
        head = "POST /v1/articles HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\n"
        client.writer.write(f"{head}Content-Length: {len(begun) + 100}\r\n\r\n".encode() + begun)
        outcomes[f"HTTP {(await client.head()).split(b' ')[1].decode()}"] += 1
        client.close()

    await concurrently(outcomes, address, 8, once)


async def bombs(outcomes: Outcomes, address: Address) -> None:
    """See the package's docstring."""
    bodies = [gzip.compress(b"[" + b",".join([element] * 4_000_000) + b"]") for element in (b"[]", b"{}", b"0", b'""')]
    bodies.append(gzip.compress(b'{"text":"x","more":[' + b",".join([b"{}"] * 4_000_000) + b"]}"))
    turn = itertools.cycle(bodies)

    async def once(outcomes: Outcomes, address: Address) -> None:
        await _post(outcomes, address, "/v1/articles", next(turn), _GZIP)

    await concurrently(outcomes, address, 2, once)


async def deep_html(outcomes: Outcomes, address: Address) -> None:
    """See the package's docstring."""
    units = ["a<em>b</em>", "<span>x</span> ", "<b/>x", "<h2>x</h2>", "<div>"]
    turn = itertools.cycle("<p>" + unit * (_HTML_BYTES // len(unit)) for unit in units)

    async def once(outcomes: Outcomes, address: Address) -> None:
        await _push(outcomes, address, html=next(turn))

    await concurrently(outcomes, address, 1, once, pause=2)


async def many_names(outcomes: Outcomes, address: Address) -> None:
    """See the package's docstring."""
    letters = "بتثجحخدذرزسشصضطظعغفقكلمنهوي"

    async def once(outcomes: Outcomes, address: Address) -> None:
        seed = next(_numbers)
        names = ("".join(letters[(seed + number // 27**at) % 27] for at in range(6)) for number in range(10_000))
        await _push(outcomes, address, text=" ".join(f"التقى محمد {name}" for name in names))

    await concurrently(outcomes, address, 1, once, pause=2)


async def questions(outcomes: Outcomes, address: Address) -> None:
    """See the package's docstring."""

    async def once(outcomes: Outcomes, address: Address) -> None:
        client = await Client.connect(outcomes, address)
        client.writer.write(b"GET /v1/stories?window=all&entity=Qnope HTTP/1.1\r\nHost: x\r\n\r\n")
        outcomes[f"HTTP {(await client.head()).split(b' ')[1].decode()}"] += 1
        client.close()

    await concurrently(outcomes, address, 20, once, pause=0.01)


async def slow_names(outcomes: Outcomes, address: Address) -> None:
    """See the package's docstring."""

    async def once(outcomes: Outcomes, address: Address) -> None:
        url = f"http://slow{next(_numbers)}.invalid/"
        await _post(outcomes, address, "/v1/webhooks", json.dumps({"url": url}).encode(), _JSON)
        await asyncio.sleep(1)

    await concurrently(outcomes, address, 64, once)


ATTACKS: dict[str, Attack] = {
    "uploads": uploads,
    "bombs": bombs,
    "deep_html": deep_html,
    "many_names": many_names,
    "questions": questions,
    "slow_names": slow_names,
}
