"""Parsing and checking articles: from bytes to ``ArticleIn``, or to a one-sentence reason why not."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NoReturn

from pydantic import ValidationError

from services.events import ArticleIn

_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class InvalidArticle:
    """Why a value is not an article. ``malformed``: it is not even JSON; ``field``: the wrong field, if it is one."""

    cause: str
    field: str | None = None
    malformed: bool = False

    def __str__(self) -> str:
        return f"{self.field}: {self.cause}" if self.field else self.cause


class MalformedBody(ValueError):
    """A body is not JSON; the message says why."""


class Articles:
    """The articles of a body: ``len()`` of them, parsed and checked one by one while iterating.

    Iterating yields the index of each with an ``ArticleIn``, or with an ``InvalidArticle`` that says what is wrong.
    """

    def __init__(self, values: Sequence[object]) -> None:
        self._values = values

    def __len__(self) -> int:
        return len(self._values)

    def __iter__(self) -> Iterator[tuple[int, ArticleIn | InvalidArticle]]:
        for index, value in enumerate(self._values):
            yield index, check(parse(value) if isinstance(value, bytes) else value)


def articles(body: bytes, *, lines: bool = False) -> Articles:
    """The articles of a body: a JSON object, a JSON array of objects, or (``lines``) a JSON object per line.

    Blank lines and a byte-order mark are skipped. Raises ``MalformedBody`` when the body as a whole is not JSON; a
    line that is not JSON is an ``InvalidArticle``.
    """
    if lines:
        return Articles([line for line in body.removeprefix(_BOM).split(b"\n") if line.strip()])
    parsed = parse(body)
    if isinstance(parsed, InvalidArticle):
        raise MalformedBody(parsed.cause)
    return Articles(parsed if isinstance(parsed, list) else [parsed])


def parse(data: bytes) -> object | InvalidArticle:
    """One JSON value in UTF-8 (a byte-order mark is allowed), or why the data is not one."""
    try:
        parsed: object = json.loads(data.decode("utf-8-sig"), parse_constant=_no_constant)
        return parsed
    except UnicodeDecodeError as error:
        return InvalidArticle(f"not UTF-8: {error.reason} at byte {error.start}", malformed=True)
    except RecursionError:
        return InvalidArticle("not JSON: nested too deeply", malformed=True)
    except ValueError as error:  # includes NaN, and numbers with too many digits
        return InvalidArticle(f"not JSON: {error}", malformed=True)


def check(value: object) -> ArticleIn | InvalidArticle:
    """Build an article from a parsed JSON value, or say which field is wrong and why."""
    if isinstance(value, InvalidArticle):
        return value
    if not isinstance(value, dict):
        return InvalidArticle("must be a JSON object")
    try:
        return ArticleIn.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        # The only check of the article as a whole is that it has a body.
        field = str(first["loc"][0]) if first["loc"] else "text"
        return InvalidArticle(first["msg"].removeprefix("Value error, "), field)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")
