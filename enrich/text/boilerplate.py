"""The parts of an article that do not belong to its news: blurbs, "read also", bylines, captions, page chrome.

Boilerplate has lines to itself. Some of it is known from phrases (``boilerplate.toml`` here and in the folders of
languages); the rest is learned: a line that one source repeats in articles which have nothing else in common.
"""

import re
import tomllib
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from enrich.languages import files
from services.events import Span
from services.normalization import OPTIONAL_MARKS

# A line is learned when this many unrelated articles of its source have had it.
_LEARNED_AFTER = 3
_LONGEST_LEARNED = 1_000
_MOST_LINES = 60
# An article is recognised again by the beginnings and ends of its longest lines.
_SKETCHED_LINES = 6
_EDGE = 32

_LONGEST_LINE = 400
_LONGEST_SHORT = 160
_LONGEST_LINK = 120
_MOST_LINKS = 10
_CAPTION_WORDS = 20
_BEGINNING = 60

_LONGEST_COUNTER = 48
_WORDS_BESIDE_COUNTER = 8
_NUMBER = re.compile(r"\d[\d.,:٫٬]*+(?:[kmк]\b)?")
_WORDS = re.compile(r"[^\W\d_]+")
_PART = re.compile(r"[|•·]")

_BULLETS = " \t•·*-–—|>»"
# One letter for its variants; chained replacements are several times faster than a translation table.
_SPELLING = tuple(zip("أإآٱىة", "ااااي" + "ه", strict=True))


def _fold(line: str) -> str:
    """A line or phrase in the spelling that phrases are compared in: without case and optional Arabic marks."""
    if not line.isascii():
        for variant, letter in _SPELLING:
            line = line.replace(variant, letter)
        for mark in OPTIONAL_MARKS:
            line = line.replace(mark, "")
    return line.lower()


# The language of an article is not known yet when its boilerplate is found, so the phrases of all languages count.
_TABLES = [
    tomllib.loads(Path(__file__).with_name(files.BOILERPLATE).read_text(encoding="utf-8")),
    *files.tables(files.BOILERPLATE),
]


def _written(key: str) -> list[str]:
    """The phrases of all tables under a key, as they are written there."""
    parts = (part.strip() for table in _TABLES for part in re.split(r"[;\n]", table.get(key, "")))
    return [part for part in parts if part]


def _phrases(key: str) -> tuple[str, ...]:
    """The phrases of all tables under a key, folded."""
    return tuple(dict.fromkeys(map(_fold, _written(key))))


# "Read also": alone above links, or before one on the same line.
_LINKS = _phrases("links")
# Headings above links that are ordinary beginnings of sentences too: alone, or before a colon.
_LINK_HEADINGS = _phrases("link_headings")
_HEADINGS = frozenset(_LINKS + _LINK_HEADINGS)
_BUTTONS = frozenset(_phrases("buttons"))
_BEGINNINGS = _phrases("beginnings")
# "The post … appeared first on": what stands before the title of the article, and after it.
_FOOTERS = tuple(tuple(map(str.strip, footer.split("…", 1))) for footer in _phrases("footers"))
_AGENCIES = frozenset(_phrases("agencies"))
_AGENCY_ENDINGS = tuple(sorted(_AGENCIES))
_BYLINES = _phrases("bylines")
_STAMPS = _phrases("stamps")
_COUNTERS = frozenset(_phrases("counters"))
_COUNTER_UNITS = frozenset(_phrases("counter_units"))
_BY_WORDS = tuple(f"{word} " for word in _written("by"))
_PICTURES = (".jpg", ".jpeg", ".png", ".gif", ".webp", ".svg", ".bmp", ".mp4")

