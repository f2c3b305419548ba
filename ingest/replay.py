"""``khabar replay``: sends articles from files to a running Khabar, at a pace, and counts what became of each."""

import asyncio
import contextlib
import json
import re
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Protocol
from urllib.parse import SplitResult, urlsplit

import aiohttp

from ingest.producer import Intake, TooLarge, Unavailable
from services.errors import reason
from services.events import ArticleIn
from services.files import Item, read_articles
from services.identity import digest
from services.progress import counted

BATCH = 100
_BATCH_BYTES = 4_000_000
# How long one batch is offered again before it counts as lost.
PATIENCE = 60.0
_TIMEOUT = aiohttp.ClientTimeout(total=60, sock_connect=10)
_LONGEST_PAUSE = 5.0
_MOST_COMPLAINTS = 20
_MOST_LATENCIES = 1_000_000
_AGAIN = {429, 500, 502, 503, 504}
# Answers that say something about the articles; any other 4xx is about the request as such.
_ABOUT_ARTICLES = {400, 413, 422}
_GUID_LENGTH = 1_000
_INTERRUPTED = 130
_SCHEMES = {"http", "https", "kafka"}
_FORMS = "http://HOST:PORT, https://HOST:PORT or kafka://HOST:PORT"
# Names and addresses, also with a zone; what is more than letters, digits and these is a slip of the pen.
_HOST = re.compile(r"[\w.:%-]+")


class TargetError(Exception):
    """The target is no address to send to, or it will not have anything from us; the message says why."""


class GaveUp(TargetError):
    """The target did not answer for too long."""


@dataclass(frozen=True)
class Plan:
    """What to send where, and how fast: ``rate`` articles a second, or ``speed`` times the original timing.

    Neither: as fast as it goes. ``repeat`` 0 is for ever.
    """

    paths: Sequence[Path]
    target: str
    rate: float | None = None
    speed: float | None = None
    repeat: int = 1
    limit: int | None = None
    rebase: bool = False
    api_key: str | None = None
    patience: float = PATIENCE

    @property
    def paced(self) -> bool:
        """Whether anything holds it back."""
        return self.rate is not None or self.speed is not None


@dataclass(frozen=True)
class Due:
    """An article to be sent: where it comes from, and when, in seconds from the start."""

    place: str
    article: ArticleIn
    at: float


@dataclass
class Outcome:
    """What became of the articles. ``rejected`` counts those refused by the target and those that are none."""

    sent: int = 0
    accepted: int = 0
    rejected: int = 0
    unreadable: int = 0
    seconds: float = 0.0
    interrupted: bool = False
    failure: str | None = None
    latencies: list[float] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    _silent: int = 0

    @property
    def lost(self) -> int:
        """Articles that were sent and never answered."""
        return self.sent - self.accepted - (self.rejected - self.unreadable)

    @property
    def status(self) -> int:
        """Exit status: 1 when something was lost or refused."""
        if self.rejected or self.lost or self.failure:
            return 1
        return _INTERRUPTED if self.interrupted else 0

    def complain(self, place: str, cause: str) -> None:
        """Count a refused article, and say so unless too many were."""
        self.rejected += 1
        if len(self.complaints) < _MOST_COMPLAINTS:
            self.complaints.append(f"{place}: {cause}")
        else:
            self._silent += 1

    def summary(self) -> str:
        """One line."""
        rate = self.accepted / self.seconds if self.seconds else 0.0
        parts = [f"{self.accepted} accepted", f"{self.rejected} rejected", f"{self.lost} lost"]
        line = f"{self.sent} sent: {', '.join(parts)}; {self.seconds:.1f} s, {rate:.1f} a second"
        if self._silent:
            line += f"; {self._silent} more refusals are not shown"
        if self.failure:
            line += f"; stopped: {self.failure}"
        return line + ("; interrupted" if self.interrupted else "")

    def report(self) -> str:
        """The same as JSON."""
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


