"""The commands, as child processes."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from api.watch import Refused, Watcher, as_text
from services.embedded.process import free_port
from services.settings import Settings
from tests.api.conftest import Running, Start, Updates, a_story, a_trend, an_article, an_entity, eventually

_KHABAR = "from services.cli import main; main()"


@asynccontextmanager
async def _khabar(*arguments: str, **environment: str) -> AsyncIterator[Process]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("KHABAR_")}
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _KHABAR, *arguments, stdout=PIPE, stderr=PIPE, env=clean | environment
    )
    try:
        yield child
    finally:
        if child.returncode is None:
            child.kill()
        await child.communicate()


async def _line(child: Process) -> str:
    assert child.stdout is not None
    async with asyncio.timeout(20):
        return (await child.stdout.readline()).decode().rstrip("\n")


async def _connections(gateway: Running, count: int) -> None:
    await eventually(lambda: gateway.counted(f'connections{{transport="websocket"}} {count}.0'))


async def test_watch_prints_events_and_ends_with_ctrl_c(start: Start, updates: Updates) -> None:
    """Each event is two lines, right-to-left names isolated; with ``--json`` its envelope. The exit status is 0."""
    async with (
        start() as gateway,
        _khabar("watch", "--to", gateway.url, "--language", "ar") as text,
        _khabar("watch", "--to", gateway.url, "--language", "ar,fr", "--json", "--limit", "2") as lines,
    ):
        await _connections(gateway, 2)
        article = an_article(title="زلزال\x1b[31m", entities=[an_entity("Q1", "المغرب")])
        await updates.send(an_article(language="en"), article, an_article(language="fr"))
        first, second = await _line(text), await _line(text)
        assert "ar" in first
        assert "\u2068زلزال [31m\u2069" in first
        assert "\u2068المغرب\u2069" in second
        assert json.loads(await _line(lines))["data"] == json.loads(article.encode())
        assert json.loads(await _line(lines))["data"]["language"] == "fr"
        assert await lines.wait() == 0
        text.send_signal(signal.SIGINT)
        assert await text.wait() == 0


async def test_watch_resumes_after_an_interruption(start: Start, updates: Updates) -> None:
    """When the gateway restarts at the same address, no event is missing or repeated."""
    articles = [an_article() for _ in range(4)]
    async with start() as first, _khabar("watch", "--to", first.url, "--json", "--limit", "4") as child:
        await _connections(first, 1)
        await updates.send(*articles[:2])
        got = [json.loads(await _line(child)) for _ in range(2)]
        first.server.stop()
        await asyncio.sleep(0.3)
        await updates.send(articles[2])
        async with start(at=first.port) as second:
            await _connections(second, 1)
            await updates.send(articles[3])
            got += [json.loads(await _line(child)) for _ in range(2)]
        assert await child.wait() == 0
    assert [one["data"]["id"] for one in got] == [one.id for one in articles]


async def test_watch_reports_a_rejected_filter(gateway: Running) -> None:
    """A wrong filter ends it with one sentence and status 1."""
    async with _khabar("watch", "--to", gateway.url, "--language", "klingon") as child:
        _, error = await child.communicate()
        assert child.returncode == 1
        assert "klingon" in error.decode()


@asynccontextmanager
async def _answering(*statuses: int) -> AsyncIterator[str]:
    """A server that answers handshakes with these statuses in turn, then sends one article."""
    left = list(statuses)

    def refuse(connection: ServerConnection, _: Request) -> Response | None:
        return connection.respond(left.pop(0), "") if left else None

    async def send(connection: ServerConnection) -> None:
        await connection.send(json.dumps(_envelope("article", {"title": "وصل"})))
        await connection.wait_closed()

    async with serve(send, "127.0.0.1", 0, process_request=refuse) as server:
        yield f"127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"


@pytest.mark.parametrize(
    ("status", "word"), [(401, "--api-key"), (403, "403"), (404, "404"), (410, "410"), (200, "200")]
)
async def test_watch_ends_when_the_handshake_is_rejected(status: int, word: str) -> None:
    """It does not retry, and reports the cause in one sentence."""
    async with _answering(status) as address:
        with pytest.raises(Refused, match=word):
            await Watcher(address, []).run()


async def test_watch_retries_after_server_errors(capsys: pytest.CaptureFixture[str]) -> None:
    """It retries after 5xx and a busy proxy; the URL needs no scheme."""
    async with _answering(503, 429) as address, asyncio.timeout(20):
        await Watcher(address.replace("127.0.0.1", "localhost"), [], limit=1).run()
    output = capsys.readouterr()
    assert "وصل" in output.out
    assert "503" in output.err and "429" in output.err


async def test_watch_with_a_path_without_a_stream_is_an_error(gateway: Running) -> None:
    """A real gateway has no stream below another path."""
    with pytest.raises(Refused, match="no stream"):
        await Watcher(f"{gateway.url}/foo", []).run()


@pytest.mark.parametrize(
    "url", ["http://[::1", "http://localhost:99999", "localhost:port", "http://a..b", "ftp://localhost", "http://"]
)
async def test_an_invalid_url_is_one_sentence(url: str) -> None:
    """For every kind of invalid URL."""
    with pytest.raises(Refused):
        await Watcher(url, []).run()


async def test_watch_shows_no_traceback_for_an_invalid_url() -> None:
    """It prints one sentence and exits with status 1."""
    async with _khabar("watch", "--to", "http://[::1") as child:
        _, error = await child.communicate()
        assert child.returncode == 1
        assert error.decode().startswith("error: http://[::1 is not an address")
        assert "Traceback" not in error.decode()


def _envelope(kind: str, data: dict[str, Any]) -> dict[str, Any]:
    return {"cursor": "c", "type": kind, "time": "2025-01-31T09:30:00.000Z", "data": data}


def test_watch_shows_every_kind_of_event() -> None:
    """Articles without a title by their first words, stories with their size, merge or split, and trends."""
    untitled = an_article(title=None, text="كلمات أولى من النص", source=None, duplicate_of="x").model_dump()
    shown = as_text(_envelope("article", untitled))
    assert shown.startswith("09:30:00  ar")
    assert "كلمات أولى" in shown
    assert "(duplicate)" in shown
    assert "story of 3" in as_text(_envelope("story", a_story(size=3).model_dump()))
    merged = as_text(_envelope("story", a_story(id="sa", title="زلزال", merged_into="sb").model_dump()))
    assert "story sa merged into sb" in merged and "زلزال" in merged
    split = as_text(_envelope("story", a_story(id="sn", size=2, split_from="sa").model_dump()))
    assert "story sn of 2 split from sa" in split
    trend = a_trend(name="غزة", count=9, expected=1.25, window="1h").model_dump(mode="json")
    for phase, words in (("start", "begins to rise"), ("grow", "rises further"), ("end", "rises no more")):
        shown = as_text(_envelope("trend", trend | {"phase": phase}))
        assert f"{words}: entity, 9 in 1h instead of 1.2  \u2068غزة\u2069" in shown


async def test_the_service_stops_cleanly_on_sigterm(settings: Settings, updates: Updates) -> None:
    """``khabar api`` sends its subscribers ``going_away`` and exits with status 0 within seconds."""
    assert settings.kafka and settings.redis
    port = free_port()
    environment = {"KHABAR_KAFKA": settings.kafka, "KHABAR_REDIS": settings.redis}
    async with _khabar("api", "--port", str(port), **environment) as child:
        async with asyncio.timeout(20), aiohttp.ClientSession() as http:
            while True:
                try:
                    async with http.get(f"http://127.0.0.1:{port}/healthz") as response:
                        assert response.status == 200
                        break
                except aiohttp.ClientError:
                    await asyncio.sleep(0.05)
        async with connect(f"ws://127.0.0.1:{port}/v1/stream") as socket:
            assert json.loads(await socket.recv())["type"] == "subscribed"
            child.terminate()
            assert json.loads(await socket.recv())["code"] == "going_away"
            await socket.wait_closed()
            assert socket.close_code == 1012
        async with asyncio.timeout(5):
            _, log = await child.communicate()
        assert child.returncode == 0, log.decode()


async def test_a_port_in_use_is_one_sentence(gateway: Running) -> None:
    """It is not a traceback."""
    async with _khabar("api", "--port", str(gateway.port)) as child:
        _, error = await child.communicate()
        assert child.returncode == 1
        assert f"cannot listen on 127.0.0.1:{gateway.port}" in error.decode()
        assert "Traceback" not in error.decode()
