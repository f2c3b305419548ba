"""Generated feeds of every format, encoding and kind of damage come back word for word.

feedparser is the reference: where it reads a field, the same is read here.
"""

import base64
import html
import io
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime

import feedparser
import pytest

from services.documents.feed import FeedEntry
from services.documents.feed_parser import parse_feed
from services.documents.html_fragment import fragment_text

NOW = datetime(2026, 11, 30, 9, tzinfo=UTC)
URL = "https://news.example/feed"
WORDS = {
    "ar": "وزير الطاقة افتتح محطة جديدة قرب الميناء بعد عامين من العمل وقال إن الحركة عادت إلى طبيعتها مساء الأحد في "
    "المدينة الساحلية حيث وصل وفد من غرفة التجارة لبحث شحن القمح والزيت بسعر ثابت حتى نهاية الموسم القادم",
    "ru": "министр открыл новую станцию рядом с морем после двух лет работы и сказал что движение вернулось к "
    "обычному режиму вечером воскресенья где делегация обсудила поставки зерна по твёрдой цене до конца сезона",
    "en": "minister opened a new station near the port after two years of work and said that traffic was back to "
    "normal on Sunday evening while a delegation discussed shipping wheat and oil at a fixed price until next season",
}
ENCODINGS = {
    "ar": ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "windows-1256", "iso-8859-6"),
    "ru": ("utf-8", "utf-16", "windows-1251", "koi8-r"),
    "en": ("utf-8", "utf-16-be", "iso-8859-1", "us-ascii"),
}


@dataclass(frozen=True)
class Truth:
    """What an entry says."""

    guid: str
    url: str
    title: str
    text: str
    author: str
    published: datetime


def sentence(rng: random.Random, language: str, least: int, most: int) -> str:
    """Words in any order."""
    return " ".join(rng.choices(WORDS[language].split(), k=rng.randint(least, most)))


def truths(rng: random.Random, language: str) -> list[Truth]:
    """The entries of a feed."""
    entries = []
    for number in range(rng.randint(1, 5)):
        zone = timezone(timedelta(minutes=rng.choice([0, 120, 180, 210, -300])))
        published = (NOW - timedelta(minutes=rng.randint(1, 400_000))).replace(second=0).astimezone(zone)
        entries.append(
            Truth(
                guid=f"g-{number}-{rng.random()}",
                url=f"https://news.example/{language}/{number}?a=1&b={rng.randint(1, 99)}",
                title=sentence(rng, language, 3, 9),
                text="\n".join(sentence(rng, language, 15, 40) for _ in range(rng.randint(1, 4))),
                author=sentence(rng, language, 2, 2),
                published=published,
            )
        )
    return entries


def markup(rng: random.Random, text: str) -> str:
    """A text as HTML."""
    ways: list[Callable[[str], str]] = [
        lambda line: f"<p>{line}</p>",
        lambda line: f"<div class='x'>{line}<br/></div>",
        lambda line: f"<p><a href='https://x.example/?a=1&amp;b=2'>{line}</a></p>",
        lambda line: f"{line}<br>",
    ]
    way = rng.choice(ways)
    return "".join(way(html.escape(line)) for line in text.split("\n"))


def written(rng: random.Random, markup_text: str) -> str:
    """HTML in an element of XML."""
    if rng.random() < 0.5:
        return f"<![CDATA[{markup_text}]]>"
    half = len(markup_text) // 2
    return rng.choice([html.escape(markup_text), f"<![CDATA[{markup_text[:half]}]]>{html.escape(markup_text[half:])}"])


