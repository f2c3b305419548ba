"""WebSub against a real hub on this machine: subscriptions, deliveries, and hubs that misbehave."""

import asyncio
import gzip
import hmac
import re
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import partial

import aiohttp
import pytest
from aiohttp import web

from ingest.feeds.api import FeedsApi
from ingest.feeds.poller import Poller
from ingest.feeds.websub import DELIVERIES, SUBSCRIPTIONS, Subscription, WebSub
from ingest.feeds.writer import FeedWriter
from ingest.producer import Intake
from ingest.web import WebClient
from services.embedded.kafka import Kafka
from services.embedded.process import free_port
from services.embedded.valkey import Valkey
from services.settings import Settings
from services.store import Store
from services.store.feeds import Feed, FeedOptions, Feeds
from tests.harness import eventually
from tests.ingest.conftest import raw, serving

ATOM = """<?xml version="1.0" encoding="utf-8"?><feed xmlns="http://www.w3.org/2005/Atom"><title>أخبار</title>
<id>urn:feed</id><updated>2026-11-01T00:00:00Z</updated>{links}{entries}</feed>"""
TYPE = {"Content-Type": "application/atom+xml"}


def entry(guid: str) -> str:
    """An entry with this id."""
    return (
        f"<entry><id>{guid}</id><title>{guid}</title><link href='https://example.org/{guid}'/>"
        "<updated>2026-11-01T00:00:00Z</updated><content>نص الخبر</content></entry>"
    )


@dataclass
class Hub:
    """A site with feeds, and the hub of these feeds. ``asked``: the subscription requests that it got."""

    port: int
    feeds: dict[str, str] = field(default_factory=dict)
    asked: list[dict[str, str]] = field(default_factory=list)
    status: int = 202

    def url(self, path: str) -> str:
        """The URL of a path."""
        return f"http://127.0.0.1:{self.port}{path}"

    def publish(self, name: str, *guids: str, hub: str = "/hub") -> str:
        """Set the entries of a feed; returns its document."""
        links = f"<link rel='hub' href='{self.url(hub)}'/><link rel='self' href='{self.url('/' + name)}'/>"
        self.feeds[f"/{name}"] = ATOM.format(links=links if hub else "", entries="".join(map(entry, guids)))
        return self.feeds[f"/{name}"]

    async def document(self, request: web.Request) -> web.Response:
        """A feed; its links are in the head of the response too."""
        text = self.feeds[request.path]
        links = ", ".join(f'<{url}>; rel="{rel}"' for rel, url in re.findall("<link rel='(.*?)' href='(.*?)'/>", text))
        return web.Response(text=text, content_type="application/atom+xml", headers={"Link": links} if links else {})

    async def subscribe(self, request: web.Request) -> web.Response:
        """Note a subscription request."""
        self.asked.append({str(name): str(value) for name, value in (await request.post()).items()})
        return web.Response(status=self.status, text="no" if self.status >= 400 else "")

    def requests(self, name: str) -> list[dict[str, str]]:
        """The requests about this feed."""
        return [one for one in self.asked if one["hub.topic"] == self.url(f"/{name}")]


async def ask(request: dict[str, str], **changes: str) -> tuple[int, str]:
    """What the subscriber answers to the hub's question about a request; ``mode``, ``topic`` and so on may differ."""
    query = {"hub.mode": request["hub.mode"], "hub.topic": request["hub.topic"], "hub.challenge": "abc 123"}
    query |= {"hub.lease_seconds": "864000"} | {f"hub.{name}": value for name, value in changes.items()}
    async with aiohttp.ClientSession() as http, http.get(request["hub.callback"], params=query) as answer:
        return answer.status, await answer.text()


async def deliver(request: dict[str, str], body: str | bytes, *, method: str = "sha256", **headers: str | None) -> int:
    """Post a document as the hub does; returns the status. ``signature`` None: without one."""
    data = body.encode() if isinstance(body, str) else body
    signature = f"{method}={hmac.new(request['hub.secret'].encode(), data, method).hexdigest()}"
    sent = TYPE | {"X-Hub-Signature": signature} | {n.replace("_", "-"): v for n, v in headers.items()}
    named = {name: value for name, value in sent.items() if value is not None}
    async with aiohttp.ClientSession() as http, http.post(request["hub.callback"], data=data, headers=named) as answer:
        return answer.status


