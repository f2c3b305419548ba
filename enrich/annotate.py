"""Annotate: from a raw article to everything that can be known of it alone.

One plain function; ``khabar annotate`` and the Faust agent call the same.
"""

from datetime import datetime, timedelta
from typing import Literal

from enrich import quotes
from enrich.dates import finder
from enrich.entities import find, recognition
from enrich.entities.recognition.recognizer import Recognizer
from enrich.fingerprint import features, numbers, signature
from enrich.fingerprint.embedding import Encoder
from enrich.fingerprint.fingerprint import marks
from enrich.text import cleaning, language, spacing
from enrich.text.boilerplate import Boilerplate
from enrich.text.tokens import Passage
from enrich.topics import classifier
from services.events import AnnotatedArticle, Date, RawArticle, Span

# Clocks of publishers that run ahead are believed so far.
_AHEAD = timedelta(days=1)
_UNDERSTOOD = 200_000


def annotate(
    raw: RawArticle,
    sequence: int = 0,
    *,
    recognizer: Recognizer | None = None,
    memory: Boilerplate | None = None,
    encoder: Encoder | None = None,
) -> AnnotatedArticle:
    """Clean, tell the language, find names, dates, topics and quotations, sign.

    ``recognizer`` finds the names that the gazetteer does not know; None is that of the default tier.
    ``memory`` has learnt the lines that sources repeat, and learns from this article; without one the same input has
    the same output. ``encoder`` finds the article's vector; without one it has none. Raises ``cleaning.EmptyText``
    when nothing readable is left.
    """
    text = spacing.split_glued(cleaning.clean(raw.text, raw.html))
    furniture = (memory or Boilerplate()).find(raw.source, text)
    given_title = cleaning.clean_title(raw.title)
    title = given_title or cleaning.headline(text, furniture)
    code, score = language.detect(f"{title}\n{text}" if given_title else text, raw.language)
    published, basis = _published(raw, text, code)
    heading, body = Passage(title or ""), Passage(text)
    news = body.without(furniture)
    # No news is longer. What is has its beginning understood, and all of it shown and compared.
    beginning = body if len(text) <= _UNDERSTOOD else Passage(_beginning(text))
    named = find.find(heading, beginning, code, recognizer or recognition.load())
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
        dates=[
            day for day in finder.find(beginning.text, code, published, raw.received_at) if not _within(day, furniture)
        ],
        boilerplate=furniture,
        # Not of what was learnt or guessed: the same content has the same fingerprint whenever it is annotated.
        fingerprint=signature.fingerprint(given_title, text),
        **marks(heading, news, code, features.shared(named, furniture, numbers.numbers(beginning.text))),
        vector=encoder.vector(title, text, furniture) if encoder else None,
    )


def _published(raw: RawArticle, text: str, code: str) -> tuple[datetime | None, Literal["given", "text"] | None]:
    """When the article was published and how that is known: the publisher's word, else its dateline."""
    if raw.published_at is not None:
        return raw.published_at, "given"
    stamped = finder.dateline(text, code)
    return (stamped, "text") if stamped is not None and stamped <= raw.received_at + _AHEAD else (None, None)


def _beginning(text: str) -> str:
    """So much of a text as is understood, to the end of a word."""
    end = max(text.rfind(" ", 0, _UNDERSTOOD), text.rfind("\n", 0, _UNDERSTOOD))
    return text[: end if end > 0 else _UNDERSTOOD]


def _within(day: Date, furniture: list[Span]) -> bool:
    return any(span.start <= day.start < span.end for span in furniture)
