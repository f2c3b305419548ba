"""Aggregates, time series and trends over REST: parameters, errors, pages, one round trip each."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, get_args
from urllib.parse import quote

import pytest
from pydantic import TypeAdapter

from api.routes.aggregates import Aggregates, Counted, Timeseries
from api.routes.aggregates import Trends as TrendsAnswer
from services.events import Article
from services.store import DIMENSIONS, Store, layout
from tests.api.conftest import Running, a_story, a_topic, a_trend, an_article, an_entity
from tests.api.conftest import count as counted

# What a gateway asks the store by itself: for webhooks, and whether it answers, on a new connection if need be.
_BACKGROUND = re.compile(r"webhook|^(HELLO|CLIENT|MULTI|EXEC)\b|^(SET|HGETALL|HMGET) \{khabar\}:(state|applied)")


async def _fill(store: Store, *articles: Article) -> None:
    await counted(store, 0, *articles)


async def test_aggregates_have_counts_names_and_the_window(gateway: Running, store: Store) -> None:
    """An answer has totals, duplicates, the most frequent ids with names, the window, and since when it is complete."""
    now = datetime.now(UTC)
    await _fill(
        store,
        an_article(entities=[an_entity("Q1", "غزة")]),
        an_article(language="fr", source="RFI", entities=[an_entity("Q1", "Gaza")], duplicate_of="x"),
        an_article(entities=[an_entity("Q2", "القاهرة")], received_at=now - timedelta(hours=5)),
    )
    status, body, _ = await gateway.get("/v1/aggregates?by=entity&window=1h")
    assert status == 200
    Aggregates.model_validate(body)
    since, until = (datetime.fromisoformat(body.pop(name)) for name in ("since", "until"))
    assert (until - since, since.second) == (timedelta(hours=1), 0)
    assert timedelta() < until - now <= timedelta(minutes=1)
    assert body == {
        "by": "entity",
        "window": "1h",
        "total": 2,
        "duplicates": 1,
        "items": [{"id": "Q1", "name": "غزة", "count": 2}],
        "size": 1,
        "complete_since": None,
        "rebuilding": False,
    }
    _, body, _ = await gateway.get("/v1/aggregates?by=language&window=all&limit=1")
    assert (body["total"], body["size"], body["items"]) == (3, 2, [{"id": "ar", "name": "ar", "count": 2}])
    _, body, _ = await gateway.get("/v1/aggregates?by=source")
    assert (body["window"], [(one["id"], one["count"]) for one in body["items"]]) == (
        "24h",
        [("الجزيرة", 2), ("RFI", 1)],
    )


@pytest.mark.parametrize("by", DIMENSIONS)
async def test_every_dimension_answers_in_each_of_its_windows(gateway: Running, store: Store, by: str) -> None:
    """Every other window is an error that lists the valid ones."""
    entities = [an_entity("Q1", "غزة"), an_entity("Q2", "مصر")]
    made = {"entities": entities, "topics": [a_topic("medtop:01000000")], "story": "s1"}
    await _fill(store, an_article(**made), an_article(**made))
    ids = {"language": "ar", "source": "الجزيرة", "topic": "medtop:01000000", "story": "s1", "pair": "Q1+Q2"}
    names = {"pair": "غزة · مصر"}
    for window in layout.WINDOWS:
        status, body, _ = await gateway.get(f"/v1/aggregates?by={by}&window={window}")
        if window not in layout.windows(by):
            assert (status, body["field"]) == (422, "window")
            assert body["detail"].endswith("valid: " + ", ".join(layout.windows(by)))
            continue
        assert status == 200
        wanted = ids.get(by, "Q2")
        assert {"id": wanted, "name": names.get(by, "مصر" if by == "entity" else wanted), "count": 2} in body["items"]
        assert ("error" in body) == (by in {"story", "pair"} and window == "24h")


async def test_the_maximum_error_of_counts_is_reported(gateway: Running, store: Store) -> None:
    """Pairs that occur once are not counted, so each of the 24 hours may miss one."""
    entities = [an_entity("Q1"), an_entity("Q2")]
    await _fill(store, an_article(entities=entities))
    _, body, _ = await gateway.get("/v1/aggregates?by=pair")
    assert (body["items"], body["error"]) == ([], 24)


async def test_sources_are_counted_on_request(gateway: Running, store: Store) -> None:
    """The number of different sources of an entity or a story; other dimensions have none."""
    await counted(
        store,
        0,
        *(an_article(source=source, story="s1", entities=[an_entity("Q1")]) for source in ("a", "b", "b")),
        a_story(id="s1", title="زلزال", sources=["a", "b"]),
    )
    for by, name in (("entity", "Q1"), ("story", "s1")):
        _, body, _ = await gateway.get(f"/v1/aggregates?by={by}&window=1h&sources=true")
        assert [(one["id"], one["count"], one["sources"]) for one in body["items"]] == [(name, 3, 2)]
        Aggregates.model_validate(body)
        _, body, _ = await gateway.get(f"/v1/aggregates?by={by}&window=1h")
        assert "sources" not in body["items"][0]
    assert body["items"][0]["name"] == "زلزال"


@pytest.mark.parametrize("limit", [1, 4, 7, 1_000])
async def test_following_next_finds_every_id_once(gateway: Running, store: Store, limit: int) -> None:
    """Following prev from there returns to the first page; relative links keep all other parameters."""
    await _fill(store, *(an_article(source=f"source {number % 23}") for number in range(40)))
    found, pages, path = [], 0, f"/v1/aggregates?by=source&window=1h&limit={limit}"
    while path:
        status, body, response = await gateway.get(path)
        assert status == 200
        assert len(body["items"]) <= limit
        found += [one["id"] for one in body["items"]]
        pages += 1
        last, path = response, str(response.links.get("next", {}).get("url", ""))[len(gateway.url) :]
    assert sorted(found) == sorted(f"source {number}" for number in range(23))
    assert pages == -(-23 // limit)
    back = 0
    while "prev" in last.links:
        _, body, last = await gateway.get(str(last.links["prev"]["url"])[len(gateway.url) :])
        back += 1
    assert back == pages - 1
    assert body["items"][0]["id"] == found[0]


async def test_no_link_leads_beyond_the_largest_offset(
    gateway: Running, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No link leads to a page that would be an error; after the end there is an empty page with a link back."""
    monkeypatch.setattr("api.routes.pages._MAX_OFFSET", 10)
    await _fill(store, *(an_article(source=f"source {number}") for number in range(23)))
    _, _, response = await gateway.get("/v1/aggregates?by=source&limit=5&offset=5")
    assert set(response.links) == {"next", "prev"}
    _, _, response = await gateway.get("/v1/aggregates?by=source&limit=5&offset=10")
    assert set(response.links) == {"prev"}
    _, body, response = await gateway.get("/v1/aggregates?by=source&limit=5&offset=50")
    assert (body["items"], body["size"], set(response.links)) == ([], 23, {"prev"})


