"""Dead letters: what cannot be parsed or fails in a stage, kept on ``articles.rejected`` with its cause.

A dead letter is the original record, bytes and headers untouched, with headers ``khabar-*`` that tell where it
came from and why it is here. A retry sends the original back to its topic and notes that on ``articles.rejected``.
"""

import time
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from aiokafka.structs import ConsumerRecord

from services import kafka, kafka_topics

_PREFIX = "khabar-"
_RETRIED = "khabar-retried"


@dataclass(frozen=True)
class SourceRecord:
    """What a dead letter keeps of a refused record; also for one that never was on Kafka, at a place made up."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]] = ()


@dataclass(frozen=True)
class DeadLetter:
    """One refused record. ``number`` is its offset on ``articles.rejected``."""

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
    """Headers of the dead letter made of ``original``: its own, then where and why it failed."""
    kept = [(name, value) for name, value in original.headers if not name.startswith(_PREFIX)]
    notes = {
        "stage": stage,
        "cause": cause[:4_000],
        "topic": original.topic,
        "partition": str(original.partition),
        "offset": str(original.offset),
        "time": datetime.now(UTC).isoformat(),
    }
    return [*kept, *((_PREFIX + name, value.encode()) for name, value in notes.items())]


async def read(bootstrap: str) -> AsyncIterator[DeadLetter]:
    """All dead letters that were not retried, oldest first; a record refused twice appears once."""
    letters: dict[tuple[str, int, int], DeadLetter] = {}
    async with kafka.reader(bootstrap, kafka_topics.REJECTED.name) as reader:
        async for record in reader.between(await reader.oldest(), await reader.end()):
            retried = kafka.header(record.headers, _RETRIED)
            if retried is not None:
                letters = {place: letter for place, letter in letters.items() if letter.number != int(retried)}
                continue
            letter = _parse(record)
            letters.setdefault((letter.topic, letter.partition, letter.offset), letter)
    for letter in letters.values():
        yield letter


async def retry(bootstrap: str, letters: Iterable[DeadLetter]) -> int:
    """Send the originals back to their topics; how many. Each is noted as retried once it was acknowledged."""
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
        else datetime.fromtimestamp((record.timestamp or time.time() * 1000) / 1000, UTC),
        key=record.key,
        value=record.value,
        headers=[(name, value) for name, value in record.headers if not name.startswith(_PREFIX)],
    )
