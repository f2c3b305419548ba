"""Errors of feeds, and how their URLs are shown."""

import re
from urllib.parse import urlsplit

# The user name and the password in a URL.
_CREDENTIALS = re.compile(r"//[^/?#\s]*@")


class FeedError(Exception):
    """A feed could not be fetched or parsed; the message says why."""


class FeedGone(FeedError):
    """The feed has ended for good: HTTP status 410."""


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