@pytest.fixture(scope="module")
async def hub() -> AsyncIterator[Hub]:
    """A running hub."""
    made = Hub(free_port())
    app = web.Application()
    app.router.add_post("/hub", made.subscribe)
    app.router.add_post("/other-hub", made.subscribe)
    app.router.add_get("/{path:.*}", made.document)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", made.port).start()
    yield made
    await runner.cleanup()


@dataclass
class Subscriber:
    """A poller with WebSub, and the server that hubs call."""

    feeds: Feeds
    poller: Poller
    websub: WebSub
    web: WebClient
    settings: Settings

    async def add(self, url: str, **options: object) -> str:
        """Subscribe to a feed, without polling it."""
        return await self.feeds.add(FeedOptions(url=url, **options), most=1_000)

    async def poll(self, feed_id: str) -> Feed:
        """Poll a feed; returns it afterwards."""
        claim = await self.feeds.claim(feed_id, uuid.uuid4().hex, seconds=60)
        assert claim is not None
        await self.poller.poll(claim, self.web)
        return await self.feed(feed_id)

    async def feed(self, feed_id: str) -> Feed:
        """A feed as it is in the store."""
        found = await self.feeds.get(feed_id)
        assert found is not None
        return found

    async def subscription(self, feed_id: str) -> Subscription:
        """The subscription of a feed."""
        return Subscription.of((await self.feed(feed_id)).websub)

    async def has_error(self, feed_id: str, error: str) -> bool:
        """Whether its subscription has this error."""
        return error in (await self.subscription(feed_id)).error

    async def has_missed(self, feed_id: str) -> bool:
        """Whether a poll has found what was not delivered."""
        return (await self.subscription(feed_id)).missed > 0

    async def has_none(self, feed_id: str) -> bool:
        """Whether a feed has no subscription any more."""
        return not (await self.subscription(feed_id)).token

    async def subscribed(self, hub: Hub, name: str, **options: object) -> tuple[str, dict[str, str]]:
        """A feed whose subscription the hub has verified: its id, and the request."""
        feed_id = await self.add(hub.url(f"/{name}"), **options)
        await self.poll(feed_id)
        request = (await eventually(lambda: hub.requests(name)))[-1]
        assert await ask(request) == (200, "abc 123")
        return feed_id, request


async def subscriber_of(valkey: Valkey, intake: Intake, *, allow_private: bool = True) -> AsyncIterator[Subscriber]:
    """A running subscriber."""
    store = Store(valkey.url)
    feeds = Feeds(store.redis)
    writer = FeedWriter(feeds, intake, max_entries=100)
    async with WebClient(agent="Khabar", allow_private=allow_private) as client:
        # The address of the server, which is in the settings, is known only when it runs.
        port = free_port()
        settings = Settings(redis=valkey.url, max_feed_bytes=20_000, public_url=f"http://127.0.0.1:{port}/")
        websub = WebSub(settings, feeds, writer, client)
        async with serving(settings, intake, FeedsApi(settings, feeds, client, websub), websub, port=port):
            poller = Poller(settings, feeds, intake, writer, websub=websub)
            yield Subscriber(feeds, poller, websub, client, settings)
            await websub.close()
    await store.close()


@pytest.fixture(scope="module")
async def subscriber(valkey: Valkey, intake: Intake) -> AsyncIterator[Subscriber]:
    """A running subscriber."""
    async for made in subscriber_of(valkey, intake):
        yield made


@pytest.fixture
def name() -> str:
    """A name that no other test uses."""
    return uuid.uuid4().hex


def count(metric: object, outcome: str) -> float:
    """How often something has happened."""
    return metric.labels(outcome)._value.get()  # type: ignore[attr-defined]


