"""``khabar replay``: sends articles from files to a running Khabar at a given rate, and counts the results."""

import asyncio
import contextlib
import json
import math
import re
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import SplitResult, urlsplit

import aiohttp

from ingest.producer import Intake, TooLarge, Unavailable
from services.backoff import Backoff
from services.clock import EARLIEST_PUBLICATION, utc_now
from services.connections import KafkaServers
from services.documents.file_kinds import Kind
from services.documents.files import Item, read_articles
from services.errors import reason
from services.events import ArticleIn
from services.identity import digest
from services.progress import counted

BATCH = 100
_BATCH_BYTES = 4_000_000
# How long one batch is retried before it counts as lost.
MAX_WAIT = 60.0
_TIMEOUT = aiohttp.ClientTimeout(total=60, sock_connect=10)
_MAX_DELAY = 5.0
_MAX_COMPLAINTS = 20
_MAX_LATENCIES = 1_000_000
_RETRY_STATUSES = {429, 500, 502, 503, 504}
# Statuses that are about the articles; any other 4xx is about the request as such.
_ARTICLE_STATUSES = {400, 413, 422}
_GUID_LENGTH = 1_000
# Generated streams may be dated in the future; dates further ahead are those of broken clocks.
_FUTURE = timedelta(days=3_650)
_INTERRUPTED = 130
_SCHEMES = {"http", "https", "kafka"}
_FORMS = "http://HOST:PORT, https://HOST:PORT or kafka://HOST:PORT"
# Host names and IP addresses, also with a zone id; any other character is a typing error.
_HOST = re.compile(r"[\w.:%-]+")


class TargetError(Exception):
    """The target is not a valid address, or it rejects all requests; the message says why."""


class TargetUnavailable(TargetError):
    """The target did not respond for too long."""


@dataclass(frozen=True)
class Plan:
    """What to send where, and how fast: ``rate`` articles per second, or ``speed`` times the original timing.

    Neither: as fast as possible. ``repeat`` 0: forever. ``max_wait``: seconds for which one batch is retried.
    """

    paths: Sequence[Path]
    target: str
    rate: float | None = None
    speed: float | None = None
    repeat: int = 1
    limit: int | None = None
    rebase: bool = False
    api_key: str | None = None
    max_wait: float = MAX_WAIT
    input_format: Kind | None = None
    """What standard input, the path ``-``, holds; None: its beginning shows it."""
    kafka_access: Mapping[str, Any] = field(default_factory=dict)
    """TLS and user for a target ``kafka://``: ``KafkaServers.access``."""

    @property
    def paced(self) -> bool:
        """Whether articles are sent at given times, not as fast as possible."""
        return self.rate is not None or self.speed is not None


@dataclass(frozen=True)
class ScheduledArticle:
    """An article to send, its place in the files, and when to send it, in seconds from the start."""

    place: str
    article: ArticleIn
    at: float


