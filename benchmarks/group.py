"""What group costs an article: ``python -m benchmarks.group [--sizes N,N,...] [--hot] [--texts FILE] [--cache DIR]``.

For each size a new process fills a window with so many articles, and then measures with the articles that follow (as
many leave as come): CPU time an article, of ``Grouper.process`` alone and with reading its input and writing what goes
out; how many articles and stories it is compared with, and how many the indexes return; memory. Another process takes
the window over from its entries, and must answer the next thousand articles as the first one did. A bare loop is timed
beside, so that figures of several machines, or of one machine on several days, can be compared.

``--hot`` puts one blurb that nobody recognised as boilerplate into 50,000 otherwise unrelated articles.

What the articles are: ``benchmarks/streams.py``. They are prepared before anything is measured, by all cores; a million
takes 10 to 20 minutes and 1 GB of disk. ``--cache`` keeps them for the next time.
"""

import contextlib
import gc
import hashlib
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import wraps
from itertools import islice
from pathlib import Path
from typing import Any

import click
import numpy as np
import psutil

from benchmarks import streams
from enrich.group import duplicates
from enrich.group.duplicates import Duplicates
from enrich.group.grouper import Grouper, GroupOutput
from enrich.group.index import RecentIndex
from enrich.group.similarity import Similarity
from enrich.group.stories import Stories
from enrich.group.window import PendingArticle

WINDOW = timedelta(hours=72)
# As the worker takes them.
_BATCH = 200
_TIMED, _COUNTED, _ANSWERED = 5_000, 1_000, 1_000
_AFTER = _TIMED + _COUNTED + _ANSWERED
_LENGTH = 4
_LOOPS = 1_000_000

_HOT = 50_000
_HOT_POINTS = (2_000, 5_000, 10_000, 20_000, 30_000, 40_000, 50_000)
_BLURB = 35


@dataclass(slots=True)
class Spent:
    """CPU seconds on reading the input, processing, writing what goes out."""

    decode: float = 0.0
    process: float = 0.0
    encode: float = 0.0


@click.command()
@click.option("--sizes", default="10000,100000", show_default=True, help="articles in the window")
@click.option("--hot", is_flag=True, help="measure one blurb in many articles instead")
@click.option(
    "--texts",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="annotated articles, one a line of JSON, instead of generated ones",
)
@click.option("--cache", type=click.Path(path_type=Path, file_okay=False), help="where prepared articles are kept")
@click.option("--measure", hidden=True, help="what the process is for; prints JSON")
def main(sizes: str, hot: bool, texts: Path | None, cache: Path | None, measure: str | None) -> None:
    """Measure and print."""
    if measure is not None:
        what, prepared, entries, articles = measure.split("|")
        sys.stdout.write(json.dumps(_MEASURES[what](Path(prepared), Path(entries), int(articles))) + "\n")
        return
    if hot:
        _print_hot(_in_new_process("hot", Path(), Path(), _HOT))
        return
    first = None
    for size in map(int, sizes.split(",")):
        with contextlib.ExitStack() as stack:
            scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            stream, told = _prepared(cache or scratch, size, texts), scratch / "entries"
            filled = _in_new_process("fill", stream, told, size)
            first = first or filled
            _print(size, filled, first)
            _print_restored(_in_new_process("restore", stream, told, size))


