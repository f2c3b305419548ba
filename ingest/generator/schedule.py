"""When the articles of the synthetic stream come and which story each belongs to.

Articles arrive as a Poisson process whose rate follows the hours of the day. The sizes of stories are heavy-tailed; a
story grows fast and fades slowly.
"""

import math
import random
from array import array
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import accumulate

from ingest.generator.names import Cast, Named, known

# News an hour, from midnight on in the middle of the stream's readers (UTC+3), relative to each other.
_HOURS = (35, 25, 20, 18, 20, 30, 50, 75, 100, 120, 130, 135, 140, 140, 135, 130, 125, 125, 120, 115, 105, 90, 70, 50)
_HOURS_EAST = 3
_HOUR = 3_600_000
# The share of stories that may become large, and how large a story is at most.
_LARGE_SHARE = 0.2
_LARGEST = 800
_TEMPLATES = 0.04
# Hours in which half of what follows a first report has come: from one story to the next.
_FAST, _SLOW = 0.3, 8.0

_BURST_RISE = 10
_BURST_LEAST = 10
_BURST_MINUTES = (10, 30)
_BURST_RANKS = (40, 200)
# About how many draws from the cast one article names.
_DRAWS = 3.0
ARTICLES_A_BURST = 3 * _BURST_LEAST
MOST_BURSTS = _BURST_RANKS[1] - _BURST_RANKS[0]

_STORY_BITS = 32
_STORY_MASK = (1 << _STORY_BITS) - 1


@dataclass(frozen=True, slots=True)
class Burst:
    """Some minutes in which an entity is named at ten times its usual rate: ``articles`` more than ``usual`` ones."""

    id: str
    name: str
    type: str
    start: datetime
    end: datetime
    articles: int
    usual: float

    def record(self) -> dict[str, object]:
        """As written to the file of bursts."""
        return {
            "id": self.id,
            "name": self.name,
            "type": self.type,
            "start": self.start.isoformat(timespec="milliseconds"),
            "end": self.end.isoformat(timespec="milliseconds"),
            "articles": self.articles,
            "usual": round(self.usual, 3),
        }


