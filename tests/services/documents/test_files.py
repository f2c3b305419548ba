"""Reading articles from files and directories."""

import gzip
import json
import tracemalloc
from pathlib import Path

import pytest

from services import zstd
from services.documents import files
from services.documents.files import FilesError, read_articles


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
