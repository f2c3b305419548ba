"""Work is linear in the length of what a stranger sends: every stage on a text, every regular expression.

CPU time is measured on generated texts of two lengths. Only what takes longer than linear work on a slow machine is
measured again, so noise makes no test fail. ``HYPOTHESIS_PROFILE=night``: more texts, up to 1 MB.
"""

import functools
import gc
import importlib
import itertools
import os
import pkgutil
import re
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pytest
import regex
from protego import Protego

import api
import enrich
import ingest
import khabar
import services
from enrich import annotate as annotating
from enrich import quotes
from enrich.dates import finder
from enrich.entities import find, recognition
from enrich.entities.recognition import NameSpan
from enrich.fingerprint import consonants, numbers, signature
from enrich.fingerprint.terms import terms
from enrich.text import cleaning, language, spacing, tokens
from enrich.text.boilerplate import BoilerplateDetector
from enrich.text.tokens import Passage
from enrich.topics import classifier
from ingest.feeds import identity
from ingest.pages.addresses import shown_url
from ingest.pages.article_check import holds, why_not
from services import arabic, normalization
from services.documents import feed_fields, html_fragment, html_text, page_extraction
from services.documents.feed import FeedEntry
from services.documents.html_text import Page
from services.events import RawArticle
from tests.shapes import UNITS, Shape, shapes

NIGHT = os.environ.get("HYPOTHESIS_PROFILE") == "night"
RANDOM_SHAPES = 500 if NIGHT else 12
# Characters. A stage that is quadratic is slow at the first, and 16 times as slow at the second.
SHORT, LONG = (64_000, 1_000_000) if NIGHT else (16_000, 64_000)
# CPU seconds a character: linear stages take a tenth of it, and less.
SLOW = 4e-6
# Growth of the time with the length: 1 is linear, 2 quadratic.
EXPONENT = 1.4
NOW = datetime(2026, 11, 6, 12, tzinfo=UTC)

# Expressions that are only matched against strings of at most this many characters.
SHORT_INPUT = {
    "enrich.text.boilerplate._WRITER": 160,
    "enrich.text.boilerplate._PLACE_AND_AGENCY": 160,
    "enrich.text.spacing._SENTENCES": 64,
    "services.settings._SERVER": 200,
    "ingest.pages.article_check._MORE": 100,
}

Work = Callable[[str], object]


def passage(work: Callable[[Passage], object]) -> Work:
    """A stage that gets the words of a cleaned text."""
    return lambda text: work(Passage(cleaning.clean_text(text)))


def annotate(text: str) -> object:
    """The whole of annotate, except that names are found by rules: the network has a separate test."""
    raw = RawArticle(id="1", received_at=NOW, source="s", text=f"a {text}")
    return annotating.annotate(raw, recognizer=_no_recognizer())


@functools.cache
def _no_recognizer() -> Any:
    class Nothing:
        languages = None

        def find(self, passage: Passage) -> list[Any]:
            return []

    return Nothing()


@functools.cache
def _recognizes_all() -> Any:
    class Everything:
        languages = None

        def find(self, passage: Passage) -> list[Any]:
            kinds = itertools.cycle(("PER", "LOC", "ORG", "MISC"))
            return [NameSpan(word.start, word.end, kind, 0.9) for word, kind in zip(passage.words, kinds)]  # noqa: B905

    return Everything()


