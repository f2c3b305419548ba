"""The ``khabar`` command: its own commands, and those of the other packages.

The packages ``ingest``, ``enrich`` and ``api`` register their commands as entry points of the group
``khabar.commands``, so that nothing here imports them and a command loads only what it needs.
"""

import asyncio
import json
import logging
import sys
from collections.abc import Coroutine, Iterator
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, TypeVar

import click

from services import options
from services import settings as settings_module
from services.connections import KafkaServers
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
@click.option(
    "--feeds", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="OPML, or feed URLs, one a line."
)
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
    from services import deadletters, terminal

    async def show_all() -> None:
        async for letter in deadletters.read(_kafka_servers(data_dir)):
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
                    "truncated": letter.truncated is not None,
                }
                click.echo(terminal.as_json(row))
            else:
                stage, cause = terminal.escaped(letter.stage), terminal.escaped(" ".join(letter.cause.split()))
                click.echo(f"{letter.number:>6}  {letter.time:%Y-%m-%d %H:%M:%S}  {stage[:9]:<9}  {cause[:100]}")

    _run(show_all())


@dead_letters.command()
@click.argument("number", type=int)
@options.data_dir
def show(number: int, data_dir: Path | None) -> None:
    """One dead letter in full: origin, cause, headers and value."""
    from services import deadletters, terminal

    async def show_one() -> bool:
        async for letter in deadletters.read(_kafka_servers(data_dir), {number}):
            for line in _described(letter):
                click.echo(terminal.escaped(line))
            click.echo("")
            click.echo(terminal.escaped((letter.value or b"").decode("utf-8", "backslashreplace"), lines=True))
            return True
        return False

    if not _run(show_one()):
        raise click.ClickException(f"there is no dead letter {number}")


def _described(letter: Any) -> Iterator[str]:
    """What is known of a dead letter besides its value, line by line."""
    yield f"number   {letter.number}"
    yield f"time     {letter.time.isoformat()}"
    yield f"stage    {letter.stage}"
    yield f"from     {letter.topic} partition {letter.partition} offset {letter.offset}"
    yield f"key      {(letter.key or b'').decode('utf-8', 'backslashreplace')}"
    yield f"cause    {letter.cause}"
    for name, value in letter.headers:
        yield f"header   {name}: {'(null)' if value is None else value.decode('utf-8', 'backslashreplace')}"
    if letter.truncated is not None:
        kept = len(letter.value or b"")
        yield f"value    the first {kept} of {letter.truncated.length} bytes, SHA-256 {letter.truncated.sha256}"


@dead_letters.command()
@click.argument("numbers", type=int, nargs=-1)
@click.option("--all", "every", is_flag=True, help="Retry all of them.")
@options.data_dir
def retry(numbers: tuple[int, ...], every: bool, data_dir: Path | None) -> None:
    """Send dead letters back to the topic where they failed.

    The exit status is 1 when one of them cannot be sent.
    """
    from services import deadletters, terminal

    if not numbers and not every:
        raise click.UsageError("name the numbers to retry, or --all")
    servers = _kafka_servers(data_dir)

    async def retry_all() -> tuple[int, int]:
        unknown = set(numbers) - (await deadletters.numbers(servers) if numbers else set())
        if unknown:
            raise click.ClickException(f"there is no dead letter {min(unknown)}")
        sent = failed = 0
        letters = deadletters.read(servers, None if every else numbers)
        async for letter, problem in deadletters.retry(servers, letters):
            sent += problem is None
            failed += problem is not None
            if problem is not None:
                click.echo(f"dead letter {letter.number}: {terminal.escaped(problem)}", err=True)
        return sent, failed

    sent, failed = _run(retry_all())
    click.echo(f"{sent} sent again")
    if failed:
        sys.exit(1)


def _kafka_servers(data_dir: Path | None) -> KafkaServers:
    return settings_module.load_running(data_dir).kafka_servers


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