async def titles(kafka: Kafka, name: str) -> list[str]:
    """The titles of the articles of a feed."""
    records = [one for found in (await raw(kafka.bootstrap)).values() for one in found]
    return sorted(one.title for one in records if one.title and one.title.startswith(name))


async def test_a_delivery_becomes_articles_at_once(subscriber: Subscriber, hub: Hub, kafka: Kafka, name: str) -> None:
    """A feed with a hub is subscribed to, and what the hub delivers is on Kafka once, also after the next poll."""
    hub.publish(name, f"{name}-1")
    feed_id, request = await subscriber.subscribed(hub, name)
    assert request["hub.mode"] == "subscribe"
    assert request["hub.callback"].startswith(f"{subscriber.settings.public_url}v1/websub/")
    assert int(request["hub.lease_seconds"]) == 864_000
    assert len(request["hub.secret"]) < 200
    document = hub.publish(name, f"{name}-2", f"{name}-1")
    assert await deliver(request, document) == 202
    assert await titles(kafka, name) == [f"{name}-1", f"{name}-2"]
    feed = await subscriber.poll(feed_id)
    assert await titles(kafka, name) == [f"{name}-1", f"{name}-2"]
    assert feed.state.articles == 2
    assert len(hub.requests(name)) == 1


@pytest.mark.parametrize("method", ["sha1", "sha256", "sha384", "sha512"])
async def test_signatures_of_each_method(
    subscriber: Subscriber, hub: Hub, kafka: Kafka, name: str, method: str
) -> None:
    """All methods of the standard are understood, also over a compressed body."""
    hub.publish(name)
    _, request = await subscriber.subscribed(hub, name)
    body = gzip.compress(hub.publish(name, f"{name}-1").encode())
    assert await deliver(request, body, method=method, Content_Encoding="gzip") == 202
    assert await titles(kafka, name) == [f"{name}-1"]


FORGED = {
    "unsigned": ("unsigned", {"X_Hub_Signature": None}),
    "another secret": ("wrong_signature", {"X_Hub_Signature": f"sha256={'0' * 64}"}),
    "unknown method": ("wrong_signature", {"X_Hub_Signature": "md5=d41d8cd98f00b204e9800998ecf8427e"}),
    "no digest": ("wrong_signature", {"X_Hub_Signature": "sha256="}),
    "not ASCII": ("wrong_signature", {"X_Hub_Signature": "sha256=é"}),
}


@pytest.mark.parametrize("kind", FORGED)
async def test_forged_deliveries_are_ignored(
    subscriber: Subscriber, hub: Hub, kafka: Kafka, name: str, kind: str
) -> None:
    """What is not signed with the secret gets a 2xx, as the standard has it, is counted, and is no article."""
    outcome, headers = FORGED[kind]
    hub.publish(name)
    _, request = await subscriber.subscribed(hub, name)
    before = count(DELIVERIES, outcome)
    assert await deliver(request, hub.publish(name, f"{name}-1"), **headers) == 202
    assert count(DELIVERIES, outcome) == before + 1
    assert await titles(kafka, name) == []


async def test_only_what_was_asked_is_confirmed(subscriber: Subscriber, hub: Hub, name: str) -> None:
    """Another topic, another callback, an unknown mode and an end that nobody wants are not confirmed."""
    hub.publish(name)
    feed_id, request = await subscriber.subscribed(hub, name)
    before = await subscriber.subscription(feed_id)
    assert (await ask(request, topic="https://example.org/other"))[0] == 404
    assert (await ask(request, mode="unsubscribe"))[0] == 404
    assert (await ask(request, mode="steal"))[0] == 404
    assert (await ask(request, challenge=""))[0] == 404
    guessed = request | {"hub.callback": request["hub.callback"][:-10] + "AAAAAAAAAA"}
    assert (await ask(guessed))[0] == 404
    assert await deliver(guessed, hub.publish(name, f"{name}-1")) == 404
    assert await subscriber.subscription(feed_id) == before


