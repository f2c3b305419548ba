"""robots.txt (RFC 9309): which pages of a site may be fetched, and how fast."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final
from urllib.parse import urlsplit

import structlog
from protego import Protego

from ingest.web import WebClient, WebError
from services.blocking import run_in_thread
from services.documents.encodings import decode

log = structlog.get_logger(__name__)

# What is beyond this is not read.
MAX_BYTES: Final = 200_000
# The rules of a site are asked for again after this many seconds; sooner if they could not be had.
KEPT: Final = 24 * 3600.0
KEPT_WITHOUT_ANSWER: Final = 600.0
# Sites of which the rules are kept, and the bytes of all these rules.
_MAX_SITES: Final = 2_000
_MAX_KEPT_BYTES: Final = 5_000_000
_SECONDS: Final = 15.0


@dataclass(frozen=True)
class Permission:
    """Whether a page may be fetched. ``delay``: the seconds between two requests that the site asks for, or 0."""

    allowed: bool
    delay: float = 0.0


@dataclass(frozen=True)
class _Rules:
    """The rules of a site: as its robots.txt has them; without one, all or nothing is allowed."""

    until: float
    parsed: Protego | None
    allowed: bool = True
    size: int = 0


class Robots:
    """The rules of sites for one user agent, fetched when they are needed and kept for a day.

    As the standard says, a site whose robots.txt is not there (4xx) allows all, and one that does not answer nothing.
    ``clock``: seconds since any moment.
    """

    def __init__(self, web: WebClient, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._web = web
        self._clock = clock
        # The product, without version and comments.
        self._agent = web.agent.partition("/")[0].partition(" ")[0]
        self._rules: OrderedDict[str, _Rules] = OrderedDict()
        self._asking: dict[str, asyncio.Task[_Rules]] = {}
        self._size = 0

    async def permission(self, url: str) -> Permission:
        """Whether this page may be fetched. Raises nothing for whatever a site answers."""
        parts = urlsplit(url)
        site = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        rules = self._rules.get(site)
        if rules is None or self._clock() >= rules.until:
            if site not in self._asking:
                self._asking[site] = asyncio.create_task(self._ask(site))
            # Others wait for the same answer: the end of one of them must not end it.
            rules = await asyncio.shield(self._asking[site])
        else:
            self._rules.move_to_end(site)
        if rules.parsed is None:
            return Permission(rules.allowed)
        return await run_in_thread(partial(self._judge, rules.parsed, url), name="robots")

    def _judge(self, parsed: Protego, url: str) -> Permission:
        delay = parsed.crawl_delay(self._agent) or 0.0
        return Permission(bool(parsed.can_fetch(url, self._agent)), max(float(delay), 0.0))

    async def _ask(self, site: str) -> _Rules:
        try:
            rules = await self._fetch(site)
            self._keep(site, rules)
            return rules
        finally:
            del self._asking[site]

    async def _fetch(self, site: str) -> _Rules:
        try:
            response = await self._web.get(f"{site}/robots.txt", max_bytes=MAX_BYTES, cut=True, seconds=_SECONDS)
            parsed = await run_in_thread(lambda: Protego.parse(decode(response.body)[0]), name="robots")
            return _Rules(self._clock() + KEPT, parsed, size=len(response.body))
        except WebError as error:
            if error.status is not None and 400 <= error.status < 500 and error.status != 429:
                return _Rules(self._clock() + KEPT, None, allowed=True)
        except Exception:  # a parser can raise any kind of error; what is not known is not allowed
            log.warning("robots_failed", site=site, exc_info=True)
        return _Rules(self._clock() + KEPT_WITHOUT_ANSWER, None, allowed=False)

    def _keep(self, site: str, rules: _Rules) -> None:
        if site in self._rules:
            self._size -= self._rules.pop(site).size
        self._rules[site] = rules
        self._size += rules.size
        while len(self._rules) > _MAX_SITES or self._size > _MAX_KEPT_BYTES:
            _, oldest = self._rules.popitem(last=False)
            self._size -= oldest.size