_SENTENCE_END = re.compile(r"[.!؟?…:۔][\"'»”)\]]*$")
_NAME = r"[^\W\d_][\w.'’\-]*"
_CAPITALISED = r"[A-ZÀ-ÖØ-ÞА-ЯЁ][\w.'’\-]*"
_WRITER = re.compile(rf"({_NAME}) ?[:/\-–] ?{_NAME}(?:[ ,/]+{_NAME}){{0,7}}")
_BY = re.compile(
    rf"(?:{'|'.join(_BY_WORDS)}){_CAPITALISED}(?:,? (?:{'|'.join(_written('by_joints'))}|{_CAPITALISED})){{1,7}}"
)
_PLACE_AND_AGENCY = re.compile(rf"{_NAME}(?: {_NAME}){{0,3}} ?[\-–—/:،,(] ?([^\-–—/:،,()]{{2,15}})\)?")
_CREDIT = re.compile(r"[(\[](?:[^()\[\]]{0,30}[/\-–] ?)?([^()\[\]/\-–]{2,15})[)\]]$")
_STAMP = re.compile(
    r"(?:\d{4}[./\-]\d\d?[./\-]\d\d?|\d\d?[./\-]\d\d?[./\-]\d{4})(?![\w])"
    r"(?:[^\w\n]{0,5}\d\d?:\d\d(?::\d\d)?)?(?:[^\w\n]{0,3}[^\W\d_]{1,20}){0,3}"
)


class _Line(NamedTuple):
    start: int
    end: int
    text: str


Edges = frozenset[int]


class Sketch(NamedTuple):
    """An article as it is recognised again: the edges of its longest lines, and those of its title and first line.

    ``head`` is empty where no title is known.
    """

    edges: Edges
    head: Edges


@dataclass(slots=True)
class _SourceHistory:
    """The recent lines of a source: candidates with the articles they were in, and those learned as boilerplate."""

    candidates: OrderedDict[int, tuple[Sketch, ...]] = field(default_factory=OrderedDict)
    known: OrderedDict[int, None] = field(default_factory=OrderedDict)


class BoilerplateDetector:
    """Finds boilerplate, and learns the lines that each source repeats from the articles it is given.

    Its history is bounded: the ``lines`` last seen of the ``sources`` last seen, 0.3 to 0.6 KB a line: 20 MB with the
    defaults, 45 MB at worst. Deterministic: the same articles in the same order give the same answers.
    """

    def __init__(self, sources: int = 128, lines: int = 512) -> None:
        self._sources = sources
        self._lines = lines
        self._histories: OrderedDict[str, _SourceHistory] = OrderedDict()

    def find(self, source: str | None, text: str, title: str | None = None) -> list[Span]:
        """Find the boilerplate of an article and learn from it: ascending spans, neighbouring lines in one.

        Without a source only known phrases are found. If no line with a word would be left, none is marked, unless
        there is a title, which is then the news: «Read the full article on our site» under a headline.
        """
        lines = _split(text)
        marked = set(_with_known_phrases(lines))
        if source is not None:
            marked |= self._learn(source, lines, title)
        return _spans(lines, marked, title)

    def learn(self, source: str, text: str, title: str | None = None) -> None:
        """Learn from an older article, as ``find`` does."""
        self._learn(source, _split(text), title)

    def _learn(self, source: str, lines: list[_Line], title: str | None) -> set[int]:
        """Add the lines of an article to the history; returns the numbers of those learned as boilerplate so far."""
        history = self._histories.setdefault(source, _SourceHistory())
        self._histories.move_to_end(source)
        while len(self._histories) > self._sources:
            self._histories.popitem(last=False)
        found = set()
        outer = _outer(len(lines))
        sketch = _sketch([line.text for line in lines], title)
        everywhere = frozenset().union(*(_edges(lines[number].text) for number in outer), sketch.head)
        for number in outer:
            line = lines[number].text
            if len(line) <= _LONGEST_LEARNED and self._is_repeated(history, line, sketch, everywhere):
                found.add(number)
        return found

    def _is_repeated(self, history: _SourceHistory, line: str, sketch: Sketch, everywhere: Edges) -> bool:
        key = hash(line)
        if key in history.known:
            history.known.move_to_end(key)
            return True
        articles = history.candidates.pop(key, ())
        own = _edges(line) if articles else frozenset()
        if not any(_related(sketch, article, own, everywhere) for article in articles):
            articles = (*articles, sketch)
        if len(articles) >= _LEARNED_AFTER:
            history.known[key] = None
            if len(history.known) > self._lines:
                history.known.popitem(last=False)
            return True
        history.candidates[key] = articles
        if len(history.candidates) > self._lines:
            history.candidates.popitem(last=False)
        return False


