"""The commands ``khabar enrich``, ``khabar annotate``, ``khabar explain`` and ``khabar rebuild``."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import click

from services import options
from services import settings as settings_module

# Fields that only the stage group uses.
_INTERNAL = {"sequence", "fingerprint", "signature", "sketch", "shingles", "shared", "terms"}


def _stages(_context: click.Context, _parameter: click.Parameter, value: str | None) -> tuple[str, ...]:
    """The names in a comma-separated list of stages; all when there is none."""
    from enrich.stage import STAGES

    if value is None:
        return STAGES
    names = [name.strip() for name in value.split(",")]
    for name in names:
        if name not in STAGES:
            raise click.BadParameter(f"there is no stage {name!r}; the stages are {', '.join(STAGES)}")
    return tuple(name for name in STAGES if name in names)


@click.command()
@click.option(
    "--stages",
    callback=_stages,
    metavar="NAME[,NAME]",
    help="The stages that this worker runs, of annotate, group and aggregate. Default: all.",
)
def enrich(stages: tuple[str, ...]) -> None:
    """Run one enrich worker (annotate, group, aggregate)."""
    # Group multiplies small matrices, which threads make slower; to be set before numpy is loaded.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from enrich import worker  # Faust takes half a second to load

    worker.run(settings_module.load(), stages)


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PATH...")
@options.input_format
def annotate(paths: tuple[Path, ...], input_format: Any) -> None:
    """Enrich articles without Kafka.

    Prints one JSON article per line, in input order.

    PATH is a file as for replay, a directory, or - for stdin. Articles that cannot be annotated are reported
    on stderr with file and line, and the exit status is then 1.
    """
    from enrich.annotate import annotate as annotated
    from enrich.entities import recognition
    from enrich.fingerprint import embedding
    from enrich.text.boilerplate import BoilerplateDetector
    from services.clock import utc_now
    from services.documents.files import FilesError, read_articles
    from services.events import RawArticle
    from services.identity import article_id

    failed = False
    settings = settings_module.load()
    recognizer, boilerplate = recognition.load(settings.ner, settings.ner_model), BoilerplateDetector()
    encoder = embedding.load(settings.vectors)
    try:
        items = read_articles(paths, stdin=input_format)
    except FilesError as error:
        raise click.ClickException(str(error)) from None
    for item in items:
        problem = item.error
        if item.article is not None:
            raw = RawArticle(**item.article.model_dump(), id=article_id(item.article), received_at=utc_now())
            try:
                article = annotated(raw, recognizer=recognizer, boilerplate=boilerplate, encoder=encoder)
                sys.stdout.write(article.model_dump_json(exclude=_INTERNAL) + "\n")
            except ValueError as error:
                problem = str(error)
        if item.note is not None:
            click.echo(f"{item.place}: {item.note}", err=True)
        if problem is not None:
            failed = True
            click.echo(f"{item.place}: {problem}", err=True)
    if failed:
        sys.exit(1)


@click.command()
@click.argument("one", metavar="ID")
@click.argument("other", metavar="ID")
@options.data_dir
def explain(one: str, other: str, data_dir: Path | None) -> None:
    """Why two articles are near-duplicates or not.

    Also why they are in one story or not.

    Restores the state of the stage group from Kafka, as a worker that takes over does, and prints the figures that
    decide.
    """
    from enrich.group import explain as explaining

    async def lines() -> list[str]:
        return await explaining.explain(settings_module.load_running(data_dir), one, other)

    for line in asyncio.run(lines()):
        click.echo(line)


@click.group(cls=options.Group)
def rebuild() -> None:
    """Recompute data from Kafka."""


@rebuild.command()
@options.data_dir
def aggregates(data_dir: Path | None) -> None:
    """Drop all aggregates in the store and count everything that Kafka retains (by default 7 days).

    Not needed after the store was lost: workers detect that and do the same. Articles and subscribers do not wait.
    """
    from enrich.aggregate import rebuild as rebuilding

    last = -1

    def progress(reached: int, goal: int) -> None:
        nonlocal last
        percent = 100 * reached // max(1, goal)
        if percent != last and sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
            last = percent
            click.echo(f"\r{percent:3} % of {goal + 1:,} records", nl=percent == 100, err=True)

    state = asyncio.run(rebuilding.rebuild(settings_module.load_running(data_dir), progress))
    since = state.complete.since
    click.echo(f"numbers are complete since {'the beginning' if since is None else since.isoformat()}")