class Clock:
    """Places in the stream, from 0 to 1, as times: equal shares have equally many articles."""

    def __init__(self, start: datetime, days: float) -> None:
        self.start = start
        self.length = max(1, int(days * 24 * _HOUR))
        utc = start.astimezone(UTC)
        first = utc.hour + _HOURS_EAST
        offset = utc.minute * 60_000 + utc.second * 1_000
        # Every hour of the clock that the stream touches: where it begins, how much news it has.
        hours = range((self.length + offset) // _HOUR + 1)
        self._begins = [max(0, hour * _HOUR - offset) for hour in hours]
        ends = [*self._begins[1:], self.length]
        self._sums = [
            0.0,
            *accumulate(
                (end - begin) * _HOURS[(first + hour) % 24]
                for hour, begin, end in zip(hours, self._begins, ends, strict=True)
            ),
        ]
        self._rates = [_HOURS[(first + hour) % 24] for hour in hours]

    def at(self, place: float) -> int:
        """Milliseconds since the start."""
        wanted = place * self._sums[-1]
        hour = min(bisect_right(self._sums, wanted), len(self._begins)) - 1
        return min(self.length - 1, self._begins[hour] + int((wanted - self._sums[hour]) / self._rates[hour]))

    def time(self, milliseconds: int) -> datetime:
        """The time so long after the start."""
        return self.start + timedelta(milliseconds=milliseconds)

    def share(self, begin: int, end: int) -> float:
        """The share of all articles that come between two moments in milliseconds."""
        return (self._before(end) - self._before(begin)) / self._sums[-1]

    def _before(self, moment: int) -> float:
        hour = bisect_right(self._begins, moment) - 1
        return self._sums[hour] + (moment - self._begins[hour]) * self._rates[hour]


class Schedule:
    """All articles in order of arrival: when, and of which story.

    ``sizes`` are the articles of each story; a story of ``forced`` is about that entity, one from ``templates`` on is
    a report after a template, alone in its story.
    """

    def __init__(self, rng: random.Random, articles: int, clock: Clock, bursts: int) -> None:
        self.sizes = array("L")
        self.forced: dict[int, Named] = {}
        self.bursts: list[Burst] = []
        # One number an article (milliseconds, then story): a list of these sorts fast and needs little memory.
        self._keys: list[int] = []
        self._clock = clock
        self._plan_bursts(rng, articles, bursts)
        templates = int((articles - len(self._keys)) * _TEMPLATES)
        self._plan_stories(rng, articles - templates)
        self.templates = len(self.sizes)
        for _ in range(templates):
            self._add(self._begin(), clock.at(rng.random()))
        self._keys.sort()

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Milliseconds since the start and the story of each article, in order of arrival."""
        return ((key >> _STORY_BITS, key & _STORY_MASK) for key in self._keys)

    def _begin(self) -> int:
        self.sizes.append(0)
        return len(self.sizes) - 1

    def _add(self, story: int, moment: int) -> None:
        self.sizes[story] += 1
        self._keys.append(moment << _STORY_BITS | story)

    def _plan_stories(self, rng: random.Random, articles: int) -> None:
        """Stories until there are so many articles in all."""
        largest = max(2, min(_LARGEST, articles // 20))
        hour = _HOUR / self._clock.length
        while len(self._keys) < articles:
            size = min(_size(rng, largest), articles - len(self._keys))
            place = rng.random()
            story = self._begin()
            self._add(story, self._clock.at(place))
            pace = hour * (_FAST + (_SLOW - _FAST) * rng.random() * rng.random())
            earlier = None
            for _ in range(size - 1):
                later = place + pace * _delay(rng)
                if later < 1:
                    self._add(story, self._clock.at(later))
                    continue
                # What would come after the end stands for what was under way at the beginning: it is a story too, so
                # that there is as much news in the first hours as in the last.
                if earlier is None:
                    earlier = self._begin()
                self._add(earlier, self._clock.at(later % 1))

    def _plan_bursts(self, rng: random.Random, articles: int, bursts: int) -> None:
        if not bursts:
            return
        cast = Cast(articles)
        ranked = known()[slice(*_BURST_RANKS)]
        for entity in rng.sample(ranked, bursts):
            shortest, longest = (minutes * 60_000 for minutes in _BURST_MINUTES)
            length = min(shortest + int(rng.random() * (longest - shortest)), max(1, self._clock.length // 20))
            begin = int((0.2 + 0.7 * rng.random()) * self._clock.length)
            # By night less is usual than on the whole; a burst shall stand out from both.
            share = max(length / self._clock.length, self._clock.share(begin, begin + length))
            usual = articles * share * cast.share(entity) * _DRAWS
            count = max(_BURST_LEAST, int((_BURST_RISE - 1) * usual + 1))
            count = min(count, articles // (3 * bursts))
            self.bursts.append(
                Burst(
                    entity.id,
                    entity.name("en"),
                    entity.type,
                    self._clock.time(begin),
                    self._clock.time(begin + length),
                    count,
                    usual,
                )
            )
            # One event that many report, and what it makes others write about.
            story = self._begin()
            for number in range(count):
                if number > count * 0.6:
                    story = self._begin()
                self.forced[story] = entity
                self._add(story, begin + int(rng.random() * length))


def _size(rng: random.Random, largest: int) -> int:
    """How many articles a story has: mostly one, now and then hundreds."""
    share = 1 - rng.random()
    if rng.random() < _LARGE_SHARE:
        return int(1 / (1 / largest + share * (1 - 1 / largest)))
    return min(largest, int(1 / math.sqrt(share)))


def _delay(rng: random.Random) -> float:
    """How long after the first report, in units of the story's pace: half within one, a few after many."""
    return (rng.random() + rng.random()) * 0.3 + (1 / math.sqrt(1 - rng.random()) - 1) * 1.7
