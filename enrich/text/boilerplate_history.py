"""The boilerplate history of a restarted worker, loaded from the articles that annotate has published."""

import structlog

from enrich.text.boilerplate import BoilerplateDetector
from services import kafka, kafka_topics
from services.events import AnnotatedArticle

log = structlog.get_logger(__name__)

# Enough to learn what the sources repeat; loading takes about a second.
_LAST_ARTICLES = 2_000


async def load_history(bootstrap: kafka.Bootstrap) -> BoilerplateDetector:
    """A detector that has learned from the last articles on ``articles.annotated``. Raises ``KafkaError``."""
    detector = BoilerplateDetector()
    async with kafka.reader(bootstrap, kafka_topics.ANNOTATED.name) as reader:
        oldest, end = await reader.oldest(), await reader.end()
        async for record in reader.between(max(oldest, end - _LAST_ARTICLES), end):
            try:
                article = AnnotatedArticle.model_validate_json(record.value or b"")
                if article.source:
                    detector.learn(article.source, article.text, article.title)
            except ValueError as error:  # not written by annotate
                log.warning("invalid_record", topic="articles.annotated", offset=record.offset, cause=repr(error)[:300])
    return detector
