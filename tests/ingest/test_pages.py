"""Full text from the pages of a local server, which shows other things than articles, too."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from ingest.pages import Pages, shown_url
from ingest.pages.addresses import leads_to_front, same_site
from ingest.pages.article_check import holds, without_more
from ingest.pages.complete import PAGES
from ingest.pages.robots import Robots
from ingest.web import WebClient
from services.documents.feed import FeedEntry
from tests.ingest.misbehaving import Misbehaving, misbehaving

TITLE = "وزير المالية يعلن خفض الرسوم الجمركية على الأدوية"
LEAD = "أعلن وزير المالية اليوم خفض الرسوم الجمركية على الأدوية المستوردة بنسبة عشرة في المئة ابتداء من الشهر المقبل."
BODY = [
    "وقال الوزير في مؤتمر صحفي في العاصمة إن القرار يهدف إلى تخفيف الأعباء عن المرضى وتشجيع المنافسة بين الموردين.",
    "وأضاف أن اللجنة المشتركة ستراجع الأسعار كل ثلاثة أشهر وتنشر قائمة بالأصناف المشمولة على موقع الوزارة.",
    "ورحبت نقابة الصيادلة بالخطوة لكنها دعت إلى رقابة أشد على الأسواق حتى يصل الخفض إلى المستهلك.",
    "ويبلغ حجم استيراد الأدوية نحو سبعمئة مليون دينار سنويا بحسب بيانات دائرة الإحصاءات العامة.",
]
ENGLISH_LEAD = (
    "The harbour authority closed both northern terminals on Tuesday after a storm damaged three container cranes."
)
ENGLISH_BODY = [
    "Engineers said repairs would take at least two weeks, and shipping lines now divert vessels to the south.",
    "Nobody was hurt when the cranes gave way shortly before dawn, its director told reporters at the quay.",
    "Traders expect grain deliveries to be late, although warehouses in the city hold enough stock for a month.",
]


def page(*paragraphs: str, title: str = TITLE, head: str = "", before: str = "") -> bytes:
    """A page of an article."""
    text = "".join(f"<p>{paragraph}</p>" for paragraph in paragraphs)
    menu = "<nav><a href='/'>الرئيسية</a><a href='/sport'>رياضة</a></nav>"
    return (
        f"<!DOCTYPE html><html><head><title>{title}</title>{head}</head><body>{menu}{before}"
        f"<article><h1>{title}</h1>{text}</article></body></html>"
    ).encode()


ARTICLE = page(LEAD, *BODY)
ENGLISH = FeedEntry(title="Storm closes northern terminals", text=ENGLISH_LEAD, summary_only=True)


@pytest.fixture
async def site() -> AsyncIterator[Misbehaving]:
    """A site without a robots.txt."""
    async with misbehaving() as running:
        yield running


@pytest.fixture
async def pages() -> AsyncIterator[Pages]:
    """Pages that need not wait between requests."""
    async with WebClient(agent="Khabar/test", allow_private=True, seconds=5.0) as web:
        yield Pages(web, max_bytes=200_000, delay=0.0)


def entry(url: str, **changes: object) -> FeedEntry:
    """An entry with a summary."""
    made = FeedEntry(guid="1", url=url, title=TITLE, html=f"<p>{LEAD}</p>", summary_only=True, origins={"html": "x"})
    return replace(made, **changes)  # type: ignore[arg-type]


def count(outcome: str) -> float:
    """How many pages had this outcome."""
    return PAGES.labels(outcome)._value.get()


HTML = {"Content_Type": "text/html; charset=utf-8"}


async def test_full_text(site: Misbehaving, pages: Pages) -> None:
    """An entry with a summary gets the text of its page, without the site around it; title and guid are the feed's."""
    before = count("complete")
    url = site.serve("/news/1", ARTICLE, **HTML)
    done = await pages.complete(entry(url, title="عنوان الموجز: " + TITLE))
    assert done.text == "\n\n".join([LEAD, *BODY])
    assert (done.html, done.summary_only, done.origins) == (None, False, {"text": "page"})
    assert (done.title, done.guid, done.url) == ("عنوان الموجز: " + TITLE, "1", url)
    assert count("complete") == before + 1


