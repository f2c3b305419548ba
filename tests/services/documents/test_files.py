"""Reading articles from files and directories."""

import gzip
import io
import json
import os
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from services import zstd
from services.documents import files
from services.documents.files import FilesError, read_articles
from services.events import ArticleIn


def line(text: str) -> str:
    """An article as a line of JSONL."""
    return json.dumps({"text": text}, ensure_ascii=False) + "\n"


def texts(*paths: Path) -> list[str | None]:
    """The texts of all valid articles."""
    return [item.article.text for item in read_articles(paths) if item.article]


def test_each_kind(tmp_path: Path) -> None:
    """Articles are read from plain, gzip and zstd JSONL, JSON objects and arrays, and text files."""
    plain = (line("واحد") + "\r\n \n" + line("اثنان")).encode()
    contents = {
        "a.jsonl": b"\xef\xbb\xbf" + plain,
        "b.jsonl.gz": gzip.compress(plain),
        # Two frames in a row, as "cat one.zst two.zst" makes them.
        "c.JSONL.zst": zstd.compress(plain[:20]) + zstd.compress(plain[20:]),
        "d.json": line("ثلاثة").encode(),
        "e.json": ("[" + line("أربعة") + "," + line("خمسة") + "]").encode(),
        "f.txt": "\ufeffستة\n".encode(),
    }
    found = {}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        items = list(read_articles([tmp_path / name]))
        assert all(item.error is None for item in items), items
        found[name] = [(item.place.removeprefix(str(tmp_path / name)), item.article.text) for item in items]
    lines = [(":1", "واحد"), (":4", "اثنان")]
    assert found["a.jsonl"] == found["b.jsonl.gz"] == found["c.JSONL.zst"] == lines
    assert found["d.json"] == [(":1", "ثلاثة")]
    assert found["e.json"] == [("[0]", "أربعة"), ("[1]", "خمسة")]
    assert found["f.txt"] == [(":1", "ستة\n")]