@dataclass
class Outcome:
    """The results. ``rejected`` counts articles that the target refused and ``unreadable`` ones of the files."""

    sent: int = 0
    accepted: int = 0
    rejected: int = 0
    unreadable: int = 0
    seconds: float = 0.0
    interrupted: bool = False
    failure: str | None = None
    latencies: list[float] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    _unlisted: int = 0

    @property
    def lost(self) -> int:
        """Articles that were sent and never accepted or rejected."""
        return self.sent - self.accepted - (self.rejected - self.unreadable)

    @property
    def status(self) -> int:
        """Exit status: 1 when an article was lost or rejected."""
        if self.rejected or self.lost or self.failure:
            return 1
        return _INTERRUPTED if self.interrupted else 0

    def remark(self, place: str, note: str) -> None:
        """List what is no rejection, unless too much is listed already."""
        if len(self.complaints) < _MAX_COMPLAINTS:
            self.complaints.append(f"{place}: {note}")

    def reject(self, place: str, cause: str) -> None:
        """Count a rejected article, and list it unless too many are listed already."""
        self.rejected += 1
        if len(self.complaints) < _MAX_COMPLAINTS:
            self.complaints.append(f"{place}: {cause}")
        else:
            self._unlisted += 1

    def summary(self) -> str:
        """The results in one line."""
        rate = self.accepted / self.seconds if self.seconds else 0.0
        parts = [f"{self.accepted} accepted", f"{self.rejected} rejected", f"{self.lost} lost"]
        line = f"{self.sent} sent: {', '.join(parts)}; {self.seconds:.1f} s, {rate:.1f} per second"
        if self._unlisted:
            line += f"; {self._unlisted} more rejections are not shown"
        if self.failure:
            line += f"; stopped: {self.failure}"
        return line + ("; interrupted" if self.interrupted else "")

    def report(self) -> str:
        """The results as JSON."""
        ordered = sorted(self.latencies)
        percentiles = {
            f"p{share:g}": round(ordered[min(len(ordered) - 1, int(len(ordered) * share / 100))], 3)
            for share in (50, 90, 95, 99, 100)
            if ordered
        }
        report = {
            "sent": self.sent,
            "accepted": self.accepted,
            "rejected": self.rejected,
            "lost": self.lost,
            "seconds": round(self.seconds, 3),
            "articles_per_second": round(self.accepted / self.seconds, 3) if self.seconds else 0.0,
            "request_latency_ms": percentiles,
            "interrupted": self.interrupted,
            "failure": self.failure,
            "complaints": self.complaints,
        }
        return json.dumps(report, ensure_ascii=False, indent=2) + "\n"


class BatchRejected(Exception):
    """The target rejected a whole batch because of its content."""


class RetryLater(Exception):
    """The target could not accept a batch now; ``after``: the delay that it requested, in seconds."""

    def __init__(self, cause: str, after: float | None = None) -> None:
        super().__init__(cause)
        self.after = after


class Target(Protocol):
    """The destination of the articles."""

    async def send(self, batch: Sequence[ScheduledArticle], outcome: Outcome) -> None:
        """Send a batch once and count the result of each article in ``outcome``.

        Raises ``RetryLater`` when it should be sent again, ``BatchRejected`` when no article was accepted, and
        ``TargetError`` when sending more is useless; in these cases nothing was counted.
        """
        ...


class HttpTarget:
    """``POST /v1/articles`` of a gateway or of ingest."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self._url = url.rstrip("/") + "/v1/articles"
        self._session = session

    async def send(self, batch: Sequence[ScheduledArticle], outcome: Outcome) -> None:
        """As ``Target.send``."""
        body = b"\n".join(_encode(scheduled.article) for scheduled in batch)
        started = time.perf_counter()
        try:
            headers = {"Content-Type": "application/x-ndjson"}
            async with self._session.post(self._url, data=body, headers=headers) as response:
                answer = await response.read()
        except ValueError as error:  # about the URL or the headers: a retry would fail in the same way
            raise TargetError(f"{self._url}: {error}") from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise RetryLater(reason(error)) from error
        if len(outcome.latencies) < _MAX_LATENCIES:
            outcome.latencies.append((time.perf_counter() - started) * 1000)
        if response.status in _RETRY_STATUSES:
            raise RetryLater(_detail(answer, response.status), _seconds(response.headers.get("Retry-After")))
        if response.status == 202:
            _count(batch, answer, outcome)
        elif response.status not in _ARTICLE_STATUSES:
            hint = ": give --api-key or set KHABAR_API_KEY" if response.status == HTTPStatus.UNAUTHORIZED else ""
            raise TargetError(f"{self._url} answers {_detail(answer, response.status)}{hint}")
        else:
            raise BatchRejected(_detail(answer, response.status))


class KafkaTarget:
    """Writes to ``articles.raw`` directly."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake

    async def send(self, batch: Sequence[ScheduledArticle], outcome: Outcome) -> None:
        """As ``Target.send``."""
        prepared = []
        rejected = []
        for scheduled in batch:
            try:
                prepared.append((scheduled.place, self._intake.prepare(scheduled.article)))
            except TooLarge as error:
                rejected.append((scheduled.place, str(error)))
        started = time.perf_counter()
        try:
            refused = await self._intake.write([record for _, record in prepared])
        except Unavailable as error:
            raise RetryLater(str(error)) from error
        if len(outcome.latencies) < _MAX_LATENCIES:
            outcome.latencies.append((time.perf_counter() - started) * 1000)
        outcome.accepted += len(prepared) - len(refused)
        rejected += [(prepared[number][0], cause) for number, cause in refused.items()]
        for place, cause in rejected:
            outcome.reject(place, cause)