async def test_the_lead_of_the_feed_is_kept(site: Misbehaving, pages: Pages) -> None:
    """A summary that the page does not repeat stays before its text; one that was cut is not repeated."""
    url = site.serve("/news/1", page(*BODY, head=f'<meta name="description" content="{LEAD}">'), **HTML)
    own = "خفض الرسوم على الأدوية المستوردة يهدف إلى تخفيف الأعباء عن المرضى وتشجيع المنافسة، كما قال الوزير."
    done = await pages.complete(entry(url, html=own))
    assert done.text == "\n\n".join([own, *BODY])
    site.serve("/news/1", ARTICLE, **HTML)
    cut = await pages.complete(entry(url, html=LEAD[:80] + "… [اقرأ المزيد]"))
    assert cut.text == "\n\n".join([LEAD, *BODY])


async def test_windows_1256_and_compression(site: Misbehaving, pages: Pages) -> None:
    """Pages in Arabic code pages are read, declared or not."""
    data = ARTICLE.decode().encode("cp1256", "replace")
    for kind in ("text/html", "text/html; charset=windows-1256", "text/html; charset=utf-8"):
        done = await pages.complete(entry(site.serve("/old", data, Content_Type=kind)))
        assert done.text is not None
        assert done.text.endswith(BODY[-1])


async def test_headline_alone(site: Misbehaving, pages: Pages) -> None:
    """An entry of a headline alone gets the text of a page about it."""
    url = site.serve("/news/1", ARTICLE, **HTML)
    done = await pages.complete(entry(url, html=None, text=TITLE))
    assert done.text == "\n\n".join([LEAD, *BODY])
    other = site.serve("/news/2", page(*ENGLISH_BODY, title="Harbour"), **HTML)
    assert (await pages.complete(entry(other, html=None, text=TITLE))).text == TITLE


NOT_THE_ARTICLE = {
    "consent": page(
        "نستخدم ملفات تعريف الارتباط لتحسين تجربتك. بالضغط على موافق فإنك تقبل سياسة الخصوصية وشروط الاستخدام.",
        title="موافقة",
    ),
    "paywall": page(LEAD, *BODY[:2], "اشترك الآن لمتابعة القراءة والوصول إلى كل المقالات."),
    "login": page("أدخل البريد الإلكتروني وكلمة المرور", title="تسجيل الدخول", before="<input type='password'>"),
    "not_found": page("عذرا، الصفحة التي تبحث عنها غير موجودة. عد إلى الصفحة الرئيسية.", title="404"),
    "other_page": page(*ENGLISH_BODY, title="Storm closes terminals"),
    "no_longer": page(LEAD),
    "empty": b"<html><body><nav><a href='/'>x</a></nav><script>load()</script></body></html>",
}


@pytest.mark.parametrize("cause", NOT_THE_ARTICLE)
async def test_pages_that_are_not_the_article(site: Misbehaving, pages: Pages, cause: str) -> None:
    """What is shown in place of the article is recognised with status 200, too: the feed's own text is used."""
    before = count(cause)
    wanted = entry(site.serve("/news/1", NOT_THE_ARTICLE[cause], **HTML))
    done = await pages.complete(wanted)
    assert replace(done, problems=[]) == wanted
    assert done.problems[0].startswith("text: the page was not used: ")
    assert count(cause) == before + 1


@pytest.mark.parametrize(
    "ending",
    [
        "Subscribe to continue reading this story.",
        "Already a subscriber? Sign in.",
        "This article is for subscribers only.",
        '<script type="application/ld+json">{"isAccessibleForFree": "False"}</script>',
        "</p><div class=paywall><h3>Keep reading for 1 €</h3><a href='/offer'>See offers</a></div><p>",
    ],
)
async def test_paywalls(site: Misbehaving, pages: Pages, ending: str) -> None:
    """The beginning of an article that is not free is not the article; a whole article that names a newsletter is."""
    title = ENGLISH.title or ""
    url = site.serve("/1", page(ENGLISH_LEAD, ENGLISH_BODY[0], ending, title=title), **HTML)
    assert (await pages.complete(replace(ENGLISH, url=url))).text == ENGLISH_LEAD
    whole = page(ENGLISH_LEAD, *ENGLISH_BODY, "Sign up for our morning newsletter.", title=title)
    done = await pages.complete(replace(ENGLISH, url=site.serve("/1", whole, **HTML)))
    assert ENGLISH_BODY[-1] in (done.text or "")


