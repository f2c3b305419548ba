"""The synthetic stream: the same for everybody, valid, and as true as it says."""

import gzip
import json
import os
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from enrich.text.language import detect
from ingest.commands import generate
from ingest.generator import LANGUAGES, START, Stream, Truth
from ingest.generator.names import invented, known
from services import zstd
from services.events import ArticleIn
from services.files import find, read_articles
from services.identity import article_id

COUNT = 2_000
Row = tuple[dict[str, Any], Truth]


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    """A stream to look at."""
    return list(Stream(COUNT, 7))


def shingles(text: str) -> set[tuple[str, ...]]:
    """The runs of three words of a text."""
    words = text.split()
    return set(zip(words, words[1:], words[2:], strict=False))


def likeness(one: str, other: str) -> float:
    """The share of shingles that two texts have in common."""
    first, second = shingles(one), shingles(other)
    return len(first & second) / len(first | second)


def copies(rows: Sequence[Row], *kinds: str) -> list[tuple[Row, Row]]:
    """Copies of these kinds, each with its original; fails where none came before."""
    before: dict[str, Row] = {}
    found = []
    for article, truth in rows:
        if truth.kind in kinds:
            found.append((before[truth.duplicate_of or truth.guid], (article, truth)))
        before.setdefault(truth.guid, (article, truth))
    assert found
    return found


def run(*arguments: object) -> Result:
    """The command with these arguments."""
    return CliRunner().invoke(generate, [str(argument) for argument in arguments])


def test_the_same_for_the_same_seed(rows: list[Row]) -> None:
    """The same articles and truths; another seed or option: others."""
    assert list(islice(Stream(COUNT, 7), 500)) == rows[:500]
    stream = Stream(200, 1, bursts=2)
    assert list(stream) == list(stream)
    others = [list(Stream(200, *arguments)) for arguments in ((1,), (2,), (3,))]
    assert others[0] != others[1] != others[2]
    assert list(Stream(200, 1, days=1)) != others[0]


def test_no_hash_order_in_it(tmp_path: Path) -> None:
    """Two processes that hash differently write the same bytes."""
    written = []
    for seed in ("1", "2"):
        out = tmp_path / f"{seed}.jsonl"
        code = f"from ingest.commands import generate; generate(['--articles=100', '--bursts=1', '--out={out}'])"
        subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed}, check=True)
        written.append([Path(f"{out}{end}").read_bytes() for end in ("", ".truth.jsonl", ".bursts.jsonl")])
    assert written[0] == written[1]


def test_every_row_is_an_article(rows: list[Row]) -> None:
    """Publishers could send each; only corrections share an identity, and each with what it corrects."""
    assert len(rows) == COUNT
    ids = Counter(article_id(ArticleIn.model_validate(article)) for article, _ in rows)
    corrections = Counter(article_id(ArticleIn.model_validate(a)) for a, truth in rows if truth.kind == "correction")
    assert corrections
    assert ids - corrections == Counter(dict.fromkeys(ids, 1))
    assert all(article["guid"] == truth.guid for article, truth in rows)
    for field in ("title", "published_at", "source"):
        assert 0 < sum(field not in article for article, _ in rows) < COUNT * 0.06
    words = [len(article["text"].split()) for article, truth in rows if truth.kind == "original"]
    assert 60 <= min(words) <= 100
    assert 300 < max(words) <= 500


def test_order_is_that_of_arrival(rows: list[Row]) -> None:
    """From the start on, over the days asked for, by day more than by night, and never before publication."""
    times = [truth.arrives_at for _, truth in rows]
    assert times == sorted(times)
    assert START <= times[0] < times[-1] < START + timedelta(days=3)
    hours = Counter(time.hour for time in times)
    assert sum(hours[hour] for hour in range(8, 14)) > 2.5 * sum(hours[hour] for hour in (22, 23, 0, 1, 2))
    days = Counter(time.day for time in times)
    assert max(days.values()) < 1.5 * min(days.values())
    for article, truth in rows:
        if "published_at" in article:
            published = datetime.fromisoformat(article["published_at"])
            assert timedelta(0) <= truth.arrives_at - published < timedelta(hours=4)


