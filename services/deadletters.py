"""Dead letters: records that cannot be parsed or that a stage fails on, kept on ``articles.rejected`` with the cause.

A dead letter is the original record with unchanged bytes and headers, plus headers ``khabar-*`` with its topic,
partition, offset, stage and cause. A retry sends the original back to its topic and appends a marker with the header
``khabar-retried`` to ``articles.rejected``.

An original that does not fit into a dead letter is represented by the first bytes of its value, with the length and
SHA-256 of all of it; a retry then reads the original from its own topic, while Kafka keeps it there.
"""

import asyncio
import contextlib
import hashlib
import re
from collections.abc import AsyncIterable, AsyncIterator, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from aiokafka import AIOKafkaProducer
from aiokafka.structs import ConsumerRecord

from services import kafka, kafka_topics
from services.clock import utc_now
from services.kafka import Headers, Output

KEPT_BYTES = 65_536
"""Of the value of a record that is too large for a dead letter, the first bytes that are kept."""

_PREFIX = "khabar-"
_RETRIED = "khabar-retried"
_TRUNCATED = "khabar-truncated"
# What Kafka adds to a record, and room for a compressor that makes it larger.
_OVERHEAD = 64_000
# A record that is too large keeps a key, and headers, up to these sizes.
_MAX_KEY, _MAX_HEADERS = 1_024, 4_096
_MAX_CAUSE = 4_000
_TIMEOUT = 30.0
_NUMBER = re.compile(r"-?[0-9]{1,18}")
_UNKNOWN = -1


@dataclass(frozen=True)
class SourceRecord:
    """The record that a dead letter is made of. One that never was on Kafka has an invented partition and offset.

    ``timestamp`` is in ms since 1970, as its producer or Kafka set it.
    """

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]] = ()
    timestamp: int | None = None


@dataclass(frozen=True)
class Truncated:
    """What is known of the whole value of a record of which a dead letter keeps only the beginning."""

    length: int
    sha256: str


@dataclass(frozen=True)
class DeadLetter:
    """A dead letter. ``number`` is its offset on ``articles.rejected``; the other fields describe the original.

    ``truncated``: ``key``, ``value`` and ``headers`` are not the whole original.
    """

    number: int
    stage: str
    cause: str
    topic: str
    partition: int
    offset: int
    time: datetime
    key: bytes | None
    value: bytes | None
    headers: Headers
    truncated: Truncated | None = None


class NotRetried(Exception):
    """A dead letter cannot be sent again; the message says why."""


def output(original: SourceRecord, *, stage: str, cause: str) -> Output:
    """The dead letter of a record: where and why it failed, with all of the original if that fits."""
    headers = headers_for(original, stage=stage, cause=cause)
    size = len(original.key or b"") + len(original.value or b"") + _size(headers)
    if size > kafka.MAX_RECORD_BYTES - _OVERHEAD:
        return shortened(original, stage=stage, cause=cause)
    return Output(kafka_topics.REJECTED.name, original.key, original.value, headers)


def shortened(original: SourceRecord, *, stage: str, cause: str, kept: int = KEPT_BYTES) -> Output:
    """The dead letter of a record that is too large for one, with the first ``kept`` bytes of its value."""
    value = original.value or b""
    facts = {
        "truncated": "1",
        "length": str(len(value)),
        "sha256": hashlib.sha256(value).hexdigest(),
    }
    own = original.headers if _size(original.headers) <= _MAX_HEADERS else ()
    key = original.key if len(original.key or b"") <= _MAX_KEY else None
    headers = [*_originals(own), *_notes(original, stage, cause), *_encoded(facts)]
    return Output(kafka_topics.REJECTED.name, key, value[:kept], headers)


def headers_for(original: SourceRecord, *, stage: str, cause: str) -> Headers:
    """Headers of the dead letter made of ``original``: the original's, then where and why it failed."""
    return [*_originals(original.headers), *_notes(original, stage, cause)]


def _notes(original: SourceRecord, stage: str, cause: str) -> Headers:
    return _encoded(
        {
            "stage": stage,
            "cause": cause[:_MAX_CAUSE],
            "topic": original.topic,
            "partition": str(original.partition),
            "offset": str(original.offset),
            "time": utc_now().isoformat(),
        }
    )


def _encoded(notes: dict[str, str]) -> Headers:
    return [(_PREFIX + name, value.encode("utf-8", "backslashreplace")) for name, value in notes.items()]


def _originals(headers: Sequence[tuple[str, bytes | None]]) -> Headers:
    return [(name, value) for name, value in headers if not name.startswith(_PREFIX)]


def _size(headers: Sequence[tuple[str, bytes | None]]) -> int:
    return sum(4 * len(name) + len(value or b"") + 20 for name, value in headers)


async def numbers(bootstrap: kafka.Bootstrap) -> set[int]:
    """The numbers of the dead letters that ``read`` yields. Keeps no values in memory. Raises ``KafkaError``."""
    async with kafka.reader(bootstrap, kafka_topics.REJECTED.name) as reader:
        return await _listed(reader, await reader.oldest(), await reader.end())


async def read(bootstrap: kafka.Bootstrap, chosen: Collection[int] | None = None) -> AsyncIterator[DeadLetter]:
    """Dead letters that were not retried, oldest first; a record that failed twice appears once.

    ``chosen``: only those with these numbers. One letter at a time is in memory. Raises ``KafkaError``.
    """
    async with kafka.reader(bootstrap, kafka_topics.REJECTED.name) as reader:
        oldest, end = await reader.oldest(), await reader.end()
        wanted = await _listed(reader, oldest, end)
        if chosen is not None:
            wanted &= set(chosen)
        if not wanted:
            return
        async for record in reader.between(min(wanted), max(wanted) + 1):
            if record.offset in wanted:
                yield _parse(record)


