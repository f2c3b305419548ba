"""A progress bar on standard error, for a person at a terminal."""

import itertools
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

_REDRAW_SECONDS = 0.1


@contextmanager
def counted(total: int | None, what: str, *, shown: bool) -> Iterator[Callable[[int], None]]:
    """A function that adds to the count of finished ``what``; the bar shows count and rate.

    ``total`` is None where the end is not known. Nothing is printed unless ``shown``, nor where the terminal cannot
    redraw a line (``TERM=dumb``).
    """
    if not shown or os.environ.get("TERM") == "dumb":
        yield lambda number: None
        return
    began = drawn = time.monotonic()
    done = pending = 0

    def rate(_: object) -> str:
        return f"{done / max(time.monotonic() - began, _REDRAW_SECONDS):,.1f} {what}/s"

    with click.progressbar(
        itertools.count() if total is None else None,
        length=total,
        show_pos=True,
        item_show_func=rate,
        file=sys.stderr,
    ) as bar:

        def add(number: int) -> None:
            nonlocal done, pending, drawn
            done += number
            pending += number
            if done == total or time.monotonic() - drawn >= _REDRAW_SECONDS:
                drawn = time.monotonic()
                bar.update(pending)
                pending = 0

        yield add
        if pending:
            bar.update(pending)