async def test_without_a_public_address_no_hub_is_asked(
    subscriber: Subscriber, hub: Hub, intake: Intake, name: str
) -> None:
    """Without KHABAR_PUBLIC_URL hubs are left alone."""
    hub.publish(name)
    settings = subscriber.settings.model_copy(update={"public_url": None})
    writer = FeedWriter(subscriber.feeds, intake, max_entries=100)
    websub = WebSub(settings, subscriber.feeds, writer, subscriber.web)
    feed = await subscriber.feed(await subscriber.add(hub.url(f"/{name}")))
    websub.after_poll(feed, sent=0, now=time.time())
    await websub.close()
    assert hub.requests(name) == []


async def test_a_denied_subscription_is_not_asked_for_again_soon(subscriber: Subscriber, hub: Hub, name: str) -> None:
    """A hub that denies a subscription is asked again after a day, not at the next poll."""
    hub.publish(name)
    feed_id, request = await subscriber.subscribed(hub, name)
    assert await ask(request, mode="denied", reason="not for you") == (200, "")
    feed = await subscriber.poll(feed_id)
    found = Subscription.of(feed.websub)
    assert found.until == 0
    assert "not for you" in found.error
    subscriber.websub.after_poll(feed, sent=0, now=time.time() + 80_000)
    await asyncio.sleep(0.05)
    assert len(hub.requests(name)) == 1
    subscriber.websub.after_poll(feed, sent=0, now=time.time() + 90_000)
    await eventually(lambda: len(hub.requests(name)) == 2)


async def test_a_subscription_is_renewed_in_time(subscriber: Subscriber, hub: Hub, name: str) -> None:
    """After half of the lease the next poll asks again, with the same callback; polls come early enough for that."""
    hub.publish(name)
    feed_id, request = await subscriber.subscribed(hub, name)
    assert (await ask(request, lease_seconds="1000"))[0] == 200
    feed, now = await subscriber.feed(feed_id), time.time()
    assert 490 < subscriber.websub.wait(feed, 3_000.0, now=now) <= 500
    subscriber.websub.after_poll(feed, sent=0, now=now + 400)
    await asyncio.sleep(0.05)
    assert len(hub.requests(name)) == 1
    subscriber.websub.after_poll(feed, sent=0, now=now + 510)
    renewed = (await eventually(lambda: hub.requests(name)[1:]))[0]
    assert renewed == request
    assert (await ask(renewed, lease_seconds="5000"))[0] == 200
    assert (await subscriber.subscription(feed_id)).until > now + 4_990


async def test_a_hub_that_does_not_verify_is_asked_ever_more_seldom(
    subscriber: Subscriber, hub: Hub, name: str
) -> None:
    """A hub that is down, or never verifies, is asked again after 10, then 20 minutes; the feed is polled as before."""
    hub.publish(name)
    hub.status = 503
    try:
        feed_id = await subscriber.add(hub.url(f"/{name}"))
        feed = await subscriber.poll(feed_id)
        assert feed.status == "ok"
        await eventually(lambda: hub.requests(name))
        await eventually(partial(subscriber.has_error, feed_id, "503: no"))
        now = time.time()
        assert (await subscriber.subscription(feed_id)).retry_at == pytest.approx(now + 600, abs=10)
        subscriber.websub.after_poll(await subscriber.feed(feed_id), sent=0, now=now + 620)
        await eventually(lambda: len(hub.requests(name)) == 2)
        found = await subscriber.subscription(feed_id)
        assert found.failures == 2
        assert found.retry_at == pytest.approx(now + 620 + 1_200, abs=10)
        assert subscriber.websub.wait(await subscriber.feed(feed_id), 77.0, now=now) == 77.0
    finally:
        hub.status = 202


