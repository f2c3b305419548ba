"""The training programs fit the code of Khabar that they use, also where their own requirements are not installed."""

import ast
import importlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent
FILES = sorted((ROOT / "training").rglob("*.py"))
OURS = {"services", "khabar", "ingest", "enrich", "api", "evaluation", "benchmarks"}


def module_of(file: Path) -> str:
    """The dotted name of a file's module."""
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports(tree: ast.Module) -> Iterator[tuple[str, str | None, str]]:
    """Each import of a module: the module, the name imported from it if any, and the local name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((one.name, None, one.asname or one.name) for one in node.names)
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from ((node.module, one.name, one.asname or one.name) for one in node.names)


def names_in(module: str) -> set[str]:
    """The names that a module of training/ has: its own, those that it imports, and its submodules."""
    file = ROOT.joinpath(*module.split("."))
    source = file / "__init__.py" if file.is_dir() else file.with_suffix(".py")
    tree = ast.parse(source.read_text(encoding="utf-8"))
    own = {node.name for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef)}
    stored = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    return own | stored | {local for _, _, local in imports(tree)} | {path.stem for path in file.glob("*.py")}


def resolved(module: str, name: str) -> ModuleType | object:
    """The object ``name`` of a module of Khabar, importing a submodule if it is one. Raises if there is none."""
    found = importlib.import_module(module)
    return getattr(found, name) if hasattr(found, name) else importlib.import_module(f"{module}.{name}")


@pytest.mark.parametrize("file", FILES, ids=module_of)
def test_imported_names_exist(file: Path) -> None:
    """All names that training imports from Khabar, and attributes of Khabar's modules that it uses, exist."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    modules: dict[str, ModuleType] = {}
    for module, name, local in imports(tree):
        if module.split(".")[0] == "training" and name is not None:
            assert name in names_in(module)
        elif module.split(".")[0] in OURS:
            found = importlib.import_module(module) if name is None else resolved(module, name)
            if isinstance(found, ModuleType):
                modules[local] = found
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules:
            assert hasattr(modules[node.value.id], node.attr), f"{node.value.id}.{node.attr}"


@pytest.mark.parametrize("file", FILES, ids=module_of)
def test_modules_compile_and_import(file: Path) -> None:
    """A module compiles; it imports, or lacks only a requirement of training."""
    compile(file.read_text(encoding="utf-8"), str(file), "exec")
    try:
        importlib.import_module(module_of(file))
    except ModuleNotFoundError as error:
        assert error.name
        assert error.name.split(".")[0] not in OURS | {"training"}
