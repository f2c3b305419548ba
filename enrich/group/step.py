"""One step of group as bytes: the article's row, and what does not fit into a row as JSON.

``version (1 byte) | ROW | JSON``. Rows are read as they are, by the thousand.
"""

import base64
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, TypeAdapter
from pydantic_core import to_json

from enrich.dates import event_days
from enrich.fingerprint import embedding
from enrich.fingerprint.features import FEATURES
from enrich.group.columns import ENTITIES, ROW, TOPICS
from enrich.group.window import LabelledTopic, NamedEntity, PendingArticle

_VERSION = b"\x01"
_ROW_END = 1 + ROW.itemsize
# µs since 1970 of a time that can be expressed.
_MAX_TIME = 250_000_000_000_000_000
_TIMES = ("received", "published")
# The ordinal of no day is as large.
_MAX_DAY = date.max.toordinal() + 1

_Age = Annotated[int, Field(ge=0, lt=1 << 30)]
_Time = Annotated[int, Field(gt=-_MAX_TIME, lt=_MAX_TIME)]


@dataclass(slots=True)
class _Rest:
    """What of a step does not fit into a row."""

    id: str
    title: str
    language: str
    source: str | None
    entities: Annotated[list[NamedEntity], Field(max_length=ENTITIES)]
    topics: Annotated[list[LabelledTopic], Field(max_length=TOPICS)]
    scores: Annotated[list[Annotated[int, Field(ge=0, le=100)]], Field(max_length=TOPICS)]
    original: str | None
    age: _Age
    story: tuple[str, _Age, _Age, _Age, _Time, _Time]
    merged: list[str]
    split: tuple[str, list[_Age], _Age, _Time, _Time] | None
    # Absent where there are none, and in entries of older releases.
    meaning: str | None = None
    event: tuple[str, str] | None = None
    days: Annotated[list[Annotated[int, Field(gt=-_MAX_DAY, lt=_MAX_DAY)]], Field(max_length=event_days.MOST)] = (
        dataclasses.field(default_factory=list)
    )


_REST = TypeAdapter(_Rest)


@dataclass(frozen=True, slots=True)
class Split:
    """Articles that moved to the new ``story``, each as how many articles arrived since (0 is the last one).

    ``title_age`` is the same for the article that gives the new story its title; ``first`` and ``last`` are the
    story's.
    """

    story: str
    articles: Sequence[int]
    title_age: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class GroupStep:
    """What group did with one article.

    The article joined ``story``, which was opened ``age`` articles before and has its title from the article
    ``title_age`` before; ``size``, ``first`` and ``last`` are the story's after the step. ``merged``: ids of stories
    that were merged into it before the article joined. ``split``: what left the story after that.
    """

    article: PendingArticle
    story: str
    age: int
    title_age: int
    size: int
    first: int
    last: int
    merged: Sequence[str] = ()
    split: Split | None = None


def encode(step: GroupStep) -> bytes:
    """A step as bytes."""
    article = step.article
    rest = {
        "id": article.id,
        "title": article.title,
        "language": article.language,
        "source": article.source,
        "entities": article.entities,
        "topics": article.topics,
        "scores": article.scores,
        "original": article.original,
        "age": article.age,
        "story": [step.story, step.age, step.title_age, step.size, step.first, step.last],
        "merged": step.merged,
        "split": step.split
        and [step.split.story, step.split.articles, step.split.title_age, step.split.first, step.split.last],
        "meaning": None if article.meaning is None else _base64(article.meaning),
        "event": None if article.event is None else [_base64(part) for part in article.event],
        "days": article.days,
    }
    return _VERSION + article.row.tobytes() + to_json(rest)


def decode(entry: bytes) -> GroupStep:
    """The step that ``encode`` wrote. Raises ``ValueError`` for any other bytes."""
    if entry[:1] != _VERSION or len(entry) <= _ROW_END:
        raise ValueError("not an entry of group")
    rest = _REST.validate_json(entry[_ROW_END:])
    row = np.frombuffer(entry, ROW, count=1, offset=1)[0]
    if row["features"].max() >= FEATURES or not all(abs(int(row[name])) < _MAX_TIME for name in _TIMES):
        raise ValueError("not an entry of group: a feature or a time is out of range")
    story, age, title_age, size, first, last = rest.story
    split = rest.split
    return GroupStep(
        PendingArticle(
            row,
            rest.id,
            rest.title,
            rest.language,
            rest.source,
            rest.entities,
            rest.topics,
            rest.scores,
            rest.original,
            rest.age,
            embedding.unpack(rest.meaning) if rest.meaning else None,
            np.stack([embedding.unpack(part) for part in rest.event]) if rest.event else None,
            rest.days,
        ),
        story,
        age,
        title_age,
        size,
        first,
        last,
        rest.merged,
        Split(*split) if split else None,
    )


def _base64(packed: NDArray[np.uint8]) -> str:
    return base64.b64encode(packed.tobytes()).decode()
