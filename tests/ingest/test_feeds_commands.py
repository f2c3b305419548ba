"""``khabar feeds``, as child processes, with a real gateway, ingest and store and a local web site."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from ingest.feeds.api import FeedsApi
from ingest.producer import Intake
from ingest.web import WebClient
from services.settings import Settings
from services.store import Store
from services.store.feeds import Feeds
from tests.api.conftest import Running, _starter
from tests.ingest.conftest import serving
from tests.ingest.sites import Site, running_site

_KHABAR = "from services.cli import main; main()"


async def khabar(*arguments: str, stdin: bytes = b"", status: int = 0, **environment: str) -> str:
    """The output of a command, errors included, which must end with this status."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("KHABAR_")}
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _KHABAR, *arguments, stdin=PIPE, stdout=PIPE, stderr=STDOUT, env=clean | environment
    )
    output, _ = await child.communicate(stdin)
    assert child.returncode == status, output.decode()
    return output.decode()


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
async def gateway(feeds: Feeds, intake: Intake, settings: Settings) -> AsyncIterator[Running]:
    """A gateway with an ingest that may connect to this machine; nothing is polled."""
    chosen = settings.model_copy(update={"allow_private_addresses": True})
    async with (
        WebClient.of(chosen) as web,
        serving(chosen, intake, FeedsApi(chosen, feeds, web)) as url,
        _starter(chosen.model_copy(update={"ingest_url": url}))() as running,
    ):
        yield running


async def test_feeds_are_added_listed_and_removed(gateway: Running, feeds: Feeds, site: Site, tmp_path: Path) -> None:
    """By URL or id; the password comes from stdin or a file, headers from a file; none is ever printed."""
    to = ("--to", gateway.url)
    url = site.rss("/rss", "خبر")
    headers = tmp_path / "headers"
    headers.write_text("X-Key: sesame\nX-Other: 2\n")
    options = ("--name", "قاسيون", "--language", "ar", "--interval", "90", "--user", "huda", "--full-text")
    added = await khabar("feeds", "add", url, *options, "--header", f"@{headers}", *to, stdin=b"pass word\n")
    assert added == f"added: {url}\n"
    assert (site.headers["X-Key"], site.headers["X-Other"]) == ("sesame", "2")
    assert await khabar("feeds", "add", url, *to) == f"known already: {url}\n"
    feed = await feeds.find(url)
    assert feed is not None
    assert (feed.options.user, feed.options.password, feed.options.full_text) == ("huda", "pass word", True)

    listed = await khabar("feeds", "list", *to)
    assert listed.split("\n")[0].split() == ["STATUS", "A", "DAY", "LAST", "READ", "NEXT", "POLL", "FEED"]
    assert listed.split("\n")[1].split() == ["new", "0", "-", "-", url, "\u2068قاسيون\u2069"]
    assert "1 feeds: 1 new" in listed
    found = json.loads((await khabar("feeds", "list", "--json", *to)).split("\n")[0])
    assert (found["id"], found["source"], found["interval"], found["login"]) == (feed.id, "قاسيون", 90.0, True)
    assert "sesame" not in json.dumps(found)

    await khabar("feeds", "change", url, "--name", "", "--no-full-text", "--user", "", *to)
    shown = json.loads(await khabar("feeds", "show", feed.id, *to))
    assert (shown["source"], shown["full_text"], shown["login"], shown["language"]) == ("127.0.0.1", False, False, "ar")
    await khabar("feeds", "pause", feed.id, *to)
    assert "resume it first" in await khabar("feeds", "poll", url, *to, status=1)
    assert json.loads(await khabar("feeds", "list", "--status", "paused", "--json", *to))["id"] == feed.id
    await khabar("feeds", "resume", url, *to)
    await khabar("feeds", "poll", url, *to)
    await khabar("feeds", "remove", url, *to)
    assert "there is no feed" in await khabar("feeds", "remove", url, *to, status=1)
    assert "no feeds" in await khabar("feeds", "list", *to)


async def test_a_site_with_several_feeds_lists_them(gateway: Running, feeds: Feeds, site: Site) -> None:
    """Without a terminal the exit status is 1; ``--all`` adds all; a title cannot control the terminal."""
    to = ("--to", gateway.url)
    urls = [site.rss(f"/{name}.xml", name, title=f"{name}\u202e\x9b31m") for name in ("رياضة", "news")]
    site.serve("/", "".join(f'<link rel="alternate" type="application/rss+xml" href="{url}">' for url in urls))
    listed = await khabar("feeds", "add", site.url("/"), *to, status=1)
    assert "the page has 2 feeds" in listed
    assert "--all" in listed
    assert not {"\u202e", "\x9b"} & {*listed}
    assert await feeds.all() == []
    await khabar("feeds", "add", site.url("/"), "--all", *to)
    assert len(await feeds.all()) == 2


