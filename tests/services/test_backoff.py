"""Delays between tries."""

from services.backoff import Backoff, delay


def test_delays_double_up_to_the_limit_and_start_over_after_a_success() -> None:
    """0.5, 1, 2, 4, 5, 5; after a reset 0.5 again."""
    backoff = Backoff(0.5, 5.0)
    assert [backoff.next() for _ in range(6)] == [0.5, 1.0, 2.0, 4.0, 5.0, 5.0]
    backoff.reset()
    assert backoff.next() == 0.5


def test_jitter_spreads_a_delay_up_and_down() -> None:
    """With a jitter of 0.3 a delay of 10 s takes 7 to 13 s."""
    lowest, highest = Backoff(10, 60, jitter=0.3, rng=lambda: 0.0), Backoff(10, 60, jitter=0.3, rng=lambda: 1.0)
    assert (round(lowest.next(), 6), round(highest.next(), 6)) == (7.0, 13.0)


def test_thousands_of_failures_stay_at_the_limit() -> None:
    """No overflow after very many failures."""
    assert delay(100_000, 1.0, 3600.0) == 3600.0