ARABIC = "خبر عن ميناء العقبة والطاقة الشمسية في معان"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1256", "iso8859-6"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstd.compress], ids=["plain", "gzip", "zstd"])
def test_encodings(encoding: str, pack: Callable[[bytes], bytes], tmp_path: Path) -> None:
    """Text, JSON and JSONL of any encoding are read, with any line end; the kind is found by the content alone."""
    row = json.dumps({"text": ARABIC}, ensure_ascii=False)
    contents = {
        "a.txt": ARABIC,
        "b.jsonl": f"{row}\r\n\r\n{row}\n\u00a0\n{row}".replace("\u00a0\n", "" if "8859" in encoding else "\u00a0\n"),
        "c.json": f"[{row},\n {row}]",
        "d": f"{row}\n{row}\n",
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(pack(content.encode(encoding)))
        found = texts(tmp_path / name)
        assert set(found) == {ARABIC}, name
        assert len(found) == {"a.txt": 1, "b.jsonl": 3}.get(name, 2)


def test_bytes_that_mean_nothing_cost_themselves(tmp_path: Path) -> None:
    """One bad byte in a line does not change how the others are read; a note names the place."""
    good = json.dumps({"text": ARABIC}, ensure_ascii=False).encode()
    path = tmp_path / "a.jsonl"
    path.write_bytes(good + b"\n" + good.replace("ميناء".encode(), b"\xff") + b"\n" + good)
    items = list(read_articles([path]))
    assert [item.article.text for item in items] == [ARABIC, ARABIC.replace("ميناء", "\ufffd"), ARABIC]
    assert [item.note is not None for item in items] == [False, True, False]


def test_mixed_encodings_in_lines(tmp_path: Path) -> None:
    """Lines that were put together from files of UTF-8 and of windows-1256 are each read as they are."""
    row = json.dumps({"text": ARABIC * 3}, ensure_ascii=False) + "\n"
    path = tmp_path / "a.jsonl"
    path.write_bytes((row.encode() + row.encode("cp1256")) * 3)
    assert set(texts(path)) == {ARABIC * 3}


def test_junk_in_json_costs_its_place(tmp_path: Path) -> None:
    """Trailing commas, broken elements and an array that does not end: an error each, the others are read."""
    path = tmp_path / "a.json"
    path.write_text('[{"text": "1"}, {"text": 2}, {"text" "3"}, {"text": "4, [\\"]"},, {"text": "5"},]')
    assert texts(path) == ["1", '4, ["]', "5"]
    errors = {
        item.place.removeprefix(str(path)): item.error.split(":")[0] for item in read_articles([path]) if item.error
    }
    assert errors == {"[1]": "text", "[2]": "not JSON", "[4]": "not JSON", "[6]": "not JSON"}
    path.write_text('[{"text": "1"}, {"text": "2"}')
    *items, last = read_articles([path])
    assert [item.article.text for item in items] == ["1", "2"]
    assert (last.place, last.error) == (f"{path}[2]", "not JSON: the array does not end")
    path.write_text('{"text": "1"}\n{"text": "2"}\n')
    assert texts(path) == ["1", "2"]
    lines = tmp_path / "a.jsonl"
    lines.write_text('{"text": "1"},\n{"text": "2"}\n\u0085\n{"text": "3"}\u0085\n')
    assert texts(lines) == ["2", "3"]
    assert next(read_articles([lines])).place == f"{lines}:1"


PAGE = (
    '<!DOCTYPE html><html lang="ar"><head><title>ميناء العقبة | موقع</title>'
    '<link rel="canonical" href="https://www.news.example/1"><meta content="2026-11-02T08:00:00+03:00" '
    'property="article:published_time"></head><body><nav>الرئيسية</nav><article><h1>ميناء العقبة</h1>'
    f"<p>{ARABIC}، بعد عامين من العمل على المشروع الجديد.</p></article></body></html>"
)
FEED = (
    '<?xml version="1.0"?><rss version="2.0"><channel><title>t</title><link>https://news.example/</link>'
    "<item><title>أول</title><link>https://news.example/1</link><guid>same</guid><description>نص 1</description></item>"
    "<item><title>ثان</title><link>https://news.example/2</link><guid>same</guid><description>نص 2</description></item>"
    "</channel></rss>"
)


@pytest.mark.parametrize("name", ["page.html", "page.htm", "page.txt", "page", "page.html.gz"])
def test_a_page_is_one_article(name: str, tmp_path: Path) -> None:
    """With its title, its own address and its date; its site is not its text. It may have been saved as text."""
    content = PAGE.encode("cp1256")
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    (item,) = read_articles([tmp_path / name])
    assert item.article is not None, item
    assert (item.article.url, item.article.source) == ("https://www.news.example/1", "news.example")
    assert item.article.published_at == datetime(2026, 11, 2, 5, tzinfo=UTC)
    assert (item.article.title, item.article.language, item.article.guid) == ("ميناء العقبة", "ar", None)
    assert ARABIC in (item.article.text or "")
    assert "الرئيسية" not in (item.article.text or "")


def test_a_page_without_an_address_has_its_name_as_guid(tmp_path: Path) -> None:
    """A page that names no address; one without an article is an error."""
    (tmp_path / "x1.html").write_text(f"<html><body><p>{ARABIC}</p></body></html>", encoding="utf-8")
    (tmp_path / "x2.html").write_text("<html><body></body></html>")
    found = list(read_articles([tmp_path]))
    assert [(item.article and item.article.guid, item.error) for item in found] == [
        ("x1", None),
        (None, "no article on this page"),
    ]


@pytest.mark.parametrize("name", ["f.xml", "f.rss", "f.xml.zst", "f", "f.txt", "f.html"])
def test_a_feed_document_is_its_entries(name: str, tmp_path: Path) -> None:
    """With the feed's host as source; a guid that entries share is no identity."""
    (tmp_path / name).write_bytes(zstd.compress(FEED.encode()) if name.endswith(".zst") else FEED.encode())
    items = list(read_articles([tmp_path / name]))
    assert [item.place for item in items] == [f"{tmp_path / name}[0]", f"{tmp_path / name}[1]"]
    articles = [item.article for item in items if item.article]
    assert [(one.title, one.url, one.guid, one.source) for one in articles] == [
        ("أول", "https://news.example/1", None, "news.example"),
        ("ثان", "https://news.example/2", None, "news.example"),
    ]


def test_no_articles(tmp_path: Path) -> None:
    """XML that is no feed is an error; a list of feeds is one that says what reads it."""
    for name, content, hint in (
        ("a.xml", "<x><y/></x>", "not a feed"),
        (
            "b.xml",
            '<opml version="2.0"><body><outline xmlUrl="https://a.example/f"/></body></opml>',
            "khabar feeds import",
        ),
    ):
        (tmp_path / name).write_text(content)
        (item,) = read_articles([tmp_path / name])
        assert hint in item.error
    (tmp_path / "photo.txt").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(range(256)))
    (item,) = read_articles([tmp_path / "photo.txt"])
    assert item.error == "not a text: it holds zero bytes"
    (tmp_path / "c.opml").write_text("<opml/>")
    with pytest.raises(FilesError, match=r"c\.opml: a list of feeds"):
        read_articles([tmp_path / "c.opml"])


