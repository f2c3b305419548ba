"""What annotate remembers across a restart: the lines that sources repeat, read back from its own output."""

import json

import structlog

from enrich.text.boilerplate import Boilerplate
from services import kafka, kafka_topics

log = structlog.get_logger(__name__)

# So many articles of a day's stream show what the sources in it repeat, and are read back in about a second.
_LAST = 2_000


async def read_back(bootstrap: str) -> Boilerplate:
    """A memory that has learnt from the last articles on ``articles.annotated``. Raises ``KafkaError``."""
    memory = Boilerplate()
    async with kafka.reader(bootstrap, kafka_topics.ANNOTATED.name) as reader:
        oldest, end = await reader.oldest(), await reader.end()
        async for record in reader.between(max(oldest, end - _LAST), end):
            try:
                article = json.loads(record.value)
                if article["source"]:
                    memory.learn(article["source"], article["text"])
            except (ValueError, KeyError, TypeError) as error:  # not annotate's own writing
                log.warning("foreign record on articles.annotated", offset=record.offset, cause=repr(error)[:300])
    return memory