def known_boilerplate(text: str, title: str | None = None) -> list[Span]:
    """The boilerplate of an article by known phrases and forms alone: always the same for the same text."""
    lines = _split(text)
    return _spans(lines, set(_with_known_phrases(lines)), title)


def without(text: str, spans: Iterable[Span]) -> str:
    """A text without some of its parts (ascending)."""
    parts = []
    at = 0
    for span in spans:
        parts.append(text[at : span.start])
        at = span.end
    return "".join([*parts, text[at:]])


def _split(text: str) -> list[_Line]:
    """The lines of a text that are not blank, without the space around them; a counter after a sentence is its own."""
    lines, at = [], 0
    for whole in text.split("\n"):
        bare = whole.strip()
        if bare:
            start = at + whole.index(bare)
            end = start + len(bare)
            ended = _last_sentence_end(bare)
            if ended and _is_counter(_fold(bare[ended:])):
                tail = bare[ended:].lstrip()
                lines.append(_Line(start, start + ended, bare[:ended]))
                lines.append(_Line(end - len(tail), end, tail))
            else:
                lines.append(_Line(start, end, bare))
        at += len(whole) + 1
    return lines


def _last_sentence_end(line: str) -> int:
    """Where the last sentence of a line ends, if what follows is as short as a counter; else 0."""
    beginning = max(0, len(line) - _LONGEST_COUNTER)
    ended = max(line.rfind(f"{mark} ", beginning) for mark in ".!؟?…»۔")
    return ended + 1 if ended > 0 else 0


