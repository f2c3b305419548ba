"""Feed documents as they are met on the web become entries: nothing is lost, and what is odd costs itself."""

import html
import json
import time
from datetime import UTC, datetime

import pytest

from services.documents.feed import FeedContent, FeedEntry, NotAFeed
from services.documents.feed_parser import parse_feed

NOW = datetime(2026, 11, 30, 9, tzinfo=UTC)
URL = "https://news.example/feeds/all.xml"
SPACES = (
    'xmlns:content="http://purl.org/rss/1.0/modules/content/" xmlns:dc="http://purl.org/dc/elements/1.1/" '
    'xmlns:media="http://search.yahoo.com/mrss/" xmlns:itunes="http://www.itunes.com/dtds/podcast-1.0.dtd" '
    'xmlns:sy="http://purl.org/rss/1.0/modules/syndication/" xmlns:atom="http://www.w3.org/2005/Atom" '
    'xmlns:feedburner="http://rssnamespace.org/feedburner/ext/1.0"'
)
# Sentences of different words.
ONE = "وصل وفد تجاري من تونس إلى مرفأ طرابلس ليبحث مع غرفة الصناعة شحن زيت الزيتون قبل نهاية الشهر."
TWO = "قالت مديرة المكتبة الوطنية إن أربعمئة مخطوط صارت متاحة للقراء على الشبكة بعد مسح دام ثلاث سنوات."
THREE = "خفضت شركة السكك أسعار التذاكر بين المدن الساحلية بنسبة عشرة في المئة ابتداء من الأحد المقبل."
FOUR = "أنهت فرق الإطفاء مساء أمس السيطرة على حريق في غابة صنوبر فوق البلدة، ولم تسجل إصابات بين السكان."
LONG = f"{ONE} {TWO} {THREE}"


def rss(*items: str, channel: str = "<link>https://news.example/</link><language>ar</language>") -> str:
    """An RSS 2.0 document."""
    inside = f"<title>أخبار</title>{channel}{''.join(items)}"
    return f'<?xml version="1.0"?><rss version="2.0" {SPACES}><channel>{inside}</channel></rss>'


def atom(*entries: str, feed: str = "") -> str:
    """An Atom 1.0 document."""
    start = '<?xml version="1.0"?><feed xmlns="http://www.w3.org/2005/Atom" xml:lang="ar">'
    return f"{start}<title>أخبار</title><id>urn:f</id>{feed}{''.join(entries)}</feed>"


def parse(
    document: str | bytes, content_type: str = "application/xml", url: str = URL, **options: object
) -> FeedContent:
    """The content of a document."""
    data = document.encode() if isinstance(document, str) else document
    return parse_feed(data, content_type=content_type, url=url, now=NOW, **options)


def item(fields: str) -> FeedEntry:
    """The entry of an RSS item with these elements."""
    (entry,) = parse(rss(f"<item>{fields}</item>")).entries
    return entry


def entry_of(fields: str) -> FeedEntry:
    """The entry of an Atom entry with these elements."""
    (entry,) = parse(atom(f"<entry>{fields}</entry>")).entries
    return entry


def body(entry: FeedEntry) -> str:
    """The text of an entry, without tags."""
    import re

    return " ".join(html.unescape(re.sub("<[^<>]*>", " ", entry.html or entry.text or "")).split())


def cdata(text: str) -> str:
    """A CDATA section."""
    return f"<![CDATA[{text}]]>"


# Formats


