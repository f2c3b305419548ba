"""The map of each package: its docstring names every file and folder in it."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TOP = ("services", "khabar", "ingest", "enrich", "api", "evaluation", "benchmarks", "training")
PACKAGES = sorted(file.parent for top in TOP for file in (ROOT / top).rglob("__init__.py"))
# So many modules and folders in one package are still taken in at a glance.
MOST = 16


def files_of(package: Path) -> set[str]:
    """The modules (``name``) and folders (``name/``) directly in a package."""
    modules = {file.stem for file in package.glob("*.py") if not file.stem.startswith("__")}
    folders = {f"{one.name}/" for one in package.iterdir() if one.is_dir() and not one.name.startswith(("__", "."))}
    # The folders of languages have one row.
    codes = {folder for folder in folders if package.name == "languages" and len(folder) == len("xx/")}
    return modules | (folders - codes) | ({"xx/"} if codes else set())


def map_of(package: Path) -> set[str]:
    """The first column of the table in a package's docstring."""
    docstring = ast.get_docstring(ast.parse((package / "__init__.py").read_text(encoding="utf-8"))) or ""
    tables = re.split(r"^=+ =+$", docstring, flags=re.MULTILINE)
    assert len(tables) == 3, "one table: a line of equal signs before and after it"
    return {row.split()[0] for row in tables[1].splitlines() if row and not row.startswith(" ")}


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: str(package.relative_to(ROOT)))
def test_each_map_names_the_files_that_exist(package):
    """A package's docstring has one row for each of its modules and folders, and none for anything else."""
    assert map_of(package) == files_of(package)


@pytest.mark.parametrize("package", ["enrich", "api"])
def test_packages_stay_small_enough_to_take_in(package):
    """enrich/ and api/ have at most 16 modules and folders."""
    assert len(files_of(ROOT / package)) <= MOST