class Refused(Exception):
    """The target accepted nothing of a batch, for what is in it."""


class Again(Exception):
    """The target could not take a batch now; ``after`` is the pause it asked for, in seconds."""

    def __init__(self, cause: str, after: float | None = None) -> None:
        super().__init__(cause)
        self.after = after


class Target(Protocol):
    """Where articles go."""

    async def send(self, batch: Sequence[Due], outcome: Outcome) -> None:
        """Offer a batch once and note what became of each.

        Raises ``Again`` when it should be offered again, ``Refused`` when nothing of it was accepted and
        ``TargetError`` when there is no use in going on; none of these has noted anything.
        """
        ...


class HttpTarget:
    """``POST /v1/articles`` of a gateway, or of ingest itself."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self._url = url.rstrip("/") + "/v1/articles"
        self._session = session

    async def send(self, batch: Sequence[Due], outcome: Outcome) -> None:
        """As ``Target.send``."""
        body = b"\n".join(_encode(due.article) for due in batch)
        started = time.perf_counter()
        try:
            headers = {"Content-Type": "application/x-ndjson"}
            async with self._session.post(self._url, data=body, headers=headers) as response:
                answer = await response.read()
        except ValueError as error:  # about the address or what goes with it; asking again changes nothing
            raise TargetError(f"{self._url}: {error}") from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Again(reason(error)) from error
        if len(outcome.latencies) < _MOST_LATENCIES:
            outcome.latencies.append((time.perf_counter() - started) * 1000)
        if response.status in _AGAIN:
            raise Again(_detail(answer, response.status), _seconds(response.headers.get("Retry-After")))
        if response.status == 202:
            _note(batch, answer, outcome)
        elif response.status not in _ABOUT_ARTICLES:
            hint = ": give --api-key or set KHABAR_API_KEY" if response.status == HTTPStatus.UNAUTHORIZED else ""
            raise TargetError(f"{self._url} answers {_detail(answer, response.status)}{hint}")
        else:
            raise Refused(_detail(answer, response.status))


class KafkaTarget:
    """Straight to ``articles.raw``."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake

    async def send(self, batch: Sequence[Due], outcome: Outcome) -> None:
        """As ``Target.send``."""
        fitting = []
        refused = []
        for due in batch:
            try:
                fitting.append(self._intake.seal(due.article))
            except TooLarge as error:
                refused.append((due.place, str(error)))
        started = time.perf_counter()
        try:
            written = await self._intake.write(fitting)
        except Unavailable as error:
            raise Again(str(error)) from error
        if len(outcome.latencies) < _MOST_LATENCIES:
            outcome.latencies.append((time.perf_counter() - started) * 1000)
        outcome.accepted += len(written)
        for place, cause in refused:
            outcome.complain(place, cause)


async def run(plan: Plan, *, progress: bool = False, say: Callable[[str], None] = lambda line: None) -> Outcome:
    """Send everything; what became of it. SIGINT ends it early, after what is under way was answered.

    ``say`` gets a line when the target takes nothing, once for each interruption.

    Raises ``FilesError`` for paths that cannot be read and ``TargetError`` for a target that is no address; a
    target that stops answering is a failure in the outcome.
    """
    outcome = Outcome()
    items = schedule(plan, outcome)
    total = plan.limit if plan.limit is not None and plan.repeat == 0 else None
    started = time.monotonic()
    with counted(total, "articles", shown=progress) as count:
        async with _open(plan) as target, _until_interrupted(outcome) as stop:
            sender = _Sender(plan, target, outcome, stop, count, say)
            try:
                await sender.send_all(items, started)
            except TargetError as error:
                outcome.failure = str(error)
    outcome.seconds = time.monotonic() - started
    return outcome


