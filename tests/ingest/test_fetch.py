"""Fetching feeds from a local server that misbehaves as servers of the web do."""

import asyncio
import gzip
import hashlib
import time
import zlib
from collections.abc import AsyncIterator
from email.utils import formatdate

import brotli
import pytest

from ingest.feeds.fetch import FeedDocument, FeedRequest, FetchFailure, NotModified, fetch
from ingest.web import Access, WebClient, check_headers, fresh_seconds, retry_after, user_agent
from services import zstd
from services.settings import Settings
from tests.ingest.misbehaving import Misbehaving, Request, chunked, misbehaving

DOCUMENT = "<?xml version='1.0'?><rss><channel><title>أخبار</title></channel></rss>".encode() * 40
LIMIT = 100_000


@pytest.fixture
async def site() -> AsyncIterator[Misbehaving]:
    """A misbehaving server."""
    async with misbehaving() as running:
        yield running


@pytest.fixture
async def web() -> AsyncIterator[WebClient]:
    """A client that may connect to this machine, with short timeouts."""
    async with WebClient(agent="Khabar/test", allow_private=True, seconds=5.0) as client:
        yield client


async def get(web: WebClient, url: str, **known: object) -> FeedDocument | NotModified | FetchFailure:
    """Fetch a feed."""
    return await fetch(FeedRequest(url, **known), web, max_bytes=LIMIT)  # type: ignore[arg-type]


async def document(web: WebClient, url: str, **known: object) -> FeedDocument:
    """Fetch a feed that has a document."""
    found = await get(web, url, **known)
    assert isinstance(found, FeedDocument), found
    return found


async def failure(web: WebClient, url: str, **known: object) -> FetchFailure:
    """Fetch a feed that fails."""
    found = await get(web, url, **known)
    assert isinstance(found, FetchFailure), found
    return found


def raw_deflate(data: bytes) -> bytes:
    """``deflate`` without zlib's header, as many servers send it."""
    packing = zlib.compressobj(wbits=-15)
    return packing.compress(data) + packing.flush()


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(DOCUMENT)),
        ("x-gzip", gzip.compress(DOCUMENT)),
        ("GZIP", gzip.compress(DOCUMENT[:100]) + gzip.compress(DOCUMENT[100:])),
        ("gzip", gzip.compress(DOCUMENT) + b"\0\0\0<!-- cached -->"),
        ("gzip", DOCUMENT),
        ("gzip", gzip.compress(gzip.compress(DOCUMENT))),
        ("gzip, gzip", gzip.compress(gzip.compress(DOCUMENT))),
        ("deflate", zlib.compress(DOCUMENT)),
        ("deflate", raw_deflate(DOCUMENT)),
        ("br", brotli.compress(DOCUMENT)),
        ("br", DOCUMENT),
        ("zstd", zstd.compress(DOCUMENT)),
        ("utf-8", DOCUMENT),
        ("none", DOCUMENT),
        ("", DOCUMENT),
        ("identity", gzip.compress(DOCUMENT)),
    ],
)
async def test_content_encodings(site: Misbehaving, web: WebClient, encoding: str, body: bytes) -> None:
    """Every encoding of the web is undone, also with its usual mistakes; gzip files are unpacked."""
    found = await document(web, site.serve("/feed.xml.gz", body, Content_Encoding=encoding))
    assert found.data == DOCUMENT
    assert found.digest == hashlib.sha256(DOCUMENT).hexdigest()


@pytest.mark.parametrize(
    ("encoding", "body", "kind"),
    [
        ("gzip", b"\0\1\2 not gzip", "encoding"),
        ("br", b"\xff" * 50, "encoding"),
        ("zstd", b"\xff" * 50, "encoding"),
        ("lzma", b"x", "encoding"),
        ("gzip", gzip.compress(b" " * 5_000_000), "too_large"),
        ("br", brotli.compress(b" " * 5_000_000), "too_large"),
        ("zstd", zstd.compress(b" " * 5_000_000), "too_large"),
        ("deflate", zlib.compress(b" " * 5_000_000), "too_large"),
        ("", gzip.compress(b" " * 5_000_000), "too_large"),
        ("", b" " * (LIMIT + 1), "too_large"),
        ("gzip", gzip.compress(DOCUMENT)[:-9], "cut"),
        ("br", brotli.compress(DOCUMENT)[:-9], "cut"),
        ("zstd", zstd.compress(DOCUMENT)[:-9], "cut"),
        ("deflate", zlib.compress(DOCUMENT)[:-9], "cut"),
    ],
)
async def test_bad_bodies(site: Misbehaving, web: WebClient, encoding: str, body: bytes, kind: str) -> None:
    """Damaged, truncated and oversized bodies are failures of their kind; a bomb names the setting of the limit."""
    found = await failure(web, site.serve("/feed", body, Content_Encoding=encoding))
    assert found.kind == kind
    assert (kind == "too_large") == ("KHABAR_MAX_FEED_BYTES" in found.message)


