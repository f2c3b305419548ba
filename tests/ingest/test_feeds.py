"""Polling feeds of a real local HTTP server into a real Kafka."""

import asyncio
import gzip
import json
import socket
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from ingest.feeds import Feed, FeedError, Poller, open_session, poll, poller, read_feeds
from ingest.producer import Intake, Unavailable
from services import deadletters
from services.addresses import is_public
from services.documents import feed_parser
from services.embedded.kafka import Kafka
from services.embedded.process import free_port
from services.errors import SettingsError
from services.events import ArticleIn
from services.identity import article_id
from services.settings import Settings
from tests.harness import eventually
from tests.ingest.conftest import raw

RSS = """<?xml version="1.0" encoding="UTF-8"?>
<rss version="2.0" xmlns:content="http://purl.org/rss/1.0/modules/content/"
     xmlns:dc="http://purl.org/dc/elements/1.1/"><channel><title>أخبار</title><language>{language}</language>
{items}</channel></rss>"""

ATOM = """<?xml version="1.0" encoding="utf-8"?><feed xmlns="http://www.w3.org/2005/Atom" xml:lang="en">
<title>News</title><updated>2025-01-02T00:00:00Z</updated><id>urn:feed</id>{items}</feed>"""


def item(guid: str, body: str = "<p>نص</p>", *, title: str = "عنوان &amp; خبر") -> str:
    """One RSS item."""
    return f"""<item><title>{title}</title><link>https://example.org/{guid}</link>
    <guid isPermaLink="false">{guid}</guid><pubDate>Wed, 01 Jan 2025 12:00:00 +0300</pubDate>
    <dc:creator>هدى</dc:creator><description><![CDATA[{body}]]></description></item>"""


class Site:
    """A web server whose responses a test sets; it records the requests."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.answers: dict[str, web.Response] = {}
        self.requests: list[web.Request] = []

    def url(self, path: str) -> str:
        """The URL of a path."""
        return f"http://127.0.0.1:{self.port}{path}"

    def rss(self, path: str, *items: str, language: str = "ar", **headers: str) -> Feed:
        """Serve an RSS feed; return a ``Feed`` for it."""
        self.serve(path, RSS.format(items="".join(items), language=language), **headers)
        return Feed(self.url(path))

    def serve(self, path: str, text: str | bytes, status: int = 200, **headers: str) -> None:
        """Serve this document."""
        body = text.encode() if isinstance(text, str) else text
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.answers[path] = web.Response(body=body, status=status, headers=named)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Respond as set; 304 when the request has the response's ETag or date."""
        self.requests.append(request)
        if request.path.startswith("/redirect/"):
            left = int(request.path.rsplit("/", 1)[1])
            raise web.HTTPFound(f"/redirect/{left - 1}" if left else "/end")
        if request.path == "/slow":
            await asyncio.sleep(30)
        wanted = self.answers[request.path]
        for asked, said in (("If-None-Match", "ETag"), ("If-Modified-Since", "Last-Modified")):
            if asked in request.headers and request.headers[asked] == wanted.headers.get(said):
                return web.Response(status=304)
        return web.Response(body=wanted.body, status=wanted.status, headers=wanted.headers)


