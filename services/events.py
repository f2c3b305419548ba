"""The one definition of every record that moves through Khabar.

``ArticleIn`` is what a publisher sends; ``RawArticle`` is that plus identity, on ``articles.raw``;
``AnnotatedArticle`` is what annotate makes of it, on ``articles.annotated``; ``Article`` and ``Story``
are what group publishes on ``updates`` and what subscribers read inside an ``Envelope``.
"""

import re
from datetime import date, datetime
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    field_validator,
    model_validator,
)

EntityType = Literal["PER", "LOC", "ORG", "MISC"]
EventType = Literal["article", "story", "trend"]
TrendKind = Literal["entity", "topic", "story"]
TrendWindow = Literal["15m", "1h", "24h"]

# Years that stay years whatever time zone they are moved to.
_EARLIEST_YEAR, _LATEST_YEAR = 1000, 9000

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}")

Line = StringConstraints(strip_whitespace=True)


class Record(BaseModel):
    """Base of all records: immutable, unknown fields ignored so that older readers survive newer writers."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    def encode(self) -> bytes:
        """UTF-8 JSON, the form in which every record lies on Kafka."""
        return self.model_dump_json().encode()


class ArticleIn(Record):
    """An article as a publisher sends it: ``POST /v1/articles``, a JSONL line, a feed entry.

    One of ``text`` and ``html`` is required and must not be blank; everything else is optional.
    """

    text: Annotated[str, Field(max_length=1_000_000)] | None = None
    html: Annotated[str, Field(max_length=2_000_000)] | None = None
    title: Annotated[str, Field(max_length=2_000), Line] | None = None
    url: Annotated[str, Field(max_length=2_048), Line] | None = None
    source: Annotated[str, Field(max_length=200), Line] | None = None
    guid: Annotated[str, Field(max_length=1_000), Line] | None = None
    published_at: AwareDatetime | None = None
    authors: Annotated[list[Annotated[str, Field(max_length=200), Line]], Field(max_length=50)] = []
    language: Annotated[str, Field(max_length=35, pattern=r"^[A-Za-z]{2,3}([-_][A-Za-z0-9]{1,8})*$")] | None = None

    @field_validator("title", "url", "source", "guid", "language", mode="before")
    @classmethod
    def _blank_is_absent(cls, value: object) -> object:
        return None if isinstance(value, str) and not value.strip() else value

    @field_validator("authors", mode="before")
    @classmethod
    def _no_authors(cls, value: object) -> object:
        return [] if value is None else value

    @field_validator("url")
    @classmethod
    def _web_address(cls, value: str | None) -> str | None:
        if value is not None:
            parts = urlsplit(value)  # raises ValueError on a malformed address
            if parts.scheme not in {"http", "https"} or not parts.hostname:
                raise ValueError("must be an http or https address")
        return value

    @field_validator("published_at", mode="before")
    @classmethod
    def _date_as_text(cls, value: object) -> object:
        # Left alone, a number (in quotes too) would be read as seconds since 1970; nobody said so.
        if value is None or isinstance(value, datetime) or (isinstance(value, str) and _DATE.match(value)):
            return value
        raise ValueError("must be a date and time as in RFC 3339, such as 2026-11-06T12:30:00+03:00")

    @field_validator("published_at")
    @classmethod
    def _date_in_reach(cls, value: datetime | None) -> datetime | None:
        if value is not None and not _EARLIEST_YEAR <= value.year <= _LATEST_YEAR:
            raise ValueError(f"the year must be from {_EARLIEST_YEAR} to {_LATEST_YEAR}")
        return value

    @model_validator(mode="after")
    def _has_body(self) -> Self:
        if not ((self.text and self.text.strip()) or (self.html and self.html.strip())):
            raise ValueError("text or html is required and must not be blank")
        return self


class RawArticle(ArticleIn):
    """An accepted article on ``articles.raw``: what was sent, plus its identity and arrival time."""

    id: str
    received_at: AwareDatetime


class Mention(Record):
    """One occurrence: code-point offsets such that ``article.text[start:end] == text``."""

    start: int
    end: int
    text: str


class Entity(Record):
    """Somebody or something an article names, under one identity across languages."""

    id: str
    name: str
    type: EntityType
    mentions: list[Mention] = []


class Topic(Record):
    """An IPTC Media Topic (``medtop:…``) with the confidence that the article is about it, 0 to 1."""

    id: str
    label: str
    score: float


class Span(Record):
    """A part of a text: code-point offsets, ``end`` excluded."""

    start: int
    end: int


class Quote(Record):
    """What an article has somebody say: ``article.text[start:end] == text``, quotation marks outside.

    ``speaker`` is the id of one of the article's entities, or null when it is none of them; ``verb`` is the word of
    saying as it stands in the text; ``direct`` tells words in quotation marks from reported speech.
    """

    start: int
    end: int
    text: str
    speaker: str | None
    verb: str | None
    direct: bool


class Date(Record):
    """A day that an article speaks of: ``article.text[start:end] == text``.

    ``basis`` tells how ``date`` was found: ``explicit`` (it stands there in full), ``published`` or ``received``
    (reckoned from the day of publication or, where none is known, of arrival).
    """

    start: int
    end: int
    text: str
    date: date
    basis: Literal["explicit", "published", "received"]


class AnnotatedArticle(Record):
    """What annotate makes of a raw article: everything that needs no other article to be known.

    ``published_at`` is the publisher's word, else the date that the text bears; ``published_basis`` tells which.
    ``boilerplate`` are the parts that do not belong to the news; they are shown, but nothing is told by them.
    ``sequence`` is the raw record's offset on ``articles.raw``: of two records of one article that arrived
    together, the later one is the newer. ``fingerprint`` changes exactly when the content does; ``signature`` (a
    MinHash, base64 of bytes), ``sketch`` (lowest hashes, base64 of little-endian 32-bit words) and ``shingles`` (how
    many different ones the text has) are for near-duplicate search; stories are told apart by ``terms``, the
    content words, ``shared``, what is the same in every language (both base64 of feature numbers and weights), and,
    where vectors are on, ``vector``, what title and beginning mean (base64 of 512 numbers of four bits).
    """

    id: str
    received_at: AwareDatetime
    sequence: int = 0
    source: str | None
    url: str | None
    title: str | None
    text: str
    published_at: AwareDatetime | None
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
    vector: str | None = None


class Article(Record):
    """An article as subscribers see it.

    ``duplicate_of`` is the id of the first-seen article that this one nearly repeats, ``similarity`` the share (0 to 1)
    of its three-word shingles that it has from there. ``story`` is the story that it was told with; stories merge and
    split later.
    """

    id: str
    revision: int
    source: str | None
    url: str | None
    title: str | None
    text: str
    authors: list[str] = []
    published_at: AwareDatetime | None
    published_basis: Literal["given", "text"] | None = None
    received_at: AwareDatetime
    language: str
    language_score: float
    entities: list[Entity]
    topics: list[Topic]
    quotes: list[Quote] = []
    dates: list[Date] = []
    boilerplate: list[Span] = []
    duplicate_of: str | None
    similarity: float | None
    story: str


class Story(Record):
    """Articles that tell the same news, as they are after the last one that changed them.

    ``size`` (duplicates included) and ``first_published`` are of the story's whole life; ``sources``, ``languages``,
    ``entities``, ``topics`` and ``articles`` (newest first, at most 50) of its articles within the window.

    ``merged_into`` is the story that took all its articles: the event that bears it is the story's last, has no
    ``articles``, and otherwise tells the story as it was, so that a filter that let it pass lets this pass too.
    ``split_from`` is the story that the articles of this one were in before. It stands in the first event of the new
    story alone, which lists every article that moved, also more than 50.
    """

    id: str
    title: str
    languages: list[str]
    size: int
    sources: list[str]
    first_published: AwareDatetime
    last_published: AwareDatetime
    entities: list[Entity]
    topics: list[Topic]
    articles: list[str]
    merged_into: str | None = None
    split_from: str | None = None


class Trend(Record):
    """Something named more often than its own past and the volume of the day predict (docs/explanation/trends.md).

    ``count`` is how many articles named it in the ``window`` that ends at ``at``, ``expected`` how many were to be
    expected, ``score`` how surprising that is: -log10 of the probability of so many by chance. ``phase``: it
    ``start``s to rise, has ``grow``n since it was told last, or the rise is at its ``end``; ``started`` is when the
    start was told.
    """

    kind: TrendKind
    id: str
    name: str
    window: TrendWindow
    phase: Literal["start", "grow", "end"]
    count: int
    expected: float
    score: float
    started: AwareDatetime
    at: AwareDatetime


class Envelope(Record):
    """What a subscriber receives: one event of the stream with the cursor to resume after it."""

    cursor: str
    type: EventType
    time: datetime
    data: dict[str, Any]


class Accepted(Record):
    """One accepted article of a push: its place in the request and its id."""

    index: int
    id: str


class Rejected(Record):
    """One refused article of a push: its place in the request and why."""

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
