"""The page: its files, its modules under Node, and the whole of it in a browser.

The tests of the modules need node (20 or newer), those of the whole page need a Chromium; without them they are
skipped.
"""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

import api
from khabar.filters import FILTERS
from services.store import Store
from tests.api.conftest import Running, Start, Updates, an_article, an_entity, eventually, publish
from tests.browser import Page, browser_page
from tests.harness import hashed

_FOLDER = Path(api.__file__).with_name("dashboard")
_MODULES = {path.stem: path.read_text(encoding="utf-8") for path in sorted(_FOLDER.glob("*.js"))}
_SCRIPT = "\n".join(text for name, text in _MODULES.items() if name != "words")
# Each page by the module that starts it.
_PAGES = {
    "dashboard": (_FOLDER / "index.html").read_text(encoding="utf-8"),
    "feeds": (_FOLDER / "feeds.html").read_text(encoding="utf-8"),
}
_ROOT = Path(__file__).parents[2]
_NODE_TESTS = sorted((_ROOT / "tests" / "dashboard").glob("*.test.mjs"))
_HOSTILE = "<img src=x onerror=\"document.title='hacked'\"><b>bold</b>"


def _words(language: str) -> dict[str, str]:
    block = re.search(rf"^  {language}: \{{\n(.*?)^  \}},", _MODULES["words"], re.DOTALL | re.MULTILINE)
    assert block is not None
    return dict(re.findall(r"^    (\w+): '(.*)',$", block.group(1), re.MULTILINE))


def test_every_text_is_there_in_both_languages() -> None:
    """With the same placeholders; the keys that the page and the modules name are among them."""
    english, arabic = _words("en"), _words("ar")
    assert english.keys() == arabic.keys()
    for name, text in english.items():
        assert sorted(re.findall(r"\{\w+\}", text)) == sorted(re.findall(r"\{\w+\}", arabic[name])), name
    pages = "".join(_PAGES.values())
    named = {*re.findall(r'data-(?:text|label)="(\w+)"', pages), *re.findall(r"\bt\('(\w+)'", _SCRIPT)}
    assert len(named) > 30
    assert named <= english.keys()


@pytest.mark.parametrize("page", _PAGES.values(), ids=_PAGES)
def test_the_page_has_the_english_texts_before_the_script_runs(page: str) -> None:
    """So that nothing moves when it does."""
    english = _words("en")
    shown = re.findall(r'data-text="(\w+)"[^>]*>([^<]+)<', page)
    assert len(shown) > 20
    for name, text in shown:
        assert text == english[name]


def test_no_module_parses_text_as_html() -> None:
    """Text from outside enters the page as text: no module uses a function that would parse it."""
    for name, text in _MODULES.items():
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|\beval\(|srcdoc", text
        ), name
    assert "textContent" in _MODULES["dom"]
    for page in _PAGES.values():
        assert "<script>" not in page and not re.search(r"\son\w+=|\sstyle=", page)


def test_every_element_that_a_module_looks_for_is_on_the_page() -> None:
    """By its id; panels by theirs. Of those in dom.js, the page of feeds has those that its modules use."""
    ids = {name: set(re.findall(r'\bid="([\w-]+)"', page)) for name, page in _PAGES.items()}
    wanted = {name: set(re.findall(r"byId\('([\w-]+)'\)", text)) for name, text in _MODULES.items()}
    panels = re.findall(r"(?:barPanel|listPanel)\('(\w+)'", _SCRIPT)
    assert len(wanted["dom"]) > 10 and len(panels) >= 6
    assert wanted["dom"] | {f"panel-{name}" for name in [*panels, "minutes"]} <= ids["dashboard"]
    elements = dict(re.findall(r"^  (\w+): byId\('([\w-]+)'\)", _MODULES["dom"], re.MULTILINE))
    script = "".join(_MODULES[name] for name in _needed("feeds"))
    used = {elements[name] for name in re.findall(r"\bpage\.(\w+)", script)}
    assert len(wanted["feeds"]) > 10
    assert wanted["feeds"] | used <= ids["feeds"]


def _imports(name: str) -> set[str]:
    statements = re.findall(r"^(?:import|export)\b[^;]*?\bfrom '([^']+)';", _MODULES[name], re.DOTALL | re.MULTILINE)
    found = {re.fullmatch(r"\./(\w+)\.js", address) for address in statements}
    assert None not in found, f"{name} imports something other than a module beside it"
    return {match[1] for match in found if match}