async def test_timeseries_have_a_point_for_each_step(gateway: Running, store: Store) -> None:
    """Points are oldest first, zeros included, aligned to UTC; the last step is not over yet."""
    now = datetime.now(UTC)
    minutes = {0: 3, 4: 1, 14: 2, 50: 1, 61: 5}
    await _fill(
        store,
        *(
            an_article(received_at=now - timedelta(minutes=ago), entities=[an_entity("Q1")])
            for ago, times in minutes.items()
            for _ in range(times)
        ),
    )
    minute = now.replace(second=0, microsecond=0)
    for window, size in (("15m", 15), ("1h", 60)):
        status, body, _ = await gateway.get(f"/v1/timeseries?by=entity&id=Q1&window={window}")
        assert (status, body["step"], body["by"], body["id"], body["window"]) == (200, "1m", "entity", "Q1", window)
        Timeseries.model_validate(body)
        points = [(datetime.fromisoformat(one["time"]), one["count"]) for one in body["points"]]
        wanted = [(minute - timedelta(minutes=ago), minutes.get(ago, 0)) for ago in reversed(range(size))]
        if datetime.now(UTC) < minute + timedelta(minutes=1):
            assert points == wanted
        assert body["complete_since"] is None and body["rebuilding"] is False


@pytest.mark.parametrize("step", ["10m", "1h"])
async def test_longer_steps_add_up_their_minutes(gateway: Running, store: Store, step: str) -> None:
    """Steps are aligned to the clock; no minute is missing from them or counted twice."""
    now = datetime.now(UTC)
    ago = range(0, 23 * 60, 7)
    await _fill(store, *(an_article(received_at=now - timedelta(minutes=one)) for one in ago))
    _, body, _ = await gateway.get(f"/v1/timeseries?by=total&window=24h&step={step}")
    length = {"10m": 600, "1h": 3_600}[step]
    wanted: dict[int, int] = {}
    for one in ago:
        begun = int((now - timedelta(minutes=one)).timestamp()) // length * length
        wanted[begun] = wanted.get(begun, 0) + 1
    found = {int(datetime.fromisoformat(one["time"]).timestamp()): one["count"] for one in body["points"]}
    assert {time: n for time, n in found.items() if n} == wanted
    assert len(found) == 86_400 // length
    assert all(time % length == 0 for time in found)