async def test_polls_are_seldom_while_the_hub_delivers(
    subscriber: Subscriber, hub: Hub, kafka: Kafka, name: str
) -> None:
    """The longest interval once the hub has delivered; the usual one again when a poll finds what it did not."""
    hub.publish(name)
    feed_id, request = await subscriber.subscribed(hub, name)
    now = time.time()
    assert subscriber.websub.wait(await subscriber.feed(feed_id), 300.0, now=now) == 300.0
    assert await deliver(request, hub.publish(name, f"{name}-1")) == 202
    delivering = await subscriber.feed(feed_id)
    assert subscriber.websub.wait(delivering, 300.0, now=now) == 3_600.0
    subscriber.websub.after_poll(delivering, sent=1, now=now + 30)  # it may be on its way
    subscriber.websub.after_poll(delivering, sent=1, now=now + 120)
    await eventually(partial(subscriber.has_missed, feed_id))
    assert subscriber.websub.wait(await subscriber.feed(feed_id), 300.0, now=now) == 300.0
    await subscriber.feeds.change(feed_id, interval=60.0)
    assert subscriber.websub.wait(await subscriber.feed(feed_id), 60.0, now=now) == 60.0


async def test_the_subscription_of_a_removed_feed_ends(
    subscriber: Subscriber, hub: Hub, kafka: Kafka, name: str
) -> None:
    """The hub is asked to end it, gets the confirmation, and a 410 for what it still delivers."""
    hub.publish(name)
    feed_id, request = await subscriber.subscribed(hub, name)
    async with aiohttp.ClientSession() as http:
        answer = await http.delete(f"{subscriber.settings.public_url}v1/feeds/{feed_id}")
        assert answer.status == 204
    ended = (await eventually(lambda: hub.requests(name)[1:]))[0]
    assert ended["hub.mode"] == "unsubscribe"
    assert ended["hub.callback"] == request["hub.callback"]
    assert await ask(ended) == (200, "abc 123")
    assert await deliver(request, hub.publish(name, f"{name}-1")) == 410
    assert await titles(kafka, name) == []


async def test_a_feed_with_another_hub_changes_its_subscription(
    subscriber: Subscriber, hub: Hub, kafka: Kafka, name: str
) -> None:
    """The former hub's subscription ends, and what it still delivers is not taken; a feed without one has none."""
    hub.publish(name)
    feed_id, request = await subscriber.subscribed(hub, name)
    hub.publish(name, hub="/other-hub")
    await subscriber.poll(feed_id)
    await eventually(lambda: len(hub.requests(name)) == 3)
    modes = {one["hub.mode"]: one for one in hub.requests(name)[1:]}
    assert modes["unsubscribe"]["hub.callback"] == request["hub.callback"]
    assert modes["subscribe"]["hub.callback"] != request["hub.callback"]
    assert modes["subscribe"]["hub.secret"] != request["hub.secret"]
    assert await ask(modes["unsubscribe"]) == (200, "abc 123")
    assert await ask(modes["subscribe"]) == (200, "abc 123")
    assert await deliver(request, hub.publish(name, f"{name}-1", hub="/other-hub")) == 404
    hub.publish(name, hub="")
    await subscriber.poll(feed_id)
    await eventually(partial(subscriber.has_none, feed_id))


async def test_a_paused_feed_takes_nothing(subscriber: Subscriber, hub: Hub, kafka: Kafka, name: str) -> None:
    """Deliveries to a paused feed are ignored with a 2xx, and its subscription is not confirmed any more."""
    hub.publish(name)
    feed_id, request = await subscriber.subscribed(hub, name)
    await subscriber.feeds.change(feed_id, paused=True)
    assert await deliver(request, hub.publish(name, f"{name}-1")) == 202
    assert (await ask(request))[0] == 404
    assert await titles(kafka, name) == []


@pytest.mark.parametrize("body", ["", "<html><body>news</body></html>"])
async def test_a_delivery_without_a_feed_leads_to_a_poll(
    subscriber: Subscriber, hub: Hub, name: str, body: str
) -> None:
    """Some hubs only say that there is something new: the feed is polled at once, unless that has just happened."""
    hub.publish(name)
    feed_id, request = await subscriber.subscribed(hub, name)
    assert await deliver(request, body) == 202
    assert (await subscriber.feeds.claim_due("none", most=0, seconds=1))[1] is not None
    claim = await subscriber.feeds.claim(feed_id, "a", seconds=60)
    assert claim is not None
    await subscriber.feeds.finish(claim, {"polled": time.time() - 3_600}, status="ok", next_in=1_000)
    assert await deliver(request, body) == 202
    claims, _ = await subscriber.feeds.claim_due(uuid.uuid4().hex, most=100, seconds=1)
    assert feed_id in {one.feed.id for one in claims}