def archive(path: Path, *, packed: bool) -> Path:
    """A web archive with pages and what else crawlers keep."""
    with path.open("wb") as file:
        writer = WARCWriter(file, gzip=packed)
        writer.write_record(writer.create_warcinfo_record("x", {"software": "test"}))
        chunked = b"".join(
            b"%x\r\n%s\r\n" % (len(part), part) for part in (PAGE[:99].encode(), PAGE[99:].encode(), b"")
        )
        gzipped = gzip.compress(PAGE.encode())
        for url, status, headers, body in (
            ("https://www.a.example/1", "200 OK", [("Content-Type", "text/html; charset=utf-8")], PAGE.encode()),
            ("https://a.example/2", "200 OK", [("Content-Type", "text/html"), ("Content-Encoding", "gzip")], gzipped),
            (
                "https://a.example/3",
                "200 OK",
                [("Content-Type", "text/html"), ("Transfer-Encoding", "chunked")],
                chunked,
            ),
            ("https://a.example/4", "404 Not Found", [("Content-Type", "text/html")], PAGE.encode()),
            ("https://a.example/5", "200 OK", [("Content-Type", "image/png")], b"\x89PNG"),
            ("https://a.example/6", "200 OK", [("Content-Type", "text/html")], b"<html><body></body></html>"),
            ("https://a.example/7", "200 OK", [("Content-Type", "text/html")], b"x" * 5_000_001),
        ):
            answer = StatusAndHeaders(status, headers, protocol="HTTP/1.1")
            date = {"WARC-Date": "2026-11-03T10:00:00Z"}
            record = writer.create_warc_record(
                url, "response", payload=io.BytesIO(body), http_headers=answer, warc_headers_dict=date
            )
            writer.write_record(record)
    return path


@pytest.mark.parametrize("name", ["a.warc", "a.warc.gz", "a"])
def test_web_archives(name: str, tmp_path: Path) -> None:
    """Pages that were found become articles with their address and date; what else is there is counted."""
    path = archive(tmp_path / name, packed=name.endswith(".gz"))
    *items, skipped = read_articles([path])
    articles = [item.article for item in items if item.article]
    assert [one.url for one in articles] == [
        f"https://{host}.example/{n}" for host, n in (("www.a", 1), ("a", 2), ("a", 3))
    ]
    assert {(one.source, one.published_at) for one in articles} == {("a.example", datetime(2026, 11, 2, 5, tzinfo=UTC))}
    assert all(ARABIC in (one.text or "") for one in articles)
    assert skipped.error is skipped.article is None
    assert skipped.note.startswith("4 records were skipped: 1 ")
    for reason in ("status 404", "not HTML", "without an article", "larger than"):
        assert f"1 {reason}" in skipped.note