async def run(plan: Plan, *, progress: bool = False, say: Callable[[str], None] = lambda line: None) -> Outcome:
    """Send all articles of a plan; return the results. SIGINT ends it early, after the response to the last batch.

    ``say`` gets a line when the target accepts nothing, once per interruption.

    Raises ``FilesError`` for paths that cannot be read and ``TargetError`` for a target that is not a valid address. A
    target that stops responding is a failure in the outcome.
    """
    outcome = Outcome()
    items = schedule(plan, outcome)
    total = plan.limit if plan.limit is not None and plan.repeat == 0 else None
    started = time.monotonic()
    with counted(total, "articles", shown=progress) as count:
        async with open_target(plan) as target, _until_interrupted(outcome) as stop:
            sender = Sender(plan, target, outcome, stop, count=count, say=say)
            try:
                await sender.send_all(items, started)
            except TargetError as error:
                outcome.failure = str(error)
    outcome.seconds = time.monotonic() - started
    return outcome


class Sender:
    """Sends articles that are due in batches, in order, one batch at a time.

    Several batches at a time could overtake each other: the same input would not give the same result.
    """

    def __init__(  # noqa: PLR0913
        self,
        plan: Plan,
        target: Target,
        outcome: Outcome,
        stop: asyncio.Event,
        *,
        count: Callable[[int], None] = lambda number: None,
        say: Callable[[str], None],
    ) -> None:
        self._plan = plan
        self._target = target
        self._outcome = outcome
        self._stop = stop
        self._count = count
        self._say = say

    async def send_all(self, items: Iterator[ScheduledArticle], started: float) -> None:
        """Send until the items end or ``stop`` is set. Raises ``TargetError``."""
        waiting: ScheduledArticle | None = next(items, None)
        while waiting is not None and not self._stop.is_set():
            if self._plan.paced:
                await self._sleep_until(started + waiting.at)
            batch: list[ScheduledArticle] = []
            size = 0
            now = time.monotonic() - started
            while waiting is not None and len(batch) < BATCH and (not self._plan.paced or waiting.at <= now):
                size += _size(waiting.article)
                if batch and size > _BATCH_BYTES:
                    break
                batch.append(waiting)
                waiting = next(items, None)
            if batch:
                self._outcome.sent += len(batch)
                await self._send_with_retry(batch)
                self._count(len(batch))

    async def _sleep_until(self, moment: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), max(0.0, moment - time.monotonic()))

    async def _send_with_retry(self, batch: Sequence[ScheduledArticle]) -> None:
        """Send a batch until the target responds.

        Raises ``TargetUnavailable`` after ``max_wait`` seconds, or ``TargetError``.
        """
        deadline = time.monotonic() + self._plan.max_wait
        backoff = Backoff(0.2, _MAX_DELAY)
        waiting = False
        while True:
            try:
                await self._target.send(batch, self._outcome)
                return
            except BatchRejected as error:
                cause = str(error)
                break
            except RetryLater as error:
                delay = backoff.next()
                wait = delay if error.after is None else error.after
                if self._stop.is_set() or time.monotonic() + wait > deadline:
                    raise TargetUnavailable(f"gave up: {error}") from error
                if not waiting:
                    waiting = True
                    limit = f" for up to {self._plan.max_wait:.0f} s" if math.isfinite(self._plan.max_wait) else ""
                    self._say(f"{self._plan.target} does not accept articles: {error}; retrying{limit}")
                await self._sleep_until(time.monotonic() + wait)
            except TargetError:
                self._outcome.rejected += len(batch)
                raise
        if len(batch) == 1:
            self._outcome.reject(batch[0].place, cause)
            return
        # The response names only the first invalid article; halving the batch finds all of them.
        middle = len(batch) // 2
        await self._send_with_retry(batch[:middle])
        await self._send_with_retry(batch[middle:])


