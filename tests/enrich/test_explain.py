"""``khabar explain``: why two articles are, or are not, near-duplicates or one story."""

from pathlib import Path

import pytest

from enrich.group.explain import describe, explain
from enrich.group.grouper import Grouper
from services import kafka_topics
from services import settings as settings_module
from services.embedded.kafka import Kafka
from services.embedded.valkey import Valkey
from services.errors import OperatorError
from services.events import Article, ArticleIn
from services.kafka import producer
from tests.enrich.test_group import SMALL, WINDOW, seeds_annotated
from tests.harness import eventually, raw, service


def explained(grouper: Grouper, articles: dict[str, Article], one: str, other: str) -> str:
    """The explanation as one text."""
    comparison = grouper.compare(one, other)
    return "\n".join(describe(comparison, articles[comparison.first], articles[comparison.later]))


def test_every_pair_of_the_seeds_can_be_explained() -> None:
    """The text agrees with the decision (near-duplicate or not, one story or two) and names the common features."""
    grouper = Grouper(WINDOW, SMALL)
    articles = {
        output.article.id: output.article
        for article in seeds_annotated()
        if (output := grouper.process(article)) is not None
    }
    first, *others = articles.values()
    for article in others:
        text = explained(grouper, articles, first.id, article.id)
        one, other = grouper.compare(first.id, article.id).stories
        assert ("ONE STORY" in text, "TWO STORIES" in text) == (one == other, one != other)
        assert first.id in text
        assert article.id in text
    duplicates = [article for article in articles.values() if article.duplicate_of in articles]
    assert len(duplicates) >= 10
    for duplicate in duplicates:
        text = explained(grouper, articles, duplicate.id, duplicate.duplicate_of)
        assert "DUPLICATE: the later article was published as a near-duplicate of the first." in text
        assert "words in a row" in text
        assert "ONE STORY" in text
    putin = [article for article in articles.values() if any(e.id == "Q7747" for e in article.entities)]
    assert "Q7747" in explained(grouper, articles, putin[0].id, putin[1].id)


async def test_the_command_reads_a_running_instance(tmp_path: Path, kafka: Kafka, valkey: Valkey) -> None:
    """It reads Kafka and the store without disturbing the worker; an unknown article is named in the error."""
    settings = settings_module.load(kafka=kafka.bootstrap, redis=valkey.url, data_dir=tmp_path)
    text = "افتتح وزير النقل صباح اليوم الجسر الجديد فوق النهر بعد ثلاث سنوات من العمل " * 3
    async with service(
        "enrich", log=tmp_path / "enrich.log", kafka=kafka.bootstrap, redis=valkey.url, data_dir=tmp_path
    ):
        async with producer(kafka.bootstrap) as sender:
            for article_id, title in (("bridge-1", "الجسر"), ("bridge-2", "جسر جديد")):
                record = raw(ArticleIn(text=text, title=title), article_id).encode()
                await sender.send_and_wait(kafka_topics.RAW.name, record, key=b"one partition")

        async def ready() -> list[str]:
            try:
                return await explain(settings, "bridge-2", "bridge-1")
            except OperatorError:
                return []

        lines = await eventually(ready)
        assert lines[0].startswith("first: bridge-1")
        assert "DUPLICATE: the later article was published as a near-duplicate of the first." in lines
        with pytest.raises(OperatorError, match="no article nobody arrived in the last 72 hours"):
            await explain(settings, "bridge-1", "nobody")
