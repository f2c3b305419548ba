"""The file of feeds (``KHABAR_FEEDS``): read at the start and whenever it changes; its feeds are kept in the store."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import structlog
from redis import RedisError

from ingest.web import without_credentials
from services.blocking import run_in_thread
from services.documents import encodings
from services.documents.opml import NoList, subscriptions
from services.errors import SettingsError
from services.store.feeds import AlreadyThere, Feed, FeedOptions, Feeds, TooManyFeeds

log = structlog.get_logger(__name__)

_CHECK_SECONDS: Final = 3.0
_MAX_BYTES: Final = 20_000_000
# The options that a file can give.
_GIVEN: Final = ("source", "user", "password", "language", "interval", "full_text")


def read_feeds(path: Path) -> list[FeedOptions]:
    """The feeds in a file: OPML, or one URL per line with comments (from ``#`` on); each URL once. Blocks.

    A file without any feed is empty, not wrong. Raises ``SettingsError``.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
        if len(data) > _MAX_BYTES:
            raise SettingsError(f"KHABAR_FEEDS: {path} has more than {_MAX_BYTES} bytes")
        text, _, _ = encodings.decode(data, encodings.labels(data))
    except OSError as error:
        raise SettingsError(f"KHABAR_FEEDS: {path} cannot be read: {error}") from error
    if all(not line.strip() or line.lstrip().startswith("#") for line in text.splitlines()):
        return []
    try:
        outlines = subscriptions(text)
    except NoList as error:
        raise SettingsError(f"KHABAR_FEEDS: {path}: {error}") from error
    feeds: dict[str, FeedOptions] = {}
    for outline in outlines:
        try:
            options = FeedOptions(
                url=outline.url,
                source=outline.source or "",
                language=outline.language or "",
                interval=outline.interval or 0.0,
                full_text=bool(outline.full_text),
                origin="file",
            )
        except ValueError:
            shown = without_credentials(outline.url)
            raise SettingsError(
                f"KHABAR_FEEDS: {path}: {outline.place}: {shown!r} is not an http or https address"
            ) from None
        feeds.setdefault(options.id, options)
    return [*feeds.values()]


class SubscriptionsFile:
    """Keeps the feeds of a file in the store; those that users have added are left alone.

    ``most``: of all feeds. ``on_removed`` is called with each feed that the file no longer has.
    """

    def __init__(self, path: Path, feeds: Feeds, *, most: int) -> None:
        self.on_removed: Callable[[Feed], None] = _ignore
        self._path = path
        self._feeds = feeds
        self._most = most
        self._version = self._stat()
        self._wanted: Sequence[FeedOptions] | None = read_feeds(path)

    async def run(self) -> None:
        """Follow the file until cancelled. A wrong file is logged, and the feeds stay as they are."""
        while True:
            if self._wanted is not None:
                try:
                    await self._apply(self._wanted)
                    self._wanted = None
                except RedisError as error:
                    log.debug("feeds_file_waits_for_store", cause=str(error))
            await asyncio.sleep(_CHECK_SECONDS)
            version = await run_in_thread(self._stat, name="feeds-file")
            if version != self._version:
                self._version = version
                try:
                    self._wanted = await run_in_thread(partial(read_feeds, self._path), name="feeds-file")
                except SettingsError as error:
                    log.error("feeds_file_not_reloaded", cause=str(error))

    def _stat(self) -> tuple[int, int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino

    async def _apply(self, wanted: Sequence[FeedOptions]) -> None:
        """Add the feeds that the file has, and remove those of the file that it no longer has."""
        there = {feed.id: feed for feed in await self._feeds.all()}
        ids = {options.id for options in wanted}
        removed = [feed for feed in there.values() if feed.options.origin == "file" and feed.id not in ids]
        for feed in removed:
            await self._feeds.remove(feed.id)
            self.on_removed(feed)
        added = 0
        for options in wanted:
            before = there.get(options.id)
            if before is not None:
                changes = dict(_named(options).items() - _named(before.options).items())
                if before.options.origin == "file" and changes:
                    await self._feeds.change(before.id, **changes)
                continue
            try:
                await self._feeds.add(options, most=self._most)
                added += 1
            except AlreadyThere:
                continue
            except TooManyFeeds as error:
                log.error("feeds_file_too_long", cause=str(error), file=str(self._path))
                break
        log.info("feeds_file_read", file=str(self._path), feeds=len(wanted), added=added, removed=len(removed))


def _ignore(_: Feed) -> None:
    pass


def _named(options: FeedOptions) -> dict[str, Any]:
    """The options that a file can give, as far as it does: all others are what a user has chosen since."""
    given = {name: getattr(options, name) for name in _GIVEN}
    return {name: value for name, value in given.items() if value}