class _Sender:
    """Collects what is due into batches and sends them in order, each when the one before has been answered.

    Several under way at one time could overtake each other: the same input would not give the same result.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - what a run is made of
        self,
        plan: Plan,
        target: Target,
        outcome: Outcome,
        stop: asyncio.Event,
        count: Callable[[int], None],
        say: Callable[[str], None],
    ) -> None:
        self._plan = plan
        self._target = target
        self._outcome = outcome
        self._stop = stop
        self._count = count
        self._say = say

    async def send_all(self, items: Iterator[Due], started: float) -> None:
        """Send until the items end or ``stop`` is set. Raises ``TargetError``."""
        waiting: Due | None = next(items, None)
        while waiting is not None and not self._stop.is_set():
            if self._plan.paced:
                await self._pause(started + waiting.at)
            batch: list[Due] = []
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
                await self._insist(batch)
                self._count(len(batch))

    async def _pause(self, until: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), max(0.0, until - time.monotonic()))

    async def _insist(self, batch: Sequence[Due]) -> None:
        """Offer a batch until it is answered. Raises ``GaveUp`` when patience ends, and ``TargetError``."""
        deadline = time.monotonic() + self._plan.patience
        pause = 0.2
        waiting = False
        while True:
            try:
                await self._target.send(batch, self._outcome)
                return
            except Refused as error:
                refused = str(error)
                break
            except Again as again:
                wait = pause if again.after is None else again.after
                if self._stop.is_set() or time.monotonic() + wait > deadline:
                    raise GaveUp(f"gave up: {again}") from again
                if not waiting:
                    waiting = True
                    limit = f"{self._plan.patience:.0f} s"
                    self._say(f"{self._plan.target} does not take articles: {again}; retrying for up to {limit}")
                await self._pause(time.monotonic() + wait)
                pause = min(pause * 2, _LONGEST_PAUSE)
            except TargetError:
                self._outcome.rejected += len(batch)
                raise
        if len(batch) == 1:
            self._outcome.complain(batch[0].place, refused)
            return
        # Only the first of them is named: halves tell which ones are at fault, and why each.
        middle = len(batch) // 2
        await self._insist(batch[:middle])
        await self._insist(batch[middle:])


def schedule(plan: Plan, outcome: Outcome) -> Iterator[Due]:
    """The articles of all passes with their times. What is wrong in a file is noted in ``outcome``, once.

    Raises ``FilesError`` at once.
    """
    first = read_articles(plan.paths)  # raises before anything is sent
    return _schedule(plan, outcome, first)


def _schedule(plan: Plan, outcome: Outcome, items: Iterator[Item]) -> Iterator[Due]:
    newest = _newest(plan) if plan.rebase else None
    sent = 0
    at = 0.0
    number = 0
    while True:
        number += 1
        shift = datetime.now(UTC) - newest if newest is not None else None
        origin: datetime | None = None
        begun = at
        before = sent
        for item in items:
            if item.article is None:
                if number == 1:
                    outcome.unreadable += 1
                    outcome.complain(item.place, item.error or "")
                continue
            article = item.article
            if plan.rate is not None:
                at = sent / plan.rate
            elif plan.speed is not None and article.published_at is not None:
                origin = origin or article.published_at
                # An older article behind a newer one goes at once, as one without a date does.
                at = max(at, begun + (article.published_at - origin).total_seconds() / plan.speed)
            yield Due(item.place, _again(_shifted(article, shift), number), at)
            sent += 1
            if sent == plan.limit:
                return
        if number == plan.repeat or sent == before:
            return  # also when there is nothing to repeat
        items = read_articles(plan.paths)


def _newest(plan: Plan) -> datetime | None:
    """The latest date among the articles of one pass, which are read once for it."""
    newest: datetime | None = None
    count = 0
    for item in read_articles(plan.paths):
        if item.article is None:
            continue
        moment = item.article.published_at
        if moment is not None and (newest is None or moment > newest):
            newest = moment
        count += 1
        if count == plan.limit:
            break
    return newest


def _shifted(article: ArticleIn, shift: timedelta | None) -> ArticleIn:
    if shift is None or article.published_at is None:
        return article
    try:
        return article.model_copy(update={"published_at": article.published_at.astimezone(UTC) + shift})
    except OverflowError:  # at either end of the calendar
        return article


def _again(article: ArticleIn, number: int) -> ArticleIn:
    """The article as a new one of pass ``number``; itself in the first."""
    if number == 1:
        return article
    suffix = f"#{number}"
    base = article.guid or article.url or digest(article.title, article.text, article.html)
    if len(base) + len(suffix) > _GUID_LENGTH:
        base = digest(base)
    return article.model_copy(update={"guid": base + suffix})


@contextlib.asynccontextmanager
async def _open(plan: Plan) -> AsyncIterator[Target]:
    """The target of a plan. Raises ``TargetError``."""
    parts = _address(plan.target)
    if parts.scheme == "kafka":
        intake = Intake(parts.netloc, timeout=min(15.0, plan.patience), way="replay")
        try:
            yield KafkaTarget(intake)
        finally:
            await intake.close()
    else:
        headers = {"Authorization": f"Bearer {plan.api_key}"} if plan.api_key else {}
        async with aiohttp.ClientSession(timeout=_TIMEOUT, headers=headers) as session:
            yield HttpTarget(parts.geturl(), session)


def _address(target: str) -> SplitResult:
    """The parts of a target's address; HOST:PORT alone means http. Raises ``TargetError`` when it is none."""
    try:
        parts = urlsplit(target if "://" in target else f"http://{target}")
        if parts.scheme not in _SCHEMES or parts.query or parts.fragment:
            raise ValueError(f"not {_FORMS}")
        # Only Kafka may have several.
        for one in parts.netloc.split(",") if parts.scheme == "kafka" else [parts.netloc]:
            node = urlsplit(f"//{one}")
            host = node.hostname or ""
            if not _HOST.fullmatch(host):
                raise ValueError(f"no host, or one that is no name; give {_FORMS}")
            host.encode("idna")  # as the resolver does, which then complains of empty and of long parts
            if node.port == 0:
                raise ValueError("0 is no port to send to")
    except ValueError as error:
        raise TargetError(f"{target}: {error}") from error
    return parts


