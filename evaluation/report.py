"""Writes figures as Markdown: sections with tables in one file.

A section whose data is missing in this run keeps its earlier content.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table; floats have three decimals."""
    lines = [_row(head), _row(["---"] * len(head)), *(_row([_cell(cell) for cell in row]) for row in rows)]
    return "\n".join(lines)


def _cell(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def sections(text: str) -> dict[str, str]:
    """The sections of a Markdown text by their second-level heading, in order."""
    found: dict[str, str] = {}
    for part in text.split("\n## ")[1:]:
        title, _, body = part.partition("\n")
        found[title.strip()] = body.strip()
    return found


def write(path: Path, preface: str, measured: dict[str, str | None]) -> None:
    """Write all sections in order; a section that was not measured (None) keeps its content in the file."""
    before = sections(path.read_text(encoding="utf-8")) if path.exists() else {}
    parts = [preface.strip()]
    for title, body in measured.items():
        kept = body if body is not None else before.get(title, "Not measured yet.")
        parts.append(f"## {title}\n\n{kept.strip()}")
    path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
