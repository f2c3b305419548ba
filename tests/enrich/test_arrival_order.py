"""Articles that several workers annotate are put into the order in which they arrived."""

import random
from collections.abc import Iterable

from enrich.consumer.arrival_order import ArrivalOrder


def ordered(items: Iterable[tuple[float, float]]) -> tuple[list[float], list[float]]:
    """Feed (arrival, time of reading) in order of reading: the arrivals as they are taken, and how long each waited."""
    order: ArrivalOrder[tuple[float, float]] = ArrivalOrder()
    taken: list[float] = []
    waits: list[float] = []

    def take(now: float) -> None:
        for arrived, read in order.take(now):
            taken.append(arrived)
            waits.append(now - read)

    now = 0.0
    for arrived, read in items:
        while (wait := order.wait(now)) is not None and now + wait < read:
            now += wait
            take(now)
        now = read
        order.add((arrived, read), arrived, read - arrived, now)
        take(now)
    while (wait := order.wait(now)) is not None:
        now += wait + 1e-9
        take(now)
    return taken, waits


def inversions(arrivals: list[float]) -> int:
    """How many articles come after one that arrived later."""
    latest, found = float("-inf"), 0
    for arrival in arrivals:
        found += arrival < latest
        latest = max(latest, arrival)
    return found


def test_nothing_waits_where_one_worker_does_everything() -> None:
    """Articles that come in order are passed on at once."""
    items = [(at / 100, at / 100 + 0.02) for at in range(500)]
    taken, waits = ordered(items)
    assert taken == [arrived for arrived, _ in items]
    assert max(waits) == 0


def test_two_workers_of_different_speed_are_put_in_order() -> None:
    """Once the first late article has shown how late one worker is, no article comes after one that arrived later."""
    rng = random.Random(1)
    items = sorted(
        ((at / 200, at / 200 + 0.01 + (0.04 + rng.random() * 0.01) * (at % 2)) for at in range(2_000)),
        key=lambda item: item[1],
    )
    taken, waits = ordered(items)
    assert sorted(taken) == [at / 200 for at in range(2_000)]
    assert inversions([arrived for arrived, _ in items]) > 500
    assert inversions(taken) <= 20
    assert max(waits) <= 0.1


def test_an_article_waits_as_long_as_it_took_to_get_here_at_most() -> None:
    """While the workers catch up with a backlog the wait may be longer; it is bounded in any case."""
    items = [(at / 10, 100 + at / 1_000 + 2.0 * (at % 2)) for at in range(1_000)]
    taken, waits = ordered(sorted(items, key=lambda item: item[1]))
    assert inversions(taken[500:]) == 0
    assert max(waits) <= 5
    late = [(at / 100, at / 100 + 0.01 + 30 * (at % 50 == 1)) for at in range(5_000)]
    _, waits = ordered(sorted(late, key=lambda item: item[1]))
    assert sorted(waits)[len(waits) // 2] <= 0.25


def test_a_flood_is_not_held() -> None:
    """Of more than two thousand articles the earliest are passed on."""
    order: ArrivalOrder[int] = ArrivalOrder()
    order.add(0, 10.0, 100.0, 0.0)
    order.add(1, 9.0, 100.0, 4.0)
    for number in range(10_000):
        order.add(number, float(number), 100.0, 4.0)
    order.take(4.0)
    assert len(order) <= 2_000
