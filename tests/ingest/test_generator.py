"""The synthetic stream: reproducible, valid, and consistent with its truth."""

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
from ingest.generator.names import invented_entity, known_entities
from services import zstd
from services.documents.files import find, read_articles
from services.events import ArticleIn
from services.identity import article_id

COUNT = 2_000
Row = tuple[dict[str, Any], Truth]


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    """The rows of one stream."""
    return list(Stream(COUNT, 7))


def shingles(text: str) -> set[tuple[str, ...]]:
    """All sequences of three words in a text."""
    words = text.split()
    return set(zip(words, words[1:], words[2:], strict=False))


def similarity(one: str, other: str) -> float:
    """The Jaccard similarity of the shingles of two texts."""
    first, second = shingles(one), shingles(other)
    return len(first & second) / len(first | second)


def copies(rows: Sequence[Row], *kinds: str) -> list[tuple[Row, Row]]:
    """Near-duplicates and corrections of these kinds, each with its original; fails when one has none before it."""
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
    """The same seed and options give the same articles and truths; other ones give others."""
    assert list(islice(Stream(COUNT, 7), 500)) == rows[:500]
    stream = Stream(200, 1, bursts=2)
    assert list(stream) == list(stream)
    others = [list(Stream(200, *arguments)) for arguments in ((1,), (2,), (3,))]
    assert others[0] != others[1] != others[2]
    assert list(Stream(200, 1, days=1)) != others[0]


def test_the_output_does_not_depend_on_hash_order(tmp_path: Path) -> None:
    """Two processes with different hash seeds write the same bytes."""
    written = []
    for seed in ("1", "2"):
        out = tmp_path / f"{seed}.jsonl"
        code = f"from ingest.commands import generate; generate(['--articles=100', '--bursts=1', '--out={out}'])"
        subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed}, check=True)
        written.append([Path(f"{out}{end}").read_bytes() for end in ("", ".truth.jsonl", ".bursts.jsonl")])
    assert written[0] == written[1]


def test_every_row_is_an_article(rows: list[Row]) -> None:
    """Each row is a valid article; ids are unique, except that a correction has the id of its original."""
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
    """Articles arrive over the chosen days, more by day than at night, and not before their publication."""
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
    """Languages have their shares, scaled up for a choice of languages; a few of 200 outlets publish most articles."""
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
    """Language detection on the text alone agrees with the truth."""
    assert [detect(article["text"])[0] for article, _ in rows[::10]] == [truth.language for _, truth in rows[::10]]


def test_stories_are_of_all_sizes(rows: list[Row]) -> None:
    """Most stories have one article, some have many; large ones are in several languages and share entities."""
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


def test_named_entities_are_in_the_article(rows: list[Row]) -> None:
    """An original names two to seven entities; the names in the truth occur in it, with one id in all languages."""
    names: dict[str, set[str]] = defaultdict(set)
    for article, truth in rows:
        passage = f"{article.get('title')}\n{article['text']}"
        for entity, name, _ in truth.entities:
            assert name in passage, (name, passage)
            names[entity].add(name)
        if truth.kind == "original":
            assert 2 <= len(truth.entities) <= 7
            assert all(name in article["text"] for _, name, _ in truth.entities)
    assert {"مصر", "Egypt", "Égypte"} <= names["Q79"]
    assert sum(entity.startswith("invented:") for entity in names) > 500


def test_near_duplicates_are_about_a_seventh(rows: list[Row]) -> None:
    """All kinds occur; each near-duplicate comes after its original, by another outlet, in its story and language."""
    kinds = Counter(truth.kind for _, truth in rows)
    assert set(kinds) == {"original", "repost", "headline", "edited", "excerpt", "correction", "template"}
    assert sum(truth.duplicate_of is not None for _, truth in rows) / COUNT == pytest.approx(0.15, abs=0.02)
    for original, copy in copies(rows, "repost", "headline", "edited", "excerpt"):
        assert original[1].kind == "original"
        assert (original[1].story, original[1].language) == (copy[1].story, copy[1].language)
        assert original[1].guid.split(":")[0] != copy[1].guid.split(":")[0]
    for _, truth in rows:
        assert (truth.duplicate_of is None) == (truth.kind in {"original", "template", "correction"})


