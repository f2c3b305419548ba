"""Filters, over the real stream and as functions."""

import subprocess
import sys
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.stream import filters
from api.stream.filters import Filter, FilterError, FilterIndex
from api.stream.stream_event import Event, Facets, words
from khabar.filters import FILTERS as TABLE
from khabar.filters import FilterValues
from services.events import Article, EventType, Story
from tests.api.conftest import Running, Updates, a_story, a_topic, an_article, an_entity, ids
from tests.api.streams import EVENTS, FILTERS, event


def _records() -> dict[str, Article | Story]:
    return {
        "plain": an_article(id="plain"),
        "copy": an_article(id="copy", duplicate_of="plain", similarity=0.9),
        "french": an_article(id="french", language="fr", source="RFI", title="L’Été", text="Les élections", story="s1"),
        "gaza": an_article(id="gaza", entities=[an_entity("Q39760")], title=None, text="أنباءٌ من غَزَّةَ اليوم"),
        "politics": an_article(id="politics", topics=[a_topic("medtop:11000000")], source=None),
        "s1": a_story(id="s1", languages=["fr", "en"], sources=["RFI"], entities=[an_entity("Q90")]),
        "s2": a_story(id="s2", topics=[a_topic("medtop:11000000")], title="غزة وأخبارها"),
    }


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({}, ["plain", "french", "gaza", "politics", "s1", "s2"]),
        ({"type": "story"}, ["s1", "s2"]),
        ({"type": ["story", "article"]}, ["plain", "french", "gaza", "politics", "s1", "s2"]),
        ({"type": "trend"}, []),
        ({"language": "fr"}, ["french", "s1"]),
        ({"language": "FR,en"}, ["french", "s1"]),
        ({"source": "RFI"}, ["french", "s1"]),
        ({"source": "unknown"}, ["politics"]),
        ({"entity": ["Q39760", "Q90"]}, ["gaza", "s1"]),
        ({"topic": "medtop:11000000"}, ["politics", "s2"]),
        ({"story": "s1"}, ["french", "s1"]),
        ({"story": "s1", "type": "article"}, ["french"]),
        ({"q": "غزه"}, ["gaza", "s2"]),
        ({"q": "انباء غزة"}, ["gaza"]),
        ({"q": "ÉLECTIONS,غزة"}, ["french", "gaza", "s2"]),
        ({"q": "غز"}, []),
        ({"duplicates": "show", "type": "article", "language": "ar"}, ["plain", "copy", "gaza", "politics"]),
        ({"duplicates": "only"}, ["copy", "s1", "s2"]),
        ({"duplicates": "only", "type": "article"}, ["copy"]),
    ],
)
async def test_each_filter_over_the_stream(
    gateway: Running, updates: Updates, wanted: dict[str, Any], expected: list[str]
) -> None:
    """An event matches any value of each filter, and all filters; query and op mean the same."""
    end = an_article(id="end", language="qq", duplicate_of="x")
    async with gateway.stream(**wanted) as by_query, gateway.stream(type="trend") as by_op:
        await by_query.next()
        cursor = (await by_op.next())["cursor"]
        await by_op.op(op="subscribe", filter=wanted, cursor=cursor)
        await by_op.until("subscribed")
        await updates.send(*_records().values(), end)
        for subscriber in (by_query, by_op):
            got = ids(await subscriber.events(len(expected)))
            # Any other match would arrive before the end marker.
            await subscriber.op(op="subscribe", filter={"language": "qq", "duplicates": "only"}, cursor=cursor)
            await subscriber.until("subscribed")
            assert ids(await subscriber.events(1)) == ["end"]
            assert got == expected


async def test_a_story_filter_matches_its_merge_and_its_splits(gateway: Running, updates: Updates) -> None:
    """The merge event and the first event of a story split from it match; events of other stories do not."""
    before = an_article(story="sa")
    split = a_story(id="sn", split_from="sa", articles=[before.id])
    joins = an_article(story="sb")
    survivor, merged = a_story(id="sb", size=3), a_story(id="sa", merged_into="sb")
    after = an_article(story="sb")
    async with gateway.stream(story="sa") as subscriber:
        await subscriber.next()
        await updates.send(before, split, a_story(id="sn"), joins, survivor, merged, after)
        first, second, third = await subscriber.events(3)
        assert ids([first, second, third]) == [before.id, "sn", "sa"]
        assert second["data"]["split_from"] == "sa"
        assert third["data"]["merged_into"] == "sb"
        # Continuing as documented misses nothing that was published with the merge.
        await subscriber.op(op="subscribe", filter={"story": "sb"}, cursor=second["cursor"])
        await subscriber.until("subscribed")
        assert ids(await subscriber.events(3)) == [joins.id, "sb", after.id]


def test_the_filter_in_an_answer_round_trips() -> None:
    """The filter in ``subscribed`` can be sent back and means the same."""
    wanted = filters.parse([("language", "ar,EN"), ("language", "fr"), ("q", "غزة"), ("duplicates", "only")])
    assert wanted.values["language"] == {"ar", "en", "fr"}
    assert filters.parse_json(wanted.as_json()) == wanted
    assert hash(filters.parse_json(wanted.as_json())) == hash(wanted)
    assert filters.parse_json({}) == Filter()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("langauge", "ar"),
        ("language", ""),
        ("language", "ar,"),
        ("language", "arabic!"),
        ("type", "Article"),
        ("topic", "politics"),
        ("duplicates", "maybe"),
        ("duplicates", "show,only"),
        ("entity", " "),
        ("q", "؟!"),
        ("source", "x" * 201),
        ("q", " ".join(f"word{number}" for number in range(11))),
        ("entity", ",".join(f"Q{number}" for number in range(101))),
    ],
)
def test_an_unknown_filter_or_value_is_named(name: str, value: str) -> None:
    """The error is about the filter that is wrong, in either notation."""
    with pytest.raises(FilterError) as by_query:
        filters.parse([(name, value)])
    with pytest.raises(FilterError) as by_json:
        filters.parse_json({name: [value]})
    assert by_query.value.name == by_json.value.name == name
    assert name in str(by_query.value)


