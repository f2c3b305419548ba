"""A feed and its state between polls; reading the file of feeds."""

import re
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from services.errors import SettingsError

# The user name and the password in a URL.
_CREDENTIALS = re.compile(r"//[^/?#\s]*@")


class FeedError(Exception):
    """A feed could not be fetched or parsed; the message says why."""


@dataclass
class Feed:
    """A feed and its state between polls."""

    url: str
    etag: str | None = None
    modified: str | None = None
    failures: int = 0
    # The content hash of each entry that was sent, by article id; oldest first.
    seen: OrderedDict[str, str] = field(default_factory=OrderedDict)

    @property
    def name(self) -> str:
        """The URL without a user name and a password, for logs and messages."""
        return without_credentials(self.url)

    @property
    def source(self) -> str:
        """The source of the feed's articles: its host name."""
        return urlsplit(self.url).hostname or self.url


def read_feeds(path: Path) -> list[Feed]:
    """The feeds in a file: one URL per line, without blank lines, comments (from ``#`` on) and repeated URLs.

    Raises ``SettingsError``.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"KHABAR_FEEDS: {path} cannot be read: {error}") from error
    feeds: dict[str, Feed] = {}
    for number, line in enumerate(lines, 1):
        url = re.split(r"(?:^|\s)#", line, maxsplit=1)[0].strip()
        if url:
            if not is_web_url(url):
                shown = without_credentials(url)
                raise SettingsError(f"KHABAR_FEEDS: {path}:{number}: {shown!r} is not an http or https address")
            feeds[url] = Feed(url)
    return list(feeds.values())


def without_credentials(text: str) -> str:
    """A URL, or a message that quotes URLs, without user names and passwords."""
    return _CREDENTIALS.sub("//", text)


def is_web_url(url: str) -> bool:
    """Whether this is an http or https URL with a host."""
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname)
    except ValueError:
        return False
