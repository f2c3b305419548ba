"""The page of feeds in a browser, with a real gateway, ingest and store and a local web site."""

import asyncio
import json
from collections.abc import AsyncIterator
from html import escape
from pathlib import Path

import pytest

from ingest.feeds.api import FeedsApi
from ingest.producer import Intake
from ingest.web import WebClient
from services.settings import Settings
from services.store import Store
from services.store.feeds import FeedOptions, Feeds
from tests.api.conftest import Running, _starter
from tests.browser import Page, browser_page
from tests.harness import hashed
from tests.ingest.conftest import serving
from tests.ingest.sites import Site, running_site

_HOSTILE = "<img src=x onerror=\"document.title='hacked'\">"


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    """A new site."""
    async with running_site() as made:
        yield made


@pytest.fixture
async def feeds(store: Store) -> Feeds:
    """The feeds of an empty store."""
    return Feeds(store.redis)


@pytest.fixture
async def chosen(feeds: Feeds, intake: Intake, settings: Settings) -> AsyncIterator[Settings]:
    """Settings of a gateway with an ingest that may connect to this machine; nothing is polled."""
    allowed = settings.model_copy(update={"allow_private_addresses": True})
    async with WebClient.of(allowed) as web, serving(allowed, intake, FeedsApi(allowed, feeds, web)) as url:
        yield allowed.model_copy(update={"ingest_url": url})


@pytest.fixture
async def gateway(chosen: Settings) -> AsyncIterator[Running]:
    """That gateway."""
    async with _starter(chosen)() as running:
        yield running


async def _texts(page: Page, selector: str) -> list[str]:
    texts: list[str] = await page.value(f"Array.from(document.querySelectorAll({selector!r}), (it) => it.textContent)")
    return texts


async def _add(page: Page, address: str) -> None:
    await page.value(
        f"document.getElementById('add-address').value = {json.dumps(address)};"
        "document.getElementById('add-form').requestSubmit()"
    )


async def _says(page: Page, part: str) -> None:
    await page.until(f"document.getElementById('feed-message').textContent.includes({json.dumps(part)})")


async def _press(page: Page, feed_id: str, text: str) -> None:
    buttons = f"[...document.querySelectorAll('#feed-{feed_id} button')]"
    await page.until(f"{buttons}.some((it) => it.textContent === {json.dumps(text)} && !it.hidden && !it.disabled)")
    await page.value(f"{buttons}.find((it) => it.textContent === {json.dumps(text)}).click()")


