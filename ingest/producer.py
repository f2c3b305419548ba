"""Writes articles to Kafka: acknowledged by all in-sync replicas, or an error that says why not."""

import asyncio
import contextlib
from collections.abc import Sequence
from datetime import UTC
from typing import NamedTuple

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    KafkaError,
)
from prometheus_client import Counter
from pydantic_core import to_json

from services import deadletters, identity, kafka, kafka_topics
from services.backoff import Backoff
from services.clock import Clock, utc_now
from services.events import ArticleIn

log = structlog.get_logger(__name__)

ACCEPTED = Counter("khabar_ingest_accepted_total", "Articles that Kafka acknowledged", ["way"])
REFUSED = Counter("khabar_ingest_refused_total", "Articles that were refused", ["way"])

# Leaves space for the key, headers and framing of the record.
MAX_VALUE_BYTES = kafka.MAX_RECORD_BYTES - 16_384

_REFUSED_SIZE = "Kafka refuses the article: it is too large"

_FIRST_DELAY = 0.1
_MAX_DELAY = 2.0
# While Kafka is known to be unavailable, a request waits only this long for it.
FAST_FAIL_SECONDS = 1.0


class Unavailable(Exception):
    """Kafka did not acknowledge in time; sending the same articles again later is safe.

    ``sent``: records had been passed to the producer, so that some of them may be, or may still be, written. Otherwise
    none of them was accepted.
    """

    def __init__(self, cause: str, *, sent: bool = False) -> None:
        super().__init__(cause)
        self.sent = sent


class Refused(Exception):
    """Kafka refuses a record for what it is, such as its size; another attempt would not help."""


class TooLarge(Exception):
    """An article does not fit into one Kafka record. ``field``: the field to shorten."""

    def __init__(self, field: str, cause: str) -> None:
        super().__init__(f"{field}: {cause}")
        self.field = field
        self.cause = cause


class PreparedRecord(NamedTuple):
    """An article that is ready to be written: its id and the value of its record."""

    id: str
    value: bytes


