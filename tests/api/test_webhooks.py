"""Webhooks: real gateways, a real store, and a receiver whose answers a test sets."""

import asyncio
import base64
import hashlib
import hmac
import json
import os
import re
import sys
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

import aiohttp
import pytest
from aiohttp import web
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from api.server import Server, listen
from api.stream.subscription import StreamTimeouts
from api.webhooks import DeliveryPolicy
from api.webhooks.assignment import assigned_gateway
from api.webhooks.sender import secret_bytes, sign
from services import kafka as kafka_clients
from services import kafka_topics, request_body
from services.embedded.kafka import Kafka
from services.embedded.process import Process, free_port
from services.embedded.valkey import Valkey
from services.resolver import ThreadedResolver, looking_up_for
from services.settings import Settings
from services.store import Store
from services.store.webhooks import GATEWAYS, Full, Lease, Webhook, Webhooks
from tests.api.conftest import Running, Updates, a_trend, an_article, eventually, serving
from tests.harness import hashed

FAST = DeliveryPolicy(first_delay=0.05, max_delay=0.2, timeout=1.0, lease=1.5, scan=0.1, save=0.2)


@dataclass
class Delivery:
    """A received request."""

    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        """The id of the article, story or trend."""
        return str(json.loads(self.body)["data"]["data"]["id"])


class Receiver:
    """A server that accepts requests unless a test says otherwise."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/hook"
        self.came: list[Delivery] = []
        self.taken: list[Delivery] = []
        self.answer: Callable[[Delivery], web.Response | None] = lambda _: None
        self.delay = 0.0

    async def take(self, request: web.Request) -> web.Response:
        """Record the request and answer 204, unless ``answer`` says something else."""
        delivery = Delivery({name.lower(): value for name, value in request.headers.items()}, await request.read())
        self.came.append(delivery)
        await asyncio.sleep(self.delay)
        answer = self.answer(delivery)
        if answer is None:
            self.taken.append(delivery)
        return answer or web.Response(status=204)

    @property
    def ids(self) -> list[str]:
        """The ids of accepted events, in order."""
        return [delivery.id for delivery in self.taken]


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """A running receiver."""
    made = Receiver(free_port())
    app = web.Application(client_max_size=10_000_000)
    app.router.add_post("/hook", made.take)
    app.router.add_get("/secret", made.take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", int(made.url.split(":")[2].split("/")[0])).start()
    try:
        yield made
    finally:
        await runner.cleanup()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """A receiver for one test."""
    async with receiving() as made:
        yield made


@pytest.fixture(autouse=True)
async def store(valkey: Valkey) -> AsyncIterator[Store]:
    """An empty store for one test: gateways of other tests would deliver webhooks in a shared one."""
    opened = Store(f"{valkey.url.removesuffix('/0')}/1")
    await opened.redis.flushdb()
    yield opened
    await opened.close()


@pytest.fixture
def settings(settings: Settings, store: Store) -> Settings:
    """Settings that point at that store."""
    return settings.model_copy(update={"redis": store.url})


@asynccontextmanager
async def delivering(
    settings: Settings, *, policy: DeliveryPolicy = FAST, allow_private: bool = True, tail: int = 2_000, **changed: Any
) -> AsyncIterator[Running]:
    """A gateway that delivers with this policy; its log starts with the last ``tail`` records."""
    changed["allow_private_addresses"] = allow_private
    server = Server(settings.model_copy(update=changed), StreamTimeouts(heartbeat=5.0, tail_records=tail))
    server.app.state.deliveries.policy = policy
    async with serving(server) as gateway:
        yield gateway


def delivered_by(*gateways: Running) -> list[str]:
    """The ids of the webhooks that these gateways deliver now, sorted; one that two of them deliver is there twice."""
    return sorted(one for gateway in gateways for one in gateway.server.app.state.deliveries._running)


async def ask(
    gateway: Running, method: str, path: str = "", body: object = None, key: str | None = None
) -> tuple[int, Any]:
    """Status and JSON of a request about webhooks."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    url = f"{gateway.url}/v1/webhooks{path}"
    async with gateway.http.request(method, url, json=body, headers=headers) as response:
        text = await response.text()
        return response.status, json.loads(text) if text else None


async def make(gateway: Running, receiver: Receiver, **given: Any) -> dict[str, Any]:
    """A new webhook, delivered by this gateway."""
    status, made = await ask(gateway, "POST", body={"url": receiver.url, **given})
    assert status == 201, made
    await eventually(lambda: made["id"] in delivered_by(gateway))
    return dict(made)


async def state_of(gateway: Running, webhook: dict[str, Any]) -> dict[str, Any]:
    """The present state of a webhook."""
    status, shown = await ask(gateway, "GET", f"/{webhook['id']}")
    assert status == 200
    return dict(shown)


async def until(gateway: Running, webhook: dict[str, Any], **wanted: Any) -> dict[str, Any]:
    """The webhook once it has these values."""
    async with asyncio.timeout(20):
        while True:
            shown = await state_of(gateway, webhook)
            if wanted.items() <= shown.items():
                return shown
            await asyncio.sleep(0.05)


