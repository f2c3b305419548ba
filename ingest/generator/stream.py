"""The synthetic stream: articles, each with the truth about it."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from typing import Any, Literal

from ingest.generator import copying
from ingest.generator.names import Cast, NamedEntity, invented_entity
from ingest.generator.outlets import Outlet, Outlets
from ingest.generator.schedule import ARTICLES_A_BURST, MAX_BURSTS, Burst, Schedule, Timeline
from ingest.generator.writing import LANGUAGES, StoryWords, Writer, draw_story_words, language
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
# Generated texts about these topics must not name real people.
_SENSITIVE = {"medtop:02000000", "medtop:16000000"}
_REPORTS = {"weather": "medtop:17000000", "market": "medtop:04000000"}

_COPY_SHARE = 0.15
_CORRECTION_SHARE = 0.015
# The maximum share of near-duplicates among the articles after a story's first: there must be originals to copy.
_MAX_COPIED = 0.85
_EDITS: Sequence[tuple[str, int]] = (
    ("repost", 25),
    ("headline", 20),
    ("reworded", 26),
    ("lead", 6),
    ("paragraph", 6),
    ("excerpt", 25),
)
_EDIT_NAMES = tuple(name for name, _ in _EDITS)
_EDIT_SUMS = tuple(accumulate(share for _, share in _EDITS))
_MAX_ORIGINALS = 6
_MAX_CHANGED = 0.15
_EXCERPT_WORDS = 60
_LONG_WORDS = 150
# The minimum size of a story that is covered in several languages, and the share of articles in a random language.
_INTERNATIONAL = 8
_FOREIGN_SHARE = 0.5
_SHORTEST, _LONGEST = 78, 420
_BOILERPLATE_SHARE, _READ_ALSO_SHARE = 0.35, 0.15
_NO_TITLE, _NO_DATE, _NO_SOURCE = 0.02, 0.03, 0.01
_HINTED, _WRONG_HINT = 0.3, 0.02
_SIGNED, _LINKED = 0.25, 0.6
# Every tenth invented entity from this index on is an author: a person that no story is about.
_AUTHORS = 200_000_000


@dataclass(frozen=True, slots=True)
class Truth:
    """The truth about an article of the stream.

    ``duplicate_of``: the guid of the earlier article that it is a near-duplicate of, which is an original itself.
    ``changed``: the number of words replaced, removed or added, divided by the number of the original's words.
    ``arrives_at``: when it arrives; the stream is in this order. ``entities``: those named in the title or the text
    (not in the «read also» list), by the name used there.
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
        """The truth as a line of the truth file."""
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
    """An article to copy from. The first ``body`` characters of the text are followed by boilerplate."""

    guid: str
    source: str | None
    outlet: Outlet
    title: str
    text: str
    body: int
    entities: tuple[NamedEntity, ...]
    words: StoryWords


@dataclass(slots=True)
class _Story:
    name: str
    left: int
    language: str
    international: bool
    topics: tuple[str, ...]
    main: list[NamedEntity]
    others: list[NamedEntity]
    words: dict[str, StoryWords] = field(default_factory=dict)
    originals: list[_Original] = field(default_factory=list)