def _prepared(folder: Path, size: int, texts: Path | None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{texts.stem if texts else 'generated'}-{size}.jsonl.zst"
    if not path.exists():
        began = time.perf_counter()
        if texts:
            streams.respaced(path, texts, size + _AFTER)
        else:
            streams.prepare(path, size + _AFTER)
        sys.stdout.write(f"{size + _AFTER:,} articles prepared in {time.perf_counter() - began:.0f} s\n")
        sys.stdout.flush()
    return path


def _in_new_process(what: str, prepared: Path, entries: Path, size: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.group", "--measure", f"{what}|{prepared}|{entries}|{size}"]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _fill(prepared: Path, entries: Path, size: int) -> dict[str, Any]:
    """Fill a window, measure with what follows; leave the window's entries, and what must follow, in files."""
    lines = streams.lines(prepared)
    before = _settled()
    grouper = Grouper(WINDOW, size)
    spent = Spent()
    kept = 0
    with entries.open("wb") as file:
        for _ in range(size // _BATCH):
            for told in _batch(grouper, lines, spent):
                file.write(len(told.entry).to_bytes(_LENGTH, "little") + told.entry)
                kept += 1
        memory = _settled() - before
        loop = _loop()
        costs = []
        for _ in range(_TIMED // _BATCH):
            spent = Spent()
            for told in _batch(grouper, lines, spent, encode=True):
                file.write(len(told.entry).to_bytes(_LENGTH, "little") + told.entry)
                kept += 1
            costs.append(spent)
        with _counting() as counts:
            for told in _batch(grouper, lines, Spent(), count=_COUNTED):
                file.write(len(told.entry).to_bytes(_LENGTH, "little") + told.entry)
                kept += 1
    entries.with_suffix(".answers").write_text(
        json.dumps([kept, len(grouper), _digest(_batch(grouper, lines, Spent(), count=_ANSWERED))])
    )
    return {
        "decode": statistics.median(cost.decode for cost in costs) / _BATCH,
        "process": statistics.median(cost.process for cost in costs) / _BATCH,
        "encode": statistics.median(cost.encode for cost in costs) / _BATCH,
        "memory": memory / size,
        "loop": statistics.mean([loop, _loop()]),
        "counts": {name: count / _COUNTED for name, count in counts.items()},
        "most": counts.most,
    }


def _restore(prepared: Path, entries: Path, size: int) -> dict[str, Any]:
    """Take over, and answer what the first grouper answered."""
    kept, within, answers = json.loads(entries.with_suffix(".answers").read_text())
    lines = streams.lines(prepared, size + _TIMED + _COUNTED)
    warm = next(_frames(entries))
    Grouper(WINDOW, 1_000).restore([warm])
    before = _settled()
    grouper = Grouper(WINDOW, size)
    began = time.perf_counter()
    grouper.restore(islice(_frames(entries), kept - within, None))
    seconds = time.perf_counter() - began
    memory = _settled() - before
    same = _digest(_batch(grouper, lines, Spent(), count=_ANSWERED)) == answers
    return {"seconds": seconds, "memory": memory / within, "same": same, "articles": within}


def _batch(
    grouper: Grouper, lines: Iterator[bytes], spent: Spent, *, count: int = _BATCH, encode: bool = False
) -> list[GroupOutput]:
    """Process the next lines; adds to ``spent``."""
    some = list(islice(lines, count))
    if not some:
        raise EOFError("the prepared articles are at an end")
    start = time.process_time()
    articles = streams.articles(some)
    decoded = time.process_time()
    told = [step for step in map(grouper.process, articles) if step is not None]
    processed = time.process_time()
    if encode:
        for step in told:
            step.article.encode()
            for story in step.stories:
                story.encode()
    spent.decode += decoded - start
    spent.process += processed - decoded
    spent.encode += time.process_time() - processed
    return told


def _digest(told: Iterable[GroupOutput]) -> str:
    digest = hashlib.sha256()
    for step in told:
        for part in (step.article.encode(), *(story.encode() for story in step.stories), step.entry):
            digest.update(len(part).to_bytes(_LENGTH, "little") + part)
    return digest.hexdigest()


def _frames(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while length := file.read(_LENGTH):
            yield file.read(int.from_bytes(length, "little"))


def _settled() -> int:
    """Memory of this process without what is only waiting to be collected."""
    gc.collect()
    return int(psutil.Process().memory_info().rss)


def _loop() -> float:
    """Millions of steps a second of a bare loop."""
    start, total = time.process_time(), 0
    for number in range(_LOOPS):
        total += number & 7
    return _LOOPS / 1e6 / (time.process_time() - start)


class _Counts(Counter[str]):
    """Sums over articles, and the most that one article had."""

    def __init__(self) -> None:
        super().__init__()
        self.most = 0


@contextlib.contextmanager
def _counting() -> Iterator[_Counts]:
    """Count what is found and compared."""
    counts = _Counts()
    asking = ["nobody"]

    def found(self: RecentIndex, keys: Any) -> Any:
        numbers = find(self, keys)
        counts[f"{asking[0]} returned"] += int(np.count_nonzero(numbers))
        return numbers

    def shared(row: Any, others: Any) -> Any:
        counts["duplicates compared"] += len(others)
        counts.most = max(counts.most, len(others))
        return containment(row, others)

    def chosen(self: Stories, row: Any) -> Any:
        candidates = candidates_of(self, row)
        counts["stories compared"] += len(candidates)
        return candidates

    def scored(self: Similarity, article: PendingArticle, slots: Any) -> Any:
        counts["articles of stories compared"] += len(slots)
        return score(self, article, slots)

    def asked_by(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def asked(*arguments: Any) -> Any:
            asking[0] = name
            return function(*arguments)

        return asked

    find, containment = RecentIndex.find, duplicates.containment
    candidates_of, score = Stories._candidates, Similarity.score
    patches: tuple[tuple[Any, str, Any], ...] = (
        (RecentIndex, "find", found),
        (duplicates, "containment", shared),
        (Stories, "_candidates", chosen),
        (Similarity, "score", scored),
        (Duplicates, "find", asked_by("duplicates", Duplicates.find)),
        (Stories, "matching", asked_by("stories", Stories.matching)),
    )
    originals = [getattr(owner, name) for owner, name, _ in patches]
    try:
        for owner, name, function in patches:
            setattr(owner, name, function)
        yield counts
    finally:
        for (owner, name, _), original in zip(patches, originals, strict=True):
            setattr(owner, name, original)


def _print(size: int, filled: dict[str, Any], first: dict[str, Any]) -> None:
    cost, whole = filled["process"], filled["process"] + filled["decode"] + filled["encode"]
    ratio = cost / first["process"]
    # The machine may have been busier for one of the two: the bare loop tells.
    level = ratio * filled["loop"] / first["loop"]
    counts = filled["counts"]
    sys.stdout.write(
        f"\n{size:,} articles in the window (a bare loop: {filled['loop']:.1f} million steps a second)\n"
        f"  process alone             {1 / cost:8.0f} articles a CPU-second ({cost * 1e6:.0f} µs each)\n"
        f"  with reading and writing  {1 / whole:8.0f} articles a CPU-second ({whole * 1e6:.0f} µs: "
        f"reading {filled['decode'] * 1e6:.0f}, writing {filled['encode'] * 1e6:.0f})\n"
        f"  cost against the first    {ratio:8.2f} ({level:.2f} by the bare loop)\n"
        f"  for duplicates            {counts.get('duplicates compared', 0):8.1f} articles compared (at most "
        f"{filled['most']}) of {counts.get('duplicates returned', 0):.0f} places that the index returned\n"
        f"  for stories               {counts.get('stories compared', 0):8.1f} stories compared, by "
        f"{counts.get('articles of stories compared', 0):.0f} articles, of {counts.get('stories returned', 0):.0f} "
        "places that the index returned\n"
        f"  memory                    {filled['memory']:8.0f} bytes a kept article\n"
    )
    sys.stdout.flush()


def _print_restored(restored: dict[str, Any]) -> None:
    sys.stdout.write(
        f"  taken over                {restored['seconds']:8.2f} s for {restored['articles']:,} entries; "
        f"{restored['memory']:.0f} bytes a kept article; the next {_ANSWERED:,} answers are "
        f"{'the same' if restored['same'] else 'NOT the same'}\n"
    )
    sys.stdout.flush()


def _hot(_prepared: Path, _entries: Path, size: int) -> dict[str, Any]:
    """Cost an article, and how many were called copies, as ever more articles have the blurb; without it, too."""
    found: dict[str, Any] = {"loop": _loop()}
    for name, blurb in (("without", []), ("with", streams.words(random.Random(0), _BLURB))):  # noqa: S311
        grouper = Grouper(WINDOW, size)
        arrived = datetime(2026, 11, 6, tzinfo=UTC)
        chance = random.Random(1)  # noqa: S311 - to be repeated, not to be secret
        points, copies, number = [], 0, 0
        for until in _HOT_POINTS:
            costs = []
            while number < until - _COUNTED:
                told, cost = _process(grouper, chance, blurb, arrived, number)
                costs.append(cost)
                copies += told
                number += _BATCH
            with _counting() as counts:
                while number < until:
                    told, _ = _process(grouper, chance, blurb, arrived, number)
                    copies += told
                    number += _BATCH
            points.append(
                {
                    "articles": until,
                    "cost": statistics.median(costs or [0.0]),
                    "most": counts.most,
                    "counts": {key: count / _COUNTED for key, count in counts.items()},
                }
            )
        found[name] = {"points": points, "copies": copies}
    return found


def _process(
    grouper: Grouper, chance: random.Random, blurb: list[str], arrived: datetime, number: int
) -> tuple[int, float]:
    """Process the next batch: how many were called copies, and CPU seconds an article."""
    articles = [
        streams.unrelated(number + at, chance, blurb, arrived + timedelta(seconds=number + at)) for at in range(_BATCH)
    ]
    start = time.process_time()
    told = [grouper.process(article) for article in articles]
    cost = (time.process_time() - start) / _BATCH
    return sum(step is not None and step.article.duplicate_of is not None for step in told), cost


def _print_hot(found: dict[str, Any]) -> None:
    sys.stdout.write(f"One blurb of {_BLURB} words (a bare loop: {found['loop']:.1f} million steps a second)\n")
    for name in ("with", "without"):
        sys.stdout.write(f"  {name} it: {found[name]['copies']} articles called copies\n")
        for point in found[name]["points"]:
            counts = point["counts"]
            sys.stdout.write(
                f"    {point['articles']:7,} articles: {point['cost'] * 1e6:5.0f} µs an article; for duplicates "
                f"{counts.get('duplicates compared', 0):.1f} compared (at most {point['most']}) of "
                f"{counts.get('duplicates returned', 0):.0f} returned; for stories "
                f"{counts.get('articles of stories compared', 0):.0f} of {counts.get('stories returned', 0):.0f}\n"
            )


_MEASURES: dict[str, Callable[[Path, Path, int], dict[str, Any]]] = {"fill": _fill, "restore": _restore, "hot": _hot}


if __name__ == "__main__":
    main()