@pytest.mark.parametrize("value", [None, 7, {"a": 1}, ["ar", 7], [["ar"]]])
def test_values_in_json_are_strings(value: object) -> None:
    """Anything but a string or a list of strings is an error."""
    with pytest.raises(FilterError, match="language"):
        filters.parse_json({"language": value})


def test_words_are_compared_in_normalized_form() -> None:
    """Diacritics, tatweel, hamza on alef, alef maksura, teh marbuta, presentation forms and case do not matter."""
    assert words("أَحْمَد إلى آل") == words("احمد الي ال")
    assert words("مـــدرسة") == words("مدرسه")
    assert words("ﻻ") == words("لا")
    assert words("Straße ＡＢＣ") == ["strasse", "abc"]
    assert words("؟ ، !") == []


@given(st.lists(st.tuples(FILTERS, st.booleans()), max_size=20), st.lists(EVENTS, min_size=1, max_size=8))
def test_the_index_finds_the_filters_that_match(
    wanted: list[tuple[Filter, bool]], found: list[tuple[Facets, str]]
) -> None:
    """After any additions and removals it returns each filter that an event passes, once, and no other."""
    index = FilterIndex()
    for one, _ in wanted:
        index.add(one)
    for one, stays in wanted:
        if not stays:
            index.discard(one)
    left = {one for one, stays in wanted if stays}
    assert len(index) == len(left)
    for offset, (facets, text) in enumerate(found):
        given = event(offset, facets, text)
        met, pending = index.match(given)
        assert not pending
        assert set(met) == {one for one in left if one.matches(given)}
        assert len(met) == len(set(met))


def test_an_event_is_compared_only_with_filters_that_name_its_values(monkeypatch: pytest.MonkeyPatch) -> None:
    """Among thousands of filters with different entities and words, only those of the event are compared."""
    index = FilterIndex()
    for number in range(10_000):
        index.add(Filter(language=frozenset(["ar"]), entity=frozenset([f"Q{number}", f"Q{number + 1}"])))
        index.add(Filter(language=frozenset(["ar"]), q=frozenset([f"خبر كلمة{number}", f"خبر ثانية{number}"])))
    compared: list[Filter] = []
    matches = Filter.matches

    def watched(self: Filter, given: Event) -> bool:
        compared.append(self)
        return matches(self, given)

    monkeypatch.setattr(Filter, "matches", watched)
    facets = Facets(type="article", languages=frozenset(["ar"]), entities=frozenset(["Q7", "Q8"]))
    met, _ = index.match(event(1, facets, "خبر كلمة5 وثانية6 كلمة77"))
    assert len(met) == 5
    assert len(compared) == 5


def test_the_client_takes_every_filter_of_the_table() -> None:
    """The keywords that type checkers know, and their literal values, are those of the table; types of event too."""
    hints = get_type_hints(FilterValues)
    assert list(hints) == [spec.name for spec in TABLE]
    for spec in TABLE:
        literals = next((get_args(one) for one in get_args(hints[spec.name]) if get_origin(one) is Literal), ())
        assert literals == spec.values
    assert next(spec.values for spec in TABLE if spec.name == "type") == get_args(EventType)


_WITH_ANOTHER_FILTER = """
import khabar.filters as table
table.FILTERS += (table.FilterSpec("publisher", "Publishers.", facet="sources", pattern="[A-Z]+", selectivity=7),)

import khabar
from api.app import create_app
from api.commands import watch
from api.routes import asyncapi, sse
from api.stream import filters
from api.stream.stream_event import Facets
from api.stream.subscription import Subscription
from services.settings import Settings

wanted = filters.parse([("publisher", "RFI,AFP")])
assert wanted == Subscription.of_json({"filter": {"publisher": ["AFP", "RFI"]}}).filter
assert wanted.admits(Facets(type="article", sources=frozenset(["RFI"])))
assert not wanted.admits(Facets(type="article", sources=frozenset(["BBC"])))
try:
    filters.parse([("publisher", "rfi")])
except filters.FilterError as error:
    assert error.name == "publisher"
else:
    raise AssertionError
app = create_app(Settings(_env_file=None))
parameters = app.openapi()["paths"]["/v1/events"]["get"]["parameters"]
assert [one["description"] for one in parameters if one["name"] == "publisher"] == ["Publishers."]
description = asyncapi._description(app)
query = description["channels"]["stream"]["bindings"]["ws"]["query"]["properties"]
assert query["publisher"]["description"] == "Publishers."
for name in ("Filter", "FilterAsked"):
    assert "publisher" in description["components"]["schemas"][name]["properties"]
assert "publisher" in [option.name for option in watch.params]
assert ("publisher", "RFI") in khabar.connect("http://x", publisher="RFI")._stream._parameters
"""


def test_a_filter_is_one_row_of_the_table() -> None:
    """With one more row, gateway, SSE, OpenAPI, AsyncAPI, ``khabar watch`` and the client have the filter."""
    code = [sys.executable, "-c", _WITH_ANOTHER_FILTER]
    done = subprocess.run(code, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
