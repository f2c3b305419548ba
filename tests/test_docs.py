"""The documentation is complete: links resolve, and every setting, command and option is described."""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import click
import pytest

from services.cli import cli
from services.settings import PREFIX, Settings

_ROOT = Path(__file__).parent.parent
_SKIPPED = {"node_modules", "shared"}
_FENCE = re.compile(r"^ *```.*?^ *```$", re.DOTALL | re.MULTILINE)
_CODE = re.compile(r"`[^`\n]+`")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ +(.+?) *$", re.MULTILINE)
_START = _ROOT / "docs" / "README.md"
_INVARIANTS = _ROOT / "docs" / "invariants.md"


def _pages() -> list[Path]:
    found = (path.relative_to(_ROOT) for path in _ROOT.rglob("*.md"))
    return sorted(path for path in found if not any(part in _SKIPPED or part[0] == "." for part in path.parts))


def _links(page: Path) -> list[str]:
    """The targets of all links of a page, those in code left out."""
    text = _CODE.sub("", _FENCE.sub("", page.read_text(encoding="utf-8")))
    return _LINK.findall(text)


def _anchors(page: Path) -> set[str]:
    """The anchors that a forge gives to the headings of a page."""
    anchors: set[str] = set()
    for heading in _HEADING.findall(_FENCE.sub("", page.read_text(encoding="utf-8"))):
        slug = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        repeats = sum(anchor == slug or bool(re.fullmatch(rf"{re.escape(slug)}-\d+", anchor)) for anchor in anchors)
        anchors.add(f"{slug}-{repeats}" if repeats else slug)
    return anchors


@pytest.mark.parametrize("page", _pages(), ids=str)
def test_relative_links_and_anchors_resolve(page: Path) -> None:
    """Each relative link names an existing file, and each anchor a heading of that file."""
    broken = []
    for target in _links(_ROOT / page):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = unquote(target).partition("#")
        file = ((_ROOT / page).parent / name).resolve() if name else _ROOT / page
        if not file.exists() or (anchor and anchor not in _anchors(file)):
            broken.append(target)
    assert broken == []


def test_the_start_page_links_to_every_page() -> None:
    """Each page of docs/ is one link away from docs/README.md."""
    linked = {(_START.parent / target.partition("#")[0]).resolve() for target in _links(_START)}
    pages = {path for path in _START.parent.rglob("*.md") if "node_modules" not in path.parts} - {_START}
    assert {str(path.relative_to(_ROOT)) for path in pages - linked} == set()


def _settings_of(page: Path) -> dict[str, str]:
    """The settings in the tables of a page, with their defaults as written there."""
    found: dict[str, str] = {}
    for line in page.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) < 4 or not cells[1].startswith(f"`{PREFIX}"):
            continue
        names, defaults = (cell.replace("`", "").split(", ") for cell in cells[1:3])
        found |= dict(zip(names, defaults, strict=True))
    return found


def _written(default: object) -> str:
    if default is None or default == ():
        return "none"
    if isinstance(default, bool):
        return str(default).lower()
    return f"{default:g}" if isinstance(default, float) else str(default)


@pytest.mark.parametrize("page", ["README.md", "docs/reference/settings.md"])
def test_every_setting_is_listed_with_its_default(page: str) -> None:
    """The tables list exactly the fields of ``Settings``, with the defaults of the code."""
    listed = _settings_of(_ROOT / page)
    fields = {PREFIX + name.upper(): _written(field.default) for name, field in Settings.model_fields.items()}
    assert {name: default.replace("embedded", "none") for name, default in listed.items()} == fields


def _commands() -> Iterator[tuple[str, click.Command]]:
    """Every command that does something, with its full name."""
    waiting: list[tuple[str, click.Command]] = [("khabar", cli)]
    while waiting:
        name, command = waiting.pop()
        if not isinstance(command, click.Group):
            yield name, command
            continue
        context = click.Context(command)
        for sub in command.list_commands(context):
            found = command.get_command(context, sub)
            assert found is not None
            waiting.append((f"{name} {sub}", found))


def test_every_command_and_option_is_described() -> None:
    """The commands reference has a section for each command, which names each of its options."""
    text = (_ROOT / "docs" / "reference" / "commands.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^### `(khabar [^`]+)`\n(.*?)(?=^##|\Z)", text, re.DOTALL | re.MULTILINE))
    missing = []
    for name, command in _commands():
        top = " ".join(name.split()[:2])
        if top not in sections or (name != top and f"`{name}" not in sections[top]):
            missing.append(name)
            continue
        for option in command.params:
            if isinstance(option, click.Option) and not re.search(rf"{option.opts[0]}\b", sections[top]):
                missing.append(f"{name} {option.opts[0]}")
    assert missing == []


def test_every_command_is_in_the_readme() -> None:
    """README lists each command by its name."""
    text = (_ROOT / "README.md").read_text(encoding="utf-8")
    assert {name.split()[1] for name, _ in _commands() if f"khabar {name.split()[1]}" not in text} == set()


def test_every_invariant_names_tests_that_exist() -> None:
    """Each row of the invariants has a mechanism and at least one test, and each test named there is in its file."""
    rows = [line.split("|")[1:-1] for line in _INVARIANTS.read_text(encoding="utf-8").splitlines() if "**" in line]
    missing = [row[0] for row in rows if len(row) != 3 or not row[1].strip() or "::" not in row[2]]
    for file, name in re.findall(r"`(tests/[^`:]+)::([^`]+)`", _INVARIANTS.read_text(encoding="utf-8")):
        if f"def {name}(" not in (_ROOT / file).read_text(encoding="utf-8"):
            missing.append(f"{file}::{name}")
    assert rows
    assert missing == []
