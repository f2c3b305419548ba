"""Feeds in the store: subscriptions, leases and what only the holder of a lease can save."""

import asyncio
import time

import pytest

from services.settings import Settings
from services.store import Store
from services.store.feeds import AlreadyThere, Claim, FeedOptions, Feeds, TooManyFeeds

URL = "https://news.example/rss"


async def added(feeds: Feeds, url: str = URL, **options: object) -> str:
    """The id of a feed that was added now."""
    return await feeds.add(FeedOptions(url=url, **options), most=100)


async def claimed(feeds: Feeds, name: str = "one", seconds: float = 10) -> Claim:
    """The only feed that is due."""
    claims, _ = await feeds.claim_due(name, most=10, seconds=seconds)
    (claim,) = claims
    return claim


async def test_a_feed_comes_back_as_it_was_added(each_store: Store) -> None:
    """All options are kept; a user name and a password in the URL are options too, and are shown nowhere."""
    feeds = Feeds(each_store.redis)
    options = FeedOptions(
        url="HTTPS://hu%40da:sec%3Aret@News.Example:443/rss?a=1#part",
        source="أخبار",
        language="ar",
        interval=90.5,
        headers={"X-Key": "sesame"},
        full_text=True,
        origin="file",
    )
    assert await feeds.add(options, most=1) == options.id
    feed = await feeds.get(options.id)
    assert feed is not None
    assert (feed.options, feed.status) == (options, "new")
    assert (feed.url, feed.options.user, feed.options.password) == ("https://news.example/rss?a=1", "hu@da", "sec:ret")
    assert "sec:ret" not in repr(feed)
    assert "sesame" not in repr(feed)
    assert time.time() - feed.state.created < 60
    assert [one.id for one in await feeds.all()] == [feed.id]
    assert await feeds.get("other") is None


async def test_a_feed_is_added_once(each_store: Store) -> None:
    """The same URL, written in another way, is the same feed, and the number of feeds is limited."""
    feeds = Feeds(each_store.redis)
    first = await added(feeds)
    for same in (URL, "HTTPS://News.Example:443/rss#x", "https://user:password@news.example/rss"):
        with pytest.raises(AlreadyThere) as caught:
            await added(feeds, same)
        assert caught.value.feed_id == first
    with pytest.raises(TooManyFeeds):
        await feeds.add(FeedOptions(url="https://other.example/"), most=1)
    for wrong in ("news.example/rss", "file:///etc/passwd", "https://", "http://[::1/x", "http://a:99999/"):
        with pytest.raises(ValueError, match=r"URL|Port|port"):
            FeedOptions(url=wrong)


async def test_each_due_feed_is_claimed_by_one(each_store: Store) -> None:
    """Of processes that ask at the same moment, one gets a feed; the others hear when it may be due again."""
    feeds = Feeds(each_store.redis)
    ids = {await added(feeds, f"https://news.example/{number}") for number in range(20)}
    answers = await asyncio.gather(*(feeds.claim_due(f"p{number}", most=6, seconds=10) for number in range(5)))
    taken = [claim.feed.id for claims, _ in answers for claim in claims]
    assert sorted(taken) == sorted(ids)
    none, wait = await feeds.claim_due("late", most=6, seconds=10)
    assert none == []
    assert wait is not None
    assert 8 < wait <= 10
    assert await feeds.claim(taken[0], "late", seconds=10) is None


async def test_a_killed_process_is_replaced(each_store: Store) -> None:
    """A lease that is not renewed expires: another process gets the feed, and the first one can save nothing."""
    feeds = Feeds(each_store.redis)
    feed_id = await added(feeds)
    first = await claimed(feeds, "first", seconds=0.2)
    assert await feeds.renew([first], seconds=0.3) == []
    await asyncio.sleep(0.35)
    second = await claimed(feeds, "second")
    assert await feeds.renew([first], seconds=10) == [first]
    assert await feeds.save(first, {"title": "wrong"}, seconds=10, seen="wrong") == "lost"
    assert await feeds.finish(first, {"title": "wrong"}, status="failing", next_in=1, seen="wrong") == "lost"
    await feeds.release(first)
    assert await feeds.save(second, {"title": "right"}, seconds=10, seen="right") == "saved"
    feed = await feeds.get(feed_id)
    assert (feed.state.title, feed.status, await feeds.seen(feed_id)) == ("right", "new", "right")


async def test_a_finished_feed_is_due_when_it_should_be(each_store: Store) -> None:
    """``finish`` saves the state and the next time; without one the feed is polled only when it is asked for."""
    feeds = Feeds(each_store.redis)
    feed_id = await added(feeds)
    state = {"etag": '"1"', "failures": 3, "days": {"2026-11-30": 4}, "problems": ["date: none"], "polled": 12.5}
    assert await feeds.finish(await claimed(feeds), state, status="failing", next_in=0.2) == "saved"
    feed = await feeds.get(feed_id)
    assert (feed.status, feed.state.etag, feed.state.failures, feed.state.polled) == ("failing", '"1"', 3, 12.5)
    assert (feed.state.days, feed.state.problems) == ({"2026-11-30": 4}, ["date: none"])
    assert abs(feed.state.next_poll - time.time()) < 5
    assert (await feeds.claim_due("x", most=1, seconds=10))[0] == []
    await asyncio.sleep(0.25)
    assert await feeds.finish(await claimed(feeds), {}, status="gone", next_in=None) == "saved"
    assert await feeds.claim_due("x", most=1, seconds=10) == ([], None)
    assert (await feeds.get(feed_id)).state.next_poll == 0
    assert await feeds.poll_now(feed_id)
    assert (await claimed(feeds)).feed.status == "new"
    assert not await feeds.poll_now("other")