async def test_head_has_the_summary(site: Misbehaving, pages: Pages) -> None:
    """A page may have the summary in its head only, if its headline is the entry's; a consent page may not."""
    head = f'<meta property="og:description" content="{ENGLISH_LEAD}">'
    title = ENGLISH.title or ""
    text = [*ENGLISH_BODY, "The storm also closed the northern road to the harbour and its railway for some hours."]
    url = site.serve("/1", page(*text, title=title, head=head), **HTML)
    assert (await pages.complete(replace(ENGLISH, url=url))).text == "\n\n".join([ENGLISH_LEAD, *text])
    notice = ["We use cookies to show content on northern ports and other terminals that you may like. " * 3] * 2
    for other in (page(*text, title="Ports of the north", head=head), page(*notice, title=title, head=head)):
        site.serve("/1", other, **HTML)
        assert (await pages.complete(replace(ENGLISH, url=url))).text == ENGLISH_LEAD


@pytest.mark.parametrize("heading", ["<h1>Latest news</h1>", "", "<h1>Page not found</h1>"])
async def test_lists_of_articles(site: Misbehaving, pages: Pages, heading: str) -> None:
    """A list that begins with the title and the summary of the article is not the article."""
    teasers = "".join(f"<h2><a href='/{n}'>Story {n}</a></h2><p>{ENGLISH_BODY[n % 3]}</p>" for n in range(9))
    first = f"<h2><a href='/1'>{ENGLISH.title}</a></h2><p>{ENGLISH_LEAD}</p>"
    listed = f"<!DOCTYPE html><html><title>News</title><body><main>{heading}{first}{teasers}</main></body></html>"
    url = site.serve("/1", listed.encode(), **HTML)
    assert (await pages.complete(replace(ENGLISH, url=url))).text == ENGLISH_LEAD


async def test_another_headline(site: Misbehaving, pages: Pages) -> None:
    """An article whose headline was rewritten is the article: its text begins as the summary."""
    url = site.serve("/1", page(ENGLISH_LEAD, *ENGLISH_BODY, title="Cranes down, ships away"), **HTML)
    assert ENGLISH_BODY[-1] in ((await pages.complete(replace(ENGLISH, url=url))).text or "")


async def test_front_pages(site: Misbehaving, pages: Pages) -> None:
    """A redirect to the front page is not the article, although the front page has its title and summary."""
    teasers = "".join(f"<div><h2><a href='/{n}'>عنوان {n}</a></h2><p>{BODY[n % 4]}</p></div>" for n in range(20))
    front = page(LEAD, *BODY, before=teasers)
    site.serve("/", front, **HTML)
    site.serve("/ar/", front, **HTML)
    for target in ("/", "/ar/"):
        wanted = entry(site.redirect("/news/1", target))
        assert (await pages.complete(wanted)).text is None
    # A list of other articles that names this one far below.
    listed = page(*[f"{body} {body}" for body in BODY * 4], LEAD, title="آخر الأخبار")
    assert (await pages.complete(entry(site.serve("/latest", listed, **HTML)))).text is None


async def test_robots(site: Misbehaving, pages: Pages) -> None:
    """Pages that robots.txt forbids are not asked for; it is asked for once."""
    site.serve("/robots.txt", b"User-agent: *\nDisallow: /\n\nUser-agent: khabar\nDisallow: /private/*.html$\n")
    url = site.serve("/news/1", ARTICLE, **HTML)
    for path in ("/private/1.html", "/private/x/2.html"):
        site.serve(path, ARTICLE, **HTML)
        assert (await pages.complete(entry(site.url(path)))).text is None
        assert site.asked(path) == []
    assert (await pages.complete(entry(url))).text is not None
    assert len(site.asked("/robots.txt")) == 1