async def test_what_cannot_be_added_says_why(gateway: Running, feeds: Feeds, site: Site) -> None:
    """In one line; ``--no-check`` adds it all the same."""
    to = ("--to", gateway.url)
    url = site.url("/missing")
    assert "HTTP status 404" in await khabar("feeds", "add", url, *to, status=1)
    assert "http or https" in await khabar("feeds", "add", "ftp://a.example", *to, status=1)
    await khabar("feeds", "add", url, "--no-check", *to)
    assert len(await feeds.all()) == 1
    assert "cannot be reached" in await khabar("feeds", "list", "--to", "http://127.0.0.1:1", status=1)


async def test_lists_are_imported_and_exported(gateway: Running, feeds: Feeds, tmp_path: Path) -> None:
    """OPML or text, from a file or stdin, with what was wrong; the exit status is 1 when something was."""
    to = ("--to", gateway.url)
    text = b"https://a.example/rss\nhttps://a.example/rss # again\njavascript:alert(1)\n"
    output = await khabar("feeds", "import", "-", *to, stdin=text, status=1)
    assert "line 3: javascript:alert(1)" in output
    assert "1 added, 1 known already, 1 not valid" in output
    file = tmp_path / "feeds.opml"
    file.write_text('<opml><outline text="الغد" xmlUrl="https://b.example/"/></opml>', encoding="utf-8")
    assert (await khabar("feeds", "import", str(file), "--names", *to)).endswith(
        "1 added, 0 known already, 0 not valid\n"
    )
    out = tmp_path / "out.opml"
    await khabar("feeds", "export", "--out", str(out), *to)
    assert await khabar("feeds", "export", *to) != ""
    for feed in await feeds.all():
        await feeds.remove(feed.id)
    result = json.loads(await khabar("feeds", "import", str(out), "--json", *to))
    assert (result["added"], result["invalid"]) == (2, 0)
    assert {feed.options.source for feed in await feeds.all()} == {"", "الغد"}
    file.write_bytes(b"<html></html>")
    assert "neither OPML" in await khabar("feeds", "import", str(file), *to, status=1)


async def test_checking_needs_no_running_khabar(site: Site, tmp_path: Path) -> None:
    """A file, standard input or an address: entries as articles, the origin of each field, what was wrong."""
    document = """<rss version="2.0"><channel><title>الشرق</title><link>https://sharq.example/</link>
    <item><title>خبر أول\u202e</title><link>/one</link><guid>1</guid><description>نص الخبر الأول</description>
    <pubDate>Sun, 29 Nov 2099 08:00:00 GMT</pubDate></item>
    <item><title>عاجل</title><link>javascript:x</link><guid>1</guid></item><item></item></channel></rss>"""
    file = tmp_path / "feed.xml"
    file.write_bytes(document.encode("cp1256", "xmlcharrefreplace"))
    shown = await khabar("feeds", "check", str(file))
    for part in (
        "RSS 2.0, ",
        "1256",
        "title      الشرق",
        "3: 2 articles, 1 rejected",
        "link       https://sharq.example/one",
    ):
        assert part in shown
    assert "text: description" in shown
    assert "guid: 2 entries have '1'" in shown
    assert "2099" in shown
    assert "\u202e" not in shown
    lines = await khabar("feeds", "check", "-", "--json", "--entries", "1", stdin=document.encode())
    checked: dict[str, Any] = json.loads(lines)
    assert (checked["total"], len(checked["entries"]), checked["headlines"]) == (3, 1, 1)
    assert "not" in await khabar("feeds", "check", "-", stdin=b"nothing", status=1)

    private = await khabar("feeds", "check", site.rss("/rss", "خبر"), status=1)
    assert "127.0.0.1 is not a public address" in private
    allowed = {"KHABAR_ALLOW_PRIVATE_ADDRESSES": "true"}
    assert "1: 1 article" in await khabar("feeds", "check", site.url("/rss"), **allowed)
    page = await khabar("feeds", "check", site.serve("/", '<a href="/rss">RSS</a>'), **allowed, status=1)
    assert "the page has these feeds" in page
    assert site.url("/rss") in page