@pytest.mark.parametrize(
    ("query", "points", "step"),
    [
        ("by=total&window=15m", 15, "1m"),
        ("by=total&window=1h", 60, "1m"),
        ("by=total&window=1h&step=10m", 6, "10m"),
        ("by=total", 144, "10m"),
        ("by=total&step=1m", 1_440, "1m"),
        ("by=total&window=7d", 168, "1h"),
        ("by=total&window=7d&step=1d", 7, "1d"),
        ("by=total&window=all", 30, "1d"),
        ("by=story&id=s1&window=24h", 24, "1h"),
        ("by=story&id=s1&window=1h", 60, "1m"),
        ("by=pair&id=Q1%2BQ2", 24, "1h"),
        ("by=source&id=" + quote("الجزيرة"), 144, "10m"),
    ],
)
async def test_every_window_and_step(gateway: Running, store: Store, query: str, points: int, step: str) -> None:
    """The default is the finest step that fits into a chart; the newest articles are in the last point."""
    made = {"entities": [an_entity("Q1"), an_entity("Q2")], "story": "s1"}
    await _fill(store, an_article(**made), an_article(**made))
    status, body, _ = await gateway.get(f"/v1/timeseries?{query}")
    assert (status, len(body["points"]), body["step"]) == (200, points, step)
    assert sum(one["count"] for one in body["points"][-2:]) == 2
    assert all(one["count"] == 0 for one in body["points"][:-2])


async def test_totals_can_be_of_duplicates(gateway: Running, store: Store) -> None:
    """``articles`` is the default id of ``total``; ids that were never counted have zeros."""
    await _fill(store, an_article(), an_article(duplicate_of="x"), an_article())
    for query, wanted in (("", 3), ("&id=articles", 3), ("&id=duplicates", 1)):
        _, body, _ = await gateway.get(f"/v1/timeseries?by=total&window=15m{query}")
        assert sum(one["count"] for one in body["points"]) == wanted
    _, body, _ = await gateway.get("/v1/timeseries?by=entity&id=nobody&window=all")
    assert [one["count"] for one in body["points"]] == [0] * 30