@pytest.mark.parametrize(
    ("status", "body", "allowed"),
    [
        (404, b"", True),
        (403, b"", True),
        (429, b"", False),
        (500, b"", False),
        (200, b"", True),
        (200, b"<html>no rules</html>" * 50_000, True),
        (200, b"\xef\xbb\xbfUser-agent: *\r\nDisallow: /", False),
    ],
)
async def test_robots_answers(site: Misbehaving, status: int, body: bytes, allowed: bool) -> None:
    """Without a robots.txt all is allowed; if it cannot be had, nothing is, for ten minutes."""
    clock = [0.0]
    site.serve("/robots.txt", body, status)
    async with WebClient(agent="Khabar/test", allow_private=True) as web:
        robots = Robots(web, clock=lambda: clock[0])
        found = await asyncio.gather(*(robots.permission(site.url(f"/{number}")) for number in range(5)))
        assert {one.allowed for one in found} == {allowed}
        assert len(site.asked("/robots.txt")) == 1
        site.serve("/robots.txt", b"User-agent: *\nCrawl-delay: 3\n")
        clock[0] = 601.0
        known = status < 429
        assert (await robots.permission(site.url("/"))).delay == (0.0 if known else 3.0)
        clock[0] = 86_401.0
        assert (await robots.permission(site.url("/"))).delay == 3.0


async def test_pace(site: Misbehaving) -> None:
    """Pages of one host are fetched one at a time with a pause; a slow host delays no other."""
    async with misbehaving("localhost") as slow, WebClient(agent="x", allow_private=True) as web:
        pages = Pages(web, max_bytes=200_000, delay=0.1)
        url = site.serve("/news/1", ARTICLE, **HTML)
        slow.answers["/news/1"] = slow.stall
        began = time.monotonic()
        waiting = asyncio.create_task(pages.complete_all([entry(slow.url("/news/1"))] * 3, seconds=0.8))
        done = await pages.complete_all([entry(f"{url}?p={number}") for number in range(4)])
        assert all(one.text for one in done)
        assert time.monotonic() - began >= 0.3
        assert site.most == 1
        late = await waiting
        assert [one.text for one in late] == [None] * 3
        assert time.monotonic() - began < 3


@pytest.mark.parametrize(("status", "times"), [(429, 1), (503, 1), (None, 3), (404, 6)])
async def test_hosts_that_fail(site: Misbehaving, pages: Pages, status: int | None, times: int) -> None:
    """A host that is busy, or does not answer three times in a row, is asked no more for a while."""
    if status is None:
        site.answers["/news/1"] = b""
    else:
        site.serve("/news/1", ARTICLE, status)
    done = await pages.complete_all([entry(site.url(f"/news/1?{number}")) for number in range(6)])
    assert [one.text for one in done] == [None] * 6
    # aiohttp asks once more when a connection is closed without a response.
    assert len(site.asked("/news/1")) in {times, 2 * times}
    assert len([one for one in done if "asks to wait" in one.problems[-1]]) == 6 - times


@pytest.mark.parametrize(
    ("status", "kind", "body"),
    [
        (404, "text/html", ARTICLE),
        (503, "text/html", ARTICLE),
        (200, "application/pdf", b"%PDF-1.7"),
        (200, "", b"%PDF-1.7"),
        (200, "text/html", b"<html>" + b"<p>word</p>" * 50_000),
        (200, "text/html", b""),
        (200, "text/html", b"\x00\xff" * 1_000),
    ],
)
async def test_bad_pages(site: Misbehaving, pages: Pages, status: int, kind: str, body: bytes) -> None:
    """Errors, other types, oversized and empty pages leave the entry as it is."""
    wanted = entry(site.serve("/news/1", body, status, Content_Type=kind))
    assert replace(await pages.complete(wanted), problems=[]) == wanted


async def test_private_addresses(site: Misbehaving) -> None:
    """Links of feeds to private addresses are not followed."""
    async with WebClient(agent="x") as web:
        wanted = entry(site.serve("/news/1", ARTICLE, **HTML))
        assert (await Pages(web, max_bytes=200_000).complete(wanted)).text is None
    assert site.requests == []


