"""The programs in docs/examples and the Python in docs/reference/client.md work against a real gateway.

Those for Node need node (20 or newer) and npm, which fetches what docs/examples/package-lock.json names; the page needs
a Chromium. Where one is missing its tests are skipped and say so.
"""

import ast
import asyncio
import contextlib
import io
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.api import conftest as gateways
from tests.api.conftest import Running, Start, Updates, a_story, a_trend, an_article, an_entity, eventually
from tests.browser import Page, browser_page

gateway = gateways.gateway
start = gateways.start
updates = gateways.updates

_DOCS = Path(__file__).parent.parent / "docs"
_EXAMPLES = _DOCS / "examples"
_CLIENT = (_DOCS / "reference" / "client.md").read_text(encoding="utf-8")
_titles = (f"خبر رقم {number}" for number in itertools.count(1))


class _Program(NamedTuple):
    """An example that runs for ever, the file in which it keeps its place, and what carries its stream."""

    name: str
    place: str
    transport: str


_PROGRAMS = [
    _Program("subscribe.py", "subscribe.cursor", "websocket"),
    _Program("subscribe_raw.py", "subscribe_raw.cursor", "websocket"),
    _Program("events_sse.py", "events_sse.cursor", "sse"),
    _Program("subscribe.mjs", "subscribe.cursor", "websocket"),
    _Program("events.mjs", "events.cursor", "sse"),
]
_each_program = pytest.mark.parametrize("program", _PROGRAMS, ids=lambda program: program.name)


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the Node packages of the examples; skips where they cannot be had."""
    if not shutil.which("node") or not shutil.which("npm"):
        pytest.skip("needs node and npm, which are not on the PATH")
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if int(version.removeprefix("v").split(".")[0]) < 20:
        pytest.skip(f"needs node 20 or newer, and this is {version}")
    folder = tmp_path_factory.mktemp("node")
    for name in ("package.json", "package-lock.json"):
        shutil.copy(_EXAMPLES / name, folder)
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1"]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=90)
    except subprocess.TimeoutExpired:
        pytest.skip("npm ci did not end in time: is there no registry?")
    if done.returncode:
        pytest.skip(f"npm ci failed: {done.stderr[-300:]}")
    return folder / "node_modules"


@pytest.fixture
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Where the example runs: a folder with nothing in it but the example and the packages it needs."""
    name: str = request.node.callspec.params["program"].name
    shutil.copy(_EXAMPLES / name, tmp_path)
    if name.endswith(".mjs"):
        (tmp_path / "node_modules").symlink_to(request.getfixturevalue("packages"))
    return tmp_path


@asynccontextmanager
async def _running(name: str, folder: Path, url: str) -> AsyncIterator[Process]:
    command = ["node"] if name.endswith(".mjs") else [sys.executable]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    child = await asyncio.create_subprocess_exec(
        *command, name, url, cwd=folder, env=environment, stdout=PIPE, stderr=PIPE
    )
    try:
        yield child
    finally:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        await child.communicate()


async def _told(child: Process, *titles: str) -> None:
    """The next lines bear these titles."""
    assert child.stdout is not None
    for title in titles:
        async with asyncio.timeout(30):
            line = (await child.stdout.readline()).decode()
        assert line.endswith(f" الجزيرة {title}\n"), line + ("" if line else (await child.communicate())[1].decode())


async def _send(updates: Updates, gateway: Running, count: int) -> tuple[list[str], str]:
    """Publish articles of which every second is in Arabic; the titles of these, and the last one's cursor."""
    articles = [an_article(title=next(_titles), language=language) for _ in range(count) for language in ("fr", "ar")]
    offsets = await updates.send(*articles)
    cursors = gateway.gateway.follower.cursors
    assert cursors is not None
    return [str(one.title) for one in articles[1::2]], cursors.encode(offsets[-1])


@_each_program
async def test_an_example_resumes_after_the_gateway_and_itself_were_stopped(
    program: _Program, folder: Path, start: Start, updates: Updates
) -> None:
    """Every article in Arabic once, in order: live, after the gateway was away, and after the program was killed."""
    name, place, transport = program
    connected = f'connections{{transport="{transport}"}} 1.0'
    async with start() as first, _running(name, folder, first.url) as child:
        await eventually(lambda: first.counted(connected))
        titles, _ = await _send(updates, first, 3)
        await _told(child, *titles)
        first.server.stop()
        await asyncio.sleep(0.2)
        missed, _ = await _send(updates, first, 2)
        async with start(at=first.port) as second:
            await _told(child, *missed)
            titles, cursor = await _send(updates, second, 2)
            await _told(child, *titles)
            await eventually(lambda: (folder / place).read_text() >= cursor)
            child.kill()
            await child.wait()
            missed, _ = await _send(updates, second, 2)
            async with _running(name, folder, second.url) as again:
                await _told(again, *missed)
                titles, _ = await _send(updates, second, 1)
                await _told(again, *titles)


