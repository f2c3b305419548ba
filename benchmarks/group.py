"""The cost of group: ``python -m benchmarks.group [--sizes N,N,...] [--hot] [--texts FILE] [--cache DIR]``.

For each size a new process fills a window with this number of articles, and then measures with the articles that follow
(as many are evicted as arrive): CPU time per article, of ``Grouper.process`` alone and including reading its input and
writing its output; how many articles and stories it is compared with, and how many the indexes return; memory. Another
process restores the window from its entries, and must give the same output for the next articles as the first one. A
bare loop is timed as well, so that figures of several machines or days can be compared.

``--hot`` puts one blurb that is not recognised as boilerplate into otherwise unrelated articles.

The articles are described in ``benchmarks/synthetic.py``. They are prepared before the measurement, on all cores; a
million takes 10 to 20 minutes and 1 GB of disk. ``--cache`` keeps them for the next run.
"""

import contextlib
import gc
import hashlib
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import astuple, dataclass
from datetime import UTC, datetime, timedelta
from functools import wraps
from itertools import islice
from pathlib import Path
from typing import Any

import click
import numpy as np
import psutil

from benchmarks import synthetic
from enrich.group import duplicates
from enrich.group.duplicates import Duplicates
from enrich.group.grouper import Grouper, GroupOutput
from enrich.group.index import RecentIndex
from enrich.group.similarity import Similarity
from enrich.group.stories import Stories
from enrich.group.window import PendingArticle

WINDOW = timedelta(hours=72)
# The batch size of the worker.
_BATCH = 200
_LENGTH = 4
_LOOPS = 1_000_000

# Points of the curve, as shares of the articles.
_HOT_POINTS = (0.04, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0)
_BLURB = 35


@dataclass(frozen=True, slots=True)
class Counts:
    """Numbers of articles: in the window; then to measure the cost with, to count comparisons with, and to compare the
    output of the restored grouper with."""

    size: int
    timed: int
    counted: int
    compared: int

    @property
    def all(self) -> int:
        """All articles."""
        return self.size + self.timed + self.counted + self.compared


@dataclass(slots=True)
class Spent:
    """CPU seconds for reading the input, processing, and writing the output."""

    decode: float = 0.0
    process: float = 0.0
    encode: float = 0.0


@click.command()
@click.option("--sizes", default="10000,100000", show_default=True, help="articles in the window")
@click.option("--timed", default=5_000, show_default=True, help="articles to measure the cost with")
@click.option("--counted", default=1_000, show_default=True, help="articles to count comparisons with")
@click.option("--compared", default=1_000, show_default=True, help="articles to compare the restored grouper with")
@click.option("--hot", is_flag=True, help="measure one blurb in many articles instead")
@click.option("--articles", default=50_000, show_default=True, help="with --hot: articles")
@click.option(
    "--texts",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="annotated articles, one per line of JSON, instead of generated ones",
)
@click.option("--cache", type=click.Path(path_type=Path, file_okay=False), help="folder for prepared articles")
@click.option("--measure", hidden=True, help="JSON: the measurement of this process; prints JSON")
def main(  # noqa: PLR0913 - one parameter per option
    *,
    sizes: str,
    timed: int,
    counted: int,
    compared: int,
    hot: bool,
    articles: int,
    texts: Path | None,
    cache: Path | None,
    measure: str | None,
) -> None:
    """Measure and print."""
    if measure is not None:
        what, prepared, entries, *counts = json.loads(measure)
        sys.stdout.write(json.dumps(_MEASURES[what](Path(prepared), Path(entries), Counts(*counts))) + "\n")
        return
    if hot:
        _print_hot(_in_new_process("hot", Path(), Path(), Counts(articles, timed, counted, compared)))
        return
    first = None
    for size in map(int, sizes.split(",")):
        counts = Counts(size, timed, counted, compared)
        with contextlib.ExitStack() as stack:
            scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            stream, entries = _prepared(cache or scratch, counts, texts), scratch / "entries"
            filled = _in_new_process("fill", stream, entries, counts)
            first = first or filled
            _print(size, filled, first)
            _print_restored(_in_new_process("restore", stream, entries, counts), compared)


