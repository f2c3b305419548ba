"""``khabar ingest`` as a child process."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from ingest.producer import Intake, Unavailable
from services import kafka_topics
from services.embedded.kafka import Kafka
from services.embedded.process import Process, free_port
from services.embedded.valkey import Valkey
from services.events import ArticleIn
from services.identity import article_id
from services.settings import Settings
from services.store import Store
from tests.harness import eventually
from tests.ingest.conftest import Post, posting, raw, serving

KHABAR = Path(sys.executable).parent / "khabar"


def environment(**settings: object) -> dict[str, str]:
    """This process's environment with these settings and no others."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("KHABAR_")}
    return kept | {f"KHABAR_{name.upper()}": str(value) for name, value in settings.items()}


@pytest.fixture(scope="session")
async def spare(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Kafka]:
    """A Kafka that the tests of this file start and stop; at first it is not running."""
    node = Kafka(tmp_path_factory.mktemp("spare"))
    yield node
    await node.stop()


async def test_start_before_kafka_and_stop(tmp_path: Path, spare: Kafka, valkey: Valkey, store: Store) -> None:
    """It starts without Kafka, creates the topics when Kafka is available, serves, and stops cleanly on SIGTERM."""
    port, metrics = free_port(), free_port()
    feeds = tmp_path / "feeds.txt"
    feeds.write_text(f"http://127.0.0.1:{free_port()}/nothing\n")
    service = Process("ingest", tmp_path / "ingest.log")
    await service.start(
        [KHABAR, "ingest"],
        env=environment(
            kafka=spare.bootstrap,
            redis=valkey.url,
            ingest_port=port,
            metrics_port=metrics,
            raw_partitions=3,
            feeds=feeds,
            log_format="json",
        ),
    )
    url = f"http://127.0.0.1:{port}"
    try:
        async with aiohttp.ClientSession(url) as session, posting(url) as post:

            async def status(path: str) -> int:
                async with session.get(path) as response:
                    return response.status

            await service.until(lambda: status("/healthz"), seconds=15)
            assert await status("/readyz") == 503
            await spare.start()

            async def ready() -> bool:
                return await status("/readyz") == 200

            await eventually(ready)
            answer = await post(json.dumps({"text": "خبر"}))
            assert answer.status == 202
            assert answer.body["accepted"][0]["id"] == article_id(ArticleIn(text="خبر"))
            assert (await raw(spare.bootstrap, partitions=3)).keys() == {answer.body["accepted"][0]["id"]}
            async with session.get(f"http://127.0.0.1:{metrics}/metrics") as response:
                assert "khabar_ingest_accepted_total" in await response.text()
        os.kill(service.pid, signal.SIGTERM)
        async with asyncio.timeout(10):
            assert await service.wait() == 0
        log = [json.loads(line) for line in service.log.read_text().splitlines()]
        events = [line["event"] for line in log]
        assert events.count("kafka_away") == 1
        assert events.count("feed_failing") == 1
        assert events[-1] == "ingest_stopping"
    finally:
        service.kill()


