"""Blocking work beside the event loop, in daemon threads and with a deadline.

Not in the loop's own pool: that one has few threads, which look-ups of host names need too, and work in it holds up
the end of the process.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")


async def run_in_thread(
    work: Callable[[], _T], *, name: str, deadline: float | None = None, on_end: Callable[[], None] = lambda: None
) -> _T:
    """What ``work`` returns or raises, done in a new daemon thread.

    Raises ``TimeoutError`` after ``deadline`` seconds, and ``RuntimeError`` when no thread can be started; the thread
    itself cannot be stopped. ``on_end`` is called in the loop when the thread has ended, or at once when none was
    started: to release what the work occupies, also when nobody waits for it any more.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[_T] = loop.create_future()

    def settle(set_answer: Callable[[], None]) -> None:
        on_end()
        if not answer.done():
            set_answer()

    def run() -> None:
        try:
            result = work()
        except Exception as raised:
            error = raised
            settled = lambda: answer.set_exception(error)  # noqa: E731
        else:
            settled = lambda: answer.set_result(result)  # noqa: E731
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(settle, settled)

    try:
        threading.Thread(target=run, name=name, daemon=True).start()
    except RuntimeError:
        on_end()
        raise
    async with asyncio.timeout(deadline):
        return await answer
