"""The commands ``khabar api``, ``khabar keys`` and ``khabar watch``."""

import asyncio
import contextlib
import os
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from khabar.filters import FILTERS
from services import settings as settings_module

_Command = TypeVar("_Command", bound=Callable[..., Any])


@click.command()
@click.option("--host", help="Address to listen on (127.0.0.1).")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on (8000); 0: any free port.")
def api(host: str | None, port: int | None) -> None:
    """The gateway: WebSocket, SSE, REST and the dashboard."""
    from api import server

    settings = settings_module.load(host=host, port=port)
    try:
        server.run(settings)
    except OSError as error:
        raise click.ClickException(f"cannot listen on {settings.host}:{settings.port}: {error}") from None


@click.group()
def keys() -> None:
    """API keys of the gateway."""


@keys.command("new")
@click.option("--name", default="key", show_default=True, help="Name of the key in the file of keys.")
@click.option(
    "--scope", multiple=True, type=click.Choice(["read", "write"]), help="What the key may do; default: both."
)
@click.option("--connections", type=click.IntRange(1), help="Maximum of concurrent streams.")
@click.option("--events", type=click.IntRange(1), help="Maximum of events a second.")
@click.option("--posts", type=click.IntRange(1), help="Maximum of pushes a minute.")
def new_key(name: str, scope: tuple[str, ...], **limits: int | None) -> None:
    """Print a new key, which is shown only once, and its entry for the file or the setting of keys."""
    from api.access import auth

    if len(name.split()) != 1 or "#" in name:
        raise click.BadParameter("must be one word without #", param_hint="--name")
    key = auth.new_key()
    scopes = [one for one in auth.SCOPES if not scope or one in scope]
    hashed = f"sha256:{auth.digest(key.encode()).hex()}"
    limited = [f"{limit}={number}" for limit, number in limits.items() if number is not None]
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
@click.option("--to", "url", help="URL of the gateway; default: that of the running khabar up.")
@_filter_options
@click.option("--cursor", help="Resume after this event.")
@click.option("--since", help="Start at this time, such as 2025-01-31T09:30:00Z.")
@click.option("--json", "as_json", is_flag=True, help="Print the envelopes, one JSON object a line.")
@click.option("--limit", type=click.IntRange(1), help="Stop after this many events.")
@click.option("--api-key", help="API key, if the gateway needs one (KHABAR_API_KEY).")
def watch(  # noqa: PLR0913 - one parameter an option
    *,
    url: str | None,
    cursor: str | None,
    since: str | None,
    as_json: bool,
    limit: int | None,
    api_key: str | None,
    **filters: str | tuple[str, ...] | None,
) -> None:
    """Print the live stream. Filters can be repeated or comma-separated; Ctrl-C ends it."""
    from api import watch as watching

    parameters: list[tuple[str, str]] = []
    for name, values in filters.items():
        parameters += [(name, one) for one in ([values] if isinstance(values, str) else values or ())]
    settings = settings_module.load()
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
            # The reader of the output has closed the pipe; nothing may be flushed into it at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