def rss(rng: random.Random, entries: list[Truth], language: str, version: str = "2.0") -> str:
    """RSS; the text is in one of several elements, beside others that it must win over."""
    items = []
    for one in entries:
        full = written(rng, markup(rng, one.text))
        caption = f"<media:description>{sentence(rng, language, 3, 60)}</media:description>"
        caption = rng.choice([caption, f'<media:content url="x">{caption}</media:content>'])
        bodies = rng.choice(
            [
                f"<description>{full}</description>",
                f"<description>{full}</description><content:encoded><![CDATA[<img src='x.jpg'>]]></content:encoded>",
                f"<description>{html.escape(one.text[:60])}…</description><content:encoded>{full}</content:encoded>",
                f"<content:encoded>{full}</content:encoded>",
                f"<description>{full}</description>{caption}",
                f"{caption}<description>{full}</description>",
            ]
        )
        fields = [
            f"<title>{html.escape(one.title)}</title>",
            f"<link>{html.escape(one.url)}</link>",
            f'<guid isPermaLink="false">{one.guid}</guid>',
            f"<pubDate>{format_datetime(one.published)}</pubDate>",
            f"<dc:creator>{one.author}</dc:creator>",
            bodies,
        ]
        rng.shuffle(fields)
        items.append(f"<item>{''.join(fields)}</item>")
    spaces = (
        'xmlns:content="http://purl.org/rss/1.0/modules/content/" xmlns:dc="http://purl.org/dc/elements/1.1/" '
        'xmlns:media="http://search.yahoo.com/mrss/"'
    )
    head = (
        f"<title>x</title><link>https://news.example/</link><description>x</description><language>{language}</language>"
    )
    return f'<rss version="{version}" {spaces}><channel>{head}{"".join(items)}</channel></rss>'


def rdf(rng: random.Random, entries: list[Truth], language: str) -> str:
    """RSS 1.0."""
    items = "".join(
        f'<item rdf:about="{one.guid}"><title>{html.escape(one.title)}</title><link>{html.escape(one.url)}</link>'
        f"<description>{written(rng, markup(rng, one.text))}</description><dc:creator>{one.author}</dc:creator>"
        f"<dc:date>{one.published.isoformat()}</dc:date></item>"
        for one in entries
    )
    spaces = (
        'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns="http://purl.org/rss/1.0/" '
        'xmlns:dc="http://purl.org/dc/elements/1.1/"'
    )
    head = f"<title>x</title><link>https://news.example/</link><dc:language>{language}</dc:language>"
    return f'<rdf:RDF {spaces}><channel rdf:about="https://news.example/">{head}</channel>{items}</rdf:RDF>'


def atom(rng: random.Random, entries: list[Truth], language: str) -> str:
    """Atom 1.0 with each type of content."""
    items = []
    for one in entries:
        lines = "".join(f"<p>{html.escape(line)}</p>" for line in one.text.split("\n"))
        content = rng.choice(
            [
                f'<content type="html">{written(rng, markup(rng, one.text))}</content>',
                f'<content type="xhtml"><div xmlns="http://www.w3.org/1999/xhtml">{lines}</div></content>',
                f"<content>{html.escape(one.text)}</content>",
                f'<summary type="html">{written(rng, markup(rng, one.text))}</summary>',
                f"<summary>{html.escape(one.text[:50])}…</summary><content type='html'>{html.escape(lines)}</content>",
            ]
        )
        fields = [
            f"<title>{html.escape(one.title)}</title>",
            '<link rel="self" href="https://news.example/x"/>',
            f'<link href="{html.escape(one.url)}"/>',
            f"<id>{one.guid}</id>",
            f"<published>{one.published.isoformat()}</published><updated>{NOW.isoformat()}</updated>",
            f"<author><name>{one.author}</name></author>",
            content,
        ]
        rng.shuffle(fields)
        items.append(f"<entry>{''.join(fields)}</entry>")
    head = '<title>x</title><id>urn:x</id><link href="https://news.example/"/>'
    return f'<feed xmlns="http://www.w3.org/2005/Atom" xml:lang="{language}">{head}{"".join(items)}</feed>'


def json_feed(rng: random.Random, entries: list[Truth], language: str) -> str:
    """JSON Feed."""
    items = [
        {
            "id": one.guid,
            "url": one.url,
            "title": one.title,
            "authors": [{"name": one.author}],
            "date_published": one.published.isoformat(),
            **({"content_text": one.text} if rng.random() < 0.5 else {"content_html": markup(rng, one.text)}),
        }
        for one in entries
    ]
    feed = {"version": "https://jsonfeed.org/version/1.1", "title": "x", "language": language, "items": items}
    return json.dumps(feed, ensure_ascii=rng.random() < 0.5)


FORMATS = {"rss": rss, "rdf": rdf, "atom": atom, "json": json_feed}


