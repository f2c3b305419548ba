"""One step of group as bytes: the article's row, and what a row has no room for as JSON.

``version (1 byte) | ROW | JSON``. Rows are read back as they are, by the thousand.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydantic_core import from_json, to_json

from enrich.fingerprint import embedding
from enrich.group.columns import ROW
from enrich.group.window import PendingArticle

_VERSION = b"\x01"
_ROW_END = 1 + ROW.itemsize


@dataclass(frozen=True, slots=True)
class Split:
    """Articles, each by how many came since (0 is the last), that moved to a new story."""

    story: str
    articles: Sequence[int]
    titled: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class GroupStep:
    """What group did with one article.

    ``story`` took it, which began ``age`` articles before and has its title from the article ``titled`` before;
    ``size``, ``first`` and ``last`` are that story's afterwards. ``merged``: ids of stories that became one with it
    before the article came. ``split``: what fell off the story after it.
    """

    draft: PendingArticle
    story: str
    age: int
    titled: int
    size: int
    first: int
    last: int
    merged: Sequence[str] = ()
    split: Split | None = None


def encode(step: GroupStep) -> bytes:
    """A step as bytes."""
    draft = step.draft
    rest = {
        "id": draft.id,
        "title": draft.title,
        "language": draft.language,
        "source": draft.source,
        "entities": draft.entities,
        "topics": draft.topics,
        "scores": draft.scores,
        "original": draft.original,
        "age": draft.age,
        "vector": None if draft.vector is None else base64.b64encode(draft.vector.tobytes()).decode(),
        "story": [step.story, step.age, step.titled, step.size, step.first, step.last],
        "merged": step.merged,
        "split": step.split
        and [step.split.story, step.split.articles, step.split.titled, step.split.first, step.split.last],
    }
    return _VERSION + draft.row.tobytes() + to_json(rest)


def decode(entry: bytes) -> GroupStep:
    """The step that ``encode`` wrote. Raises ``ValueError`` for anything else."""
    if entry[:1] != _VERSION or len(entry) <= _ROW_END:
        raise ValueError("this is no entry of group")
    try:
        rest = from_json(entry[_ROW_END:])
        row = np.frombuffer(entry, ROW, count=1, offset=1)[0]
        story, age, titled, size, first, last = rest["story"]
        split = rest["split"]
        return GroupStep(
            PendingArticle(
                row,
                rest["id"],
                rest["title"],
                rest["language"],
                rest["source"],
                [tuple(named) for named in rest["entities"]],
                [tuple(labelled) for labelled in rest["topics"]],
                rest["scores"],
                rest["original"],
                rest["age"],
                embedding.unpack(rest["vector"]) if rest["vector"] else None,
            ),
            story,
            age,
            titled,
            size,
            first,
            last,
            rest["merged"],
            Split(*split) if split else None,
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"this is no entry of group: {error!r}") from error
