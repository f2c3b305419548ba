"""Writing to Kafka what came in: acknowledged by all in-sync replicas, or an error that says it was not."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from prometheus_client import Counter

from services import deadletters, kafka, kafka_topics
from services.backoff import Backoff
from services.clock import utc_now
from services.events import ArticleIn, RawArticle
from services.identity import article_id

log = structlog.get_logger(__name__)

ACCEPTED = Counter("khabar_ingest_accepted_total", "Articles that Kafka acknowledged", ["way"])
REFUSED = Counter("khabar_ingest_refused_total", "Articles that were refused", ["way"])

# Room for key, headers and framing beside the value.
MAX_VALUE_BYTES = kafka.MAX_RECORD_BYTES - 16_384

_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 2.0
# While Kafka is known to be away a request waits only this long for it to come back.
_HOPELESS = 1.0
# Seconds for each step of taking leave of a producer.
_FAREWELL = 2.0


class Unavailable(Exception):
    """Kafka did not acknowledge in time; whoever sent this should send it again later, which is safe.

    ``sent``: records had been handed to the producer by then, so that some of them may be on Kafka, or come there
    yet. Without it none of them was accepted.
    """

    def __init__(self, cause: str, *, sent: bool = False) -> None:
        super().__init__(cause)
        self.sent = sent


class TooLarge(Exception):
    """An article does not fit into one Kafka record; the message names the field to shorten."""


@dataclass(frozen=True)
class Sealed:
    """An article ready to be written: its id and its record."""

    id: str
    value: bytes


class Intake:
    """The one way onto ``articles.raw``.

    Connects when it is first needed and again whenever Kafka comes back, so that it can be made, and asked,
    while Kafka is away. ``timeout`` (seconds) bounds every call.
    """

    def __init__(
        self,
        bootstrap: str,
        *,
        clock: Callable[[], datetime] = utc_now,
        timeout: float = 15.0,
        way: str = "push",
    ) -> None:
        self._bootstrap = bootstrap
        self._clock = clock
        self._timeout = timeout
        self._way = way
        self._producer: AIOKafkaProducer | None = None
        self._connecting: asyncio.Task[AIOKafkaProducer] | None = None
        self._away = False
        self._farewells: set[asyncio.Task[None]] = set()

    def seal(self, article: ArticleIn) -> Sealed:
        """Give an article its id and arrival time, in the form in which it is written.

        Raises ``TooLarge``.
        """
        raw = RawArticle.model_construct(
            **dict(article), id=article_id(article), received_at=self._clock().astimezone(UTC)
        )
        value = raw.encode()
        if len(value) > MAX_VALUE_BYTES:
            field = "html" if len(article.html or "") > len(article.text or "") else "text"
            raise TooLarge(f"{field}: the article takes {len(value)} bytes, more than {MAX_VALUE_BYTES}")
        return Sealed(raw.id, value)

    async def accept(self, articles: Sequence[ArticleIn], *, way: str | None = None) -> list[str]:
        """Write articles to ``articles.raw``, in order; their ids, once Kafka has acknowledged every one.

        Raises ``TooLarge`` before anything is written, ``Unavailable`` when not all were acknowledged.
        """
        return await self.write([self.seal(article) for article in articles], way=way)

    async def write(self, sealed: Sequence[Sealed], *, way: str | None = None) -> list[str]:
        """As ``accept``, for articles that are sealed already."""
        await self._send([kafka.Output(kafka_topics.RAW.name, one.id.encode(), one.value) for one in sealed])
        ACCEPTED.labels(way or self._way).inc(len(sealed))
        return [one.id for one in sealed]

    async def reject(self, places: Sequence[tuple[deadletters.SourceRecord, str]], *, stage: str) -> None:
        """Write dead letters, each an original and its cause, to ``articles.rejected``.

        Raises ``Unavailable``.
        """
        await self._send(
            [
                kafka.Output(
                    kafka_topics.REJECTED.name,
                    place.key,
                    place.value,
                    deadletters.headers_for(place, stage=stage, cause=cause),
                )
                for place, cause in places
            ]
        )
        REFUSED.labels(stage).inc(len(places))

    async def check(self) -> None:
        """Return when Kafka answers and has the topic of raw articles.

        Raises ``Unavailable`` with the reason, after 3 seconds at most.
        """
        try:
            async with asyncio.timeout(min(3.0, self._timeout)):
                cluster = await (await self._connected()).client.fetch_all_metadata()
        except (KafkaError, OSError, TimeoutError) as error:
            raise Unavailable(_reason(error)) from error
        if kafka_topics.RAW.name not in cluster.topics():
            raise Unavailable(f"Kafka has no topic {kafka_topics.RAW.name}")

    async def close(self) -> None:
        """Write what is under way, for at most 2 seconds, and disconnect, within 6 seconds in all."""
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.gather(self._connecting, return_exceptions=True)
        producer, self._producer = self._producer, None
        if producer is not None:
            with contextlib.suppress(TimeoutError, KafkaError):
                await asyncio.wait_for(producer.flush(), _FAREWELL)
            await kafka.discard(producer)
        if self._farewells:
            await asyncio.wait(self._farewells, timeout=_FAREWELL)

    async def _send(self, outputs: Sequence[kafka.Output]) -> None:
        """Produce in order and wait until all are acknowledged. Raises ``Unavailable``."""
        deadline = asyncio.get_running_loop().time() + self._timeout
        producer = None
        try:
            async with asyncio.timeout_at(deadline):
                producer = await self._connected()
            left = max(0.0, deadline - asyncio.get_running_loop().time())
            await kafka.produce_batch(producer, outputs, within=left)
        except (KafkaError, OSError, TimeoutError) as error:
            if producer is not None:
                self._lose(producer)
            sent = error.sent if isinstance(error, kafka.NotAcknowledged) else producer is not None
            raise Unavailable(_reason(error), sent=sent) from error

    async def _connected(self) -> AIOKafkaProducer:
        """The running producer. Raises ``Unavailable`` soon when Kafka is known to be away."""
        if self._producer is not None:
            return self._producer
        if self._connecting is None or self._connecting.done():
            self._connecting = asyncio.create_task(self._connect())
        done, _ = await asyncio.wait({self._connecting}, timeout=_HOPELESS if self._away else None)
        if not done:
            raise Unavailable(f"Kafka at {self._bootstrap} cannot be reached")
        return done.pop().result()

    async def _connect(self) -> AIOKafkaProducer:
        """Try until Kafka answers."""
        backoff = Backoff(_FIRST_PAUSE, _LONGEST_PAUSE, jitter=0.3)
        while True:
            producer = kafka.producer(self._bootstrap)
            try:
                async with asyncio.timeout(self._timeout):
                    await producer.start()
            except (KafkaError, OSError, TimeoutError) as error:
                await producer.stop()
                if not self._away:
                    self._away = True
                    log.warning("kafka_away", kafka=self._bootstrap, cause=_reason(error))
            except BaseException:
                await producer.stop()
                raise
            else:
                break
            await backoff.wait()
        if self._away:
            self._away = False
            log.info("kafka_back", kafka=self._bootstrap)
        self._producer = producer
        return producer

    def _lose(self, producer: AIOKafkaProducer) -> None:
        """Stop using a producer that failed."""
        if self._producer is producer:
            self._producer = None
            self._away = True
            log.warning("kafka_away", kafka=self._bootstrap, cause="an acknowledgement did not come in time")
            self._connecting = asyncio.create_task(self._connect())
            farewell = kafka.discard(producer)
            self._farewells.add(farewell)
            farewell.add_done_callback(self._farewells.discard)


def _reason(error: BaseException) -> str:
    if isinstance(error, TimeoutError | kafka.NotAcknowledged):
        return "Kafka did not acknowledge in time"
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