@pytest.fixture(scope="session")
async def site() -> AsyncIterator[Site]:
    """A running site."""
    made = Site(free_port())
    app = web.Application()
    app.router.add_get("/{path:.*}", made.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", made.port).start()
    yield made
    await runner.cleanup()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    """A session that may connect to this machine."""
    async with open_session(allow_private=True) as opened:
        yield opened


@pytest.fixture
def name() -> str:
    """A name that no other test uses."""
    return uuid.uuid4().hex


def id_of(guid: str) -> str:
    """The id of an article of the site."""
    return article_id(ArticleIn(text="x", source="127.0.0.1", guid=guid))


async def test_rss(site: Site, session, intake: Intake, kafka: Kafka, name: str) -> None:
    """Items of an RSS feed become articles with all their fields, oldest first."""
    feed = site.rss("/rss", item(f"{name}-2"), item(f"{name}-1"), language="ar-EG")
    outcome = await poll(feed, session, intake)
    assert (outcome.changed, outcome.accepted, outcome.refused) == (True, 2, 0)
    (article,) = (await raw(kafka.bootstrap))[id_of(f"{name}-1")]
    assert article.title == "عنوان & خبر"
    assert article.html == "<p>نص</p>"
    assert article.url == f"https://example.org/{name}-1"
    assert article.published_at == datetime(2025, 1, 1, 9, tzinfo=UTC)
    assert (article.authors, article.source, article.language) == (["هدى"], "127.0.0.1", "ar-EG")
    assert list(feed.seen) == [id_of(f"{name}-1"), id_of(f"{name}-2")]


async def test_atom(site: Site, session, intake: Intake, kafka: Kafka, name: str) -> None:
    """Entries of an Atom feed become articles; the content is used, not the summary."""
    entry = f"""<entry><id>urn:{name}</id><title type="html">A &lt;b&gt;bold&lt;/b&gt; title</title>
    <link href="https://example.org/atom"/><updated>2025-01-02T03:04:05Z</updated><author><name>Ann</name></author>
    <summary>short</summary><content type="html">&lt;p&gt;long&lt;/p&gt;</content></entry>"""
    site.serve("/atom", ATOM.format(items=entry), Content_Type="application/atom+xml")
    assert (await poll(Feed(site.url("/atom")), session, intake)).accepted == 1
    (article,) = (await raw(kafka.bootstrap))[id_of(f"urn:{name}")]
    assert (article.title, article.html) == ("A bold title", "<p>long</p>")
    assert (article.language, article.authors) == ("en", ["Ann"])
    assert article.published_at == datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize("header", ["ETag", "Last_Modified"])
async def test_conditional(site: Site, session, intake: Intake, name: str, header: str) -> None:
    """The second poll is a conditional request, and a 304 sends nothing."""
    value = '"v1"' if header == "ETag" else "Wed, 01 Jan 2025 12:00:00 GMT"
    feed = site.rss(f"/conditional-{header}", item(name), **{header: value})
    assert (await poll(feed, session, intake)).accepted == 1
    outcome = await poll(feed, session, intake)
    assert (outcome.changed, outcome.accepted) == (False, 0)


async def test_changed_entries(site: Site, session, intake: Intake, kafka: Kafka, name: str) -> None:
    """Without ETag and Last-Modified, seen entries are not sent again; changed and new ones are."""
    feed = site.rss("/changing", item(f"{name}-1"), item(f"{name}-2"))
    assert (await poll(feed, session, intake)).accepted == 2
    assert (await poll(feed, session, intake)).accepted == 0
    site.rss("/changing", item(f"{name}-3"), item(f"{name}-1", "<p>مصحح</p>"), item(f"{name}-2"))
    assert (await poll(feed, session, intake)).accepted == 2
    found = await raw(kafka.bootstrap)
    assert [article.html for article in found[id_of(f"{name}-1")]] == ["<p>نص</p>", "<p>مصحح</p>"]
    assert [len(found[id_of(f"{name}-{number}")]) for number in (2, 3)] == [1, 1]


async def test_same_guid_twice_in_one_feed(site: Site, session, intake: Intake, name: str) -> None:
    """A feed that lists one guid twice sends only the first entry, and does not alternate between both."""
    feed = site.rss("/twice", item(name, "new"), item(name, "old"))
    assert [(await poll(feed, session, intake)).accepted for _ in range(3)] == [1, 0, 0]


async def test_entry_without_body(site: Site, session, intake: Intake, kafka: Kafka, name: str) -> None:
    """Invalid entries become dead letters, each once, complete and retryable; the other entries are accepted."""
    feed = site.rss("/bodiless", item(f"{name}-1", "", title=""), item(f"{name}-2", " ", title=" "), item(f"{name}-3"))
    outcome = await poll(feed, session, intake)
    assert (outcome.accepted, outcome.refused) == (1, 2)
    assert (await poll(feed, session, intake)).refused == 0
    letters = [letter async for letter in deadletters.read(kafka.bootstrap) if name.encode() in (letter.value or b"")]
    assert {letter.key.decode() for letter in letters} == {id_of(f"{name}-1"), id_of(f"{name}-2")}
    for letter in letters:
        assert (letter.stage, letter.topic, letter.partition) == ("feeds", "articles.raw", -1)
        assert letter.cause == "text: text or html is required and must not be blank"
        value = json.loads(letter.value)
        assert value["id"] == letter.key.decode()
        assert value["entry"]["link"] == value["url"]
    # After a restart the entries are refused again, but readers still get one dead letter for each.
    assert (await poll(Feed(feed.url), session, intake)).refused == 2
    again = [letter async for letter in deadletters.read(kafka.bootstrap) if name.encode() in (letter.value or b"")]
    assert len(again) == 2


async def test_invalid_optional_fields_are_left_out(
    site: Site, session, intake: Intake, kafka: Kafka, name: str
) -> None:
    """An entry with an invalid language or invalid authors is accepted without them."""
    odd = item(name).replace("هدى", "x" * 500)
    assert (await poll(site.rss("/odd", odd, language="Arabic (all)"), session, intake)).accepted == 1
    (article,) = (await raw(kafka.bootstrap))[id_of(name)]
    assert (article.language, article.authors) == (None, [])


@pytest.mark.parametrize(
    "broken",
    [
        ("/html", ("<html><body>no feed</body></html>", 200, {}), "not a feed"),
        ("/empty", ("", 200, {}), "not a feed"),
        ("/garbage", (b"\x00\xff\x13" * 100, 200, {}), "not a feed"),
        ("/gone", ("", 404, {}), "HTTP status 404"),
        ("/large", (b" " * 5_000_001, 200, {}), "larger than"),
        ("/bomb", (gzip.compress(b" " * 50_000_000), 200, {"Content_Encoding": "gzip"}), "larger than"),
        ("/notgzip", ("plain", 200, {"Content_Encoding": "gzip"}), "gzip"),
        ("/brotli", ("x", 200, {"Content_Encoding": "br"}), "content encoding br"),
        ("/elsewhere", ("", 302, {"Location": "file:///etc/passwd"}), "file"),
    ],
)
async def test_broken_feed(site: Site, session, intake: Intake, broken: tuple) -> None:
    """Each kind of broken feed raises an error that names the cause."""
    path, (body, status, headers), cause = broken
    site.serve(path, body, status, **headers)
    with pytest.raises(FeedError, match=cause):
        await poll(Feed(site.url(path)), session, intake)


async def test_half_broken_feed(site: Site, session, intake: Intake, name: str) -> None:
    """The entries of a truncated feed that are complete are accepted."""
    document = RSS.format(items=item(name) + "<item><title>cut", language="ar").replace("</channel></rss>", "")
    site.serve("/half", document)
    assert (await poll(Feed(site.url("/half")), session, intake)).accepted >= 1


async def test_entity_bomb(site: Site, session, intake: Intake, kafka: Kafka, name: str) -> None:
    """Exponentially growing XML entities and external entities are not expanded."""
    grow = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 10))
    doctype = f"""<!DOCTYPE rss [<!ENTITY e0 "ha">{grow}<!ENTITY f SYSTEM "file:///etc/hostname">]>"""
    document = f"""<?xml version="1.0"?>{doctype}
    <rss version="2.0"><channel><title>t</title><item><guid>urn:{name}</guid>
    <description>a &e9; &f; b</description></item>
    </channel></rss>"""
    site.serve("/entities", document)
    feed = Feed(site.url("/entities"))
    async with asyncio.timeout(10):
        assert (await poll(feed, session, intake)).accepted == 1
    (article,) = (await raw(kafka.bootstrap))[id_of(f"urn:{name}")]
    assert len(article.text) < 100
    assert socket.gethostname() not in article.text