def test_a_damaged_web_archive(tmp_path: Path) -> None:
    """What is before the damage is read; then there is one error."""
    whole = archive(tmp_path / "a.warc.gz", packed=True).read_bytes()
    (tmp_path / "a.warc.gz").write_bytes(whole[: len(whole) // 2])
    items = list(read_articles([tmp_path / "a.warc.gz"]))
    assert items[0].article is not None
    assert sum(item.error is not None for item in items) == 1
    (tmp_path / "b.warc").write_bytes(b"no archive\r\n" * 100)
    (item,) = read_articles([tmp_path / "b.warc"])
    assert "damaged" in item.error


def test_streams(tmp_path: Path) -> None:
    """Standard input of any kind, compressed or not; JSON lines arrive as they are written; a kind can be named."""
    for content, count in (
        (line("a").encode() * 2, 2),
        (gzip.compress(line("a").encode() * 2), 2),
        (b"[" + line("a").encode() + b"]", 1),
        (PAGE.encode(), 1),
        (FEED.encode(), 2),
        (zstd.compress(archive(tmp_path / "a.warc", packed=False).read_bytes()), 3),
        (b"", 0),
    ):
        assert sum(item.article is not None for item in files.read_stream(io.BytesIO(content))) == count
    (item,) = files.read_stream(io.BytesIO(ARABIC.encode("cp1256")), kind="text")
    assert item.article == ArticleIn(text=ARABIC)
    read, written = os.pipe()
    with os.fdopen(read, "rb") as stream, os.fdopen(written, "wb", buffering=0) as pipe:
        items = files.read_stream(stream)
        for text in ("one", "two", "three"):
            pipe.write(line(text).encode())
            assert next(items).article.text == text


def test_text_file_has_its_name_as_guid(tmp_path: Path) -> None:
    """The guid of a text file is its name without extension; it has no title and no source."""
    path = tmp_path / "000_8ddd9ba8.txt"
    path.write_text("خبر", encoding="utf-8")
    (item,) = read_articles([path])
    assert item.article.model_dump(exclude_defaults=True) == {"text": "خبر", "guid": "000_8ddd9ba8"}


def test_directories(tmp_path: Path) -> None:
    """A directory is read recursively in sorted order, without truth files, notes, hidden and other files."""
    inside = tmp_path / "news"
    for name in ("b/2.jsonl", "b/1.jsonl", "a.jsonl", "c.txt"):
        (inside / name).parent.mkdir(parents=True, exist_ok=True)
        (inside / name).write_text(line(name) if name.endswith("l") else name, encoding="utf-8")
    for name in (
        "a.gold.jsonl",
        "a.truth.jsonl",
        "a.truth.jsonl.gz",
        "gold.json",
        "README.txt",
        "readme.md",
        "LICENSE.txt",
        "x.png",
    ):
        (inside / name).write_text("nothing to read", encoding="utf-8")
    (inside / ".hidden").mkdir()
    (inside / ".hidden" / "x.txt").write_text("no", encoding="utf-8")
    assert texts(inside) == ["a.jsonl", "c.txt", "b/1.jsonl", "b/2.jsonl"]
    assert texts(inside / "c.txt", inside / "b") == ["c.txt", "b/1.jsonl", "b/2.jsonl"]


def test_paths_that_cannot_be_read(tmp_path: Path) -> None:
    """A missing path, an unknown kind and a directory without articles are errors, before any file is read."""
    (tmp_path / "x.csv").write_text("a,b")
    (tmp_path / "good.jsonl").write_text(line("x"))
    (tmp_path / "empty").mkdir()
    for name in ("missing.jsonl", "x.csv", "empty"):
        with pytest.raises(FilesError, match=name):
            read_articles([tmp_path / "good.jsonl", tmp_path / name])


def test_errors_have_file_and_line(tmp_path: Path) -> None:
    """An error in a file is reported with file and line, and the following lines are read."""
    path = tmp_path / "bad.jsonl"
    broken = [b"{", b'{"text": \xff}', b'{"title": "t"}', b"[1]", b"[" * 50_000, line("good").encode()]
    path.write_bytes(b"\n".join(broken))
    items = list(read_articles([path]))
    assert [item.place for item in items] == [f"{path}:{number}" for number in range(1, 7)]
    wanted = ["not JSON: ", "not JSON: ", "text: ", "must be a JSON object", "not JSON: nested", ""]
    assert all((item.error or "").startswith(start) for item, start in zip(items, wanted, strict=True))
    assert items[-1].article.text == "good"


def test_long_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line above the limit is an error; a line of exactly the limit, and the following lines, are read."""
    exact, after = line("x" * 500), line("after")
    monkeypatch.setattr(files, "MAX_LINE_BYTES", len(exact))
    path = tmp_path / "long.jsonl.gz"
    path.write_bytes(gzip.compress((exact + line("x" * 501) + line("x" * 9_000) + after).encode()))
    items = list(read_articles([path]))
    assert [bool(item.error) for item in items] == [False, True, True, False]
    assert "line longer" in items[1].error
    assert items[3].place == f"{path}:4"


def test_damaged_archives(tmp_path: Path) -> None:
    """A truncated or invalid compressed file yields what can be read, then one error with its line."""
    packed = b"".join(line(f"{number} " + "y" * 5_000).encode() for number in range(100))
    for name, data in (
        ("cut.jsonl.gz", gzip.compress(packed)[:-200]),
        ("cut.jsonl.zst", zstd.compress(packed)[:-200]),
        ("cut-in-the-second-frame.jsonl.zst", zstd.compress(packed) + zstd.compress(packed)[:9]),
        ("plain.jsonl.gz", packed),
        ("plain.jsonl.zst", packed),
    ):
        (tmp_path / name).write_bytes(data)
        *good, last = read_articles([tmp_path / name])
        assert all(item.article for item in good)
        assert "damaged" in last.error
    (tmp_path / "bad.json").write_text('{"text": "x"')
    (tmp_path / "bad.txt").write_bytes(b"\xff\xfe")  # UTF-16, of no text
    (tmp_path / "blank.txt").write_text(" \n")
    errors = [item.error for item in read_articles([tmp_path / f"{n}" for n in ("bad.json", "bad.txt", "blank.txt")])]
    assert [error.split(":")[0] for error in errors] == ["not JSON", "text", "text"]


def test_zstandard_cut_anywhere(tmp_path: Path) -> None:
    """A file of several frames that is truncated anywhere except between two frames is an error after its articles."""
    skippable = b"\x50\x2a\x4d\x18" + (3).to_bytes(4, "little") + b"abc"
    frames = [
        zstd.compress(line("one").encode()),
        skippable,
        zstd.compress(b""),
        zstd.compress(line("two").encode(), options={zstd.CompressionParameter.checksum_flag: 1}),
    ]
    whole = b"".join(frames)
    ends = {sum(map(len, frames[:count])) for count in range(len(frames) + 1)}
    path = tmp_path / "cut.jsonl.zst"
    for size in range(len(whole) + 1):
        path.write_bytes(whole[:size])
        items = list(read_articles([path]))
        found = [item.article.text for item in items if item.article]
        assert found == ["one", "two"][: len(found)]
        assert len(found) >= (size >= len(frames[0])) + (size == len(whole))
        errors = [item.error for item in items if item.error]
        assert len(errors) == (size not in ends), size
        assert all("damaged from here on" in error for error in errors)


def test_zstandard_in_bounded_memory(tmp_path: Path) -> None:
    """However far a small file expands, memory stays near the maximum length of a line."""
    path = tmp_path / "bomb.jsonl.zst"
    path.write_bytes(zstd.compress(b" " * 300_000_000 + b"\n") + zstd.compress(line("behind").encode()))
    tracemalloc.start()
    try:
        long, behind = read_articles([path])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert "line longer" in long.error
    assert behind.article.text == "behind"
    assert peak < 100_000_000


def test_large_file_is_streamed(tmp_path: Path) -> None:
    """The first article of a large file is yielded before the rest is read."""
    path = tmp_path / "large.jsonl.zst"
    with zstd.open(path, "wt", encoding="utf-8") as file:
        for _ in range(2_000):
            file.write(line("z" * 10_000))
    items = read_articles([path])
    assert next(items).article
    items.close()
