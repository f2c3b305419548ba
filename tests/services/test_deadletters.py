"""Dead letters keep the original record and can be retried."""

import uuid

from services import deadletters, kafka_topics
from services import kafka as clients
from services.embedded.kafka import Kafka
from tests.harness import log_of


async def refuse(kafka: Kafka, record: deadletters.SourceRecord, cause: str = "ValueError: no") -> None:
    """Write a dead letter of a record as a stage does."""
    async with clients.producer(kafka.bootstrap) as producer:
        headers = deadletters.headers_for(record, stage="annotate", cause=cause)
        await producer.send_and_wait(kafka_topics.REJECTED.name, record.value, key=record.key, headers=headers)


def a_record() -> deadletters.SourceRecord:
    """A record with a unique key and offset."""
    key = b"\xff" + uuid.uuid4().bytes  # an article cannot have this key
    return deadletters.SourceRecord(
        kafka_topics.RAW.name, 1, int.from_bytes(key[1:5], "big"), key, b"\xff{not json", [("trace", b"\x00\x01")]
    )


async def letters_of(kafka: Kafka, record: deadletters.SourceRecord) -> list[deadletters.DeadLetter]:
    """The dead letters of one record."""
    return [letter async for letter in deadletters.read(kafka.bootstrap) if letter.key == record.key]


async def retry(kafka: Kafka, record: deadletters.SourceRecord) -> list[str | None]:
    """Retry the dead letters of one record; the reasons why they could not be."""
    letters = (letter async for letter in deadletters.read(kafka.bootstrap) if letter.key == record.key)
    return [problem async for _, problem in deadletters.retry(kafka.bootstrap, letters)]


async def test_a_letter_keeps_bytes_headers_position_and_cause(kafka: Kafka) -> None:
    """The original is unchanged, and the letter has its position, the stage and the cause."""
    record = a_record()
    await refuse(kafka, record, "ValueError: نص فارغ")
    (letter,) = await letters_of(kafka, record)
    assert (letter.value, letter.headers) == (record.value, record.headers)
    assert (letter.topic, letter.partition, letter.offset) == (record.topic, record.partition, record.offset)
    assert (letter.stage, letter.cause) == ("annotate", "ValueError: نص فارغ")


async def test_a_record_refused_twice_is_listed_once(kafka: Kafka) -> None:
    """Stages deliver at least once; the list has no repetitions."""
    record = a_record()
    await refuse(kafka, record)
    await refuse(kafka, record)
    assert len(await letters_of(kafka, record)) == 1


async def test_a_retry_sends_the_original_and_leaves_the_list(kafka: Kafka) -> None:
    """Its topic gets the same key, bytes and headers; the letter is no longer listed."""
    record = a_record()
    await refuse(kafka, record)
    assert await retry(kafka, record) == [None]
    assert await letters_of(kafka, record) == []
    sent = [
        again
        for part in range(4)
        for again in await log_of(kafka.bootstrap, kafka_topics.RAW, part)
        if again.key == record.key
    ]
    assert [(again.value, list(again.headers)) for again in sent] == [(record.value, record.headers)]
