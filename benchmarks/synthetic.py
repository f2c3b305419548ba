"""Annotated articles in large numbers, to measure the stages after annotate.

Annotate is slower than group. So these articles come from a generated stream, and their annotations come from the
stream's labels: language, entities with up to three mentions, topics. Boilerplate, signature, numbers, terms and
vectors are computed as in annotate; quotations and dates are left out. The stream has a small vocabulary, so its
articles are more similar to each other than those of newspapers, increasingly so with their number: group has many
candidates.
"""

import multiprocessing
import random
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

from enrich.fingerprint import embedding, features, numbers, signature
from enrich.fingerprint.fingerprint import fingerprint
from enrich.text.boilerplate import BoilerplateDetector
from enrich.text.tokens import Passage, tokens
from enrich.topics import classifier
from ingest.generator import Stream, Truth
from services import zstd
from services.events import AnnotatedArticle, ArticleIn, Entity, EntityType, Mention, Span, Topic
from services.identity import article_id

# All articles are within the window of 72 hours.
SPREAD = timedelta(hours=70)
_DAY = timedelta(days=1)
_MENTIONS = 3
_SCORES = (0.9, 0.6, 0.4)
_CHUNK = 64
_INVENTED = "invented:"
_VOCABULARY = 100_000

_Job = tuple[int, dict[str, Any], Truth, list[Span]]


def prepare(path: Path, articles: int, seed: int = 1) -> None:
    """Write articles of a generated stream to ``path``, annotated, one per line of compressed JSON."""
    part = path.with_suffix(".part")
    with ExitStack() as stack:
        workers = stack.enter_context(multiprocessing.get_context("spawn").Pool())
        written = stack.enter_context(zstd.open(part, "wb"))
        for line in workers.imap(_line, _jobs(articles, seed), chunksize=_CHUNK):
            written.write(line)
    part.rename(path)


def respaced(path: Path, source: Path, articles: int) -> None:
    """Write the first articles of a file of annotated ones to ``path``, as ``prepare``, with evenly spaced arrivals.

    Raises ``ValueError`` if there are fewer.
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
        raise ValueError(f"{source} has {count} articles; {articles} are needed")


def lines(path: Path, first: int = 0) -> Iterator[bytes]:
    """The articles of a prepared file from number ``first`` (0 is the first) on, as JSON."""
    with zstd.open(path, "rb") as found:
        yield from islice(found, first, None)


def articles(encoded: Iterable[bytes]) -> list[AnnotatedArticle]:
    """Lines as articles."""
    return [AnnotatedArticle.model_validate_json(line) for line in encoded]


def _jobs(count: int, seed: int) -> Iterator[_Job]:
    # Repeated lines of a source are learnt in order of arrival; the rest of the work is independent of the order.
    boilerplate = BoilerplateDetector()
    for number, (fields, truth) in enumerate(Stream(count, seed, days=SPREAD / _DAY)):
        yield number, fields, truth, boilerplate.find(fields.get("source"), fields["text"])


def _line(job: _Job) -> bytes:
    return annotated(*job).encode() + b"\n"


def annotated(number: int, fields: dict[str, Any], truth: Truth, boilerplate: list[Span]) -> AnnotatedArticle:
    """An article of the generated stream, annotated by its labels."""
    article = ArticleIn.model_validate(fields)
    text, title, code = article.text or "", article.title, truth.language
    heading, news = Passage(title or ""), Passage(text).without(boilerplate)
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
        boilerplate=boilerplate,
        fingerprint=signature.content_digest(title, text),
        **fingerprint(heading, news, code, features.shared(named, boilerplate, numbers.numbers(text))),
        **embedding.embed(title, text, boilerplate, named),
    )


def _entity(entity_id: str, name: str, kind: EntityType, text: str) -> Entity:
    """The entity as annotate returns it. Names outside the gazetteer have an id of the article's language alone."""
    mentions: list[Mention] = []
    at = text.find(name)
    while at >= 0 and len(mentions) < _MENTIONS:
        mentions.append(Mention(start=at, end=at + len(name), text=name))
        at = text.find(name, at + len(name))
    if entity_id.startswith(_INVENTED):
        entity_id = f"x{entity_id.removeprefix(_INVENTED)}"
    return Entity(id=entity_id, name=name, type=kind, mentions=mentions)


def unrelated(number: int, rng: random.Random, blurb: list[str], arrived: datetime) -> AnnotatedArticle:
    """An article of random words, with the blurb at its end."""
    own = words(rng, rng.randint(60, 240)) + blurb
    text = " ".join(own)
    title = " ".join(own[:8])
    signed = signature.sign([word.form for word in tokens(text)])
    return AnnotatedArticle(
        id=f"{number:026}",
        received_at=arrived,
        sequence=number,
        source=f"{number % 97}.example",
        url=None,
        title=title,
        text=text,
        published_at=arrived,
        language="en",
        language_score=1.0,
        entities=[],
        fingerprint=signature.content_digest(None, text),
        signature=signature.pack(signed.minhash),
        sketch=signature.pack(signed.sketch),
        shingles=signed.shingles,
        shared=features.pack(features.shared([], [], [str(rng.randrange(10_000, 100_000)) for _ in range(3)])),
        terms=features.pack(features.terms(own[:10] + blurb[:20] + own[10:28], "en")),
        **embedding.embed(title, text, [], []),
    )


def words(rng: random.Random, count: int) -> list[str]:
    """Random words."""
    return [f"word{rng.randrange(_VOCABULARY)}" for _ in range(count)]