def _prepared(folder: Path, counts: Counts, texts: Path | None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{texts.stem if texts else 'generated'}-{counts.all}.jsonl.zst"
    if not path.exists():
        began = time.perf_counter()
        if texts:
            synthetic.respaced(path, texts, counts.all)
        else:
            synthetic.prepare(path, counts.all)
        sys.stdout.write(f"{counts.all:,} articles prepared in {time.perf_counter() - began:.0f} s\n")
        sys.stdout.flush()
    return path


def _in_new_process(what: str, prepared: Path, entries: Path, counts: Counts) -> dict[str, Any]:
    job = json.dumps([what, str(prepared), str(entries), *astuple(counts)])
    command = [sys.executable, "-m", "benchmarks.group", "--measure", job]
    # As the command enrich does.
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, env=environment)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _fill(prepared: Path, entries: Path, counts: Counts) -> dict[str, Any]:
    """Fill a window and measure with what follows; write the window's entries, and a digest of the next output."""
    lines = synthetic.lines(prepared)
    before = _settled()
    grouper = Grouper(WINDOW, counts.size)
    spent = Spent()
    written = 0
    with entries.open("wb") as file:

        def write(outputs: Iterable[GroupOutput]) -> int:
            return sum(bool(file.write(len(one.entry).to_bytes(_LENGTH, "little") + one.entry)) for one in outputs)

        for count in _batches(counts.size):
            written += write(_batch(grouper, lines, spent, count=count))
        memory = _settled() - before
        loop = _loop()
        costs = []
        for count in _batches(counts.timed):
            spent = Spent()
            written += write(_batch(grouper, lines, spent, count=count, encode=True))
            costs.append(Spent(spent.decode / count, spent.process / count, spent.encode / count))
        with _counting() as comparisons:
            written += write(_batch(grouper, lines, Spent(), count=counts.counted))
    entries.with_suffix(".json").write_text(
        json.dumps([written, len(grouper), _digest(_batch(grouper, lines, Spent(), count=counts.compared))])
    )
    return {
        "decode": statistics.median(cost.decode for cost in costs),
        "process": statistics.median(cost.process for cost in costs),
        "encode": statistics.median(cost.encode for cost in costs),
        "memory": memory / counts.size,
        "loop": statistics.mean([loop, _loop()]),
        "counts": {name: count / counts.counted for name, count in comparisons.items()},
        "most": comparisons.most,
    }


def _batches(articles: int) -> Iterator[int]:
    """Sizes of batches, in total ``articles``: the restored grouper goes on exactly where the first one was."""
    for first in range(0, articles, _BATCH):
        yield min(_BATCH, articles - first)


def _restore(prepared: Path, entries: Path, counts: Counts) -> dict[str, Any]:
    """Restore, and compare the next output with that of the first grouper."""
    written, within, digest = json.loads(entries.with_suffix(".json").read_text())
    lines = synthetic.lines(prepared, counts.all - counts.compared)
    warm = next(_frames(entries))
    Grouper(WINDOW, 1_000).restore([warm])
    before = _settled()
    grouper = Grouper(WINDOW, counts.size)
    began = time.perf_counter()
    grouper.restore(islice(_frames(entries), written - within, None))
    seconds = time.perf_counter() - began
    memory = _settled() - before
    same = _digest(_batch(grouper, lines, Spent(), count=counts.compared)) == digest
    return {"seconds": seconds, "memory": memory / within, "same": same, "articles": within}


def _batch(
    grouper: Grouper, lines: Iterator[bytes], spent: Spent, *, count: int, encode: bool = False
) -> list[GroupOutput]:
    """Process the next lines; adds to ``spent``. Raises ``EOFError`` if there are fewer."""
    chunk = list(islice(lines, count))
    if len(chunk) < count:
        raise EOFError("there are no more prepared articles")
    start = time.process_time()
    articles = synthetic.articles(chunk)
    decoded = time.process_time()
    outputs = [output for output in map(grouper.process, articles) if output is not None]
    processed = time.process_time()
    if encode:
        for output in outputs:
            output.article.encode()
            for story in output.stories:
                story.encode()
    spent.decode += decoded - start
    spent.process += processed - decoded
    spent.encode += time.process_time() - processed
    return outputs


def _digest(outputs: Iterable[GroupOutput]) -> str:
    digest = hashlib.sha256()
    for output in outputs:
        for part in (output.article.encode(), *(story.encode() for story in output.stories), output.entry):
            digest.update(len(part).to_bytes(_LENGTH, "little") + part)
    return digest.hexdigest()