async def test_changed_options_end_a_poll_in_progress(each_store: Store) -> None:
    """What was seen is saved, since it was sent; the state is not, and the feed is polled again at once."""
    feeds = Feeds(each_store.redis)
    feed_id = await added(feeds)
    claim = await claimed(feeds)
    assert await feeds.change(feed_id, source="New name", headers={"A": "b"}, interval=60.0)
    assert await feeds.finish(claim, {"etag": "old"}, status="ok", next_in=100, seen="sent") == "changed"
    again = await claimed(feeds, "two")
    assert (again.feed.options.source, again.feed.options.headers) == ("New name", {"A": "b"})
    assert (again.feed.options.interval, again.feed.state.etag, again.feed.status) == (60.0, "", "new")
    assert await feeds.seen(feed_id) == "sent"
    with pytest.raises(ValueError, match="url"):
        await feeds.change(feed_id, url="https://other.example/")
    assert not await feeds.change("other", source="x")


async def test_a_paused_feed_is_not_polled(each_store: Store) -> None:
    """Neither when its time comes nor when a poll in progress ends; resumed, it is due at once."""
    feeds = Feeds(each_store.redis)
    feed_id = await added(feeds)
    claim = await claimed(feeds)
    assert await feeds.change(feed_id, paused=True)
    assert await feeds.finish(claim, {}, status="ok", next_in=0) == "changed"
    assert await feeds.claim_due("x", most=1, seconds=10) == ([], None)
    assert not await feeds.poll_now(feed_id)
    assert (await feeds.get(feed_id)).status == "paused"
    assert await feeds.change(feed_id, paused=False)
    assert (await claimed(feeds)).feed.id == feed_id


async def test_a_moved_feed_keeps_its_id(each_store: Store) -> None:
    """After a permanent redirect both URLs are those of the feed; removed, neither is."""
    feeds = Feeds(each_store.redis)
    feed_id = await added(feeds)
    moved = {"moved_to": "https://new.example/feed"}
    assert await feeds.finish(await claimed(feeds), moved, status="ok", next_in=100) == "saved"
    feed = await feeds.find("https://new.example/feed")
    assert (feed.id, feed.url) == (feed_id, "https://new.example/feed")
    with pytest.raises(AlreadyThere):
        await added(feeds, "https://new.example/feed")
    assert await feeds.remove(feed_id)
    assert not await feeds.remove(feed_id)
    assert await feeds.find(URL) is None
    await added(feeds, "https://new.example/feed")
    await added(feeds)


async def test_a_removed_feed_that_returns_knows_its_entries(each_store: Store) -> None:
    """A process that polls a removed feed saves nothing. What was seen before is kept for a while, then expires."""
    feeds = Feeds(each_store.redis)
    feed_id = await added(feeds)
    claim = await claimed(feeds)
    await feeds.save(claim, {"title": "t"}, seconds=10, seen="entries")
    assert await feeds.remove(feed_id)
    assert await feeds.finish(claim, {}, status="ok", next_in=1, seen="more") == "lost"
    assert await each_store.redis.ttl(f"feed:{{khabar}}:{feed_id}:seen") > 24 * 3600
    assert await feeds.claim_due("x", most=1, seconds=10) == ([], None)
    assert await added(feeds) == feed_id
    feed = await feeds.get(feed_id)
    assert (feed.state.title, await feeds.seen(feed_id)) == ("", "entries")
    assert await each_store.redis.ttl(f"feed:{{khabar}}:{feed_id}:seen") == -1


async def test_fields_of_websub(each_store: Store) -> None:
    """They are set without a lease, are not in the representation, and end with the feed."""
    feeds = Feeds(each_store.redis)
    feed_id = await added(feeds)
    assert await feeds.write_websub(feed_id, {"hub": "https://hub.example/", "secret": "s3cret"})
    assert await feeds.write_websub(feed_id, {"hub": ""})
    feed = await feeds.get(feed_id)
    assert feed.websub == {"secret": "s3cret"}
    assert "s3cret" not in repr(feed)
    await feeds.remove(feed_id)
    assert not await feeds.write_websub(feed_id, {"hub": "x"})
    assert await feeds.get(feed_id) is None


async def test_the_summary_names_failing_feeds(each_store: Store) -> None:
    """It counts all feeds by status; of those that fail it has the ones without success for longest."""
    feeds = Feeds(each_store.redis)
    for number in range(5):
        feed_id = await added(feeds, f"https://news.example/{number}")
        claim = await feeds.claim(feed_id, "x", seconds=10)
        status = "failing" if number < 3 else "ok"
        await feeds.finish(claim, {"succeeded": 9.0 - number, "error": f"e{number}"}, status=status, next_in=9)
    summary = await feeds.summary(most=2)
    assert summary.counts == {"new": 0, "ok": 2, "failing": 3, "gone": 0, "paused": 0}
    assert [feed.state.error for feed in summary.failing] == ["e2", "e1"]


async def test_a_rebuild_of_the_aggregates_keeps_feeds(each_store: Store, settings: Settings) -> None:
    """Feeds cannot be counted again: clearing the aggregates leaves them and what was seen in them."""
    feeds = Feeds(each_store.redis)
    feed_id = await added(feeds)
    await feeds.save(await claimed(feeds), {}, seconds=10, seen="entries")
    await each_store.clear()
    assert (await feeds.get(feed_id)).options.url == URL
    assert await feeds.seen(feed_id) == "entries"
