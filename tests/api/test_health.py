"""Readiness: the parts that articles need, and how complete the numbers are."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from redis import RedisError

from services import kafka as kafka_clients
from services import status
from services.embedded.process import free_port
from services.embedded.valkey import Valkey
from services.settings import Settings
from services.store import Store
from services.store.feeds import FeedOptions, Feeds
from tests.api.conftest import Running, Start, Updates, an_article, count, eventually, ids, publish
from tests.harness import hashed


@asynccontextmanager
async def _ingest() -> AsyncIterator[str]:
    """An ingest that is ready and accepts every push."""

    async def fine(_: web.Request) -> web.Response:
        return web.json_response({})

    async def accept(_: web.Request) -> web.Response:
        return web.json_response({"accepted": [{"index": 0, "id": "a"}], "rejected": []}, status=202)

    app = web.Application()
    app.router.add_get("/readyz", fine)
    app.router.add_post("/v1/articles", accept)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def _log(settings: Settings) -> str:
    return await kafka_clients.read_log_id(settings.kafka_servers)


async def _asked(gateway: Running) -> tuple[int, dict[str, Any]]:
    """Readiness, checked now."""
    gateway.server.app.state.readiness._checked_at = float("-inf")
    status_code, body, response = await gateway.get("/readyz")
    assert response.headers["Cache-Control"] == "no-store"
    return status_code, body


async def test_numbers_are_complete_when_all_is_counted(
    start: Start, settings: Settings, store: Store, updates: Updates
) -> None:
    """Then nothing is behind; an event that just arrived and is not counted yet does not change the state."""
    async with _ingest() as ingest, start(ingest_url=ingest) as gateway:
        await publish(store, updates, an_article(), log=await _log(settings))
        assert await _asked(gateway) == (
            200,
            {
                "ready": True,
                "checks": {"kafka": "ok", "ingest": "ok", "store": "ok"},
                "aggregates": {"state": "complete", "complete_since": None, "behind": 0},
                "lost": {},
                "feeds": {},
            },
        )
        offsets = await updates.send(an_article(), an_article())
        await eventually(lambda: gateway.gateway.log.end > offsets[-1])
        _, body = await _asked(gateway)
        assert body["aggregates"] == {"state": "complete", "complete_since": None, "behind": 2}


async def test_numbers_are_behind_when_older_events_are_not_counted(
    start: Start, settings: Settings, store: Store, updates: Updates, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Decided by the event's time when it is in memory; events older than that are late in any case."""
    log = await _log(settings)
    async with start() as gateway:
        offsets = await publish(store, updates, an_article(), log=log)
        await updates.send_raw(None, ("type", b"fence"))
        (last,) = await updates.send(an_article())
        await eventually(lambda: gateway.gateway.log.end > last)
        assert (await _asked(gateway))[1]["aggregates"]["state"] == "complete"
        monkeypatch.setattr("api.routes.health._COUNTED_AFTER", timedelta())
        _, body = await _asked(gateway)
        assert body["aggregates"] == {"state": "behind", "complete_since": None, "behind": last - offsets[0]}
    monkeypatch.undo()
    async with start(timeouts={"tail_records": 0}) as gateway:
        _, body = await _asked(gateway)
        assert body["aggregates"] == {"state": "behind", "complete_since": None, "behind": last - offsets[0]}


async def test_an_empty_store_is_behind_by_everything_kept(start: Start, store: Store, updates: Updates) -> None:
    """That is the number of events on Kafka, whatever its first offset."""
    assert await store.redis.dbsize() == 0
    (last,) = await updates.send(an_article())
    async with start(timeouts={"tail_records": 1}) as gateway:
        _, body = await _asked(gateway)
        assert body["aggregates"] == {"state": "behind", "complete_since": None, "behind": last + 1}


