"""Refusing a push: the answer is a problem document, and says what may have been accepted."""

from typing import Final, NoReturn

from services import problems
from services.events import Problem
from services.parsing import InvalidArticle

# A refused body is not read to its end.
CLOSE: Final = {"Connection": "close"}
LATER: Final = {"Retry-After": "5"}
# In the detail of a 503: whether articles may have been accepted.
NOTHING_ACCEPTED: Final = "nothing was accepted"
MAYBE_ACCEPTED: Final = "some or all may still have been accepted; sending all of them again is safe"


class Refusal(Exception):
    """The request is refused: the response is this problem document."""

    def __init__(self, problem: Problem, headers: dict[str, str] | None = None) -> None:
        super().__init__(problem.detail)
        self.problem = problem
        self.headers = headers or {}


def refuse(status: int, detail: str, *, field: str | None = None, headers: dict[str, str] | None = None) -> NoReturn:
    """Raise ``Refusal``."""
    raise Refusal(problems.problem(status, detail, field), headers)


def refuse_all(index: int, invalid: InvalidArticle, *, count: int) -> NoReturn:
    """Refuse a request in which all articles are invalid; ``index`` and ``invalid``: the first of them."""
    of = f" (none of {count} articles is acceptable)" if count > 1 else ""
    status = 403 if invalid.forbidden else 413 if invalid.too_long else 400 if invalid.malformed else 422
    refuse(status, f"index {index}: {invalid}{of}", field=invalid.field)
