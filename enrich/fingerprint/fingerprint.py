"""What group compares an article by. Made where articles are annotated: annotate is many processes, group is one."""

from collections.abc import Mapping
from typing import TypedDict

from enrich.fingerprint import features, signature
from enrich.fingerprint.terms import terms
from enrich.text.tokens import Passage


class Marks(TypedDict):
    """Fields of ``AnnotatedArticle``, which tells what each is."""

    signature: str
    sketch: str
    shingles: int
    shared: str
    terms: str


def marks(heading: Passage, news: Passage, language: str, shared: Mapping[str, float]) -> Marks:
    """The marks of an article: of its title, its text without boilerplate, and ``features.shared``."""
    signed = signature.sign(signature.forms(heading, news))
    return Marks(
        signature=signature.pack(signed.minhash),
        sketch=signature.pack(signed.sketch),
        shingles=signed.shingles,
        shared=features.pack(shared),
        terms=features.pack(features.terms(terms(heading.words, news.words, language), language)),
    )
