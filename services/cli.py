"""The ``khabar`` command: its own commands, and those of the other packages.

The packages ``ingest``, ``enrich`` and ``api`` register their commands as entry points of the group
``khabar.commands``, so that nothing here imports them and a command loads only what it needs.
"""

import asyncio
import json
import logging
import sys
from collections.abc import Coroutine
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, TypeVar

import click

from services import options
from services import settings as settings_module
from services.errors import OperatorError
from services.settings import PREFIX, Settings

_T = TypeVar("_T")


_COMPLETION = [
    ("bash", 'eval "$(_KHABAR_COMPLETE=bash_source khabar)" in ~/.bashrc'),
    ("zsh", 'eval "$(_KHABAR_COMPLETE=zsh_source khabar)" in ~/.zshrc'),
    ("fish", "_KHABAR_COMPLETE=fish_source khabar | source, in ~/.config/fish/completions/khabar.fish"),
]


class _Commands(options.Group):
    """The commands defined here, and those of the other packages, loaded on use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*super().list_commands(ctx), *sorted(_registered())]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        own = super().get_command(ctx, cmd_name)
        if own is not None:
            return own
        registered = _registered().get(cmd_name)
        return None if registered is None else registered.load()

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Shell completion"):
            formatter.write_dl(_COMPLETION)
        with formatter.section("Settings (environment or .env)"):
            formatter.write_dl(
                [(PREFIX + name.upper(), f.description or "") for name, f in Settings.model_fields.items()]
            )


def _registered() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group="khabar.commands")}


@click.group(cls=_Commands, context_settings=options.CONTEXT_SETTINGS)
@click.version_option(package_name="khabar")
def cli() -> None:
    """Khabar takes news articles, enriches and groups them, and publishes them as live events."""


@cli.command()
@click.option("--port", type=click.IntRange(0, 65535), help="Port of the gateway (8000).")
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Enrich workers.")
@click.option(
    "--data-dir", type=click.Path(path_type=Path, file_okay=False), help="Directory of data and logs (.khabar)."
)
@click.option("--feeds", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="Feed URLs, one a line.")
@click.option("--demo", is_flag=True, help="Replay seeds/ in a loop, by default with a temporary data directory.")
def up(port: int | None, workers: int, data_dir: Path | None, feeds: Path | None, demo: bool) -> None:
    """Run everything in this terminal; Ctrl-C stops it."""
    from services import supervisor, telemetry

    settings = settings_module.load(port=port, data_dir=data_dir, feeds=feeds)
    telemetry.configure(settings, "up")
    _run(supervisor.run(settings, workers=workers, demo=demo, temporary=demo and data_dir is None))


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@options.data_dir
def status(as_json: bool, data_dir: Path | None) -> None:
    """What runs, lag, rates, dead letters.

    The exit status is 1 when something is down.
    """
    from services import status as status_module

    found = _run(status_module.collect(settings_module.load_running(data_dir)))
    click.echo(json.dumps(found, ensure_ascii=False) if as_json else status_module.render(found))
    if not found["healthy"]:
        sys.exit(1)


@cli.group("dead-letters", cls=options.Group)
def dead_letters() -> None:
    """Records that a stage could not process: list, show, retry."""


@dead_letters.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@options.data_dir
def list_letters(as_json: bool, data_dir: Path | None) -> None:
    """All dead letters that were not retried yet, oldest first."""
    for letter in _letters(data_dir):
        if as_json:
            row = {
                "number": letter.number,
                "time": letter.time.isoformat(),
                "stage": letter.stage,
                "cause": letter.cause,
                "topic": letter.topic,
                "partition": letter.partition,
                "offset": letter.offset,
                "key": letter.key.decode("utf-8", "replace") if letter.key else None,
            }
            click.echo(json.dumps(row, ensure_ascii=False))
        else:
            cause = letter.cause.splitlines()[0] if letter.cause else ""
            click.echo(f"{letter.number:>6}  {letter.time:%Y-%m-%d %H:%M:%S}  {letter.stage:<9}  {cause[:100]}")


@dead_letters.command()
@click.argument("number", type=int)
@options.data_dir
def show(number: int, data_dir: Path | None) -> None:
    """One dead letter in full: origin, cause, headers and value."""
    for letter in _letters(data_dir):
        if letter.number == number:
            click.echo(f"number   {letter.number}\ntime     {letter.time.isoformat()}\nstage    {letter.stage}")
            click.echo(f"from     {letter.topic} partition {letter.partition} offset {letter.offset}")
            click.echo(f"key      {(letter.key or b'').decode('utf-8', 'replace')}\ncause    {letter.cause}")
            for name, value in letter.headers:
                click.echo(f"header   {name}: {value.decode('utf-8', 'replace')}")
            click.echo("")
            click.echo((letter.value or b"").decode("utf-8", "backslashreplace"))
            return
    raise click.ClickException(f"there is no dead letter {number}")


@dead_letters.command()
@click.argument("numbers", type=int, nargs=-1)
@click.option("--all", "every", is_flag=True, help="Retry all of them.")
@options.data_dir
def retry(numbers: tuple[int, ...], every: bool, data_dir: Path | None) -> None:
    """Send dead letters back to the topic where they failed."""
    from services import deadletters

    if not numbers and not every:
        raise click.UsageError("name the numbers to retry, or --all")
    letters = {letter.number: letter for letter in _letters(data_dir)}
    unknown = [number for number in numbers if number not in letters]
    if unknown:
        raise click.ClickException(f"there is no dead letter {unknown[0]}")
    chosen = list(letters.values()) if every else [letters[number] for number in dict.fromkeys(numbers)]
    servers = settings_module.load_running(data_dir).kafka_servers
    click.echo(f"{_run(deadletters.retry(servers, chosen))} sent again")


def _letters(data_dir: Path | None) -> list[Any]:
    from services import deadletters

    servers = settings_module.load_running(data_dir).kafka_servers

    async def collect() -> list[deadletters.DeadLetter]:
        return [letter async for letter in deadletters.read(servers)]

    return _run(collect())


def _run(coroutine: Coroutine[Any, Any, _T]) -> _T:
    return asyncio.run(coroutine)


def main() -> None:
    """Entry point. An error that an operator can resolve is one sentence on standard error, never a traceback."""
    from aiokafka.errors import KafkaConnectionError, KafkaError

    # The Kafka client logs every failed attempt to connect; the exception that follows is reported below.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    try:
        cli(standalone_mode=True)
    except OperatorError as error:
        sys.exit(f"error: {error}")
    except KafkaConnectionError:
        sys.exit(
            "error: no Khabar is running here: Kafka does not answer; start it with khabar up, "
            "name its data directory with --data-dir, or check KHABAR_KAFKA"
        )
    except KafkaError as error:
        sys.exit(f"error: Kafka failed: {error}")
