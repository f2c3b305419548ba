"""``khabar enrich`` and ``khabar annotate``."""

import sys
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path

import click

from services import settings as settings_module

# How group recognises an article again is no concern of a reader.
_INTERNAL = {"sequence", "fingerprint", "signature", "terms"}


@click.command()
def enrich() -> None:
    """One enrich worker (annotate, group, aggregate)."""
    from enrich import service  # noqa: PLC0415 - Faust takes half a second to load

    service.run(settings_module.load())


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
def annotate(paths: tuple[str, ...]) -> None:
    """The enrichment of articles without Kafka: one JSON article a line on stdout, in input order.

    PATH is a file as for replay, a directory, or - for JSONL on stdin. What cannot be annotated is reported on
    stderr with its place, and makes the exit status 1.
    """
    from enrich import recognition  # noqa: PLC0415
    from enrich.annotate import annotate as annotated  # noqa: PLC0415
    from enrich.boilerplate import Boilerplate  # noqa: PLC0415
    from services.events import RawArticle  # noqa: PLC0415
    from services.files import FilesError, read_articles, read_lines  # noqa: PLC0415
    from services.identity import article_id  # noqa: PLC0415

    failed = False
    settings = settings_module.load()
    recognizer, memory = recognition.load(settings.ner, settings.ner_model), Boilerplate()
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
                sys.stdout.write(
                    annotated(raw, recognizer=recognizer, memory=memory).model_dump_json(exclude=_INTERNAL) + "\n"
                )
            except ValueError as error:
                problem = str(error)
        if problem is not None:
            failed = True
            click.echo(f"{item.place}: {problem}", err=True)
    if failed:
        sys.exit(1)
