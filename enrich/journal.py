"""Group's memory: written with its output, read back from it.

Every record that group publishes on ``updates`` carries in its headers the offset on ``articles.annotated`` it
was made from, which of that input's outputs it is, and what group must remember of the article. So a record, the
state behind it and the offset it reflects are written by one append, and a worker that takes over reads its
state from the log that subscribers read: what they saw is what it continues.
"""

from datetime import timedelta
from typing import Final

import structlog

from enrich.group import Entry, Grouper
from enrich.stage import Output
from services import kafka, topics
from services.events import Article, Story

log = structlog.get_logger(__name__)

_INPUT: Final = "input"
_PART: Final = "part"
_ENTRY: Final = "entry"
_TYPE: Final = "type"
# Arrival is stamped by another machine than the log's append; clocks differ a little.
_CLOCKS = timedelta(minutes=10)


def article_output(article: Article, entry: Entry, input_offset: int) -> Output:
    """The first of an input's two records."""
    return _output("article", article.id, article.encode(), input_offset, b"1", (_ENTRY, entry.encode()))


def story_output(story: Story, input_offset: int) -> Output:
    """The second of an input's two records."""
    return _output("story", story.id, story.encode(), input_offset, b"2")


def _output(kind: str, key: str, value: bytes, input_offset: int, part: bytes, *more: tuple[str, bytes]) -> Output:
    headers = [(_TYPE, kind.encode()), (_INPUT, str(input_offset).encode()), (_PART, part), *more]
    return Output(topics.UPDATES.name, key.encode(), value, headers)


async def read_back(bootstrap: str, window: timedelta, now_ms: int) -> tuple[Grouper, int, list[Output]]:
    """Group's state as of the end of ``updates``.

    Returns the grouper, the last input offset whose output is there (-1 when none is), and the output that this
    input still owes when its worker ended between its two records.
    """
    grouper = Grouper(window)
    last_input, owing = -1, None
    async with kafka.reader(bootstrap, topics.UPDATES.name) as reader:
        oldest, end = await reader.oldest(), await reader.end()
        start = max(oldest, await reader.at(now_ms - int((window + _CLOCKS).total_seconds() * 1000)))
        if start == end > oldest:
            start = end - 1  # nothing is in the window, but the last record tells the offset
        async for record in reader.between(start, end):
            try:
                kind = kafka.header(record.headers, _TYPE)
                input_offset = int(kafka.header(record.headers, _INPUT) or last_input)
                if kind == "article":
                    article = Article.model_validate_json(record.value)
                    entry = Entry.model_validate_json(kafka.header(record.headers, _ENTRY) or "")
                    grouper.restore_article(article, entry)
                    owing = article
                elif kind == "story":
                    grouper.restore_story(Story.model_validate_json(record.value))
                    owing = None
            except ValueError as error:  # not group's own writing; it must not keep group from starting
                log.warning("foreign record on updates", offset=record.offset, cause=str(error)[:300])
                continue
            last_input = input_offset
    return grouper, last_input, [story_output(grouper.announce(owing), last_input)] if owing else []
