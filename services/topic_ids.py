"""Topic ids: a topic that is deleted and created again under the same name gets another id (KIP-516, Kafka 2.8).

aiokafka speaks the metadata request only up to version 5; topic ids are in it from version 10 on. The request below is
for topics by their names, and creates none.
"""

import contextlib
from collections.abc import Collection, Iterable
from io import BytesIO
from typing import Final
from uuid import UUID

import structlog
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import IncompatibleBrokerVersion, for_code
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    AbstractType,
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)

from services.connections import Bootstrap, client_options

log = structlog.get_logger(__name__)

_UUID_BYTES: Final = 16
_NO_ID: Final = UUID(int=0)
_METADATA: Final = 3
_VERSION: Final = 10


class _Uuid(AbstractType[UUID]):  # type: ignore[misc]
    @classmethod
    def encode(cls, value: UUID) -> bytes:
        return value.bytes

    @classmethod
    def decode(cls, data: BytesIO) -> UUID:
        return UUID(bytes=data.read(_UUID_BYTES))


class _MetadataResponse(Response):  # type: ignore[misc]
    API_KEY = _METADATA
    API_VERSION = _VERSION
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(
                ("node_id", Int32),
                ("host", CompactString("utf-8")),
                ("port", Int32),
                ("rack", CompactString("utf-8")),
                ("tags", TaggedFields),
            ),
        ),
        ("cluster_id", CompactString("utf-8")),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("name", CompactString("utf-8")),
                ("topic_id", _Uuid),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", CompactArray(Int32)),
                        ("isr", CompactArray(Int32)),
                        ("offline_replicas", CompactArray(Int32)),
                        ("tags", TaggedFields),
                    ),
                ),
                ("authorized_operations", Int32),
                ("tags", TaggedFields),
            ),
        ),
        ("authorized_operations", Int32),
        ("tags", TaggedFields),
    )


class _MetadataRequestStruct(RequestStruct):  # type: ignore[misc]
    FLEXIBLE_VERSION = True
    API_KEY = _METADATA
    API_VERSION = _VERSION
    RESPONSE_TYPE = _MetadataResponse
    SCHEMA = Schema(
        ("topics", CompactArray(("topic_id", _Uuid), ("name", CompactString("utf-8")), ("tags", TaggedFields))),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_authorized_operations", Boolean),
        ("include_topic_authorized_operations", Boolean),
        ("tags", TaggedFields),
    )


class _MetadataRequest(Request[_MetadataRequestStruct]):  # type: ignore[misc]
    API_KEY = _METADATA

    def __init__(self, topics: Iterable[str]) -> None:
        self._topics = topics

    def build(self, request_struct_class: type[_MetadataRequestStruct]) -> _MetadataRequestStruct:
        return request_struct_class([(_NO_ID, topic, {}) for topic in self._topics], False, False, False, {})


async def identify(bootstrap: Bootstrap, topics: Collection[str]) -> tuple[str, dict[str, str | None]]:
    """The id of the cluster and of each topic; None for a topic where the brokers have no topic ids.

    Raises ``KafkaError``: ``UnknownTopicOrPartitionError`` when one of the topics does not exist.
    """
    admin = AIOKafkaAdminClient(**client_options(bootstrap))
    try:
        await admin.start()
        try:
            response = (await admin._send_request(_MetadataRequest(topics))).to_object()
        except (NotImplementedError, IncompatibleBrokerVersion):
            log.warning(
                "topic_ids_unavailable",
                consequence="a topic that is deleted and created again is recognised only by its offsets",
            )
            return str((await admin.describe_cluster())["cluster_id"]), dict.fromkeys(topics)
    finally:
        with contextlib.suppress(Exception):
            await admin.close()
    found: dict[str, str | None] = {}
    for topic in response["topics"]:
        if topic["error_code"]:
            raise for_code(topic["error_code"])(topic["name"])
        found[topic["name"]] = None if topic["topic_id"] == _NO_ID else str(topic["topic_id"])
    return str(response["cluster_id"]), found