def hostile_feeds() -> dict[str, str]:
    """Feeds on which a parser's time grows with the square of their length, by path."""
    entry = "<item><guid>{name}</guid><description>text</description>{part}</item>"
    creator = '<dc:creator xmlns:dc="http://purl.org/dc/elements/1.1/">'
    parts = {
        "title": f"<title><![CDATA[<b>x</b>{'<' * 150_000}]]></title>",
        "attributes": "<media " + " ".join(f'a{number}="1"' for number in range(17_000)) + "/>",
        "comments": f"<summary><![CDATA[{'<!--' * 80_000}]]></summary>",
        "base": '<a xml:base="http://a.example/x/">' * 2_500 + "</a>" * 2_500,
        "author": f"<author>{'x' * 80_000}</author>",
        "creator": f"{creator}{'x' * 80_000}</dc:creator>",
    }
    return {
        f"/hostile-{name}": RSS.format(items=entry.format(name=name, part=part), language="ar")
        for name, part in parts.items()
    }


async def test_hostile_feeds_delay_nobody(  # noqa: PLR0913, PLR0917
    site: Site, url: str, intake: Intake, kafka: Kafka, settings: Settings, name: str
) -> None:
    """Feeds that a parser would take minutes for are read or are errors: others and pushes do not wait for them."""
    hostile = []
    for path, document in hostile_feeds().items():
        site.serve(path, document)
        hostile.append(Feed(site.url(path)))
    good = site.rss("/between", item(f"{name}-1"))
    often = settings.model_copy(update={"feed_interval": 0.3, "allow_private_addresses": True})
    task = asyncio.create_task(Poller([*hostile, good], often, intake).run())
    slowest = 0.0
    try:
        async with asyncio.timeout(30), aiohttp.ClientSession() as client:
            while not all(feed.failures or feed.seen for feed in hostile) or not good.seen:
                began = asyncio.get_running_loop().time()
                async with client.get(f"{url}/healthz") as response:
                    assert response.status == 200
                slowest = max(slowest, asyncio.get_running_loop().time() - began)
                await asyncio.sleep(0.01)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert slowest < 0.5
    assert id_of(f"{name}-1") in await raw(kafka.bootstrap)