def _outer(count: int) -> Sequence[int]:
    """The numbers of the lines to learn from: of very long articles only the first and the last."""
    if count <= _MOST_LINES:
        return range(count)
    return (*range(_MOST_LINES // 2), *range(count - _MOST_LINES // 2, count))


def _edges(line: str) -> Edges:
    """Beginning and end of a line: when it is edited, one of the two mostly stays."""
    # The keyed 64-bit hash of str differs between processes, but the history is never sent to another one.
    return frozenset((hash(line[:_EDGE]), ~hash(line[-_EDGE:])))


def _sketch(lines: Sequence[str], title: str | None) -> Sketch:
    longest = sorted(set(lines), key=lambda line: (-len(line), line))[:_SKETCHED_LINES]
    head = _edges(title).union(*map(_edges, lines[:1])) if title else frozenset[int]()
    return Sketch(frozenset[int]().union(*map(_edges, longest)), head)


def _related(one: Sketch, other: Sketch, own: Edges, everywhere: Edges) -> bool:
    """Whether two articles that share a line are one article: a repost, a correction, the next state of a live blog.

    They share most of the rest. ``own`` are the edges of the line, ``everywhere`` those of all lines of ``one``. An
    article whose title and first line are not in the other is another one, whatever the two share: a newsletter, a
    notice in place of the text.
    """
    if one.head and other.head and other.head - own and everywhere.isdisjoint(other.head - own):
        return False
    mine, theirs = one.edges - own, other.edges - own
    if len(theirs & everywhere) * 2 > len(theirs):
        return True
    rest = min(len(mine), len(theirs))
    shared = len(mine & theirs)
    # Of an article that is this line and another, one edge of that other is enough.
    return rest == 0 or shared * 2 > rest or (rest <= 2 and shared > 0)


def _has_word(line: str) -> bool:
    return any(map(str.isalpha, line))


def _with_known_phrases(lines: list[_Line]) -> Iterator[int]:
    """The numbers of the lines that known phrases or forms mark as boilerplate, some twice."""
    seen: set[str] = set()
    for number, line in enumerate(lines):
        length = len(line.text)
        if length > _LONGEST_LINE:
            continue
        bare = line.text.strip(_BULLETS)
        if length > _LONGEST_SHORT:
            if _fold(bare[:_BEGINNING]).startswith(_BEGINNINGS) or _is_footer(_fold(bare)):
                yield number
            continue
        folded = _fold(bare)
        if folded.rstrip(" :.…»>|") in _HEADINGS:
            yield number
            yield from _links(lines, number + 1)
        elif (
            folded.startswith(_BEGINNINGS)
            or _is_link(folded)
            or _is_footer(folded)
            or _is_chrome(line.text, folded)
            or _is_counted(folded)
            or _is_byline(line.text, folded)
            or (line.text[-1] in ")]" and (number + 1) * 2 <= len(lines) and _is_caption(folded))
            # A picture's text repeats the headline above it.
            or (bare in seen and bare != line.text)
        ):
            yield number
        seen.add(bare)


def _is_link(folded: str) -> bool:
    if folded.startswith(_LINKS):
        return True
    return folded.startswith(_LINK_HEADINGS) and folded.partition(":")[0].rstrip() in _HEADINGS


def _is_footer(folded: str) -> bool:
    """Whether a line says where an article that was taken over from elsewhere appeared first."""
    return any(folded.startswith(before) and after in folded for before, after in _FOOTERS)


def _is_chrome(line: str, folded: str) -> bool:
    """Whether a line is a button, a picture's file name, an agency alone or a time stamp."""
    if folded.rstrip(" :") in _BUTTONS or folded.strip("()[] ") in _AGENCIES:
        return True
    if folded.endswith(_PICTURES):
        return " " not in folded
    if folded.startswith(_STAMPS):
        return any(map(str.isdigit, folded)) and _SENTENCE_END.search(folded) is None and len(folded) <= _BEGINNING
    return line[0].isdigit() and _STAMP.fullmatch(line) is not None


def _is_counted(folded: str) -> bool:
    """Whether a line is a counter, or has one beside a name and a date: «بقلم هدى | 12 مشاهدة»."""
    if _NUMBER.search(folded) is None:
        return False
    parts = [part for part in _PART.split(folded) if part.strip()]
    others = [part for part in parts if not _is_counter(part)]
    if len(others) == len(parts):
        return False
    words = sum(len(_WORDS.findall(part)) for part in others)
    return words <= _WORDS_BESIDE_COUNTER and not any(map(_SENTENCE_END.search, others))


def _is_counter(folded: str) -> bool:
    """Whether some words only count readers, comments, shares or minutes of reading: «1.2K views», «قراءة 135»."""
    if len(folded) > _LONGEST_COUNTER or _NUMBER.search(folded) is None:
        return False
    words = _WORDS.findall(_NUMBER.sub(" ", folded))
    return not _COUNTERS.isdisjoint(words) and all(word in _COUNTERS or word in _COUNTER_UNITS for word in words)


def _is_byline(line: str, folded: str) -> bool:
    """Whether a line names who wrote or sent the article: "كتب: …", "By …", "… - وكالات"."""
    if folded.startswith(_BYLINES):
        writer = _WRITER.fullmatch(folded)
        if writer is not None and writer[1] in _BYLINES:
            return True
    if line.startswith(_BY_WORDS):
        return _BY.fullmatch(line) is not None
    if len(folded) > _BEGINNING or not folded.rstrip(")").endswith(_AGENCY_ENDINGS):
        return False
    sent = _PLACE_AND_AGENCY.fullmatch(folded)
    return sent is not None and sent[1].strip() in _AGENCIES


def _is_caption(folded: str) -> bool:
    """Whether a line is a picture's caption: no full sentence, with a credit at its end."""
    credit = _CREDIT.search(folded) if len(folded.split()) <= _CAPTION_WORDS else None
    return credit is not None and credit[1].strip() in _AGENCIES


def _links(lines: list[_Line], first: int) -> Iterator[int]:
    """The headlines after a "read also": all lines to the end if they are short, else only the first."""
    links: list[int] = []
    for number, line in enumerate(lines[first : first + _MOST_LINKS + 1], first):
        if len(line.text) > _LONGEST_LINK or _SENTENCE_END.search(line.text):
            yield from links[:1]
            return
        links.append(number)
    yield from links[:_MOST_LINKS]


def _spans(lines: list[_Line], marked: set[int], title: str | None) -> list[Span]:
    """The marked lines, neighbours in one span; without a title none where no line with a word would be left."""
    if not (title and _has_word(title)) and all(
        number in marked or not _has_word(line.text) for number, line in enumerate(lines)
    ):
        return []
    spans: list[Span] = []
    last = -2
    for number in sorted(marked):
        line = lines[number]
        if number == last + 1:
            spans[-1] = Span(start=spans[-1].start, end=line.end)
        else:
            spans.append(Span(start=line.start, end=line.end))
        last = number
    return spans
