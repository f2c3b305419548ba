"""Annotate: from a raw article to everything that can be derived from it alone.

One plain function, called by ``khabar annotate`` and by the Faust agent.
"""

from datetime import datetime
from typing import Literal

from prometheus_client import Histogram

from enrich import quotes
from enrich.dates import finder
from enrich.entities import find, recognition
from enrich.entities.recognition.recognizer import Recognizer
from enrich.fingerprint import embedding, features, numbers, signature
from enrich.fingerprint.embedding import Encoder
from enrich.fingerprint.fingerprint import fingerprint
from enrich.text import cleaning, language, spacing
from enrich.text.boilerplate import BoilerplateDetector, known_boilerplate, without
from enrich.text.tokens import Passage
from enrich.topics import classifier
from services.clock import is_plausible
from services.events import AnnotatedArticle, Date, Entity, RawArticle, Span

SECONDS = Histogram(
    "khabar_annotate_seconds", "Time to annotate an article", buckets=(0.005, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30)
)

_ARABIC = "ar"
# The longest part of a text that is searched for names, quotations and dates; no news article is longer.
_SEARCHED = 200_000
# The largest number of entities of an article; each of them takes memory in the store for weeks.
MAX_ENTITIES = 150


@SECONDS.time()
def annotate(
    raw: RawArticle,
    sequence: int = 0,
    *,
    recognizer: Recognizer | None = None,
    boilerplate: BoilerplateDetector | None = None,
    encoder: Encoder | None = None,
) -> AnnotatedArticle:
    """Clean the text, detect its language, find names, dates, topics and quotations, compute the fingerprint.

    ``recognizer`` finds names that are not in the gazetteer; the default is that of the default tier. ``boilerplate``
    has learned the lines that sources repeat, and learns from this article; without it the same input has the same
    output. ``encoder`` computes the article's vector; the default is that of the default tier. The text of an article
    that is only a headline is that headline. Raises ``cleaning.EmptyText`` when neither a readable text nor a headline
    is left.
    """
    given_title, text = _title_and_text(raw)
    code, score = language.detect(f"{given_title}\n{text}" if given_title else text, raw.language)
    if code == _ARABIC:
        given_title, text = given_title and cleaning.arabic_spelling(given_title), cleaning.arabic_spelling(text)
    text = spacing.split_glued(text)
    spans = (boilerplate or BoilerplateDetector()).find(raw.source, text, given_title)
    title = given_title or cleaning.headline(text, spans)
    published, basis = _published(raw, text, code)
    heading, body = Passage(title or ""), Passage(text)
    news = body.without(spans)
    beginning = body if len(text) <= _SEARCHED else Passage(_beginning(text))
    named = _main(find.find_entities(heading, beginning, code, recognizer or recognition.load()))
    return AnnotatedArticle(
        id=raw.id,
        received_at=raw.received_at,
        sequence=sequence,
        source=raw.source,
        url=raw.url,
        title=title,
        text=text,
        published_at=published,
        published_basis=basis,
        authors=raw.authors,
        language=code,
        language_score=score,
        entities=named,
        topics=classifier.classify(heading, news, code),
        quotes=quotes.find(beginning, code, named),
        dates=[day for day in finder.find(beginning.text, code, published, raw.received_at) if not _within(day, spans)],
        boilerplate=spans,
        # Without boilerplate, whose changes (a counter of views, links to other news) make no revision; but without
        # anything learned, so that the same content always has the same digest.
        fingerprint=signature.content_digest(given_title, without(text, known_boilerplate(text, given_title))),
        **fingerprint(heading, news, code, features.shared(named, spans, numbers.numbers(beginning.text))),
        **embedding.embed(title, text, spans, named, encoder),
    )


def _title_and_text(raw: RawArticle) -> tuple[str | None, str]:
    """Title and text as they are shown, but for what depends on the language. Raises ``cleaning.EmptyText``."""
    title = cleaning.clean_title(raw.title)
    try:
        return title, cleaning.clean(raw.text, raw.html, title)
    except cleaning.EmptyText:
        if title is None or not cleaning.has_words(title):
            raise
        return title, title


def _published(raw: RawArticle, text: str, code: str) -> tuple[datetime | None, Literal["given", "text"] | None]:
    """The time of publication and its basis: given by the publisher, else read from the dateline; if plausible."""
    if raw.published_at is not None and is_plausible(raw.published_at, raw.received_at):
        return raw.published_at, "given"
    stamped = finder.dateline(text, code)
    return (stamped, "text") if stamped is not None and is_plausible(stamped, raw.received_at) else (None, None)


def _main(named: list[Entity]) -> list[Entity]:
    """At most ``MAX_ENTITIES``, in their order: those with the most mentions, of equal ones the first."""
    if len(named) <= MAX_ENTITIES:
        return named
    ranked = sorted(range(len(named)), key=lambda place: -len(named[place].mentions))
    return [named[place] for place in sorted(ranked[:MAX_ENTITIES])]


def _beginning(text: str) -> str:
    """The searched part of a text, to the end of a word."""
    end = max(text.rfind(" ", 0, _SEARCHED), text.rfind("\n", 0, _SEARCHED))
    return text[: end if end > 0 else _SEARCHED]


def _within(day: Date, spans: list[Span]) -> bool:
    return features.is_within(day.start, day.start + 1, spans)
