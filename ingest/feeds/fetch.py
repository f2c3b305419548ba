"""One conditional HTTP request for a feed."""

import hashlib
import re
import time
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urljoin

from multidict import CIMultiDictProxy

from ingest.web import Access, WebClient, WebError, WebResponse, fresh_seconds
from services.blocking import run_in_thread

_ACCEPT: Final = (
    "application/atom+xml, application/rss+xml, application/feed+json, application/rdf+xml;q=0.9, "
    "application/xml;q=0.9, text/xml;q=0.9, application/json;q=0.8, */*;q=0.5"
)
# Longer validators are not sent back.
_MAX_VALIDATOR: Final = 1_000
# Up to this size a digest takes less time than a thread.
_SMALL: Final = 262_144
# A link and its parameters, up to the next one.
_LINK: Final = re.compile(r"<([^<>]*)>([^<]*)")
_RELATION: Final = re.compile(r""";\s*rel\s*=\s*(?:"([^"]*)"|([^\s;,"]+))""", re.IGNORECASE)


@dataclass(frozen=True)
class FeedRequest:
    """What to fetch, and what is known of the last document that was parsed whole.

    ``etag``, ``modified``: its validators; ``digest``: of its body. ``access``: credentials and headers; a user name
    and password in ``url`` are sent too.
    """

    url: str
    etag: str | None = None
    modified: str | None = None
    digest: str | None = None
    access: Access = field(default_factory=Access)


@dataclass(frozen=True)
class Fetched:
    """What every response for a feed says.

    ``url``: where it came from after redirects, ``permanent_url``: the same if all redirects were permanent and the
    feed is to be fetched from there from now on, else None; neither has credentials. ``etag``, ``modified``: to be kept
    by the caller when the document was parsed whole, and sent with the next request. ``max_age``: seconds for which the
    response stays fresh by its headers, or None. ``hub``, ``topic``: of WebSub, in the ``Link`` header, or None.
    """

    url: str
    permanent_url: str | None
    etag: str | None
    modified: str | None
    max_age: float | None
    hub: str | None
    topic: str | None


@dataclass(frozen=True)
class FeedDocument(Fetched):
    """A feed document: ``data``, decompressed, and its SHA-256 ``digest`` in hexadecimal digits."""

    data: bytes = field(repr=False)
    digest: str
    content_type: str


@dataclass(frozen=True)
class NotModified(Fetched):
    """The document is that of the request: the server says so (304), or ``same_body``: its digest is the same.

    ``etag`` and ``modified`` are those to keep: new ones if the response has them.
    """

    same_body: bool = False


@dataclass(frozen=True)
class FetchFailure:
    """Why there is no document.

    ``kind``: that of ``WebError``; ``message``: a sentence without credentials; ``status``: of HTTP, or None.
    ``retry_after``: the seconds that the server asks to wait, at most a day, or None. ``gone``: the feed has ended.
    """

    kind: str
    message: str
    status: int | None = None
    retry_after: float | None = None

    @property
    def gone(self) -> bool:
        """Whether the server says that there will be no document any more."""
        return self.status == 410

    @property
    def of_host(self) -> bool:
        """Whether the host could not be reached, or cannot answer now: other feeds of it will fail too."""
        if self.status is not None:
            return self.status == 429 or self.status >= 500
        return self.kind in {"timeout", "dns", "connection", "tls"}


async def fetch(request: FeedRequest, web: WebClient, *, max_bytes: int) -> FeedDocument | NotModified | FetchFailure:
    """Fetch a feed if it has changed. ``max_bytes``: of the document. Raises nothing for whatever a server does."""
    headers = {"Accept": _ACCEPT}
    if request.etag:
        headers["If-None-Match"] = request.etag
    if request.modified:
        headers["If-Modified-Since"] = request.modified
    try:
        response = await web.get(request.url, headers=headers, access=request.access, max_bytes=max_bytes)
    except WebError as error:
        message = str(error)
        if error.kind == "too_large":
            message += " (KHABAR_MAX_FEED_BYTES)"
        return FetchFailure(error.kind, message, error.status, error.retry_after)
    conditional = bool(request.etag or request.modified)
    if response.status == 304:
        if not conditional:
            return FetchFailure("status", "HTTP status 304 although the request had no condition", 304)
        return _not_modified(request, response)
    digest = await _digest(response.body)
    if digest == request.digest:
        return _not_modified(request, response, same_body=True)
    return FeedDocument(
        **_fetched(response),
        etag=_validator(response.headers.get("ETag")),
        modified=_validator(response.headers.get("Last-Modified")),
        data=response.body,
        digest=digest,
        content_type=response.headers.get("Content-Type", ""),
    )


def _not_modified(request: FeedRequest, response: WebResponse, *, same_body: bool = False) -> NotModified:
    etag = _validator(response.headers.get("ETag"))
    modified = _validator(response.headers.get("Last-Modified"))
    if not same_body:
        # A 304 may leave out what has not changed.
        etag, modified = etag or request.etag, modified or request.modified
    return NotModified(**_fetched(response), etag=etag, modified=modified, same_body=same_body)


def _fetched(response: WebResponse) -> dict[str, Any]:
    headers = response.headers
    return {
        "url": response.url,
        "permanent_url": response.permanent_url,
        "max_age": fresh_seconds(headers, now=time.time()),
        "hub": _link(headers, "hub", response.url),
        "topic": _link(headers, "self", response.url),
    }


async def _digest(body: bytes) -> str:
    if len(body) <= _SMALL:
        return hashlib.sha256(body).hexdigest()
    return await run_in_thread(lambda: hashlib.sha256(body).hexdigest(), name="digest")


def _validator(value: str | None) -> str | None:
    """A validator as the server sent it, odd ones included, if it can be sent back."""
    value = (value or "").strip()
    return value if value and len(value) <= _MAX_VALIDATOR and value.isascii() and value.isprintable() else None


def _link(headers: CIMultiDictProxy[str], relation: str, base: str) -> str | None:
    """The first web address with this relation in the ``Link`` headers."""
    for found in _LINK.finditer(", ".join(headers.getall("Link", ()))):
        relations = _RELATION.search(found[2])
        if relations and relation in (relations[1] or relations[2]).lower().split():
            try:
                url = str(urljoin(base, found[1].strip()))
            except ValueError:
                continue
            if url.lower().startswith(("http://", "https://")):
                return url
    return None
