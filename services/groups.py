"""The consumer group of the enrich workers as Kafka reports it: members and lag."""

import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import GroupCoordinatorNotAvailableError, KafkaError

from services.errors import SettingsError
from services.log_positions import Commit

# The one consumer group: every enrich worker is a member.
GROUP = "khabar"
_SESSION = ("group.min.session.timeout.ms", "group.max.session.timeout.ms")


async def stable_members(bootstrap: str, group: str) -> int:
    """How many members the group has; 0 while it is new or rebalancing."""
    async with _admin(bootstrap) as admin:
        try:
            responses = await admin.describe_consumer_groups([group])
        except GroupCoordinatorNotAvailableError:  # a new broker has not created its offsets topic yet
            return 0
    for response in responses:
        for described in response.groups:
            # (error code, group, state, protocol type, protocol, members, …)
            if described[2] == "Stable":
                return len(described[5])
    return 0


async def lags(bootstrap: str, group: str, topics: Sequence[str]) -> dict[str, tuple[int, int]]:
    """For each topic: the sum of its end offsets, and the group's lag in records."""
    async with _admin(bootstrap) as admin:
        partitions = [
            TopicPartition(described["topic"], partition["partition"])
            for described in await admin.describe_topics(list(topics))
            for partition in described["partitions"]
        ]
        try:
            committed = await admin.list_consumer_group_offsets(group)
        except GroupCoordinatorNotAvailableError:
            committed = {}
    async with _consumer(bootstrap) as consumer:
        ends = await consumer.end_offsets(partitions)
        oldest = await consumer.beginning_offsets(partitions)
    found = dict.fromkeys(topics, (0, 0))
    for partition in partitions:
        position = committed[partition].offset if partition in committed else 0
        end, lag = found[partition.topic]
        found[partition.topic] = (
            end + ends[partition],
            lag + ends[partition] - max(oldest[partition], position),
        )
    return found


async def deleted_unread(bootstrap: str, group: str) -> dict[str, int]:
    """For each topic: how many records Kafka has deleted before the group read them. Raises ``KafkaError``."""
    async with _admin(bootstrap) as admin:
        try:
            committed = await admin.list_consumer_group_offsets(group)
        except GroupCoordinatorNotAvailableError:
            return {}
    found: dict[str, int] = {}
    for partition, place in committed.items():
        lost = Commit.decode(place.offset, place.metadata or "").lost
        found[partition.topic] = found.get(partition.topic, 0) + lost
    return found


async def check_session(bootstrap: str, seconds: float) -> None:
    """Check that Kafka allows a session timeout of ``seconds``. Raises ``SettingsError`` when it does not.

    Otherwise Kafka would reject the member each time it tries to join, and its client would only log that. When
    Kafka's limits cannot be read, every timeout passes.
    """
    allowed: dict[str, float] = {}
    with contextlib.suppress(KafkaError, OSError, TimeoutError):
        async with _admin(bootstrap) as admin:
            node = (await admin.describe_cluster())["brokers"][0]["node_id"]
            for response in await admin.describe_configs([ConfigResource(ConfigResourceType.BROKER, str(node))]):
                for *_, entries in response.resources:
                    allowed |= {name: int(value) / 1000 for name, value, *_ in entries if name in _SESSION and value}
    shortest, longest = (allowed.get(name, seconds) for name in _SESSION)
    if not shortest <= seconds <= longest:
        raise SettingsError(
            f"KHABAR_SESSION_TIMEOUT: Kafka allows {shortest:g} to {longest:g} s, not {seconds:g}; "
            f"its own settings are {' and '.join(_SESSION)}"
        )


@asynccontextmanager
async def _admin(bootstrap: str) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


@asynccontextmanager
async def _consumer(bootstrap: str) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=None)
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()
