"""``khabar watch``: prints the stream of a gateway and resumes after interruptions."""

from collections.abc import Callable, Sequence
from typing import Any

import click

from khabar import Refused, TooOld
from khabar.stream import Stream
from services import terminal

__all__ = ["Refused", "Watcher", "as_json", "as_text"]

_ENTITIES = 8
_FIRST_WORDS = 16
_PHASES = {"start": "begins to rise", "grow": "rises further", "end": "rises no more"}


def as_json(envelope: dict[str, Any]) -> str:
    """The envelope as one line."""
    return terminal.as_json(envelope)


def as_text(envelope: dict[str, Any]) -> str:
    """One line with the event, and one with the names in it."""
    data = envelope["data"]
    time = str(envelope["time"])[11:19]
    if envelope["type"] == "article":
        first_words = " ".join(str(data.get("text") or "").split()[:_FIRST_WORDS])
        mark = " (duplicate)" if data.get("duplicate_of") else ""
        about = f"{data.get('language')}  {terminal.isolated(data.get('source') or 'unknown')}{mark}  "
        title = data.get("title") or first_words
    elif envelope["type"] == "story":
        about = f"{','.join(data.get('languages') or [])}  {_story(data)}  "
        title = data.get("title") or ""
    else:
        about = f"{_trend(data)}  "
        title = data.get("name") or ""
    lines = [f"{time}  {terminal.plain(about)}{terminal.isolated(title)}"]
    names = dict.fromkeys(entity["name"] for entity in data.get("entities") or [])
    if names:
        lines.append("          " + " · ".join(terminal.isolated(name) for name in list(names)[:_ENTITIES]))
    return "\n".join(lines)


def _story(data: dict[str, Any]) -> str:
    if data.get("merged_into"):
        return f"story {data['id']} merged into {data['merged_into']}"
    if data.get("split_from"):
        return f"story {data['id']} of {data.get('size')} split from {data['split_from']}"
    return f"story of {data.get('size')}"


def _trend(data: dict[str, Any]) -> str:
    phase = _PHASES.get(str(data.get("phase")), "trend")
    expected = data.get("expected")
    instead = f" instead of {expected:.1f}" if isinstance(expected, int | float) else ""
    return f"{phase}: {data.get('kind')}, {data.get('count')} in {data.get('window')}{instead}"


class Watcher:
    """Prints the events of one subscription and resumes after the last one when the connection breaks."""

    def __init__(  # noqa: PLR0913 - one parameter an option
        self,
        url: str,
        parameters: Sequence[tuple[str, str]],
        *,
        cursor: str | None = None,
        since: str | None = None,
        key: str | None = None,
        show: Callable[[dict[str, Any]], str] = as_text,
        limit: int | None = None,
    ) -> None:
        self._stream = Stream(url, parameters, cursor=cursor, since=since, api_key=key, report=_report)
        self._show = show
        self._limit = limit

    async def run(self) -> None:
        """Print until the limit is reached. Raises ``Refused``."""
        try:
            async with self._stream as stream:
                # After days of watching, a gap is better than the end of the subscription.
                stream.on_gap = "skip"
                shown = 0
                async for envelope in stream:
                    click.echo(self._show(envelope))
                    shown += 1
                    if shown == self._limit:
                        return
        except TooOld as error:
            raise Refused("cursor_too_old", f"{error} (--cursor {error.oldest})") from None
        except Refused as error:
            if error.code == "unauthorized":
                raise Refused(error.code, f"{error}: give --api-key or set KHABAR_API_KEY") from None
            raise


def _report(event: str, *, url: str, reason: str = "") -> None:
    if event == "stream_interrupted":
        click.echo(f"{url}: {reason}; retrying", err=True)
    else:
        click.echo(f"{url}: some events are no longer retained and were missed; continuing with the oldest", err=True)