async def test_a_delivery_keeps_the_time_of_the_next_poll(subscriber: Subscriber, hub: Hub, name: str) -> None:
    """Deliveries do not put off the polls that look for what was not delivered."""
    hub.publish(name)
    feed_id, request = await subscriber.subscribed(hub, name)
    planned = (await subscriber.feed(feed_id)).state.next_poll
    assert await deliver(request, hub.publish(name, f"{name}-1")) == 202
    assert (await subscriber.feed(feed_id)).state.next_poll == pytest.approx(planned, abs=0.5)


async def test_a_delivery_waits_for_a_poll_in_progress(
    subscriber: Subscriber, hub: Hub, kafka: Kafka, name: str
) -> None:
    """While another process polls the feed a delivery waits; then it is written."""
    hub.publish(name)
    feed_id, request = await subscriber.subscribed(hub, name)
    claim = await subscriber.feeds.claim(feed_id, "another", seconds=60)
    assert claim is not None
    delivering = asyncio.create_task(deliver(request, hub.publish(name, f"{name}-1")))
    await asyncio.sleep(0.3)
    assert not delivering.done()
    await subscriber.feeds.release(claim)
    assert await delivering == 202
    assert await titles(kafka, name) == [f"{name}-1"]


async def test_a_delivery_is_repeated_when_kafka_is_away(
    subscriber: Subscriber, hub: Hub, valkey: Valkey, name: str
) -> None:
    """While Kafka cannot be reached a hub gets a 503, so that it delivers again; the feed is not left leased."""
    hub.publish(name)
    feed_id, request = await subscriber.subscribed(hub, name)
    away = Intake(f"127.0.0.1:{free_port()}", timeout=0.3)
    websub = WebSub(
        subscriber.settings, subscriber.feeds, FeedWriter(subscriber.feeds, away, max_entries=10), subscriber.web
    )
    body = hub.publish(name, f"{name}-1").encode()
    signature = f"sha1={hmac.new(request['hub.secret'].encode(), body, 'sha1').hexdigest()}"
    callback = request["hub.callback"].rpartition("/")[2]
    outcome = await websub.deliver(callback, body, signature=signature, content_type="text/xml", encoding="")
    assert outcome == "kafka_away"
    assert await subscriber.feeds.claim(feed_id, "next", seconds=1) is not None
    await away.close()


async def test_large_deliveries_are_refused(subscriber: Subscriber, hub: Hub, name: str) -> None:
    """A delivery may be as large as a feed, decompressed too."""
    hub.publish(name)
    _, request = await subscriber.subscribed(hub, name)
    assert await deliver(request, b" " * 20_001) == 413
    assert await deliver(request, gzip.compress(b" " * 2_000_000), Content_Encoding="gzip") == 413


async def test_hubs_on_private_addresses_are_not_asked(hub: Hub, valkey: Valkey, intake: Intake, name: str) -> None:
    """A stranger's feed cannot make Khabar send requests into the private network."""
    before = count(SUBSCRIPTIONS, "failed")
    async for subscriber in subscriber_of(valkey, intake, allow_private=False):
        feed = await subscriber.feed(await subscriber.add(hub.url(f"/{name}")))
        found = {"hub": hub.url("/hub"), "topic": hub.url(f"/{name}")}
        await subscriber.feeds.write_websub(feed.id, found)
        subscriber.websub.after_poll(await subscriber.feed(feed.id), sent=0, now=time.time())
        await eventually(lambda: count(SUBSCRIPTIONS, "failed") > before)
        await eventually(partial(subscriber.has_error, feed.id, "not a public address"))
    assert hub.requests(name) == []
