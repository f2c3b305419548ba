"""The fingerprint by which group compares articles. Computed in annotate, which has many processes; group has one."""

from collections.abc import Mapping
from typing import TypedDict

from enrich.fingerprint import features, signature
from enrich.fingerprint.terms import terms
from enrich.text.tokens import Passage


class Fingerprint(TypedDict):
    """The fields of ``AnnotatedArticle`` that group compares; they are documented there."""

    signature: str
    sketch: str
    shingles: int
    shared: str
    terms: str


def fingerprint(heading: Passage, news: Passage, language: str, shared: Mapping[str, float]) -> Fingerprint:
    """The fingerprint of an article's title, its text without boilerplate, and its ``features.shared``."""
    signed = signature.sign(signature.forms(heading, news))
    return Fingerprint(
        signature=signature.pack(signed.minhash),
        sketch=signature.pack(signed.sketch),
        shingles=signed.shingles,
        shared=features.pack(shared),
        terms=features.pack(features.terms(terms(heading.words, news.words, language), language)),
    )
