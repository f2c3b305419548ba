"""Parsing and checking articles: from bytes to ``ArticleIn``, or to a one-sentence reason why not."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, NoReturn

from pydantic import ValidationError

from services.events import ArticleIn

_MAX_DIGITS = 4_000  # Python itself refuses integers of more than 4,300
_BOM = b"\xef\xbb\xbf"


MAX_DEPTH = 100
# The largest number of members, list elements and nested values of one article, and of all on average.
MAX_VALUES = 1_000
MEAN_VALUES = 100
# What structures a JSON text; strings are matched as a whole. Possessive: it never goes back, whatever the input.
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[\]{},]', re.DOTALL)
# In a longer body, strings are matched in pieces: a match keeps all other threads waiting.
_LONG = 200_000
_MARK = re.compile(rb'["\[\]{},]')
_PIECE = re.compile(rb'(?:[^"\\]{1,4096}+|\\.){0,32}+', re.DOTALL)
_VALUE_TOKENS = frozenset({b",", b"[", b"{"})
_STEPS = {b"[": 1, b"{": 1, b"]": -1, b"}": -1}
_SPACE = re.compile(rb"[ \t\r\n]*+")
# An object without objects in it, and what follows it in an array.
_SIMPLE = re.compile(
    rb'[ \t\r\n]*+(\{(?:[^"{}\[\]]++|"(?:[^"\\]++|\\.)*+"|\[(?:[^"{}\[\]]++|"(?:[^"\\]++|\\.)*+")*+\])*+\})'
    rb"[ \t\r\n]*+[,\]]",
    re.DOTALL,
)
# Space of any length, or a line from its first visible character on.
_LINE = re.compile(rb"\s++|\S[^\n]*+")


@dataclass(frozen=True)
class InvalidArticle:
    """Why a value is not an article. ``malformed``: it is not even JSON; ``too_long``: it was not read;
    ``forbidden``: it is one, but who sent it may not; ``field``: the wrong field, if it is one."""

    cause: str
    field: str | None = None
    malformed: bool = False
    too_long: bool = False
    forbidden: bool = False

    def __str__(self) -> str:
        return f"{self.field}: {self.cause}" if self.field else self.cause


class _Element(NamedTuple):
    """The place of an article in a body, or why it is not read."""

    start: int
    end: int
    invalid: InvalidArticle | None


class MalformedBody(ValueError):
    """A body is not JSON; the message says why."""


class TooMany(ValueError):
    """A body has more articles or values than are allowed; the message says which and how many."""


class Articles:
    """The articles of a body: ``len()`` of them, parsed and checked one by one while iterating.

    Iterating yields the index of each with an ``ArticleIn``, or with an ``InvalidArticle`` that says what is wrong.
    Raises ``MalformedBody`` when an element of an array is not JSON: then the body as a whole is not JSON.
    """

    def __init__(self, body: bytes, elements: Sequence[_Element], *, lines: bool) -> None:
        self._body = body
        self._elements = elements
        self._lines = lines

    def __len__(self) -> int:
        return len(self._elements)

    def __iter__(self) -> Iterator[tuple[int, ArticleIn | InvalidArticle]]:
        for index, (start, end, cause) in enumerate(self._elements):
            value = cause or parse(self._body[start:end])
            if isinstance(value, InvalidArticle) and value.malformed and not self._lines:
                raise MalformedBody(f"element {index}: {value}" if len(self) > 1 else str(value))
            yield index, check(value)


def articles(body: bytes, *, lines: bool = False, most: int) -> Articles:
    """The articles of a body: a JSON object, a JSON array of objects, or (``lines``) a JSON object per line.

    Blank lines and a byte-order mark are skipped. Values are counted before any of them becomes an object, so that a
    small body cannot take much memory or time. Raises ``TooMany`` for more than ``most`` articles or too many values,
    and ``MalformedBody`` when the body as a whole is not JSON; a line that is not JSON is an ``InvalidArticle``.
    """
    find = _line_elements if lines else _json_elements
    return Articles(body, find(body, most), lines=lines)


def _tokens(body: bytes, start: int, end: int | None = None) -> Iterator[re.Match[bytes]]:
    """What structures a JSON text; strings may be among it."""
    end = len(body) if end is None else end
    return _TOKEN.finditer(body, start, end) if end - start < _LONG else _long_tokens(body, start, end)


def _long_tokens(body: bytes, start: int, end: int) -> Iterator[re.Match[bytes]]:
    while (token := _MARK.search(body, start, end)) is not None:
        start = token.end()
        if token[0] != b'"':
            yield token
            continue
        while (piece := _PIECE.match(body, start, end)) is not None and piece.end() > start:
            start = piece.end()
        start += 1  # the quotation mark


def _line_elements(body: bytes, most: int) -> list[_Element]:
    found: list[_Element] = []
    for line in _LINE.finditer(body, len(_BOM) if body.startswith(_BOM) else 0):
        if line[0][:1].isspace():
            continue
        if len(found) == most:
            raise TooMany(f"more than {most} articles in one request")
        depth = values = 0
        cause = None
        # Most lines have so few marks, those in their strings too, that there is nothing to count.
        if _is_simple(body, line.start(), line.end()):
            found.append(_Element(line.start(), line.end(), None))
            continue
        for token in _tokens(body, line.start(), line.end()):
            depth += _STEPS.get(token[0], 0)
            values += token[0] in _VALUE_TOKENS
            if depth > MAX_DEPTH or values > MAX_VALUES:
                cause = _too_complex(depth)
                break
        found.append(_Element(line.start(), line.end(), cause))
    return found


def _json_elements(body: bytes, most: int) -> list[_Element]:
    """The elements of an array, or the one value that the body is, without building any value."""
    first = _after_space(body, len(_BOM) if body.startswith(_BOM) else 0)
    is_array = body[first : first + 1] == b"["
    simple = _simple_elements(body, first, most) if is_array else [_Element(0, len(body), None)]
    if simple and (is_array or _is_simple(body, first, len(body))):
        return simple
    most_values = MAX_VALUES + MEAN_VALUES * most
    found: list[_Element] = []
    start, depth, values, total = first + 1, 0, 0, 0
    for token in _tokens(body, first):
        mark = token[0]
        depth += _STEPS.get(mark, 0)
        if mark in _VALUE_TOKENS:
            values += 1
            total += 1
        if depth > MAX_DEPTH:
            raise MalformedBody(str(_too_complex(depth)))
        if total > most_values:
            raise TooMany(f"more than {most_values} members and values in one request")
        if not is_array or depth > 1 or (depth and mark != b","):
            continue
        # A comma between two elements, or the end of the array.
        if found or mark == b"," or _after_space(body, start) < token.start():
            if len(found) == most:
                raise TooMany(f"more than {most} articles in one request")
            found.append(_Element(start, token.start(), _too_complex(depth) if values > MAX_VALUES else None))
        start, values = token.end(), 0
        if not depth:
            if mark != b"]" or _after_space(body, start) < len(body):
                raise MalformedBody("not JSON: the array does not end the body")
            return found
    if is_array:
        raise MalformedBody("not JSON: the array does not end")
    return [_Element(0, len(body), _too_complex(depth) if values > MAX_VALUES else None)]


def _is_simple(body: bytes, start: int, end: int) -> bool:
    """Whether a part of a body is within the limits of one article, however its strings are read."""
    nested = body.count(b"[", start, end) + body.count(b"{", start, end)
    return nested <= MAX_DEPTH and nested + body.count(b",", start, end) <= MAX_VALUES


def _simple_elements(body: bytes, first: int, most: int) -> list[_Element] | None:
    """As ``_json_elements``, for an array of objects without objects in them, as most are; None for any other."""
    found: list[_Element] = []
    at = first + 1
    while len(found) < most:
        # One match keeps all other threads waiting.
        element = _SIMPLE.match(body, at, at + _LONG)
        if element is None or not _is_simple(body, *element.span(1)):
            return None
        found.append(_Element(*element.span(1), None))
        at = element.end()
        if body[at - 1 : at] == b"]":
            return found if _after_space(body, at) == len(body) else None
    return None


def array_elements(body: bytes) -> Iterator[bytes]:
    """The elements of a JSON array, one after the other and not parsed; also those before damage.

    Raises ``MalformedBody`` where the array does not end, or something follows it.
    """
    start = _after_space(body, len(_BOM) if body.startswith(_BOM) else 0) + 1
    depth = found = 0
    for token in _tokens(body, start - 1):
        depth += _STEPS.get(token[0], 0)
        if depth > 1 or (depth == 1 and token[0] != b","):
            continue
        element = body[start : token.start()]
        start = token.end()
        if depth or found or element.strip():
            found += 1
            yield element
        if not depth:
            if _after_space(body, start) < len(body):
                raise MalformedBody("not JSON: the array does not end the file")
            return
    if body[start:].strip():
        yield body[start:]
    raise MalformedBody("not JSON: the array does not end")


def _too_complex(depth: int) -> InvalidArticle:
    if depth > MAX_DEPTH:
        return InvalidArticle("not JSON: nested too deeply", malformed=True)
    return InvalidArticle(f"more than {MAX_VALUES} members and values")


def _after_space(body: bytes, start: int) -> int:
    found = _SPACE.match(body, start)
    return found.end() if found else start


def parse(data: bytes) -> object | InvalidArticle:
    """One JSON value in UTF-8 (a byte-order mark is allowed), or why the data is not one."""
    try:
        parsed: object = _DECODER.decode(data.removeprefix(_BOM).decode())
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


def _integer(digits: str) -> int:
    if len(digits) > _MAX_DIGITS:
        raise ValueError(f"a number has {len(digits)} characters, more than {_MAX_DIGITS}")
    return int(digits)


# One for all: making one takes as long as reading a short article.
_DECODER = json.JSONDecoder(parse_constant=_no_constant, parse_int=_integer)
