"""Both wheels as users install them: what is in them, what they need, and that they work in a clean environment.

Takes about 10 s with the packages in uv's cache, a minute without.
"""

import json
import os
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from packaging.metadata import Metadata
from uv import find_uv_bin

ROOT = Path(__file__).parent.parent
# Of site-packages, without byte code. It is 421 MB; Kafka's jar files (44 MB) are fetched to ~/.m2.
MAX_INSTALLED_BYTES = 450_000_000
PACKAGES = {"api", "enrich", "ingest", "khabar", "seeds", "services"}

pytestmark = pytest.mark.timeout(600)


def _run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command in an environment without this one's packages and settings."""
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("KHABAR_") and name not in {"PYTHONPATH", "VIRTUAL_ENV"}
    }
    return subprocess.run(command, cwd=cwd, env=clean, capture_output=True, text=True, check=False)


def _built(folder: Path, out: Path) -> Path:
    done = _run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", out, cwd=folder)
    assert done.returncode == 0, done.stderr
    (wheel,) = out.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of the server."""
    return _built(ROOT, tmp_path_factory.mktemp("server"))


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of the client."""
    return _built(ROOT / "khabar", tmp_path_factory.mktemp("client"))


Install = Callable[..., Path]


@pytest.fixture
def install(tmp_path: Path) -> Install:
    """Installs a wheel with its dependencies into a new environment: its interpreter."""
    uv = find_uv_bin()

    def installed(wheel: Path, python: str = sys.executable, *options: str) -> Path:
        environment = tmp_path / "env"
        # uv does not look for the interpreters of pyenv, which are on the PATH one version at a time.
        found = next(iter(sorted(Path.home().glob(f".pyenv/versions/{python}.*/bin/python"))), python)
        made = _run(uv, "venv", "--quiet", "--no-python-downloads", "--python", found, environment, cwd=tmp_path)
        if made.returncode:
            pytest.skip(f"there is no Python {python} here")
        interpreter = environment / "bin" / "python"
        reached = _run(uv, "pip", "install", "--dry-run", "--python", interpreter, "pydantic", cwd=tmp_path)
        if reached.returncode:
            pytest.skip(f"no package index can be reached: {reached.stderr.strip()[-300:]}")
        done = _run(uv, "pip", "install", "--quiet", *options, "--python", interpreter, wheel, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        return interpreter

    return installed


def _metadata(wheel: Path) -> Metadata:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (one for one in archive.namelist() if one.endswith(".dist-info/METADATA"))
        return Metadata.from_email(archive.read(name), validate=True)


@pytest.mark.parametrize("name", ["server", "client"])
def test_metadata_is_complete(name: str, request: pytest.FixtureRequest) -> None:
    """Valid by the rules of package indexes; a reader of the index finds what it is, and under which licence."""
    metadata = _metadata(request.getfixturevalue(name))
    assert metadata.summary and metadata.keywords and metadata.author
    assert metadata.license_expression == "Apache-2.0"
    assert metadata.license_files and "LICENSE" in metadata.license_files
    assert metadata.description_content_type == "text/markdown"
    assert metadata.classifiers and "Typing :: Typed" in metadata.classifiers
    extras = {"camel", "vectors"} if name == "server" else set()
    assert set(metadata.provides_extra or ()) == extras


def test_the_wheels_hold_the_packages_and_nothing_else(server: Path, client: Path) -> None:
    """Data files are in the server's wheel; both have the same client."""
    with zipfile.ZipFile(server) as archive:
        names = {one for one in archive.namelist() if ".dist-info/" not in one}
        assert {one.split("/")[0] for one in names} == PACKAGES
        expected = {
            str(path.relative_to(ROOT))
            for package in PACKAGES
            for path in (ROOT / package).rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        }
        assert expected - names == {f"khabar/{one}" for one in ("LICENSE", "README.md", "pyproject.toml")}
        in_server = {one: archive.read(one) for one in names if one.startswith("khabar/")}
    with zipfile.ZipFile(client) as archive:
        in_client = {one: archive.read(one) for one in archive.namelist() if ".dist-info/" not in one}
    assert in_client == in_server


def test_both_distributions_have_one_version_and_licence() -> None:
    """They are released together."""
    projects = [tomllib.loads((folder / "pyproject.toml").read_text())["project"] for folder in (ROOT, ROOT / "khabar")]
    assert projects[0]["version"] == projects[1]["version"]
    assert (ROOT / "LICENSE").read_bytes() == (ROOT / "khabar" / "LICENSE").read_bytes()


def test_the_server_annotates_an_article_in_a_clean_environment(server: Path, install: Install, tmp_path: Path) -> None:
    """Without torch and camel-tools, within the promised size; names are recognised as in this environment."""
    python = install(server)
    (tmp_path / "one.jsonl").write_text('{"title": "Putin in Geneva", "text": "التقى بوتين بالرئيس ماكرون في جنيف."}\n')
    done = _run(python.with_name("khabar"), "annotate", "one.jsonl", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert {"Q7747", "Q71"} <= {entity["id"] for entity in json.loads(done.stdout)["entities"]}
    (packages,) = (tmp_path / "env" / "lib").glob("python3.*/site-packages")
    assert not any((packages / name).exists() for name in ("torch", "transformers", "camel_tools"))
    files = [path for path in packages.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    assert sum(path.stat().st_size for path in files) < MAX_INSTALLED_BYTES
    shown = _run(python.with_name("khabar"), "--version", cwd=tmp_path)
    assert shown.stdout.strip().endswith(_metadata(server).version.public)


@pytest.mark.parametrize(
    ("python", "options"), [("3.10", ("--resolution", "lowest")), ("3.12", ()), (sys.executable, ())]
)
def test_the_client_is_imported_with_its_dependencies_only(
    python: str, options: tuple[str, ...], client: Path, install: Install, tmp_path: Path
) -> None:
    """On the oldest Python with the oldest dependencies, and on newer ones."""
    interpreter = install(client, python, *options)
    code = (
        "import json, khabar; from khabar import events, stream;"
        "span = events.Span.model_validate({'start': 1, 'end': 2, 'new': 3});"
        "print(json.dumps([khabar.connect.__module__, span.encode().decode()]))"
    )
    done = _run(interpreter, "-c", code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == ["khabar.client", '{"start":1,"end":2}']
