"""Where a member of the consumer group continues to read a partition, from what was committed and what Kafka has now.

Each commit has metadata: the ids of all logs of the pipeline, and the timestamp of a record that was read. So a reader
knows on which logs its offset was committed. Without that, records of a topic that was created again, or of an older
copy of a partition that was put back, would be skipped up to the committed offset, and what only the lost output held
would never be made again.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Final, Literal

from services import kafka, kafka_topics
from services.connections import Bootstrap

PIPELINE: Final = (kafka_topics.RAW.name, kafka_topics.ANNOTATED.name, kafka_topics.UPDATES.name)
"""The topics of the pipeline; each is made from the one before."""

Cause = Literal["log_replaced", "log_shorter", "output_replaced", "output_shorter", "records_deleted"]
_UPDATES: Final = kafka_topics.UPDATES.name

LogIds = Mapping[str, str]
"""A short digest of the log id of each topic of the pipeline."""


async def read_log_ids(bootstrap: Bootstrap) -> LogIds:
    """The log ids as they are now. Raises ``KafkaError``."""
    found = await kafka.read_log_ids(bootstrap, PIPELINE)
    return {topic: blake2b(found[topic].encode(), digest_size=6).hexdigest() for topic in PIPELINE}


def group_logs(logs: LogIds) -> bytes:
    """One digest for the logs that group reads and writes."""
    return f"{logs[kafka_topics.ANNOTATED.name]}{logs[_UPDATES]}".encode()


@dataclass(frozen=True, slots=True)
class Commit:
    """A committed offset and its metadata.

    ``logs``: the logs at that time; empty when unknown. ``sample``: offset and timestamp (ms) of a record before the
    committed offset. ``lost``: how many records Kafka has deleted before this group could read them.
    """

    offset: int
    logs: LogIds = field(default_factory=dict)
    sample: tuple[int, int] | None = None
    lost: int = 0

    @property
    def metadata(self) -> str:
        """The text that Kafka keeps with the offset."""
        return json.dumps({"logs": self.logs, "sample": self.sample, "lost": self.lost}, separators=(",", ":"))

    @classmethod
    def decode(cls, offset: int, metadata: str) -> "Commit":
        """The inverse; metadata of other programs is ignored."""
        try:
            found = json.loads(metadata)
            offset_of, timestamp = found["sample"] or (-1, -1)
            sample = (int(offset_of), int(timestamp)) if found["sample"] else None
            return cls(offset, {str(name): str(one) for name, one in found["logs"].items()}, sample, int(found["lost"]))
        except (ValueError, TypeError, KeyError, AttributeError):
            return cls(offset)


@dataclass(frozen=True, slots=True)
class Published:
    """How far group has come: from the newest article on ``updates``.

    ``input``: the offset on ``articles.annotated`` it was made from, None when that is of another log; ``arrived``:
    when it was received, in ms since 1970. ``empty``: nothing was ever written to this ``updates``.
    """

    empty: bool = False
    input: int | None = None
    arrived: int | None = None


@dataclass(frozen=True, slots=True)
class PipelineState:
    """What is on Kafka now. ``repeat_ms``: how far back group recognises a repeated article."""

    bootstrap: Bootstrap
    logs: LogIds
    published: Published
    repeat_ms: int

    async def resume(self, topic: str, partition: int, commit: Commit | None) -> tuple[Commit, Cause | None]:
        """Where to continue, and why that is not the committed offset.

        Input that may have been published already is read again from ``repeat_ms`` before the newest published article
        on. Raises ``KafkaError``.
        """
        async with kafka.reader(self.bootstrap, topic, partition) as log:
            oldest, end = await log.oldest(), await log.end()
            if commit is None:
                return Commit(oldest, self.logs), None
            changed = {name for name, log_id in commit.logs.items() if self.logs[name] != log_id}
            output = PIPELINE[PIPELINE.index(topic) + 1 :][:1]
            start, lost, sample = commit.offset, max(0, oldest - commit.offset), commit.sample
            cause: Cause | None = None
            if topic in changed:
                cause, start, lost, sample = "log_replaced", oldest, 0, None
            elif start > end or not await same_history(log, oldest, end, sample):
                cause, start, lost, sample = "log_shorter", await self._repeat_from(log, topic, changed), 0, None
            elif changed.intersection(output):
                cause, start = "output_replaced", await self._repeat_from(log, topic, changed)
            elif lost:
                cause, start = "records_deleted", oldest
            if topic == kafka_topics.ANNOTATED.name:
                place = self._place(oldest, start)
                if place < start:
                    start, cause = place, cause or "output_shorter"
            return Commit(start, self.logs, sample, commit.lost + lost), cause

    async def _repeat_from(self, log: kafka.Reader, topic: str, changed: set[str]) -> int:
        oldest, arrived = await log.oldest(), self.published.arrived
        # Nothing is published twice on a new log, and ``updates`` itself is only counted.
        if arrived is None or topic == _UPDATES or _UPDATES in changed:
            return oldest
        return max(oldest, await log.at(max(0, arrived - self.repeat_ms)))

    def _place(self, oldest: int, start: int) -> int:
        """The next input that group has not published, at most ``start``."""
        if self.published.input is not None:
            return max(oldest, min(start, self.published.input + 1))
        return oldest if self.published.empty else start


async def same_history(log: kafka.Reader, oldest: int, end: int, sample: tuple[int, int] | None) -> bool:
    """Whether the log still has the sampled record; True when Kafka no longer keeps that offset."""
    if sample is None or sample[0] < oldest:
        return True
    if sample[0] >= end:
        return False
    async for record in log.between(sample[0], sample[0] + 1):
        return (record.offset, record.timestamp) == sample
    return False
