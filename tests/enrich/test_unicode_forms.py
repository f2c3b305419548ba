"""One text in other Unicode forms has the same signature, entities and story."""

import functools
import random
import unicodedata
from collections.abc import Callable
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from enrich.annotate import annotate
from enrich.group.grouper import Grouper
from services.events import AnnotatedArticle
from tests.harness import ARRIVAL, raw, seed_articles

TATWEEL = "\u0640"
ARABIC_LETTERS = range(0x0621, 0x064B)
INDIC = str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩")


@functools.cache
def presentation_forms() -> dict[str, list[str]]:
    """The presentation forms of each Arabic letter, and the ligatures of lam and alef."""
    found: dict[str, list[str]] = {}
    for code in range(0xFE80, 0xFEFD):
        plain = unicodedata.normalize("NFKC", chr(code))
        found.setdefault(plain, []).append(chr(code))
    return found


def presented(text: str, rng: random.Random) -> str:
    """Arabic letters as presentation forms, as old systems write them."""
    forms, out, at = presentation_forms(), [], 0
    text = unicodedata.normalize("NFC", text)
    while at < len(text):
        length = 2 if text[at : at + 2] in forms else 1
        letters = text[at : at + length]
        out.append(rng.choice(forms[letters]) if letters in forms else letters)
        at += length
    return "".join(out)


def stretched(text: str, rng: random.Random) -> str:
    """Tatweel between Arabic letters."""
    out = []
    for letter, following in zip(text, f"{text[1:]} ", strict=True):
        out.append(letter)
        if ord(letter) in ARABIC_LETTERS and ord(following) in ARABIC_LETTERS and rng.random() < 0.3:
            out.append(TATWEEL * rng.randint(1, 3))
    return "".join(out)


FORMS: dict[str, Callable[[str, random.Random], str]] = {
    "NFC": lambda text, _: unicodedata.normalize("NFC", text),
    "NFD": lambda text, _: unicodedata.normalize("NFD", text),
    "NFKC": lambda text, _: unicodedata.normalize("NFKC", text),
    "presentation forms": presented,
    "tatweel": stretched,
    "other digits": lambda text, _: text.translate(INDIC),
}


def annotated(text: str, title: str | None, name: str) -> AnnotatedArticle:
    """The article, annotated by itself."""
    article = seed_articles()[0].model_copy(update={"text": text, "title": title, "source": name, "html": None})
    return annotate(raw(article, name, ARRIVAL + timedelta(seconds=len(name))))


def sentences(number: int) -> tuple[str, str | None]:
    """The text and title of an article of ours."""
    article = seed_articles()[number]
    return article.text or "", article.title


@functools.cache
def of_script(arabic: bool) -> list[int]:
    """The numbers of our articles that are, or are not, in Arabic script."""
    return [
        number
        for number, article in enumerate(seed_articles())
        if len(article.text or "") > 100 and ("ال" in (article.text or "")) == arabic
    ]


def assert_the_same(text: str, title: str | None, form: str, seed: int) -> None:
    """Compare an article with itself in another form."""
    change = FORMS[form]
    other_title = title and change(title, random.Random(seed))
    one, other = annotated(text, title, "a"), annotated(change(text, random.Random(seed)), other_title, "other")
    for name in ("language", "signature", "sketch", "shingles", "shared", "terms"):
        assert getattr(one, name) == getattr(other, name), name
    assert [(found.id, found.type) for found in one.entities] == [(found.id, found.type) for found in other.entities]
    grouper = Grouper(timedelta(hours=72), 100)
    first, second = grouper.process(one), grouper.process(other)
    assert first is not None
    assert second is not None
    assert second.article.story == first.article.story
    assert (second.article.duplicate_of, second.article.similarity) == ("a", 1.0)


@settings(max_examples=40, deadline=None)
@given(st.data(), st.sampled_from(sorted(FORMS)), st.integers(0, 1_000))
def test_another_form_of_arabic_is_the_same_article(data: st.DataObject, form: str, seed: int) -> None:
    """Normal forms, presentation forms, tatweel and other digits change nothing that is compared."""
    assert_the_same(*sentences(data.draw(st.sampled_from(of_script(True)))), form, seed)


@settings(max_examples=25, deadline=None)
@given(st.data(), st.sampled_from(["NFC", "NFD", "NFKC"]))
def test_another_form_of_other_scripts_is_the_same_article(data: st.DataObject, form: str) -> None:
    """So it is with accents and Cyrillic letters."""
    assert_the_same(*sentences(data.draw(st.sampled_from(of_script(False)))), form, 0)
