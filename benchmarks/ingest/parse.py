"""Items a CPU-second of the feed parser, beside plain feedparser on the same documents.

*parser*: ``services.documents.feed_document`` from bytes to bytes, as its child process runs it. *feedparser*: only
``feedparser.parse``, whose result is dropped.
"""

import io
import json
import statistics
import time
from collections.abc import Callable
from functools import partial

import click
import feedparser

from benchmarks.ingest.documents import KINDS
from services.documents import feed_document

_HEAD = {
    "content_type": "application/xml",
    "url": "https://news.example/feed",
    "links": [],
    "max_entries": 5_000,
    "now": "2026-11-30T00:00:00+00:00",
}


@click.command(name="parse", help=__doc__)
@click.option("--items", default=100, show_default=True, help="Items of a document.")
@click.option("--seconds", default=2.0, show_default=True, help="Of each measurement.")
@click.option("--rounds", default=3, show_default=True, help="Turns, of which the median counts.")
def main(items: int, seconds: float, rounds: int) -> None:
    """Measure and print."""
    print("items a CPU-second")
    for kind, made in KINDS.items():
        for count in sorted({10, items}) if kind == "RSS, summaries" else (items,):
            document = made(count).document()
            request = json.dumps(_HEAD).encode() + b"\n" + document
            ways: dict[str, Callable[[], int]] = {
                "parser": partial(_parsed, request),
                "feedparser": partial(_parsed_plainly, document),
            }
            rates: dict[str, list[float]] = {name: [] for name in ways}
            for _ in range(rounds):
                for name, way in ways.items():
                    rates[name].append(_rate(way, count, seconds))
            ours, plain = (statistics.median(rates[name]) for name in ways)
            label = f"{kind}, {count} items, {len(document) / 1000:.0f} KB"
            print(f"{label:45} parser {ours:8,.0f}  feedparser {plain:8,.0f}  ratio {ours / plain:.2f}", flush=True)


def _parsed(request: bytes) -> int:
    return feed_document.read(request).count(b"\n")


def _parsed_plainly(document: bytes) -> int:
    return len(feedparser.parse(io.BytesIO(document)).entries)


def _rate(way: Callable[[], int], count: int, seconds: float) -> float:
    if way() != count:
        raise RuntimeError(f"{way()} items instead of {count}")
    began, done = time.process_time(), 0
    while (used := time.process_time() - began) < seconds:
        done += way()
    return done / used