class Intake:
    """The only writer of ``articles.raw``.

    Connects on first use, and reconnects when Kafka is available again, so that it can be created and used while
    Kafka is unavailable. ``timeout``: the maximum duration of a call in seconds. ``way``: the label of its metrics.
    """

    def __init__(
        self,
        bootstrap: kafka.Bootstrap,
        *,
        clock: Clock = utc_now,
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
        self._closing: set[asyncio.Task[None]] = set()
        # One search for a refused record at a time: each takes several producers.
        self._searching = asyncio.Lock()

    def prepare(self, article: ArticleIn, *, article_id: str | None = None) -> PreparedRecord:
        """Add the id and the time of arrival to an article, and encode it. ``article_id``: its id, if known.

        Raises ``TooLarge``.
        """
        identified = article_id or identity.article_id(article)
        # As ``RawArticle.encode`` gives it, but only what is new is encoded here: building a second model takes longer
        # than all the rest.
        added = to_json({"id": identified, "received_at": self._clock().astimezone(UTC)})
        value = b"%b,%b" % (article.encode()[:-1], added[1:])
        if len(value) > MAX_VALUE_BYTES:
            field = "html" if len(article.html or "") > len(article.text or "") else "text"
            raise TooLarge(field, f"the article takes {len(value)} bytes, more than {MAX_VALUE_BYTES}")
        return PreparedRecord(identified, value)

    async def accept(self, articles: Sequence[ArticleIn], *, way: str | None = None) -> list[str]:
        """Write articles to ``articles.raw``, in order; return their ids when Kafka has acknowledged all of them.

        Raises ``TooLarge`` before anything is written, ``Refused`` for an article that Kafka refuses, or
        ``Unavailable`` when not all were acknowledged.
        """
        prepared = [self.prepare(article) for article in articles]
        refused = await self.write(prepared, way=way)
        if refused:
            raise Refused(next(iter(refused.values())))
        return [one.id for one in prepared]

    async def write(self, prepared: Sequence[PreparedRecord], *, way: str | None = None) -> dict[int, str]:
        """Write prepared articles, in order; return when Kafka has acknowledged all that it takes.

        The others, which Kafka refuses for what they are, are returned: their places in ``prepared``, and why. Raises
        ``Unavailable``.
        """
        outputs = [kafka.Output(kafka_topics.RAW.name, one.id.encode(), one.value) for one in prepared]
        refused: dict[int, str] = {}
        try:
            await self._send(outputs)
        except Refused:
            # One of these, or of another request whose records were in the same batch.
            async with self._searching:
                refused = await self._write_by_halves(outputs)
        ACCEPTED.labels(way or self._way).inc(len(outputs) - len(refused))
        return refused

    async def _write_by_halves(self, outputs: Sequence[kafka.Output]) -> dict[int, str]:
        """Write records, each part with a new producer; return the places of those refused, and why."""
        refused: dict[int, str] = {}
        too_large = MAX_VALUE_BYTES + 1  # what has this size or more need not be tried
        parts = [list(range(len(outputs)))]
        while parts:
            part = parts.pop()
            fitting = [place for place in part if len(outputs[place].value or b"") < too_large]
            refused |= {place: _REFUSED_SIZE for place in part if place not in fitting}
            try:
                await self._send_alone([outputs[place] for place in fitting])
            except Refused as error:
                middle = len(fitting) // 2
                if middle:
                    parts += [fitting[middle:], fitting[:middle]]
                    continue
                by_size = isinstance(error.__cause__, kafka.TOO_LARGE)
                refused[fitting[0]] = _REFUSED_SIZE if by_size else f"Kafka refuses the article: {error}"
                if by_size:
                    too_large = len(outputs[fitting[0]].value or b"")
        return refused

    async def _send_alone(self, outputs: Sequence[kafka.Output]) -> None:
        """As ``_send``, with a new producer that nothing else uses."""
        if not outputs:
            return
        producer = kafka.producer(self._bootstrap)
        sent = False
        try:
            async with asyncio.timeout(self._timeout):
                await producer.start()
            sent = True
            await kafka.produce_batch(producer, outputs, within=self._timeout)
        except kafka.RecordRefused as error:
            raise Refused(str(error)) from error.__cause__
        except (KafkaError, OSError, TimeoutError) as error:
            raise Unavailable(_reason(error), sent=sent) from error
        finally:
            self._close_later(producer)

    async def reject(self, letters: Sequence[tuple[deadletters.SourceRecord, str]], *, stage: str) -> None:
        """Write dead letters, given as source record and cause, to ``articles.rejected``.

        Raises ``Unavailable``.
        """
        await self._send([deadletters.output(source, stage=stage, cause=cause) for source, cause in letters])
        REFUSED.labels(stage).inc(len(letters))

    async def check(self) -> None:
        """Check that Kafka responds and has the topic of raw articles.

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
        """Flush for at most 2 seconds and disconnect, within 6 seconds in all."""
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.gather(self._connecting, return_exceptions=True)
        producer, self._producer = self._producer, None
        if producer is not None:
            with contextlib.suppress(TimeoutError, KafkaError):
                await asyncio.wait_for(producer.flush(), kafka.CLOSE_TIMEOUT)
            await kafka.discard(producer)
        if self._closing:
            await asyncio.wait(self._closing, timeout=kafka.CLOSE_TIMEOUT)

    async def _send(self, outputs: Sequence[kafka.Output]) -> None:
        """Produce in order and await all acknowledgements. Raises ``Unavailable`` or ``Refused``."""
        deadline = asyncio.get_running_loop().time() + self._timeout
        producer = None
        try:
            async with asyncio.timeout_at(deadline):
                producer = await self._connected()
            left = max(0.0, deadline - asyncio.get_running_loop().time())
            await kafka.produce_batch(producer, outputs, within=left)
        except kafka.RecordRefused as error:
            self._replace(producer, away=False)
            raise Refused(str(error)) from error.__cause__
        except (KafkaError, OSError, TimeoutError) as error:
            if producer is not None and producer is not self._producer and not self._away:
                # Another request has discarded the producer, because of a record that Kafka refused.
                raise Refused(_reason(error)) from error
            if producer is not None:
                self._replace(producer)
            sent = error.sent if isinstance(error, kafka.NotAcknowledged) else producer is not None
            raise Unavailable(_reason(error), sent=sent) from error

    async def _connected(self) -> AIOKafkaProducer:
        """The running producer. Raises ``Unavailable`` quickly when Kafka is known to be unavailable."""
        if self._producer is not None:
            return self._producer
        if self._connecting is None or self._connecting.done():
            self._connecting = asyncio.create_task(self._connect())
        done, _ = await asyncio.wait({self._connecting}, timeout=FAST_FAIL_SECONDS if self._away else None)
        if not done:
            raise Unavailable(f"Kafka at {self._bootstrap} cannot be reached")
        return done.pop().result()

    async def _connect(self) -> AIOKafkaProducer:
        """Start a producer, retrying until Kafka is available."""
        backoff = Backoff(_FIRST_DELAY, _MAX_DELAY, jitter=0.3)
        while True:
            producer = kafka.producer(self._bootstrap)
            try:
                async with asyncio.timeout(self._timeout):
                    await producer.start()
            except (KafkaError, OSError, TimeoutError) as error:
                await _stop(producer)
                if not self._away:
                    self._away = True
                    log.warning("kafka_away", kafka=str(self._bootstrap), cause=_reason(error))
            except BaseException:
                await _stop(producer)
                raise
            else:
                break
            await backoff.wait()
        if self._away:
            self._away = False
            log.info("kafka_back", kafka=str(self._bootstrap))
        self._producer = producer
        return producer

    def _replace(self, producer: AIOKafkaProducer | None, *, away: bool = True) -> None:
        """Discard a producer that failed, and start another one. ``away``: it failed because Kafka does not answer."""
        if producer is not None and self._producer is producer:
            self._producer = None
            if away:
                self._away = True
                log.warning("kafka_away", kafka=str(self._bootstrap), cause="no acknowledgement in time")
            else:
                log.warning("kafka_refused_records", kafka=str(self._bootstrap))
            self._connecting = asyncio.create_task(self._connect())
            self._close_later(producer)

    def _close_later(self, producer: AIOKafkaProducer) -> None:
        closing = kafka.discard(producer)
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)


async def _stop(producer: AIOKafkaProducer) -> None:
    """Stop a producer that did not start; one that does not even stop in time is dropped."""
    with contextlib.suppress(KafkaError, OSError, TimeoutError):
        await asyncio.wait_for(producer.stop(), kafka.CLOSE_TIMEOUT)


def _reason(error: BaseException) -> str:
    if isinstance(error, TimeoutError | kafka.NotAcknowledged):
        return "Kafka did not acknowledge in time"
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