async def test_a_body_without_an_end_is_bounded(site: Misbehaving, web: WebClient) -> None:
    """A body that says that it is too large is not read, and one that does not say so is read up to the limit."""
    assert (await failure(web, site.serve("/says", b"x", length=10**9))).kind == "too_large"

    async def endless(_: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"<item/>" * 1_000)
            await writer.drain()

    site.answers["/endless"] = endless
    assert (await failure(web, site.url("/endless"))).kind == "too_large"


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\nETag: x\r\n\r\n<rss>",
        chunked(b"<rss>", b"<channel>", end=b""),
        chunked(b"<rss>", b"<channel>", end=b"ff\r\n<item>"),
    ],
)
async def test_a_cut_body_is_a_failure(site: Misbehaving, web: WebClient, answer: bytes) -> None:
    """A body that ends before its announced length gives neither a document nor validators."""
    site.answers["/feed"] = answer
    assert (await failure(web, site.url("/feed"))).kind == "cut"


async def test_conditional(site: Misbehaving, web: WebClient) -> None:
    """Validators are sent as they came; a 304 keeps what it does not replace."""
    odd = {"ETag": 'W/"v1-gzip', "Last_Modified": "yesterday, GMT"}
    found = await document(web, site.serve("/feed", DOCUMENT, **odd))
    assert (found.etag, found.modified) == ('W/"v1-gzip', "yesterday, GMT")
    site.answers["/feed"] = b'HTTP/1.1 304 X\r\nETag: "v2"\r\nCache-Control: max-age=600\r\n\r\n'
    again = await get(web, site.url("/feed"), etag=found.etag, modified=found.modified)
    assert isinstance(again, NotModified)
    assert (again.etag, again.modified, again.max_age) == ('"v2"', "yesterday, GMT", 600.0)
    sent = site.asked("/feed")[-1]
    assert (sent["if-none-match"], sent["if-modified-since"]) == ('W/"v1-gzip', "yesterday, GMT")
    assert "if-none-match" not in site.asked("/feed")[0]
    # Nothing to compare with: this cannot be the truth.
    assert (await failure(web, site.url("/feed"))).status == 304


async def test_same_body(site: Misbehaving, web: WebClient) -> None:
    """A body that has not changed is recognised although the server has no validators, in any encoding."""
    found = await document(web, site.serve("/feed", DOCUMENT))
    assert (found.etag, found.modified) == (None, None)
    site.serve("/feed", gzip.compress(DOCUMENT), Content_Encoding="gzip", ETag='"new"')
    again = await get(web, site.url("/feed"), digest=found.digest)
    assert isinstance(again, NotModified)
    assert (again.same_body, again.etag) == (True, '"new"')
    site.serve("/feed", DOCUMENT + b" ")
    await document(web, site.url("/feed"), digest=found.digest)


@pytest.mark.parametrize(
    ("status", "header", "seconds"),
    [
        (429, "120", 120.0),
        (503, "7200", 7200.0),
        (202, "5", 5.0),
        (403, "60", 60.0),
        (429, "999999999", 86_400.0),
        (503, "-5", None),
        (503, "soon", None),
        (503, "", None),
    ],
)
async def test_retry_after(site: Misbehaving, web: WebClient, status: int, header: str, seconds: float | None) -> None:
    """The time that a server asks to wait is in the failure, up to a day."""
    found = await failure(web, site.serve("/feed", b"busy", status=status, Retry_After=header))
    assert (found.kind, found.status, found.retry_after) == ("status", status, seconds)
    assert found.of_host == (status in {429, 503})


async def test_retry_after_date() -> None:
    """The time to wait may be a date; one in the past is no time at all."""
    now = 1_750_000_000.0
    assert retry_after(formatdate(now + 90, usegmt=True), now=now) == 90
    assert retry_after(formatdate(now - 90, usegmt=True), now=now) == 0
    assert retry_after("Fri, 99 Xyz 2025", now=now) is None


async def test_gone(site: Misbehaving, web: WebClient) -> None:
    """410 ends a feed; 404 does not."""
    assert (await failure(web, site.serve("/feed", status=410))).gone
    assert not (await failure(web, site.serve("/feed", status=404))).gone