async def _listed(reader: kafka.Reader, start: int, stop: int) -> set[int]:
    """The numbers of the dead letters that are neither retried nor repeated."""
    sources: dict[tuple[str, int, int], int] = {}
    numbers: dict[int, tuple[str, int, int]] = {}
    async for record in reader.between(start, stop):
        retried = kafka.header(record.headers, _RETRIED)
        if retried is not None:
            source = numbers.pop(_number(retried), None)
            if source is not None:
                del sources[source]
            continue
        notes = _notes_of(record)
        source = (notes.get("topic", ""), _number(notes.get("partition")), _number(notes.get("offset")))
        if source[2] == _UNKNOWN:  # no stage wrote it
            source = ("", _UNKNOWN, record.offset)
        if source not in sources:
            sources[source] = record.offset
            numbers[record.offset] = source
    return set(numbers)


async def retry(
    bootstrap: kafka.Bootstrap, letters: AsyncIterable[DeadLetter]
) -> AsyncIterator[tuple[DeadLetter, str | None]]:
    """Send the originals back to their topics; yield each letter with the reason why it could not be, if so.

    Each is marked as retried once it is acknowledged. Raises ``KafkaError`` when Kafka is not available.
    """
    producer = None
    try:
        async for letter in letters:
            producer = producer or await _started(bootstrap)
            try:
                original = await _original(bootstrap, letter)
                if len(original.value or b"") > kafka.MAX_RECORD_BYTES - _OVERHEAD:
                    await _send_large(bootstrap, original)
                else:
                    await kafka.produce_batch(producer, [original], within=_TIMEOUT)
                key = letter.key if len(letter.key or b"") <= _MAX_KEY else None
                note: Headers = [(_RETRIED, str(letter.number).encode())]
                marker = Output(kafka_topics.REJECTED.name, key, None, note)
                await kafka.produce_batch(producer, [marker], within=_TIMEOUT)
            except kafka.RecordRefused as error:
                await kafka.discard(producer)
                producer = None
                yield letter, f"Kafka refuses it: {error}"
            except NotRetried as error:
                yield letter, str(error)
            else:
                yield letter, None
    finally:
        if producer is not None:
            await kafka.discard(producer)


async def _started(bootstrap: kafka.Bootstrap, max_record_bytes: int = kafka.MAX_RECORD_BYTES) -> AIOKafkaProducer:
    producer = kafka.producer(bootstrap, max_record_bytes=max_record_bytes)
    try:
        async with asyncio.timeout(_TIMEOUT):
            await producer.start()
    except BaseException:
        await kafka.discard(producer)
        raise
    return producer


async def _send_large(bootstrap: kafka.Bootstrap, original: Output) -> None:
    """Send a record that is larger than what Khabar writes itself: Kafka may take it compressed, as it did before."""
    producer = await _started(bootstrap, 2 * len(original.value or b""))
    try:
        await kafka.produce_batch(producer, [original], within=_TIMEOUT)
    finally:
        await kafka.discard(producer)


async def _original(bootstrap: kafka.Bootstrap, letter: DeadLetter) -> Output:
    """The record that a letter was made of. Raises ``NotRetried``."""
    if letter.topic not in {topic.name for topic in kafka_topics.ALL}:
        raise NotRetried(f"its topic {letter.topic!r} is not one of Khabar's")
    if letter.truncated is None:
        return Output(letter.topic, letter.key, letter.value, letter.headers)
    gone = f"Kafka no longer keeps the original ({letter.topic} partition {letter.partition} offset {letter.offset})"
    try:
        async with kafka.reader(bootstrap, letter.topic, letter.partition) as reader:
            if not await reader.oldest() <= letter.offset < await reader.end():
                raise NotRetried(gone)
            async for record in reader.between(letter.offset, letter.offset + 1):
                if hashlib.sha256(record.value or b"").hexdigest() != letter.truncated.sha256:
                    raise NotRetried(f"another record is in the place of the original: {letter.topic} was made again")
                return Output(letter.topic, record.key, record.value, list(record.headers))
    except (KeyError, AssertionError):  # there is no such partition
        pass
    raise NotRetried(gone)


def _parse(record: ConsumerRecord) -> DeadLetter:
    notes = _notes_of(record)
    return DeadLetter(
        number=record.offset,
        stage=notes.get("stage", "unknown"),
        cause=notes.get("cause", "unknown"),
        topic=notes.get("topic", kafka_topics.RAW.name),
        partition=_number(notes.get("partition")),
        offset=_number(notes.get("offset")),
        time=_time(notes.get("time")) or _written(record),
        key=record.key,
        value=record.value,
        headers=_originals(record.headers),
        truncated=Truncated(_number(notes.get("length")), notes.get("sha256", "")) if "truncated" in notes else None,
    )


def _notes_of(record: ConsumerRecord) -> dict[str, str]:
    return {
        name.removeprefix(_PREFIX): value.decode("utf-8", "replace")
        for name, value in record.headers
        if name.startswith(_PREFIX) and value is not None
    }


def _number(text: str | None) -> int:
    """A number of at most 18 digits; ``_UNKNOWN`` for anything else. What never was on Kafka has negative offsets."""
    return int(text) if text is not None and _NUMBER.fullmatch(text) else _UNKNOWN


def _time(text: str | None) -> datetime | None:
    with contextlib.suppress(ValueError):
        found = datetime.fromisoformat(text or "")
        return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
    return None


def _written(record: ConsumerRecord) -> datetime:
    """When a record was written; 1970 where its producer gave a time that there is not."""
    try:
        return datetime.fromtimestamp(record.timestamp / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(0, UTC)