async def test_a_long_title_is_cut(site: Site, session, intake: Intake, kafka: Kafka, name: str) -> None:
    """Of a title of 150,000 characters the beginning is kept."""
    feed = site.rss("/long", item(name, title=f"<![CDATA[<b>خبر</b> {'<' * 150_000}]]>"))
    assert (await poll(feed, session, intake)).accepted == 1
    (article,) = (await raw(kafka.bootstrap))[id_of(name)]
    assert article.title.startswith("خبر <<<")
    assert len(article.title) <= 2_000


async def test_gzip_and_redirects(site: Site, session, intake: Intake, name: str) -> None:
    """A compressed feed after five redirects is read; six redirects are too many."""
    site.serve("/end", gzip.compress(RSS.format(items=item(name), language="ar").encode()), Content_Encoding="gzip")
    assert (await poll(Feed(site.url("/redirect/4")), session, intake)).accepted == 1
    with pytest.raises(FeedError, match="more than 5 redirects"):
        await poll(Feed(site.url("/redirect/5")), session, intake)


async def test_private_addresses_are_refused(site: Site, intake: Intake, name: str) -> None:
    """No feed can connect to a private address: as an address, a host name, or a number."""
    site.rss("/private", item(name))
    before = len(site.requests)
    async with open_session(allow_private=False) as guarded:
        for host in ("127.0.0.1", "localhost", "2130706433", "0x7f.1", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0"):  # noqa: S104
            with pytest.raises(FeedError, match=r"is not a public address|canonical"):
                await poll(Feed(f"http://{host}:{site.port}/private"), guarded, intake)
        with pytest.raises(FeedError, match=r"127\.0\.0\.1 is not a public address"):
            await poll(Feed(site.url("/private")), guarded, intake)
    assert len(site.requests) == before


async def test_redirect_to_a_private_address(
    site: Site, intake: Intake, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A redirect from a public site to a private address is refused."""
    site.rss("/inside", item(name))
    # Only the first server of the two counts as public here.
    monkeypatch.setattr("services.addresses.is_public", lambda address: address == "127.0.0.1")
    for target in ("127.0.0.2", "[::1]"):
        site.serve("/out", "", 302, Location=f"http://{target}:{site.port}/inside")
        before = len(site.requests)
        async with open_session(allow_private=False) as guarded:
            with pytest.raises(FeedError, match="is not a public address"):
                await poll(Feed(site.url("/out")), guarded, intake)
        assert len(site.requests) == before + 1


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.215.14", True),
        ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", True),
        ("::ffff:93.184.215.14", True),
        ("10.0.0.1", False),
        ("172.16.3.4", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("127.1.2.3", False),
        ("0.0.0.0", False),  # noqa: S104 - an address to refuse
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::", False),
        ("::1", False),
        ("fe80::1%eth0", False),
        ("fc00::1", False),
        ("ff02::1", False),
        ("::ffff:10.0.0.1", False),
        ("2002:7f00:1::", False),
        ("64:ff9b::a9fe:a9fe", False),
    ],
)
def test_public_addresses(address: str, public: bool) -> None:
    """Private, loopback, link-local, shared, multicast and embedded private addresses are not public."""
    assert is_public(address) is public


async def test_kafka_unavailable(site: Site, session, kafka: Kafka, intake: Intake, name: str) -> None:
    """When Kafka is unavailable, neither the entries nor the ETag are kept, and the next poll sends the entries."""
    feed = site.rss("/away", item(name), ETag='"a"')
    away = Intake(f"127.0.0.1:{free_port()}", timeout=0.3)
    with pytest.raises(Unavailable):
        await poll(feed, session, away)
    await away.close()
    assert (await poll(feed, session, intake)).accepted == 1
    assert len((await raw(kafka.bootstrap))[id_of(name)]) == 1


async def test_poller(site: Site, intake: Intake, kafka: Kafka, settings: Settings, name: str) -> None:
    """A feed that does not respond and a broken one do not delay the others, which are polled again and again."""
    site.serve("/never", "no feed")
    good = site.rss("/regular", item(f"{name}-1"))
    polled = [Feed(site.url("/slow")), Feed(site.url("/never")), good]
    fast = settings.model_copy(update={"feed_interval": 0.05, "allow_private_addresses": True})
    task = asyncio.create_task(Poller(polled, fast, intake).run())
    try:
        await eventually(lambda: id_of(f"{name}-1") in good.seen, seconds=5)
        site.rss("/regular", item(f"{name}-2"))
        await eventually(lambda: id_of(f"{name}-2") in good.seen, seconds=5)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert polled[1].failures > 0
    assert {id_of(f"{name}-1"), id_of(f"{name}-2")} <= (await raw(kafka.bootstrap)).keys()


async def test_backoff(site: Site, session, intake: Intake, settings: Settings, name: str) -> None:
    """Each failure in a row doubles the delay, up to six hours; a success resets it to the interval."""
    site.serve("/flaky", "no feed")
    feed = Feed(site.url("/flaky"))
    polling = Poller([feed], settings, intake, rng=lambda: 0.5)
    delays = []
    for _ in range(10):
        await polling.poll_once(feed, session)
        delays.append(polling.delay(feed))
    assert delays[:3] == [600, 1200, 2400]
    assert delays[-1] == 6 * 3600
    site.rss("/flaky", item(name))
    await polling.poll_once(feed, session)
    assert polling.delay(feed) == 300


def test_read_feeds(tmp_path: Path) -> None:
    """One URL per line with comments; an invalid URL is an error that names setting, file and line."""
    path = tmp_path / "feeds.txt"
    path.write_text("# news\nhttps://a.example/rss#part  # Arabic\n\n  http://b.example/\nhttp://b.example/\n")
    assert [feed.url for feed in read_feeds(path)] == ["https://a.example/rss#part", "http://b.example/"]
    path.write_text("https://a.example/\nfile:///etc/passwd\n")
    with pytest.raises(SettingsError, match=r"KHABAR_FEEDS: .*feeds\.txt:2"):
        read_feeds(path)
    with pytest.raises(SettingsError, match="KHABAR_FEEDS"):
        read_feeds(tmp_path / "missing.txt")


async def test_memory_is_bounded(
    site: Site, session, intake: Intake, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the first entries of a feed with too many are accepted, and the oldest seen entries are evicted."""
    monkeypatch.setattr(feed_parser, "MAX_ENTRIES", 3)
    monkeypatch.setattr(poller, "MAX_SEEN", 4)
    feed = site.rss("/many", *(item(f"{name}-{number}") for number in range(9)))
    assert (await poll(feed, session, intake)).accepted == 3
    site.rss("/many", *(item(f"{name}-new-{number}") for number in range(9)))
    assert (await poll(feed, session, intake)).accepted == 3
    assert len(feed.seen) == 4


async def test_passwords_in_feed_urls_are_not_shown(
    session, intake: Intake, settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither in the log of a failing feed, whatever the failure, nor in the error for a wrong file of feeds."""
    for address in (f"127.0.0.1:{free_port()}/x", "127.0.0.1:99999/x", "[::1/x", "no-such-host.invalid/x"):
        feed = Feed(f"http://user:secret@{address}")
        await Poller([feed], settings, intake).poll_once(feed, session)
        assert feed.failures == 1
    logged = capsys.readouterr().out
    assert logged.count("feed_failing") == 4
    assert "secret" not in logged
    assert "user" not in logged
    path = tmp_path / "feeds"
    path.write_text("ftp://user:secret@news.example/feed\n")
    with pytest.raises(SettingsError, match=r"1: 'ftp://news\.example/feed' is not") as caught:
        read_feeds(path)
    assert "secret" not in str(caught.value)