def test_every_format() -> None:
    """Each format gives its fields, and its name."""
    rdf = f"""<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns="http://purl.org/rss/1.0/"
      xmlns:dc="http://purl.org/dc/elements/1.1/"><channel rdf:about="https://news.example/"><title>أخبار</title>
      <link>https://news.example/</link></channel><item rdf:about="https://news.example/1"><title>خبر</title>
      <link>https://news.example/1</link><description>{ONE}</description><dc:creator>ليلى</dc:creator>
      <dc:date>2026-11-29T08:00:00+03:00</dc:date></item></rdf:RDF>"""
    rdf_090 = f"""<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns="http://my.netscape.com/rdf/simple/0.9/">
      <channel><title>أخبار</title><link>https://news.example/</link></channel>
      <item><title>خبر</title><link>https://news.example/1</link><description>{ONE}</description></item></rdf:RDF>"""
    fields = f"<title>خبر</title><link>https://news.example/1</link><description>{ONE}</description>"
    old = '<!DOCTYPE rss PUBLIC "-//Netscape Communications//DTD RSS 0.91//EN" "http://my.netscape.com/rss-0.91.dtd">'
    atom_03 = f"""<feed version="0.3" xmlns="http://purl.org/atom/ns#"><title>أخبار</title>
      <link rel="alternate" type="text/html" href="https://news.example/"/><entry><title>خبر</title>
      <link rel="alternate" type="text/html" href="https://news.example/1"/><id>urn:1</id>
      <issued>2026-11-29T05:00:00Z</issued><author><name>ليلى</name></author>
      <content type="text/html" mode="escaped">&lt;p&gt;{ONE}&lt;/p&gt;</content></entry></feed>"""
    feed_json = {
        "version": "https://jsonfeed.org/version/1.1",
        "title": "أخبار",
        "home_page_url": "https://news.example/",
    }
    json_item = {"id": 7, "url": "https://news.example/1", "title": "خبر", "content_text": ONE}
    sitemap = """<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9" xmlns:news="http://www.google.com/schemas/sitemap-news/0.9">
      <url><loc>https://news.example/1</loc><news:news><news:publication><news:name>أخبار</news:name><news:language>ar</news:language>
      </news:publication><news:publication_date>2026-11-29</news:publication_date><news:title>خبر</news:title></news:news></url></urlset>"""
    documents = {
        "RSS 0.91": f'{old}<rss version="0.91"><channel><title>أخبار</title><item>{fields}</item></channel></rss>',
        "RSS 0.92": f'<rss version="0.92"><channel><title>أخبار</title><item>{fields}</item></channel></rss>',
        "RSS 2.0": rss(f"<item>{fields}</item>"),
        "RSS 1.0 (RDF)": rdf,
        "RSS 0.90 (RDF)": rdf_090,
        "Atom 0.3": atom_03,
        "Atom 1.0": atom(
            f'<entry><title>خبر</title><link href="https://news.example/1"/><summary>{ONE}</summary></entry>'
        ),
        "JSON Feed 1.1": json.dumps({**feed_json, "items": [json_item]}),
        "JSON Feed 1": json.dumps({**feed_json, "version": "https://jsonfeed.org/version/1", "items": [json_item]}),
        "news sitemap": sitemap,
    }
    for name, document in documents.items():
        content = parse(document)
        assert (content.format, content.title, content.problems) == (name, "أخبار", [])
        (entry,) = content.entries
        assert (entry.title, entry.url, entry.problems) == ("خبر", "https://news.example/1", [])
        assert body(entry) == ("خبر" if name == "news sitemap" else ONE), name
    assert parse(rdf).entries[0].authors == parse(atom_03).entries[0].authors == ["ليلى"]
    assert parse(rdf).entries[0].published_at == "2026-11-29T08:00:00+03:00"
    assert parse(atom_03).entries[0].published_at == "2026-11-29T05:00:00+00:00"
    assert parse(sitemap).entries[0].published_at == "2026-11-29T00:00:00+00:00"
    assert parse(sitemap).entries[0].language == "ar"


@pytest.mark.parametrize("content_type", ["text/html", "text/plain", "application/feed+json", ""])
def test_the_content_type_does_not_matter(content_type: str) -> None:
    """Feeds are recognised by what they are."""
    document = json.dumps({"version": "https://jsonfeed.org/version/1.1", "items": [{"id": "1", "content_html": ONE}]})
    assert body(parse(document, content_type).entries[0]) == ONE
    assert body(parse(rss(f"<item><description>{ONE}</description></item>"), content_type).entries[0]) == ONE


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("", "the document is empty"),
        ("\ufeff \n", "the document is empty"),
        ("<!DOCTYPE html><html><head><title>x</title></head><body><p>x</p></body></html>", "an HTML page"),
        ("<html><body>How to write &lt;rss&gt;: <pre><rss></pre></body></html>", "an HTML page"),
        ("<note><to>x</to></note>", "begins with <note>"),
        ("plain text", "neither XML nor JSON; it begins with 'plain text'"),
        ('{"error": 404}', "JSON without items"),
        ('{"items": [', "no valid JSON"),
        ("<opml version='1.0'><body><outline xmlUrl='x'/></body></opml>", "a list of feeds"),
        ("<urlset><url><loc>https://news.example/1</loc></url></urlset>", "a sitemap without news"),
        (
            "<sitemapindex><sitemap><loc>https://news.example/news.xml</loc></sitemap></sitemapindex>",
            "an index of 1 sitemaps; take the one of the news: https://news.example/news.xml",
        ),
    ],
)
def test_what_is_no_feed(document: str, message: str) -> None:
    """The error says what the document is."""
    with pytest.raises(NotAFeed, match=r"^not a feed") as raised:
        parse(document, "text/html")
    assert message in str(raised.value)


