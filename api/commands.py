"""The commands ``khabar api``, ``khabar keys`` and ``khabar watch``."""

import asyncio
import contextlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import click

from khabar.filters import FILTERS
from services import options
from services import settings as settings_module

_Command = TypeVar("_Command", bound=Callable[..., Any])


@click.command()
@click.option("--host", help="Address to listen on (127.0.0.1).")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on (8000); 0: any free port.")
def api(host: str | None, port: int | None) -> None:
    """The gateway: streams, REST and dashboard."""
    from api import server

    settings = settings_module.load(host=host, port=port)
    try:
        server.run(settings)
    except OSError as error:
        raise click.ClickException(f"cannot listen on {settings.host}:{settings.port}: {error}") from None


@click.group(cls=options.Group)
def keys() -> None:
    """API keys of the gateway."""


@keys.command("new")
@click.option("--name", default="key", show_default=True, help="What the key is for; its name in the file of keys.")
@click.option("--scope", multiple=True, type=click.Choice(["read", "write"]), help="What it allows; by default both.")
@click.option("--connections", type=click.IntRange(1), help="Limit of concurrent streams.")
@click.option("--events", type=click.IntRange(1), help="Limit of events per second.")
@click.option("--posts", type=click.IntRange(1), help="Limit of pushes per minute.")
@click.option("--source", multiple=True, help="The only source whose articles it may push; repeatable.")
def new_key(name: str, scope: tuple[str, ...], source: tuple[str, ...], **limits: int | None) -> None:
    """Print a new key, which is shown only once, and the line to store for it."""
    from api.access import auth

    if len(name.split()) != 1 or "#" in name:
        raise click.BadParameter("must be one word", param_hint="--name")
    key = auth.new_key()
    scopes = [one for one in auth.SCOPES if not scope or one in scope]
    hashed = f"sha256:{auth.digest(key.encode()).hex()}"
    limited = [f"{limit}={number}" for limit, number in limits.items() if number is not None]
    if source:
        limited.append("sources=" + "|".join(quote(one, safe="") for one in source))
    click.echo(f"key (keep it, it is not shown again):       {key}")
    click.echo(f"line of the file KHABAR_API_KEYS_FILE names: {' '.join([name, hashed, ','.join(scopes), *limited])}")
    one_scope = scopes if len(scopes) == 1 else []
    click.echo(f"or part of KHABAR_API_KEYS:                  {':'.join([hashed, *one_scope, *limited])}")


def _filter_options(command: _Command) -> _Command:
    """Add an option for each filter of the stream."""
    for spec in reversed(FILTERS):
        kind = click.Choice(spec.values) if spec.values else None
        command = click.option(f"--{spec.name}", multiple=spec.multiple, type=kind, help=spec.description)(command)
    return command


@click.command()
@click.option("--to", "url", help="Address of the gateway; default: the running one.")
@_filter_options
@click.option("--cursor", help="Resume after this event.")
@click.option("--since", help="Start at this time, as in 2025-01-31T09:30:00Z.")
@click.option("--json", "as_json", is_flag=True, help="Print the envelopes as JSON, one per line.")
@click.option("--limit", type=click.IntRange(1), help="Stop after this many events.")
@click.option("--api-key", help="API key of the gateway (KHABAR_API_KEY).")
@options.data_dir
def watch(  # noqa: PLR0913 - one parameter an option
    *,
    url: str | None,
    cursor: str | None,
    since: str | None,
    as_json: bool,
    limit: int | None,
    api_key: str | None,
    data_dir: Path | None,
    **filters: str | tuple[str, ...] | None,
) -> None:
    """A live subscription in the terminal. Filters can be repeated or comma-separated; Ctrl-C ends it."""
    from api import watch as watching

    parameters: list[tuple[str, str]] = []
    for name, values in filters.items():
        parameters += [(name, one) for one in ([values] if isinstance(values, str) else values or ())]
    settings = settings_module.load_running(data_dir)
    watcher = watching.Watcher(
        url or settings.gateway_url,
        parameters,
        cursor=cursor,
        since=since,
        key=api_key or settings.api_key,
        show=watching.as_json if as_json else watching.as_text,
        limit=limit,
    )
    with contextlib.suppress(KeyboardInterrupt):
        try:
            asyncio.run(watcher.run())
        except watching.Refused as error:
            sys.exit(f"error: {error}")
        except BrokenPipeError:
            # The reader has closed the pipe. Python would fail again when it flushes stdout at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