async def test_feeds_are_added_and_managed_on_the_page(
    gateway: Running, feeds: Feeds, site: Site, tmp_path: Path
) -> None:
    """By the address of a feed or a site; titles are text; the other language is Arabic; no error on the console."""
    async with browser_page(tmp_path) as page:
        await page.goto(f"{gateway.url}/feeds")
        await page.until("document.getElementById('no-feeds').textContent.startsWith('No feeds yet')")
        first = site.rss("/rss", "خبر")
        await _add(page, first)
        await _says(page, "Added: 127.0.0.1")
        await page.until("document.querySelectorAll('.feed').length === 1")
        (feed,) = await feeds.all()

        urls = [site.rss(f"/{n}.xml", str(n), title=escape(escape(_HOSTILE))) for n in range(2)]
        site.serve("/", "".join(f'<a href="{url}">RSS</a>' for url in urls))
        await _add(page, site.url("/"))
        await page.until("document.querySelectorAll('#choice input').length === 2")
        assert await page.value("document.activeElement === document.querySelector('#choice input')")
        assert (await _texts(page, "#choice li span"))[0] == _HOSTILE
        await page.value("document.querySelectorAll('#choice input')[1].click()")
        await page.value("document.getElementById('choice').requestSubmit()")
        await page.until("document.querySelectorAll('.feed').length === 2")
        assert await _texts(page, ".feed .address") == [urls[1], first]
        assert "hacked" not in await page.value("document.title")

        await _press(page, feed.id, "Pause")
        await page.until(f"document.getElementById('feed-{feed.id}').dataset.status === 'paused'")
        await _press(page, feed.id, "Resume")
        await _press(page, feed.id, "Poll now")
        await _says(page, "Polled now")
        claim = await feeds.claim(feed.id, "test", seconds=30)
        assert claim is not None
        state = {"title": "قاسيون", "error": "HTTP status 500", "failures": 3, "succeeded": 1.7e9, "polled": 1.7e9}
        await feeds.finish(claim, state, status="failing", next_in=630)
        await page.until(f"document.getElementById('feed-{feed.id}').dataset.status === 'failing'")
        shown = await page.value(f"document.getElementById('feed-{feed.id}').innerText")
        for part in ("قاسيون", "failing", "HTTP status 500", "(3 times in a row)", "next poll in 10 min"):
            assert part in shown
        assert "Feeds: 2 · failing: 1" in await _texts(page, "#status-text")

        await page.value("document.getElementById('ui-language').click()")
        assert await page.value("[document.documentElement.lang, document.documentElement.dir]") == ["ar", "rtl"]
        await page.until(f"document.querySelector('#feed-{feed.id} .feed-status').textContent === 'متعثرة'")
        await page.value(
            "(it => { it.value = 'failing'; it.dispatchEvent(new Event('change')) })"
            "(document.getElementById('feed-status'))"
        )
        await page.until("document.querySelectorAll('.feed').length === 1")
        await _press(page, feed.id, "حذف")
        assert await page.value("document.activeElement.textContent") == "إبقاء"
        assert len(await feeds.all()) == 2
        await _press(page, feed.id, "تأكيد الحذف")
        await page.until("document.querySelectorAll('.feed').length === 0")
        assert len(await feeds.all()) == 1
        # The browser itself reports the refusal of the site with several feeds.
        assert [error for error in page.errors if "status of 409" not in error] == []


async def test_lists_go_in_and_out_on_the_page(gateway: Running, feeds: Feeds, tmp_path: Path) -> None:
    """A file is imported with what was wrong in it, and exported as OPML."""
    async with browser_page(tmp_path / "profile") as page:
        await page.goto(f"{gateway.url}/feeds")
        await page.value(
            "(() => { const chosen = new DataTransfer();"
            "chosen.items.add(new File(['https://a.example/rss\\njavascript:x'], 'feeds.txt'));"
            "const input = document.getElementById('import-file'); input.files = chosen.files;"
            "input.dispatchEvent(new Event('change')); })()"
        )
        await _says(page, "Imported: 1 added, 0 there already, 1 not valid")
        await _says(page, "line 2: javascript:x")
        await page.until("document.querySelectorAll('.feed').length === 1")
        downloads = tmp_path / "downloads"
        downloads.mkdir()
        await page.call("Page.setDownloadBehavior", behavior="allow", downloadPath=str(downloads))
        await page.value("document.getElementById('export-button').click()")
        async with asyncio.timeout(10):
            while not list(downloads.glob("*.opml")):  # noqa: ASYNC110 - the browser cannot call
                await asyncio.sleep(0.05)
        assert b"https://a.example/rss" in next(downloads.glob("*.opml")).read_bytes()
        assert page.errors == []


async def test_the_page_of_a_closed_gateway(chosen: Settings, feeds: Feeds, tmp_path: Path) -> None:
    """A key is asked for; one that may only read sees the feeds, and gets an error when it changes them."""
    await feeds.add(FeedOptions(url="https://a.example/"), most=10)
    enter = "document.getElementById('key-input').value = 'reads'; document.getElementById('key-form').requestSubmit()"
    async with _starter(chosen)(api_keys=hashed("reads:read")) as gateway, browser_page(tmp_path) as page:
        await page.goto(f"{gateway.url}/feeds")
        await page.until("document.getElementById('key-section').hidden === false")
        await page.value(enter)
        await page.until("document.querySelectorAll('.feed').length === 1")
        await _add(page, "https://b.example/")
        await _says(page, "This key may not do that")
        assert await page.value("document.getElementById('add-address').value") == "https://b.example/"
