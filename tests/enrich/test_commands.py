"""``khabar annotate`` on the command line."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from enrich.commands import annotate
from services.errors import OperatorError
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
    """``-`` reads JSONL; what cannot be annotated is reported with its place, the rest is printed, the status is 1."""
    result = CliRunner().invoke(annotate, ["-"], input=f'{LINE}\nnot json\n{{"text": "123"}}\n{LINE}\n')
    assert result.exit_code == 1
    assert len(result.stdout.splitlines()) == 2
    assert [complaint.split(": ")[0] for complaint in result.stderr.splitlines()] == ["-:2", "-:3"]


def test_a_missing_path_is_one_sentence(tmp_path: Path) -> None:
    """No traceback for a missing path."""
    result = CliRunner().invoke(annotate, [str(tmp_path / "nowhere")])
    assert result.exit_code == 1
    assert "no such file or directory" in result.stderr


@pytest.mark.parametrize(("tier", "wanted"), [("quality", "KHABAR_NER_MODEL"), ("camel", "camel_data -i ner-arabert")])
def test_a_tier_that_is_not_installed_names_what_it_needs(
    tier: str, wanted: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No silent fallback to another recognizer: one sentence names what to set or to install."""
    (tmp_path / "one.txt").write_text("قال بوتين إن روسيا مستمرة", encoding="utf-8")
    monkeypatch.setenv("KHABAR_NER", tier)
    result = CliRunner().invoke(annotate, [str(tmp_path)])
    assert isinstance(result.exception, OperatorError)
    assert wanted in str(result.exception)