async def test_entries_that_are_whole(site: Misbehaving, pages: Pages) -> None:
    """The page of an entry that has its text in the feed, and of one without a link, is not asked for."""
    whole = entry(site.url("/news/1"), html="<p>" + " ".join(BODY * 4) + "</p>", summary_only=False)
    for wanted in (whole, replace(entry(""), url=None)):
        assert await pages.complete(wanted) == wanted
    assert site.requests == []


@pytest.mark.parametrize(
    ("canonical", "shown"),
    [
        ("/news/1-title?utm_source=x", "/news/1-title"),
        ("https://elsewhere.example/news/1", "/news/1"),
        ("/", "/news/1"),
        ("/news", "/news/1"),
    ],
)
async def test_canonical_address(site: Misbehaving, pages: Pages, canonical: str, shown: str) -> None:
    """The page's own address is shown if it is one of the same site and not that of a front page."""
    head = f'<link rel="canonical" href="{canonical}">'
    url = site.serve("/news/1", page(LEAD, *BODY, head=head), **HTML)
    done = await pages.complete(entry(url + "?utm_medium=rss&id=3"))
    assert done.url == site.url(shown) + ("?id=3" if shown == "/news/1" else "")
    assert site.requests[-1].path == "/news/1?id=3"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://n.example/a?utm_source=rss&utm_medium=feed", "https://n.example/a"),
        ("https://n.example/a?id=7&UTM_Source=rss&x=%D8%AE+y", "https://n.example/a?id=7&x=%D8%AE+y"),
        ("https://n.example/a?fbclid=1&p=2#part", "https://n.example/a?p=2#part"),
        ("https://n.example/a?p=2&amp;utm_source=rss", "https://n.example/a?p=2"),
        ("https://n.example/a.html#xtor=RSS-3208", "https://n.example/a.html"),
        ("https://n.example/a?", "https://n.example/a?"),
        ("https://n.example/?p=123&source=4&ref=5&page=6", "https://n.example/?p=123&source=4&ref=5&page=6"),
        ("https://n.example/خبر?at_medium=RSS", "https://n.example/خبر"),
        ("https://n.example/a?q=utm_source", "https://n.example/a?q=utm_source"),
        ("https://n.example/a#!/utm_x/b", "https://n.example/a#!/utm_x/b"),
    ],
)
def test_shown_url(url: str, shown: str) -> None:
    """Tracking parameters are not shown; all that may identify the article stays as it was."""
    assert shown_url(url) == shown
    assert shown_url(shown) == shown


def test_sites() -> None:
    """Hosts of one registered domain are one site; those of a public suffix are not."""
    assert same_site("https://www.news.co.uk/a", "https://m.news.co.uk/b")
    assert not same_site("https://news.co.uk/a", "https://other.co.uk/b")
    assert not same_site("https://a.blogspot.com/", "https://b.blogspot.com/")
    assert same_site("http://127.0.0.1:1/", "http://127.0.0.1:2/")
    assert not same_site("http://127.0.0.1/", "http://127.0.0.2/")
    assert leads_to_front("https://n.example/ar/news/1", "https://n.example/ar")
    assert leads_to_front("https://n.example/a/b/c", "https://n.example/a/b/")
    assert not leads_to_front("https://n.example/a/b", "https://n.example/a/b/")
    assert not leads_to_front("https://n.example/a/b", "https://n.example/2025/b-title")
    assert not leads_to_front("https://n.example/?p=1", "https://n.example/?p=1")


def test_summaries() -> None:
    """A summary is found in a text in spite of other punctuation, marks and its cut end."""
    assert without_more("One two three [...]") == "One two three"
    assert without_more("One two three… Read more »") == "One two three"
    assert without_more("One two three.") == "One two three."
    assert holds("He said: “One two three four five.” So.", "one two - three four...")
    assert holds("وَقالَ الوزيرُ إنَّ القرار مهم", "وقال الوزير إن القرار")
    assert not holds("Something else", "One two three four")
