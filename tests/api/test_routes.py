"""Articles and stories over REST; problem documents, page, health and OpenAPI."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from services.events import Story
from services.settings import Settings
from services.store import Batch, RecordLocation, Store, layout
from tests.api.conftest import Running, Start, Updates, a_story, a_topic, an_article, an_entity, ids, publish


async def test_an_article_is_returned_as_it_is_on_kafka(start: Start, store: Store, updates: Updates) -> None:
    """It is the same JSON from the shared log and from Kafka; unknown ids are 404."""
    article = an_article(entities=[an_entity("Q39760")])
    await publish(store, updates, article)
    for tail in (100, 0):
        async with start(timeouts={"tail_records": tail}) as gateway:
            async with gateway.http.get(f"{gateway.url}/v1/articles/{article.id}") as response:
                assert (response.status, response.content_type) == (200, "application/json")
                assert await response.read() == article.encode()
            status, problem, response = await gateway.get("/v1/articles/nobody")
            assert (status, problem["status"], response.content_type) == (404, 404, "application/problem+json")


async def test_the_newest_revision_is_returned(gateway: Running, store: Store, updates: Updates) -> None:
    """Of two revisions of one article the second is returned."""
    first = an_article()
    second = first.model_copy(update={"revision": 2, "text": "نص جديد"})
    await publish(store, updates, first, second)
    assert (await gateway.get(f"/v1/articles/{first.id}"))[1]["revision"] == 2


async def test_an_offset_of_another_record_is_not_found(gateway: Running, store: Store, updates: Updates) -> None:
    """A store that is older than Kafka leads to 404, never to a wrong article."""
    offsets = await updates.send(an_article(), a_story())
    today = layout.bucket("d", datetime.now(UTC))
    for name, offset in zip(("old", "older", "ahead"), (*offsets, 10**9), strict=True):
        key = f"{layout.TAG}:place:{today}:{layout.shard(name, layout.PLACE_SHARDS)}"
        await store.redis.hset(key, name, str(offset))
        assert await store.locate(name) == RecordLocation(offset)
        for kind in ("articles", "stories"):
            assert (await gateway.get(f"/v1/{kind}/{name}"))[0] == 404


async def test_stories_are_listed_newest_first_and_filtered(gateway: Running, store: Store) -> None:
    """Window, filters and limit apply together; each story can be requested by id."""
    now = datetime.now(UTC)
    arrived: list[tuple[Story, timedelta]] = [
        (a_story(id="old", languages=["fr"]), timedelta(hours=3)),
        (a_story(id="news", languages=["ar", "en"], entities=[an_entity("Q1")]), timedelta(minutes=30)),
        (a_story(id="latest", topics=[a_topic("medtop:15000000")]), timedelta(minutes=1)),
    ]
    batch = Batch()
    for offset, (story, age) in enumerate(arrived):
        batch.add_story(offset, story, int((now - age).timestamp() * 1000))
    await store.apply("updates-0", batch, now=datetime.now(UTC))
    for query, expected in {
        "": ["latest", "news", "old"],
        "window=15m": ["latest"],
        "window=1h": ["latest", "news"],
        "window=all&limit=2": ["latest", "news"],
        "language=fr,en": ["news", "old"],
        "entity=Q1": ["news"],
        "topic=medtop:15000000&language=ar": ["latest"],
        "entity=Q2": [],
    }.items():
        status, body, _ = await gateway.get(f"/v1/stories?{query}")
        assert (status, [one["id"] for one in body["stories"]]) == (200, expected), query
    status, body, _ = await gateway.get("/v1/stories/news")
    assert (status, Story.model_validate(body)) == (200, arrived[1][0])
    assert (await gateway.get("/v1/stories/none"))[0] == 404


async def test_an_older_story_is_read_from_the_log(start: Start, store: Store, updates: Updates) -> None:
    """From memory or from Kafka; a merged one redirects as any other; ids of articles are not ids of stories."""
    old, merged, article = a_story(title="قديمة"), a_story(title="مدموجة"), an_article()
    gone = merged.model_copy(update={"merged_into": old.id})
    await publish(store, updates, old, gone, article)
    for story in (old, merged):
        await store.redis.delete(f"{layout.TAG}:story:{story.id}")
        assert await store.story(story.id) is None
    for tail in (100, 0):
        async with start(timeouts={"tail_records": tail}) as gateway:
            status, body, _ = await gateway.get(f"/v1/stories/{old.id}")
            assert (status, Story.model_validate(body)) == (200, old)
            status, body, response = await gateway.get(f"/v1/stories/{merged.id}", allow_redirects=False)
            assert (status, response.headers["Location"]) == (301, old.id)
            assert Story.model_validate(body) == gone
            assert (await gateway.get(f"/v1/stories/{article.id}"))[0] == 404


async def test_a_rare_filter_finds_stories_after_many_others(gateway: Running, store: Store) -> None:
    """The filter applies before the limit, to a bounded number of stories; a repeated parameter matches any value."""
    now = int(datetime.now(UTC).timestamp() * 1000)
    batch = Batch()
    for offset in range(1_200):
        batch.add_story(offset, a_story(id=f"many{offset}"), now - offset)
    batch.add_story(1_200, a_story(id="rare", languages=["fr"]), now - 1_200)
    batch.add_story(1_201, a_story(id="rarer", languages=["tr"]), now - 1_201)
    await store.apply("updates-0", batch, now=datetime.now(UTC))
    _, body, _ = await gateway.get("/v1/stories?language=fr&language=tr&limit=5")
    assert ids({"data": one} for one in body["stories"]) == ["rare", "rarer"]


async def test_a_story_on_two_pages_is_listed_once(gateway: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """New stories shift the pages while they are read; no more stories are read than are listed."""
    read = 0

    async def many(*_: object, **__: object) -> AsyncIterator[Story]:
        nonlocal read
        one, other = a_story(id="one"), a_story(id="other")
        while True:
            read += 1
            yield other if read == 3 else one

    monkeypatch.setattr(gateway.gateway.store, "stories", many)
    _, body, _ = await gateway.get("/v1/stories?limit=2")
    assert [one["id"] for one in body["stories"]] == ["one", "other"]
    assert read == 3


async def test_a_merged_story_redirects_to_its_survivor(gateway: Running, store: Store, updates: Updates) -> None:
    """It is not listed; its URL redirects to the last of the chain; the body of the redirect is its own last state."""
    first, second, third = (a_story(title=title) for title in ("أولى", "ثانية", "ثالثة"))
    gone = first.model_copy(update={"merged_into": second.id})
    await publish(store, updates, first, second, third, gone, second.model_copy(update={"merged_into": third.id}))
    status, body, response = await gateway.get(f"/v1/stories/{first.id}", allow_redirects=False)
    assert (status, response.headers["Location"]) == (301, third.id)
    assert Story.model_validate(body) == gone
    assert (await gateway.get(f"/v1/stories/{first.id}"))[:2] == (200, third.model_dump(mode="json"))
    assert [one["id"] for one in (await gateway.get("/v1/stories"))[1]["stories"]] == [third.id]


async def test_an_article_has_its_present_story(gateway: Running, store: Store, updates: Updates) -> None:
    """After a merge and a split its story differs from the published one; everything else is as published."""
    old, new = a_story(id="sold"), a_story(id="snew")
    stays, moves = an_article(story=old.id), an_article(story=old.id)

    async def now() -> list[str]:
        found = []
        for published in (stays, moves):
            _, body, _ = await gateway.get(f"/v1/articles/{published.id}")
            assert body | {"story": published.story} == published.model_dump(mode="json")
            found.append(body["story"])
        return found

    await publish(store, updates, stays, moves, old)
    assert await now() == ["sold", "sold"]
    split = new.model_copy(update={"split_from": old.id, "articles": [moves.id]})
    await publish(store, updates, split, old)
    assert await now() == ["sold", "snew"]
    await publish(store, updates, old.model_copy(update={"merged_into": "sother"}), a_story(id="sother"))
    assert await now() == ["sother", "snew"]


@pytest.mark.parametrize(
    ("path", "field", "word"),
    [
        ("/v1/stories?window=2h", "window", "15m"),
        ("/v1/stories?language=klingon", "language", "klingon"),
        ("/v1/stories?limit=many", "limit", "integer"),
        ("/v1/stories?source=foo", "source", "window, limit, language, entity, topic"),
        ("/v1/stories?limit=1&limit=2", "limit", "twice"),
        ("/v1/stories/s1?window=1h", "window", "none"),
        ("/v1/articles/a1?revision=1", "revision", "none"),
    ],
)
async def test_wrong_parameters_are_problems_that_name_them(gateway: Running, path: str, field: str, word: str) -> None:
    """422 and a problem document with the field and its valid values."""
    status, problem, response = await gateway.get(path)
    assert (status, response.content_type) == (422, "application/problem+json")
    assert problem["field"] == field
    assert word in problem["detail"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/v1/stream", 426),
        ("DELETE", "/v1/articles", 405),
        ("POST", "/v1/aggregates", 405),
    ],
)
async def test_every_error_is_a_problem_document(gateway: Running, method: str, path: str, status: int) -> None:
    """Also for paths without a route."""
    async with gateway.http.request(method, gateway.url + path) as response:
        assert response.status == status
        assert response.content_type == "application/problem+json"
        assert (await response.json(content_type=None))["status"] == status


async def test_readiness_names_what_is_missing(gateway: Running, settings: Settings) -> None:
    """With Kafka and store but without ingest it is 503 and says so; ``/healthz`` is 200 all the time."""
    status, body, _ = await gateway.get("/readyz")
    assert status == 503
    assert body["ready"] is False
    assert body["checks"]["kafka"] == body["checks"]["store"] == "ok"
    assert "ingest" in body["checks"]
    assert body["checks"]["ingest"] != "ok"
    assert (await gateway.get("/healthz"))[0] == 200


async def test_metrics_are_in_prometheus_format(gateway: Running, updates: Updates) -> None:
    """They include connections, deliveries and the shared log."""
    async with gateway.stream() as subscriber:
        await subscriber.next()
        await updates.send(an_article())
        await subscriber.events(1)
        await asyncio.sleep(0.05)
        _, text, response = await gateway.get("/metrics")
    assert response.content_type == "text/plain"
    values = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert float(values['khabar_api_connections{transport="websocket"}']) >= 1
    assert float(values['khabar_api_events_delivered_total{transport="websocket"}']) >= 1
    assert float(values["khabar_api_log_bytes"]) > 0
    assert float(values["khabar_api_log_end_offset"]) == gateway.gateway.log.end


async def test_the_page_may_load_nothing_from_elsewhere(gateway: Running) -> None:
    """The dashboard and its files have a policy that allows only themselves; a missing file is a problem document."""
    for path, kind in (("/", "text/html"), ("/dashboard/dashboard.js", "javascript")):
        status, _, response = await gateway.get(path)
        assert status == 200
        assert kind in response.content_type
        assert "default-src 'none'" in response.headers["Content-Security-Policy"]
        assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert (await gateway.get("/dashboard/none.js"))[0] == 404
    assert (await gateway.get("/dashboard/../service.py"))[0] == 404


@pytest.mark.parametrize("path", ["/", "/healthz", "/readyz", "/metrics"])
async def test_head_is_get_without_a_body(gateway: Running, path: str) -> None:
    """HEAD on what probes request has the status and the type of the GET."""
    async with gateway.http.get(gateway.url + path) as get, gateway.http.head(gateway.url + path) as head:
        assert (head.status, head.content_type) == (get.status, get.content_type)
        assert head.status != 405
        assert await head.read() == b""
    # The connection is still usable.
    assert (await gateway.get("/healthz"))[0] == 200


async def test_openapi_documents_pushes_and_problems(gateway: Running) -> None:
    """The document has the request, the answers, and problem documents instead of FastAPI's own errors."""
    status, document, _ = await gateway.get("/openapi.json")
    assert status == 200
    push = document["paths"]["/v1/articles"]["post"]
    assert {"application/json", "application/x-ndjson"} == set(push["requestBody"]["content"])
    assert {"202", "401", "403", "413", "503"} <= set(push["responses"])
    assert "HTTPValidationError" not in str(document)
    assert {"PushResult", "Problem", "Article", "Story"} <= set(document["components"]["schemas"])
    assert {"/v1/events", "/v1/stories", "/v1/aggregates", "/v1/articles/{article_id}"} <= set(document["paths"])
    assert (await gateway.get("/docs"))[0] == 200


async def test_openapi_documents_members_of_stream_problems(gateway: Running) -> None:
    """``code`` with its values, ``oldest`` where it occurs, and the status of a push that is too slow."""
    _, document, _ = await gateway.get("/openapi.json")
    responses = document["paths"]["/v1/events"]["get"]["responses"]
    members = {}
    for status in ("400", "410", "503"):
        reference, own = responses[status]["content"]["application/problem+json"]["schema"]["allOf"]
        assert reference == {"$ref": "#/components/schemas/Problem"}
        members[status] = own["properties"]
        assert set(own["required"]) == set(own["properties"])
    assert members["400"]["code"]["enum"] == ["bad_request", "bad_filter", "bad_cursor"]
    assert members["410"]["code"]["enum"] == ["cursor_too_old"]
    assert set(members["410"]) == {"code", "oldest"}
    assert members["503"]["code"]["enum"] == ["going_away", "unavailable"]
    assert "408" in document["paths"]["/v1/articles"]["post"]["responses"]
