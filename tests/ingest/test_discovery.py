"""Finding the feeds of a site on a local web server."""

from collections.abc import AsyncIterator

import pytest

from ingest.feeds.discovery import Discovery, Unreachable, described, discover
from ingest.web import WebClient
from tests.ingest.sites import Site, running_site

_MAX = 1_000_000


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    """A new site."""
    async with running_site() as made:
        yield made


@pytest.fixture
async def web() -> AsyncIterator[WebClient]:
    """A client that may connect to this machine."""
    async with WebClient(agent="Khabar", allow_private=True) as opened:
        yield opened


def found(discovery: Discovery) -> list[str]:
    """The addresses of the feeds that were found."""
    return [one.url for one in described(discovery.feeds)]


async def test_a_feed_is_itself(site: Site, web: WebClient) -> None:
    """One request is enough."""
    url = site.rss("/rss", "خبر")
    got = await discover(url, web, max_bytes=_MAX)
    assert (got.first.url, got.feeds, site.asked) == (url, [], ["/rss"])
    assert got.first.content is not None
    assert got.first.content.title == "أخبار"


async def test_the_feeds_that_a_page_declares(site: Site, web: WebClient) -> None:
    """Anywhere on the page, of all formats, resolved against its base; not other alternates and dead links."""
    main, sport = site.rss("/ar/main.xml", "أ", title="الرئيسية"), site.rss("/ar/sport.xml", "ب", title="رياضة")
    atom = site.serve(
        "/ar/atom",
        '<feed xmlns="http://www.w3.org/2005/Atom"><title>Atom</title><id>a</id>'
        "<updated>2025-01-02T00:00:00Z</updated></feed>",
    )
    json_feed = site.serve(
        "/feed.json",
        '{"version": "https://jsonfeed.org/version/1.1", "title": "J", "items": [{"id": "1", "content_text": "x"}]}',
        Content_Type="application/feed+json",
    )
    page = site.serve(
        "/",
        f"""<!doctype html><base href="/ar/"><title>موقع</title>
        <link rel="alternate" hreflang="en" href="/en/"><link rel=stylesheet href="rss.css">
        <link rel="alternate" type="application/json+oembed" href="/oembed">
        <LINK REL='Alternate' TYPE='Application/RSS+XML; charset=utf-8' title=الرئيسية HREF='main.xml'>
        <p>نص <link rel="alternate" type="application/rss+xml" href="sport.xml">
        <link rel="alternate" type="application/atom+xml" href="{atom}"/>
        <link rel="alternate" type="application/json" href="/feed.json">
        <link rel="alternate" type="application/rss+xml" href="gone.xml">
        <link rel="alternate" type="application/rss+xml" href="main.xml#again">
        <!-- <link rel="alternate" type="application/rss+xml" href="old.xml"> -->""",
    )
    got = await discover(page, web, max_bytes=_MAX)
    assert found(got) == [main, sport, atom, json_feed]
    titles = [(one.title, one.entries) for one in described(got.feeds)]
    assert titles == [("الرئيسية", 1), ("رياضة", 1), ("Atom", 0), ("J", 1)]
    assert "/ar/old.xml" not in site.asked


async def test_a_page_that_lists_feeds(site: Site, web: WebClient) -> None:
    """Links whose address or text looks like a feed, also one page further on; those that are none are left out."""
    feeds = [site.rss(f"/feeds/{number}.xml", f"خبر {number}", title=f"قسم {number}") for number in range(3)]
    links = "".join(f'<li><a href="{url}"><img src=x.png></a></li>' for url in feeds)
    site.serve("/services/rss", f'<h1>خلاصات</h1><ul>{links}<li><a href="/about-feeds">About</a></ul>')
    site.serve("/about-feeds", "<p>About</p>")
    page = site.serve("/", '<a href="/p/feedback">Write</a><a href="/services/rss">خدمة آر إس إس</a>')
    assert found(await discover(page, web, max_bytes=_MAX)) == feeds
    assert "/p/feedback" not in site.asked


async def test_the_usual_paths(site: Site, web: WebClient) -> None:
    """Where the page says nothing: below the page and at the root. Aliases of one feed are one."""
    page = site.serve("/blog/today", "<p>لا شيء هنا")
    first = site.rss("/blog/today/feed", "أ")
    root = site.rss("/rss.xml", "ب")
    site.rss("/feed.xml", "ب", title="أخبار")
    site.answers["/feed.xml"] = site.answers["/rss.xml"]
    assert found(await discover(page, web, max_bytes=_MAX)) == [first, root]


async def test_a_permanent_redirect_gives_the_new_address(site: Site, web: WebClient) -> None:
    """A temporary one does not."""
    site.rss("/new", "خبر")
    site.serve("/moved", "", status=301, Location="/new")
    site.serve("/elsewhere", "", status=302, Location="/new")
    for old, new in (("/moved", "/new"), ("/elsewhere", "/elsewhere")):
        got = await discover(site.url(old), web, max_bytes=_MAX)
        assert got.first.url == site.url(new)


async def test_nothing_is_found_where_there_is_nothing(site: Site, web: WebClient) -> None:
    """The answer is no feed, and the number of requests is bounded."""
    links = "".join(f'<a href="/rss/{number}">RSS</a>' for number in range(500))
    site.serve("/", f"<p>{links}")
    got = await discover(site.url("/"), web, max_bytes=_MAX)
    assert (found(got), got.complete) == ([], False)
    assert got.first.error
    assert len(site.asked) <= 31


async def test_what_cannot_be_read_says_why(site: Site, web: WebClient) -> None:
    """The status, or the limit that it exceeds."""
    large = site.serve("/large", "x" * 2_000)
    for url, cause in ((site.url("/missing"), "404"), (large, "larger than 1000 bytes")):
        with pytest.raises(Unreachable, match=cause):
            await discover(url, web, max_bytes=1_000)


async def test_slow_links_take_no_longer_than_the_limit(site: Site, web: WebClient) -> None:
    """What was found until then is the answer, marked as not complete."""
    fast = site.rss("/rss", "خبر")
    site.serve("/feed", "", status=299)
    page = site.serve("/", '<link rel=feed href="/feed"><a href="/rss">RSS</a><link rel=feed href="/rss">')
    got = await discover(page, web, max_bytes=_MAX, seconds=1.0)
    assert (found(got), got.complete) == ([fast], False)
