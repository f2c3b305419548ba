"""Filters are bounded wherever they are taken, and neither a filter nor a long text holds up the event loop."""

import asyncio
import contextlib
import json
import time
from typing import Any
from urllib.parse import urlencode

import pytest

from api.stream.filters import Filter, FilterIndex
from api.stream.stream_event import Facets
from api.stream.turns import Turns
from tests.api.conftest import Running, Updates, an_article, ids
from tests.api.streams import event

_TOO_MANY = {"entity": [f"Q{number}" for number in range(60)], "topic": [f"medtop:{number}" for number in range(41)]}
_TOO_LONG = {"q": " ".join(f"كلمة{number}" for number in range(11))}
_MOST = {"entity": [f"Q{number}" for number in range(60)], "topic": [f"medtop:{number}" for number in range(40)]}


@pytest.mark.parametrize(("wanted", "field"), [(_TOO_MANY, "topic"), (_TOO_LONG, "q")])
async def test_a_filter_beyond_the_bounds_is_refused_everywhere(
    gateway: Running, wanted: dict[str, Any], field: str
) -> None:
    """101 values in all, or 11 words a ``q``: an error that names the filter, over each way to ask."""
    query = urlencode(wanted, doseq=True)
    async with gateway.stream() as subscriber:
        await subscriber.next()
        await subscriber.op(op="subscribe", filter=wanted)
        error = await subscriber.next()
        assert (error["code"], error["field"]) == ("bad_filter", field)
        await subscriber.op(op="subscribe", filter=_MOST)
        assert (await subscriber.next())["filter"]["entity"] == sorted(_MOST["entity"])
    async with gateway.stream(**wanted) as subscriber:
        error = await subscriber.next()
        assert (error["code"], error["field"]) == ("bad_filter", field)
    status, body, _ = await gateway.get(f"/v1/events?{query}")
    assert (status, body["code"], body["field"]) == (400, "bad_filter", field)
    webhook = {"url": "https://receiver.invalid/", "filter": wanted}
    async with gateway.http.post(f"{gateway.url}/v1/webhooks", json=webhook) as answer:
        assert (answer.status, (await answer.json())["field"]) == (422, field)


async def test_stories_take_the_same_bounds(gateway: Running) -> None:
    """``/v1/stories`` answers 422 and names the filter."""
    status, body, _ = await gateway.get(f"/v1/stories?{urlencode(_TOO_MANY, doseq=True)}")
    assert (status, body["field"]) == (422, "topic")


async def test_long_frames_count_as_several(gateway: Running) -> None:
    """Filters as long as a frame may be are taken a few times at once, then the connection is closed: too_many."""
    async with gateway.stream() as subscriber:
        long = {"q": [f"{number}" + "ي" * 190 for number in range(100)]}
        text = json.dumps({"op": "subscribe", "filter": long}, ensure_ascii=False)
        with contextlib.suppress(Exception):
            for _ in range(20):
                await subscriber.socket.send(text)
        taken = 0
        while (message := await subscriber.next())["type"] != "error":
            taken += 1
        assert message["code"] == "too_many"
        assert 2 <= taken <= 8


async def test_the_words_of_a_long_text_are_extracted_in_pieces() -> None:
    """While they are extracted, other tasks run every few milliseconds; the result is that of the whole text."""
    text = " ".join(f"ﻻ{number} كلمة{number}" for number in range(60_000))
    facets = Facets(type="article", languages=frozenset(["ar"]))
    whole, pieces = event(1, facets, text), event(2, facets, text)
    began = time.monotonic()
    expected = whole.words()
    at_once = time.monotonic() - began
    assert not pieces.is_prepared()
    longest = 0.0
    preparing = asyncio.gather(*(pieces.prepare(Turns()) for _ in range(3)))
    while not preparing.done():
        began = time.monotonic()
        await asyncio.sleep(0)
        longest = max(longest, time.monotonic() - began)
    assert pieces.words() == expected
    assert longest < at_once / 4


async def test_matching_costs_little_for_each_filter() -> None:
    """A hundred filters of a thousand words each are compared with a long text in milliseconds."""
    index = FilterIndex()
    vocabulary = [f"كلمة{number}" for number in range(3_000)]
    for number in range(100):
        several = [" ".join([*vocabulary[at : at + 9], f"غيرموجود{number}"]) for at in range(0, 1_000, 10)]
        index.add(Filter(q=several))
    long = event(1, Facets(type="article"), " ".join(vocabulary * 10))
    await long.prepare(Turns())
    began = time.process_time()
    assert index.match(long) == ([], [])
    # A hundred thousand words looked up one by one in the text would take seconds.
    assert time.process_time() - began < 0.2


async def test_subscribers_get_a_long_article_in_order_and_once(gateway: Running, updates: Updates) -> None:
    """Whether or not their filter depends on its words, and whether they were caught up or read from a cursor."""
    long = " ".join(["خبر طويل عن الزلزال", *(f"كلمة{number}" for number in range(20_000))])
    records = [
        an_article(text="قبل الزلزال"),
        an_article(text=long, language="fr"),
        an_article(text="بعد الزلزال"),
    ]
    parameters: list[dict[str, Any]] = [
        {},
        {"q": "الزلزال"},
        {"q": "زلزال هنا,كلمة19999"},
        {"q": "الزلزال", "language": "ar"},
        {"q": "الزلزال", "source": "nobody,الجزيرة"},
    ]
    first, middle, last = (record.id for record in records)
    expected = [[first, middle, last], [first, middle, last], [middle], [first, last], [first, middle, last]]
    async with contextlib.AsyncExitStack() as stack:
        subscribers = [await stack.enter_async_context(gateway.stream(**one)) for one in parameters]
        cursors = [(await subscriber.next())["cursor"] for subscriber in subscribers]
        await updates.send(*records)
        for subscriber, wanted in zip(subscribers, expected, strict=True):
            assert ids(await subscriber.events(len(wanted))) == wanted
        for subscriber, cursor, one, wanted in zip(subscribers, cursors, parameters, expected, strict=True):
            await subscriber.op(
                op="subscribe", cursor=cursor, filter={name: value.split(",") for name, value in one.items()}
            )
            await subscriber.until("subscribed")
            assert ids(await subscriber.events(len(wanted))) == wanted