def schedule(plan: Plan, outcome: Outcome) -> Iterator[ScheduledArticle]:
    """The articles of all passes with their times. Invalid articles in the files are counted in ``outcome``, once.

    Raises ``FilesError`` at once, not during iteration.
    """
    first = _items(plan)  # raises before anything is sent
    return schedule_items(plan, outcome, first)


def schedule_items(plan: Plan, outcome: Outcome, items: Iterator[Item]) -> Iterator[ScheduledArticle]:
    """As ``schedule``; ``items``: what is in the files, for the first pass."""
    newest = _newest(plan) if plan.rebase else None
    sent = 0
    at = 0.0
    number = 0
    while True:
        number += 1
        shift = utc_now() - newest if newest is not None else None
        origin: datetime | None = None
        pass_start = at
        before = sent
        for item in items:
            if number == 1 and item.note is not None:
                outcome.remark(item.place, item.note)
            if item.article is None:
                if number == 1 and item.error is not None:
                    outcome.unreadable += 1
                    outcome.reject(item.place, item.error)
                continue
            article = item.article
            if plan.rate is not None:
                at = sent / plan.rate
            elif plan.speed is not None and article.published_at is not None and _is_usable(article.published_at):
                origin = origin or article.published_at
                # An article that is older than the one before it is due at once, like one without a date.
                at = max(at, pass_start + (article.published_at - origin).total_seconds() / plan.speed)
            yield ScheduledArticle(item.place, _for_pass(_shifted(article, shift), number), at)
            sent += 1
            if sent == plan.limit:
                return
        if number == plan.repeat or sent == before:
            return  # the second condition: there is nothing to repeat
        items = _items(plan)


def _items(plan: Plan) -> Iterator[Item]:
    return read_articles(plan.paths, stdin=plan.input_format)


def _newest(plan: Plan) -> datetime | None:
    """The latest date of the articles of one pass. Reads all files."""
    newest: datetime | None = None
    count = 0
    for item in _items(plan):
        if item.article is None:
            continue
        moment = item.article.published_at
        if moment is not None and _is_usable(moment) and (newest is None or moment > newest):
            newest = moment
        count += 1
        if count == plan.limit:
            break
    return newest


def _is_usable(published: datetime) -> bool:
    """Whether a date can set the pace: one broken clock of 1970 or 2099 must not shift or delay all articles."""
    return EARLIEST_PUBLICATION <= published <= utc_now() + _FUTURE


def _shifted(article: ArticleIn, shift: timedelta | None) -> ArticleIn:
    if shift is None or article.published_at is None:
        return article
    try:
        return article.model_copy(update={"published_at": article.published_at.astimezone(UTC) + shift})
    except OverflowError:  # outside of the range of datetime
        return article


def _for_pass(article: ArticleIn, number: int) -> ArticleIn:
    """The article with an id that is unique to pass ``number``; in the first pass it is unchanged."""
    if number == 1:
        return article
    suffix = f"#{number}"
    base = article.guid or article.url or digest(article.title, article.text, article.html)
    if len(base) + len(suffix) > _GUID_LENGTH:
        base = digest(base)
    return article.model_copy(update={"guid": base + suffix})


