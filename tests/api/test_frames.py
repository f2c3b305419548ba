"""The size of WebSocket frames: what common clients read of one message by default."""

import json
from typing import Any

import pytest
from websockets.asyncio.client import connect

from tests.api.conftest import Running, Start, Updates, an_article, ids

_DEFAULT = 32_768
# The header of a frame of this size.
_HEADER = 4


async def _frames(gateway: Running, cursor: str, count: int, max_size: int | None) -> list[str]:
    """The frames after the first, until they hold this many events."""
    url = f"ws://127.0.0.1:{gateway.port}/v1/stream?cursor={cursor}"
    async with connect(url, compression=None, max_size=max_size) as socket:
        await socket.recv()
        frames: list[str] = []
        while sum(frame.count("\n") + 1 for frame in frames) < count:
            frames.append(str(await socket.recv()))
        return frames


def _ids(frames: list[str]) -> list[str]:
    envelopes: list[dict[str, Any]] = [json.loads(line) for frame in frames for line in frame.split("\n")]
    return ids(envelopes)


@pytest.mark.parametrize(("limit", "options"), [(_DEFAULT, {}), (4_096, {"frame_bytes": 4_096})])
async def test_frames_are_small_unless_one_event_is_larger(
    start: Start, updates: Updates, limit: int, options: dict[str, Any]
) -> None:
    """Catching up and live, a frame has several events as long as it is small; a larger event is alone in its frame."""
    large = an_article(text="x" * 50_000)
    articles = [an_article(text="خبر " * (20 + n % 300)) for n in range(300)]
    articles[100:100] = [large]
    async with start(**options) as gateway, gateway.stream() as live:
        begin = (await live.next())["cursor"]
        await updates.send(*articles)
        frames: list[str] = []
        while sum(frame.count("\n") + 1 for frame in frames) < len(articles):
            frames.append(str(await live.socket.recv()))
        again = await _frames(gateway, begin, len(articles), None)
    for got in (frames, again):
        assert _ids(got) == [one.id for one in articles]
        assert [frame for frame in got if len(frame.encode()) + _HEADER > limit] == [
            frame for frame in got if f'"id":"{large.id}"' in frame
        ]
        assert len(got) < len(articles)


async def test_a_client_with_the_common_limit_reads_everything(start: Start, updates: Updates) -> None:
    """A client that reads at most 32,768 bytes of a message gets a long backlog."""
    articles = [an_article(text="كلمة " * 100) for _ in range(500)]
    async with start(timeouts={"tail_records": 0}) as gateway:
        async with gateway.stream() as subscriber:
            begin = (await subscriber.next())["cursor"]
        await updates.send(*articles)
        frames = await _frames(gateway, begin, len(articles), _DEFAULT)
    assert _ids(frames) == [one.id for one in articles]
