"""Dead letters: records that cannot be parsed or that a stage fails on, kept on ``articles.rejected`` with the cause.

A dead letter is the original record with unchanged bytes and headers, plus headers ``khabar-*`` with its topic,
partition, offset, stage and cause. A retry sends the original back to its topic and appends a marker with the header
``khabar-retried`` to ``articles.rejected``.
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from aiokafka.structs import ConsumerRecord

from services import kafka, kafka_topics
from services.clock import utc_now

_PREFIX = "khabar-"
_RETRIED = "khabar-retried"


@dataclass(frozen=True)
class SourceRecord:
    """The record that a dead letter is made of. One that never was on Kafka has an invented partition and offset."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]] = ()


@dataclass(frozen=True)
class DeadLetter:
    """A dead letter. ``number`` is its offset on ``articles.rejected``; the other fields describe the original."""

    number: int
    stage: str
    cause: str
    topic: str
    partition: int
    offset: int
    time: datetime
    key: bytes | None
    value: bytes | None
    headers: kafka.Headers


def headers_for(original: SourceRecord, *, stage: str, cause: str) -> kafka.Headers:
    """Headers of the dead letter made of ``original``: the original's, then where and why it failed."""
    kept = [(name, value) for name, value in original.headers if not name.startswith(_PREFIX)]
    notes = {
        "stage": stage,
        "cause": cause[:4_000],
        "topic": original.topic,
        "partition": str(original.partition),
        "offset": str(original.offset),
        "time": utc_now().isoformat(),
    }
    return [*kept, *((_PREFIX + name, value.encode()) for name, value in notes.items())]


async def read(bootstrap: kafka.Bootstrap) -> AsyncIterator[DeadLetter]:
    """All dead letters that were not retried, oldest first; a record that failed twice appears once."""
    letters: dict[tuple[str, int, int], DeadLetter] = {}
    async with kafka.reader(bootstrap, kafka_topics.REJECTED.name) as reader:
        async for record in reader.between(await reader.oldest(), await reader.end()):
            retried = kafka.header(record.headers, _RETRIED)
            if retried is not None:
                letters = {source: letter for source, letter in letters.items() if letter.number != int(retried)}
                continue
            letter = _parse(record)
            letters.setdefault((letter.topic, letter.partition, letter.offset), letter)
    for letter in letters.values():
        yield letter


async def retry(bootstrap: kafka.Bootstrap, letters: Iterable[DeadLetter]) -> int:
    """Send the originals back to their topics; return how many. Each is marked as retried once it is acknowledged."""
    count = 0
    async with kafka.producer(bootstrap) as producer:
        for letter in letters:
            await producer.send_and_wait(letter.topic, letter.value, key=letter.key, headers=letter.headers)
            note = [(_RETRIED, str(letter.number).encode())]
            await producer.send_and_wait(kafka_topics.REJECTED.name, None, key=letter.key, headers=note)
            count += 1
    return count


def _parse(record: ConsumerRecord) -> DeadLetter:
    notes = {name.removeprefix(_PREFIX): value.decode("utf-8", "replace") for name, value in record.headers}
    return DeadLetter(
        number=record.offset,
        stage=notes.get("stage", "unknown"),
        cause=notes.get("cause", "unknown"),
        topic=notes.get("topic", kafka_topics.RAW.name),
        partition=int(notes.get("partition", -1)),
        offset=int(notes.get("offset", -1)),
        time=datetime.fromisoformat(notes["time"])
        if "time" in notes
        else datetime.fromtimestamp(record.timestamp / 1000, UTC)
        if record.timestamp
        else utc_now(),
        key=record.key,
        value=record.value,
        headers=[(name, value) for name, value in record.headers if not name.startswith(_PREFIX)],
    )