async def test_trends_are_listed_most_surprising_first(gateway: Running, store: Store) -> None:
    """Ended trends are not listed; window and kind are filters; pages work as elsewhere."""
    trends = [
        a_trend(id="Q1", score=5.0),
        a_trend(id="Q2", score=30.5, window="15m"),
        a_trend(id="s1", kind="story", score=7.0),
        a_trend(id="medtop:01000000", kind="topic", window="24h", score=12.0, phase="grow"),
        a_trend(id="Q9", score=50.0, phase="end"),
    ]
    await counted(store, 0, *trends)
    for query, wanted in {
        "": ["Q2", "medtop:01000000", "s1", "Q1"],
        "?window=1h": ["s1", "Q1"],
        "?kind=entity": ["Q2", "Q1"],
        "?kind=entity&window=1h": ["Q1"],
        "?kind=story&window=15m": [],
        "?limit=2&offset=1": ["medtop:01000000", "s1"],
    }.items():
        status, body, response = await gateway.get(f"/v1/trends{query}")
        assert (status, [one["id"] for one in body["trends"]]) == (200, wanted), query
        TrendsAnswer.model_validate(body)
    assert set(response.links) == {"next", "prev"}
    assert (await gateway.get("/v1/trends?limit=1"))[1]["trends"] == [trends[1].model_dump(mode="json")]
    assert "next" not in (await gateway.get("/v1/trends?limit=4"))[2].links


@pytest.mark.parametrize(
    ("path", "field", "words"),
    [
        ("/v1/aggregates", "by", ["required"]),
        ("/v1/aggregates?by=colour", "by", DIMENSIONS),
        ("/v1/aggregates?by=entity&window=2h", "window", layout.WINDOWS),
        ("/v1/aggregates?by=pair&window=1h", "window", ["24h"]),
        ("/v1/aggregates?by=story&window=all", "window", ["15m, 1h, 24h"]),
        ("/v1/aggregates?by=entity&limit=0", "limit", ["greater"]),
        ("/v1/aggregates?by=entity&limit=1001", "limit", ["1000"]),
        ("/v1/aggregates?by=entity&offset=-1", "offset", ["greater"]),
        ("/v1/aggregates?by=entity&offset=100001", "offset", ["100000"]),
        ("/v1/aggregates?by=entity&sources=many", "sources", ["bool"]),
        ("/v1/aggregates?by=language&sources=true", "sources", ["entity", "story"]),
        ("/v1/aggregates?by=source&foo=1", "foo", ["by, window, limit, offset, sources"]),
        ("/v1/aggregates?by=source&by=entity", "by", ["twice"]),
        ("/v1/timeseries", "by", ["required"]),
        ("/v1/timeseries?by=colour&id=x", "by", ["total", *DIMENSIONS]),
        ("/v1/timeseries?by=entity", "id", ["missing"]),
        ("/v1/timeseries?by=entity&id=", "id", ["at least 1"]),
        ("/v1/timeseries?by=entity&id=" + 501 * "x", "id", ["500"]),
        ("/v1/timeseries?by=total&id=copies", "id", ["articles, duplicates"]),
        ("/v1/timeseries?by=entity&id=Q1&window=2h", "window", ["15m", "1h", "24h", "7d", "all"]),
        ("/v1/timeseries?by=story&id=s1&window=7d", "window", ["valid: 15m, 1h, 24h"]),
        ("/v1/timeseries?by=pair&id=Q1&window=1h", "window", ["valid: 24h"]),
        ("/v1/timeseries?by=total&step=5m", "step", ["1m", "10m", "1h", "1d"]),
        ("/v1/timeseries?by=total&window=15m&step=10m", "step", ["valid: 1m"]),
        ("/v1/timeseries?by=total&window=all&step=1h", "step", ["valid: 1d"]),
        ("/v1/timeseries?by=pair&id=Q1&step=10m", "step", ["valid: 1h"]),
        ("/v1/timeseries?by=total&limit=1", "limit", ["by, id, window, step"]),
        ("/v1/trends?window=all", "window", ["15m", "1h", "24h"]),
        ("/v1/trends?kind=source", "kind", ["entity", "topic", "story"]),
        ("/v1/trends?offset=x", "offset", ["integer"]),
        ("/v1/trends?by=entity", "by", ["window, kind, limit, offset"]),
    ],
)
async def test_wrong_parameters_are_problems_that_list_the_valid_ones(
    gateway: Running, path: str, field: str, words: Iterable[str]
) -> None:
    """422 and a problem document with the field and its valid values."""
    status, problem, response = await gateway.get(path)
    assert (status, response.content_type) == (422, "application/problem+json")
    assert problem["field"] == field
    for word in words:
        assert word in problem["detail"]