async def test_kafka_stops_and_starts_again(spare: Kafka, settings: Settings) -> None:
    """While Kafka is paused or stopped, a push gets 503 with Retry-After; when it is back, pushes are accepted."""
    if spare.process.returncode is not None or not spare.directory.joinpath("log").exists():
        await spare.start()
    await kafka_topics.ensure(spare.bootstrap, raw_partitions=3, replication=1)
    intake = Intake(spare.bootstrap, timeout=1.0)
    try:
        async with serving(settings, intake) as url, posting(url) as post, aiohttp.ClientSession(url) as session:
            tried = [await _until_accepted(post, "first")]

            os.kill(spare.process.pid, signal.SIGSTOP)  # connected, but not responding
            answer = await post(json.dumps({"text": "unheard"}))
            assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
            # The request is in Kafka's receive buffer, so it may still be written.
            assert "may still have been accepted" in answer.body["detail"]
            assert "sending all of them again is safe" in answer.body["detail"]
            assert "nothing was accepted" not in answer.body["detail"]
            os.kill(spare.process.pid, signal.SIGCONT)
            tried.append(await _until_accepted(post, "second"))

            await spare.stop()
            answer = await post(json.dumps({"text": "lost"}))
            assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
            assert answer.headers["Content-Type"] == "application/problem+json"
            answer = await post(json.dumps({"text": "never sent"}))
            assert answer.status == 503
            assert answer.body["detail"].startswith("nothing was accepted: ")
            assert (await session.get("/healthz")).status == 200
            assert (await session.get("/readyz")).status == 503
            await spare.start()
            tried.append(await _until_accepted(post, "third"))
            assert (await session.get("/readyz")).status == 200
        assert [one for one, _ in tried] == [article_id(ArticleIn(text=text)) for text in ("first", "second", "third")]
        found = await raw(spare.bootstrap, partitions=3)
        # Once, plus at most once for each response that said that the article may have been accepted.
        assert all(1 <= len(found[one]) <= 1 + maybe for one, maybe in tried)
    finally:
        await intake.close()


async def test_an_error_says_whether_records_were_sent(spare: Kafka) -> None:
    """The error's ``sent`` is True only when records had been passed to the Kafka producer."""
    away = Intake(f"127.0.0.1:{free_port()}", timeout=0.3)
    with pytest.raises(Unavailable) as error:
        await away.accept([ArticleIn(text="never sent")])
    assert not error.value.sent
    await away.close()

    if spare.process.returncode is not None or not spare.directory.joinpath("log").exists():
        await spare.start()
    await kafka_topics.ensure(spare.bootstrap, raw_partitions=3, replication=1)
    intake = Intake(spare.bootstrap, timeout=1.0)
    try:
        async with asyncio.timeout(15):
            while True:
                with contextlib.suppress(Unavailable):
                    await intake.accept([ArticleIn(text="heard")])
                    break
        os.kill(spare.process.pid, signal.SIGSTOP)
        try:
            with pytest.raises(Unavailable) as error:
                await intake.accept([ArticleIn(text="perhaps heard")])
        finally:
            os.kill(spare.process.pid, signal.SIGCONT)
        assert error.value.sent
    finally:
        await intake.close()


async def _until_accepted(post: Post, text: str) -> tuple[str, int]:
    """The id once Kafka is ready, and how many earlier responses, all 503, said that it may have been accepted."""
    maybe = 0
    for _ in range(20):
        answer = await post(json.dumps({"text": text}))
        if answer.status == 202:
            return answer.body["accepted"][0]["id"], maybe
        assert answer.status == 503
        maybe += "may still have been accepted" in answer.body["detail"]
        await asyncio.sleep(0.2)
    raise AssertionError("never accepted")


async def test_wrong_settings(tmp_path: Path, settings: Settings) -> None:
    """A port in use, a missing file, an address that is open without a token: the error at start names the setting."""

    async def refused(setting: str, wrong: dict[str, object]) -> None:
        service = Process("ingest", tmp_path / f"{setting}.log")
        await service.start([KHABAR, "ingest"], env=environment(kafka=settings.kafka, **wrong))
        async with asyncio.timeout(15):
            assert await service.wait() == 1
        (line,) = service.log.read_text().splitlines()
        assert line.startswith(f"error: {setting}: ")

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        await asyncio.gather(
            refused("KHABAR_INGEST_PORT", {"ingest_port": port}),
            refused("KHABAR_METRICS_PORT", {"ingest_port": 0, "metrics_port": port}),
            refused("KHABAR_FEEDS", {"feeds": tmp_path / "missing"}),
            refused("KHABAR_INGEST_HOST", {"ingest_host": "0.0.0.0"}),  # noqa: S104 - to be refused
            refused("KHABAR_INGEST_TOKEN", {"ingest_token": "short"}),
        )