def test_what_the_feed_says_about_itself() -> None:
    """The site, the language, the interval and WebSub's links are read, also from HTTP headers."""
    channel = (
        "<link>https://news.example/</link><language>ar-EG</language><ttl>30</ttl><sy:updatePeriod>hourly</sy:updatePeriod>"
        '<sy:updateFrequency>4</sy:updateFrequency><atom:link rel="hub" href="https://hub.example/"/>'
        '<atom:link rel="self" type="application/rss+xml" href="https://news.example/rss"/>'
    )
    content = parse(rss(channel=channel))
    assert (content.site, content.language, content.interval) == ("https://news.example/", "ar-EG", 1800)
    assert (content.hub, content.topic) == ("https://hub.example/", "https://news.example/rss")
    links = ['<https://hub.example/h>; rel="hub", </self>; rel=self', '<https://x.example/>; rel="preload"']
    content = parse(rss(), links=links)
    assert (content.hub, content.topic) == ("https://hub.example/h", "https://news.example/self")
    hubs = {
        "items": [],
        "hubs": [{"type": "WebSub", "url": "https://hub.example/"}],
        "feed_url": "https://news.example/f",
    }
    assert parse(json.dumps(hubs)).hub == "https://hub.example/"
    odd = parse(rss(channel="<language>Arabic (all)</language><ttl>soon</ttl><link>nowhere</link>"))
    assert (odd.language, odd.interval) == (None, None)
    assert any(problem.startswith("language: ") for problem in odd.problems)


# Broken XML