async def test_cookie_then_redirect(site: Misbehaving, web: WebClient) -> None:
    """A server that wants its cookie back gets it, within one request: the next one begins without."""

    async def wall(request: Request, writer: asyncio.StreamWriter) -> None:
        if "pass=1" in request.headers.get("cookie", ""):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(DOCUMENT), DOCUMENT))
        else:
            writer.write(b"HTTP/1.1 302 X\r\nSet-Cookie: pass=1; Path=/\r\nLocation: /wall\r\n\r\n")

    site.answers["/wall"] = wall
    for _ in range(2):
        assert (await document(web, site.url("/wall"))).data == DOCUMENT
    assert ["cookie" in asked for asked in site.asked("/wall")] == [False, True] * 2


@pytest.mark.parametrize(
    ("statuses", "permanent"), [((301, 308), True), ((301, 302), False), ((307,), False), ((), False)]
)
async def test_permanent_redirects(
    site: Misbehaving, web: WebClient, statuses: tuple[int, ...], permanent: bool
) -> None:
    """A feed has moved for good only if every redirect says so."""
    for number, status in enumerate(statuses):
        site.redirect(f"/{number}", f"/{number + 1}", status)
    end = site.serve(f"/{len(statuses)}", DOCUMENT)
    found = await document(web, site.url("/0"))
    assert found.url == end
    assert found.permanent_url == (end if permanent else None)


async def test_redirects_that_lead_nowhere(site: Misbehaving, web: WebClient) -> None:
    """Circles, chains of more than five redirects and other schemes are errors that say so."""
    site.redirect("/a", "/b")
    site.redirect("/b", "/a")
    for number in range(9):
        site.redirect(f"/chain{number}", f"/chain{number + 1}")
    for path, words in (("/a", "circle"), ("/chain0", "more than 5"), ("/file", "file:///etc/passwd"), ("/x", "http")):
        site.redirect("/file", "file:///etc/passwd")
        site.redirect("/x", "http://[half")
        found = await failure(web, site.url(path))
        assert found.kind == "redirects"
        assert words in found.message
    site.serve("/chain5", DOCUMENT)
    await document(web, site.url("/chain0"))
    assert "without Location" in (await failure(web, site.serve("/lost", status=301))).message


@pytest.mark.parametrize("location", ["/خبر?ق=1", "/خبر?ق=1".encode("cp1256").decode("utf-8", "surrogateescape")])
async def test_redirects_in_arabic(site: Misbehaving, web: WebClient, location: str) -> None:
    """A ``Location`` that is not ASCII is followed as the bytes that it has."""
    site.redirect("/feed", location)
    await failure(web, site.url("/feed"))
    path = site.requests[-1].path
    assert path.isascii()
    assert path.startswith("/%D8%AE" if "خ" in location else "/%CE")


async def test_private_addresses(site: Misbehaving) -> None:
    """Private addresses are refused, directly and after a redirect."""
    async with WebClient(agent="x") as guarded:
        for host in ("127.0.0.1", "localhost", "[::1]", "0x7f.1"):
            found = await failure(guarded, f"http://{host}:{site.port}/")
            assert (found.kind, "not a public address" in found.message) == ("private_address", True)
    assert site.requests == []


async def test_secrets_stay_with_their_host(site: Misbehaving, web: WebClient) -> None:
    """Credentials and headers of a feed are sent to its host only, and are in no message and no result."""
    async with misbehaving() as other:
        access = Access(user="me", password="secret", headers={"X-Token": "secret", "User-Agent": "Reader/1"})
        site.redirect("/moved", "/feed", 301)
        site.redirect("/feed", other.url("/feed", login="a:secret@"), 301)
        other.serve("/feed", DOCUMENT)
        found = await document(web, site.url("/moved"), access=access)
        assert found.permanent_url == other.url("/feed")
        for asked in (*site.asked("/moved"), *site.asked("/feed")):
            assert (asked["authorization"], asked["x-token"]) == ("Basic bWU6c2VjcmV0", "secret")
        (asked,) = other.asked("/feed")
        assert "authorization" not in asked
        assert "x-token" not in asked
        assert asked["user-agent"] == "Reader/1"
        # A feed that has moved to another host: what is set for the first host is not for the new one.
        await document(web, other.url("/feed"), access=Access("me", "secret", url=site.url("/moved")))
        assert "authorization" not in other.asked("/feed")[-1]
        await document(web, other.url("/feed", login="me:p%40ss@"))
        assert other.asked("/feed")[-1]["authorization"] == "Basic bWU6cEBzcw=="
        for broken in (site.url("/none", login="me:secret@"), "http://me:secret@host.invalid/", "http://me:secret@:80"):
            assert "secret" not in repr(await failure(web, broken))
        assert "secret" not in repr(FeedRequest("http://x/", access=access))