async def test_events_are_delivered_in_order_signed_and_once(
    settings: Settings, receiver: Receiver, updates: Updates
) -> None:
    """One POST an event, as in Standard Webhooks, with the stream's envelope; deliveries are counted."""
    async with delivering(settings) as gateway:
        made = await make(gateway, receiver, filter={"language": "ar"})
        assert made["state"] == "active"
        assert made["filter"] == {"language": ["ar"], "duplicates": "hide"}
        articles = [an_article() for _ in range(20)]
        async with gateway.stream() as stream:
            await stream.until("subscribed")
            await updates.send(articles[0], an_article(language="en"), *articles[1:], a_trend())
            envelopes = [one for one in await stream.events(22) if one["data"].get("language") == "ar"]
        await eventually(lambda: len(receiver.taken) == 20)
        assert receiver.ids == [article.id for article in articles]
        verify = _documented()
        key = base64.b64decode(made["secret"].removeprefix("whsec_"))
        for delivery, envelope in zip(receiver.taken, envelopes, strict=True):
            headers = delivery.headers
            assert json.loads(delivery.body) == {
                "type": "article",
                "timestamp": envelope["time"],
                "data": envelope,
            }
            assert headers["webhook-id"] == f"{made['id']}_{envelope['cursor']}"
            assert abs(time.time() - int(headers["webhook-timestamp"])) < 60
            signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + delivery.body
            mac = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
            assert headers["webhook-signature"] == f"v1,{mac}"
            verify(made["secret"], headers, delivery.body)
            with pytest.raises(ValueError, match="not signed"):
                verify(made["secret"], headers, delivery.body + b" ")
            assert headers["content-type"] == "application/json"
        shown = await until(gateway, made, deliveries=20)
        assert (shown["state"], shown["failures"], shown["error"]) == ("active", 0, None)
        assert shown["cursor"] >= envelopes[-1]["cursor"]
        assert "secret" not in shown
        assert gateway.counted('events_delivered_total{transport="webhook"} 20.0')


