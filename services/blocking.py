"""Blocking work in daemon threads, with a deadline.

Not in the event loop's own thread pool: it has few threads, which host name look-ups need too, and work in it delays
the exit of the process.
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
    """Run ``work`` in a new daemon thread; return or raise what it returns or raises.

    Raises ``TimeoutError`` after ``deadline`` seconds, although the thread itself cannot be stopped, and
    ``RuntimeError`` when no thread can be started. ``on_end`` is called in the loop when the thread has ended, or at
    once when none was started: it can release what the work occupies even after the caller has timed out.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[_T] = loop.create_future()

    def settle(complete: Callable[[], None]) -> None:
        on_end()
        if not future.done():
            complete()

    def run() -> None:
        try:
            result = work()
        except Exception as raised:
            error = raised
            settled = lambda: future.set_exception(error)  # noqa: E731
        else:
            settled = lambda: future.set_result(result)  # noqa: E731
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(settle, settled)

    try:
        threading.Thread(target=run, name=name, daemon=True).start()
    except RuntimeError:
        on_end()
        raise
    async with asyncio.timeout(deadline):
        return await future
