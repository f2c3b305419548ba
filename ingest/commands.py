"""The commands ``khabar ingest``, ``khabar replay`` and ``khabar generate``."""

import asyncio
import math
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from services import options
from services import settings as settings_module


class _Pace(click.FloatRange):
    """A finite number above 0. (click takes NaN to be within any range.)"""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """As ``click.ParamType.convert``."""
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


_target_option = click.option(
    "--to",
    "target",
    help="[http(s)://]HOST:PORT of a gateway, or kafka://HOST:PORT[,HOST:PORT].",
)
_key_option = click.option("--api-key", help="API key of the gateway (KHABAR_API_KEY).")


@click.group(cls=options.Group, invoke_without_command=True)
@click.pass_context
def ingest(context: click.Context) -> None:
    """The ingest service: pushes over HTTP, and feeds."""
    if context.invoked_subcommand is not None:
        return
    import uvloop

    from ingest import service

    settings = settings_module.load()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(service.run(settings))


@ingest.command()
@click.argument("directory", type=click.Path(path_type=Path, exists=True, file_okay=False), metavar="DIR")
@click.option("--once", is_flag=True, help="Send what is there, then exit; status 1 when an article was rejected.")
@_target_option
@_key_option
@options.data_dir
def watch(directory: Path, once: bool, target: str | None, api_key: str | None, data_dir: Path | None) -> None:
    """Send the files that appear in a directory.

    Files are read as by khabar replay, once they are complete, and then moved to DIR/done. Files of which an article
    was rejected go to DIR/failed, with a file NAME.error.txt that has place and cause of each. Hidden files and names
    such as .part and .tmp are left alone. SIGTERM and Ctrl-C end it; a file in progress is sent again next time.
    """
    from ingest import replay as replaying
    from ingest import watch as watching
    from services import http_server, telemetry

    settings = settings_module.load_running(data_dir)
    telemetry.configure(settings, "watch")
    to = target or settings.gateway_url
    plan = replaying.Plan(
        kafka_access=settings.kafka_servers.access(),
        paths=(),
        target=to,
        api_key=api_key or settings.key_for(to),
        max_wait=replaying.MAX_WAIT if once else math.inf,
    )
    watcher = watching.Watcher(directory, plan)

    async def run() -> None:
        stop = asyncio.Event()
        http_server.on_stop_signal(stop.set)
        await watcher.run(stop, once=once)

    try:
        asyncio.run(run())
    except replaying.TargetError as error:
        raise click.ClickException(str(error)) from error
    if once and watcher.failed:
        sys.exit(1)


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PATH...")
@_target_option
@click.option("--rate", type=_Pace(0, min_open=True), help="Articles a second.")
@click.option("--speed", type=_Pace(0, min_open=True), help="Original timing, N times as fast.")
@click.option("--unpaced", is_flag=True, help="As fast as possible (the default).")
@click.option("--repeat", type=click.IntRange(0), default=1, show_default=True, help="Passes; 0: without end.")
@click.option("--limit", type=click.IntRange(1), help="Stop after N articles.")
@click.option("--rebase", is_flag=True, help="Shift dates so that the newest article of each pass is published now.")
@click.option("--report", type=click.Path(path_type=Path, dir_okay=False), help="Write the result here as JSON.")
@_key_option
@options.input_format
@options.data_dir
def replay(  # noqa: PLR0913, PLR0917 - one parameter an option
    paths: tuple[Path, ...],
    target: str | None,
    rate: float | None,
    speed: float | None,
    unpaced: bool,
    repeat: int,
    limit: int | None,
    rebase: bool,
    report: Path | None,
    api_key: str | None,
    input_format: Any,
    data_dir: Path | None,
) -> None:
    """Send articles from files to a running Khabar.

    Without --to they go to the gateway of the running khabar up. Reads .jsonl, .json, .txt, .html, feeds (.xml, .rss,
    .atom), .warc, all of them also with .gz or .zst; directories; and - for stdin. The exit status is 1 when an
    article was lost or rejected.
    """
    from ingest import replay as replaying
    from services.documents.files import FilesError

    if sum((rate is not None, speed is not None, unpaced)) > 1:
        raise click.UsageError("choose one of --rate, --speed and --unpaced")
    if Path("-") in paths and (repeat != 1 or rebase):
        raise click.UsageError("stdin (-) can be read once only: without --repeat and --rebase")
    if report is not None and not report.absolute().parent.is_dir():
        raise click.UsageError(f"--report: there is no directory {report.parent}")
    settings = settings_module.load_running(data_dir)
    to = target or settings.gateway_url
    plan = replaying.Plan(
        kafka_access=settings.kafka_servers.access(),
        paths=paths,
        target=to,
        rate=rate,
        speed=speed,
        repeat=repeat,
        limit=limit,
        rebase=rebase,
        input_format=input_format,
        api_key=api_key or settings.key_for(to),
    )
    try:
        outcome = asyncio.run(
            replaying.run(plan, progress=sys.stderr.isatty(), say=lambda line: click.echo(line, err=True))
        )
    except (FilesError, replaying.TargetError) as error:
        raise click.ClickException(str(error)) from error
    for line in outcome.complaints:
        click.echo(line, err=True)
    click.echo(outcome.summary(), err=True)
    if report is not None:
        try:
            report.write_text(outcome.report(), encoding="utf-8")
        except OSError as error:
            raise click.ClickException(f"--report: {report} cannot be written: {error.strerror or error}") from error
    sys.exit(outcome.status)


