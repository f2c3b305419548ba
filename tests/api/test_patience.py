"""A Kafka that hangs: each client gets its answer in time, and one that has left occupies nothing."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import aiohttp
import pytest
from websockets.asyncio.client import connect

from api.stream import backlog as backlog_module
from api.stream.backlog import Backlog, Unavailable
from services import kafka as kafka_clients
from services import kafka_topics
from services.embedded.kafka import Kafka
from tests.api.conftest import Start, Updates, an_article, eventually


@pytest.fixture(scope="module")
async def own_kafka(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Kafka]:
    """A Kafka that the tests may halt."""
    node = Kafka(Path(tmp_path_factory.mktemp("halted-kafka")))
    await node.start()
    await kafka_topics.ensure(node.bootstrap, raw_partitions=1, replication=1)
    yield node
    await node.stop()


@contextlib.contextmanager
def _halted(node: Kafka) -> Any:
    """While Kafka accepts connections and answers nothing."""
    child = cast(Any, node.process)._child
    child.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        child.send_signal(signal.SIGCONT)


async def test_each_request_fails_in_time_however_many_there_are(
    own_kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time that a request may take includes its wait for a free consumer."""
    monkeypatch.setattr(backlog_module, "_TIMEOUT", 0.5)
    backlog = Backlog(own_kafka.bootstrap)

    async def ask(number: int) -> float:
        began = asyncio.get_running_loop().time()
        with pytest.raises(Unavailable):
            await (backlog.oldest() if number % 3 == 0 else backlog.at(number))
        return asyncio.get_running_loop().time() - began

    with _halted(own_kafka):
        took = await asyncio.gather(*(ask(number) for number in range(40)))
    assert max(took) < 3


async def test_the_same_look_up_is_shared(own_kafka: Kafka) -> None:
    """Thousands who connect at the same time cost one look-up."""
    backlog = Backlog(own_kafka.bootstrap)
    tidy = asyncio.create_task(backlog.reap_idle())
    opened, open_reader = [], backlog._open

    async def counting() -> Any:
        opened.append(1)
        return await open_reader()

    backlog._open = counting  # type: ignore[method-assign]
    assert len(set(await asyncio.gather(*(backlog.end() for _ in range(1_000))))) == 1
    assert len(opened) == 1
    tidy.cancel()
    await asyncio.gather(tidy, return_exceptions=True)


async def test_a_client_that_has_left_frees_its_place(start: Start, own_kafka: Kafka) -> None:
    """While Kafka hangs, requests of clients that have disconnected end at once, not when Kafka fails."""
    async with kafka_clients.producer(own_kafka.bootstrap) as producer:
        await Updates(producer).send(an_article(), an_article())
    async with start(kafka=own_kafka.bootstrap, timeouts={"tail_records": 0}) as gateway:
        cursor = gateway.gateway.hub.cursors.encode(-1)
        state = gateway.server.server_state
        http = f"{gateway.url}/v1/events?cursor={cursor}"
        with _halted(own_kafka):
            async with aiohttp.ClientSession() as session:
                waiting: list[asyncio.Task[Any]] = [
                    asyncio.create_task(session.get(http).__aenter__()) for _ in range(8)
                ]
                sockets = [await connect(http.replace("http", "ws").replace("events", "stream")) for _ in range(8)]
                await eventually(lambda: len(state.tasks) == 16)
                for task in waiting:
                    task.cancel()
                await asyncio.gather(*waiting, return_exceptions=True)
            for socket in sockets:
                socket.transport.abort()
            await eventually(lambda: not state.tasks, seconds=3)


async def test_a_consumer_that_does_not_close_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Idle consumers are closed, also after one whose close fails and one whose close hangs."""
    monkeypatch.setattr(backlog_module, "_IDLE_SECONDS", 0.02)
    monkeypatch.setattr(backlog_module, "_CLOSE_SECONDS", 0.1)
    closed = []

    async def fail() -> None:
        raise OSError("reset")

    async def hang() -> None:
        await asyncio.Event().wait()

    async def close() -> None:
        closed.append(1)

    backlog = Backlog("127.0.0.1:9")
    tidy = asyncio.create_task(backlog.reap_idle())
    backlog._idle += [cast(Any, SimpleNamespace(used=-1e9, close=one)) for one in (fail, hang, close)]
    await eventually(lambda: closed, seconds=5)
    backlog._idle.append(cast(Any, SimpleNamespace(used=-1e9, close=close)))
    await eventually(lambda: len(closed) == 2, seconds=5)
    tidy.cancel()
    await asyncio.gather(tidy, return_exceptions=True)
