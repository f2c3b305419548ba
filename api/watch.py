"""``khabar watch``: follows a gateway's stream and prints it, through every interruption."""

import asyncio
import json
import random
import unicodedata
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

import click
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI

_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 15.0
_LARGEST_FRAME = 16 * 1024 * 1024
# The gateway sends a heartbeat every 15 s at least.
_SILENCE = 40.0
_ENTITIES = 8
_FIRST_WORDS = 16
_PHASES = {"start": "begins to rise", "grow": "rises further", "end": "rises no more"}
_ISOLATE, _POP = "\u2068", "\u2069"
# Errors after which asking again can only give the same answer.
_FINAL = {"bad_filter", "bad_cursor", "bad_request", "unauthorized", "forbidden"}
# Answers to the handshake that pass although they are 4xx: what stands before the gateway is busy.
_PASSING = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}


class Refused(Exception):
    """The gateway will not serve this subscription; the message says why."""


def as_json(envelope: dict[str, Any]) -> str:
    """The envelope as one line."""
    return json.dumps(envelope, ensure_ascii=False)


def as_text(envelope: dict[str, Any]) -> str:
    """One line that tells what happened, and one with the names in it."""
    data = envelope["data"]
    time = str(envelope["time"])[11:19]
    if envelope["type"] == "article":
        first_words = " ".join(str(data.get("text") or "").split()[:_FIRST_WORDS])
        mark = " (duplicate)" if data.get("duplicate_of") else ""
        about = f"{data.get('language')}  {_isolated(data.get('source') or 'unknown')}{mark}  "
        title = data.get("title") or first_words
    elif envelope["type"] == "story":
        about = f"{','.join(data.get('languages') or [])}  {_what_of_story(data)}  "
        title = data.get("title") or ""
    else:
        about = f"{_what_of_trend(data)}  "
        title = data.get("name") or ""
    lines = [f"{time}  {_plain(about)}{_isolated(title)}"]
    names = dict.fromkeys(entity["name"] for entity in data.get("entities") or [])
    if names:
        lines.append("          " + " · ".join(_isolated(name) for name in list(names)[:_ENTITIES]))
    return "\n".join(lines)


def _what_of_story(data: dict[str, Any]) -> str:
    if data.get("merged_into"):
        return f"story {data['id']} merged into {data['merged_into']}"
    if data.get("split_from"):
        return f"story {data['id']} of {data.get('size')} split from {data['split_from']}"
    return f"story of {data.get('size')}"


def _what_of_trend(data: dict[str, Any]) -> str:
    phase = _PHASES.get(str(data.get("phase")), "trend")
    expected = data.get("expected")
    instead = f" instead of {expected:.1f}" if isinstance(expected, int | float) else ""
    return f"{phase}: {data.get('kind')}, {data.get('count')} in {data.get('window')}{instead}"


def _isolated(text: str) -> str:
    """Text whose direction leaves what stands around it alone."""
    return f"{_ISOLATE}{_plain(text)}{_POP}"


def _plain(text: str) -> str:
    """Without what could steer the terminal: control characters, and direction marks of the text itself."""
    return "".join(
        " " if unicodedata.category(one) == "Cc" else one
        for one in text
        if unicodedata.bidirectional(one) not in {"LRE", "RLE", "LRO", "RLO", "PDF"}
    )


class Watcher:
    """Prints the events of one subscription; resumes after the last one when the connection breaks."""

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
        self._url = url
        self._parameters = list(parameters)
        self._cursor = cursor
        self._since = since
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._show = show
        self._left = limit
        self._connected = False
        self._began = False

    async def run(self) -> None:
        """Print until the limit is reached. Raises ``Refused``."""
        pause = _FIRST_PAUSE
        while self._left != 0:
            self._connected = False
            try:
                await self._connection()
                reason = "the gateway closed the connection"
            except InvalidStatus as error:
                reason = self._handshake_refused(error.response.status_code)
            except InvalidURI as error:
                raise Refused(str(error)) from None
            except BrokenPipeError:  # nobody reads our output any more
                raise
            except (OSError, TimeoutError, InvalidHandshake, ConnectionClosed) as error:
                reason = str(error) or type(error).__name__
            if self._left == 0:
                return
            pause = _FIRST_PAUSE if self._connected else min(pause * 2, _LONGEST_PAUSE)
            click.echo(f"{self._url}: {reason}; trying again", err=True)
            await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - only spreads those who come back

    async def _connection(self) -> None:
        async with connect(
            self._address(), additional_headers=self._headers, max_size=_LARGEST_FRAME, compression=None
        ) as socket:
            while self._left != 0:
                async with asyncio.timeout(_SILENCE):
                    frame = await socket.recv()
                for line in str(frame).split("\n"):
                    self._take(json.loads(line))
                    if self._left == 0:
                        return

    def _address(self) -> str:
        try:
            parts = urlsplit(self._url if "://" in self._url else f"http://{self._url}")
            # What is wrong with these is found when they are asked for.
            _ = parts.port, (parts.hostname or "").encode("idna")
        except ValueError as error:
            raise Refused(f"{self._url} is not an address: {error}") from None
        scheme = {"http": "ws", "https": "wss"}.get(parts.scheme, parts.scheme)
        query = list(self._parameters)
        if self._cursor:
            query.append(("cursor", self._cursor))
        elif self._since:
            query.append(("since", self._since))
        return urlunsplit((scheme, parts.netloc, parts.path.rstrip("/") + "/v1/stream", urlencode(query), ""))

    def _handshake_refused(self, status: int) -> str:
        """The reason, when the same may work later. Raises ``Refused`` when it will not."""
        if status == HTTPStatus.UNAUTHORIZED:
            raise Refused(f"{self._url} asks for an API key: give --api-key or set KHABAR_API_KEY")
        if status < HTTPStatus.INTERNAL_SERVER_ERROR and status not in _PASSING:
            raise Refused(f"{self._url} answers {status}: there is no stream for you at this address")
        return f"the gateway answers {status}"

    def _take(self, message: dict[str, Any]) -> None:
        if message["type"] == "error":
            self._complain(message)
            return
        self._connected = self._began = True
        if "data" in message:
            click.echo(self._show(message))
            if self._left is not None:
                self._left -= 1
        # Only after it was printed: a resumed stream then shows everything.
        self._cursor = message.get("cursor", self._cursor)

    def _complain(self, error: dict[str, Any]) -> None:
        if error["code"] in _FINAL:
            raise Refused(error["message"])
        if error["code"] == "cursor_too_old":
            if not self._began:
                raise Refused(f"{error['message']} (--cursor {error['oldest']})")
            click.echo("some events are no longer kept and were missed; going on with the oldest", err=True)
        self._cursor = error.get("oldest") or error.get("cursor") or self._cursor