@contextlib.asynccontextmanager
async def _until_interrupted(outcome: Outcome) -> AsyncIterator[asyncio.Event]:
    """An event that the first Ctrl-C sets; the second one interrupts as usual."""
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
    """About the bytes that an article takes: most Arabic letters take two."""
    return 2 * (len(article.text or "") + len(article.html or "")) + 1_000


def _note(batch: Sequence[Due], answer: bytes, outcome: Outcome) -> None:
    """Count a 202: what the answer does not mention is lost. Raises ``TargetError`` when it is no answer."""
    try:
        result = json.loads(answer)
        accepted = {row["index"] for row in result["accepted"]}
        rejected = {row["index"]: str(row["error"]) for row in result["rejected"]}
    except (ValueError, KeyError, TypeError) as error:
        raise TargetError(f"the answer is not that of a Khabar: {error!r}") from error
    for index, due in enumerate(batch):
        if index in accepted:
            outcome.accepted += 1
        elif index in rejected:
            outcome.complain(due.place, rejected[index])


def _detail(answer: bytes, status: int) -> str:
    """The status and what a problem document says about it."""
    try:
        problem = json.loads(answer)
        return f"{status}: {problem.get('detail') or problem.get('title')}"
    except (ValueError, AttributeError):
        return f"{status}: {answer[:200].decode('utf-8', 'replace')}"


def _seconds(value: str | None) -> float | None:
    """A Retry-After in seconds; its date form is not worth reading here."""
    try:
        return max(0.0, float(value)) if value else None
    except ValueError:
        return None
