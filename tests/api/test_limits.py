"""Limits of keys and of client addresses."""

import asyncio
import hashlib
import json
import time
from contextlib import AsyncExitStack

import pytest

from api.access.auth import Key, Keys
from api.access.limits import Addresses, Allowance, Allowances, Quota, Reads, TooMany
from tests.api.conftest import Start, Updates, an_article, ids
from tests.harness import hashed


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        """Seconds."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """A clock that does not move by itself."""
    return Clock()


def test_connections_are_bounded_and_freed() -> None:
    """One more than allowed is rejected; connections that end with an error are freed too."""
    allowance = Allowance(Quota(connections=2))
    with allowance.connection():
        with pytest.raises(RuntimeError), allowance.connection():
            with pytest.raises(TooMany, match="2 connections") as caught, allowance.connection():
                pass
            assert caught.value.retry_after >= 1
            raise RuntimeError
        with allowance.connection():
            pass


def test_events_a_second_are_limited_on_average(clock: Clock) -> None:
    """A second's worth is sent at once; an overdraft has to be waited for, by all streams of the key."""
    allowance = Allowance(Quota(events=10), clock)
    assert allowance.rate_limited
    assert allowance.take_events(10) == 0
    assert allowance.take_events(5) == pytest.approx(0.5)
    assert allowance.take_events(5) == pytest.approx(1.0)
    clock.now += 1.0
    assert allowance.take_events(0) == 0
    clock.now += 3_600
    assert [allowance.budget(count) for count in (0, 9, 10, 11)] == [0, 9, 10, 10]
    assert allowance.take_events(20) == pytest.approx(1.0)  # at most a second's worth accumulates
    assert [allowance.budget(count) for count in (0, 9)] == [0, 1]
    assert Allowance(Quota()).budget(10**6) == 10**6


def test_posts_a_minute_are_limited(clock: Clock) -> None:
    """Rejected ones do not count, and waiting for ``retry_after`` is enough."""
    allowance = Allowance(Quota(posts=2), clock)
    allowance.post()
    allowance.post()
    for _ in range(3):
        with pytest.raises(TooMany, match="2 times a minute") as caught:
            allowance.post()
    assert caught.value.retry_after == 30
    clock.now += caught.value.retry_after
    allowance.post()
    with pytest.raises(TooMany):
        allowance.post()


def test_without_limits_nothing_is_rejected(clock: Clock) -> None:
    """Connections, events and posts are unlimited."""
    allowance = Allowance(Quota(), clock)
    assert not allowance.rate_limited
    assert allowance.take_events(10**9) == 0
    for _ in range(1_000):
        allowance.post()
        allowance.connection().__enter__()


def test_each_key_has_its_own_allowance() -> None:
    """All connections of a key share it; another key has another."""
    allowances = Allowances()
    one, two = (Key(name, name.encode(), quota=Quota(posts=1)) for name in ("one", "two"))
    allowances.of(one).post()
    with pytest.raises(TooMany):
        allowances.of(one).post()
    allowances.of(two).post()
    assert allowances.of(None) is allowances.of(None)


@pytest.mark.parametrize(
    ("first", "second", "together"),
    [
        ("198.51.100.1", "198.51.100.1", True),
        ("198.51.100.1", "198.51.100.2", False),
        ("198.51.100.1", "::ffff:198.51.100.1", True),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("127.0.0.1", "127.0.0.1", False),
        ("::1", "::1", False),
        ("::ffff:127.0.0.1", "::ffff:127.0.0.1", False),
        (None, None, False),
    ],
)
def test_streams_of_an_address(first: str | None, second: str | None, together: bool) -> None:
    """IPv6 clients are counted by /64; the loopback, where proxies are, is not limited."""
    addresses = Addresses(1)
    with addresses.connection(first):
        if together:
            with pytest.raises(TooMany), addresses.connection(second):
                pass
        else:
            with addresses.connection(second):
                pass
    with addresses.connection(second):
        pass


def test_no_limit_for_addresses() -> None:
    """0 means no limit, for gateways behind a proxy."""
    addresses = Addresses(0)
    with addresses.connection("198.51.100.1"), addresses.connection("198.51.100.1"):
        pass


async def test_pushes_over_the_limit_are_429(start: Start) -> None:
    """With ``Retry-After``; other keys are not affected."""
    hashed = hashlib.sha256(b"limited").hexdigest()
    async with start(api_keys=(f"sha256:{hashed}:write:posts=2", "free-0123456789-abcdef")) as gateway:
        statuses = []
        for key in ("limited", "limited", "limited", "free-0123456789-abcdef"):
            headers = {"X-API-Key": key}
            async with gateway.http.post(f"{gateway.url}/v1/articles", data=b"{}", headers=headers) as response:
                statuses.append(response.status)
                if response.status == 429:
                    assert int(response.headers["Retry-After"]) in range(1, 31)
                    assert (await response.json(content_type=None))["code"] == "too_many"
        assert statuses == [503, 503, 429, 503]  # 503: ingest is not running
        assert gateway.counted('pushes_total{status="429"} 1.0')


