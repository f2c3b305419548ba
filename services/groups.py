"""The consumer group of the enrich workers as Kafka reports it: members and lag."""

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import GroupCoordinatorNotAvailableError, KafkaError

from services.connections import Bootstrap, client_options
from services.errors import SettingsError
from services.log_positions import Commit

# The one consumer group: every enrich worker is a member.
GROUP = "khabar"
# Longer than a rebalance and a restart of a worker take.
STALL_SECONDS = 60.0
_SESSION = ("group.min.session.timeout.ms", "group.max.session.timeout.ms")


async def stable_members(bootstrap: Bootstrap, group: str) -> int:
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


async def lags(bootstrap: Bootstrap, group: str, topics: Sequence[str]) -> dict[str, tuple[int, int]]:
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


class StallWatch:
    """Finds stages that stand still: records wait for them, and none is finished for ``STALL_SECONDS``."""

    def __init__(self, bootstrap: Bootstrap, stages: Mapping[str, str], clock: Callable[[], float]) -> None:
        self._bootstrap = bootstrap
        self._stages = stages
        self._clock = clock
        self._reached: dict[str, tuple[int, float]] = {}

    async def check(self) -> list[str]:
        """One sentence for each stage that stands still; call it regularly. Raises ``KafkaError``.

        ``stages`` are the names of stages by the topic that they read.
        """
        now = self._clock()
        stalled = []
        for topic, (end, lag) in (await lags(self._bootstrap, GROUP, [*self._stages])).items():
            reached, since = self._reached.get(topic, (-1, now))
            if lag == 0:
                self._reached.pop(topic, None)
            elif reached != end - lag:
                self._reached[topic] = (end - lag, now)
            elif now - since >= STALL_SECONDS:
                stalled.append(f"{self._stages[topic]} stands still: {lag} records wait for {now - since:.0f} s")
        return stalled


async def deleted_unread(bootstrap: Bootstrap, group: str) -> dict[str, int]:
    """By topic, how many records Kafka has deleted before the group read them, where it has. Raises ``KafkaError``."""
    async with _admin(bootstrap) as admin:
        try:
            committed = await admin.list_consumer_group_offsets(group)
        except GroupCoordinatorNotAvailableError:
            return {}
    found: dict[str, int] = {}
    for partition, place in committed.items():
        lost = Commit.decode(place.offset, place.metadata or "").lost
        if lost:
            found[partition.topic] = found.get(partition.topic, 0) + lost
    return found


async def check_session(bootstrap: Bootstrap, seconds: float) -> None:
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
async def _admin(bootstrap: Bootstrap) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(**client_options(bootstrap))
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


@asynccontextmanager
async def _consumer(bootstrap: Bootstrap) -> AsyncIterator[AIOKafkaConsumer]:
    # Workers read committed records only: an open transaction is not lag.
    consumer = AIOKafkaConsumer(**client_options(bootstrap), group_id=None, isolation_level="read_committed")
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()
