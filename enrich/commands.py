"""``khabar enrich``, ``khabar annotate``, ``khabar explain`` and ``khabar rebuild``."""

import asyncio
import os
import sys
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path

import click

from services import settings as settings_module

# How group recognises an article again is no concern of a reader.
_INTERNAL = {"sequence", "fingerprint", "signature", "sketch", "shingles", "shared", "terms"}


@click.command()
def enrich() -> None:
    """One enrich worker (annotate, group, aggregate)."""
    # Group multiplies small matrices, which threads make slower; to be set before numpy is loaded.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from enrich import worker  # Faust takes half a second to load

    worker.run(settings_module.load())


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
def annotate(paths: tuple[str, ...]) -> None:
    """The enrichment of articles without Kafka: one JSON article a line on stdout, in input order.

    PATH is a file as for replay, a directory, or - for JSONL on stdin. What cannot be annotated is reported on
    stderr with its place, and makes the exit status 1.
    """
    from enrich.annotate import annotate as annotated
    from enrich.entities import recognition
    from enrich.fingerprint import embedding
    from enrich.text.boilerplate import Boilerplate
    from services.events import RawArticle
    from services.files import FilesError, read_articles, read_lines
    from services.identity import article_id

    failed = False
    settings = settings_module.load()
    recognizer, memory = recognition.load(settings.ner, settings.ner_model), Boilerplate()
    encoder = embedding.load(settings.vectors)
    try:
        files = [Path(path) for path in paths if path != "-"]
        items = chain(read_lines(sys.stdin.buffer, "-") if "-" in paths else (), read_articles(files))
    except FilesError as error:
        raise click.ClickException(str(error)) from None
    for item in items:
        problem = item.error
        if item.article is not None:
            raw = RawArticle(**item.article.model_dump(), id=article_id(item.article), received_at=datetime.now(UTC))
            try:
                article = annotated(raw, recognizer=recognizer, memory=memory, encoder=encoder)
                sys.stdout.write(article.model_dump_json(exclude=_INTERNAL) + "\n")
            except ValueError as error:
                problem = str(error)
        if problem is not None:
            failed = True
            click.echo(f"{item.place}: {problem}", err=True)
    if failed:
        sys.exit(1)


@click.command()
@click.argument("one", metavar="ID")
@click.argument("other", metavar="ID")
@click.option("--data-dir", type=click.Path(path_type=Path, file_okay=False), help="That of the running khabar up.")
def explain(one: str, other: str, data_dir: Path | None) -> None:
    """Why two articles are, or are not, the same, or the same story.

    Reads group's memory back from Kafka, as a worker does that takes over, and prints the figures it decides by.
    """
    from enrich.group import explain as explaining

    async def told() -> list[str]:
        return await explaining.explain(settings_module.load(data_dir=data_dir), one, other)

    for line in asyncio.run(told()):
        click.echo(line)


@click.group()
def rebuild() -> None:
    """Make anew what can be made from Kafka."""


@rebuild.command()
@click.option("--data-dir", type=click.Path(path_type=Path, file_okay=False), help="That of the running khabar up.")
def aggregates(data_dir: Path | None) -> None:
    """Forget all numbers in the store and count everything that Kafka keeps (7 days, unless it was set otherwise).

    Not needed after a store was lost: workers notice that and do the same. Articles and subscribers are not held up.
    """
    from enrich.aggregate import rebuild as rebuilding

    last = [-1]

    def progress(reached: int, goal: int) -> None:
        percent = 100 * reached // max(1, goal)
        if percent != last[0]:
            last[0] = percent
            click.echo(f"\r{percent:3} % of {goal + 1:,} records", nl=False)

    state = asyncio.run(rebuilding.rebuild(settings_module.load(data_dir=data_dir), progress))
    since = state.complete.since
    click.echo(f"\rnumbers are complete since {'the beginning' if since is None else since.isoformat()}     ")
