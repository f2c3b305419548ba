"""Lists of feeds: OPML as feed readers write it and as people edit it, and back."""

import codecs
import time

import pytest

from ingest.feeds import opml
from ingest.feeds.opml import NoList, Outline
from services.store.feeds import Feed, FeedOptions, FeedState

NESTED = """<?xml version="1.0" encoding="UTF-8"?>
<opml version="1.0"><head><title>اشتراكات</title></head><body>
  <outline text="سياسة &amp; اقتصاد" title="سياسة">
    <outline text="الشرق" title="الشرق" type="rss" xmlUrl="https://sharq.example/rss" htmlUrl="https://sharq.example/"/>
    <outline text="فرعي"><outline TEXT="La d&eacute;p&ecirc;che" XMLURL="https://depeche.example/feed?a=1&b=2"></outline>
    </outline>
  </outline>
  <outline title="بلا نوع" xmlurl='https://plain.example/atom'/>
  <outline text="a page" type="link" url="https://page.example/"/>
  <outline text="no address" type="rss"/>
  <outline text="الشرق مرة أخرى" type="rss" xmlUrl="https://sharq.example/rss">
</body></opml>"""


def urls(outlines: list[Outline]) -> list[str]:
    """The addresses of subscriptions."""
    return [one.url for one in outlines]


async def test_outlines_are_found_however_they_are_nested_and_written() -> None:
    """Folders, any case, entities of HTML, a bare ampersand, missing types and end tags; a page is no feed."""
    found = await opml.parse(NESTED.encode())
    assert [(one.url, one.name) for one in found] == [
        ("https://sharq.example/rss", "الشرق"),
        ("https://depeche.example/feed?a=1&b=2", "La dépêche"),
        ("https://plain.example/atom", "بلا نوع"),
        ("", "no address"),
        ("https://sharq.example/rss", "الشرق مرة أخرى"),
    ]
    assert found[0].site == "https://sharq.example/"
    assert [one.place for one in found] == [f"outline {number}" for number in (2, 4, 5, 7, 8)]


@pytest.mark.parametrize(
    "data",
    [
        codecs.BOM_UTF8 + NESTED.encode(),
        NESTED.encode("utf-16"),
        NESTED.replace("UTF-8", "windows-1256").encode("cp1256", "xmlcharrefreplace"),
        NESTED.encode("cp1256", "xmlcharrefreplace"),
        NESTED.encode().replace(b"</head>", b"\xff</head>"),
    ],
    ids=["mark", "utf-16", "declared", "mislabelled", "one bad byte"],
)
async def test_names_are_read_in_any_encoding(data: bytes) -> None:
    """The declared one, or the one that the bytes are in; a bad byte elsewhere costs nothing."""
    found = await opml.parse(data)
    assert next(one.name for one in found if one.url) == "الشرق"
    assert len(found) == 5


async def test_entities_of_the_document_are_not_expanded() -> None:
    """Neither a file nor a bomb of entities comes out of the document."""
    bomb = "".join(f'<!ENTITY e{n + 1} "{f"&e{n};" * 10}">' for n in range(9))
    document = f"""<?xml version="1.0"?><!DOCTYPE opml [<!ENTITY e0 "ha"><!ENTITY file SYSTEM "file:///etc/passwd">{bomb}]>
    <opml><body><outline text="&file;&e9;" xmlUrl="https://a.example/rss"/></body></opml>"""
    (found,) = await opml.parse(document.encode())
    assert found.url == "https://a.example/rss"
    assert len(found.name or "") < 50
    assert "root:" not in (found.name or "")


async def test_a_text_has_one_address_a_line() -> None:
    """With comments, blank lines, any end of line and a byte order mark."""
    text = "\ufeff# feeds\r\nhttps://a.example/rss#part  # agencies\r\n\r\n  b.example/feed\nhttps://مثال.example/خبر\n"
    found = await opml.parse(text.encode())
    assert urls(found) == ["https://a.example/rss#part", "b.example/feed", "https://مثال.example/خبر"]
    assert [one.place for one in found] == ["line 2", "line 4", "line 5"]


@pytest.mark.parametrize(
    ("document", "cause"),
    [
        (b"", "the list has no feeds"),
        (b"# nothing\n", "the list has no feeds"),
        (b"<opml><body><outline text='a folder'/></body></opml>", "no outline has an xmlUrl"),
        (b"<rss><channel/></rss>", "neither OPML nor a text"),
    ],
)
async def test_what_is_no_list_is_refused(document: bytes, cause: str) -> None:
    """With the reason."""
    with pytest.raises(NoList, match=cause):
        await opml.parse(document)


async def test_an_export_is_imported_with_its_settings() -> None:
    """Name, language, interval and full text come back; user, password and headers never leave."""
    chosen = {"source": 'صحيفة "الغد" <1>', "language": "ar", "interval": 900.0, "full_text": True}
    options = FeedOptions(
        url="https://me:secret-password@a.example/rss?x=1&y=2", headers={"X-Key": "secret-header"}, **chosen
    )
    state = FeedState(title="The title", site="https://a.example/")
    plain = FeedOptions(url="https://b.example/")
    exported = opml.export(
        [Feed(id="a", options=options, state=state), Feed(id="b", options=plain, state=FeedState(title="B\x00\ufffe"))]
    )
    assert b"secret" not in exported
    assert b"me:" not in exported
    first, second = await opml.parse(exported)
    assert (first.url, first.name, first.site) == ("https://a.example/rss?x=1&y=2", chosen["source"], state.site)
    assert {name: getattr(first, name) for name in chosen} == chosen
    assert (second.url, second.name, second.source, second.interval, second.full_text) == (
        plain.url,
        "B",
        None,
        None,
        None,
    )


async def test_a_setting_that_is_not_valid_is_left_out() -> None:
    """And noted."""
    (found,) = await opml.parse(b'<opml><outline xmlUrl="https://a.example" khabar:interval="often"/></opml>')
    assert found.interval is None
    assert found.problems == ["interval: 'often' is not a number of seconds"]


@pytest.mark.parametrize(
    "shape", ["<outline ", "<outline xmlUrl=a>", '<outline text="', "<!--", "<![CDATA[", "&", "</outline>", "<", " # "]
)
async def test_a_hostile_list_takes_no_long_time(shape: str) -> None:
    """Twice the length takes about twice the time, and the whole of it is parsed within its limit."""
    started = time.monotonic()
    document = b"<opml>" + shape.encode() * (1_000_000 // len(shape))
    try:
        await opml.parse(document)
    except NoList as error:
        assert "not parsed" not in str(error)
    assert time.monotonic() - started < 30