@pytest.mark.parametrize(
    "path",
    [
        "/v1/aggregates?by=entity&limit=1000&sources=true",
        "/v1/aggregates?by=pair",
        "/v1/timeseries?by=total&step=1m",
        "/v1/timeseries?by=entity&id=Q1&window=all",
        "/v1/trends",
    ],
)
async def test_each_answer_is_one_round_trip_to_the_store(gateway: Running, store: Store, path: str) -> None:
    """Counted with MONITOR, which reports every command that the store gets over a connection."""
    entities = [an_entity(f"Q{number}") for number in range(12)]
    await counted(store, 0, *(an_article(entities=entities, source=str(one)) for one in range(30)), a_trend())
    assert (await gateway.get(path))[0] == 200  # now the script is loaded and a connection open
    async with store.redis.monitor() as monitor:
        await store.redis.echo("begin")
        for _ in range(10):
            assert (await gateway.get(path))[0] == 200
        await store.redis.echo("end")
        sent: list[str] = []
        async for one in monitor.listen():
            if one["command"] == "ECHO begin":
                sent.clear()
            elif one["command"] == "ECHO end":
                break
            # MONITOR also reports commands inside scripts; the gateway asks for webhooks and state meanwhile.
            elif one["client_type"] != "lua" and not _BACKGROUND.search(one["command"]):
                sent.append(one["command"].split()[0])
    assert len(sent) == 10, sent


def test_every_counted_dimension_has_a_timeseries() -> None:
    """The dimensions here are those of the store."""
    assert set(get_args(Counted)) == set(layout.SPANS)


async def test_openapi_describes_aggregates_timeseries_and_trends(gateway: Running) -> None:
    """It has parameters with values, models, headers and problems of all three, and of readiness."""
    _, document, _ = await gateway.get("/openapi.json")
    schemas = document["components"]["schemas"]
    paths = document["paths"]

    def values(path: str, name: str) -> list[str]:
        schema: dict[str, Any] = next(one for one in paths[path]["get"]["parameters"] if one["name"] == name)["schema"]
        found = [schema, *schema.get("anyOf", [])]
        return next((one["enum"] for one in found if "enum" in one), [])

    assert values("/v1/aggregates", "by") == list(DIMENSIONS)
    assert values("/v1/aggregates", "window") == list(layout.WINDOWS)
    assert values("/v1/timeseries", "by") == ["total", *DIMENSIONS]
    assert values("/v1/timeseries", "window") == ["15m", "1h", "24h", "7d", "all"]
    assert values("/v1/timeseries", "step") == ["1m", "10m", "1h", "1d"]
    assert values("/v1/trends", "window") == ["15m", "1h", "24h"]
    assert values("/v1/trends", "kind") == ["entity", "topic", "story"]
    for path, model, headers in (
        ("/v1/aggregates", "Aggregates", {"ETag", "Cache-Control", "Link"}),
        ("/v1/timeseries", "Timeseries", {"ETag", "Cache-Control"}),
        ("/v1/trends", "Trends", {"ETag", "Cache-Control", "Link"}),
        ("/v1/stories", "Stories", {"ETag", "Cache-Control"}),
        ("/readyz", "Ready", set()),
    ):
        responses = paths[path]["get"]["responses"]
        assert responses["200"]["content"]["application/json"]["schema"] == {"$ref": f"#/components/schemas/{model}"}
        assert set(responses["200"].get("headers", {})) == headers
        assert model in schemas
        if headers:
            assert {"304", "401", "403", "422", "503"} <= set(responses)
            assert responses["422"]["content"].keys() == {"application/problem+json"}
            assert "Retry-After" in responses["503"]["headers"]
    assert TypeAdapter(list[str]).validate_python(schemas["Aggregates"]["required"])
    assert {"complete_since", "rebuilding", "size", "since", "until"} <= set(schemas["Aggregates"]["required"])
