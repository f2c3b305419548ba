"""``khabar explain``: why two articles are, or are not, near-duplicates or one story, in words."""

from collections.abc import Iterator
from datetime import date, timedelta
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
from services.connections import shown_redis_url
from services.errors import OperatorError, reason
from services.events import Article
from services.settings import Settings
from services.store import Store

_MAX_PASSAGES = 3
_MAX_FEATURES = 12
# Words of each text that are searched for common passages.
_MAX_WORDS = 5_000


async def explain(settings: Settings, one: str, other: str) -> list[str]:
    """Compare two articles of a running Khabar; return lines of text.

    Raises ``OperatorError`` when one of them is not available.
    """
    window = timedelta(hours=settings.story_window_hours)
    grouper = Grouper(window, settings.story_memory_bytes // ARTICLE_BYTES)
    try:
        await journal.Journal.restore_read_only(journal.JournalConfig(settings.kafka_servers), grouper, window)
        comparison = grouper.compare(one, other)
        first, later = await _articles(settings, comparison.first, comparison.later)
    except KeyError as missing:
        raise OperatorError(
            f"no article {missing.args[0]} arrived in the last {settings.story_window_hours:g} hours"
        ) from None
    except KafkaError as error:
        raise OperatorError(f"Kafka at {settings.kafka_servers} cannot be read: {reason(error)}") from error
    except RedisError as error:
        raise OperatorError(
            f"the store at {shown_redis_url(settings.redis_url)} cannot be read: {reason(error)}"
        ) from error
    return list(describe(comparison, first, later))


async def _articles(settings: Settings, *ids: str) -> list[Article]:
    """The newest published revisions of articles, read from ``updates`` where the store has located them."""
    store = Store(settings.redis_url)
    try:
        locations = [await store.locate(article_id) for article_id in ids]
    finally:
        await store.close()
    for article_id, location in zip(ids, locations, strict=True):
        if location is None:
            raise KeyError(article_id)
    articles = []
    async with kafka.reader(settings.kafka_servers, kafka_topics.UPDATES.name) as reader:
        for location in filter(None, locations):
            async for record in reader.between(location.offset, location.offset + 1):
                articles.append(Article.model_validate_json(record.value))
    return articles


def describe(comparison: Comparison, first: Article, later: Article) -> Iterator[str]:
    """A comparison as lines of text. ``first`` and ``later`` are the articles compared."""
    for name, article in (("first", first), ("later", later)):
        published = f"{article.published_at or article.received_at:%Y-%m-%d %H:%M}"
        yield f"{name}: {article.id}  {article.language}  {article.source or '-'}  {published}  {article.title or ''}"
    yield ""
    yield from _describe_duplicate(comparison, first, later)
    yield ""
    yield from _describe_story(comparison, first, later)


def _describe_duplicate(comparison: Comparison, first: Article, later: Article) -> Iterator[str]:
    original = comparison.original
    if original is None:
        yield "NO DUPLICATE: the later article was published as an original."
    elif original == comparison.first:
        yield "DUPLICATE: the later article was published as a near-duplicate of the first."
    else:
        yield (
            f"DUPLICATE: the later article was published as a near-duplicate of {original}, which is older than the "
            "first or more similar."
        )
    yield (
        f"  By their signatures the first has {comparison.containment:.0%} of the later one's {SHINGLE}-word shingles; "
        f"the threshold is {comparison.threshold:.0%}."
    )
    before, after = _forms(first), _forms(later)
    known, own = _shingles(before), _shingles(after)
    both = len(own & known)
    yield f"  By their present texts it has {both} of {len(own)} ({both / len(own):.0%})."
    blocks = SequenceMatcher(None, before[:_MAX_WORDS], after[:_MAX_WORDS], autojunk=False).get_matching_blocks()
    for block in sorted(blocks, key=lambda block: -block.size)[:_MAX_PASSAGES]:
        if block.size >= SHINGLE:
            words = before[block.a : block.a + block.size]
            shown = " ".join(words if len(words) <= 2 * SHINGLE else [*words[:SHINGLE], "…", *words[-SHINGLE:]])
            yield f"  {block.size} words in a row: {shown}"
    if original is None and comparison.containment >= comparison.threshold:
        yield (
            "  They are above the threshold now, but were not when the later article was published, or one was "
            "corrected since."
        )


def _describe_story(comparison: Comparison, first: Article, later: Article) -> Iterator[str]:
    one, other = comparison.stories
    if one == other:
        yield f"ONE STORY: {one}"
    else:
        yield f"TWO STORIES: {one} and {other}"
    likeness = comparison.likeness
    yield (
        f"  Similarity {comparison.similarity:.2f} (1.00 is just enough for two articles alone): meaning "
        f"{likeness.meaning:.2f}, content words {likeness.terms:.2f}, features that all languages share "
        f"{likeness.shared:.2f}; by the time between them or their events {likeness.nearness:.0%} of it is left, by "
        f"what their titles and texts say happened {likeness.agreement:.0%}."
    )
    for name, days in zip(("first", "later"), comparison.days, strict=True):
        yield f"  Days of the {name} article's event: {', '.join(map(_day, days)) or 'none mentioned'}."
    names = _feature_names(first) | _feature_names(later)
    common = sorted(comparison.common.items(), key=lambda item: (-item[1], item[0]))[:_MAX_FEATURES]
    for number, weight in common:
        yield f"  {weight:.3f}  {names.get(number, 'a word that one of the texts no longer has')}"
    if not common:
        yield "  They have no features in common."
    if (comparison.similarity >= 1.0) != (one == other):
        yield "  An article joins the story whose articles are similar on the whole, not that of the most similar one."


def _day(day: int) -> str:
    """A day of ``event_days`` in words."""
    mentioned = date.fromordinal(abs(day))
    return f"{mentioned:%Y-%m-%d}" if day > 0 else f"a {mentioned:%A}, probably {mentioned:%Y-%m-%d}"


def _forms(article: Article) -> list[str]:
    return signature.forms(Passage(article.title or ""), _news(article))


def _news(article: Article) -> Passage:
    return Passage(article.text).without(article.boilerplate)


def _shingles(forms: list[str]) -> set[tuple[str, ...]]:
    return {tuple(forms[at : at + SHINGLE]) for at in range(max(1, len(forms) - SHINGLE + 1))}


def _feature_names(article: Article) -> dict[int, str]:
    """What the features of an article stand for, by their numbers."""
    named = {f"e:{entity.id}": f"{entity.name} ({entity.id})" for entity in article.entities}
    named |= {f"k:{consonant_key(entity.name)}": entity.name for entity in article.entities}
    own = features.shared(article.entities, article.boilerplate, numbers.numbers(article.text))
    words = terms(Passage(article.title or "").words, _news(article).words, article.language)
    named |= dict(zip(features.terms(words, article.language), words, strict=True))
    return {features.number(name): named.get(name, name.partition(":")[2]) for name in own | named}
