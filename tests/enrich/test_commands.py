"""``khabar annotate`` as a person calls it."""

import json
from pathlib import Path

from click.testing import CliRunner

from enrich.commands import annotate
from tests.harness import SEEDS, seed_articles

LINE = json.dumps({"text": "التقى بوتين ماكرون في القاهرة", "title": "لقاء"}, ensure_ascii=False)


def test_a_directory_is_annotated_in_input_order() -> None:
    """One JSON article a line for every line of seeds/, in its order, with entities."""
    result = CliRunner().invoke(annotate, [str(SEEDS)])
    assert result.exit_code == 0, result.stderr
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [row["source"] for row in rows] == [article.source for article in seed_articles()]
    assert any(entity["id"] == "Q7747" for row in rows for entity in row["entities"])


def test_stdin_and_bad_lines() -> None:
    """``-`` reads JSONL; what cannot be annotated is told with its place, the rest comes out, the status is 1."""
    result = CliRunner().invoke(annotate, ["-"], input=f'{LINE}\nnot json\n{{"text": "123"}}\n{LINE}\n')
    assert result.exit_code == 1
    assert len(result.stdout.splitlines()) == 2
    assert [complaint.split(": ")[0] for complaint in result.stderr.splitlines()] == ["-:2", "-:3"]


def test_a_missing_path_is_one_sentence(tmp_path: Path) -> None:
    """No traceback for a path that is not there."""
    result = CliRunner().invoke(annotate, [str(tmp_path / "nowhere")])
    assert result.exit_code == 1
    assert "no such file or directory" in result.stderr