@_each_program
async def test_an_example_ends_when_going_on_makes_no_sense(program: _Program, folder: Path, gateway: Running) -> None:
    """A cursor that the gateway does not know: it says so, and the status is 1."""
    (folder / program.place).write_text("elsewhere")
    async with _running(program.name, folder, gateway.url) as child, asyncio.timeout(20):
        _, error = await child.communicate()
    assert child.returncode == 1
    assert "cursor" in error.decode() or "400" in error.decode()


def test_examples_are_short() -> None:
    """Under 40 lines each."""
    programs = [path for path in _EXAMPLES.iterdir() if path.suffix in {".py", ".mjs", ".html"}]
    assert len(programs) == 6
    assert {path.name for path in programs if len(path.read_text().splitlines()) >= 40} == set()


async def _open(page: Page, url: str) -> None:
    """Show browser.html as if the gateway at the address served it."""
    html = (_EXAMPLES / "browser.html").read_text(encoding="utf-8")
    await page.goto(f"{url}/healthz")
    await page.value(f"document.open(); document.write({json.dumps(html)}); document.close()")


async def _items(page: Page, name: str) -> list[str]:
    """The texts of a list's items."""
    found: list[str] = await page.value(f"Array.from(document.querySelectorAll('#{name} li'), (it) => it.textContent)")
    return found


async def test_the_page_follows_the_stream_in_a_browser(start: Start, updates: Updates, tmp_path: Path) -> None:
    """The browser's own WebSocket and EventSource, in a Chromium: once each, in order, also over a restart."""
    async with browser_page(tmp_path) as page, start() as first, asyncio.timeout(90):
        await _open(page, first.url)
        for transport in ("websocket", "sse"):
            await eventually(lambda: first.counted(f'connections{{transport="{transport}"}} 1.0'))  # noqa: B023
        titles, _ = await _send(updates, first, 2)
        await _shown(page, titles)
        first.server.stop()
        await asyncio.sleep(0.2)
        titles += (await _send(updates, first, 2))[0]
        async with start(at=first.port) as second:
            await _shown(page, titles)
            titles += (await _send(updates, second, 1))[0]
            await _shown(page, titles)


async def _shown(page: Page, titles: list[str]) -> None:
    for name in ("socket", "events"):
        while len(items := await _items(page, name)) < len(titles):  # noqa: ASYNC110 - the page cannot call
            await asyncio.sleep(0.05)
        assert [item.split(" الجزيرة ")[1] for item in items] == titles


def _blocks() -> list[str]:
    found = re.findall(r"^(<!-- \S+ -->\n)?```python\n(.*?)^```$", _CLIENT, re.DOTALL | re.MULTILINE)
    return [code for file, code in found if not file]


def test_what_the_document_includes_is_the_example() -> None:
    """Letter by letter."""
    included = re.findall(r"^<!-- (\S+) -->\n```python\n(.*?)^```$", _CLIENT, re.DOTALL | re.MULTILINE)
    assert included
    for name, code in included:
        assert code == (_DOCS / name).read_text(encoding="utf-8")


async def test_the_snippets_of_the_document_run(gateway: Running, updates: Updates) -> None:
    """Each prints what it says when something comes, or why nothing will."""
    matching, refused = [await _output(code, gateway, updates) for code in _blocks()]
    assert matching == [
        "article عنوان ['بوتين']",
        "story sa goes on as sb",
        "story sc 2 ['ar']",
        "trend غزة start 20 instead of 2.5",
    ]
    (line,) = refused
    assert line.startswith("bad_filter ") and "klingon" in line


async def _output(code: str, gateway: Running, updates: Updates) -> list[str]:
    """The lines that a snippet prints when these events come, until nothing comes any more."""
    wrapped = f"async def snippet():\n{textwrap.indent(code, '    ')}".replace("http://127.0.0.1:8000", gateway.url)
    names: dict[str, Any] = {}
    exec(compile(ast.parse(wrapped), "client.md", "exec"), names)  # noqa: S102 - it is our own
    named = [an_entity("Q7747", "بوتين")]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        before = gateway.gateway.log.end
        task = asyncio.create_task(names["snippet"]())
        await asyncio.sleep(0.5)
        await updates.send(
            an_article(title="عنوان", entities=named),
            a_story(id="sa", entities=named, merged_into="sb"),
            a_story(id="sc", entities=named, size=2),
            a_trend(id="Q7747"),
        )
        await eventually(lambda: gateway.gateway.log.end >= before + 4)
        await asyncio.wait({task}, timeout=0.5)
    if task.done():
        task.result()
    task.cancel()
    await asyncio.wait({task})
    # The gateway, which is in this process, logs there too.
    return [line for line in printed.getvalue().splitlines() if not re.match(r"\d{4}-\d\d-\d\d ", line)]
