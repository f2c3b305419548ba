"""Aggregate: what group published → counters in the store, with the offset they reflect."""

from services import kafka, topics
from services.events import Article, Story
from services.store import Batch


async def log_name(bootstrap: str) -> str:
    """What the store knows this log by. Offsets of another Kafka, or of one begun anew, say nothing about it."""
    return f"{await kafka.cluster_id(bootstrap)}/{topics.UPDATES.name}-0"


def add(batch: Batch, offset: int, headers: object, value: bytes, arrived_ms: int) -> None:
    """Add one record of ``updates`` to a batch; kinds that change no number only move the offset on.

    Raises ``ValueError`` (pydantic's) when the value is not what its ``type`` header says.
    """
    kind = kafka.header(headers, "type")
    if kind == "article":
        batch.add_article(offset, Article.model_validate_json(value))
    elif kind == "story":
        batch.add_story(offset, Story.model_validate_json(value), arrived_ms)
    else:
        batch.add_nothing(offset)
