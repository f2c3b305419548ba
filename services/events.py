"""Every record that moves through Khabar.

``ArticleIn`` is what a publisher sends; ``RawArticle`` is that plus identity, on ``articles.raw``;
``AnnotatedArticle`` is what annotate makes of it, on ``articles.annotated``. The public models (``Article``, ``Story``,
``Trend``, ``Envelope`` and what is in them) are defined in khabar/events.py; group publishes them on ``updates``.
"""

import re
from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    Field,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_validator,
)

from khabar.events import (
    Article,
    Date,
    Entity,
    EntityType,
    Envelope,
    EventType,
    Mention,
    Quote,
    Record,
    Span,
    Story,
    Topic,
    Trend,
    TrendKind,
    TrendWindow,
)
from services import characters

__all__ = [
    "Accepted",
    "AnnotatedArticle",
    "Article",
    "ArticleIn",
    "Date",
    "Entity",
    "EntityType",
    "Envelope",
    "EventType",
    "Line",
    "Mention",
    "Problem",
    "PushResult",
    "Quote",
    "RawArticle",
    "Record",
    "Rejected",
    "Span",
    "Story",
    "Topic",
    "Trend",
    "TrendKind",
    "TrendWindow",
]

# Years that remain valid in every time zone.
_EARLIEST_YEAR, _LATEST_YEAR = 1000, 9000

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}")

_URL_LENGTH = 2_048

Line = StringConstraints(strip_whitespace=True)


def _in_reach(value: datetime) -> datetime:
    """A time that can be expressed in every time zone. Raises ``ValueError``."""
    if not _EARLIEST_YEAR <= value.year <= _LATEST_YEAR:
        raise ValueError(f"the year must be from {_EARLIEST_YEAR} to {_LATEST_YEAR}")
    return value


class ArticleIn(Record):
    """An article as a publisher sends it: ``POST /v1/articles``, a JSONL line, a feed entry.

    One of ``text`` and ``html`` is required and must not be blank; everything else is optional. Control characters and
    direction overrides are removed from what is shown on one line, and ``url`` is encoded as RFC 3986 has it.
    """

    text: Annotated[str, Field(max_length=1_000_000)] | None = None
    html: Annotated[str, Field(max_length=2_000_000)] | None = None
    title: Annotated[str, Field(max_length=2_000), Line] | None = None
    url: Annotated[str, Field(max_length=_URL_LENGTH), Line] | None = None
    source: Annotated[str, Field(max_length=200), Line] | None = None
    guid: Annotated[str, Field(max_length=1_000), Line] | None = None
    published_at: AwareDatetime | None = None
    authors: Annotated[list[Annotated[str, Field(max_length=200), Line]], Field(max_length=50)] = []
    language: Annotated[str, Field(max_length=35, pattern=r"^[A-Za-z]{2,3}([-_][A-Za-z0-9]{1,8})*$")] | None = None

    @field_validator("title", "source", "guid", "url", "language", mode="before")
    @classmethod
    def _clean_or_absent(cls, value: object, info: ValidationInfo) -> object:
        if isinstance(value, str) and info.field_name in {"source", "guid"}:
            value = characters.one_line(value)
        elif isinstance(value, str) and info.field_name == "title":
            value = characters.plain(value)
        return None if isinstance(value, str) and not value.strip() else value

    @field_validator("authors", mode="before")
    @classmethod
    def _clean_authors(cls, value: object) -> object:
        if isinstance(value, list):
            return [characters.one_line(one) if isinstance(one, str) else one for one in value]
        return [] if value is None else value

    @field_validator("url")
    @classmethod
    def _web_address(cls, value: str | None) -> str | None:
        if value is not None and len(value := characters.web_address(value)) > _URL_LENGTH:
            raise ValueError(f"must have at most {_URL_LENGTH} characters, percent-encoded")
        return value

    @field_validator("published_at", mode="before")
    @classmethod
    def _date_as_text(cls, value: object) -> object:
        # pydantic would read a number (also one in quotes) as seconds since 1970, which no publisher means.
        if value is None or isinstance(value, datetime) or (isinstance(value, str) and _DATE.match(value)):
            return value
        raise ValueError("must be a date and time as in RFC 3339, such as 2026-11-06T12:30:00+03:00")

    @field_validator("published_at")
    @classmethod
    def _date_in_reach(cls, value: datetime | None) -> datetime | None:
        return None if value is None else _in_reach(value)

    @model_validator(mode="after")
    def _has_body(self) -> Self:
        if not ((self.text and self.text.strip()) or (self.html and self.html.strip())):
            raise ValueError("text or html is required and must not be blank")
        return self


class RawArticle(ArticleIn):
    """An accepted article on ``articles.raw``: what was sent, plus its identity and arrival time."""

    id: Annotated[str, Field(max_length=200)]
    received_at: Annotated[AwareDatetime, AfterValidator(_in_reach)]


class AnnotatedArticle(Record):
    """What annotate makes of a raw article: everything that needs no other article to be known.

    ``published_at`` is what the publisher gave, else the date in the text; ``published_basis`` is which of the two.
    ``boilerplate`` are the parts that do not belong to the news; they are shown but not evaluated. ``sequence`` is the
    raw record's offset on ``articles.raw``: of two records of one article that arrived together, the one with the
    higher offset is newer. ``fingerprint`` changes exactly when title or news do. Near-duplicate search uses
    ``signature`` (a MinHash, base64 of bytes), ``sketch`` (lowest hashes, base64 of little-endian 32-bit words) and
    ``shingles`` (the number of different ones in the text). Story grouping uses ``terms``, the content words,
    ``shared``, the features that are the same in every language (both base64 of feature numbers and weights), and
    three vectors (base64 of 256 numbers of four bits): ``meaning``, of title and beginning, ``event_title`` and
    ``event_text``, of both without the names in them.
    """

    id: Annotated[str, Field(max_length=200)]
    received_at: Annotated[AwareDatetime, AfterValidator(_in_reach)]
    sequence: int = 0
    source: str | None
    url: str | None
    title: str | None
    text: str
    published_at: Annotated[AwareDatetime, AfterValidator(_in_reach)] | None
    published_basis: Literal["given", "text"] | None = None
    authors: list[str] = []
    language: str
    language_score: float
    entities: list[Entity]
    topics: list[Topic] = []
    quotes: list[Quote] = []
    dates: list[Date] = []
    boilerplate: list[Span] = []
    fingerprint: str
    signature: str
    sketch: str
    shingles: Annotated[int, Field(ge=1)]
    shared: str
    terms: str
    meaning: str | None = None
    event_title: str | None = None
    event_text: str | None = None


class Accepted(Record):
    """One accepted article of a push: its index in the request and its id."""

    index: int
    id: str


class Rejected(Record):
    """One rejected article of a push: its index in the request and the reason."""

    index: int
    error: str


class PushResult(Record):
    """Answer to ``POST /v1/articles``."""

    accepted: list[Accepted]
    rejected: list[Rejected]


class Problem(Record):
    """RFC 9457 problem details; ``field`` names the offending input where there is one."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    field: str | None = None
