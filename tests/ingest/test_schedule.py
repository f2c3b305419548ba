"""When feeds are polled: simulated feeds over days, failures, hosts that fail."""

import random
from collections.abc import Iterator

import pytest

from ingest.feeds.schedule import MAX_BACKOFF, Bounds, Hosts, Pace, failed, interval, next_poll, succeeded
from services.settings import Settings

DAY = 86_400.0
START = 20_000 * DAY
BOUNDS = Bounds()


def polls(
    times: list[float], *, announced: float = 0.0, max_age: float | None = None, days: int = 7
) -> Iterator[tuple[float, int]]:
    """The polls of a feed with entries at these times: when, and the number of new entries."""
    chance = random.Random(1)
    now, pace = START, Pace()
    old = [time for time in times if time <= now]
    pace = succeeded(pace, BOUNDS, now=now, new=len(old), dates=old[-30:], announced=announced)
    waiting = [time for time in times if time > now]
    while now < START + days * DAY:
        now = next_poll(pace, BOUNDS, now=now, rng=chance.random, max_age=max_age)
        new = sum(time <= now for time in waiting[:1_000])
        del waiting[:new]
        pace = succeeded(pace, BOUNDS, now=now, new=new)
        yield now, new


def feed(seconds: float, *, hours: tuple[int, int] = (0, 24)) -> list[float]:
    """The times of a feed's entries, this many seconds apart in the mean, in these hours of the day."""
    chance = random.Random(2)
    times, now = [], START - 3 * DAY
    while now < START + 8 * DAY:
        now += chance.expovariate(1 / seconds)
        if hours[0] <= now % DAY / 3600 < hours[1]:
            times.append(now)
    return times


@pytest.mark.parametrize(
    ("seconds", "least", "most"), [(60, 1_300, 1_500), (600, 250, 450), (3_600, 40, 110), (DAY, 22, 30)]
)
def test_interval_follows_the_feed(seconds: float, least: int, most: int) -> None:
    """Feeds that change often are polled each minute, those that seldom change each hour; others in between."""
    assert least < len(list(polls(feed(seconds)))) / 7 < most


def test_a_quiet_night() -> None:
    """A newspaper is polled less often at night; in the morning it is soon polled as before."""
    found = list(polls(feed(300, hours=(7, 23))))
    night = sum(now % DAY / 3600 < 6 for now, _ in found) / 7
    day = sum(8 <= now % DAY / 3600 < 14 for now, _ in found) / 7
    assert night < 12
    assert day > 80


def test_what_the_feed_announces() -> None:
    """A feed that announces an hour is polled each hour, but more often if its entries come more often."""
    assert interval(Pace(announced=3_000), BOUNDS, now=START) == 3_000
    assert interval(Pace(learnt=7_200, announced=3_000, changed=START), BOUNDS, now=START) == 3_600
    assert interval(Pace(learnt=4_000, announced=3_000, changed=START), BOUNDS, now=START) == 3_000
    assert interval(Pace(learnt=600, announced=3_000, changed=START), BOUNDS, now=START) == 600
    assert interval(Pace(announced=10**9), BOUNDS, now=START) == BOUNDS.most
    # What is not announced any more does not count; a 304 says nothing about it.
    pace = succeeded(Pace(announced=3_000, changed=START), BOUNDS, now=START, new=0)
    assert pace.announced == 3_000
    assert succeeded(pace, BOUNDS, now=START, new=0, announced=0.0).announced == 0.0


def test_caches() -> None:
    """While a response is fresh the feed is not polled: a cache would give the same one."""
    for rng in (0.0, 0.5, 1.0):
        found = next_poll(Pace(learnt=60, changed=START), BOUNDS, now=START, rng=lambda rng=rng: rng, max_age=900)
        assert 900 <= found - START <= 990
    assert interval(Pace(), BOUNDS, now=START, max_age=10**9) == BOUNDS.most


