"""A write fence: at most one producer can append to a log, even when several processes believe they are the writer.

A worker that was paused for longer than its session does not know that it was replaced. Checking before each append
would not help: it may be paused again between the check and the append. So Kafka decides when it appends. A producer
gets an epoch for its transactional id. The next producer with the same transactional id gets the same producer id and
a newer epoch, and a partition that has a batch of the newer epoch rejects batches of older ones.

Transactions are not used otherwise: batches are ordinary ones, visible to all readers once they are acknowledged.
"""

import asyncio
from collections.abc import Iterable
from typing import Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, ProducerFenced

from services import kafka
from services.connections import client_options

#: The value of the header ``type`` on a record that only marks where a write fence was acquired.
FENCE: Final = "fence"

Record = tuple[bytes | None, bytes | None, kafka.Headers]
"""Key, value and headers of a record to append."""

_TIMEOUT: Final = 30.0
# Kafka expires a transactional id, and its newest epoch, a week after a producer last initialised with it.
_RENEW_AFTER: Final = 24 * 3600.0


class Fenced(Exception):
    """Another producer has acquired the write fence. What this one knows of the log is out of date."""


class FencedProducer:
    """A producer for the first partition of a topic that can append until another one acquires the write fence."""

    def __init__(self, producer: AIOKafkaProducer, topic: str) -> None:
        self._producer = producer
        self._topic = topic
        self.acquired_at = asyncio.get_running_loop().time()
        self.fence = -1

    @classmethod
    async def acquire(cls, bootstrap: kafka.Bootstrap, topic: str, name: str | None = None) -> "FencedProducer":
        """Acquire the write fence of a topic from its holder; ``name`` distinguishes several fences of one topic.

        Appends a record that has only a header, ``type``: ``FENCE``; its offset is ``fence``. All records of the
        former holder are before it; none of them can follow.
        Raises ``Fenced`` when another producer acquired the fence meanwhile, or ``KafkaError``.
        """
        fenced = cls(await _next_epoch(bootstrap, f"khabar-{name or topic}"), topic)
        try:
            (fenced.fence,) = await fenced.append([(None, b"", [("type", FENCE.encode())])])
        except BaseException:
            fenced.close()
            raise
        return fenced

    @property
    def needs_renewal(self) -> bool:
        """Whether to acquire the fence again, before Kafka expires the transactional id."""
        return asyncio.get_running_loop().time() - self.acquired_at > _RENEW_AFTER

    async def append(self, records: Iterable[Record]) -> list[int]:
        """Append in order; return the offsets when all are acknowledged.

        Raises ``Fenced``, or ``KafkaError``, after 30 seconds at most. After a ``KafkaError`` some of the records may
        be on the log, and others may still follow until the fence is acquired again.
        """
        outputs = (kafka.Output(self._topic, key, value, headers, partition=0) for key, value, headers in records)
        try:
            written = await kafka.produce_batch(self._producer, outputs, within=_TIMEOUT)
        except ProducerFenced:
            raise Fenced(f"another worker writes {self._topic} now") from None
        offsets = [one.offset for one in written]
        if any(offset < 0 for offset in offsets):  # a duplicate whose offset the broker no longer knows
            raise KafkaError("Kafka acknowledged records without their offsets")
        return offsets

    def close(self) -> None:
        """Close the producer in the background. Records that it has not sent yet are dropped."""
        kafka.discard(self._producer)


async def _next_epoch(bootstrap: kafka.Bootstrap, transactional_id: str) -> AIOKafkaProducer:
    """A started idempotent producer with a new epoch of this transactional id. Raises ``KafkaError``.

    aiokafka gives an epoch only to transactional producers. Hence the private attribute, used only here: one producer
    requests the epoch and is closed, another one uses it.
    """
    transactional = AIOKafkaProducer(**client_options(bootstrap), transactional_id=transactional_id)
    try:
        # A broker that cannot store the epoch gives none, and the client waits forever.
        async with asyncio.timeout(_TIMEOUT):
            await transactional.start()
        identity = transactional._txn_manager.producer_id, transactional._txn_manager.producer_epoch
    except TimeoutError:
        raise KafkaError(
            f"Kafka gives no epoch to {transactional_id}: can it write the topic __transaction_state?"
        ) from None
    finally:
        kafka.discard(transactional)
    producer = kafka.producer(bootstrap)
    producer._txn_manager.set_pid_and_epoch(*identity)
    try:
        await producer.start()
    except BaseException:
        await producer.stop()
        raise
    return producer
