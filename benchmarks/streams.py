"""Annotated articles in great numbers, to measure what comes after annotate.

Recognising names takes annotate longer than group takes for all it does. So these articles come from the generated
stream, and what annotate would find in them is taken from the stream's truth: language, entities with up to three
mentions, topics. Boilerplate, signature, numbers and terms are found as annotate finds them; quotations and dates are
left out. The stream writes with few words, so its articles are more alike than those of newspapers, and the more of
them there are, the more: candidates are many.
"""

import multiprocessing
import random
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

from enrich.fingerprint import features, numbers, signature
from enrich.fingerprint.fingerprint import marks
from enrich.text.boilerplate import Boilerplate
from enrich.text.tokens import Passage, tokens
from enrich.topics import classifier
from ingest.generator import Stream, Truth
from services import zstd
from services.events import AnnotatedArticle, ArticleIn, Entity, EntityType, Mention, Span, Topic
from services.identity import article_id

# Inside the window of 72 hours, all of them.
SPREAD = timedelta(hours=70)
_DAY = timedelta(days=1)
_MENTIONS = 3
_SCORES = (0.9, 0.6, 0.4)
_CHUNK = 64
_INVENTED = "invented:"
_VOCABULARY = 100_000

_Job = tuple[int, dict[str, Any], Truth, list[Span]]


def prepare(path: Path, articles: int, seed: int = 1) -> None:
    """Write so many articles of a generated stream to ``path``, annotated, one a line of compressed JSON."""
    part = path.with_suffix(".part")
    with ExitStack() as stack:
        workers = stack.enter_context(multiprocessing.get_context("spawn").Pool())
        written = stack.enter_context(zstd.open(part, "wb"))
        for line in workers.imap(_line, _jobs(articles, seed), chunksize=_CHUNK):
            written.write(line)
    part.rename(path)


def respaced(path: Path, source: Path, articles: int) -> None:
    """Write the first articles of a file of annotated ones to ``path``, as ``prepare``, with arrivals evenly spread.

    Raises ``ValueError`` when there are fewer.
    """
    first: datetime | None = None
    count = 0
    with source.open("rb") as found, zstd.open(path, "wb") as written:
        for line in islice(found, articles):
            article = AnnotatedArticle.model_validate_json(line)
            first = first or article.received_at
            arrives = first + SPREAD * (count / articles)
            changes = {"received_at": arrives, "published_at": arrives, "sequence": count}
            written.write(article.model_copy(update=changes).encode() + b"\n")
            count += 1
    if count < articles:
        path.unlink()
        raise ValueError(f"{source} has {count} articles, and {articles} are needed")


def lines(path: Path, first: int = 0) -> Iterator[bytes]:
    """The articles of a prepared file from number ``first`` (0 is the first) on, as JSON."""
    with zstd.open(path, "rb") as found:
        yield from islice(found, first, None)


def articles(encoded: Iterable[bytes]) -> list[AnnotatedArticle]:
    """Lines as articles."""
    return [AnnotatedArticle.model_validate_json(line) for line in encoded]


def _jobs(count: int, seed: int) -> Iterator[_Job]:
    # What a source repeats is learnt in the order of arrival; the rest of the work knows no order.
    memory = Boilerplate()
    for number, (fields, truth) in enumerate(Stream(count, seed, days=SPREAD / _DAY)):
        yield number, fields, truth, memory.find(fields.get("source"), fields["text"])


def _line(job: _Job) -> bytes:
    return annotated(*job).encode() + b"\n"


def annotated(number: int, fields: dict[str, Any], truth: Truth, furniture: list[Span]) -> AnnotatedArticle:
    """An article of the generated stream, annotated by its truth."""
    article = ArticleIn.model_validate(fields)
    text, title, code = article.text or "", article.title, truth.language
    heading, news = Passage(title or ""), Passage(text).without(furniture)
    named = [_entity(*entity, text) for entity in truth.entities]
    return AnnotatedArticle(
        id=article_id(article),
        received_at=truth.arrives_at,
        sequence=number,
        source=article.source,
        url=article.url,
        title=title,
        text=text,
        published_at=article.published_at,
        published_basis="given" if article.published_at else None,
        authors=article.authors,
        language=code,
        language_score=1.0,
        entities=named,
        topics=[
            Topic(id=topic, label=classifier.tree()[topic].label(code), score=score)
            for topic, score in zip(truth.topics, _SCORES, strict=False)
        ],
        boilerplate=furniture,
        fingerprint=signature.fingerprint(title, text),
        **marks(heading, news, code, features.shared(named, furniture, numbers.numbers(text))),
    )


def _entity(entity_id: str, name: str, kind: EntityType, text: str) -> Entity:
    """As annotate has it: who is not in the gazetteer has an identity of the article's language alone."""
    mentions: list[Mention] = []
    at = text.find(name)
    while at >= 0 and len(mentions) < _MENTIONS:
        mentions.append(Mention(start=at, end=at + len(name), text=name))
        at = text.find(name, at + len(name))
    if entity_id.startswith(_INVENTED):
        entity_id = f"x{entity_id.removeprefix(_INVENTED)}"
    return Entity(id=entity_id, name=name, type=kind, mentions=mentions)


def unrelated(number: int, chance: random.Random, blurb: list[str], arrived: datetime) -> AnnotatedArticle:
    """An article of words that it shares by chance alone, and the blurb at its end."""
    own = words(chance, chance.randint(60, 240)) + blurb
    text = " ".join(own)
    signed = signature.sign([word.form for word in tokens(text)])
    return AnnotatedArticle(
        id=f"{number:026}",
        received_at=arrived,
        sequence=number,
        source=f"{number % 97}.example",
        url=None,
        title=" ".join(own[:8]),
        text=text,
        published_at=arrived,
        language="en",
        language_score=1.0,
        entities=[],
        fingerprint=signature.fingerprint(None, text),
        signature=signature.pack(signed.minhash),
        sketch=signature.pack(signed.sketch),
        shingles=signed.shingles,
        shared=features.pack(features.shared([], [], [str(chance.randrange(10_000, 100_000)) for _ in range(3)])),
        terms=features.pack(features.terms(own[:10] + blurb[:20] + own[10:28], "en")),
    )


def words(chance: random.Random, count: int) -> list[str]:
    """So many words by chance."""
    return [f"word{chance.randrange(_VOCABULARY)}" for _ in range(count)]
