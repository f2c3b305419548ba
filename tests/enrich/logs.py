"""A log of a test's own, written and read as group, aggregate and herald do."""

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from enrich.aggregate.counter import Record
from services import kafka as clients
from services.events import Article, Trend


class Log:
    """A topic of one's own, written and read as group and aggregate do."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        self.bootstrap = bootstrap
        self.topic = topic

    async def write(self, *records: Article | bytes) -> None:
        """Append articles, or what is none."""
        async with clients.producer(self.bootstrap) as producer:
            for record in records:
                value = record if isinstance(record, bytes) else record.encode()
                await producer.send(self.topic, value, headers=[("type", b"article")], partition=0)
            await producer.flush()

    async def read(self, first: int = 0) -> list[Record]:
        """What lies there from an offset on."""
        async with clients.reader(self.bootstrap, self.topic) as reader:
            return [
                Record(record.offset, record.timestamp, record.headers, record.value)
                async for record in reader.between(first, await reader.end())
            ]

    async def delete_before(self, offset: int) -> None:
        """As retention does."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        await admin.start()
        await admin.delete_records({TopicPartition(self.topic, 0): RecordsToDelete(before_offset=offset)})
        await admin.close()

    async def trends(self) -> list[Trend]:
        """The trend events that lie there."""
        return [
            Trend.model_validate_json(record.value or b"")
            for record in await self.read()
            if clients.header(record.headers, "type") == "trend"
        ]
