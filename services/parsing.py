"""From bytes to a checked article, or to the one sentence that says why not."""

import json
from dataclasses import dataclass
from typing import NoReturn

from pydantic import ValidationError

from services.events import ArticleIn


@dataclass(frozen=True)
class InvalidArticle:
    """Why something is no article. ``malformed``: not even JSON; ``field``: the offending one, if it is one."""

    cause: str
    field: str | None = None
    malformed: bool = False

    def __str__(self) -> str:
        return f"{self.field}: {self.cause}" if self.field else self.cause


def parse(data: bytes) -> object | InvalidArticle:
    """One JSON value in UTF-8 (a byte-order mark is tolerated), or why it is none."""
    try:
        parsed: object = json.loads(data.decode("utf-8-sig"), parse_constant=_no_constant)
        return parsed
    except UnicodeDecodeError as error:
        return InvalidArticle(f"not UTF-8: {error.reason} at byte {error.start}", malformed=True)
    except RecursionError:
        return InvalidArticle("not JSON: nested too deeply", malformed=True)
    except ValueError as error:  # also NaN, and numbers of too many digits
        return InvalidArticle(f"not JSON: {error}", malformed=True)


def check(value: object) -> ArticleIn | InvalidArticle:
    """Make an article of a parsed JSON value, or say which field is wrong and why."""
    if isinstance(value, InvalidArticle):
        return value
    if not isinstance(value, dict):
        return InvalidArticle("must be a JSON object")
    try:
        return ArticleIn.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        # The one check that looks at the whole article is that for a body.
        field = str(first["loc"][0]) if first["loc"] else "text"
        return InvalidArticle(first["msg"].removeprefix("Value error, "), field)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")
