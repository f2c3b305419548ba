"""The synthetic stream itself: article after article with the truth about each."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from typing import Any, Literal

from ingest.generator import copying
from ingest.generator.names import Cast, Named, invented
from ingest.generator.outlets import Outlet, Outlets
from ingest.generator.schedule import ARTICLES_A_BURST, MOST_BURSTS, Burst, Clock, Schedule
from ingest.generator.writing import LANGUAGES, Matter, Writer, language, matter
from services.events import EntityType

Kind = Literal["original", "repost", "headline", "edited", "excerpt", "correction", "template"]

START = datetime(2026, 11, 2, tzinfo=UTC)

# Top-level Media Topics with their shares (they need not sum to one).
_TOPICS = {
    "medtop:11000000": 20,
    "medtop:04000000": 15,
    "medtop:15000000": 14,
    "medtop:16000000": 9,
    "medtop:02000000": 8,
    "medtop:13000000": 7,
    "medtop:01000000": 7,
    "medtop:07000000": 6,
    "medtop:03000000": 5,
    "medtop:06000000": 4,
    "medtop:05000000": 3,
    "medtop:12000000": 2,
}
_TOPIC_IDS = tuple(_TOPICS)
_TOPIC_SUMS = tuple(accumulate(_TOPICS.values()))
# Nonsense about these must not name people who exist.
_HARMFUL = {"medtop:02000000", "medtop:16000000"}
_REPORTS = {"weather": "medtop:17000000", "market": "medtop:04000000"}

_COPIES = 0.15
_CORRECTIONS = 0.015
# Of what follows the first article of a story, never more than this is copied: some must be left to copy from.
_MOST_COPIED = 0.85
_WAYS: Sequence[tuple[str, int]] = (
    ("repost", 25),
    ("headline", 20),
    ("reworded", 26),
    ("lead", 6),
    ("paragraph", 6),
    ("excerpt", 25),
)
_WAY_NAMES = tuple(name for name, _ in _WAYS)
_WAY_SUMS = tuple(accumulate(share for _, share in _WAYS))
_REMEMBERED = 6
_MOST_CHANGED = 0.15
_EXCERPT_WORDS = 60
_LONG = 150
# From so many articles on a story is told in several languages; the share of those not in its own.
_INTERNATIONAL = 8
_ABROAD = 0.5
_SHORTEST, _LONGEST = 78, 420
_FURNISHED, _ALSO = 0.35, 0.15
_NO_TITLE, _NO_DATE, _NO_SOURCE = 0.02, 0.03, 0.01
_CLAIMED, _WRONG_CLAIM = 0.3, 0.02
_SIGNED, _LINKED = 0.25, 0.6
# Every tenth invented entity from here on is an author: a person whom no story is about.
_AUTHORS = 200_000_000


@dataclass(frozen=True, slots=True)
class Truth:
    """What is true of an article of the stream.

    ``duplicate_of`` is the guid of the first-seen article it was copied from, never a copy itself. ``changed`` are the
    words replaced, left out or added as a share of the original's. ``arrives_at`` is when it reaches Khabar, the order
    of the stream. ``entities`` are those named in the title or the text (not under «read also»), by the name that
    stands there.
    """

    guid: str
    language: str
    story: str
    kind: Kind
    arrives_at: datetime
    entities: tuple[tuple[str, str, EntityType], ...]
    topics: tuple[str, ...]
    duplicate_of: str | None = None
    changed: float = 0.0

    def record(self) -> dict[str, Any]:
        """As a line of the truth file."""
        return {
            "guid": self.guid,
            "language": self.language,
            "story": self.story,
            "duplicate_of": self.duplicate_of,
            "kind": self.kind,
            "changed": self.changed,
            "arrives_at": self.arrives_at.isoformat(timespec="milliseconds"),
            "entities": [{"id": i, "name": name, "type": kind} for i, name, kind in self.entities],
            "topics": list(self.topics),
        }


@dataclass(frozen=True, slots=True)
class _Original:
    """An article to copy from. The first ``body`` characters of the text are its own, furniture comes behind."""

    guid: str
    source: str | None
    outlet: Outlet
    title: str
    text: str
    body: int
    entities: tuple[Named, ...]
    told: Matter


@dataclass(slots=True)
class _Story:
    name: str
    left: int
    language: str
    international: bool
    topics: tuple[str, ...]
    main: list[Named]
    others: list[Named]
    told: dict[str, Matter] = field(default_factory=dict)
    originals: list[_Original] = field(default_factory=list)


class Stream:
    """A stream of so many articles; iterating yields article and truth, and may be done again with the same result.

    An article is a valid ``ArticleIn`` as JSON has it.

    ``seed`` is a number from 0 on. ``days`` are those over which the articles arrive from ``start`` on. ``bursts`` are
    the entities that are suddenly talked about, told by the attribute of that name. Raises ``ValueError`` for
    what makes no stream; the message is one sentence.
    """

    def __init__(  # noqa: PLR0913 - one parameter an option
        self,
        articles: int,
        seed: int = 0,
        *,
        languages: Sequence[str] = LANGUAGES,
        days: float = 3.0,
        start: datetime = START,
        bursts: int = 0,
    ) -> None:
        unknown = [code for code in languages if code not in LANGUAGES]
        if unknown or not languages or len(set(languages)) < len(languages):
            raise ValueError(f"languages: choose among {', '.join(LANGUAGES)}, each once")
        if articles < 0 or seed < 0 or days <= 0:
            raise ValueError("articles and seed must not be negative, and days must be more than 0")
        if start.utcoffset() is None:
            raise ValueError("start must have a time zone")
        if not 0 <= bursts <= min(MOST_BURSTS, articles // ARTICLES_A_BURST):
            raise ValueError(f"bursts: at most {MOST_BURSTS}, and at least {ARTICLES_A_BURST} articles for each")
        rng = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret
        self._clock = Clock(start, days)
        self._schedule = Schedule(rng, articles, self._clock, bursts)
        self._state = rng.getstate()
        self._languages = tuple(code for code in LANGUAGES if code in languages)
        self.articles = articles
        # What is not the first of its story may be a copy.
        following = sum([size - 1 for size in self._schedule.sizes if size])
        self._copied = min(_MOST_COPIED, _COPIES * articles / following) if following else 0.0
        self._corrected = min(_CORRECTIONS, _CORRECTIONS * articles / following) if following else 0.0

    @property
    def bursts(self) -> list[Burst]:
        """The bursts that were planted."""
        return self._schedule.bursts

    def __iter__(self) -> Iterator[tuple[dict[str, Any], Truth]]:
        rng = random.Random()  # noqa: S311
        rng.setstate(self._state)
        newsroom = _Newsroom(rng, self._schedule, self._languages, self._copied, self._corrected)
        for number, (moment, story) in enumerate(self._schedule):
            yield newsroom.article(number, self._clock.time(moment), story)


class _Newsroom:
    """Writes the articles one after another; knows the stories that are not over."""

    def __init__(
        self, rng: random.Random, schedule: Schedule, languages: tuple[str, ...], copied: float, corrected: float
    ) -> None:
        self._rng = rng
        self._schedule = schedule
        self._cast = Cast(len(schedule.sizes))
        self._outlets = Outlets(languages)
        self._languages = languages
        self._copied = copied
        self._corrected = corrected
        self._open: dict[int, _Story] = {}

    def article(self, number: int, arrives: datetime, at: int) -> tuple[dict[str, Any], Truth]:
        """The next article, which belongs to this story."""
        if at >= self._schedule.templates:
            return self._report(number, arrives, at)
        story = self._open.get(at)
        if story is None:
            story = self._open[at] = self._begun(at)
        story.left -= 1
        if not story.left:
            del self._open[at]
        if story.originals:
            share = self._rng.random()
            if share < self._copied:
                return self._copy(number, arrives, story)
            if share < self._copied + self._corrected:
                return self._correction(arrives, story)
        return self._original(number, arrives, story)

    def _begun(self, at: int) -> _Story:
        rng = self._rng
        forced = self._schedule.forced.get(at)
        size = self._schedule.sizes[at]
        topics = [rng.choices(_TOPIC_IDS, cum_weights=_TOPIC_SUMS)[0]]
        if rng.random() < 0.25:
            topics.append(rng.choices(_TOPIC_IDS, cum_weights=_TOPIC_SUMS)[0])
        topics = list(dict.fromkeys(topics))
        if forced is not None and forced.type == "PER":
            topics = [topic for topic in topics if topic not in _HARMFUL] or [_TOPIC_IDS[0]]
        harmless = not _HARMFUL.intersection(topics)
        share = rng.random()
        wanted = 2 + int(5 * share * share)
        cast = [forced] if forced is not None else []
        while len(cast) < wanted:
            entity = self._cast.draw(rng, harmless=harmless)
            if entity not in cast:
                cast.append(entity)
        main = 1 + int(rng.random() * min(3, wanted))
        return _Story(
            name=f"s{at:07}",
            left=size,
            language=self._outlets.language(rng),
            international=size >= _INTERNATIONAL,
            topics=tuple(topics),
            main=cast[:main],
            others=cast[main:],
        )

    def _original(self, number: int, arrives: datetime, story: _Story) -> tuple[dict[str, Any], Truth]:
        rng = self._rng
        code = story.language
        if story.international and rng.random() < _ABROAD:
            code = self._outlets.language(rng)
        outlet = self._outlets.draw(rng, code)
        told = story.told.get(code)
        if told is None:
            told = story.told[code] = matter(rng, code, story.topics)
        entities = [*story.main, *(entity for entity in story.others if rng.random() < 0.6)]
        if len(entities) == 1:
            entities.append(story.others[0])
        if rng.random() < 0.4 and not _HARMFUL.intersection(story.topics):
            passing = self._cast.draw_known(rng)
            if passing not in entities:
                entities.append(passing)
        writer = Writer(rng, code, told, entities, outlet.digits)
        share = rng.random()
        text = writer.text(int(_SHORTEST + (_LONGEST - _SHORTEST) * share * share), len(story.main))
        title = writer.title()
        named = tuple(entities[: writer.used])
        body = len(text)
        text += self._furniture(outlet)
        outlet.publish(title)
        guid = f"{outlet.host.removesuffix('.example')}:{number}"
        article = self._article(guid, outlet, title, text, arrives, number)
        if story.left:
            if len(story.originals) == _REMEMBERED:
                del story.originals[int(rng.random() * _REMEMBERED)]
            story.originals.append(_Original(guid, article.get("source"), outlet, title, text, body, named, told))
        truth = Truth(guid, code, story.name, "original", arrives, _entities(named, code, article), story.topics)
        return article, truth

    def _copy(self, number: int, arrives: datetime, story: _Story) -> tuple[dict[str, Any], Truth]:
        rng = self._rng
        original = story.originals[int(rng.random() * len(story.originals))]
        code = original.outlet.language
        outlet = self._outlets.draw(rng, code, other=original.outlet.host)
        way = rng.choices(_WAY_NAMES, cum_weights=_WAY_SUMS)[0]
        title, text, changed = original.title, original.text, 0.0
        writer = Writer(rng, code, original.told, original.entities, outlet.digits)
        kind: Kind = "edited"
        if way == "excerpt" and copying.count(text[: original.body]) >= _LONG:
            kind = "excerpt"
            text, _ = copying.excerpt(rng, text[: original.body], _EXCERPT_WORDS)
            changed = 1 - copying.count(text) / copying.count(original.text)
        elif way == "headline":
            kind = "headline"
            title = writer.title()
        elif way == "reworded":
            share = 0.01 + (_MOST_CHANGED - 0.01) * rng.random()
            text, changed = self._reworded(text, share, code, original.entities)
        elif way == "lead" and copying.count(text) >= _LONG:
            text, changed = copying.without_lead(text)
        elif way == "paragraph":
            added = writer.text(30, 0) if rng.random() < 0.5 else self._blurb(outlet)
            text, changed = copying.with_paragraph(rng, text, added)
        else:
            kind = "repost"
        guid = f"{outlet.host.removesuffix('.example')}:{number}"
        article = self._article(guid, outlet, title, text, arrives, number)
        truth = Truth(
            guid,
            code,
            story.name,
            kind,
            arrives,
            _entities(original.entities, code, article),
            story.topics,
            original.guid,
            round(changed, 4),
        )
        return article, truth

    def _correction(self, arrives: datetime, story: _Story) -> tuple[dict[str, Any], Truth]:
        """Another text under the guid of an article that came before."""
        rng = self._rng
        original = story.originals[int(rng.random() * len(story.originals))]
        code = original.outlet.language
        text, changed = self._reworded(original.text, 0.01 + 0.04 * rng.random(), code, original.entities)
        writer = Writer(rng, code, original.told, original.entities, original.outlet.digits)
        notice = writer.write(writer.language.correction)
        changed += copying.count(notice) / copying.count(original.text)
        article: dict[str, Any] = {"guid": original.guid}
        if original.source:
            article["source"] = original.source
        article |= {"title": original.title, "text": f"{text}\n\n{notice}"}
        article["published_at"] = self._published(original.outlet, arrives)
        truth = Truth(
            original.guid,
            code,
            story.name,
            "correction",
            arrives,
            _entities(original.entities, code, article),
            story.topics,
            changed=round(changed, 4),
        )
        return article, truth

    def _report(self, number: int, arrives: datetime, at: int) -> tuple[dict[str, Any], Truth]:
        """The weather or the market: always the same sentences, never the same news."""
        rng = self._rng
        kind = "weather" if rng.random() < 0.5 else "market"
        code = self._outlets.language(rng)
        outlet = self._outlets.draw(rng, code)
        draw = self._cast.draw_place if kind == "weather" else self._cast.draw_body
        entities: list[Named] = []
        while len(entities) < 4:
            entity = draw(rng)
            if entity not in entities:
                entities.append(entity)
        writer = Writer(rng, code, matter(rng, code, ("medtop:04000000",)), entities, outlet.digits)
        title, text = writer.report(kind)
        text += self._furniture(outlet)
        guid = f"{outlet.host.removesuffix('.example')}:{number}"
        article = self._article(guid, outlet, title, text, arrives, number)
        named = _entities(tuple(entities[: writer.used]), code, article)
        truth = Truth(guid, code, f"s{at:07}", "template", arrives, named, (_REPORTS[kind],))
        return article, truth

    def _reworded(self, text: str, share: float, code: str, named: Sequence[Named]) -> tuple[str, float]:
        names = [entity.name(code) for entity in named]
        return copying.reworded(self._rng, text, share, language(code).vocabulary, names)

    def _furniture(self, outlet: Outlet) -> str:
        """What stands below an outlet's articles, if anything, with the break before it."""
        below = ""
        if outlet.shown and self._rng.random() < _ALSO:
            below += "\n\n" + "\n".join((language(outlet.language).also, *outlet.shown))
        if self._rng.random() < _FURNISHED:
            below += "\n\n" + self._blurb(outlet)
        return below

    def _blurb(self, outlet: Outlet) -> str:
        blurbs = language(outlet.language).furniture
        return blurbs[outlet.rank % len(blurbs)].replace("{N}", outlet.host.removesuffix(".example"))

    def _article(  # noqa: PLR0913, PLR0917 - what an article is made of
        self, guid: str, outlet: Outlet, title: str, text: str, arrives: datetime, number: int
    ) -> dict[str, Any]:
        rng = self._rng
        article: dict[str, Any] = {"guid": guid}
        if rng.random() >= _NO_SOURCE:
            article["source"] = outlet.host
        if rng.random() < _LINKED:
            article["url"] = f"https://{outlet.host}/{arrives:%Y/%m/%d}/{number}"
        if rng.random() >= _NO_TITLE:
            article["title"] = title
        article["text"] = text
        if rng.random() >= _NO_DATE:
            article["published_at"] = self._published(outlet, arrives)
        if rng.random() < _SIGNED:
            author = invented(_AUTHORS + 10 * (12 * outlet.rank + int(rng.random() * 12)))
            article["authors"] = [author.name(outlet.language)]
        if rng.random() < _CLAIMED:
            article["language"] = outlet.language if rng.random() >= _WRONG_CLAIM else "en"
        return article

    def _published(self, outlet: Outlet, arrives: datetime) -> str:
        """Mostly within a minute before the arrival, now and then hours before."""
        share = self._rng.random()
        delay = 60 * share if self._rng.random() < 0.9 else 10_800 * share * share
        return (arrives - timedelta(seconds=int(delay))).astimezone(outlet.zone).isoformat(timespec="seconds")


def _entities(named: Sequence[Named], code: str, article: dict[str, Any]) -> tuple[tuple[str, str, EntityType], ...]:
    """Those that an article still names: by the full name where that stands, else by the short one."""
    told = f"{article.get('title', '')}\n{article['text']}"
    found = []
    for entity in named:
        for name in (entity.name(code), entity.short(code)):
            if name in told:
                found.append((entity.id, name, entity.type))
                break
    return tuple(found)