FIRST = f"<item><title>أول</title><guid>1</guid><description>{ONE}</description></item>"
SECOND = f"<item><title>ثان</title><guid>2</guid><description>{cdata(f'<p>{TWO}</p>')}</description></item>"
BROKEN = {
    "blanks": "\n\n  \t" + rss(FIRST, SECOND),
    "garbage": "<br />\n<b>Warning</b>: include() in x.php on line 3<br />" + rss(FIRST, SECOND),
    "after": rss(FIRST, SECOND) + "<!-- cached --><script>x</script>",
    "two documents": rss(FIRST, SECOND) + "<?xml version='1.0'?><html/>",
    "entities": rss(FIRST.replace("أول", "&nbsp;أول&zwnj;&unknown;"), SECOND),
    "ampersand": rss(FIRST.replace("أول", "أول & <>"), SECOND.replace("ثان", "ثان&")),
    "controls": rss(FIRST.replace("أول", "\x01أول\x0b\x00"), SECOND),
    "references": rss(FIRST.replace("أول", "&#0;أول&#xFFFF;&#x1F;"), SECOND),
    "unclosed CDATA": rss(
        f"<item><title>أول</title><description><![CDATA[{ONE}</description><guid>1</guid></item>", SECOND
    ),
    "unclosed CDATA at the end": rss(FIRST)
    + f"<item><title>ثان</title><guid>2</guid><description><![CDATA[<p>{TWO}</p>",
    "CDATA in CDATA": rss(
        f"<item><title>أول</title><guid>1</guid><description>{cdata(cdata(ONE))}]]></description></item>", SECOND
    ),
    "unclosed item": rss(FIRST.removesuffix("</item>"), SECOND.removesuffix("</item>")),
    "unclosed title": rss(FIRST.replace("</title>", ""), SECOND),
    "crossed": rss(f"<item><title><b>أول</title></b><guid>1</guid><description>{ONE}</description></item>", SECOND),
    "markup that was not escaped": rss(
        f"<item><title>أول</title><guid>1</guid><description><p>{ONE}<br><img src=a></description></item>", SECOND
    ),
    "no prefix": rss(FIRST.replace("<guid>", "<x:y>z</x:y><guid>"), SECOND),
    "no quotes": rss(FIRST.replace("<guid>", "<guid isPermaLink=false class=a>"), SECOND),
    "attribute twice": rss(FIRST.replace("<guid>", '<guid a="1" a="2">'), SECOND),
    "cut": rss(FIRST, SECOND)[: -len("</description></item></channel></rss>") - 3],
    "upper case": rss(FIRST, SECOND).replace("item>", "ITEM>").replace("title>", "Title>"),
    "doctype": '<!DOCTYPE rss [<!ENTITY first "أول">]>'
    + rss(FIRST.replace("أول", "&first;"), SECOND).partition("?>")[2],
    "halves of pairs": rss(FIRST, SECOND)
    .encode("utf-16-le")
    .replace("أول".encode("utf-16-le"), b"\x00\xd8" + "أول".encode("utf-16-le")),
    "outside": rss().replace("</channel>", f"</channel>{FIRST}{SECOND}"),
    "no channel end": rss(FIRST, SECOND).replace("</channel>", ""),
    "comment not closed": rss("<!-- ", FIRST, SECOND),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_documents_lose_no_entry(name: str) -> None:
    """Both entries come out, in order, with their texts."""
    content = parse(BROKEN[name])
    assert [entry.guid for entry in content.entries] == ["1", "2"]
    titles = [(entry.title or "").replace("\ufffd", "") for entry in content.entries]
    assert titles[0].startswith("أول")
    assert titles[1].startswith("ثان")
    assert body(content.entries[0]) == ONE
    assert body(content.entries[1]) == TWO


def test_broken_references_keep_their_text() -> None:
    """Entities of HTML are resolved, and an ampersand is one."""
    entry = item("<title>A&nbsp;&laquo;B&raquo; & C &#150; D</title><link>https://news.example/?a=1&b=2&copy=3</link>")
    assert entry.title == "A «B» & C – D"
    assert entry.url == "https://news.example/?a=1&b=2&copy=3"


# Bodies


def test_a_caption_is_no_text() -> None:
    """The text wins over the description of a picture, in whichever order they come."""
    caption = (
        "<media:content url='x'><media:description type='html'>صورة من الأرشيف</media:description></media:content>"
    )
    loose = f"<media:description>{LONG}{LONG}</media:description>"
    for fields in (
        f"<description>{ONE}</description>{caption}{loose}",
        f"{caption}{loose}<description>{ONE}</description>",
    ):
        entry = item(f"<title>x</title>{fields}")
        assert (entry.text, entry.origins["text"]) == (ONE, "description")
    alone = item(f"<title>x</title><media:group><media:description>{ONE}</media:description></media:group>")
    assert (alone.text, alone.origins["text"]) == (ONE, "media:description")


@pytest.mark.parametrize(
    "empty",
    [
        "<img src='https://news.example/x.jpg'/>",
        "<p>اقرأ المزيد</p>",
        "<a href='x'>Read more...</a>",
        "<p><a href='x'>للمزيد…</a></p>",
        "<a href='x'>Continue reading →</a>",
        " &nbsp; ",
        "<p>&nbsp;</p>",
        "<!-- x -->",
        "<p>تصوير: ليلى</p>",
    ],
)
def test_a_content_without_text_does_not_win(empty: str) -> None:
    """A content that is a picture, a link or a credit is not taken for the text."""
    entry = item(f"<description>{cdata(LONG)}</description><content:encoded>{cdata(empty)}</content:encoded>")
    assert (body(entry), entry.summary_only) == (LONG, False)


def test_a_lead_that_the_content_lacks_is_kept() -> None:
    """A description that is not in the content comes before it; each of their words comes once."""
    for lead in (ONE, cdata(f"<p>{ONE}</p>")):
        entry = item(
            f"<description>{lead}</description><content:encoded>{cdata(f'<p>{TWO}</p><p>{THREE}</p>')}</content:encoded>"
        )
        assert body(entry) == LONG
        assert entry.origins["html"] == "description + content:encoded"
    plain = entry_of(f"<summary>{ONE}</summary><content>{TWO} {THREE}</content>")
    assert (plain.text, plain.html) == (f"{ONE}\n\n{TWO} {THREE}", None)


@pytest.mark.parametrize(
    "lead",
    [
        ONE,
        f"{ONE} [&#8230;]",
        f"{ONE[:60]}…",
        f"<p>{ONE} [&hellip;]</p><p>The post <a href='x'>خبر</a> appeared first on <a href='y'>News</a>.</p>",
        f"{ONE[:-1]} Read more",
        "خبر",
        "خبر اليوم الطويل الذي يحمل عنوانا مفصلا عن القمح",
    ],
)
def test_what_is_said_twice_comes_once(lead: str) -> None:
    """A description that is an excerpt of the content, or the title, is not repeated."""
    entry = item(
        "<title>خبر اليوم الطويل الذي يحمل عنوانا مفصلا عن القمح</title>"
        f"<description>{cdata(lead)}</description><content:encoded>{cdata(f'<p>{LONG}</p><p>{FOUR}</p>')}</content:encoded>"
    )
    assert body(entry) == f"{LONG} {FOUR}"
    assert not entry.summary_only


def test_podcast_summaries_do_not_win() -> None:
    """itunes:summary is taken where there is nothing else."""
    other = f"<itunes:summary>{TWO} {THREE} {FOUR}</itunes:summary><itunes:subtitle>{TWO}</itunes:subtitle>"
    assert item(f"{other}<description>{ONE}</description>").text == ONE
    assert item(other).text == f"{TWO} {THREE} {FOUR}"
    cut = f"<description>{ONE[:70]}…</description><itunes:summary>{LONG}</itunes:summary>"
    assert item(cut).text == LONG


@pytest.mark.parametrize(
    ("element", "is_html"),
    [
        (f"<content type='html'>&lt;p&gt;{ONE}&lt;/p&gt;</content>", True),
        (f"<content type='xhtml'><div xmlns='http://www.w3.org/1999/xhtml'><p>{ONE}</p></div></content>", True),
        (
            f"<content type='xhtml'><h:div xmlns:h='http://www.w3.org/1999/xhtml'><h:p>{ONE}</h:p></h:div></content>",
            True,
        ),
        (f"<content type='text'>{ONE}</content>", False),
        (f"<content>{ONE}</content>", False),
        (f"<content type='text'>&lt;p&gt;{ONE}&lt;/p&gt;</content>", True),
        (f"<content type='text/html' mode='escaped'>{cdata(f'<p>{ONE}</p>')}</content>", True),
        (f"<summary type='html'>{ONE}</summary>", False),
        (f"<content type='image/png'>iVBOR</content><summary>{ONE}</summary>", False),
        (f"<content src='https://news.example/1'/><summary>{ONE}</summary>", False),
    ],
)
def test_types_of_atom(element: str, is_html: bool) -> None:
    """Text, HTML and XHTML are each taken as what they are; text that is markup is HTML."""
    entry = entry_of(element)
    assert body(entry) == ONE
    assert (entry.html is not None) is is_html


def test_literal_text() -> None:
    """Signs that are no markup stay, and paragraphs of plain text, too."""
    assert entry_of("<content>3 &lt; 5 &amp;&amp; 7 > 6</content>").text == "3 < 5 && 7 > 6"
    assert item(f"<description>{ONE}\n\n{TWO}</description>").text == f"{ONE}\n\n{TWO}"
    assert item("<description>5 &lt; 6 نقاط</description>").text == "5 < 6 نقاط"


def test_markup_that_was_escaped_twice() -> None:
    """Tags do not show."""
    entry = item(f"<description>{html.escape(html.escape(f'<p>{ONE}</p><br/>'))}</description>")
    assert body(entry) == ONE


def test_pieces_of_cdata() -> None:
    """Several sections and the text between them are one body."""
    assert body(item(f"<description>{ONE} {cdata(f'<b>{TWO}</b>')} {THREE}</description>")) == LONG


def test_a_headline_alone_is_the_text() -> None:
    """A flash without a body has its headline as text."""
    entry = item("<title>عاجل: هزة أرضية</title><description> </description><link>https://news.example/1</link>")
    assert (entry.text, entry.html, entry.origins["text"]) == ("عاجل: هزة أرضية", None, "title")
    assert entry.summary_only


@pytest.mark.parametrize(
    ("text", "teaser"),
    [
        (ONE, True),
        (f"{LONG} {FOUR}", False),
        (f"{LONG} {FOUR[:50]}…", True),
        (f"{LONG} [...]", True),
        (f"{LONG} [&#8230;]", True),
        (f"{LONG} اقرأ المزيد", True),
        (f"{LONG} <a href='x'>Continue reading</a>", True),
        (f"{LONG} ثم طلب المزيد", False),
    ],
)
def test_teasers(text: str, teaser: bool) -> None:
    """A text that is cut or short beside a link is a teaser."""
    assert item(f"<link>https://news.example/1</link><description>{cdata(text)}</description>").summary_only is teaser
    if teaser and text == ONE:
        assert not item(f"<description>{text}</description>").summary_only


# Links


@pytest.mark.parametrize(
    ("fields", "url"),
    [
        ("<link>/n/7</link>", "https://news.example/n/7"),
        ("<link>//cdn.example/n/7</link>", "https://cdn.example/n/7"),
        ("<link>n/7?a=1&amp;b=ب</link>", "https://news.example/n/7?a=1&b=%D8%A8"),
        ("<link>\n  https://news.example/a\n b </link>", "https://news.example/ab"),
        ("<link>https://news.example/a b</link>", "https://news.example/a%20b"),
        (f"<link>{cdata('https://news.example/1')}</link>", "https://news.example/1"),
        ("<link/><guid>https://news.example/1</guid>", "https://news.example/1"),
        ("<guid isPermaLink='true'>https://news.example/1</guid>", "https://news.example/1"),
        ("<guid isPermaLink='false'>https://news.example/1</guid>", None),
        ("<guid>12345</guid>", None),
        ("<guid>news.example/1</guid>", None),
        ("<link>javascript:void(0)</link><guid>https://news.example/1</guid>", "https://news.example/1"),
        (
            "<link>https://proxy.example/x</link><feedburner:origLink>https://news.example/1</feedburner:origLink>",
            "https://news.example/1",
        ),
        ("<atom:link rel='alternate' href='https://news.example/1'/>", "https://news.example/1"),
        ("<atom:link rel='self' href='https://news.example/1.xml'/>", None),
        ("<atom:link rel='replies' href='https://x.example/'/><link>/1</link>", "https://news.example/1"),
        ("<enclosure url='https://news.example/a.mp3'/><comments>https://news.example/c</comments>", None),
        ("<link>mailto:a@b.example</link>", None),
        ("<link>ftp://news.example/1</link>", None),
    ],
)
def test_links_of_rss(fields: str, url: str | None) -> None:
    """The link of an item is found, resolved against the site, and never anything else."""
    assert item(f"<title>x</title>{fields}").url == url


@pytest.mark.parametrize(
    "link",
    [
        "javascript:void(0)",
        "https://[news.example/1",
        "http:///1",
        "https://news.example/?q=" + "a" * 2_100,
        "https://",
    ],
)
def test_a_bad_link_costs_itself(link: str) -> None:
    """The entry stays, without a link and with a problem that quotes it."""
    entry = item(
        f"<title>خبر</title><link>{link}</link><description>{ONE}</description><guid isPermaLink='false'>1</guid>"
    )
    assert (entry.url, entry.guid, entry.text) == (None, "1", ONE)
    (problem,) = entry.problems
    assert problem.startswith("url: ")
    assert link[:20] in problem
    assert len(problem) < 250


@pytest.mark.parametrize(
    ("fields", "url"),
    [
        ("<link href='https://news.example/1'/>", "https://news.example/1"),
        (
            "<link rel='enclosure' href='https://a.example/x.mp3'/><link rel='alternate' type='text/html' href='/1'/>",
            "https://news.example/1",
        ),
        ("<link rel='alternate' type='application/pdf' href='/1.pdf'/><link href='/1'/>", "https://news.example/1"),
        ("<link rel='alternate' type='application/pdf' href='/1.pdf'/>", "https://news.example/1.pdf"),
        ("<link rel='self' href='/1.atom'/><link rel='replies' href='/1/c'/><link rel='edit' href='/1/e'/>", None),
        ("<link href='1'/>", "https://news.example/feeds/1"),
        ("<link xml:base='https://other.example/x/' href='1'/>", "https://other.example/x/1"),
        ("<link rel='http://www.iana.org/assignments/relation/alternate' href='/1'/>", "https://news.example/1"),
    ],
)
def test_links_of_atom(fields: str, url: str | None) -> None:
    """The page of an entry is its alternate link, resolved against the document."""
    assert entry_of(f"<id>urn:1</id><title>x</title>{fields}").url == url


def test_xml_base() -> None:
    """xml:base of an entry is relative to that of the feed; one that is no address is left out."""
    entry = "<entry xml:base='2026/11/'><id>urn:1</id><link href='story'/></entry>"
    document = atom(entry).replace("<feed ", "<feed xml:base='https://base.example/blog/' ")
    assert parse(document).entries[0].url == "https://base.example/blog/2026/11/story"
    assert (
        parse(document.replace("https://base.example", "")).entries[0].url == "https://news.example/blog/2026/11/story"
    )
    broken = atom(entry, feed="<link href='https://site.example/'/>").replace(
        "<feed ", "<feed xml:base='https://a{b}/' "
    )
    assert parse(broken).entries[0].url == "https://site.example/2026/11/story"


def test_a_relative_link_without_any_base() -> None:
    """A file that was saved without its address."""
    content = parse(rss("<item><title>x</title><link>/1</link></item>", channel=""), url="")
    assert content.entries[0].url is None
    assert content.entries[0].problems == ["url: '/1' in link: is relative to nothing"]


# Other fields


@pytest.mark.parametrize(
    ("written", "title"),
    [
        ("شركة &amp;quot;الأفق&amp;quot; &amp;amp; غيرها", 'شركة "الأفق" & غيرها'),
        ("&amp;amp;quot;x&amp;amp;quot;", '"x"'),
        ("&lt;b&gt;عاجل&lt;/b&gt; محطة", "عاجل محطة"),
        (cdata("<b>عاجل</b>: محطة<br/>ثانية"), "عاجل: محطة ثانية"),
        ("<b>عاجل</b> محطة", "عاجل محطة"),
        (cdata("أقل من < 5 وأكثر من > 3"), "أقل من < 5 وأكثر من > 3"),
        ("أسعار &amp;lt;الذهب&amp;gt; اليوم", "أسعار <الذهب> اليوم"),
        ("الوسم &amp;lt;br&amp;gt; في الصفحات", "الوسم <br> في الصفحات"),
        (f"{cdata('قطعة')} و{cdata('قطعة')}", "قطعة وقطعة"),
        ("  سطر\n\t ثان ", "سطر ثان"),
        ("AT&amp;T", "AT&T"),
        ("A &amp;#8211; B &amp;#039;c&amp;#039;", "A – B 'c'"),
        ("a\u202eb", "ab"),
        ("", None),
        ("<br/>", None),
        ("<List> of <Apple>", "<List> of <Apple>"),
    ],
)
def test_titles(written: str, title: str | None) -> None:
    """A title has neither markup nor references, whatever it was escaped with."""
    written = written.replace("<List> of <Apple>", cdata("<List> of <Apple>"))
    assert item(f"<title>{written}</title><description>{ONE}</description>").title == title


@pytest.mark.parametrize(
    ("element", "title"),
    [
        ("<title type='html'>A &lt;b&gt;bold&lt;/b&gt; &amp;amp; title</title>", "A bold & title"),
        (
            "<title type='xhtml'><div xmlns='http://www.w3.org/1999/xhtml'>محطة <em>معان</em> &amp; ما</div></title>",
            "محطة معان & ما",
        ),
        ("<title>The &lt;br&gt; tag</title>", "The <br> tag"),
        ("<title type='text'>&lt;b&gt;عاجل&lt;/b&gt; محطة</title>", "عاجل محطة"),
    ],
)
def test_titles_of_atom(element: str, title: str) -> None:
    """Each type of title is read as what it is."""
    assert entry_of(element).title == title


@pytest.mark.parametrize(
    ("elements", "authors"),
    [
        ("<author>noreply@news.example (ليلى حداد)</author>", ["ليلى حداد"]),
        ("<author>ليلى حداد &lt;laila@news.example&gt;</author>", ["ليلى حداد"]),
        ("<author>desk@news.example</author>", []),
        ("<dc:creator>ليلى</dc:creator><dc:creator>هدى</dc:creator><dc:creator>ليلى</dc:creator>", ["ليلى", "هدى"]),
        ("<author>ليلى حداد، هدى منصور</author>", ["ليلى حداد", "هدى منصور"]),
        ("<author>Ann Lee, Bob Ray</author>", ["Ann Lee", "Bob Ray"]),
        ("<author>Lee, Ann</author>", ["Lee, Ann"]),
        ("<author>Lee; Ray</author>", ["Lee", "Ray"]),
        (f"<dc:creator>{cdata('<a href=x>ليلى</a>')}</dc:creator>", ["ليلى"]),
        (f"<author>{'x' * 300}</author>", []),
        ("<author><name>ليلى</name><email>a@b.example</email></author>", ["ليلى"]),
        ("<author></author>", []),
    ],
)
def test_authors(elements: str, authors: list[str]) -> None:
    """Names come without mail addresses; an odd author costs itself."""
    entry = item(f"{elements}<description>{ONE}</description>")
    assert (entry.authors, entry.text) == (authors, ONE)


def test_guids() -> None:
    """A guid stays as it is; one that is too long is its hash, always the same."""
    long = "g" * 1_500
    hashed = item(f"<guid>{long}</guid><description>{ONE}</description>")
    assert hashed.guid == item(f"<guid>{long}</guid>{'<title>x</title>'}").guid
    assert hashed.guid.startswith("sha256:")
    assert hashed.problems[0].startswith("guid: ")
    assert hashed.guid != item(f"<guid>{long}h</guid>").guid
    assert item(f"<guid>{cdata(' tag:x,1 ')}</guid>").guid == "tag:x,1"


def test_the_first_date_that_can_be_true() -> None:
    """A date of publication comes before one of a change; what cannot be true is left out with a problem."""
    published, changed = (
        "<pubDate>Sat, 28 Nov 2026 08:00:00 +0300</pubDate>",
        "<atom:updated>2026-11-29T08:00:00Z</atom:updated>",
    )
    entry = item(f"{changed}{published}")
    assert (entry.published_at, entry.origins["published_at"]) == ("2026-11-28T08:00:00+03:00", "pubDate")
    for wrong in (
        "Thu, 01 Jan 1970 00:00:00 GMT",
        "Sun, 29 Nov 2099 08:00:00 GMT",
        "Mon, 01 Jan 0001 00:00:00 +0000",
        "soon",
    ):
        entry = item(f"<pubDate>{wrong}</pubDate>{changed}")
        assert entry.published_at == "2026-11-29T08:00:00+00:00"
        assert any(wrong in problem for problem in entry.problems)
        assert item(f"<title>x</title><pubDate>{wrong}</pubDate>").published_at is None


def test_languages() -> None:
    """An entry's language comes before the feed's; one that is no code is left out."""
    entries = parse(
        rss("<item><dc:language>fr</dc:language></item><item/><item><dc:language>Arabic!</dc:language></item>")
    ).entries
    assert [entry.language for entry in entries] == ["fr", "ar", "ar"]
    assert entries[2].problems == ["language: 'Arabic!' is no language code"]
    assert entry_of("<title>x</title>").language == "ar"


def test_odd_json() -> None:
    """Each field of a wrong type costs itself; every item is an entry."""
    items = [
        {
            "id": 12345678901234567890,
            "url": 5,
            "title": ["x"],
            "content_html": f"<p>{ONE}</p>",
            "authors": "x",
            "tags": 3,
        },
        {
            "id": "2",
            "external_url": "/b",
            "content_text": TWO,
            "author": {"name": "ليلى"},
            "date_published": "0001-01-01",
        },
        "nonsense",
        None,
        {"id": "5", "title": "عنوان", "summary": None, "date_modified": "2026-11-29T08:00:00+03:00", "language": "x y"},
    ]
    entries = parse(json.dumps({"items": items}), "text/html").entries
    assert len(entries) == 5
    assert (body(entries[0]), entries[0].guid) == (ONE, "12345678901234567890")
    assert (entries[1].text, entries[1].authors, entries[1].url) == (TWO, ["ليلى"], "https://news.example/b")
    assert (entries[1].published_at, len(entries[1].problems)) == (None, 1)
    assert entries[2].problems == entries[3].problems == ["entry: is not an object"]
    assert (entries[4].text, entries[4].published_at) == ("عنوان", "2026-11-29T08:00:00+03:00")


def test_every_entry_comes_out_in_order() -> None:
    """Entries without anything, with one guid or one link, are entries all the same."""
    fields = [
        "",
        "<title/>",
        "<guid>1</guid>",
        "<guid>1</guid><title>x</title>",
        "<link>:</link>",
        "<x>y</x>",
        "<title>z</title>",
    ]
    entries = parse(rss(*(f"<item>{one}</item>" for one in fields))).entries
    assert len(entries) == len(fields)
    assert [entry.title for entry in entries] == [None, None, None, "x", None, None, "z"]


def test_limits() -> None:
    """Too many entries and too long texts are cut, which is a problem."""
    many = parse(rss("<item><title>x</title></item>" * 7), max_entries=5)
    assert (len(many.entries), many.problems) == (5, ["entries: only the first 5 of 7 are read"])
    long = item(f"<title>{'ع ' * 3_000}</title><description>{'<b>x</b>' * 260_000}</description>")
    assert len(long.title) <= 2_000
    assert len(long.html) == 2_000_000
    assert [problem.partition(":")[0] for problem in long.problems] == ["title", "html"]


def test_external_entities_are_not_read() -> None:
    """Nothing is read from this machine or the network, and no entity grows."""
    grow = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 10))
    doctype = f'<!DOCTYPE rss [<!ENTITY e0 "ha">{grow}<!ENTITY f SYSTEM "file:///etc/passwd"><!ENTITY % p SYSTEM "http://127.0.0.1:1/">%p;]>'
    document = rss("<item><description>a &e9; &f; b</description></item>").replace("<rss", f"{doctype}<rss")
    (entry,) = parse(document).entries
    assert entry.text == "a &e9; &f; b"


HOSTILE = {
    "angle brackets": "<" * 1_500_000,
    "comments": "<!--" * 400_000,
    "sections": "<![CDATA[" * 170_000,
    "tags": "<p>" * 500_000,
    "attributes": "<m " + " ".join(f'a{number}="1"' for number in range(120_000)) + "/>",
    "bases": '<a xml:base="http://a.example/x/">' * 40_000,
    "items": "<item>" * 250_000,
    "authors": "<item><author>" + "x" * 1_500_000,
    "references": "&" * 1_500_000,
    "prefixes": "".join(f"<p{number}:a/>" for number in range(100_000)),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_documents_take_linear_time(name: str) -> None:
    """1.5 MB of what makes parsers slow are read within the time of an ordinary document of that size."""
    began = time.monotonic()
    content = parse(rss(FIRST, f"<item><title>x</title>{HOSTILE[name]}"))
    assert content.entries[0].guid == "1"
    assert time.monotonic() - began < 10