def _needed(name: str) -> set[str]:
    """A module and all that it imports, directly or not."""
    needed, waiting = set(), [name]
    while waiting:
        needed.add(one := waiting.pop())
        waiting += _imports(one) - needed
    return needed


def test_modules_import_only_what_the_map_puts_above_them() -> None:
    """The map at the head of dashboard.js names every module once; no import runs back up, so there is no cycle."""
    rows = re.findall(r"^//   ([a-z]\w*(?:  ?\w+)*?)(?:   .*)?$", _MODULES["dashboard"], re.MULTILINE)
    levels = {name: level for level, row in enumerate(rows) for name in row.split()}
    assert sorted(name for row in rows for name in row.split()) == sorted(_MODULES)
    for name in _MODULES:
        for imported in _imports(name):
            assert levels[imported] < levels[name], f"{name} imports {imported}"


def test_each_module_says_what_it_does() -> None:
    """In a comment on its first line."""
    for name, text in _MODULES.items():
        assert text.startswith("// "), name


@pytest.mark.parametrize("entry", _PAGES)
def test_the_page_asks_for_all_modules_at_once(entry: str) -> None:
    """Each page preloads every module that its entry needs: none waits for another one to be read."""
    preloaded = re.findall(r'<link rel="modulepreload" href="dashboard/(\w+)\.js">', _PAGES[entry])
    assert sorted([*preloaded, entry]) == sorted(_needed(entry))
    assert f'<script type="module" src="dashboard/{entry}.js"></script>' in _PAGES[entry]


def test_every_module_is_of_a_page() -> None:
    """None is left over."""
    assert set().union(*map(_needed, _PAGES)) == set(_MODULES)


@pytest.mark.parametrize("name", [*_MODULES])
async def test_the_gateway_serves_each_module(gateway: Running, name: str) -> None:
    """As JavaScript, under the page's policy; a browser that has it already gets 304."""
    path = f"/dashboard/{name}.js"
    status, text, response = await gateway.get(path)
    assert (status, text) == (200, _MODULES[name])
    assert response.content_type in {"text/javascript", "application/javascript"}
    assert "script-src 'self'" in response.headers["Content-Security-Policy"]
    assert response.headers["Cache-Control"] == "no-cache"
    tag = response.headers["ETag"]
    status, text, response = await gateway.get(path, headers={"If-None-Match": tag})
    assert (status, text) == (304, "")
    assert response.headers["ETag"] == tag


