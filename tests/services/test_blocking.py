"""Blocking work in daemon threads."""

import asyncio
import threading

import pytest

from services.blocking import run_in_thread


async def test_result_and_error_come_back_to_the_loop() -> None:
    """The result of the work is returned, and its exception is raised."""
    assert await run_in_thread(lambda: 6 * 7, name="test") == 42
    with pytest.raises(ZeroDivisionError):
        await run_in_thread(lambda: 1 // 0, name="test")


async def test_work_that_takes_too_long_times_out() -> None:
    """``TimeoutError`` after the deadline; ``on_end`` is called only when the thread has ended."""
    release, ended = threading.Event(), asyncio.Event()
    with pytest.raises(TimeoutError):
        await run_in_thread(release.wait, name="test", deadline=0.05, on_end=ended.set)
    assert not ended.is_set()
    release.set()
    async with asyncio.timeout(5):
        await ended.wait()


async def test_a_thread_that_cannot_start_releases_what_it_occupies(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error is raised, and ``on_end`` has been called."""

    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    ended: list[bool] = []
    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(RuntimeError, match="new thread"):
        await run_in_thread(lambda: None, name="test", on_end=lambda: ended.append(True))
    assert ended == [True]