def test_near_duplicates_are_as_similar_as_their_truth_says(rows: list[Row]) -> None:
    """Reposts are equal, edited ones within the bounds of their changed words, excerpts parts of the original."""
    for original, copy in copies(rows, "repost"):
        assert similarity(original[0]["text"], copy[0]["text"]) == 1
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
        assert (whole - touched) / (whole + touched) <= similarity(text, copy[0]["text"]) < 1
    for original, copy in copies(rows, "excerpt"):
        assert copy[0]["text"] in original[0]["text"]
        share = len(copy[0]["text"].split()) / len(original[0]["text"].split())
        assert copy[1].changed == pytest.approx(1 - share, abs=0.001)
        assert len(copy[0]["text"].split()) >= 60


def test_corrections_have_the_same_guid(rows: list[Row]) -> None:
    """And the same source, so that they are revisions of what they correct."""
    for original, correction in copies(rows, "correction"):
        assert original[0].get("source") == correction[0].get("source")
        assert original[1].story == correction[1].story


def test_other_articles_are_not_similar(rows: list[Row]) -> None:
    """Originals of one story have low similarity, reports of one template more; the boilerplate of an outlet is common
    to many articles."""
    by_story: dict[tuple[str, str], list[str]] = defaultdict(list)
    by_template: dict[tuple[str, ...], list[str]] = defaultdict(list)
    endings: Counter[str] = Counter()
    for article, truth in rows:
        if truth.kind == "original":
            by_story[truth.story, truth.language].append(article["text"])
            endings[article["text"].rpartition("\n\n")[2]] += 1
        elif truth.kind == "template":
            by_template[truth.language, *truth.topics].append(article["text"])
    assert all(similarity(*pair) < 0.3 for texts in by_story.values() for pair in pairwise(texts))
    similarities = [similarity(*pair) for texts in by_template.values() for pair in pairwise(texts)]
    assert sum(similarities) / len(similarities) > 0.1
    assert max(similarities) < 0.5
    assert endings.most_common(1)[0][1] > 20


def test_bursts_raise_the_rate() -> None:
    """The entity of a burst is named at least ten times as often in its minutes as otherwise."""
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


def test_names_are_unique() -> None:
    """No two invented entities have the same name in any script; well-known ones have names in all six languages."""
    indexes = (*range(5_000), *range(10**6, 10**6 + 5_000), *range(10**12, 10**12 + 99))
    some = [invented_entity(index) for index in indexes]
    for code in ("ar", "en", "ru"):
        assert len({entity.name(code) for entity in some}) == len(some)
    assert len({entity.id for entity in known_entities()}) == len(known_entities()) > 400
    assert all(set(entity.names) == set(LANGUAGES) for entity in known_entities())


@pytest.mark.parametrize("articles", [0, 1, 2, 7, 60])
def test_small_streams(articles: int) -> None:
    """A stream has the requested number of articles, even if it is very small or very short."""
    assert len(list(Stream(articles, 1))) == articles
    assert len(list(Stream(articles, 1, days=1e-9, start=datetime(2024, 2, 29, 23, 59, 59, tzinfo=UTC)))) == articles


def test_invalid_arguments() -> None:
    """The error names the invalid argument."""
    for articles, wanted in ((-1, {}), (9, {"languages": ["tr"]}), (9, {"languages": []}), (9, {"bursts": 1})):
        with pytest.raises(ValueError, match=r"articles|languages|bursts"):
            Stream(articles, **wanted)  # type: ignore[arg-type]


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz", ".jsonl.zst"])
def test_files_are_what_replay_reads(tmp_path: Path, suffix: str) -> None:
    """All compressions have the same articles; the truth file has one line for each, and is not read as articles."""
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
    """Standard output has the articles only; the truth is written only with ``--truth``."""
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


def test_bursts_are_written(tmp_path: Path) -> None:
    """The file of bursts is written only when there are bursts."""
    assert run("--articles", 100, "--bursts", 2, "--out", tmp_path / "a.jsonl").exit_code == 0
    bursts = [json.loads(line) for line in (tmp_path / "a.jsonl.bursts.jsonl").read_text(encoding="utf-8").splitlines()]
    assert bursts == [burst.record() for burst in Stream(100, bursts=2).bursts]
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
def test_invalid_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], said: str) -> None:
    """An invalid option is reported in one sentence, and nothing is written."""
    monkeypatch.chdir(tmp_path)
    result = run("--articles", 100, *options)
    assert result.exit_code == 2
    assert said in result.stderr
    assert not list(tmp_path.iterdir())


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    """The error is one sentence that names the file."""
    (tmp_path / "a.jsonl").mkdir()
    result = run("--articles", 5, "--out", tmp_path / "a.jsonl")
    assert result.exit_code == 1
    assert "a.jsonl cannot be written: Is a directory" in result.stderr
