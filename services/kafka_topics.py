"""The Kafka topics: names, partitions and how long they are kept."""

import contextlib
import math
import time
from dataclasses import dataclass, field

import structlog
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    InvalidConfigurationError,
    InvalidPartitionsError,
    InvalidReplicationFactorError,
    KafkaError,
    PolicyViolationError,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
    for_code,
)

from services.backoff import Backoff
from services.connections import Bootstrap, check_kafka, client_options, error_text
from services.errors import SettingsError
from services.settings import Settings

log = structlog.get_logger(__name__)

DAY_MS = 24 * 3600 * 1000
# Seconds for which Kafka may have fewer brokers than replicas are asked for: those of a cluster start one by one.
BROKERS_TIMEOUT = 10.0
_REFUSALS = (
    ClusterAuthorizationFailedError,
    InvalidConfigurationError,
    InvalidPartitionsError,
    PolicyViolationError,
    TopicAuthorizationFailedError,
)


@dataclass(frozen=True)
class KafkaTopic:
    """A topic as Khabar creates it. ``partitions`` None: the setting ``raw_partitions`` decides."""

    name: str
    partitions: int | None = 1
    config: dict[str, str] = field(default_factory=dict)


def _keep(days: int) -> dict[str, str]:
    return {"cleanup.policy": "delete", "retention.ms": str(days * DAY_MS), "max.message.bytes": "8388608"}


RAW = KafkaTopic("articles.raw", None, _keep(7))
ANNOTATED = KafkaTopic("articles.annotated", 1, _keep(7))
UPDATES = KafkaTopic("updates", 1, _keep(7))
REJECTED = KafkaTopic("articles.rejected", 1, _keep(30))
# Kept for the story window, if that is longer.
ENTRIES = KafkaTopic("group.entries", 1, _keep(7))

ALL = (RAW, ANNOTATED, UPDATES, REJECTED, ENTRIES)


async def ensure(bootstrap: Bootstrap, *, raw_partitions: int, replication: int, window_hours: float = 0) -> None:
    """Create missing topics, and add partitions to ``articles.raw`` when it has fewer than ``raw_partitions``.

    Existing topics are not changed otherwise. ``window_hours`` is the length of the story window.

    Raises ``aiokafka.errors.KafkaError`` when the broker refuses to create a topic.
    """
    admin = AIOKafkaAdminClient(**client_options(bootstrap))
    await admin.start()
    try:
        present = set(await admin.list_topics())
        missing = [
            NewTopic(
                topic.name,
                num_partitions=topic.partitions or raw_partitions,
                replication_factor=replication,
                topic_configs=_config(topic, window_hours),
            )
            for topic in ALL
            if topic.name not in present
        ]
        if RAW.name in present:
            await _grow(admin, RAW.name, raw_partitions)
        if not missing:
            return
        response = await admin.create_topics(missing)
        for name, code, *rest in response.topic_errors:
            error = for_code(code)
            # Services start at the same time, so another one may have created the topic meanwhile.
            if code and error is not TopicAlreadyExistsError:
                raise error(f"{name}: {rest[0] if rest else ''}")
    finally:
        await admin.close()


def _config(topic: KafkaTopic, window_hours: float) -> dict[str, str]:
    if topic is not ENTRIES:
        return topic.config
    days = math.ceil(window_hours / 24) + 1
    return max(topic.config, _keep(days), key=lambda config: int(config["retention.ms"]))


async def _grow(admin: AIOKafkaAdminClient, name: str, wanted: int) -> None:
    (described,) = await admin.describe_topics([name])
    if len(described["partitions"]) < wanted:
        with contextlib.suppress(InvalidPartitionsError):  # another service has added them meanwhile
            await admin.create_partitions({name: NewPartitions(wanted)})


async def ensure_from_settings(settings: Settings) -> None:
    """``ensure`` with the values of the settings."""
    await ensure(
        settings.kafka_servers,
        raw_partitions=settings.raw_partitions,
        replication=settings.replication,
        window_hours=settings.story_window_hours,
    )


async def wait_for(settings: Settings) -> None:
    """Create missing topics, retrying until Kafka is available.

    Raises ``SettingsError`` when Kafka refuses the user or is not trusted, or when it refuses to create a topic for
    good, as when it has fewer brokers than ``KHABAR_REPLICATION`` asks for.
    """
    backoff = Backoff(0.1, 1.0)
    refused_since: float | None = None
    while True:
        try:
            await ensure_from_settings(settings)
            return
        except InvalidReplicationFactorError as error:
            refused_since = refused_since or time.monotonic()
            if time.monotonic() - refused_since > BROKERS_TIMEOUT:
                raise SettingsError(
                    f"KHABAR_REPLICATION: Kafka cannot keep {settings.replication} replicas: {error_text(error)}"
                ) from None
        except _REFUSALS as error:
            raise SettingsError(
                f"KHABAR_KAFKA: Kafka at {settings.kafka_servers} refuses to create a topic: {error_text(error)}"
            ) from None
        except (KafkaError, OSError, TimeoutError) as error:
            await check_kafka(settings.kafka_servers)
            if not backoff.failures:
                log.warning("waiting_for_kafka", servers=str(settings.kafka_servers), cause=str(error))
        await backoff.wait()