def test_languages_have_their_shares(rows: list[Row]) -> None:
    """Arabic first; a choice of languages shares the whole; two hundred outlets, few of which bring most."""
    shares = {code: count / COUNT for code, count in Counter(truth.language for _, truth in rows).items()}
    expected = {"ar": 0.60, "en": 0.15, "fr": 0.08, "ru": 0.07, "es": 0.05, "de": 0.05}
    assert shares == pytest.approx(expected, abs=0.05)
    two = Counter(truth.language for _, truth in Stream(1_500, 1, languages=["en", "ar"]))
    assert two["ar"] + two["en"] == 1_500
    assert two["ar"] / 1_500 == pytest.approx(0.8, abs=0.05)
    sources = Counter(article["source"] for article, _ in rows if "source" in article).most_common()
    assert 150 < len(sources) <= 200
    assert sum(count for _, count in sources[:20]) > COUNT / 3


def test_texts_are_in_their_language(rows: list[Row]) -> None:
    """What tells languages apart agrees with the truth, without help from the article."""
    assert [detect(article["text"])[0] for article, _ in rows[::10]] == [truth.language for _, truth in rows[::10]]


def test_stories_are_of_all_sizes(rows: list[Row]) -> None:
    """Most have one article, some very many; the large ones are told in several languages about the same entities."""
    stories: dict[str, list[Truth]] = defaultdict(list)
    for _, truth in rows:
        stories[truth.story].append(truth)
    sizes = sorted(map(len, stories.values()))
    assert 0.6 < sizes.count(1) / len(sizes) < 0.85
    assert sizes[-1] > 30
    assert all(len({truth.topics for truth in story}) == 1 for story in stories.values())
    largest = max(stories.values(), key=len)
    assert len({truth.language for truth in largest}) > 1
    named = [{entity[0] for entity in truth.entities} for truth in largest if truth.kind == "original"]
    assert set.intersection(*named)


def test_named_entities_stand_in_the_article(rows: list[Row]) -> None:
    """Two to seven in an original, by the name that stands there, under one id in all languages."""
    names: dict[str, set[str]] = defaultdict(set)
    for article, truth in rows:
        told = f"{article.get('title')}\n{article['text']}"
        for entity, name, _ in truth.entities:
            assert name in told, (name, told)
            names[entity].add(name)
        if truth.kind == "original":
            assert 2 <= len(truth.entities) <= 7
            assert all(name in article["text"] for _, name, _ in truth.entities)
    assert {"مصر", "Egypt", "Égypte"} <= names["Q79"]
    assert sum(entity.startswith("invented:") for entity in names) > 500


def test_copies_are_about_a_seventh(rows: list[Row]) -> None:
    """All kinds are there; each copy comes behind its original, at another outlet, in the same story and language."""
    kinds = Counter(truth.kind for _, truth in rows)
    assert set(kinds) == {"original", "repost", "headline", "edited", "excerpt", "correction", "template"}
    assert sum(truth.duplicate_of is not None for _, truth in rows) / COUNT == pytest.approx(0.15, abs=0.02)
    for original, copy in copies(rows, "repost", "headline", "edited", "excerpt"):
        assert original[1].kind == "original"
        assert (original[1].story, original[1].language) == (copy[1].story, copy[1].language)
        assert original[1].guid.split(":")[0] != copy[1].guid.split(":")[0]
    for _, truth in rows:
        assert (truth.duplicate_of is None) == (truth.kind in {"original", "template", "correction"})


def test_copies_are_as_alike_as_they_say(rows: list[Row]) -> None:
    """Reposts wholly; edited ones as far as so many changed words allow; excerpts are part of the whole."""
    for original, copy in copies(rows, "repost"):
        assert likeness(original[0]["text"], copy[0]["text"]) == 1
        assert copy[1].changed == 0
        assert copy[0].get("title", original[0].get("title")) == original[0].get("title", copy[0].get("title"))
    headlines = copies(rows, "headline")
    assert all(original[0]["text"] == copy[0]["text"] for original, copy in headlines)
    assert any(original[0].get("title") != copy[0].get("title") for original, copy in headlines)
    for original, copy in copies(rows, "edited", "correction"):
        text = original[0]["text"]
        whole = len(shingles(text))
        # A word replaced, left out or added touches three shingles at most.
        touched = 3 * (copy[1].changed + 0.0001) * len(text.split())
        assert (whole - touched) / (whole + touched) <= likeness(text, copy[0]["text"]) < 1
    for original, copy in copies(rows, "excerpt"):
        assert copy[0]["text"] in original[0]["text"]
        share = len(copy[0]["text"].split()) / len(original[0]["text"].split())
        assert copy[1].changed == pytest.approx(1 - share, abs=0.001)
        assert len(copy[0]["text"].split()) >= 60


