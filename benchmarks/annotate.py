"""The cost of annotate: ``python -m benchmarks.annotate [--texts DIR] [--runs N] [--seconds S]``.

Annotates the articles of seeds/ (and the .txt files of DIR, if given) repeatedly in one process. Prints for each set:
articles per CPU-second (median of several runs), the CPU time of each step, and the share of the total that the steps
account for. Then the time to load all models, the memory of the process, and the throughput of several processes
relative to one.

Word caches are warm, as in a worker that has run for a while; the first run, with cold caches, is printed too.
"""

import gc
import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
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
from enrich.fingerprint.terms import terms
from enrich.text import boilerplate, cleaning, language, spacing, tokens
from enrich.topics import classifier
from enrich.worker import warm_up
from services.documents.files import read_articles
from services.events import RawArticle
from services.settings import Settings

SEEDS = Path(__file__).parent.parent / "seeds" / "articles.jsonl"

# Each step with a function that does it, and the module or class on which annotate looks that function up. None of them
# calls another.
STEPS: tuple[tuple[str, Any, Callable[..., Any]], ...] = (
    ("clean", cleaning, cleaning.clean),
    ("spacing", spacing, spacing.split_glued),
    ("boilerplate", boilerplate.BoilerplateDetector, boilerplate.BoilerplateDetector.find),
    ("language", language, language.detect),
    ("words", tokens, tokens.tokens),
    ("recognise", find, find.recognise),
    ("match", matching, matching.matches),
    ("match", matching, matching.regions),
    ("link", linking, linking.names),
    ("link", linking.Persons, linking.Persons.resolve),
    ("topics", classifier, classifier.classify),
    ("quotes", quotes, quotes.find),
    ("dates", finder, finder.find),
    ("dates", finder, finder.dateline),
    ("sign", signature, signature.sign),
    ("sign", signature, signature.content_digest),
    ("terms", fingerprint, terms),
)


@click.command()
@click.option(
    "--texts", type=click.Path(path_type=Path, exists=True, file_okay=False), help="a folder of .txt articles"
)
@click.option("--runs", default=5, show_default=True, help="runs; the median counts")
@click.option("--seconds", default=3.0, show_default=True, help="CPU seconds of each run")
@click.option("--processes", default=2, show_default=True, help="processes to compare with one")
def main(texts: Path | None, runs: int, seconds: float, processes: int) -> None:
    """Measure and print."""
    start = time.perf_counter()
    warm_up(Settings())
    sys.stdout.write(f"models loaded in {time.perf_counter() - start:.2f} s\n")
    sets = {"seeds/": _articles([SEEDS])}
    if texts is not None:
        sets[f"{texts.name}/*.txt"] = _articles(sorted(texts.glob("*.txt")))
    for name, articles in sets.items():
        _measure(name, articles, runs, seconds)
    gc.collect()
    sys.stdout.write(f"memory of this process: {psutil.Process().memory_info().rss / 1e6:.0f} MB\n")
    articles = next(reversed(sets.values()))
    one, several = _rate(articles, seconds), _in_processes(articles, processes, seconds)
    sys.stdout.write(
        f"{processes} processes: {several / one:.2f} times the throughput of one "
        f"({several:.0f} and {one:.0f} articles/s)\n"
    )


def _articles(paths: list[Path]) -> list[RawArticle]:
    now = datetime(2026, 11, 6, 12, tzinfo=UTC)
    return [
        RawArticle(**item.article.model_dump(), id=str(number), received_at=now)
        for number, item in enumerate(read_articles(paths))
        if item.article is not None
    ]


def _measure(name: str, articles: list[RawArticle], runs: int, seconds: float) -> None:
    length = statistics.mean(len(article.text or article.html or "") for article in articles)
    cold = _cpu_per_article(articles, rounds=1)
    rounds = max(1, round(seconds / (_cpu_per_article(articles, rounds=1) * len(articles))))
    whole = statistics.median(_cpu_per_article(articles, rounds) for _ in range(runs))
    sys.stdout.write(
        f"\n{name}: {len(articles)} articles of {length:.0f} characters\n"
        f"  {1 / whole:6.0f} articles per CPU-second ({whole * 1000:.2f} ms each; first run {cold * 1000:.2f} ms)\n"
    )
    steps = [_steps(articles, rounds) for _ in range(runs)]
    total = 0.0
    for step in steps[0]:
        cost = statistics.median(run[step] for run in steps)
        total += cost
        sys.stdout.write(f"  {step:<12} {cost * 1000:6.3f} ms  {cost / whole:5.1%}\n")
    sys.stdout.write(f"  {'sum':<12} {total * 1000:6.3f} ms  {total / whole:5.1%} of the total\n")


def _cpu_per_article(articles: list[RawArticle], rounds: int) -> float:
    start = time.process_time()
    for _ in range(rounds):
        for article in articles:
            annotating.annotate(article).encode()
    return (time.process_time() - start) / rounds / len(articles)


def _steps(articles: list[RawArticle], rounds: int) -> dict[str, float]:
    """CPU seconds per article of each step, measured inside whole runs.

    Raises ``RuntimeError`` if a function of ``STEPS`` was not called: its time would be missing.
    """
    spent = {step: 0.0 for step, _, _ in STEPS} | {"encode": 0.0}
    called: set[Callable[..., Any]] = set()
    for step, owner, function in STEPS:
        setattr(owner, function.__name__, _timed(step, function, spent, called))
    try:
        for _ in range(rounds):
            for article in articles:
                annotated = annotating.annotate(article)
                start = time.process_time()
                annotated.encode()
                spent["encode"] += time.process_time() - start
    finally:
        for _, owner, function in STEPS:
            setattr(owner, function.__name__, function)
    missing = [f"{function.__module__}.{function.__qualname__}" for _, _, function in STEPS if function not in called]
    if missing:
        raise RuntimeError(f"not called by annotate: {', '.join(missing)}")
    return {step: seconds / rounds / len(articles) for step, seconds in spent.items()}


def _timed(
    step: str, function: Callable[..., Any], spent: dict[str, float], called: set[Callable[..., Any]]
) -> Callable[..., Any]:
    @wraps(function)
    def timed(*arguments: Any, **named: Any) -> Any:
        called.add(function)
        start = time.process_time()
        try:
            return function(*arguments, **named)
        finally:
            spent[step] += time.process_time() - start

    return timed


def _in_processes(articles: list[RawArticle], count: int, seconds: float) -> float:
    """Articles per second of ``count`` processes at once, with models loaded and caches warm."""
    context = multiprocessing.get_context("spawn")
    # Not Process and Queue: if a worker died, this process would wait forever.
    with ProcessPoolExecutor(count, context, initializer=_set_start, initargs=(context.Barrier(count),)) as pool:
        rates = [pool.submit(_work, articles, seconds) for _ in range(count)]
        return sum(rate.result() for rate in rates)


def _set_start(barrier: Any) -> None:
    """Let the tasks of this worker process start together with those of the others."""
    globals()["_start"] = barrier


def _work(articles: list[RawArticle], seconds: float) -> float:
    for article in articles:
        annotating.annotate(article).encode()
    globals()["_start"].wait()
    return _rate(articles, seconds)


def _rate(articles: list[RawArticle], seconds: float) -> float:
    """Articles per second of this process."""
    began, number = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        annotating.annotate(articles[number % len(articles)]).encode()
        number += 1
    return number / (time.perf_counter() - began)


if __name__ == "__main__":
    main()