@contextlib.asynccontextmanager
async def open_target(plan: Plan) -> AsyncIterator[Target]:
    """The target of a plan. Raises ``TargetError``."""
    parts = _address(plan.target)
    if parts.scheme == "kafka":
        intake = Intake(KafkaServers(parts.netloc, **plan.kafka_access), timeout=min(15.0, plan.max_wait), way="replay")
        try:
            yield KafkaTarget(intake)
        finally:
            await intake.close()
    else:
        headers = {"Authorization": f"Bearer {plan.api_key}"} if plan.api_key else {}
        async with aiohttp.ClientSession(timeout=_TIMEOUT, headers=headers) as session:
            yield HttpTarget(parts.geturl(), session)


def _address(target: str) -> SplitResult:
    """The parts of a target's address; HOST:PORT alone means http. Raises ``TargetError`` when it is not valid."""
    try:
        parts = urlsplit(target if "://" in target else f"http://{target}")
        if parts.scheme not in _SCHEMES or parts.query or parts.fragment:
            raise ValueError(f"not {_FORMS}")
        # Only Kafka can have several addresses.
        for one in parts.netloc.split(",") if parts.scheme == "kafka" else [parts.netloc]:
            node = urlsplit(f"//{one}")
            host = node.hostname or ""
            if not _HOST.fullmatch(host):
                raise ValueError(f"the host is missing or not valid; give {_FORMS}")
            host.encode("idna")  # as the resolver does; raises for empty and for long labels
            if node.port == 0:
                raise ValueError("port 0 is not valid")
    except ValueError as error:
        raise TargetError(f"{target}: {error}") from error
    return parts


@contextlib.asynccontextmanager
async def _until_interrupted(outcome: Outcome) -> AsyncIterator[asyncio.Event]:
    """An event that the first SIGINT sets; the second one interrupts as usual."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def interrupt() -> None:
        outcome.interrupted = True
        stop.set()
        loop.remove_signal_handler(signal.SIGINT)

    with contextlib.suppress(ValueError, RuntimeError):  # not in the main thread
        loop.add_signal_handler(signal.SIGINT, interrupt)
    try:
        yield stop
    finally:
        with contextlib.suppress(ValueError, RuntimeError):
            loop.remove_signal_handler(signal.SIGINT)


def _encode(article: ArticleIn) -> bytes:
    return article.model_dump_json(exclude_defaults=True).encode()


def _size(article: ArticleIn) -> int:
    """An estimate of the encoded size of an article in bytes: most Arabic letters take two."""
    return 2 * (len(article.text or "") + len(article.html or "")) + 1_000


def _count(batch: Sequence[ScheduledArticle], answer: bytes, outcome: Outcome) -> None:
    """Count the results in a 202 response; articles that it does not mention are lost.

    Raises ``TargetError`` when it is not the response of a Khabar.
    """
    try:
        result = json.loads(answer)
        accepted = {row["index"] for row in result["accepted"]}
        rejected = {row["index"]: str(row["error"]) for row in result["rejected"]}
    except (ValueError, KeyError, TypeError) as error:
        raise TargetError(f"the response is not that of a Khabar: {error!r}") from error
    for index, scheduled in enumerate(batch):
        if index in accepted:
            outcome.accepted += 1
        elif index in rejected:
            outcome.reject(scheduled.place, rejected[index])


def _detail(answer: bytes, status: int) -> str:
    """The status, with the detail of the problem document if the response is one."""
    try:
        problem = json.loads(answer)
        return f"{status}: {problem.get('detail') or problem.get('title')}"
    except (ValueError, AttributeError):
        return f"{status}: {answer[:200].decode('utf-8', 'replace')}"


def _seconds(value: str | None) -> float | None:
    """The value of a Retry-After header in seconds; None for its date form."""
    try:
        return max(0.0, float(value)) if value else None
    except ValueError:
        return None