def test_corrections_come_under_the_same_guid(rows: list[Row]) -> None:
    """The same source too, so that they are revisions of what they correct."""
    for original, correction in copies(rows, "correction"):
        assert original[0].get("source") == correction[0].get("source")
        assert original[1].story == correction[1].story


def test_what_is_no_copy_is_not_alike(rows: list[Row]) -> None:
    """Articles of one story share facts, not sentences; reports after one template share some; outlets' furniture
    stands under many."""
    by_story: dict[tuple[str, str], list[str]] = defaultdict(list)
    by_template: dict[tuple[str, ...], list[str]] = defaultdict(list)
    endings: Counter[str] = Counter()
    for article, truth in rows:
        if truth.kind == "original":
            by_story[truth.story, truth.language].append(article["text"])
            endings[article["text"].rpartition("\n\n")[2]] += 1
        elif truth.kind == "template":
            by_template[truth.language, *truth.topics].append(article["text"])
    assert all(likeness(*pair) < 0.3 for texts in by_story.values() for pair in pairwise(texts))
    alike = [likeness(*pair) for texts in by_template.values() for pair in pairwise(texts)]
    assert sum(alike) / len(alike) > 0.1
    assert max(alike) < 0.5
    assert endings.most_common(1)[0][1] > 20


def test_bursts_raise_the_rate() -> None:
    """Each entity of a burst is named at least ten times as often in those minutes as otherwise."""
    stream = Stream(1_500, 3, bursts=4)
    assert len(stream.bursts) == 4
    named: dict[str, list[datetime]] = defaultdict(list)
    for _, truth in stream:
        for entity, _, _ in truth.entities:
            named[entity].append(truth.arrives_at)
    for burst in stream.bursts:
        minutes = (burst.end - burst.start) / timedelta(minutes=1)
        assert 10 <= minutes <= 30
        within = sum(burst.start <= time < burst.end for time in named[burst.id])
        without = len(named[burst.id]) - within
        assert within >= burst.articles * 0.9
        assert within / minutes >= 10 * without / (3 * 24 * 60 - minutes)
    assert not Stream(100, 3).bursts


def test_names_never_run_out() -> None:
    """No two invented entities share a name in any script; the well-known ones have names in all six languages."""
    some = [invented(index) for index in (*range(5_000), *range(10**6, 10**6 + 5_000), *range(10**12, 10**12 + 99))]
    for code in ("ar", "en", "ru"):
        assert len({entity.name(code) for entity in some}) == len(some)
    assert len({entity.id for entity in known()}) == len(known()) > 400
    assert all(set(entity.names) == set(LANGUAGES) for entity in known())


@pytest.mark.parametrize("articles", [0, 1, 2, 7, 60])
def test_small_streams(articles: int) -> None:
    """As many articles as asked for, even hardly any, in hardly any time."""
    assert len(list(Stream(articles, 1))) == articles
    assert len(list(Stream(articles, 1, days=1e-9, start=datetime(2024, 2, 29, 23, 59, 59, tzinfo=UTC)))) == articles


