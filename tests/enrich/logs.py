"""A separate log for a test, written and read as group, aggregate and the trend publisher do."""

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from enrich.aggregate.counter import UpdateRecord
from services import kafka as clients
from services.events import Article, Trend


class Log:
    """A topic of one test."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        self.bootstrap = bootstrap
        self.topic = topic

    async def write(self, *records: Article | bytes) -> None:
        """Append records of type ``article``; bytes need not be an article."""
        async with clients.producer(self.bootstrap) as producer:
            for record in records:
                value = record if isinstance(record, bytes) else record.encode()
                await producer.send(self.topic, value, headers=[("type", b"article")], partition=0)
            await producer.flush()

    async def read(self, first: int = 0) -> list[UpdateRecord]:
        """The records from an offset on."""
        async with clients.reader(self.bootstrap, self.topic) as reader:
            return [
                UpdateRecord(record.offset, record.timestamp, record.headers, record.value)
                async for record in reader.between(first, await reader.end())
            ]

    async def delete_before(self, offset: int) -> None:
        """Delete records, as retention does."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        await admin.start()
        await admin.delete_records({TopicPartition(self.topic, 0): RecordsToDelete(before_offset=offset)})
        await admin.close()

    async def trends(self) -> list[Trend]:
        """The trend events on the log."""
        return [
            Trend.model_validate_json(record.value or b"")
            for record in await self.read()
            if clients.header(record.headers, "type") == "trend"
        ]
