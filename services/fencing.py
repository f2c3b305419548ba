"""One writer at a time on a log, whoever else believes to be it.

A worker that was paused for longer than its session and then goes on does not know that it has a successor, and no
question it could ask would help: it may be paused again between the answer and the append. So Kafka decides, as it
appends. A transactional id is a name under which a producer gets its epoch; whoever asks next under that name gets
the same producer id with a newer epoch, and a partition that has a batch of the newer one refuses those of older ones.
Nothing else of transactions is used: the batches are ordinary ones, seen by all readers once they are acknowledged.
"""

import asyncio
from collections.abc import Iterable
from typing import Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, ProducerFenced

from services import kafka

#: The value of the header ``type`` on a record that only marks where a pen was taken.
FENCE: Final = "fence"

Record = tuple[bytes | None, bytes | None, kafka.Headers]
"""Key, value and headers of a record to append."""

_PATIENCE: Final = 30.0
# Kafka forgets the name of a pen that nobody has asked for in a week, and with it which epoch was the newest.
_RENEWED_AFTER: Final = 24 * 3600.0


class Fenced(Exception):
    """Somebody else has taken the pen. What its former holder knows of the log is out of date."""


class FencedProducer:
    """The right to append to the first partition of a topic, held until somebody else takes it."""

    def __init__(self, producer: AIOKafkaProducer, topic: str) -> None:
        self._producer = producer
        self._topic = topic
        self.taken_at = asyncio.get_running_loop().time()
        self.fence = -1

    @classmethod
    async def take(cls, bootstrap: str, topic: str, name: str | None = None) -> "FencedProducer":
        """Take the pen of a topic from whoever has it; several pens of one topic have a ``name`` each.

        Appends one record without a meaning, with the header ``type`` of ``FENCE``; its offset is ``fence``. What a
        former holder has written lies before it, and nothing of it will come behind.
        Raises ``Fenced`` when somebody else was faster, or ``KafkaError``.
        """
        pen = cls(await _successor(bootstrap, f"khabar-{name or topic}"), topic)
        try:
            (pen.fence,) = await pen.append([(None, b"", [("type", FENCE.encode())])])
        except BaseException:
            pen.drop()
            raise
        return pen

    @property
    def stale(self) -> bool:
        """Whether it is time to take it anew."""
        return asyncio.get_running_loop().time() - self.taken_at > _RENEWED_AFTER

    async def append(self, records: Iterable[Record]) -> list[int]:
        """Append in order; return the offsets when all are acknowledged.

        Raises ``Fenced``, or ``KafkaError``, after 30 seconds at most: then some of the records may be on the log, and
        others may still follow until the pen is taken anew.
        """
        outputs = (kafka.Output(self._topic, key, value, headers, partition=0) for key, value, headers in records)
        try:
            written = await kafka.produce_batch(self._producer, outputs, within=_PATIENCE)
        except ProducerFenced:
            raise Fenced(f"another worker writes {self._topic} now") from None
        offsets = [one.offset for one in written]
        if any(offset < 0 for offset in offsets):  # acknowledged by a broker that does not know any more where it lies
            raise KafkaError("records were appended at an unknown place")
        return offsets

    def drop(self) -> None:
        """Close the connection behind it, in the background. What it has not sent yet is not sent any more."""
        kafka.discard(self._producer)


async def _successor(bootstrap: str, name: str) -> AIOKafkaProducer:
    """A started idempotent producer with the newest epoch of this name. Raises ``KafkaError``.

    The clients offer an epoch to transactional producers alone. Hence the private attribute, here and nowhere else:
    one producer asks for the epoch and is closed, another one uses it.
    """
    named = AIOKafkaProducer(bootstrap_servers=bootstrap, transactional_id=name)
    try:
        # Where it cannot keep the epoch, Kafka gives none and the client waits for ever.
        async with asyncio.timeout(_PATIENCE):
            await named.start()
        identity = named._txn_manager.producer_id, named._txn_manager.producer_epoch
    except TimeoutError:
        raise KafkaError(f"Kafka gives no epoch to {name}: are transactional ids kept (__transaction_state)?") from None
    finally:
        kafka.discard(named)
    producer = kafka.producer(bootstrap)
    producer._txn_manager.set_pid_and_epoch(*identity)
    try:
        await producer.start()
    except BaseException:
        await producer.stop()
        raise
    return producer