def test_what_makes_no_stream() -> None:
    """One sentence says what is wrong."""
    for articles, wanted in ((-1, {}), (9, {"languages": ["tr"]}), (9, {"languages": []}), (9, {"bursts": 1})):
        with pytest.raises(ValueError, match=r"articles|languages|bursts"):
            Stream(articles, **wanted)  # type: ignore[arg-type]


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz", ".jsonl.zst"])
def test_files_are_what_replay_reads(tmp_path: Path, suffix: str) -> None:
    """The same articles whatever the packing, the truth line by line beside them, and not taken for articles."""
    out = tmp_path / f"stream{suffix}"
    result = run("--articles", 120, "--seed", 5, "--out", out)
    assert (result.exit_code, result.output) == (0, "")
    expected = list(Stream(120, 5))
    packed = out.read_bytes()
    open_ = {".jsonl": bytes, ".jsonl.gz": gzip.decompress, ".jsonl.zst": _unzstd}[suffix]
    assert [json.loads(line) for line in open_(packed).splitlines()] == [article for article, _ in expected]
    items = list(read_articles([out]))
    assert [item.article for item in items] == [ArticleIn.model_validate(article) for article, _ in expected]
    truths = [json.loads(line) for line in Path(f"{out}.truth.jsonl").read_text(encoding="utf-8").splitlines()]
    assert truths == [truth.record() for _, truth in expected]
    assert truths[0].keys() >= {"guid", "language", "story", "duplicate_of", "kind", "changed", "entities", "topics"}
    assert truths[0]["entities"][0].keys() == {"id", "name", "type"}
    assert find([tmp_path]) == [out]
    assert run("--articles", 120, "--seed", 5, "--out", out).exit_code == 0
    assert out.read_bytes() == packed


def _unzstd(packed: bytes) -> bytes:
    return zstd.decompress(packed)


def test_standard_output(tmp_path: Path) -> None:
    """Articles alone; the truth only where it is wanted."""
    options = ("--articles", 20, "--languages", "ar, de", "--start", "2025-01-01T00:00:00+03:00", "--days", 0.5)
    result = run(*options, "--out", "-")
    assert result.exit_code == 0
    rows = [json.loads(line) for line in result.stdout_bytes.splitlines()]
    start = datetime.fromisoformat("2025-01-01T00:00:00+03:00")
    assert rows == [article for article, _ in Stream(20, languages=["ar", "de"], days=0.5, start=start)]
    truth = tmp_path / "truth.jsonl"
    again = run(*options, "--out", "-", "--truth", truth)
    assert again.stdout_bytes == result.stdout_bytes
    assert len(truth.read_text(encoding="utf-8").splitlines()) == 20


def test_bursts_are_told(tmp_path: Path) -> None:
    """A file of them lies beside the stream only when some were planted."""
    assert run("--articles", 100, "--bursts", 2, "--out", tmp_path / "a.jsonl").exit_code == 0
    told = [json.loads(line) for line in (tmp_path / "a.jsonl.bursts.jsonl").read_text(encoding="utf-8").splitlines()]
    assert told == [burst.record() for burst in Stream(100, bursts=2).bursts]
    assert run("--articles", 100, "--out", tmp_path / "b.jsonl").exit_code == 0
    assert not (tmp_path / "b.jsonl.bursts.jsonl").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--out", "nowhere/a.jsonl"], "there is no directory nowhere"),
        (["--out", "a.jsonl", "--truth", "nowhere/a.jsonl"], "there is no directory nowhere"),
        (["--out", "a.jsonl", "--truth", "a.jsonl"], "another file"),
        (["--out", "a.txt"], "must end in .jsonl"),
        (["--out", "-", "--bursts", "1"], "--truth"),
        (["--out", "a.jsonl", "--bursts", "5"], "at least 30 articles for each"),
        (["--out", "a.jsonl", "--languages", "ar,tr"], "choose among"),
        (["--out", "a.jsonl", "--languages", "ar,ar"], "each once"),
        (["--out", "a.jsonl", "--start", "2026-01-01"], "is not a time"),
        (["--out", "a.jsonl", "--start", "2026-01-01T00:00:00"], "is not a time"),
        (["--out", "a.jsonl", "--start", "tomorrow"], "is not a time"),
        (["--out", "a.jsonl", "--days", "nan"], "--days"),
        (["--out", "a.jsonl", "--days", "0"], "--days"),
        (["--out", "a.jsonl", "--seed", "-1"], "--seed"),
    ],
)
def test_refusals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], said: str) -> None:
    """A wrong option is told in a sentence, and nothing is written."""
    monkeypatch.chdir(tmp_path)
    result = run("--articles", 100, *options)
    assert result.exit_code == 2
    assert said in result.stderr
    assert not list(tmp_path.iterdir())


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    """One sentence names it."""
    (tmp_path / "a.jsonl").mkdir()
    result = run("--articles", 5, "--out", tmp_path / "a.jsonl")
    assert result.exit_code == 1
    assert "a.jsonl cannot be written: Is a directory" in result.stderr
