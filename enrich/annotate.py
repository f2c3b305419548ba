"""Annotate: from a raw article to everything that can be known of it alone.

One plain function; ``khabar annotate`` and the Faust agent call the same.
"""

from enrich import cleaning, entities, language, signature
from enrich.normalization import Passage
from enrich.terms import terms
from services.events import AnnotatedArticle, RawArticle


def annotate(raw: RawArticle, sequence: int = 0) -> AnnotatedArticle:
    """Clean, tell the language, find entities, sign. Same input, same output.

    Raises ``cleaning.EmptyText`` when nothing readable is left.
    """
    text = cleaning.clean(raw.text, raw.html)
    title = cleaning.clean_title(raw.title) or cleaning.headline(text)
    code, score = language.detect(f"{title}\n{text}" if raw.title else text, raw.language)
    heading, body = Passage(title or ""), Passage(text)
    return AnnotatedArticle(
        id=raw.id,
        received_at=raw.received_at,
        sequence=sequence,
        source=raw.source,
        url=raw.url,
        title=title,
        text=text,
        published_at=raw.published_at,
        authors=raw.authors,
        language=code,
        language_score=score,
        entities=entities.find(heading, body, code),
        fingerprint=signature.fingerprint(title, text),
        signature=signature.pack(signature.minhash([word.form for word in body.words])),
        terms=terms(heading.words, body.words, code),
    )
