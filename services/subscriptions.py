"""``/v1/feeds``: what its requests and answers hold. Ingest serves them; the gateway forwards and describes them."""

from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, field_validator

from services import characters
from services.store.feeds import FeedStatus

MAX_URL = 2_048
MIN_INTERVAL, MAX_INTERVAL = 10.0, 30 * 86_400.0
# A list of feeds to import may have so many bytes.
MAX_LIST_BYTES = 5_000_000
MAX_PAGE = 500

Url = Annotated[str, Field(min_length=1, max_length=MAX_URL, description="http or https")]
_Interval = Annotated[
    float,
    Field(ge=MIN_INTERVAL, le=MAX_INTERVAL, description="seconds between polls; null: as the feed changes"),
]
_Source = Annotated[str, Field(max_length=200, description="`source` of its articles; null: its host name")]
_Language = Annotated[
    str,
    Field(
        max_length=35,
        pattern=r"^[A-Za-z]{2,3}([-_][A-Za-z0-9]{1,8})*$",
        description="language of its articles, a hint; null: as the feed says",
    ),
]
_Headers = Annotated[
    dict[str, str], Field(max_length=20, description="headers of the requests for the feed; never returned")
]
_Login = Annotated[str, Field(max_length=1_000, description="of HTTP basic authentication; never returned")]


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    @field_validator("source", check_fields=False)
    @classmethod
    def _one_line(cls, value: str | None) -> str | None:
        return None if value is None else characters.one_line(value).strip() or None


class _Login_(_Asked):
    headers: _Headers | None = None
    user: _Login | None = None
    password: _Login | None = None


class NewFeed(_Login_):
    """A feed to add, or with `discover` the site of one."""

    url: Url
    source: _Source | None = None
    language: _Language | None = None
    interval: _Interval | None = None
    full_text: bool = Field(False, description="fetch the pages of entries that have only a summary")
    discover: bool = Field(True, description="request the address first, and look for feeds if it is a page")


class FeedChanges(_Login_):
    """What to change of a feed; null sets a field back to its default."""

    source: _Source | None = None
    language: _Language | None = None
    interval: _Interval | None = None
    full_text: bool | None = None
    paused: bool | None = Field(None, description="true: it is not polled; false: it is polled again")


class CheckFeed(_Login_):
    """An address to check: that of a feed, or of a page."""

    url: Url
    entries: int = Field(10, ge=0, le=1_000, description="number of entries in the answer")


class FeedOut(BaseModel):
    """A feed and its state. Times are null where nothing of the kind has happened yet.

    `status`: `new` (not polled yet), `ok`, `failing` (`error` says why; it is polled again at `next_poll`), `gone` (it
    has ended: HTTP status 410) or `paused`. `interval`: as set, else null. `moved_to`: where a permanent redirect
    leads; it is polled there. `articles_per_day`: the mean of the last 7 days. `articles`, `known`, `rejected`: entries
    that were sent, had been sent before, and became dead letters. `problems`: what was wrong with the last document.
    """

    id: str
    url: str
    status: FeedStatus
    source: str
    language: str | None
    interval: float | None
    full_text: bool
    headers: list[str] = Field(description="the names of the headers that are set")
    login: bool = Field(description="whether a user name and a password are set")
    origin: Literal["user", "file"] = Field(description="`file`: it is in the file of KHABAR_FEEDS")
    title: str | None
    site: str | None
    created: AwareDatetime | None
    polled: AwareDatetime | None
    succeeded: AwareDatetime | None
    changed: AwareDatetime | None
    next_poll: AwareDatetime | None
    error: str | None
    failures: int
    moved_to: str | None
    articles_per_day: float
    articles: int
    known: int
    rejected: int
    problems: list[str]


class FeedsOut(BaseModel):
    """A page of feeds, in the order of their addresses. `total`: all that match; `counts`: all feeds by status."""

    feeds: list[FeedOut]
    total: int
    counts: dict[str, int]


class FoundFeed(BaseModel):
    """A feed that a page has."""

    url: str
    title: str | None
    format: str
    entries: int
    newest: AwareDatetime | None


class CheckedEntry(BaseModel):
    """An entry as it would become an article.

    `article`: the fields of the article, null when it would be rejected: then `error` says why. `origins`: the element
    of the feed that each field came from. `problems`: what was left out.
    """

    article: dict[str, Any] | None
    error: str | None
    origins: dict[str, str]
    problems: list[str]


class CheckedFeed(BaseModel):
    """What an address has.

    `error`: why it is no feed, else null. `feeds`: those of the page, if it is a page. `entries`: the first ones;
    `total`: all of them, of which `articles` would be sent and `rejected` would become dead letters; `summaries` have
    no more than a teaser, `headlines` not even that.
    """

    url: str
    error: str | None
    moved_to: str | None = None
    content_type: str | None = None
    size: int | None = None
    format: str | None = None
    encoding: str | None = None
    title: str | None = None
    site: str | None = None
    language: str | None = None
    interval: float | None = None
    hub: str | None = None
    problems: list[str] = []
    total: int = 0
    articles: int = 0
    rejected: int = 0
    summaries: int = 0
    headlines: int = 0
    entries: list[CheckedEntry] = []
    feeds: list[FoundFeed] = []


class ImportedFeed(BaseModel):
    """A feed of an imported list; `place`: where it is in the list."""

    place: str
    url: str
    name: str | None
    outcome: Literal["added", "known", "invalid"]
    id: str | None
    error: str | None
    problems: list[str]


class ImportResult(BaseModel):
    """What became of an imported list. `feeds`: each of the list, in its order."""

    added: int
    known: int
    invalid: int
    feeds: list[ImportedFeed]
