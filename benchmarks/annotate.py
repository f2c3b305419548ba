"""What annotate costs: ``python -m benchmarks.annotate [--texts DIR] [--runs N]``.

Annotates the articles of seeds/ (and the .txt files of DIR, if one is named) over and over in one process and prints,
for each set, articles a CPU-second and a core (the median of several runs), the CPU time of every stage, and how much
of the whole the stages explain. Then the time to load all models, the memory of a process that has annotated, and how
much two processes do against one.

Word caches are warm, as in a worker that has run for a while; the first run, with caches cold, is printed too.
"""

import gc
import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import Any

import click
import psutil

from enrich import annotate as annotating
from enrich import quotes
from enrich.dates import finder
from enrich.entities import find, linking, matching
from enrich.fingerprint import fingerprint, signature
from enrich.text import boilerplate, cleaning, language, spacing, tokens
from enrich.topics import classifier
from enrich.worker import warm_up
from services.events import RawArticle
from services.files import read_articles
from services.settings import Settings

SEEDS = Path(__file__).parent.parent / "seeds" / "articles.jsonl"
_SECONDS = 3.0

# Each stage with the function that does it; none of them calls another.
STAGES: tuple[tuple[str, Any, str], ...] = (
    ("clean", cleaning, "clean"),
    ("spacing", spacing, "split_glued"),
    ("boilerplate", boilerplate.BoilerplateDetector, "find"),
    ("language", language, "detect"),
    ("words", tokens, "tokens"),
    ("recognise", find, "recognise"),
    ("match", matching, "matches"),
    ("match", matching, "regions"),
    ("link", linking, "names"),
    ("link", linking.Persons, "resolve"),
    ("topics", classifier, "classify"),
    ("quotes", quotes, "find"),
    ("dates", finder, "find"),
    ("dates", finder, "dateline"),
    ("sign", signature, "sign"),
    ("sign", signature, "content_digest"),
    ("terms", fingerprint, "terms"),
)


@click.command()
@click.option(
    "--texts", type=click.Path(path_type=Path, exists=True, file_okay=False), help="a folder of .txt articles"
)
@click.option("--runs", default=5, show_default=True, help="runs of three seconds each; the median counts")
def main(texts: Path | None, runs: int) -> None:
    """Measure and print."""
    start = time.perf_counter()
    warm_up(Settings())
    sys.stdout.write(f"models loaded in {time.perf_counter() - start:.2f} s\n")
    sets = {"seeds/": _articles([SEEDS])}
    if texts is not None:
        sets[f"{texts.name}/*.txt"] = _articles(sorted(texts.glob("*.txt")))
    for name, articles in sets.items():
        _measure(name, articles, runs)
    gc.collect()
    sys.stdout.write(f"memory of this process: {psutil.Process().memory_info().rss / 1e6:.0f} MB\n")
    articles = next(reversed(sets.values()))
    one, two = _in_processes(articles, 1), _in_processes(articles, 2)
    sys.stdout.write(f"two processes do {two / one:.2f} times what one does ({two:.0f} and {one:.0f} articles/s)\n")


def _articles(paths: list[Path]) -> list[RawArticle]:
    now = datetime(2026, 11, 6, 12, tzinfo=UTC)
    return [
        RawArticle(**item.article.model_dump(), id=str(number), received_at=now)
        for number, item in enumerate(read_articles(paths))
        if item.article is not None
    ]


def _measure(name: str, articles: list[RawArticle], runs: int) -> None:
    length = statistics.mean(len(article.text or article.html or "") for article in articles)
    cold = _cpu_per_article(articles, rounds=1)
    rounds = max(1, round(_SECONDS / (_cpu_per_article(articles, rounds=1) * len(articles))))
    whole = statistics.median(_cpu_per_article(articles, rounds) for _ in range(runs))
    sys.stdout.write(
        f"\n{name}: {len(articles)} articles of {length:.0f} characters\n"
        f"  {1 / whole:6.0f} articles a CPU-second ({whole * 1000:.2f} ms each; the first time {cold * 1000:.2f} ms)\n"
    )
    stages = [_stages(articles, rounds) for _ in range(runs)]
    total = 0.0
    for stage in stages[0]:
        cost = statistics.median(run[stage] for run in stages)
        total += cost
        sys.stdout.write(f"  {stage:<12} {cost * 1000:6.3f} ms  {cost / whole:5.1%}\n")
    sys.stdout.write(f"  {'sum':<12} {total * 1000:6.3f} ms  {total / whole:5.1%} of the whole\n")


def _cpu_per_article(articles: list[RawArticle], rounds: int) -> float:
    start = time.process_time()
    for _ in range(rounds):
        for article in articles:
            annotating.annotate(article).encode()
    return (time.process_time() - start) / rounds / len(articles)


def _stages(articles: list[RawArticle], rounds: int) -> dict[str, float]:
    """CPU seconds an article of each stage, measured inside whole runs."""
    spent = {stage: 0.0 for stage, _, _ in STAGES} | {"encode": 0.0}
    originals = [getattr(owner, name) for _, owner, name in STAGES]
    for (stage, owner, name), original in zip(STAGES, originals, strict=True):
        setattr(owner, name, _timed(stage, original, spent))
    try:
        for _ in range(rounds):
            for article in articles:
                annotated = annotating.annotate(article)
                start = time.process_time()
                annotated.encode()
                spent["encode"] += time.process_time() - start
    finally:
        for (_, owner, name), original in zip(STAGES, originals, strict=True):
            setattr(owner, name, original)
    return {stage: seconds / rounds / len(articles) for stage, seconds in spent.items()}


def _timed(stage: str, function: Callable[..., Any], spent: dict[str, float]) -> Callable[..., Any]:
    @wraps(function)
    def timed(*arguments: Any, **named: Any) -> Any:
        start = time.process_time()
        try:
            return function(*arguments, **named)
        finally:
            spent[stage] += time.process_time() - start

    return timed


def _in_processes(articles: list[RawArticle], count: int) -> float:
    """Articles a second of ``count`` processes at once, models loaded and words known."""
    context = multiprocessing.get_context("spawn")
    start, done = context.Barrier(count), context.Queue()
    workers = [context.Process(target=_work, args=(articles, start, done)) for _ in range(count)]
    for worker in workers:
        worker.start()
    rates = [done.get() for _ in workers]
    for worker in workers:
        worker.join()
    return float(sum(rates))


def _work(articles: list[RawArticle], start: Any, done: Any) -> None:
    for article in articles:
        annotating.annotate(article).encode()
    start.wait()
    began, number = time.perf_counter(), 0
    while time.perf_counter() - began < _SECONDS:
        annotating.annotate(articles[number % len(articles)]).encode()
        number += 1
    done.put(number / (time.perf_counter() - began))


if __name__ == "__main__":
    main()