async def test_streams_over_the_limit_of_an_address_are_429(start: Start) -> None:
    """Over SSE and WebSocket; a stream that ends frees its place, and REST requests do not count."""
    proxied = {"X-Forwarded-For": "198.51.100.7"}
    async with start(max_connections_per_address=1) as gateway:
        events = f"{gateway.url}/v1/events"
        stream = f"{gateway.url}/v1/stream"
        async with gateway.http.get(events, headers=proxied) as first:
            assert first.status == 200
            async with gateway.http.get(events, headers=proxied) as second:
                assert second.status == 429
                assert second.headers["Retry-After"]
                assert second.content_type == "application/problem+json"
            with pytest.raises(Exception, match="429"):
                await gateway.http.ws_connect(stream, headers=proxied)
            async with gateway.http.ws_connect(stream, headers={"X-Forwarded-For": "198.51.100.8"}) as other:
                assert "subscribed" in await other.receive_str()
            assert (await gateway.get("/v1/stories", headers=proxied))[0] == 200
        for _ in range(100):
            async with gateway.http.ws_connect(stream) as mine:
                assert "subscribed" in await mine.receive_str()
                break


def test_hashed_keys_can_have_limits() -> None:
    """In the setting and in the file; what is not given is unlimited."""
    hashed = hashlib.sha256(b"k").hexdigest()
    keys = Keys([f"sha256:{hashed}:connections=3:posts=9"])
    found = keys.check(b"k", "write")
    assert found is not None
    assert found.quota == Quota(connections=3, posts=9)


async def test_streams_over_the_limit_of_a_key_are_rejected(start: Start) -> None:
    """Both transports count together: 4429 and 429; a stream that ends frees its place."""
    hashed = hashlib.sha256(b"k").hexdigest()
    headers = {"X-API-Key": "k"}
    async with start(api_keys=(f"sha256:{hashed}:connections=2",)) as gateway:
        events = f"{gateway.url}/v1/events"
        async with gateway.stream(headers=headers) as first, gateway.http.get(events, headers=headers) as second:
            assert (await first.next())["type"] == "subscribed"
            assert second.status == 200
            async with gateway.stream(headers=headers) as third:
                error = await third.next()
                assert (error["type"], error["code"]) == ("error", "too_many")
                assert int(error["retry_after"]) >= 1
                assert await third.close_code() == 4429
            async with gateway.http.get(events, headers=headers) as fourth:
                assert fourth.status == 429
                assert fourth.headers["Retry-After"]
        async with asyncio.timeout(10):
            while True:
                async with gateway.http.get(events, headers=headers) as again:
                    if again.status == 200:
                        break
                await asyncio.sleep(0.05)


@pytest.mark.parametrize("transport", ["websocket", "sse"])
async def test_events_over_the_limit_wait(start: Start, updates: Updates, transport: str) -> None:
    """A second's worth comes at once, the rest at the rate, all in order; changing the filter gains nothing."""
    hashed = hashlib.sha256(b"k").hexdigest()
    articles = [an_article() for _ in range(20)]
    async with start(api_keys=(f"sha256:{hashed}:events=10",)) as gateway, AsyncExitStack() as resources:
        headers = {"X-API-Key": "k"}
        if transport == "websocket":
            stream = await resources.enter_async_context(gateway.stream(headers=headers))
            await stream.until("subscribed")
            began = time.monotonic()
            await updates.send(*articles)
            found = await stream.events(10)
            assert time.monotonic() - began < 0.9
            await stream.op(op="subscribe", filter={"language": "ar"})
            found += await stream.events(10)
        else:
            response = await resources.enter_async_context(
                gateway.http.get(f"{gateway.url}/v1/events", headers=headers)
            )
            await response.content.readuntil(b"heartbeat")
            began = time.monotonic()
            await updates.send(*articles)
            found = []
            while len(found) < 20:
                line = await response.content.readline()
                if line.startswith(b"data: ") and b'"data"' in line:
                    found.append(json.loads(line.removeprefix(b"data: ")))
        assert 0.8 < time.monotonic() - began < 5
        assert ids(found) == [article.id for article in articles]


def test_reads_a_minute_are_limited_by_key_and_by_address(clock: Clock) -> None:
    """A tenth of the limit at once, then at its rate; clients do not affect each other, nor is the loopback limited."""
    reads = Reads(60, clock)
    for _ in range(6):
        reads.take(None, "192.0.2.1")
    with pytest.raises(TooMany) as refused:
        reads.take(None, "192.0.2.1")
    assert refused.value.retry_after == 1
    reads.take(None, "192.0.2.2")
    clock.now += 1
    reads.take(None, "192.0.2.1")
    key = Key("name", b"digest")
    for address in ("192.0.2.1", "127.0.0.1") * 3:
        reads.take(key, address)
    with pytest.raises(TooMany, match="one key"):
        reads.take(key, "127.0.0.1")
    for _ in range(100):
        reads.take(None, "127.0.0.1")
    for number in range(20_000):
        reads.take(None, f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert len(reads._buckets) <= 10_000


async def test_reads_over_the_limit_are_429(start: Start) -> None:
    """Each question of a key counts, whatever it is; ``Retry-After`` says when to ask again. Streams do not count."""
    async with start(api_keys=hashed("one", "other"), max_reads_per_minute=30) as gateway:
        one, other = {"X-API-Key": "one"}, {"X-API-Key": "other"}
        for path in ("/v1/stories", "/v1/aggregates?by=language", "/v1/webhooks"):
            assert (await gateway.get(path, headers=one))[0] == 200
        status, body, response = await gateway.get("/v1/stories?window=all&entity=Qnope", headers=one)
        assert (status, body["code"], response.headers["Retry-After"]) == (429, "too_many", "2")
        assert (await gateway.get("/v1/stories", headers=other))[0] == 200
        async with gateway.stream(headers=one) as stream:
            assert (await stream.next())["type"] == "subscribed"