STAGES: dict[str, Work] = {
    "fragment_text": html_fragment.fragment_text,
    "unescape": html_fragment.unescape,
    "is_page": html_text.is_page,
    "shorten_tags": page_extraction.shorten_tags,
    "clean_text": cleaning.clean_text,
    "clean_title": cleaning.clean_title,
    "arabic_spelling": cleaning.arabic_spelling,
    "headline": cleaning.headline,
    "split_glued": spacing.split_glued,
    "boilerplate": lambda text: BoilerplateDetector().find("source", text),
    "language": language.detect,
    "passage": Passage,
    "entities": passage(lambda words: find.find_entities(Passage(""), words, "en", _no_recognizer())),
    "entities_ar": passage(lambda words: find.find_entities(Passage(""), words, "ar", _no_recognizer())),
    "entities_ar_recognised": passage(lambda words: find.find_entities(Passage(""), words, "ar", _recognizes_all())),
    "topics": passage(lambda words: classifier.classify(Passage(""), words, "ar")),
    "quotes_ar": passage(lambda words: quotes.find(words, "ar", [])),
    "quotes_en": passage(lambda words: quotes.find(words, "en", [])),
    "dates_ar": lambda text: (finder.find(text, "ar", None, NOW), finder.dateline(text, "ar")),
    "dates_en": lambda text: (finder.find(text, "en", None, NOW), finder.dateline(text, "en")),
    "numbers": numbers.numbers,
    "signature": passage(lambda words: signature.sign(signature.forms(words, words))),
    "terms": passage(lambda words: terms(words.words, words.words, "ar")),
    "consonants": lambda text: consonants.consonant_key(cleaning.clean_text(text)),
    "normalize_unicode": arabic.normalize_unicode,
    "compose": normalization.compose,
    "arabic": normalization.arabic,
    "feed_entry": lambda text: identity._content(FeedEntry(html=text, title=text)),
    "feed_title": feed_fields.read_title,
    "feed_authors": lambda text: feed_fields.read_authors([text]),
    "shown_url": shown_url,
    "article_check": lambda text: why_not(
        Page(text=text), text, title=text, summary=text, wanted="https://h.example/a", found="https://h.example/b"
    ),
    "summary_held": lambda text: holds(text, text),
    "robots": lambda text: Protego.parse(text).can_fetch("https://h.example/" + text[:2_000], "khabar"),
    "annotate": annotate,
}

# Lines of boilerplate between lines with entities, quotations and dates: many spans beside many mentions.
LINES = (
    "share\nIran\n",
    "share\nIran said on Monday that a a a.\n",
    "Related\nJoe Smith said a 6 November 2026.\n",
    "اقرأ أيضا\nقال محمد علي إن إيران بلد كبير.\n",
    "share\nJoe Aa{n} said that Aa{n} a a a.\n",
    "Punjab India ",
    "Related\n",
    "\u0651\u064e",
    "Путин сказал, что Москва a a. ",
    "كلمة\u2060كلمة\u200b",
    "می\u200cخواهم",
    "\U0001f3f4\U000e0067",
    "\ufe91\u0640",
    "ڏ ڠ وچ لر ",
    "<b a='<script>",
    "120 views | ",
    "6ر19 2-1 5:07 ",
)

# Markup in which elements are nested, end in the wrong order or not at all: each pair first in turns, then in runs.
NESTED = (
    ("<div>x", "</div>"),
    ("<table><tr><td>x<td>y", "</td></tr></table>"),
    ("<table><td>x<td>", "</tr>"),
    ("<table><tr><td>", "<td>x"),
    ("<ul><li>x", "</ul>"),
    ("<section>", "<li></li>"),
    ("<li><div>", "</li>"),
    ("<dl><dt>x", "<dd>y"),
    ("<b><p>x", "</b></p>"),
    ("<span hidden>x", "</span>"),
    ("<p><template>", "<p>"),
    ("<ruby>x<rt>y", "</ruby>"),
    ("<pre>\n", "</pre>"),
    ("&lt;p&gt;", "&lt;/p&gt;"),
    ('<a b="', '">'),
    ("<a b='", '<a b="'),
    ('<a class="hidden ', 'hidden" '),
    ("<x ", "= <"),
    ("<script>", "</scrip"),
    ("\n \n", "x"),
)


class Runs(NamedTuple):
    """A text of many openings, then as many closings."""

    opening: str
    closing: str

    def text(self, length: int) -> str:
        """The text with (nearly) this many characters."""
        count = length // (len(self.opening) + len(self.closing))
        return self.opening * count + self.closing * count


@pytest.fixture(autouse=True)
def _no_collection() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


