"""Feeds shared by several ingest processes: restarts, crashes, the file of feeds, a store that is away."""

import asyncio
import contextlib
import json
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from redis.exceptions import ConnectionError as StoreAway

from ingest.feeds import poller, subscriptions_file, writer
from ingest.feeds.subscriptions_file import SubscriptionsFile, read_feeds
from ingest.feeds.writer import LeaseLost
from ingest.producer import Intake
from services.embedded.kafka import Kafka
from services.embedded.process import free_port
from services.embedded.valkey import Valkey
from services.errors import SettingsError
from services.settings import Settings
from services.store import Store
from services.store.feeds import Feed, FeedOptions, Feeds
from tests.harness import eventually, service
from tests.ingest.conftest import raw
from tests.ingest.polling import Polling, Site, id_of, item, polling_with, rss


@contextlib.asynccontextmanager
async def running(*processes: Polling) -> AsyncIterator[None]:
    """Processes that poll what is due."""
    tasks = [asyncio.create_task(one.poller.run()) for one in processes]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_restart_sends_nothing_twice(  # noqa: PLR0913, PLR0917
    site: Site, settings: Settings, store: Store, kafka: Kafka, name: str, tmp_path: Path
) -> None:
    """Entries that are much older than the window of stories are sent once, however often ingest is started."""
    url = site.rss(f"/{name}", item(f"{name}-1", date="Wed, 01 Jan 2025 12:00:00 +0300"))
    file = tmp_path / "feeds.txt"
    file.write_text(f"{url}\n")
    feeds = Feeds(store.redis)
    options = {
        "kafka": settings.kafka,
        "redis": settings.redis,
        "feeds": file,
        "feed_interval": 1,
        "allow_private_addresses": "true",
    }

    async def polled_after(time: float) -> bool:
        feed = await feeds.find(url)
        return feed is not None and feed.state.succeeded > time

    for start in range(3):
        before = await feeds.find(url)
        if start == 2:
            site.rss(f"/{name}", item(f"{name}-2"), item(f"{name}-1"))
        async with service("ingest", log=tmp_path / f"{start}.log", ingest_port=free_port(), **options):
            await eventually(lambda before=before: polled_after(before.state.succeeded if before else 0.0))
        articles = await raw(kafka.bootstrap)
        assert len(articles[id_of(f"{name}-1")]) == 1
    assert len(articles[id_of(f"{name}-2")]) == 1
    feed = await feeds.find(url)
    assert (feed.status, feed.state.articles, feed.state.known) == ("ok", 2, 1)


async def test_each_feed_is_polled_by_one_process(  # noqa: PLR0913, PLR0917
    site: Site, settings: Settings, store: Store, intake: Intake, kafka: Kafka, name: str
) -> None:
    """Three processes share 60 feeds: each is requested once in its interval, and each entry is sent once."""
    paths = [f"/{name}/{number}" for number in range(60)]
    feeds = Feeds(store.redis)
    for path in paths:
        await feeds.add(FeedOptions(url=site.rss(path, item(path)), interval=100.0), most=100)
    async with contextlib.AsyncExitStack() as stack:
        processes = [await stack.enter_async_context(polling_with(settings, store, intake)) for _ in range(3)]
        async with running(*processes):

            async def all_ok() -> bool:
                return (await feeds.summary()).counts["ok"] == len(paths)

            await eventually(all_ok)
    assert [len(site.requested(path)) for path in paths] == [1] * len(paths)
    articles = await raw(kafka.bootstrap)
    assert [len(articles[id_of(path)]) for path in paths] == [1] * len(paths)


async def test_the_feeds_of_a_killed_process_are_taken_over(site: Site, polling: Polling, name: str) -> None:
    """When its lease has expired, another process polls the feed."""
    url = site.rss(f"/{name}", item(name))
    await polling.feeds.add(FeedOptions(url=url), most=9)
    claims, _ = await polling.feeds.claim_due("killed", most=9, seconds=1.0)
    assert len(claims) == 1
    async with running(polling):
        await asyncio.sleep(0.5)
        assert not site.requested(f"/{name}")
        await eventually(lambda: site.requested(f"/{name}"), seconds=5)