@pytest.mark.parametrize("file", _NODE_TESTS, ids=lambda path: path.name.removesuffix(".test.mjs"))
def test_modules_under_node(file: Path) -> None:
    """The tests of a module pass; what they print is shown when they do not."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs node, which is not on the PATH")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if int(version.removeprefix("v").split(".")[0]) < 20:
        pytest.skip(f"needs node 20 or newer, and this is {version}")
    command = [node, "--test", "--test-reporter=spec", str(file)]
    done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, f"\n{done.stdout}{done.stderr}"
    assert re.search(r"^ℹ pass [1-9]", done.stdout, re.MULTILINE), done.stdout


def test_each_module_without_elements_has_tests_under_node() -> None:
    """All that do not need dom.js; the clock is what these tests replace."""
    pure = {name for name in _MODULES if "dom" not in _needed(name)} - {"clock"}
    assert {path.name.removesuffix(".test.mjs") for path in _NODE_TESTS} == pure


async def _texts(page: Page, selector: str) -> list[str]:
    texts: list[str] = await page.value(f"Array.from(document.querySelectorAll({selector!r}), (it) => it.textContent)")
    return texts


async def _titles(page: Page) -> list[str]:
    """The titles in the list that are not hidden, newest first."""
    return await _texts(page, "#articles li:not([hidden]) .title")


async def _shows(page: Page, state: str) -> None:
    await page.until(f"document.getElementById('status').dataset.state === '{state}'")


async def _titled(page: Page, *titles: str) -> None:
    await page.until(f"document.querySelectorAll('#articles li:not([hidden])').length === {len(titles)}")
    assert await _titles(page) == list(titles)


async def test_the_page_in_a_browser(start_ready: Start, updates: Updates, store: Store, tmp_path: Path) -> None:
    """Rows arrive live and as text, numbers follow, a filter narrows the stream, the other language is Arabic.

    Nothing is reported on the console.
    """
    gaza = an_entity("Q-dashboard")
    about: dict[str, Any] = {"entities": [gaza], "source": "الجزيرة"}
    async with start_ready() as gateway, browser_page(tmp_path) as page:
        await page.goto(f"{gateway.url}/")
        await _shows(page, "live")
        first = an_article(title=_HOSTILE, language="en", **about)
        await publish(store, updates, first)
        await page.until(f"document.querySelector('#article-{first.id}') !== null")
        assert (await _titles(page))[0] == _HOSTILE
        assert await page.value("document.querySelectorAll('#articles img, #articles b').length") == 0
        assert "hacked" not in await page.value("document.title")

        await page.until("document.querySelector('#panel-entity button') !== null")
        assert await _texts(page, "#panel-entity .name") == [gaza.name]
        await page.value("document.querySelector('#panel-entity button').click()")
        assert await _texts(page, "#focus-name") == [gaza.name]
        assert await _texts(page, "button[aria-pressed=true]") == [gaza.name, gaza.name]
        duplicate = an_article(title="تكرار", duplicate_of=first.id, similarity=0.9, **about)
        await publish(store, updates, an_article(title="عن شيء آخر"), an_article(title="عن غزة", **about), duplicate)
        await _titled(page, "تكرار", "عن غزة", _HOSTILE)
        assert await _texts(page, ".duplicate-mark a") == [_HOSTILE]
        await page.value("document.getElementById('hide-duplicates').click()")
        await _titled(page, "عن غزة", _HOSTILE)

        await page.value("document.getElementById('ui-language').click()")
        assert await page.value("[document.documentElement.lang, document.documentElement.dir]") == ["ar", "rtl"]
        assert await _texts(page, "#status-text, #pause, #ui-language") == ["مباشر", "English", "إيقاف مؤقت"]
        await _titled(page, "عن غزة", _HOSTILE)
        await page.value("document.getElementById('pause').click()")
        await publish(store, updates, an_article(title="أثناء التوقف", **about))
        await page.until("document.getElementById('waiting').textContent !== ''")
        assert await _titles(page) == ["عن غزة", _HOSTILE]
        await page.value("document.getElementById('pause').click()")
        await _titled(page, "أثناء التوقف", "عن غزة", _HOSTILE)
        assert page.errors == []


async def test_the_page_resumes_after_the_gateway_was_restarted(
    start_ready: Start, updates: Updates, tmp_path: Path
) -> None:
    """What was published meanwhile is shown once, and the page says that it resumed."""
    async with browser_page(tmp_path) as page:
        async with start_ready() as first:
            await page.goto(f"{first.url}/")
            await _shows(page, "live")
            before = an_article(title="قبل الانقطاع")
            await updates.send(before)
            await page.until(f"document.querySelector('#article-{before.id}') !== null")
        await _shows(page, "reconnecting")
        meanwhile = an_article(title="أثناء الانقطاع")
        await updates.send(meanwhile)
        async with start_ready(at=first.port):
            await page.value("window.dispatchEvent(new Event('online'))")
            await page.until(f"document.querySelector('#article-{meanwhile.id}') !== null")
            assert await page.value("document.getElementById('status').dataset.state") == "resumed"
            assert (await _titles(page))[:2] == ["أثناء الانقطاع", "قبل الانقطاع"]


async def test_the_page_asks_for_the_key_of_a_closed_gateway(
    start_ready: Start, updates: Updates, tmp_path: Path
) -> None:
    """A wrong key is refused, the right one opens stream and numbers, and a reload of the tab still has it."""
    enter = "document.getElementById('key-input').value = {key!r}; document.getElementById('key-form').requestSubmit()"
    message = "document.getElementById('key-message').textContent"
    form = "document.getElementById('key-section').hidden"
    async with start_ready(api_keys=hashed("right:read")) as gateway, browser_page(tmp_path) as page:
        await page.goto(f"{gateway.url}/")
        await page.until(f"{form} === false")
        assert await page.value(message) == _words("en")["keyRequired"]
        await page.value(enter.format(key="wrong"))
        await page.until(f"{message} === {_words('en')['keyRefused']!r} && {form} === false")
        await page.value(enter.format(key="right"))
        await _shows(page, "live")
        article = an_article()
        await updates.send(article)
        await page.until(f"document.querySelector('#article-{article.id}') !== null")
        await page.until("!document.querySelector('.panel.stale')")
        assert await page.value(form) is True
        await page.goto(f"{gateway.url}/")
        await _shows(page, "live")
        assert await page.value(form) is True
        await eventually(lambda: gateway.counted('connections{transport="websocket"} 1.0'))


async def test_the_description_of_the_api_in_a_browser(gateway: Running, tmp_path: Path) -> None:
    """``/docs`` shows the endpoints under its policy: no error, no violation, and no request to another site."""
    async with browser_page(tmp_path) as page:
        await page.goto(f"{gateway.url}/docs")
        await page.until("document.querySelectorAll('.opblock').length > 10")
        assert "/v1/stories" in await page.value("document.body.innerText")
        loaded = await page.value("performance.getEntriesByType('resource').map(one => one.name)")
        assert len(loaded) >= 4
        assert all(one.startswith((gateway.url, "data:")) for one in loaded)
        assert page.errors == []


async def test_the_description_of_the_api_loads_nothing_from_elsewhere(gateway: Running) -> None:
    """``/docs`` has its own policy and files; ``/redoc`` does not exist."""
    async with gateway.http.get(f"{gateway.url}/docs") as response:
        page = await response.text()
        assert "default-src 'none'; script-src 'self';" in response.headers["Content-Security-Policy"]
        assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert "//" not in page
    for name in re.findall(r'(?:href|src)="(docs/[^"]+)"', page):
        async with gateway.http.get(f"{gateway.url}/{name}") as response:
            assert response.status == 200
    assert (await gateway.get("/redoc"))[0] == 404
    assert (await gateway.get("/docs/other.js"))[0] == 404


async def test_the_page_makes_a_field_for_each_filter_of_the_table(
    start_ready: Start, updates: Updates, tmp_path: Path
) -> None:
    """A filter is defined once: one that is added to the table is on the page, in its address and in the stream.

    The address sets filters, values that are entered narrow the stream, and invalid ones are named.
    """
    async with start_ready() as gateway, browser_page(tmp_path) as page:
        _, table, response = await gateway.get("/dashboard/filters.json")
        assert [one["name"] for one in table["filters"]] == [spec.name for spec in FILTERS]
        tag = {"If-None-Match": response.headers["ETag"]}
        assert (await gateway.get("/dashboard/filters.json", headers=tag))[0] == 304
        await page.goto(f"{gateway.url}/?source=Reuters&language=en&duplicates=hide")
        await _shows(page, "live")
        fields = [spec.name for spec in FILTERS if spec.name not in {"type", "language", "duplicates"}]
        names = "[...document.querySelectorAll('#filter-fields input')].map((it) => it.name)"
        assert await page.value(names) == fields
        other, wanted = an_article(language="en", source="AFP"), an_article(language="en", source="Reuters")
        await updates.send(other, wanted)
        await page.until(f"document.querySelector('#article-{wanted.id}') !== null")
        assert await page.value(f"document.querySelector('#article-{other.id}')") is None
        enter = (
            "document.querySelector('#filter-fields input[name={name}]').value = {value!r};"
            "document.getElementById('filter-form').requestSubmit()"
        )
        await page.value(enter.format(name="topic", value="sport"))
        assert "topic" in await page.value("document.getElementById('filters-rejected').textContent")
        await page.value(enter.format(name="topic", value=""))
        await page.value(enter.format(name="source", value="AFP"))
        await page.until(f"document.querySelector('#article-{other.id}') !== null")
        assert await page.value(f"document.querySelector('#article-{wanted.id}')") is None
        assert await page.value("location.search") == "?source=AFP&language=en&duplicates=hide"
        assert page.errors == []


async def test_the_page_is_not_live_while_the_pipeline_stands(
    start_ready: Start, updates: Updates, tmp_path: Path
) -> None:
    """It says which part is missing, and how old the last article is."""
    async with start_ready(ingest_url="http://127.0.0.1:9") as gateway, browser_page(tmp_path) as page:
        await updates.send(an_article())
        await page.goto(f"{gateway.url}/")
        await _shows(page, "stalled")
        assert "ingest" in await page.value("document.getElementById('status-text').textContent")
        await page.until("document.getElementById('rate').textContent.startsWith('last article')")
