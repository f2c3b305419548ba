"""The event models that subscribers read, part of the public contract.

An ``Envelope`` is one event of the stream; its ``data`` is an ``Article``, a ``Story`` or a ``Trend``.
"""

from datetime import date, datetime
from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict

EntityType = Literal["PER", "LOC", "ORG", "MISC"]
EventType = Literal["article", "story", "trend"]
TrendKind = Literal["entity", "topic", "story"]
TrendWindow = Literal["15m", "1h", "24h"]


class Record(BaseModel):
    """Base of all records: immutable; unknown fields are ignored, so that older readers can read newer records.

    Numbers are finite: JSON has no NaN and no infinity.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    def encode(self) -> bytes:
        """UTF-8 JSON, the form of every record on Kafka."""
        return self.__pydantic_serializer__.to_json(self)


class Mention(Record):
    """One occurrence: code-point offsets such that ``article.text[start:end] == text``."""

    start: int
    end: int
    text: str


class Entity(Record):
    """A named entity of an article, under one id across languages."""

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
    """A quotation: ``article.text[start:end] == text``, without the quotation marks.

    ``speaker`` is the id of one of the article's entities, or null when the speaker is not among them; ``verb`` is the
    reporting verb as written in the text; ``direct`` is true for words in quotation marks, false for reported speech.
    """

    start: int
    end: int
    text: str
    speaker: str | None
    verb: str | None
    direct: bool


class Date(Record):
    """A day that an article mentions: ``article.text[start:end] == text``.

    ``basis`` is how ``date`` was determined: ``explicit`` (written in full), ``published`` or ``received`` (relative
    to the day of publication or, where that is unknown, of arrival).
    """

    start: int
    end: int
    text: str
    date: date
    basis: Literal["explicit", "published", "received"]


class Article(Record):
    """An article as subscribers see it.

    ``duplicate_of`` is the id of the first article of which this one is a near-duplicate, ``similarity`` the share
    (0 to 1) of its three-word shingles that are also in that article. ``story`` is the id of the story that it was
    assigned to when it was published; stories may merge and split later.
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
    """A story: articles about the same news, in its state after the last change.

    ``size`` (duplicates included) and ``first_published`` cover the story's whole life; ``sources``, ``source_count``,
    ``languages``, ``entities``, ``topics`` and ``articles`` (newest first, at most 50) cover its articles within the
    window. ``source_count`` is the number of all sources; ``sources`` lists at most 50 of them, those with the most
    articles and of equal ones the first in the story. A filter by source compares those that are listed.

    ``event_date`` is the day of the event that the story is about. ``event_basis`` is how it was determined: ``text``
    (the day that most of the articles within the window mention first; one without a date of publication counts
    weekdays from its arrival) or ``published`` (none mentions a day; that of ``first_published``, in UTC). Stories of
    older releases have neither.

    ``merged_into`` is the story that took over all its articles. The event with it is the story's last one: it has no
    ``articles``, and its other fields are those of the story before, so that it passes the same filters.
    ``split_from`` is the story that this story's articles were in before. Only the first event of the new story has
    it; that event lists every article that moved, even if they are more than 50.
    """

    id: str
    title: str
    languages: list[str]
    size: int
    sources: list[str]
    source_count: int | None = None
    first_published: AwareDatetime
    last_published: AwareDatetime
    entities: list[Entity]
    topics: list[Topic]
    articles: list[str]
    event_date: date | None = None
    event_basis: Literal["text", "published"] | None = None
    merged_into: str | None = None
    split_from: str | None = None


class Trend(Record):
    """Something mentioned more often than its own past and the day's volume predict; see docs/explanation/trends.md.

    ``count`` is the number of articles that mention it in the ``window`` that ends at ``at``, ``expected`` the expected
    number, ``score`` the surprise: -log10 of the probability of at least ``count`` by chance. ``phase``: the trend
    ``start``s, has ``grow``n since its last event, or is at its ``end``; ``started`` is the time of the start event.
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
    """One event of the stream, with the cursor to resume after it."""

    cursor: str
    type: EventType
    time: datetime
    data: dict[str, Any]
