"""``khabar explain``: why two articles are, or are not, the same or the same story, in words."""

from collections.abc import Iterator
from datetime import timedelta
from difflib import SequenceMatcher

from aiokafka.errors import KafkaError
from redis import RedisError

from enrich.fingerprint import features, numbers, signature
from enrich.fingerprint.consonants import consonant_key
from enrich.fingerprint.signature import SHINGLE
from enrich.fingerprint.terms import terms
from enrich.group import journal
from enrich.group.grouper import ARTICLE_BYTES, Comparison, Grouper
from enrich.text.tokens import Passage
from services import kafka, kafka_topics
from services.errors import OperatorError
from services.events import Article
from services.settings import Settings
from services.store import Store

_PASSAGES = 3
_FEATURES = 12
_READ = 5_000


async def told(settings: Settings, one: str, other: str) -> list[str]:
    """``explain`` two articles of a running Khabar. Raises ``OperatorError`` when one of them cannot be had."""
    grouper = Grouper(timedelta(hours=settings.story_window_hours), settings.story_memory_bytes // ARTICLE_BYTES)
    try:
        await journal.Journal.look(
            journal.JournalConfig(settings.kafka_servers), grouper, timedelta(hours=settings.story_window_hours)
        )
        found = grouper.compare(one, other)
        first, later = await _articles(settings, found.first, found.later)
    except KeyError as missing:
        raise OperatorError(
            f"no article {missing.args[0]} arrived in the last {settings.story_window_hours:g} hours"
        ) from None
    except KafkaError as error:
        raise OperatorError(f"Kafka at {settings.kafka_servers} cannot be read: {error}") from error
    except RedisError as error:
        raise OperatorError(f"the store at {settings.redis_url} cannot be read: {error}") from error
    return list(explain(found, first, later))


async def _articles(settings: Settings, *ids: str) -> list[Article]:
    """Articles as they were last told, from where the store says they lie on ``updates``."""
    store = Store(settings.redis_url)
    try:
        places = [await store.locate(article_id) for article_id in ids]
    finally:
        await store.close()
    for article_id, place in zip(ids, places, strict=True):
        if place is None:
            raise KeyError(article_id)
    articles = []
    async with kafka.reader(settings.kafka_servers, kafka_topics.UPDATES.name) as reader:
        for place in filter(None, places):
            async for record in reader.between(place.offset, place.offset + 1):
                articles.append(Article.model_validate_json(record.value))
    return articles


def explain(found: Comparison, first: Article, later: Article) -> Iterator[str]:
    """Lines of text. ``first`` and ``later`` are the articles that ``found`` compares."""
    for name, article in (("first", first), ("later", later)):
        published = f"{article.published_at or article.received_at:%Y-%m-%d %H:%M}"
        yield f"{name}: {article.id}  {article.language}  {article.source or '-'}  {published}  {article.title or ''}"
    yield ""
    yield from _sameness(found, first, later)
    yield ""
    yield from _story(found, first, later)


def _sameness(found: Comparison, first: Article, later: Article) -> Iterator[str]:
    if found.original is not None:
        same = "the first" if found.original == found.first else f"{found.original}, which came before both or is alike"
        yield f"COPY: the later one was told to be a copy of {same}."
    else:
        yield "NO COPY: the later one was told as an article of its own."
    yield (
        f"  By their signatures the first has {found.share:.0%} of the later one's {SHINGLE}-word shingles; "
        f"{found.needed:.0%} would make it a copy."
    )
    before, after = _forms(first), _forms(later)
    known, own = _shingles(before), _shingles(after)
    both = len(own & known)
    yield f"  By their texts as they are now it has {both} of {len(own)} ({both / len(own):.0%})."
    blocks = SequenceMatcher(None, before[:_READ], after[:_READ], autojunk=False).get_matching_blocks()
    for block in sorted(blocks, key=lambda block: -block.size)[:_PASSAGES]:
        if block.size >= SHINGLE:
            words = before[block.a : block.a + block.size]
            shown = " ".join(words if len(words) <= 2 * SHINGLE else [*words[:SHINGLE], "…", *words[-SHINGLE:]])
            yield f"  {block.size} words in a row: {shown}"
    if found.original is None and found.share >= found.needed:
        yield "  They are alike enough now; when the later one was told they were not, or one was corrected since."


def _story(found: Comparison, first: Article, later: Article) -> Iterator[str]:
    one, other = found.stories
    if one == other:
        yield f"ONE STORY: {one}"
    else:
        yield f"TWO STORIES: {one} and {other}"
    yield (
        f"  Similarity {found.alike:.2f} (1.00 is just enough for two articles alone): what all languages share "
        f"{found.shared:.2f}, content words {found.terms:.2f}."
    )
    names = _names(first) | _names(later)
    common = sorted(found.common.items(), key=lambda item: (-item[1], item[0]))[:_FEATURES]
    for number, weight in common:
        yield f"  {weight:.3f}  {names.get(number, 'a word that one of the texts no longer has')}"
    if not common:
        yield "  They have nothing in common that tells stories apart."
    if (found.alike >= 1.0) != (one == other):
        yield "  An article joins the story whose articles it is like as a whole, not the one it is likest to alone."


def _forms(article: Article) -> list[str]:
    return signature.forms(Passage(article.title or ""), _news(article))


def _news(article: Article) -> Passage:
    return Passage(article.text).without(article.boilerplate)


def _shingles(forms: list[str]) -> set[tuple[str, ...]]:
    return {tuple(forms[at : at + SHINGLE]) for at in range(max(1, len(forms) - SHINGLE + 1))}


def _names(article: Article) -> dict[int, str]:
    """What features stand for, by their numbers."""
    named = {f"e:{entity.id}": f"{entity.name} ({entity.id})" for entity in article.entities}
    named |= {f"k:{consonant_key(entity.name)}": entity.name for entity in article.entities}
    own = features.shared(article.entities, article.boilerplate, numbers.numbers(article.text))
    words = terms(Passage(article.title or "").words, _news(article).words, article.language)
    named |= dict(zip(features.terms(words, article.language), words, strict=True))
    return {features.number(name): named.get(name, name.partition(":")[2]) for name in own | named}
