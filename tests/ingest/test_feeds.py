"""Polling feeds of a real local HTTP server into a real Kafka, with the state in a real store."""

import asyncio
import gzip
import json
import re
import socket
from datetime import UTC, datetime

import pytest
from aiohttp import ClientSession
from prometheus_client import REGISTRY

from ingest.producer import Intake
from services import deadletters
from services.addresses import is_public
from services.documents import feed_parser
from services.embedded.kafka import Kafka
from services.embedded.process import free_port
from services.events import ArticleIn
from services.identity import article_id
from services.settings import Settings
from services.store import Store
from services.store.feeds import FeedOptions
from tests.harness import eventually
from tests.ingest.conftest import raw
from tests.ingest.polling import RSS, Polling, Site, id_of, item, polling_with, rss

ATOM = """<?xml version="1.0" encoding="utf-8"?><feed xmlns="http://www.w3.org/2005/Atom" xml:lang="en">
<title>News</title><updated>2025-01-02T00:00:00Z</updated><id>urn:feed</id>{items}</feed>"""


async def test_rss(site: Site, polling: Polling, kafka: Kafka, name: str) -> None:
    """Items of an RSS feed become articles with all their fields, oldest first."""
    polled = await polling.poll(site.rss("/rss", item(f"{name}-2"), item(f"{name}-1"), language="ar-EG"))
    assert (polled.status, polled.sent, polled.known, polled.rejected) == ("ok", 2, 0, 0)
    articles = await raw(kafka.bootstrap)
    ((article,), (newer,)) = (articles[id_of(f"{name}-{number}")] for number in (1, 2))
    assert article.title == "عنوان & خبر"
    assert article.html == "<p>نص</p>"
    assert article.url == f"https://example.org/{name}-1"
    assert article.published_at == datetime(2025, 1, 1, 9, tzinfo=UTC)
    assert (article.authors, article.source, article.language) == (["هدى"], "127.0.0.1", "ar-EG")
    assert newer.guid == f"{name}-2"
    assert (polled.feed.state.title, polled.feed.state.site) == ("أخبار", "https://example.org/")


async def test_atom(site: Site, polling: Polling, kafka: Kafka, name: str) -> None:
    """Entries of an Atom feed become articles; the content is used, not the summary."""
    entry = f"""<entry><id>urn:{name}</id><title type="html">A &lt;b&gt;bold&lt;/b&gt; title</title>
    <link href="https://example.org/{name}"/><updated>2025-01-02T03:04:05Z</updated><author><name>Ann</name></author>
    <summary>short</summary><content type="html">&lt;p&gt;long&lt;/p&gt;</content></entry>"""
    site.serve("/atom", ATOM.format(items=entry), Content_Type="application/atom+xml")
    assert (await polling.poll(site.url("/atom"))).sent == 1
    (article,) = (await raw(kafka.bootstrap))[id_of(f"urn:{name}", f"https://example.org/{name}")]
    assert (article.title, article.html) == ("A bold title", "<p>long</p>")
    assert (article.language, article.authors) == ("en", ["Ann"])
    assert article.published_at == datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC)


async def test_the_options_of_a_feed(site: Site, polling: Polling, kafka: Kafka, name: str) -> None:
    """The name of the source and the language are those that the user chose; headers and password are sent."""
    options = {"source": "الأخبار", "language": "fa", "headers": {"X-Key": "open"}, "user": "huda", "password": "p:w"}
    polled = await polling.poll(site.rss("/options", item(name)), **options)
    (article,) = (await raw(kafka.bootstrap))[id_of(name)]
    assert (article.source, article.language) == ("الأخبار", "fa")
    (request,) = site.requested("/options")
    assert request.headers["X-Key"] == "open"
    assert request.headers["Authorization"].startswith("Basic ")
    assert "p:w" not in repr(polled.feed)