def seconds(work: Work, text: str) -> float:
    """The CPU time of one call."""
    began = time.thread_time()
    work(text)
    return time.thread_time() - began


def grows(work: Work, shape: Shape | Runs, limit: float = SLOW) -> str | None:
    """What is measured where the time of some work clearly grows faster than the length of its text; else None."""
    long = shape.text(LONG)
    if seconds(work, long) < limit * LONG:
        return None
    # Again, with caches filled: the least of several times on both lengths.
    most = min(seconds(work, long) for _ in range(2))
    least = min(seconds(work, shape.text(SHORT)) for _ in range(3))
    if most < limit * LONG or most < least * (LONG / SHORT) ** EXPONENT:
        return None
    return f"{shape!r}: {SHORT} characters {least:.3f} s, {LONG} characters {most:.3f} s"


@functools.cache
def all_shapes() -> list[Shape]:
    """The generated texts."""
    return list(shapes(RANDOM_SHAPES))


@pytest.mark.parametrize("stage", STAGES)
def test_stages_take_linear_time(stage: str) -> None:
    """Four times as long a text takes a stage about four times as long, whatever is repeated in it."""
    chosen = [*all_shapes()[:: 1 if NIGHT else 8], *(Shape("", lines) for lines in LINES)]
    found = [worse for shape in chosen if (worse := grows(STAGES[stage], shape))]
    assert not found, "\n".join(found)


def test_html_takes_linear_time() -> None:
    """The same for markup whose elements are nested deeply or not closed."""
    texts = [shape for pair in NESTED for shape in (Runs(*pair), Runs(*reversed(pair)), Shape("", "".join(pair)))]
    found = [worse for shape in texts if (worse := grows(html_fragment.fragment_text, shape))]
    assert not found, "\n".join(found)


def test_the_recognizer_takes_linear_time() -> None:
    """The same for the network; it is slower, so it gets fewer texts."""
    recognizer = recognition.load()
    units = UNITS if NIGHT else ("a'", "التقى محمد كلمة{n} ", "word{n} ", "\u0651\u064e", "ب\u0640", "1 ")

    def work(text: str) -> object:
        # Annotate gives it this much of a text at most.
        return recognizer.find(Passage(cleaning.clean_text(text)[:200_000]))

    found = [worse for unit in units if (worse := grows(work, Shape("", unit), 20 * SLOW))]
    assert not found, "\n".join(found)


def expressions() -> dict[str, Any]:
    """Every compiled regular expression of the packages, by where it is; each once."""
    found: dict[Any, str] = {}
    for package in (services, khabar, ingest, enrich, api):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith("__main__"):
                for name, value in vars(importlib.import_module(module.name)).items():
                    if isinstance(value, re.Pattern | regex.Pattern) and isinstance(value.pattern, str):
                        found.setdefault(value, f"{module.name}.{name}")
    for code in ("ar", "en", "fr", "de", "ru"):
        found[finder._tables(code).word] = f"dates.{code}"
    found[tokens._article("ar")] = "tokens._article"
    for script in ("Arabic", "Latin", "Han"):
        found[language._foreign(script)] = f"language._foreign.{script}"
    return {name: pattern for pattern, name in found.items()}


def test_regular_expressions_take_linear_time() -> None:
    """No expression backtracks or begins again and again on a text of repeated units."""
    length, slow = (16_000, 1e-6) if NIGHT else (6_000, 2e-6)
    texts = [(shape, shape.text(length)) for shape in all_shapes()]
    found = []
    for name, pattern in expressions().items():

        def work(text: str, pattern: Any = pattern) -> None:
            for _ in pattern.finditer(text):
                pass
            pattern.match(text)
            pattern.fullmatch(text)

        bound = SHORT_INPUT.get(name, length)
        for shape, whole in texts:
            text = whole[:bound]
            if seconds(work, text) > slow * length and min(seconds(work, text) for _ in range(3)) > slow * length:
                found.append(f"{name}: {shape!r}")
    assert not found, "\n".join(found)