def damaged(rng: random.Random, document: str) -> str:
    """A document with faults that lose no word."""
    for _ in range(rng.randint(1, 3)):
        document = rng.choice(
            [
                lambda text: "\n \n" + text,
                lambda text: "<b>Notice</b>: x.php\n" + text,
                lambda text: text + "<script>x()</script>",
                lambda text: text.replace("<title>", "<title>\x08", 1),
                lambda text: text.replace("</title>", "&nbsp;</title>"),
                lambda text: text.replace("&amp;b=", "&b="),
                lambda text: text.replace(' isPermaLink="false"', " isPermaLink=false"),
                lambda text: text.replace("</rss>", "").replace("</feed>", "").replace("</rdf:RDF>", ""),
                lambda text: text.replace("</item>", "<br></item>").replace(
                    "</entry>", "<unknown:x>y</unknown:x></entry>"
                ),
                lambda text: text.replace("</title>", "</Title>"),
            ]
        )(document)
    return document


def words(entry: FeedEntry) -> list[str]:
    """The words of an entry's text, in order."""
    return (fragment_text(entry.html) if entry.html else entry.text or "").split()


def documents() -> list[tuple[int, str, str, str]]:
    """Seeds, formats, languages and encodings."""
    cases = [
        (name, language, encoding)
        for name in FORMATS
        for language, encodings in ENCODINGS.items()
        for encoding in encodings
        if name != "json" or encoding.startswith("utf-8")
    ]
    return [(seed, *case) for seed, case in enumerate(cases * 4)]


@pytest.mark.parametrize("broken", [False, True])
def test_generated_feeds_come_back_word_for_word(broken: bool) -> None:
    """Every field of every entry, in order, whatever the format, the encoding, what is declared, and the damage."""
    for seed, name, language, encoding in documents():
        rng = random.Random(seed)
        entries = truths(rng, language)
        document = FORMATS[name](rng, entries, language)
        if broken and name != "json":
            document = damaged(rng, document)
        declared = rng.choice([encoding, None, "utf-8", "iso-8859-1"])
        if declared and not document.startswith(("{", "\n", "<b>")):
            document = f'<?xml version="1.0" encoding="{declared}"?>' + document
        header = f"text/xml; charset={declared}" if declared and rng.random() < 0.5 else "application/xml"
        content = parse_feed(document.encode(encoding, "xmlcharrefreplace"), content_type=header, url=URL, now=NOW)
        case = (seed, name, language, encoding, declared)
        assert content.language == language, case
        assert len(content.entries) == len(entries), case
        for found, truth in zip(content.entries, entries, strict=True):
            assert words(found) == truth.text.split(), case
            assert found.title == truth.title, case
            assert (found.guid, found.url, found.authors) == (truth.guid, truth.url, [truth.author]), case
            assert datetime.fromisoformat(found.published_at or "") == truth.published, case
            assert found.problems == [], case


def test_at_least_what_feedparser_reads() -> None:
    """Where feedparser reads a field of a sound feed, it is the same here."""
    for seed, name, language, _ in documents():
        if name == "json":
            continue
        rng = random.Random(seed)
        data = FORMATS[name](rng, truths(rng, language), language).encode()
        reference = feedparser.parse(io.BytesIO(data), sanitize_html=False)
        content = parse_feed(data, content_type="application/xml", url=URL, now=NOW)
        assert len(content.entries) == len(reference.entries)
        assert (content.title, content.language) == (reference.feed.title, reference.feed.language)
        for ours, theirs in zip(content.entries, reference.entries, strict=True):
            assert (ours.title, ours.url) == (theirs.title, theirs.link), seed
            assert ours.authors == [author["name"] for author in theirs.authors], seed
            time = theirs.get("published_parsed") or theirs.updated_parsed
            assert datetime.fromisoformat(ours.published_at or "").astimezone(UTC).timetuple()[:6] == time[:6], seed
            if name != "rdf":
                assert ours.guid == theirs.id


def test_base64_content() -> None:
    """Atom 0.3 has a third way to write HTML."""
    text = "وصل وفد تجاري إلى المرفأ"
    encoded = base64.b64encode(f"<p>{text}</p>".encode()).decode()
    entry = f'<entry><title>x</title><content type="text/html" mode="base64">{encoded}</content></entry>'
    data = f'<feed version="0.3" xmlns="http://purl.org/atom/ns#">{entry}</feed>'.encode()
    (found,) = parse_feed(data, now=NOW).entries
    assert found.html == f"<p>{text}</p>"