class _Moment(click.ParamType):
    """A date and time with a UTC offset, as in RFC 3339."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """As ``click.ParamType.convert``."""
        try:
            moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
        except ValueError:
            moment = None
        if moment is None or moment.utcoffset() is None or not 1000 < moment.year < 8000:
            self.fail(f"{value} is not a time such as 2026-11-02T00:00:00Z or 2026-11-02T06:30:00+03:00.", param, ctx)
        return moment


@click.command()
@click.option("--articles", type=click.IntRange(1), required=True, help="Number of articles.")
@click.option("--out", required=True, metavar="FILE", help="A .jsonl, .jsonl.gz or .jsonl.zst file; - for stdout.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Another seed gives another stream.")
@click.option("--truth", type=click.Path(path_type=Path, dir_okay=False), help="File of the truth (FILE.truth.jsonl).")
@click.option("--languages", default="ar,en,fr,ru,es,de", show_default=True, help="A subset of these.")
@click.option("--days", type=_Pace(0, 3_650, min_open=True), default=3.0, show_default=True, help="Days covered.")
@click.option(
    "--start", type=_Moment(), default="2026-11-02T00:00:00+00:00", show_default=True, help="Time of the first."
)
@click.option("--bursts", type=click.IntRange(0), default=0, help="Number of entities with a burst of articles.")
def generate(  # noqa: PLR0913, PLR0917 - one parameter an option
    articles: int,
    out: str,
    seed: int,
    truth: Path | None,
    languages: str,
    days: float,
    start: datetime,
    bursts: int,
) -> None:
    """A synthetic stream for tests, with its truth.

    The same options give the same bytes. FILE.truth.jsonl has language, story and entities of each article, and the
    article of which it is a near-duplicate; with --bursts, FILE.bursts.jsonl has the time and entity of each burst.
    Existing files are overwritten. With --out - the truth is written only with --truth.
    """
    from ingest.generator import Stream, output

    path = None if out == "-" else Path(out)
    if path is not None and not path.name.lower().endswith(output.SUFFIXES):
        raise click.UsageError(f"--out: the name must end in {', '.join(output.SUFFIXES)}, or be - for stdout")
    if path is None and bursts and truth is None:
        raise click.UsageError("--bursts: with --out - give --truth too: the bursts are written next to it")
    if path is not None:
        truth = truth or Path(f"{path}.truth.jsonl")
    if path is not None and path == truth:
        raise click.UsageError("--truth: name another file than --out")
    bursts_file = Path(f"{path or truth}.bursts.jsonl") if bursts else None
    for option, file in (("--out", path), ("--truth", truth)):
        if file is not None and not file.absolute().parent.is_dir():
            raise click.UsageError(f"{option}: there is no directory {file.parent}")
    try:
        stream = Stream(
            articles,
            seed,
            languages=[code.strip() for code in languages.split(",")],
            days=days,
            start=start,
            bursts=bursts,
        )
    except ValueError as error:
        raise click.UsageError(f"--{error}") from error
    try:
        output.write(stream, path, truth, bursts_file, progress=path is not None and sys.stderr.isatty())
    except BrokenPipeError:
        raise
    except OSError as error:
        raise click.ClickException(f"{error.filename or out} cannot be written: {error.strerror or error}") from error