def test_own_interval() -> None:
    """The interval that a user sets for a feed is used, whatever else is known."""
    pace = Pace(learnt=60, announced=3_000, changed=START)
    assert interval(pace, BOUNDS, now=START, own=10.0, max_age=900) == 10.0
    assert interval(pace, BOUNDS, now=START, own=50_000.0) == 50_000.0
    assert next_poll(pace, BOUNDS, now=START, rng=lambda: 0.5, own=10.0, max_age=900) == START + 10


def test_first_interval() -> None:
    """Before anything is known the interval is that of the settings; dates of entries show it at the first poll."""
    assert interval(Pace(), BOUNDS, now=START) == 300
    first = succeeded(Pace(), BOUNDS, now=START, new=50, dates=[START - 1_200 * number for number in range(50)])
    assert 500 < interval(first, BOUNDS, now=START) < 600
    broken = succeeded(Pace(), BOUNDS, now=START, new=50, dates=[START + DAY] * 50)
    assert interval(broken, BOUNDS, now=START) == 300


def test_short_interval_of_the_settings() -> None:
    """A short KHABAR_FEED_INTERVAL shortens the other two; a long one makes them longer."""
    short = Bounds.of(Settings(feed_interval=1))
    assert (short.start, short.least, short.most) == (1.0, 1.0, 12.0)
    long = Bounds.of(Settings(feed_interval=7_200))
    assert (long.start, long.least, long.most) == (7_200.0, 60.0, 7_200.0)


def test_jitter() -> None:
    """Polls are spread by 10%, so that many feeds that were added together are not polled together."""
    found = {next_poll(Pace(), BOUNDS, now=START, rng=random.Random(seed).random) - START for seed in range(100)}
    assert min(found) < 280
    assert max(found) > 320
    assert all(270 <= one <= 330 for one in found)


def test_failures() -> None:
    """The interval doubles with each failure up to six hours; after a success it is as before."""
    pace = Pace(learnt=600, changed=START)
    found = []
    for _ in range(12):
        pace = failed(pace)
        found.append(next_poll(pace, BOUNDS, now=START, rng=lambda: 0.5) - START)
    assert found[:4] == [600, 1_200, 2_400, 4_800]
    assert found[-1] == MAX_BACKOFF
    pace = succeeded(pace, BOUNDS, now=START + 60, new=0)
    assert next_poll(pace, BOUNDS, now=START + 60, rng=lambda: 0.5) == START + 360


def test_retry_after() -> None:
    """A server's time to wait is obeyed and never shortened, whatever the number of failures."""
    pace = failed(failed(failed(Pace())))
    for rng in (0.0, 0.5, 1.0):
        found = next_poll(pace, BOUNDS, now=START, rng=lambda rng=rng: rng, retry_after=5_000) - START
        assert 5_000 <= found <= 5_500
    assert next_poll(pace, BOUNDS, now=START, rng=lambda: 0.5, retry_after=1) == START + 300


def test_hosts_that_fail() -> None:
    """When three feeds of a host fail in a row, one poll tries the host at a time; its success frees all."""
    hosts = Hosts(BOUNDS)
    for number in range(2):
        hosts.failed("h", f"feed{number}", now=START)
        hosts.failed("h", "feed0", now=START)
    assert hosts.wait("h", now=START) == 0
    hosts.failed("h", "feed2", now=START)
    assert hosts.wait("other", now=START) == 0
    pause = hosts.wait("h", now=START)
    assert pause >= 300
    # One tries; the others wait for it.
    now = START + pause
    assert hosts.wait("h", now=now) == 0
    assert hosts.wait("h", now=now) >= 300
    hosts.failed("h", "feed1", now=now)
    assert hosts.wait("h", now=now) > pause
    hosts.succeeded("h")
    assert hosts.wait("h", now=now) == 0


def test_hosts_that_ask_to_wait() -> None:
    """All feeds of a host wait when it asks one of them to, at most an hour."""
    hosts = Hosts(BOUNDS)
    hosts.failed("h", "feed", now=START, retry_after=120)
    assert hosts.wait("h", now=START + 20) == 100
    assert hosts.wait("h", now=START + 121) == 0
    hosts.failed("h", "feed", now=START, retry_after=50_000)
    assert hosts.wait("h", now=START) == 3_600
