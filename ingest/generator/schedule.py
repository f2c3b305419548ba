"""The arrival times and stories of the articles of the synthetic stream.

Articles arrive in a Poisson process whose rate follows the hours of the day. The sizes of stories are heavy-tailed; a
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

from ingest.generator.names import Cast, NamedEntity, known_entities

# Relative article rate in each hour of the day, in the time zone UTC+3.
_HOURS = (35, 25, 20, 18, 20, 30, 50, 75, 100, 120, 130, 135, 140, 140, 135, 130, 125, 125, 120, 115, 105, 90, 70, 50)
_HOURS_EAST = 3
_HOUR = 3_600_000
# The share of stories that may become large, and the maximum size of a story.
_LARGE_SHARE = 0.2
_LARGEST = 800
_TEMPLATE_SHARE = 0.04
# Hours within which half of the articles that follow the first one arrive: of the fastest and the slowest story.
_FAST, _SLOW = 0.3, 8.0

_BURST_RISE = 10
_BURST_MIN = 10
_BURST_MINUTES = (10, 30)
_BURST_RANKS = (40, 200)
# About how many draws from the cast one article names.
_DRAWS = 3.0
ARTICLES_A_BURST = 3 * _BURST_MIN
MAX_BURSTS = _BURST_RANKS[1] - _BURST_RANKS[0]

_STORY_BITS = 32
_STORY_MASK = (1 << _STORY_BITS) - 1


@dataclass(frozen=True, slots=True)
class Burst:
    """Some minutes in which an entity has ten times its usual rate: ``articles`` besides the ``usual`` ones."""

    id: str
    name: str
    type: str
    start: datetime
    end: datetime
    articles: int
    usual: float

    def record(self) -> dict[str, object]:
        """The burst as a line of the file of bursts."""
        return {
            "id": self.id,
            "name": self.name,
            "type": self.type,
            "start": self.start.isoformat(timespec="milliseconds"),
            "end": self.end.isoformat(timespec="milliseconds"),
            "articles": self.articles,
            "usual": round(self.usual, 3),
        }


class Timeline:
    """Maps positions in the stream, from 0 to 1, to times: equal shares have the same expected number of articles."""

    def __init__(self, start: datetime, days: float) -> None:
        self.start = start
        self.length = max(1, int(days * 24 * _HOUR))
        utc = start.astimezone(UTC)
        first = utc.hour + _HOURS_EAST
        offset = utc.minute * 60_000 + utc.second * 1_000
        # All hours of the day that the stream covers: when each begins, and its rate.
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

    def at(self, position: float) -> int:
        """The time of a position, in milliseconds since the start."""
        wanted = position * self._sums[-1]
        hour = min(bisect_right(self._sums, wanted), len(self._begins)) - 1
        return min(self.length - 1, self._begins[hour] + int((wanted - self._sums[hour]) / self._rates[hour]))

    def time(self, milliseconds: int) -> datetime:
        """The time that is ``milliseconds`` after the start."""
        return self.start + timedelta(milliseconds=milliseconds)

    def share(self, begin: int, end: int) -> float:
        """The expected share of all articles between two times, in milliseconds since the start."""
        return (self._before(end) - self._before(begin)) / self._sums[-1]

    def _before(self, moment: int) -> float:
        hour = bisect_right(self._begins, moment) - 1
        return self._sums[hour] + (moment - self._begins[hour]) * self._rates[hour]


class Schedule:
    """All articles in the order of arrival: the time and the story of each.

    ``sizes``: the number of articles of each story. ``forced``: the entity that a story must be about, by story.
    Stories from ``templates`` on are reports from a template, with one article each.
    """

    def __init__(self, rng: random.Random, articles: int, timeline: Timeline, bursts: int) -> None:
        self.sizes = array("L")
        self.forced: dict[int, NamedEntity] = {}
        self.bursts: list[Burst] = []
        # One integer per article (milliseconds, then story): such a list sorts fast and needs little memory.
        self._keys: list[int] = []
        self._timeline = timeline
        self._plan_bursts(rng, articles, bursts)
        templates = int((articles - len(self._keys)) * _TEMPLATE_SHARE)
        self._plan_stories(rng, articles - templates)
        self.templates = len(self.sizes)
        for _ in range(templates):
            self._add(self._begin(), timeline.at(rng.random()))
        self._keys.sort()

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Milliseconds since the start and the story of each article, in the order of arrival."""
        return ((key >> _STORY_BITS, key & _STORY_MASK) for key in self._keys)

    def _begin(self) -> int:
        self.sizes.append(0)
        return len(self.sizes) - 1

    def _add(self, story: int, moment: int) -> None:
        self.sizes[story] += 1
        self._keys.append(moment << _STORY_BITS | story)

    def _plan_stories(self, rng: random.Random, articles: int) -> None:
        """Add stories until the schedule has this number of articles."""
        largest = max(2, min(_LARGEST, articles // 20))
        hour = _HOUR / self._timeline.length
        while len(self._keys) < articles:
            size = min(_size(rng, largest), articles - len(self._keys))
            position = rng.random()
            story = self._begin()
            self._add(story, self._timeline.at(position))
            pace = hour * (_FAST + (_SLOW - _FAST) * rng.random() * rng.random())
            earlier = None
            for _ in range(size - 1):
                later = position + pace * _delay(rng)
                if later < 1:
                    self._add(story, self._timeline.at(later))
                    continue
                # Articles after the end wrap around to the beginning, as another story that had begun before it, so
                # that the first hours have as many articles as the last ones.
                if earlier is None:
                    earlier = self._begin()
                self._add(earlier, self._timeline.at(later % 1))

    def _plan_bursts(self, rng: random.Random, articles: int, bursts: int) -> None:
        if not bursts:
            return
        cast = Cast(articles)
        ranked = known_entities()[slice(*_BURST_RANKS)]
        for entity in rng.sample(ranked, bursts):
            shortest, longest = (minutes * 60_000 for minutes in _BURST_MINUTES)
            length = min(shortest + int(rng.random() * (longest - shortest)), max(1, self._timeline.length // 20))
            begin = int((0.2 + 0.7 * rng.random()) * self._timeline.length)
            # The rate at night is below the average; a burst must exceed both.
            share = max(length / self._timeline.length, self._timeline.share(begin, begin + length))
            usual = articles * share * cast.share(entity) * _DRAWS
            count = max(_BURST_MIN, int((_BURST_RISE - 1) * usual + 1))
            count = min(count, articles // (3 * bursts))
            self.bursts.append(
                Burst(
                    entity.id,
                    entity.name("en"),
                    entity.type,
                    self._timeline.time(begin),
                    self._timeline.time(begin + length),
                    count,
                    usual,
                )
            )
            # One story with most of the articles, and further ones with a single article.
            story = self._begin()
            for number in range(count):
                if number > count * 0.6:
                    story = self._begin()
                self.forced[story] = entity
                self._add(story, begin + int(rng.random() * length))


def _size(rng: random.Random, largest: int) -> int:
    """The number of articles of a story: mostly one, sometimes hundreds."""
    share = 1 - rng.random()
    if rng.random() < _LARGE_SHARE:
        return int(1 / (1 / largest + share * (1 - 1 / largest)))
    return min(largest, int(1 / math.sqrt(share)))


def _delay(rng: random.Random) -> float:
    """The delay of an article after the first one, in units of the story's pace: half are below 1, a few far above."""
    return (rng.random() + rng.random()) * 0.3 + (1 / math.sqrt(1 - rng.random()) - 1) * 1.7