class Stream:
    """A stream of articles. Iterating yields each article with its truth; each iteration yields the same.

    An article is the JSON object of a valid ``ArticleIn``.

    ``articles``: how many. ``seed``: an integer from 0 on. ``days``: the time over which the articles arrive, from
    ``start`` on. ``bursts``: how many entities have a burst, listed in the attribute ``bursts``. Raises ``ValueError``
    with a one-sentence message when the arguments are not valid.
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
        if not 0 <= bursts <= min(MAX_BURSTS, articles // ARTICLES_A_BURST):
            raise ValueError(f"bursts: at most {MAX_BURSTS}, and at least {ARTICLES_A_BURST} articles for each")
        rng = random.Random(seed)  # noqa: S311 - reproducible, not secret
        self._timeline = Timeline(start, days)
        self._schedule = Schedule(rng, articles, self._timeline, bursts)
        self._state = rng.getstate()
        self._languages = tuple(code for code in LANGUAGES if code in languages)
        self.articles = articles
        # Only articles after the first one of a story can be near-duplicates.
        following = sum([size - 1 for size in self._schedule.sizes if size])
        self._copied = min(_MAX_COPIED, _COPY_SHARE * articles / following) if following else 0.0
        self._corrected = min(_CORRECTION_SHARE, _CORRECTION_SHARE * articles / following) if following else 0.0

    @property
    def bursts(self) -> list[Burst]:
        """The bursts that were planted."""
        return self._schedule.bursts

    def __iter__(self) -> Iterator[tuple[dict[str, Any], Truth]]:
        rng = random.Random()  # noqa: S311
        rng.setstate(self._state)
        generator = _ArticleGenerator(rng, self._schedule, self._languages, self._copied, self._corrected)
        for number, (moment, story) in enumerate(self._schedule):
            yield generator.article(number, self._timeline.time(moment), story)


class _ArticleGenerator:
    """Generates the articles one after another. Its state is the stories that have more articles to come."""

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
        """The next article; ``at``: its story."""
        if at >= self._schedule.templates:
            return self._report(number, arrives, at)
        story = self._open.get(at)
        if story is None:
            story = self._open[at] = self._begin_story(at)
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

    def _begin_story(self, at: int) -> _Story:
        rng = self._rng
        forced = self._schedule.forced.get(at)
        size = self._schedule.sizes[at]
        topics = [rng.choices(_TOPIC_IDS, cum_weights=_TOPIC_SUMS)[0]]
        if rng.random() < 0.25:
            topics.append(rng.choices(_TOPIC_IDS, cum_weights=_TOPIC_SUMS)[0])
        topics = list(dict.fromkeys(topics))
        if forced is not None and forced.type == "PER":
            topics = [topic for topic in topics if topic not in _SENSITIVE] or [_TOPIC_IDS[0]]
        allow_people = not _SENSITIVE.intersection(topics)
        share = rng.random()
        wanted = 2 + int(5 * share * share)
        cast = [forced] if forced is not None else []
        while len(cast) < wanted:
            entity = self._cast.draw(rng, allow_people=allow_people)
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
        if story.international and rng.random() < _FOREIGN_SHARE:
            code = self._outlets.language(rng)
        outlet = self._outlets.draw(rng, code)
        words = story.words.get(code)
        if words is None:
            words = story.words[code] = draw_story_words(rng, code, story.topics)
        entities = [*story.main, *(entity for entity in story.others if rng.random() < 0.6)]
        if len(entities) == 1:
            entities.append(story.others[0])
        if rng.random() < 0.4 and not _SENSITIVE.intersection(story.topics):
            passing = self._cast.draw_known(rng)
            if passing not in entities:
                entities.append(passing)
        writer = Writer(rng, code, words, entities, outlet.digits)
        share = rng.random()
        text = writer.text(int(_SHORTEST + (_LONGEST - _SHORTEST) * share * share), len(story.main))
        title = writer.title()
        named = tuple(entities[: writer.used])
        body = len(text)
        text += self._boilerplate(outlet)
        outlet.publish(title)
        guid = f"{outlet.host.removesuffix('.example')}:{number}"
        article = self._article(guid, outlet, title, text, arrives, number)
        if story.left:
            if len(story.originals) == _MAX_ORIGINALS:
                del story.originals[int(rng.random() * _MAX_ORIGINALS)]
            story.originals.append(_Original(guid, article.get("source"), outlet, title, text, body, named, words))
        truth = Truth(guid, code, story.name, "original", arrives, _entities(named, code, article), story.topics)
        return article, truth

    def _copy(self, number: int, arrives: datetime, story: _Story) -> tuple[dict[str, Any], Truth]:
        rng = self._rng
        original = story.originals[int(rng.random() * len(story.originals))]
        code = original.outlet.language
        outlet = self._outlets.draw(rng, code, other=original.outlet.host)
        edit = rng.choices(_EDIT_NAMES, cum_weights=_EDIT_SUMS)[0]
        title, text, changed = original.title, original.text, 0.0
        writer = Writer(rng, code, original.words, original.entities, outlet.digits)
        kind: Kind = "edited"
        if edit == "excerpt" and copying.count(text[: original.body]) >= _LONG_WORDS:
            kind = "excerpt"
            text, _ = copying.excerpt(rng, text[: original.body], _EXCERPT_WORDS)
            changed = 1 - copying.count(text) / copying.count(original.text)
        elif edit == "headline":
            kind = "headline"
            title = writer.title()
        elif edit == "reworded":
            share = 0.01 + (_MAX_CHANGED - 0.01) * rng.random()
            text, changed = self._reworded(text, share, code, original.entities)
        elif edit == "lead" and copying.count(text) >= _LONG_WORDS:
            text, changed = copying.without_lead(text)
        elif edit == "paragraph":
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
        """Another text with the guid of an earlier article."""
        rng = self._rng
        original = story.originals[int(rng.random() * len(story.originals))]
        code = original.outlet.language
        text, changed = self._reworded(original.text, 0.01 + 0.04 * rng.random(), code, original.entities)
        writer = Writer(rng, code, original.words, original.entities, original.outlet.digits)
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
        """A report about the weather or the market: always the same sentences, with other words and numbers."""
        rng = self._rng
        kind = "weather" if rng.random() < 0.5 else "market"
        code = self._outlets.language(rng)
        outlet = self._outlets.draw(rng, code)
        draw = self._cast.draw_place if kind == "weather" else self._cast.draw_organisation
        entities: list[NamedEntity] = []
        while len(entities) < 4:
            entity = draw(rng)
            if entity not in entities:
                entities.append(entity)
        writer = Writer(rng, code, draw_story_words(rng, code, ("medtop:04000000",)), entities, outlet.digits)
        title, text = writer.report(kind)
        text += self._boilerplate(outlet)
        guid = f"{outlet.host.removesuffix('.example')}:{number}"
        article = self._article(guid, outlet, title, text, arrives, number)
        named = _entities(tuple(entities[: writer.used]), code, article)
        truth = Truth(guid, code, f"s{at:07}", "template", arrives, named, (_REPORTS[kind],))
        return article, truth

    def _reworded(self, text: str, share: float, code: str, named: Sequence[NamedEntity]) -> tuple[str, float]:
        names = [entity.name(code) for entity in named]
        return copying.reworded(self._rng, text, share, language(code).vocabulary, names)

    def _boilerplate(self, outlet: Outlet) -> str:
        """The boilerplate below an article of an outlet, beginning with a paragraph break; empty if there is none."""
        below = ""
        if outlet.shown and self._rng.random() < _READ_ALSO_SHARE:
            below += "\n\n" + "\n".join((language(outlet.language).also, *outlet.shown))
        if self._rng.random() < _BOILERPLATE_SHARE:
            below += "\n\n" + self._blurb(outlet)
        return below

    def _blurb(self, outlet: Outlet) -> str:
        blurbs = language(outlet.language).boilerplate
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
            author = invented_entity(_AUTHORS + 10 * (12 * outlet.rank + int(rng.random() * 12)))
            article["authors"] = [author.name(outlet.language)]
        if rng.random() < _HINTED:
            article["language"] = outlet.language if rng.random() >= _WRONG_HINT else "en"
        return article

    def _published(self, outlet: Outlet, arrives: datetime) -> str:
        """The time of publication: mostly within a minute before the arrival, sometimes hours before."""
        share = self._rng.random()
        delay = 60 * share if self._rng.random() < 0.9 else 10_800 * share * share
        return (arrives - timedelta(seconds=int(delay))).astimezone(outlet.zone).isoformat(timespec="seconds")


def _entities(
    named: Sequence[NamedEntity], code: str, article: dict[str, Any]
) -> tuple[tuple[str, str, EntityType], ...]:
    """The entities that an article names, each by its full name if that occurs, else by the short one."""
    passage = f"{article.get('title', '')}\n{article['text']}"
    found = []
    for entity in named:
        for name in (entity.name(code), entity.short(code)):
            if name in passage:
                found.append((entity.id, name, entity.type))
                break
    return tuple(found)