async def test_a_rebuild_reports_its_progress(start: Start, settings: Settings, store: Store, updates: Updates) -> None:
    """Progress goes from 0 to 1; at the end the numbers are complete since the time in the store."""
    log = await _log(settings)
    offsets = await updates.send(*(an_article() for _ in range(4)))
    goal = offsets[-1]
    async with start() as gateway:
        await store.begin_rebuild(goal)
        _, body = await _asked(gateway)
        assert body["aggregates"] == {
            "state": "rebuilding",
            "complete_since": None,
            "behind": goal + 1,
            "progress": 0.0,
        }
        seen = []
        for offset in (offsets[0], offsets[1], goal):
            await count(store, offset, an_article(), log=log)
            _, body = await _asked(gateway)
            seen.append(body["aggregates"]["progress"])
            assert body["aggregates"]["behind"] == goal - offset
        assert seen == [round((offset + 1) / (goal + 1), 3) for offset in (offsets[0], offsets[1], goal)]
        assert (body["aggregates"]["state"], seen[-1]) == ("rebuilding", 1.0)
        await store.end_rebuild()
        since = datetime.now(UTC).replace(microsecond=0)
        await store.redis.hset("{khabar}:state", "complete", str(int(since.timestamp() * 1000)))
        _, body = await _asked(gateway)
        reported = datetime.fromisoformat(body["aggregates"].pop("complete_since"))
        assert (reported, body["aggregates"]) == (since, {"state": "complete", "behind": 0})
        _, body, _ = await gateway.get("/v1/aggregates?by=language")
        assert datetime.fromisoformat(body["complete_since"]) == since


async def test_without_the_store_only_its_answers_fail(start: Start, updates: Updates, tmp_path: Path) -> None:
    """They are 503 with Retry-After; stream, pushes and health work, and the gateway is ready, with the reason."""
    own = Valkey(tmp_path, port=free_port())
    await own.start()
    async with _ingest() as ingest, start(redis=own.url, ingest_url=ingest) as gateway, gateway.stream() as subscriber:
        await subscriber.next()
        questions = (
            "/v1/aggregates?by=source",
            "/v1/aggregates?by=pair&sources=false",
            "/v1/timeseries?by=total",
            "/v1/trends",
            "/v1/stories",
            "/v1/stories/x",
            "/v1/articles/x",
        )
        for path in questions:
            assert (await gateway.get(path))[0] == (404 if path.endswith("/x") else 200)
        await own.stop()
        for path in questions:
            code, problem, response = await gateway.get(path)
            assert (code, problem["status"], response.content_type) == (503, 503, "application/problem+json"), path
            assert int(response.headers["Retry-After"]) > 0
            assert "ETag" not in response.headers
        assert (await gateway.get("/v1/aggregates?by=colour"))[0] == 422
        code, body = await _asked(gateway)
        assert (code, body["ready"]) == (200, True)
        assert body["checks"]["store"] != "ok"
        assert body["checks"]["kafka"] == body["checks"]["ingest"] == "ok"
        assert body["aggregates"] == {"state": "unavailable", "complete_since": None, "behind": None}
        assert (await gateway.get("/healthz"))[0] == 200
        article = an_article()
        await updates.send(article)
        assert ids(await subscriber.events(1)) == [article.id]
        async with gateway.http.post(f"{gateway.url}/v1/articles", json={"text": "نص"}) as pushed:
            assert pushed.status == 202
        await own.start()
        for path in questions:
            assert (await gateway.get(path))[0] == (404 if path.endswith("/x") else 200)
        assert (await _asked(gateway))[1]["aggregates"]["state"] != "unavailable"
    await own.stop()