def _frames(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while length := file.read(_LENGTH):
            yield file.read(int.from_bytes(length, "little"))


def _settled() -> int:
    """Memory of this process after a garbage collection."""
    gc.collect()
    return int(psutil.Process().memory_info().rss)


def _loop() -> float:
    """Millions of iterations per second of a bare loop."""
    start, total = time.process_time(), 0
    for number in range(_LOOPS):
        total += number & 7
    return _LOOPS / 1e6 / (time.process_time() - start)


class _Comparisons(Counter[str]):
    """Sums over articles, and the maximum of comparisons for duplicates of one article."""

    def __init__(self) -> None:
        super().__init__()
        self.most = 0


@contextlib.contextmanager
def _counting() -> Iterator[_Comparisons]:
    """Count what the indexes return and what is compared."""
    counts = _Comparisons()
    caller = ["none"]

    def found(self: RecentIndex, keys: Any) -> Any:
        numbers = find(self, keys)
        counts[f"{caller[0]} returned"] += int(np.count_nonzero(numbers))
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

    def called_by(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def called(*arguments: Any) -> Any:
            caller[0] = name
            return function(*arguments)

        return called

    find, containment = RecentIndex.find, duplicates.containment
    candidates_of, score = Stories._candidates, Similarity.score
    patches: tuple[tuple[Any, str, Any], ...] = (
        (RecentIndex, "find", found),
        (duplicates, "containment", shared),
        (Stories, "_candidates", chosen),
        (Similarity, "score", scored),
        (Duplicates, "find", called_by("duplicates", Duplicates.find)),
        (Stories, "matching", called_by("stories", Stories.matching)),
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
    # The machine may have been busier in one of the two: the bare loop corrects for that.
    level = ratio * filled["loop"] / first["loop"]
    counts = filled["counts"]
    sys.stdout.write(
        f"\n{size:,} articles in the window (a bare loop: {filled['loop']:.1f} million iterations a second)\n"
        f"  process alone             {1 / cost:8.0f} articles per CPU-second ({cost * 1e6:.0f} µs each)\n"
        f"  with reading and writing  {1 / whole:8.0f} articles per CPU-second ({whole * 1e6:.0f} µs: "
        f"reading {filled['decode'] * 1e6:.0f}, writing {filled['encode'] * 1e6:.0f})\n"
        f"  cost relative to the first{ratio:8.2f} ({level:.2f} by the bare loop)\n"
        f"  for duplicates            {counts.get('duplicates compared', 0):8.1f} articles compared (at most "
        f"{filled['most']}) of {counts.get('duplicates returned', 0):.0f} index entries returned\n"
        f"  for stories               {counts.get('stories compared', 0):8.1f} stories compared, by "
        f"{counts.get('articles of stories compared', 0):.0f} articles, of {counts.get('stories returned', 0):.0f} "
        "index entries returned\n"
        f"  memory                    {filled['memory']:8.0f} bytes per article\n"
    )
    sys.stdout.flush()


def _print_restored(restored: dict[str, Any], compared: int) -> None:
    sys.stdout.write(
        f"  restored                  {restored['seconds']:8.2f} s for {restored['articles']:,} entries; "
        f"{restored['memory']:.0f} bytes per article; the next {compared:,} outputs are "
        f"{'the same' if restored['same'] else 'NOT the same'}\n"
    )
    sys.stdout.flush()


def _hot(_prepared: Path, _entries: Path, counts: Counts) -> dict[str, Any]:
    """Cost per article, and the number reported as duplicates, as more articles have the blurb; and without it."""
    found: dict[str, Any] = {"loop": _loop()}
    points = sorted({max(1, round(share * counts.size / _BATCH)) * _BATCH for share in _HOT_POINTS})
    for name, blurb in (("without", []), ("with", synthetic.words(random.Random(0), _BLURB))):  # noqa: S311
        grouper = Grouper(WINDOW, counts.size)
        arrived = datetime(2026, 11, 6, tzinfo=UTC)
        rng = random.Random(1)  # noqa: S311 - repeatable
        measured, duplicates_reported, number = [], 0, 0
        for until in points:
            costs = []
            while number < until - counts.counted:
                reported, cost = _process(grouper, rng, blurb, arrived, number)
                costs.append(cost)
                duplicates_reported += reported
                number += _BATCH
            counted = max(1, until - number)
            with _counting() as comparisons:
                while number < until:
                    reported, _ = _process(grouper, rng, blurb, arrived, number)
                    duplicates_reported += reported
                    number += _BATCH
            measured.append(
                {
                    "articles": until,
                    "cost": statistics.median(costs or [0.0]),
                    "most": comparisons.most,
                    "counts": {key: count / counted for key, count in comparisons.items()},
                }
            )
        found[name] = {"points": measured, "duplicates": duplicates_reported}
    return found


def _process(
    grouper: Grouper, rng: random.Random, blurb: list[str], arrived: datetime, number: int
) -> tuple[int, float]:
    """Process the next batch: the number reported as duplicates, and CPU seconds per article."""
    articles = [
        synthetic.unrelated(number + at, rng, blurb, arrived + timedelta(seconds=number + at)) for at in range(_BATCH)
    ]
    start = time.process_time()
    outputs = [grouper.process(article) for article in articles]
    cost = (time.process_time() - start) / _BATCH
    return sum(one is not None and one.article.duplicate_of is not None for one in outputs), cost


def _print_hot(found: dict[str, Any]) -> None:
    sys.stdout.write(f"One blurb of {_BLURB} words (a bare loop: {found['loop']:.1f} million iterations a second)\n")
    for name in ("with", "without"):
        sys.stdout.write(f"  {name} it: {found[name]['duplicates']} articles reported as duplicates\n")
        for point in found[name]["points"]:
            counts = point["counts"]
            sys.stdout.write(
                f"    {point['articles']:7,} articles: {point['cost'] * 1e6:5.0f} µs per article; for duplicates "
                f"{counts.get('duplicates compared', 0):.1f} compared (at most {point['most']}) of "
                f"{counts.get('duplicates returned', 0):.0f} returned; for stories "
                f"{counts.get('articles of stories compared', 0):.0f} of {counts.get('stories returned', 0):.0f}\n"
            )


_MEASURES: dict[str, Callable[[Path, Path, Counts], dict[str, Any]]] = {"fill": _fill, "restore": _restore, "hot": _hot}


if __name__ == "__main__":
    main()