async def test_long_polls_keep_their_lease(  # noqa: PLR0913, PLR0917
    site: Site, settings: Settings, store: Store, intake: Intake, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that takes longer than a lease lasts is asked once: the lease is renewed meanwhile."""
    for module in (poller, writer):
        monkeypatch.setattr(module, "LEASE_SECONDS", 0.4)
    monkeypatch.setattr(poller, "_RENEW_SECONDS", 0.1)
    site.delays[f"/{name}"] = 1.5
    url = site.rss(f"/{name}", item(name))
    feeds = Feeds(store.redis)
    await feeds.add(FeedOptions(url=url), most=9)

    async def ok() -> bool:
        return (await feeds.find(url)).status == "ok"

    async with (
        polling_with(settings, store, intake) as one,
        polling_with(settings, store, intake) as two,
        running(one, two),
    ):
        await eventually(ok)
    assert len(site.requested(f"/{name}")) == 1


async def test_a_process_that_lost_its_lease_sends_nothing(
    site: Site, polling: Polling, kafka: Kafka, name: str
) -> None:
    """A process that was paused between fetching and sending finds that another one has the feed."""
    feed_id = await polling.feeds.add(FeedOptions(url=site.url(f"/{name}")), most=9)
    paused = await polling.feeds.claim(feed_id, "paused", seconds=0.1)
    await asyncio.sleep(0.15)
    other = await polling.feeds.claim(feed_id, "other", seconds=9)
    document = rss(item(name)).encode()
    with pytest.raises(LeaseLost):
        await polling.writer.write(paused, document, content_type="", url=site.url(f"/{name}"))
    assert id_of(name) not in await raw(kafka.bootstrap)
    written = await polling.writer.write(other, document, content_type="", url=site.url(f"/{name}"))
    assert (written.sent, written.known) == (1, 0)


async def test_a_crash_before_the_state_is_saved(
    site: Site, polling: Polling, kafka: Kafka, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What Kafka has acknowledged is sent once more, as the same article with the same content: it counts once."""
    url = site.rss(f"/{name}", item(name), ETag='"1"')
    with monkeypatch.context() as crashing:

        async def crash(*_: object, **__: object) -> None:
            raise StoreAway

        crashing.setattr(polling.feeds, "finish", crash)
        crashing.setattr(poller, "_ASK_SECONDS", 0.01)
        await polling.poll(url)
    feed = await polling.feeds.find(url)
    assert (feed.status, feed.state.etag, feed.state.articles) == ("new", "", 0)
    await polling.feeds._redis.delete(f"feed:{{khabar}}:{feed.id}:lease")
    assert (await polling.poll(url)).sent == 1
    first, second = (await raw(kafka.bootstrap))[id_of(name)]
    assert first.model_dump() == second.model_dump()


async def test_large_documents_are_remembered_batch_by_batch(
    site: Site, polling: Polling, kafka: Kafka, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When Kafka goes away after some batches, only the rest is sent at the next poll."""
    url = site.rss(f"/{name}", *(item(f"{name}-{number}") for number in range(450)))
    write, written = polling.writer._intake.write, []

    async def failing(records: list, **options: str) -> dict[int, str]:
        if len(written) == 2:
            raise writer_unavailable
        written.append(records)
        return await write(records, **options)

    writer_unavailable = poller.Unavailable("away")
    with monkeypatch.context() as away:
        away.setattr(polling.writer._intake, "write", failing)
        await polling.poll(url)
    polled = await polling.poll(url)
    assert (polled.sent, polled.known) == (50, 400)
    articles = await raw(kafka.bootstrap)
    assert sum(len(articles[id_of(f"{name}-{number}")]) for number in range(450)) == 450


async def test_without_a_store_polling_waits_and_pushes_do_not(
    site: Site, settings: Settings, kafka: Kafka, name: str, tmp_path: Path
) -> None:
    """Ingest starts without the store, and polls as soon as it is there."""
    url = site.rss(f"/{name}", item(name))
    file = tmp_path / "feeds.txt"
    file.write_text(url)
    port = free_port()
    valkey = Valkey(tmp_path / "valkey")
    options = {"kafka": settings.kafka, "redis": valkey.url, "feeds": file, "allow_private_addresses": "true"}

    async def accepted() -> bool:
        with contextlib.suppress(aiohttp.ClientError):
            async with session.post(f"http://127.0.0.1:{port}/v1/articles", json={"text": f"pushed {name}"}) as answer:
                return answer.status == 202
        return False

    async def sent() -> bool:
        return id_of(name) in await raw(kafka.bootstrap)

    async with (
        service("ingest", log=tmp_path / "log", ingest_port=port, **options),
        aiohttp.ClientSession() as session,
    ):
        await eventually(accepted)
        await eventually(lambda: "feeds_wait_for_store" in (tmp_path / "log").read_text())
        assert not site.requested(f"/{name}")
        await valkey.start()
        try:
            await eventually(sent)
        finally:
            await valkey.stop()
        assert await accepted()


def test_read_feeds(tmp_path: Path) -> None:
    """One URL per line with comments, or OPML; an invalid URL is an error that names setting, file and line."""
    path = tmp_path / "feeds.txt"
    path.write_text("# news\nhttps://a.example/rss#part  # Arabic\n\n  http://b.example/\nhttp://B.example\n")
    assert [feed.url for feed in read_feeds(path)] == ["https://a.example/rss", "http://b.example/"]
    path.write_text('<opml version="2.0"><body><outline text="x" xmlUrl="https://a.example/rss"/></body></opml>')
    assert [(feed.url, feed.origin) for feed in read_feeds(path)] == [("https://a.example/rss", "file")]
    path.write_text("# no feed yet\n")
    assert read_feeds(path) == []
    path.write_text("https://a.example/\nftp://user:secret@news.example/feed\n")
    with pytest.raises(SettingsError, match=r"KHABAR_FEEDS: .*feeds\.txt: line 2: 'ftp://news") as caught:
        read_feeds(path)
    assert "secret" not in str(caught.value)
    with pytest.raises(SettingsError, match="KHABAR_FEEDS"):
        read_feeds(tmp_path / "missing.txt")


async def test_the_file_of_feeds_is_followed(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Feeds come and go with the file; those of users stay; a wrong file changes nothing and is logged."""
    monkeypatch.setattr(subscriptions_file, "_CHECK_SECONDS", 0.05)
    feeds = Feeds(store.redis)
    path = tmp_path / "feeds.txt"
    path.write_text("https://a.example/\nhttps://b.example/\nhttps://user.example/\n")
    await feeds.add(FeedOptions(url="https://user.example/"), most=9)

    async def are(*hosts: str) -> None:
        async def same() -> bool:
            return {feed.options.host.removesuffix(".example") for feed in await feeds.all()} == {*hosts}

        await eventually(same, seconds=5)

    file = SubscriptionsFile(path, feeds, most=5)
    removed: list[Feed] = []
    file.on_removed = removed.append
    task = asyncio.create_task(file.run())
    try:
        await are("a", "b", "user")
        path.write_text("https://b.example/\nhttps://c.example/\n")
        await are("b", "c", "user")
        assert [feed.options.host for feed in removed] == ["a.example"]
        path.write_text("https://d.example/\nnonsense\n")
        await eventually(lambda: "feeds_file_not_reloaded" in capsys.readouterr().out)
        await are("b", "c", "user")
        path.unlink()
        await asyncio.sleep(0.2)
        await are("b", "c", "user")
        path.write_text('<opml><body><outline xmlUrl="https://ann:pw@c.example/" language="ar"/></body></opml>')
        await are("c", "user")

        async def changed() -> bool:
            options = (await feeds.find("https://c.example/")).options
            return (options.user, options.password, options.language) == ("ann", "pw", "ar")

        await eventually(changed)
        path.write_text("".join(f"https://{number}.example/\n" for number in range(9)))
        await eventually(lambda: "feeds_file_too_long" in capsys.readouterr().out)
        assert len(await feeds.all()) == 5
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert {feed.options.origin for feed in await feeds.all()} == {"file", "user"}


async def test_a_delivery_between_polls(polling: Polling, site: Site, name: str) -> None:
    """A part of a document is written like a polled one, and remembered: the next poll knows it."""
    old = [item(f"{name}-{number}") for number in range(3)]
    url = site.rss(f"/{name}", *old)
    polled = await polling.poll(url)
    claim = await polling.feeds.claim(polled.feed.id, uuid.uuid4().hex, seconds=9)
    delivery = rss(item(f"{name}-new")).encode()
    written = await polling.writer.write(claim, delivery, content_type="", url=url, whole=False)
    assert (written.sent, written.known) == (1, 0)
    state = written.state(claim.feed)
    assert await polling.feeds.finish(claim, state, status="ok", next_in=60, seen=written.seen) == "saved"
    site.rss(f"/{name}", item(f"{name}-new"), *old)
    polled = await polling.poll(url)
    assert (polled.sent, polled.known, polled.feed.state.articles) == (0, 4, 4)


async def test_a_polled_feed_can_be_listed_as_json(polling: Polling, site: Site, name: str) -> None:
    """No secret of a feed is in what its dataclasses show."""
    polled = await polling.poll(
        site.rss(f"/{name}", item(name)), headers={"X-Key": "sesame"}, password="open", user="u"
    )
    shown = repr(polled.feed)
    assert "sesame" not in shown
    assert "open" not in shown
    assert json.dumps(polled.feed.state.days)