def _documented() -> Callable[[str, dict[str, str], bytes], None]:
    """The function that docs/howto/webhooks.md shows to receivers."""
    page = (Path(__file__).parents[2] / "docs" / "howto" / "webhooks.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)  # noqa: S102 - our own page
    return cast(Callable[[str, dict[str, str], bytes], None], names["verify"])


def test_the_signature_is_that_of_the_reference() -> None:
    """As in the tests of the reference libraries (github.com/standard-webhooks/standard-webhooks)."""
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    signature = sign(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


async def test_a_failed_event_is_sent_again_before_the_next(
    settings: Settings, receiver: Receiver, updates: Updates
) -> None:
    """After 500s, a timeout and a lost connection the same message is sent again; all events arrive in order."""
    broken = iter([500, 503, 302, 404])

    def answer(delivery: Delivery) -> web.Response | None:
        status = next(broken, None) if delivery.id == articles[1].id else None
        return web.Response(status=status, headers={"Location": "/secret"}) if status else None

    articles = [an_article() for _ in range(3)]
    receiver.answer = answer
    async with delivering(settings) as gateway:
        made = await make(gateway, receiver)
        await updates.send(*articles)
        await eventually(lambda: len(receiver.taken) == 3)
        assert receiver.ids == [article.id for article in articles]
        assert [one.id for one in receiver.came].count(articles[1].id) == 5
        repeated = [one for one in receiver.came if one.id == articles[1].id]
        assert len({one.headers["webhook-id"] for one in repeated}) == 1
        shown = await until(gateway, made, deliveries=3, failures=4)
        assert (shown["state"], shown["error"], shown["failing_since"]) == ("active", None, None)
        assert gateway.counted("webhook_failures_total 4.0")
        assert gateway.counted("webhooks 1.0")


async def test_a_slow_receiver_delays_no_other(settings: Settings, receiver: Receiver, updates: Updates) -> None:
    """One that never answers fails; another receiver gets everything meanwhile."""
    async with delivering(settings) as gateway, receiving() as slow:
        slow.delay = 30
        made = await make(gateway, slow)
        await make(gateway, receiver)
        articles = [an_article() for _ in range(5)]
        await updates.send(*articles)
        await eventually(lambda: len(receiver.taken) == 5, seconds=3)
        shown = await until(gateway, made, state="failing", error="no answer within 1 s")
        assert shown["failing_since"]
        assert shown["next_attempt"]
        assert slow.taken == []


async def test_another_gateway_continues_where_one_stopped(
    settings: Settings, receiver: Receiver, updates: Updates
) -> None:
    """Events published while no gateway runs are delivered by the next one, none twice."""
    async with delivering(settings) as first:
        made = await make(first, receiver)
        before = [an_article() for _ in range(3)]
        await updates.send(*before)
        await eventually(lambda: len(receiver.taken) == 3)
        await until(first, made, deliveries=3)
    between = [an_article() for _ in range(3)]
    await updates.send(*between)
    async with delivering(settings):
        await eventually(lambda: len(receiver.taken) >= 6)
        after = an_article()
        await updates.send(after)
        await eventually(lambda: len(receiver.taken) >= 7)
    assert receiver.ids == [article.id for article in (*before, *between, after)]


async def test_two_gateways_deliver_once(settings: Settings, receiver: Receiver, updates: Updates) -> None:
    """One of them has the lease; when it stops the other takes over, and no event is repeated or missing."""
    async with delivering(settings) as first, delivering(settings) as second:
        status, made = await ask(first, "POST", body={"url": receiver.url})
        assert status == 201
        await eventually(lambda: delivered_by(first, second) == [made["id"]])
        articles = [an_article() for _ in range(30)]
        for article in articles[:15]:
            await updates.send(article)
        await eventually(lambda: len(receiver.taken) == 15)
        one, other = (first, second) if delivered_by(first) else (second, first)
        one.server.stop()
        await eventually(lambda: delivered_by(other) != [])
        for article in articles[15:]:
            await updates.send(article)
        await eventually(lambda: len(receiver.taken) >= 30)
        await asyncio.sleep(0.3)
    assert receiver.ids == [article.id for article in articles]


@asynccontextmanager
async def coming(updates: Updates) -> AsyncIterator[list[str]]:
    """Five events a second; the list of their ids grows until the end."""
    found: list[str] = []

    async def come() -> None:
        while not over.is_set():
            article = an_article()
            await updates.send(article)
            found.append(article.id)
            await asyncio.sleep(0.2)

    over = asyncio.Event()
    task = asyncio.create_task(come())
    try:
        yield found
    finally:
        over.set()
        await task


async def test_webhooks_move_without_a_repetition(settings: Settings, receiver: Receiver, updates: Updates) -> None:
    """A gateway that starts gets its share and returns it when it stops; current deliveries are finished first."""
    # A slow machine must not look like a slow receiver.
    policy = replace(FAST, timeout=10.0, lease=6.0)
    receiver.delay = 0.2
    async with delivering(settings, policy=policy) as first:
        made = sorted([(await make(first, receiver))["id"] for _ in range(12)])
        async with coming(updates) as articles:
            await eventually(lambda: len(receiver.came) > 12)
            async with delivering(settings, policy=policy) as second:
                # That all are assigned to the first has a probability of 1 in 4,096.
                await eventually(lambda: delivered_by(second) and delivered_by(first, second) == made, seconds=5)
                await asyncio.sleep(0.5)
            await eventually(lambda: delivered_by(first) == made, seconds=5)
        await eventually(lambda: len(receiver.taken) >= 12 * len(articles))
        shown = [await until(first, {"id": one}, deliveries=len(articles)) for one in made]
        assert {one["failures"] for one in shown} == {0}
    assert len(receiver.came) == 12 * len(articles)
    assert _by_webhook(receiver.taken) == dict.fromkeys(made, articles)


def _by_webhook(deliveries: Iterable[Delivery]) -> dict[str, list[str]]:
    """The received ids in order, by webhook."""
    found: dict[str, list[str]] = {}
    for delivery in deliveries:
        found.setdefault(delivery.headers["webhook-id"].rpartition("_")[0], []).append(delivery.id)
    return found


async def test_a_webhook_that_waits_to_retry_moves_at_once(
    settings: Settings, receiver: Receiver, updates: Updates
) -> None:
    """A move does not end the delay before the next attempt, and the delay does not delay the move."""
    receiver.answer = lambda _: web.Response(status=500)
    policy = replace(FAST, first_delay=60.0, max_delay=60.0)
    async with delivering(settings, policy=policy) as first:
        made = sorted([(await make(first, receiver))["id"] for _ in range(12)])
        await updates.send(an_article())
        for one in made:
            await until(first, {"id": one}, state="failing")
        async with delivering(settings, policy=policy) as second:
            await eventually(lambda: delivered_by(second) and delivered_by(first, second) == made, seconds=5)
            await asyncio.sleep(0.3)
    assert len(receiver.came) == 12


async def test_a_lost_cancellation_keeps_no_lease(
    settings: Settings, receiver: Receiver, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store's client may lose a cancellation, as ``asyncio.wait_for`` of Python 3.11 can; the lease still ends."""
    saving, lost = asyncio.Event(), asyncio.Event()
    save = Webhooks.save

    async def deaf(webhooks: Webhooks, lease: Lease, fields: dict[str, object], **given: Any) -> str:
        saving.set()
        try:
            await asyncio.sleep(0.5)
        except asyncio.CancelledError:
            lost.set()
        return await save(webhooks, lease, fields, **given)

    async with delivering(settings) as gateway:
        made = await make(gateway, receiver)
        monkeypatch.setattr(Webhooks, "save", deaf)
        await saving.wait()
        began = time.monotonic()
        gateway.server.stop()
        await lost.wait()
        await eventually(lambda: delivered_by(gateway) == [])
        assert time.monotonic() - began < 2
    assert await store.redis.exists(f"webhook:{{khabar}}:{made['id']}:lease") == 0


async def test_a_gateway_without_the_stream_takes_no_webhooks(
    settings: Settings, receiver: Receiver, store: Store
) -> None:
    """A gateway that cannot reach Kafka does not take part: all webhooks stay with the others."""
    lost = Server(settings.model_copy(update={"kafka": f"127.0.0.1:{free_port()}"}))
    lost.app.state.deliveries.policy = FAST
    task = asyncio.create_task(lost.serve(sockets=[listen("127.0.0.1", 0)]))
    try:
        async with delivering(settings) as gateway:
            for _ in range(12):
                await make(gateway, receiver)
            await asyncio.sleep(0.5)
            assert len(delivered_by(gateway)) == 12
            assert await store.redis.zcard(GATEWAYS) == 1
    finally:
        lost.stop()
        async with asyncio.timeout(15):
            await task
    assert await store.redis.zcard(GATEWAYS) == 0


@dataclass
class Child:
    """``khabar api`` as a child process with this ``policy``."""

    settings: Settings
    policy: DeliveryPolicy
    port: int
    process: Process

    async def start(self) -> None:
        """Start it (again)."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("KHABAR_")}
        environment |= {
            "KHABAR_KAFKA": str(self.settings.kafka_servers),
            "KHABAR_REDIS": self.settings.redis_url,
            "KHABAR_DATA_DIR": str(self.settings.data_dir),
            "KHABAR_ALLOW_PRIVATE_ADDRESSES": "true",
        }
        command = ["-c", _WITH_POLICY, json.dumps(asdict(self.policy)), "api", "--port", self.port]
        await self.process.start([sys.executable, *map(str, command)], env=environment)

    async def delivers(self, http: aiohttp.ClientSession) -> int:
        """How many webhooks it delivers now; -1 when it does not answer."""
        try:
            async with http.get(f"http://127.0.0.1:{self.port}/metrics") as response:
                (count,) = re.findall(r"(?m)^khabar_api_webhooks (\S+)$", await response.text())
                return int(float(count))
        except aiohttp.ClientError:
            return -1


_WITH_POLICY = """
import json, sys
from api import server
from api.webhooks import DeliveryPolicy
from services.cli import main

policy = DeliveryPolicy(**json.loads(sys.argv.pop(1)))


class Server(server.Server):
    def __init__(self, *given):
        super().__init__(*given)
        self.app.state.deliveries.policy = policy


server.Server = Server
main()
"""


@asynccontextmanager
async def children(settings: Settings, policy: DeliveryPolicy, count: int) -> AsyncIterator[list[Child]]:
    """Gateways as child processes, started at once and stopped at the end."""
    found = []
    for number in range(count):
        log = settings.data_dir / f"gateway-{number}.log"
        found.append(Child(settings, policy, free_port(), Process("api", log)))
    try:
        for child in found:
            await child.start()
        yield found
    finally:
        await asyncio.gather(*(child.process.stop() for child in found))


# The probability that one of two gateways has fewer than 4 of 20 webhooks is 1 in 400; fewer than 8 of 40, 1 in 20,000.
_WEBHOOKS = 40
_LEAST = 8


async def test_two_gateways_share_and_one_is_killed(settings: Settings, receiver: Receiver, updates: Updates) -> None:
    """Each delivers its share. When one is killed the other takes over, in order, with at most one repetition each."""
    policy = DeliveryPolicy(first_delay=0.2, max_delay=1.0, timeout=10.0, lease=3.0, scan=0.2, save=0.5)
    receiver.delay = 0.05
    async with children(settings, policy, 2) as (one, other), aiohttp.ClientSession() as http:

        async def shared() -> bool:
            counts = [await child.delivers(http) for child in (one, other)]
            return sum(counts) == _WEBHOOKS and min(counts) >= _LEAST

        async def all_with_the_other() -> bool:
            return await other.delivers(http) == _WEBHOOKS

        async def up() -> bool:
            return min([await child.delivers(http) for child in (one, other)]) >= 0

        await eventually(up)
        made = set()
        for number in range(_WEBHOOKS):
            url = f"http://127.0.0.1:{(one, other)[number % 2].port}/v1/webhooks"
            async with http.post(url, json={"url": receiver.url}) as response:
                assert response.status == 201
                made.add((await response.json())["id"])
        await eventually(shared, 5)
        async with coming(updates) as articles:
            await eventually(lambda: _least(receiver) >= 5)
            assert _repetitions(receiver) == {}

            killed = time.monotonic()
            one.process.kill()
            await one.process.wait()
            await eventually(all_with_the_other)
            assert time.monotonic() - killed < policy.lease + policy.scan + 2
            at_takeover = len(articles)
            await eventually(lambda: _least(receiver) > at_takeover)
            repeated = _repetitions(receiver)
            assert set(repeated.values()) <= {2}

            await one.start()
            await eventually(shared)
            shared_again = len(articles)
            await eventually(lambda: _least(receiver) > shared_again + 3)
        await eventually(lambda: _least(receiver) == len(articles))
        await asyncio.sleep(0.3)

    # A move repeats nothing: all repetitions are due to the kill.
    assert _repetitions(receiver) == repeated
    assert len({name.rpartition("_")[0] for name in repeated}) == len(repeated)
    came = _by_webhook(receiver.taken)
    assert came.keys() == made
    for ids in came.values():
        assert [now for now, before in zip(ids, [None, *ids], strict=False) if now != before] == articles


def _message_ids(receiver: Receiver) -> list[str]:
    return [delivery.headers["webhook-id"] for delivery in receiver.taken]


def _least(receiver: Receiver) -> int:
    """The number of different messages of the webhook that has the fewest."""
    counts = Counter(name.rpartition("_")[0] for name in set(_message_ids(receiver)))
    return min(counts.values()) if len(counts) == _WEBHOOKS else 0


def _repetitions(receiver: Receiver) -> dict[str, int]:
    """How often each repeated message was received."""
    return {name: count for name, count in Counter(_message_ids(receiver)).items() if count > 1}


def test_assignment_is_even_and_few_webhooks_move() -> None:
    """All gateways compute the same; each of N has about 1/N; one that starts or stops moves only its own webhooks."""
    webhooks = [f"wh_{number:016x}" for number in range(1_000)]
    gateways = [f"{number:016x}" for number in range(4)]
    before = {one: assigned_gateway(one, gateways) for one in webhooks}
    assert before == {one: assigned_gateway(one, reversed(gateways)) for one in webhooks}
    assert all(190 < count < 310 for count in Counter(before.values()).values())
    assert set(before.values()) == set(gateways)
    for gone in gateways:
        after = {one: assigned_gateway(one, [gateway for gateway in gateways if gateway != gone]) for one in webhooks}
        assert {one for one in webhooks if after[one] != before[one]} == {
            one for one in webhooks if before[one] == gone
        }
        assert all(250 < count < 420 for count in Counter(after.values()).values())


async def test_gateways_count_as_alive_while_they_report(each_store: Store) -> None:
    """A gateway that stopped reporting or deregistered does not count; nothing is left of gateways that are gone."""
    webhooks = Webhooks(each_store.redis)

    async def known(gateway: str, seconds: float) -> set[str]:
        return set((await webhooks.heartbeat(gateway, seconds=seconds))[1])

    assert await known("one", 0.2) == {"one"}
    assert await known("two", 10) == {"one", "two"}
    await asyncio.sleep(0.3)
    assert await known("two", 10) == {"two"}
    assert await known("one", 1) == {"one", "two"}
    await asyncio.sleep(0.6)
    assert await known("one", 1) == {"one", "two"}
    await asyncio.sleep(0.6)
    assert await known("two", 10) == {"one", "two"}
    await webhooks.deregister("one")
    assert await known("two", 0.2) == {"two"}
    await asyncio.sleep(0.3)
    assert await each_store.redis.exists(GATEWAYS) == 0


async def test_a_gateway_that_lost_its_lease_saves_nothing(store: Store) -> None:
    """Only the present token and revision can move a cursor; the lease expires by itself."""
    webhooks = Webhooks(store.redis)
    await webhooks.create(_webhook("wh_1", cursor="1"), most=5)
    (mine,) = await webhooks.lease([Lease("wh_1", "active:1", "mine")], seconds=0.2)
    assert await webhooks.lease([Lease("wh_1", "active:1", "theirs")], seconds=5) == []
    assert await webhooks.save(mine, {"cursor": "2"}, seconds=0.2, delivered=1) == "saved"
    await asyncio.sleep(0.3)
    (theirs,) = await webhooks.lease([Lease("wh_1", "active:1", "theirs")], seconds=5)
    assert await webhooks.save(mine, {"cursor": "9"}, seconds=5) == "lost"
    assert not await webhooks.change("wh_1", "paused", {"reason": "failed"}, lease=mine)
    await webhooks.release(mine)
    assert await webhooks.save(theirs, {"cursor": "3"}, seconds=5, delivered=1) == "saved"
    assert await webhooks.change("wh_1", "paused", {"reason": "asked"})
    assert await webhooks.save(theirs, {"cursor": "9"}, seconds=5) == "changed"
    found = await webhooks.get("wh_1")
    assert found is not None
    assert (found.cursor, found.deliveries, found.state, found.reason) == ("3", 2, "paused", "asked")
    assert await webhooks.delete(found)
    assert await webhooks.save(theirs, {"cursor": "9"}, seconds=5) == "lost"
    assert await webhooks.get("wh_1") is None
    assert [key async for key in store.redis.scan_iter("webhook*")] == []


async def test_webhooks_survive_a_rebuild_and_have_a_limit(each_store: Store) -> None:
    """Clearing the aggregates keeps them; the limit of an owner does not depend on others."""
    webhooks = Webhooks(each_store.redis)
    await webhooks.create(_webhook("wh_1", owner="a"), most=1)
    with pytest.raises(Full):
        await webhooks.create(_webhook("wh_2", owner="a"), most=1)
    await webhooks.create(_webhook("wh_3", owner="b"), most=1)
    await each_store.clear()
    assert [one.id for one in await webhooks.owned("a")] == ["wh_1"]
    assert {one.id for one in await webhooks.owned(None)} == {"wh_1", "wh_3"}
    index, _ = await webhooks.heartbeat("one", seconds=5)
    assert index == {"wh_1": "active:1", "wh_3": "active:1"}


def _webhook(name: str, *, owner: str = "", cursor: str = "") -> Webhook:
    return Webhook(id=name, owner=owner, url="http://x/", filter="{}", secret="s", cursor=cursor, created=1.0)


async def test_long_failure_pauses_and_resuming_continues(
    settings: Settings, receiver: Receiver, updates: Updates
) -> None:
    """After ``pause_after`` it is paused with a reason; resumed, it starts with the event that failed."""
    receiver.answer = lambda _: web.Response(status=500)
    policy = DeliveryPolicy(first_delay=0.05, max_delay=0.1, pause_after=0.4, timeout=1, lease=2, scan=0.1, save=0.2)
    async with delivering(settings, policy=policy) as gateway:
        made = await make(gateway, receiver)
        articles = [an_article() for _ in range(2)]
        await updates.send(*articles)
        shown = await until(gateway, made, state="paused")
        assert (shown["reason"], shown["error"], shown["cursor"]) == ("failed", "HTTP status 500", made["cursor"])
        assert shown["failures"] >= 3
        tried = len(receiver.came)
        receiver.answer = lambda _: None
        await asyncio.sleep(0.5)
        assert len(receiver.came) == tried
        status, shown = await ask(gateway, "POST", f"/{made['id']}/resume")
        assert (status, shown["state"], shown["reason"], shown["error"]) == (200, "active", None, None)
        await eventually(lambda: len(receiver.taken) == 2)
        assert receiver.ids == [article.id for article in articles]


async def test_pause_resume_elsewhere_and_delete(settings: Settings, receiver: Receiver, updates: Updates) -> None:
    """A paused webhook sends nothing; it resumes from now, a cursor, or where it stopped; a deleted one is gone."""
    async with delivering(settings) as gateway:
        made = await make(gateway, receiver)
        first = an_article()
        await updates.send(first)
        await eventually(lambda: receiver.ids == [first.id])
        at_first = (await until(gateway, made, deliveries=1))["cursor"]
        status, shown = await ask(gateway, "POST", f"/{made['id']}/pause")
        assert (status, shown["state"], shown["reason"]) == (200, "paused", "asked")
        await eventually(lambda: delivered_by(gateway) == [])
        missed = an_article()
        await updates.send(missed)
        await asyncio.sleep(0.3)
        assert receiver.ids == [first.id]
        assert (await ask(gateway, "POST", f"/{made['id']}/resume", {"from": "now"}))[0] == 200
        await eventually(lambda: delivered_by(gateway) == [made["id"]])
        second = an_article()
        await updates.send(second)
        await eventually(lambda: receiver.ids == [first.id, second.id])
        assert (await ask(gateway, "POST", f"/{made['id']}/resume", {"from": at_first}))[0] == 200
        await eventually(lambda: receiver.ids[2:] == [missed.id, second.id])
        assert receiver.taken[1].headers["webhook-id"] == receiver.taken[3].headers["webhook-id"]
        assert (await ask(gateway, "DELETE", f"/{made['id']}"))[0] == 204
        await eventually(lambda: delivered_by(gateway) == [])
        await updates.send(an_article())
        await asyncio.sleep(0.3)
        assert len(receiver.taken) == 4
        assert (await ask(gateway, "GET", f"/{made['id']}"))[0] == 404
        assert (await ask(gateway, "DELETE", f"/{made['id']}"))[0] == 404
        assert (await ask(gateway, "GET"))[1] == {"webhooks": []}


async def test_gone_pauses_at_once_and_retry_after_is_respected(
    settings: Settings, receiver: Receiver, updates: Updates
) -> None:
    """410 pauses the webhook; the delay is at least the receiver's Retry-After, up to ``max_delay``."""
    receiver.answer = lambda _: web.Response(status=429, headers={"Retry-After": "1"})
    policy = DeliveryPolicy(first_delay=0.01, max_delay=1.0, timeout=1, lease=2, scan=0.1, save=0.2)
    async with delivering(settings, policy=policy) as gateway:
        made = await make(gateway, receiver)
        await updates.send(an_article())
        await until(gateway, made, state="failing", error="HTTP status 429")
        receiver.answer = lambda _: web.Response(status=410)
        assert len(receiver.came) == 1
        shown = await until(gateway, made, state="paused", reason="gone")
        assert shown["failures"] == 2
        assert len(receiver.came) == 2


async def test_a_lost_lease_repeats_an_event_and_loses_none(
    settings: Settings, receiver: Receiver, updates: Updates, store: Store
) -> None:
    """An event that was sent but not saved is sent again by the next gateway, under the same ``webhook-id``."""
    async with delivering(settings) as gateway:
        made = await make(gateway, receiver)
        await store.redis.set(f"webhook:{{khabar}}:{made['id']}:lease", "another", px=1_500)
        first, second = an_article(), an_article()
        await updates.send(first, second)
        await eventually(lambda: delivered_by(gateway) == [])
        assert receiver.ids in ([], [first.id])
        assert (await state_of(gateway, made))["cursor"] == made["cursor"]
        await eventually(lambda: receiver.ids[-2:] == [first.id, second.id])
        assert len({one.headers["webhook-id"] for one in receiver.taken if one.id == first.id}) == 1
        await until(gateway, made, deliveries=2)


async def test_an_invalid_cursor_pauses_with_its_reason(settings: Settings, receiver: Receiver, store: Store) -> None:
    """A webhook that cannot continue at its cursor is paused; resuming there is an error, elsewhere it works."""
    async with delivering(settings) as gateway:
        made = await make(gateway, receiver)
        await ask(gateway, "POST", f"/{made['id']}/pause")
        await store.redis.hset(f"webhook:{{khabar}}:{made['id']}", "cursor", "0" * 23)
        status, problem = await ask(gateway, "POST", f"/{made['id']}/resume")
        assert (status, problem["field"], problem["code"]) == (422, "from", "bad_cursor")
        await Webhooks(store.redis).change(made["id"], "active", {})
        shown = await until(gateway, made, state="paused", reason="bad_cursor")
        assert shown["error"]
        status, shown = await ask(gateway, "POST", f"/{made['id']}/resume", {"from": "now"})
        assert (status, shown["state"]) == (200, "active")


async def test_a_cursor_too_old_pauses_with_its_reason(
    settings: Settings, receiver: Receiver, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """No silent gap: it is paused with the reason, and on request resumed with everything that is still kept."""
    node = Kafka(tmp_path_factory.mktemp("cut-kafka"))
    await node.start()
    try:
        await kafka_topics.ensure(node.bootstrap, raw_partitions=1, replication=1)
        async with delivering(settings, kafka=node.bootstrap) as gateway:
            made = await make(gateway, receiver)
            await ask(gateway, "POST", f"/{made['id']}/pause")
        articles = [an_article() for _ in range(20)]
        async with kafka_clients.producer(node.bootstrap) as producer:
            await Updates(producer).send(*articles)
        admin = AIOKafkaAdminClient(bootstrap_servers=node.bootstrap)
        await admin.start()
        cut = {TopicPartition(kafka_topics.UPDATES.name, 0): RecordsToDelete(before_offset=12)}
        await admin.delete_records(cut)
        await admin.close()
        async with delivering(settings, kafka=node.bootstrap, tail=2) as gateway:
            status, problem = await ask(gateway, "POST", f"/{made['id']}/resume")
            assert (status, problem["code"]) == (410, "cursor_too_old")
            assert problem["oldest"] > made["cursor"]
            await gateway.server.app.state.deliveries.webhooks.change(made["id"], "active", {})
            shown = await until(gateway, made, state="paused", reason="cursor_too_old")
            assert shown["cursor"] == made["cursor"]
            status, shown = await ask(gateway, "POST", f"/{made['id']}/resume", {"from": "oldest"})
            assert (status, shown["cursor"]) == (200, problem["oldest"])
            await eventually(lambda: receiver.ids == [article.id for article in articles[12:]])
    finally:
        await node.stop()


async def test_invalid_input_is_reported_by_field(settings: Settings, receiver: Receiver) -> None:
    """Each problem document names the wrong member."""
    async with delivering(settings, max_webhooks=1) as gateway:
        fine = receiver.url
        for body, status, field in (
            ({}, 422, "url"),
            ({"url": 7}, 422, "url"),
            ({"url": "ftp://example.org/"}, 422, "url"),
            ({"url": "http://"}, 422, "url"),
            ({"url": "https://user:word@example.org/"}, 422, "url"),
            ({"url": "http://example.org/#part"}, 422, "url"),
            ({"url": "http://example.org:99999/"}, 422, "url"),
            ({"url": fine, "filter": {"colour": "red"}}, 422, "colour"),
            ({"url": fine, "filter": {"language": "!"}}, 422, "language"),
            ({"url": fine, "filter": []}, 422, "filter"),
            ({"url": fine, "secret": "short"}, 422, "secret"),
            ({"url": fine, "secret": "whsec_AAAA"}, 422, "secret"),
            ({"url": fine, "from": "yesterday"}, 422, "from"),
            ({"url": fine, "event": "article"}, 422, "event"),
            ([], 422, "body"),
        ):
            got, problem = await ask(gateway, "POST", body=body)
            assert (got, problem["field"]) == (status, field), (body, problem)
        for data, status in ((b"{", 400), (b" " * 70_000, 413)):
            async with gateway.http.post(f"{gateway.url}/v1/webhooks", data=data) as response:
                assert response.status == status
        assert (await ask(gateway, "POST", "?x=1", {"url": fine}))[0] == 422
        secret = "whsec_" + base64.b64encode(b"x" * 32).decode()
        status, made = await ask(gateway, "POST", body={"url": fine, "secret": secret})
        assert (status, made["secret"]) == (201, secret)
        assert (await ask(gateway, "POST", body={"url": fine}))[0] == 409
        for path in ("/wh_0", "/x", "/wh_1:lease"):
            assert (await ask(gateway, "GET", path))[0] == 404


async def test_private_addresses_are_rejected(settings: Settings, receiver: Receiver, updates: Updates) -> None:
    """At creation, and again at each connection, because a name may resolve to another address by then."""
    port = receiver.url.split(":")[2].split("/")[0]
    async with delivering(settings, allow_private=False) as gateway:
        for host in ("127.0.0.1", "localhost", "2130706433", "[::1]", "169.254.169.254", "10.0.0.1"):
            status, problem = await ask(gateway, "POST", body={"url": f"http://{host}:{port}/hook"})
            assert (status, problem["field"]) == (422, "url"), host
        # As if the name had resolved to a public address at creation.
        deliveries = gateway.server.app.state.deliveries
        deliveries.allow_private = True
        made = await make(gateway, receiver)
        await updates.send(an_article())
        shown = await until(gateway, made, state="failing")
        assert shown["error"] == "the address or port is not a public one"
        assert receiver.came == []


async def test_a_body_that_stalls_is_answered(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request to create a webhook whose body does not end gets 408 and is closed."""
    monkeypatch.setattr(request_body, "GRACE_SECONDS", 0.2)
    async with delivering(settings) as gateway:
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(b"POST /v1/webhooks HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
        async with asyncio.timeout(5):
            assert (await reader.read()).startswith(b"HTTP/1.1 408 ")
        writer.close()


async def test_a_webhook_belongs_to_the_key_that_created_it(settings: Settings, receiver: Receiver) -> None:
    """Other keys do not see it, the scope read is required, and webhooks of a removed key are suspended."""
    async with delivering(settings, api_keys=hashed("one:read", "two", "writer:write")) as gateway:
        assert (await ask(gateway, "POST", body={"url": receiver.url}))[0] == 401
        assert (await ask(gateway, "POST", body={"url": receiver.url}, key="writer"))[0] == 403
        status, made = await ask(gateway, "POST", body={"url": receiver.url}, key="one")
        assert status == 201
        assert [one["id"] for one in (await ask(gateway, "GET", key="one"))[1]["webhooks"]] == [made["id"]]
        assert (await ask(gateway, "GET", key="two"))[1] == {"webhooks": []}
        for method, path in (("GET", ""), ("POST", "/pause"), ("POST", "/resume"), ("DELETE", "")):
            assert (await ask(gateway, method, f"/{made['id']}{path}", key="two"))[0] == 404
        await eventually(lambda: delivered_by(gateway) == [made["id"]])
    async with delivering(settings, api_keys=hashed("two")) as gateway:
        await asyncio.sleep(0.5)
        assert delivered_by(gateway) == []
    async with delivering(settings, api_keys=hashed("one:read")) as gateway:
        await eventually(lambda: delivered_by(gateway) == [made["id"]])


async def test_quiet_streams_advance_the_cursor_too(settings: Settings, receiver: Receiver, updates: Updates) -> None:
    """The cursor of a filter without matches does not become too old."""
    async with delivering(settings) as gateway:
        made = await make(gateway, receiver, filter={"entity": "Q-none"})
        await updates.send(an_article())
        async with asyncio.timeout(10):
            while (await state_of(gateway, made))["cursor"] == made["cursor"]:  # noqa: ASYNC110 - another's state
                await asyncio.sleep(0.05)
        assert receiver.came == []


async def test_the_limit_of_events_applies_to_webhooks(
    settings: Settings, receiver: Receiver, updates: Updates
) -> None:
    """It is the limit of the key that created it."""
    key = hashlib.sha256(b"k").hexdigest()
    async with delivering(settings, api_keys=(f"sha256:{key}:read:events=5",)) as gateway:
        assert (await ask(gateway, "POST", body={"url": receiver.url}, key="k"))[0] == 201
        await eventually(lambda: delivered_by(gateway) != [])
        await updates.send(*(an_article() for _ in range(9)))
        began = time.monotonic()
        await eventually(lambda: len(receiver.taken) == 9)
        assert 0.5 < time.monotonic() - began < 5


async def test_without_the_store_webhooks_wait(settings: Settings, receiver: Receiver) -> None:
    """Requests about webhooks are 503; the gateway stays up."""
    async with delivering(settings, redis=f"redis://127.0.0.1:{free_port()}/0") as gateway:
        status, problem = await ask(gateway, "POST", body={"url": receiver.url})
        assert (status, problem["status"]) == (503, 503)
        assert (await gateway.get("/healthz"))[0] == 200


def test_secrets() -> None:
    """``whsec_`` and base64 of 24 to 64 bytes, nothing else."""
    assert secret_bytes("whsec_" + base64.b64encode(b"k" * 24).decode()) == b"k" * 24
    for wrong in ("", "whsec_", "k" * 32, base64.b64encode(b"k" * 32).decode(), "whsec_!" + "A" * 43, "whsec_é"):
        with pytest.raises(ValueError, match="secret must be"):
            secret_bytes(wrong)


def test_delays_grow_and_have_jitter() -> None:
    """5 s, doubled up to an hour, plus or minus a fifth; a receiver may request longer, up to the hour."""
    policy = DeliveryPolicy()
    assert [policy.delay(attempts, 0, 0.5) for attempts in (1, 2, 3, 100)] == [5, 10, 20, 3600]
    assert (policy.delay(1, 0, 0.0), policy.delay(1, 0, 1.0)) == pytest.approx((4, 6))
    assert (policy.delay(1, 60, 0.5), policy.delay(1, 1e9, 0.5)) == (60, 3600)


async def test_a_look_up_without_a_thread_fails_and_frees_its_slot(monkeypatch: pytest.MonkeyPatch) -> None:
    """When no thread can be started, look-ups raise ``OSError``; later ones work, however many failed."""
    resolver = ThreadedResolver()

    def refused(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refused)
        for _ in range(100):
            with pytest.raises(OSError, match="thread"):
                await resolver.resolve("localhost", 80)
    async with asyncio.timeout(10):
        assert await resolver.resolve("localhost", 80)


async def test_slow_names_of_one_owner_delay_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred look-ups that never end leave others their turn, and each fails after the resolver's own time-out."""
    ended = threading.Event()

    def look_up(host: str, *_: object, **__: object) -> list[object]:
        if host.startswith("slow"):
            ended.wait(30)
        return []

    monkeypatch.setattr("socket.getaddrinfo", look_up)
    resolver = ThreadedResolver(seconds=0.5)
    with looking_up_for("slow"):
        waiting = [asyncio.create_task(resolver.resolve(f"slow{number}.example", 80)) for number in range(100)]
    await asyncio.sleep(0.1)
    for number in range(100):
        async with asyncio.timeout(0.3):
            with looking_up_for("other"):
                assert await resolver.resolve(f"fast{number}.example", 80) == []
    done, _ = await asyncio.wait(waiting, timeout=1, return_when=asyncio.FIRST_EXCEPTION)
    with pytest.raises(OSError, match="could not be resolved within"):
        done.pop().result()
    for one in waiting:
        one.cancel()
    await asyncio.wait(waiting)
    ended.set()
    await eventually(lambda: not resolver._owners)


async def test_a_body_that_never_ends_is_answered(gateway: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Creating a webhook waits for its body for a limited time only: 408."""
    monkeypatch.setattr("services.request_body.GRACE_SECONDS", 0.2)
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(b"POST /v1/webhooks HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\n{")
    async with asyncio.timeout(5):
        assert b" 408 " in await reader.readline()
    writer.close()


async def test_ports_of_other_services_are_rejected(settings: Settings) -> None:
    """A webhook cannot make the gateway speak to a mail server."""
    async with delivering(settings, allow_private=False) as gateway:
        for port in (22, 25, 445):
            status, problem = await ask(gateway, "POST", body={"url": f"https://news.example:{port}/"})
            assert (status, problem["field"]) == (422, "url")
            assert "port" in problem["detail"]