async def test_a_store_that_hangs_times_out(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer is 503 in time, and the connection with the late answer is not reused."""
    monkeypatch.setattr("api.gateway._STORE_SECONDS", 0.3)
    own = Valkey(tmp_path, port=free_port())
    await own.start()
    async with start(redis=own.url) as gateway:
        assert (await gateway.get("/v1/trends"))[0] == 200
        pausing = Store(own.url)
        await pausing.redis.client_pause(2_000)
        for path in ("/v1/timeseries?by=total", "/v1/stories"):
            code, _, response = await gateway.get(path)
            assert (code, "Retry-After" in response.headers) == (503, True)
        await asyncio.sleep(2)
        for _ in range(5):
            assert (await gateway.get("/v1/trends"))[1] == {"trends": []}
            assert len((await gateway.get("/v1/timeseries?by=total&window=15m"))[1]["points"]) == 15
        await pausing.close()
    await own.stop()


async def test_frequent_checks_cost_the_store_nothing(gateway: Running, store: Store) -> None:
    """Within half a second all requests share one check."""
    await _asked(gateway)
    before = (await store.redis.info("commandstats"))["cmdstat_hmget"]["calls"]
    gateway.server.app.state.readiness._checked_at = float("-inf")
    await asyncio.gather(*(gateway.get("/readyz") for _ in range(30)))
    assert (await store.redis.info("commandstats"))["cmdstat_hmget"]["calls"] <= before + 2


async def test_without_kafka_behind_is_unknown(start: Start, valkey: Valkey) -> None:
    """Whether numbers are being rebuilt is still known from the store."""
    opened = Store(valkey.url)
    await opened.redis.flushdb()
    async with start(kafka=f"127.0.0.1:{free_port()}", wait=False) as gateway:
        code, body = await _asked(gateway)
        assert (code, body["checks"]["store"]) == (503, "ok")
        assert body["aggregates"] == {"state": "complete", "complete_since": None, "behind": None}
        await opened.begin_rebuild(5)
        assert (await _asked(gateway))[1]["aggregates"]["state"] == "rebuilding"
    await opened.redis.flushdb()
    await opened.close()


async def test_errors_of_checks_are_shown_only_with_a_key(start: Start) -> None:
    """They contain internal names; without a key the answer says only which check failed."""
    url = "http://ingest.internal.invalid:8001"
    async with start(api_keys=hashed("secret"), ingest_url=url) as gateway:
        body = (await gateway.get("/readyz"))[1]
        assert "ingest.internal" not in str(body)
        assert body["checks"]["ingest"].startswith("failed")
        assert body["checks"]["kafka"] == "ok"
        wrong = (await gateway.get("/readyz", headers={"X-API-Key": "wrong"}))[1]
        assert wrong["checks"] == body["checks"]
        shown = (await gateway.get("/readyz", headers={"X-API-Key": "secret"}))[1]
        assert "ingest.internal.invalid" in shown["checks"]["ingest"]


async def test_no_answer_may_be_taken_for_another_type(gateway: Running) -> None:
    """Every answer has ``X-Content-Type-Options: nosniff``, once."""
    for path in ("/", "/healthz", "/readyz", "/nowhere", "/v1/stories?limit=0", "/metrics", "/dashboard/main.js"):
        async with gateway.http.get(gateway.url + path) as response:
            assert response.headers.getall("X-Content-Type-Options") == ["nosniff"], path


@pytest.mark.parametrize(
    ("report", "store", "words"),
    [
        ({"state": "complete", "behind": 3}, {"complete_since": None, "rebuilding": False}, "complete"),
        (
            {"state": "complete", "behind": 0},
            {"complete_since": "2026-11-06T12:00:00+00:00", "rebuilding": False},
            "complete since 2026-11-06T12:00:00+00:00",
        ),
        (
            {"state": "rebuilding", "behind": 600, "progress": 0.4},
            {"complete_since": None, "rebuilding": True},
            "being rebuilt: 40%, 600 events to go",
        ),
        (
            {"state": "behind", "behind": 70},
            {"complete_since": None, "rebuilding": False},
            "complete; 70 events behind",
        ),
        ({}, {"complete_since": None, "rebuilding": True}, "being rebuilt"),
    ],
)
def test_status_describes_the_numbers(report: dict[str, Any], store: dict[str, Any], words: str) -> None:
    """With the gateway's report, or without a gateway."""
    found = {
        "gateway": {"url": "u", "ready": True, "aggregates": report},
        "kafka": {"servers": "k", "reachable": True, "workers": 1},
        "store": {"url": "s", "reachable": True, "writable": "ok"} | store,
        "conditions": {},
        "processes": [],
    }
    assert f"numbers: {words}" in [line.strip() for line in status.render(found).splitlines()]


async def test_status_shows_what_the_store_counts(
    start: Start, settings: Settings, store: Store, updates: Updates
) -> None:
    """It shows the windows, whether they are complete, and the gateway's report on them."""
    await publish(store, updates, an_article(), an_article(duplicate_of="x"), log=await _log(settings))
    async with start() as gateway:
        found = await status.collect(settings.model_copy(update={"host": "127.0.0.1", "port": gateway.port}))
    assert found["store"]["windows"]["1h"] == {"articles": 2, "duplicates": 1}
    assert found["store"]["rebuilding"] is False
    assert found["gateway"]["aggregates"]["state"] == "complete"
    assert "numbers: complete" in status.render(found)


async def test_failing_feeds_are_reported(start: Start, settings: Settings, store: Store) -> None:
    """By readyz, which stays ready, in numbers; by status with their URLs and causes, never with passwords."""
    feeds = Feeds(store.redis)
    for path, status_of, error in (("a", "ok", ""), ("b", "failing", "HTTP status 500"), ("c", "gone", "410")):
        options = FeedOptions(url=f"https://ann:secret@news.example/{path}")
        await feeds.add(options, most=9)
        claim = await feeds.claim(options.id, "x", seconds=9)
        await feeds.finish(claim, {"error": error, "succeeded": 1.8e9}, status=status_of, next_in=60)
    async with _ingest() as ingest, start(ingest_url=ingest) as gateway:
        status_code, body = await _asked(gateway)
        assert (status_code, body["ready"]) == (200, True)
        assert body["feeds"] == {"ok": 1, "failing": 1, "gone": 1}
        found = await status.collect(settings.model_copy(update={"host": "127.0.0.1", "port": gateway.port}))
    shown = found["store"]["feeds"]
    assert shown["counts"] == {"new": 0, "ok": 1, "failing": 1, "gone": 1, "paused": 0}
    assert {(feed["url"], feed["error"]) for feed in shown["failing"]} == {
        ("https://news.example/b", "HTTP status 500"),
        ("https://news.example/c", "410"),
    }
    text = status.render(found)
    assert "feeds     ok 1   failing 1   gone 1" in text
    assert "failing since 2027-01-15T08:00:00+00:00: https://news.example/b   HTTP status 500" in text
    assert "secret" not in json.dumps(shown) + text


async def test_a_store_that_is_full_or_read_only_is_reported(start: Start, settings: Settings, tmp_path: Path) -> None:
    """By readyz and status: the stream goes on, so the gateway stays ready; nothing is written by the check."""
    full = Valkey(tmp_path, options={"maxmemory-policy": "noeviction"})
    await full.start()
    store = Store(full.url)
    try:
        async with _ingest() as ingest, start(ingest_url=ingest, redis=full.url) as gateway:
            before = await store.redis.keys("{khabar}:*")
            _, body = await _asked(gateway)
            assert body["checks"]["store"] == "ok"
            assert await store.redis.keys("{khabar}:*") == before
            for number in range(20):
                await store.redis.set(f"{{khabar}}:{number}", "x" * 100_000)
            await store.redis.config_set("maxmemory", "1mb")
            with pytest.raises(RedisError, match="maxmemory"):
                await store.redis.set("{khabar}:more", "x")
            status_code, body = await _asked(gateway)
            assert (status_code, body["checks"]["store"]) == (200, "full: it has reached its maxmemory")
            found = await status._store(settings.model_copy(update={"redis": full.url}))
            assert found["writable"] == "full: it has reached its maxmemory"
            await store.redis.config_set("maxmemory", 0)
            await store.redis.replicaof("127.0.0.1", free_port())
            _, body = await _asked(gateway)
            assert body["checks"]["store"] == "read-only: it is a replica"
    finally:
        await store.close()
        await full.stop()