async def test_waiting_for_a_turn_is_no_failure(site: Misbehaving) -> None:
    """Many slow feeds of one host are fetched some at a time; the time that they wait for this does not count."""

    async def slow(_: Request, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.1)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n<rss>")

    site.answers["/slow"] = slow
    async with WebClient(agent="x", allow_private=True, per_host=5, seconds=1.0) as web, asyncio.timeout(20):
        began = time.monotonic()
        found = await asyncio.gather(*(get(web, site.url(f"/slow?{number}")) for number in range(100)))
        assert time.monotonic() - began > 1.0
        assert {type(one) for one in found} == {FeedDocument}
        assert site.most <= 5


async def test_a_host_that_is_slow_delays_no_other(site: Misbehaving, web: WebClient) -> None:
    """Feeds that never answer take the turns of their own host only; they fail in time."""
    site.answers["/never"] = site.stall
    async with misbehaving("localhost") as other, asyncio.timeout(4):
        waiting = [asyncio.ensure_future(get(web, site.url("/never"))) for _ in range(20)]
        await document(web, other.serve("/feed", DOCUMENT))
        for one in waiting:
            one.cancel()
    async with WebClient(agent="x", allow_private=True, seconds=0.2) as hasty:
        assert (await failure(hasty, site.url("/never"))).kind == "timeout"


async def test_heads(site: Misbehaving, web: WebClient) -> None:
    """A head of 20 KB, as large sites send it, is read; one without end is refused."""
    await document(web, site.serve("/large", DOCUMENT, Content_Security_Policy="x" * 20_000))
    site.answers["/endless"] = b"HTTP/1.1 200 OK\r\n" + b"X-Padding: y\r\n" * 100_000 + b"\r\n"
    assert (await failure(web, site.url("/endless"))).kind == "protocol"
    site.serve("/long", DOCUMENT, X_Padding="y" * 1_000_000)
    assert (await failure(web, site.url("/long"))).kind == "protocol"


async def test_no_http_at_all(site: Misbehaving, web: WebClient) -> None:
    """Other protocols, closed connections, unknown hosts and addresses that are none are failures of their kind."""
    site.answers["/ssh"] = b"SSH-2.0-OpenSSH_9.6\r\n"
    site.answers["/nothing"] = b""
    closed = site.port
    for url, kind in {
        site.url("/ssh"): "protocol",
        site.url("/nothing"): "connection",
        f"https://127.0.0.1:{closed}/": "tls",
        "http://127.0.0.1:1/": "connection",
        "http://unknown.invalid/": "dns",
        "ftp://host/feed": "url",
        "http:///feed": "url",
        "http://host:port/": "url",
        "feed": "url",
    }.items():
        assert (await failure(web, url)).kind == kind, url


async def test_links_and_freshness(site: Misbehaving, web: WebClient) -> None:
    """The hub and the feed's own address come from the ``Link`` header, and how long the response stays fresh."""
    link = '<https://hub.example/>; rel="hub", </feed,1?a=b>; rel=self, <javascript:x>; rel=hub'
    found = await document(web, site.serve("/feed", DOCUMENT, Link=link, Cache_Control="public, max-age=900", Age="60"))
    assert (found.hub, found.topic, found.max_age) == ("https://hub.example/", site.url("/feed,1?a=b"), 840.0)
    date = formatdate(1_750_000_000, usegmt=True)
    later = formatdate(1_750_000_300, usegmt=True)
    assert fresh_seconds({"Date": date, "Expires": later}, now=0) == 300
    assert fresh_seconds({"Expires": "0"}, now=0) is None
    assert fresh_seconds({"Cache-Control": "no-cache, max-age=600"}, now=0) is None


async def test_user_agent(site: Misbehaving, web: WebClient) -> None:
    """Servers see who asks: Khabar and its version, or what the setting says."""
    await document(web, site.serve("/feed", DOCUMENT))
    assert site.asked("/feed")[0]["user-agent"] == "Khabar/test"
    assert user_agent(Settings()).startswith("Khabar/0")
    assert user_agent(Settings(user_agent="News/1 (+https://news.example)")) == "News/1 (+https://news.example)"


@pytest.mark.parametrize("name", ["Host", "content-length", "X Y", "X\r\nY", ""])
def test_headers_that_cannot_be_set(name: str) -> None:
    """Headers that HTTP needs itself, and what is no header, are refused by name."""
    with pytest.raises(ValueError, match="header"):
        check_headers({name: "1"})
    with pytest.raises(ValueError, match="X-Ok"):
        check_headers({"X-Ok": "a\r\nb"})
    check_headers({"X-Ok": "Bearer abc"})