async def test_full_text(site: Site, polling: Polling, kafka: Kafka, name: str) -> None:
    """With ``full_text`` an entry that is only a summary gets the text of its page; title and id are the feed's."""
    lead = "أعلنت الوزارة اليوم افتتاح ثلاثة مستشفيات جديدة في المحافظات الشمالية قبل نهاية العام."
    body = "وقال المتحدث باسم الوزارة إن المستشفيات ستضم أربعمئة سرير وستخدم نحو مليون مواطن في المنطقة كلها. " * 3
    page = f"<html><body><nav>قائمة</nav><article><h1>عنوان</h1><p>{lead}</p><p>{body}</p></article></body></html>"
    site.serve("/robots.txt", "", 404)
    site.serve(f"/{name}/page", page, Content_Type="text/html; charset=utf-8")
    entries = [item(f"{name}-{n}", f"<p>{lead}</p>", link=site.url(f"/{name}/{n}")) for n in ("page", "gone")]
    site.serve(f"/{name}/gone", "", 404)
    polled = await polling.poll(site.rss(f"/{name}", *entries), full_text=True)
    assert (polled.sent, polled.rejected) == (2, 0)
    assert any("page was not used" in problem for problem in polled.feed.state.problems)
    found = await raw(kafka.bootstrap)
    (whole,) = found[id_of(f"{name}-page", site.url(f"/{name}/page"))]
    assert (whole.title, whole.text) == ("عنوان & خبر", f"{lead}\n\n{body.strip()}")
    (summary,) = found[id_of(f"{name}-gone", site.url(f"/{name}/gone"))]
    assert summary.html == f"<p>{lead}</p>"
    assert (await polling.poll(site.url(f"/{name}"))).sent == 0
    assert len(site.requested(f"/{name}/page")) == 1


async def test_tracking_parameters(site: Site, polling: Polling, kafka: Kafka, name: str) -> None:
    """Readers see links without tracking parameters; ids are made from the link of the feed; a campaign is no news."""
    link = f"https://example.org/{name}?id=1&amp;utm_campaign="
    feed = site.rss(f"/{name}", item(name, link=f"{link}1"))
    assert (await polling.poll(feed)).sent == 1
    site.rss(f"/{name}", item(name, link=f"{link}2"))
    assert (await polling.poll(feed)).sent == 0
    (article,) = (await raw(kafka.bootstrap))[id_of(name, f"https://example.org/{name}?id=1&utm_campaign=1")]
    assert article.url == f"https://example.org/{name}?id=1"


@pytest.mark.parametrize("header", ["ETag", "Last_Modified"])
async def test_conditional(site: Site, polling: Polling, name: str, header: str) -> None:
    """The second poll is a conditional request, and a 304 sends nothing."""
    value = '"v1"' if header == "ETag" else "Wed, 01 Jan 2025 12:00:00 GMT"
    url = site.rss(f"/conditional-{header}", item(name), **{header: value})
    assert (await polling.poll(url)).sent == 1
    polled = await polling.poll(url)
    assert (polled.status, polled.sent, polled.known) == ("ok", 0, 0)
    asked = site.requested(f"/conditional-{header}")[-1].headers
    assert asked["If-None-Match" if header == "ETag" else "If-Modified-Since"] == value


