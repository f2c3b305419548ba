"""Records as producers write them that know nothing of Khabar."""

import uuid
from collections.abc import Iterable, Sequence
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy

from services.connections import Bootstrap, client_options

Headers = Sequence[tuple[str | bytes, bytes | None]]

_CODECS = {None: 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}


class _Name:
    """A header name that is encoded as these bytes."""

    def __init__(self, name: str | bytes) -> None:
        self._name = name.encode() if isinstance(name, str) else name

    def encode(self, _encoding: str) -> bytes:
        return self._name


async def send_batch(  # noqa: PLR0913 - what a record has
    bootstrap: Bootstrap,
    topic: str,
    records: Iterable[tuple[bytes | None, bytes | None, Headers]],
    *,
    codec: str | None = None,
    timestamp: int | None = None,
    partition: int = 0,
) -> None:
    """One batch of records (key, value, headers) whose header names may be any bytes, and their values null."""
    async with AIOKafkaProducer(**client_options(bootstrap), max_request_size=64_000_000) as producer:
        batch: Any = producer.create_batch()
        batch._builder = _DefaultRecordBatchBuilderPy(2, _CODECS[codec], False, -1, -1, 0, 64_000_000)
        for key, value, headers in records:
            named: Any = [(_Name(name), content) for name, content in headers]
            assert batch.append(key=key, value=value, timestamp=timestamp, headers=named) is not None
        await (await producer.send_batch(batch, topic, partition=partition))


async def transaction(
    bootstrap: Bootstrap, topic: str, values: Iterable[bytes], *, commit: bool, partition: int = 0
) -> None:
    """A transaction with these records, committed or aborted: one marker follows them."""
    producer = AIOKafkaProducer(**client_options(bootstrap), transactional_id=f"foreign-{uuid.uuid4().hex}")
    await producer.start()
    try:
        await producer.begin_transaction()
        for value in values:
            await producer.send_and_wait(topic, value, key=b"foreign", partition=partition)
        await (producer.commit_transaction() if commit else producer.abort_transaction())
    finally:
        await producer.stop()
