"""A folder of newspapers in the corpus's format is grouped, labelled and counted."""

import json
import random
import zipfile
from pathlib import Path
from typing import Any

import pytest

from evaluation import newspapers
from evaluation.newspapers import Labelled, Report

RNG = random.Random(8)
WORDS = ["".join(RNG.choices("ابتثجحخدذرزسشصضطظعغفقكلمنهوي", k=length)) for length in (4, 5, 6, 7) for _ in range(300)]


def text(length: int) -> str:
    """A text of random words."""
    return " ".join(RNG.choices(WORDS, k=length))


def record(minute: int, day: int, content: str) -> dict[str, Any]:
    """An article in the corpus's format."""
    return {
        "source": f"paper{minute}",
        "url": f"http://paper{minute}.example/{day}",
        "date_extracted": f"2015-07-{day} 10:{minute:02}:00",
        "title": text(6),
        "author": "",
        "content": content,
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two days: an article, its near-duplicate, an excerpt, another and an empty one; the first again, too late."""
    original = text(200)
    days = {
        "2015-07-21": [
            record(4, 21, text(150)),
            record(1, 21, original),
            record(3, 21, " ".join(original.split()[50:120])),
            record(2, 21, f"{original} {text(5)}"),
            record(5, 21, " "),
        ],
        "2015-07-27": [record(1, 27, original)],
    }
    for day, records in days.items():
        with zipfile.ZipFile(tmp_path / f"{day}.zip", "w") as archive:
            archive.writestr(f"{day}.json", json.dumps(records))
    return tmp_path


def test_newspapers_are_labelled(folder: Path) -> None:
    """Articles are in order of time without the empty one; the near-duplicate is reported and labelled, the excerpt is
    labelled, and the article of a week later matches nothing."""
    labelled = newspapers.label(folder)
    assert [article.source for article in labelled.articles] == ["paper1", "paper2", "paper3", "paper4", "paper1"]
    assert newspapers.near_duplicates(labelled) == {"same": {1}, "excerpt": {2}, "enlarged": set()}
    reports = {report.pair: report.verdict for report in labelled.reports}
    assert reports[0, 1] == "same"
    assert all(later < 3 for _, later in reports)


def test_thresholds_count_reports_and_copies() -> None:
    """Precision counts the reports from the threshold on; recall counts all near-duplicates, by relation."""
    texts = [("w",) * length for length in (100, 100, 30, 200, 100, 100)]
    labelled = Labelled(
        articles=[],
        texts=texts,
        labels={(0, 1): ("same", 0.9), (0, 2): ("excerpt", 1.0), (0, 3): ("excerpt", 0.8), (0, 4): ("partly", 0.5)},
        reports=[
            Report((0, 1), 0.95, "same", 0.9),
            Report((1, 2), 0.65, "excerpt", 1.0),
            Report((0, 4), 0.45, "partly", 0.5),
            Report((0, 5), 0.35, "different", 0.1),
        ],
    )
    rows = {row.threshold: row for row in newspapers.rows(labelled)}
    assert [rows[threshold].precision for threshold in (0.3, 0.4, 0.6, 0.8)] == [0.5, 2 / 3, 1.0, 1.0]
    assert rows[0.6].recall == {"same": 1.0, "excerpt": 1.0, "enlarged": 0.0}
    assert rows[0.8].recall == {"same": 1.0, "excerpt": 0.0, "enlarged": 0.0}
    assert rows[0.3].verdicts == {"same": 1, "excerpt": 1, "partly": 1, "different": 1}