async def test_an_unchanged_body_is_not_parsed(
    site: Site, polling: Polling, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without ETag and Last-Modified, the digest of the body shows that nothing has changed."""
    url = site.rss("/same", item(name))
    assert (await polling.poll(url)).sent == 1
    monkeypatch.setattr("ingest.feeds.writer.parse_feed", lambda *_, **__: pytest.fail("parsed"))
    polled = await polling.poll(url)
    assert (polled.status, polled.sent, polled.known) == ("ok", 0, 0)


async def test_changed_entries(site: Site, polling: Polling, kafka: Kafka, name: str) -> None:
    """Seen entries are not sent again; changed and new ones are."""
    url = site.rss("/changing", item(f"{name}-1"), item(f"{name}-2"))
    assert (await polling.poll(url)).sent == 2
    site.rss("/changing", item(f"{name}-3"), item(f"{name}-1", "<p>مصحح</p>"), item(f"{name}-2"))
    polled = await polling.poll(url)
    assert (polled.sent, polled.known) == (2, 1)
    found = await raw(kafka.bootstrap)
    assert [article.html for article in found[id_of(f"{name}-1")]] == ["<p>نص</p>", "<p>مصحح</p>"]
    assert [len(found[id_of(f"{name}-{number}")]) for number in (2, 3)] == [1, 1]


async def test_a_changed_link_is_a_revision(site: Site, polling: Polling, kafka: Kafka, name: str) -> None:
    """A known guid with another link is the same article."""
    url = site.rss("/relinked", item(name))
    await polling.poll(url)
    site.rss("/relinked", item(name, link=f"https://example.org/moved/{name}"))
    assert (await polling.poll(url)).sent == 1
    articles = (await raw(kafka.bootstrap))[id_of(name)]
    assert [article.url for article in articles] == [
        f"https://example.org/{name}",
        f"https://example.org/moved/{name}",
    ]


async def test_a_counter_of_readers_is_no_revision(site: Site, polling: Polling, name: str) -> None:
    """What differs only in a line that counts readers is not sent again; a number in the text is."""
    text = "أعلنت الوزارة افتتاح محطة جديدة قرب المدينة بطاقة 60 ميغاواط.<p>عدد المشاهدات: {}</p>"
    url = site.rss("/counted", item(name, text.format(120)))
    assert (await polling.poll(url)).sent == 1
    site.rss("/counted", item(name, text.format(135)))
    polled = await polling.poll(url)
    assert (polled.sent, polled.known) == (0, 1)
    site.rss("/counted", item(name, text.format(135).replace("60", "70")))
    assert (await polling.poll(url)).sent == 1


async def test_entries_that_share_a_guid_or_a_link(site: Site, polling: Polling, kafka: Kafka, name: str) -> None:
    """Each of them becomes one article, once."""
    same_guid = [item(f"{name}-s", f"text {n}", link=f"https://example.org/{name}/{n}") for n in range(3)]
    same_link = [item(f"{name}-{n}", f"other {n}", link=f"https://example.org/{name}") for n in range(3)]
    only_link = [item(None, f"third {n}", link=f"https://example.org/{name}/page") for n in range(3)]
    same_both = [item(f"{name}-b", f"fourth {n}") for n in range(3)]
    neither = [item(None, f"fifth {name} {n}", link="") for n in range(3)]
    entries = [*same_guid, *same_link, *only_link, *same_both, *neither]
    url = site.rss("/sharing", *entries)
    assert (await polling.poll(url)).sent == 15
    bodies = {article.html or article.text for found in (await raw(kafka.bootstrap)).values() for article in found}
    assert {f"{kind} {n}" for kind in ("text", "other", "third", "fourth", f"fifth {name}") for n in range(3)} <= bodies
    site.rss("/sharing", item(f"{name}-new", "new"), *entries)
    polled = await polling.poll(url)
    assert (polled.sent, polled.known) == (1, 15)


async def test_feeds_of_one_host(site: Site, polling: Polling, name: str, kafka: Kafka) -> None:
    """The same guid with another link is another article; with the same link it is one article."""
    one = site.rss("/section-a", item("1", link=f"https://example.org/{name}/a"), item(name))
    two = site.rss("/section-b", item("1", link=f"https://example.org/{name}/b"), item(name))
    assert [(await polling.poll(url)).sent for url in (one, two)] == [2, 2]
    articles = await raw(kafka.bootstrap)
    assert len(articles[id_of("1", f"https://example.org/{name}/a")]) == 1
    assert len(articles[id_of("1", f"https://example.org/{name}/b")]) == 1
    assert len(articles[id_of(name)]) == 2


async def test_an_entry_without_guid_has_the_id_of_its_link(
    site: Site, polling: Polling, kafka: Kafka, name: str
) -> None:
    """It is the article that a push with this URL from this source would be."""
    link = f"HTTPS://Example.org/خبر/{name}"
    assert (await polling.poll(site.rss("/linked", item(None, link=link)))).sent == 1
    pushed = ArticleIn(text="x", source="127.0.0.1", url=link)
    assert len((await raw(kafka.bootstrap))[article_id(pushed)]) == 1


async def test_every_entry_is_accounted_for(site: Site, polling: Polling, name: str, kafka: Kafka) -> None:
    """Sent, known, rejected and beyond the limit: together they are the entries of all documents."""

    def counted() -> dict[str, float]:
        outcomes = ("sent", "known", "rejected", "over_limit")
        value = REGISTRY.get_sample_value
        return {one: value("khabar_ingest_feed_entries_total", {"outcome": one}) or 0.0 for one in outcomes}

    bad = item(f"{name}-bad", "", title="")
    entries = [item(f"{name}-{number}") for number in range(6)]
    before = counted()
    first = [*entries[:4], entries[2], bad, item(f"{name}-head", "", title="عاجل: عنوان فقط")]
    url = site.rss("/accounted", *first)
    await polling.poll(url)
    second = [*entries, bad]
    site.rss("/accounted", *second)
    await polling.poll(url)
    third = [item(f"{name}-more-{number}") for number in range(9)]
    site.rss("/accounted", *third)
    polling.writer._max_entries = 5
    polled = await polling.poll(url)
    found = {one: value - before[one] for one, value in counted().items()}
    assert found == {"sent": 5 + 2 + 5, "known": 1 + 5, "rejected": 1, "over_limit": 4}
    assert sum(found.values()) == len(first) + len(second) + len(third)
    assert any("only the first 5 of 9" in problem for problem in polled.feed.state.problems)
    state = polled.feed.state
    assert (state.articles, state.known, state.rejected, sum(state.days.values())) == (12, 6, 1, 12)
    letters = [letter async for letter in deadletters.read(kafka.bootstrap) if name.encode() in (letter.value or b"")]
    assert len(letters) == 1


async def test_a_headline_alone_is_an_article(site: Site, polling: Polling, kafka: Kafka, name: str) -> None:
    """Its text is the headline."""
    assert (await polling.poll(site.rss("/flash", item(name, " ", title="عاجل: زلزال")))).sent == 1
    (article,) = (await raw(kafka.bootstrap))[id_of(name)]
    assert (article.title, article.text) == ("عاجل: زلزال", "عاجل: زلزال")


async def test_entry_without_content(site: Site, polling: Polling, kafka: Kafka, name: str) -> None:
    """Entries with neither body nor title become dead letters, each once, complete and retryable."""
    url = site.rss("/blank", item(f"{name}-1", "", title=""), item(f"{name}-2", " ", title=""), item(f"{name}-3"))
    polled = await polling.poll(url)
    assert (polled.sent, polled.rejected) == (1, 2)
    site.rss("/blank", item(f"{name}-1", "", title=""), item(f"{name}-2", " ", title=""))
    assert (await polling.poll(url)).rejected == 0
    letters = [letter async for letter in deadletters.read(kafka.bootstrap) if name.encode() in (letter.value or b"")]
    assert {letter.key.decode() for letter in letters} == {id_of(f"{name}-1"), id_of(f"{name}-2")}
    for letter in letters:
        assert (letter.stage, letter.topic, letter.partition) == ("feeds", "articles.raw", -1)
        assert letter.cause == "text: text or html is required and must not be blank"
        value = json.loads(letter.value)
        assert value["id"] == letter.key.decode()
        assert value["entry"]["url"] == value["url"]
    # Without the memory of the store they are refused again, but readers still get one dead letter for each.
    await polling.feeds.remove(polled.feed.id)
    await polling.feeds._redis.delete(f"feed:{{khabar}}:{polled.feed.id}:seen")
    assert (await polling.poll(url)).rejected == 2
    again = [letter async for letter in deadletters.read(kafka.bootstrap) if name.encode() in (letter.value or b"")]
    assert len(again) == 2


async def test_invalid_optional_fields_are_left_out(site: Site, polling: Polling, kafka: Kafka, name: str) -> None:
    """A wrong language, author or guid costs the field, not the article."""
    odd = item(f"{name}-1").replace("هدى", "x" * 500)
    long_guid = item(f"{name}-{'g' * 1_000}", link=f"https://example.org/{name}-2")
    polled = await polling.poll(site.rss("/odd", odd, long_guid, language="Arabic (all)"))
    assert (polled.sent, polled.rejected) == (2, 0)
    articles = await raw(kafka.bootstrap)
    (article,) = articles[id_of(f"{name}-1")]
    assert article.language is None
    assert article.authors in ([], ["x" * 200])


@pytest.mark.parametrize(
    "broken",
    [
        ("/html", ("<html><body>no feed</body></html>", 200, {}), "not a feed"),
        ("/empty", ("", 200, {}), "not a feed"),
        ("/garbage", (b"\x00\xff\x13" * 100, 200, {}), "not a feed"),
        ("/missing", ("", 404, {}), "404"),
        ("/large", (b" " * 5_000_001, 200, {}), "larger than"),
        ("/bomb", (gzip.compress(b" " * 50_000_000), 200, {"Content_Encoding": "gzip"}), "larger than"),
        ("/notgzip", ("plain", 200, {"Content_Encoding": "gzip"}), "gzip"),
        ("/elsewhere", ("", 302, {"Location": "file:///etc/passwd"}), "file"),
    ],
)
async def test_broken_feed(site: Site, polling: Polling, broken: tuple) -> None:
    """Each kind of broken feed is shown as failing, with the cause, and no validators are kept."""
    path, (body, status, headers), cause = broken
    site.serve(path, body, status, **headers, ETag='"broken"')
    polled = await polling.poll(site.url(path))
    assert polled.status == "failing"
    assert cause in polled.error
    assert (polled.feed.state.failures, polled.feed.state.etag, polled.feed.state.body_hash) == (1, "", "")


async def test_half_broken_feed(site: Site, polling: Polling, name: str) -> None:
    """The entries of a truncated feed that are complete are accepted."""
    site.serve("/half", rss(item(name) + "<item><title>cut").replace("</channel></rss>", ""))
    assert (await polling.poll(site.url("/half"))).sent >= 1


async def test_a_feed_that_has_ended(site: Site, polling: Polling, name: str) -> None:
    """410 ends a feed: it is shown as gone and not polled, until somebody asks for it."""
    url = site.rss("/gone", item(name))
    feed_id = (await polling.poll(url)).feed.id
    site.serve("/gone", "", 410)
    polled = await polling.poll(url)
    assert (polled.status, polled.feed.state.next_poll) == ("gone", 0.0)
    assert (await polling.feeds.claim_due("x", most=9, seconds=1))[0] == []
    site.rss("/gone", item(name))
    assert await polling.feeds.poll_now(feed_id)
    assert (await polling.poll(url)).status == "ok"


async def test_a_feed_that_has_moved(site: Site, polling: Polling, name: str) -> None:
    """301 moves a feed for good: it keeps its id and its memory, and the new address is asked from then on."""
    old = site.rss("/old", item(f"{name}-1"))
    before = await polling.poll(old)
    new = site.rss("/new", item(f"{name}-2"), item(f"{name}-1"))
    site.serve("/old", "", 301, Location="/new")
    polled = await polling.poll(old)
    assert (polled.feed.id, polled.feed.url, polled.sent, polled.known) == (before.feed.id, new, 1, 1)
    requests = len(site.requested("/old"))
    assert (await polling.poll(new)).feed.id == before.feed.id
    assert len(site.requested("/old")) == requests


async def test_a_feed_that_has_moved_to_another_one(site: Site, polling: Polling, name: str) -> None:
    """Two feeds with one address would send everything twice: the one that has moved has ended."""
    one, two = site.rss("/first", item(name)), site.rss("/second", item(name))
    for url in (one, two):
        await polling.poll(url)
    site.serve("/first", "", 301, Location="/second")
    polled = await polling.poll(one)
    assert (polled.status, polled.feed.url) == ("gone", one)
    assert two in polled.error


async def test_entity_bomb(site: Site, polling: Polling, kafka: Kafka, name: str) -> None:
    """Exponentially growing XML entities and external entities are not expanded."""
    grow = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 10))
    doctype = f"""<!DOCTYPE rss [<!ENTITY e0 "ha">{grow}<!ENTITY f SYSTEM "file:///etc/hostname">]>"""
    document = f"""<?xml version="1.0"?>{doctype}
    <rss version="2.0"><channel><title>t</title><item><guid>urn:{name}</guid>
    <description>a &e9; &f; b</description></item>
    </channel></rss>"""
    site.serve("/entities", document)
    async with asyncio.timeout(10):
        polled = await polling.poll(site.url("/entities"))
    assert polled.sent + polled.feed.state.failures == 1
    found = [article for articles in (await raw(kafka.bootstrap)).values() for article in articles]
    for article in found:
        if article.guid == f"urn:{name}":
            assert len(article.html or article.text) < 100
            assert socket.gethostname() not in (article.html or article.text)


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
    site: Site, url: str, polling: Polling, kafka: Kafka, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Feeds that a parser would take minutes for are errors of their own: others and pushes do not wait for them."""
    monkeypatch.setattr(feed_parser, "CPU_SECONDS", 0.7)
    ids = []
    for path, document in hostile_feeds().items():
        site.serve(path, document)
        ids.append(await polling.feeds.add(FeedOptions(url=site.url(path)), most=100))
    site.rss("/between", item(f"{name}-1"))
    ids.append(await polling.feeds.add(FeedOptions(url=site.url("/between")), most=100))
    task = asyncio.create_task(polling.poller.run())
    slowest = 0.0

    async def all_polled() -> bool:
        return all(feed.state.polled for feed in await polling.feeds.all())

    try:
        async with asyncio.timeout(30), ClientSession() as client:
            while not await all_polled():
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


async def test_a_long_title_is_cut(site: Site, polling: Polling, kafka: Kafka, name: str) -> None:
    """Of a title of 150,000 characters the beginning is kept."""
    url = site.rss("/long", item(name, title=f"<![CDATA[<b>خبر</b> {'<' * 150_000}]]>"))
    assert (await polling.poll(url)).sent == 1
    (article,) = (await raw(kafka.bootstrap))[id_of(name)]
    assert article.title.startswith("خبر <<<")
    assert len(article.title) <= 2_000


async def test_gzip_and_redirects(site: Site, polling: Polling, name: str) -> None:
    """A compressed feed after five redirects is read; six redirects are too many."""
    site.serve("/end", gzip.compress(rss(item(name)).encode()), Content_Encoding="gzip")
    assert (await polling.poll(site.url("/redirect/4"))).sent == 1
    assert "more than 5 redirects" in (await polling.poll(site.url("/redirect/5"))).error


async def test_private_addresses_are_refused(
    site: Site, settings: Settings, store: Store, intake: Intake, name: str
) -> None:
    """No feed can connect to a private address: as an address, a host name, or a number."""
    site.rss("/private", item(name))
    before = len(site.requests)
    async with polling_with(settings, store, intake, allow_private_addresses=False) as guarded:
        for host in ("127.0.0.1", "localhost", "2130706433", "0x7f.1", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0"):  # noqa: S104
            polled = await guarded.poll(f"http://{host}:{site.port}/private")
            assert polled.status == "failing"
            assert re.search(r"is not a public address|canonical", polled.error)
    assert len(site.requests) == before


async def test_redirect_to_a_private_address(  # noqa: PLR0913, PLR0917
    site: Site, settings: Settings, store: Store, intake: Intake, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A redirect from a public site to a private address is refused."""
    site.rss("/inside", item(name))
    # Only the first server of the two counts as public here.
    monkeypatch.setattr("services.addresses.is_public", lambda address: address == "127.0.0.1")
    for target in ("127.0.0.2", "[::1]"):
        site.serve("/out", "", 302, Location=f"http://{target}:{site.port}/inside")
        before = len(site.requests)
        async with polling_with(settings, store, intake, allow_private_addresses=False) as guarded:
            assert "is not a public address" in (await guarded.poll(site.url("/out"))).error
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


async def test_kafka_unavailable(  # noqa: PLR0913, PLR0917
    site: Site, polling: Polling, settings: Settings, store: Store, kafka: Kafka, name: str
) -> None:
    """When Kafka is unavailable, nothing is remembered, the feed does not count as failing, and nothing is lost."""
    url = site.rss("/away", item(name), ETag='"a"')
    away = Intake(f"127.0.0.1:{free_port()}", timeout=0.3)
    async with polling_with(settings, store, away) as waiting:
        polled = await waiting.poll(url)
    await away.close()
    assert (polled.status, polled.feed.state.failures, polled.feed.state.etag) == ("new", 0, "")
    assert (await polling.poll(url)).sent == 1
    assert len((await raw(kafka.bootstrap))[id_of(name)]) == 1


async def test_poller(  # noqa: PLR0913, PLR0917
    site: Site, settings: Settings, store: Store, intake: Intake, kafka: Kafka, name: str
) -> None:
    """A feed that does not respond and a broken one do not delay the others, which are polled again and again."""
    site.serve("/never", "no feed")
    site.rss("/regular", item(f"{name}-1"))
    async with polling_with(settings, store, intake, feed_interval=1.0) as polling:
        for path in ("/slow", "/never", "/regular"):
            await polling.feeds.add(FeedOptions(url=site.url(path), interval=0.1), most=9)
        task = asyncio.create_task(polling.poller.run())

        async def sent(guid: str) -> bool:
            return id_of(guid) in await raw(kafka.bootstrap)

        try:
            await eventually(lambda: sent(f"{name}-1"), seconds=5)
            site.rss("/regular", item(f"{name}-2"))
            await eventually(lambda: sent(f"{name}-2"), seconds=5)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        states = {feed.url: feed for feed in await polling.feeds.all()}
        assert states[site.url("/never")].state.failures > 0
        # What was in progress at the end is due at once, for other processes or the next start.
        claims, _ = await polling.feeds.claim_due("next", most=9, seconds=1)
        assert site.url("/slow") in {claim.feed.url for claim in claims}


async def test_backoff(site: Site, polling: Polling, name: str) -> None:
    """Each failure in a row doubles the delay, up to six hours; a success resets it."""
    site.serve("/flaky", "no feed")
    delays = []
    for _ in range(10):
        state = (await polling.poll(site.url("/flaky"), interval=300.0)).feed.state
        delays.append(round(state.next_poll - state.polled, -1))
    assert delays[:3] == [600, 1200, 2400]
    assert delays[-1] == 6 * 3600
    site.rss("/flaky", item(name))
    state = (await polling.poll(site.url("/flaky"))).feed.state
    assert (round(state.next_poll - state.polled, -1), state.failures, state.error) == (300, 0, "")


async def test_passwords_in_feed_urls_are_not_shown(polling: Polling, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither in the log of a failing feed nor in its state, whatever the failure."""
    for address in (f"127.0.0.1:{free_port()}/x", "no-such-host.invalid/x"):
        polled = await polling.poll(f"http://user:secret@{address}")
        assert polled.status == "failing"
        assert "secret" not in repr(polled)
    logged = capsys.readouterr().out
    assert logged.count("feed_failing") == 2
    assert "secret" not in logged
    assert "user" not in logged
