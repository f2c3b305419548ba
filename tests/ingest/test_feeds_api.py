"""``/v1/feeds`` of ingest, with a real store and a local web site."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import pytest
from redis.asyncio import Redis

from ingest.feeds.api import FeedsApi
from ingest.producer import Intake
from ingest.web import WebClient
from services.embedded.valkey import Valkey
from services.settings import Settings
from services.store import Store
from services.store.feeds import FeedOptions, Feeds
from tests.ingest.conftest import serving
from tests.ingest.sites import Site, running_site

_TOKEN = "a-token-of-ingest-for-tests"
_AS_GATEWAY = {"Authorization": f"Bearer {_TOKEN}"}


class Api:
    """Requests to ``/v1/feeds``."""

    def __init__(self, url: str, http: aiohttp.ClientSession, feeds: Feeds, settings: Settings) -> None:
        self.url = url
        self.http = http
        self.feeds = feeds
        self.settings = settings

    async def __call__(
        self, method: str, path: str = "", body: Any = None, *, status: int = 200, **headers: str
    ) -> Any:
        """The answer, which must have this status; its JSON, or its bytes."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.http.request(
            method, f"{self.url}/v1/feeds{path}", data=data, headers=_AS_GATEWAY | named
        ) as response:
            answer = await response.read()
            assert response.status == status, answer.decode()
            return json.loads(answer) if "json" in response.content_type else answer


Start = Callable[..., Awaitable[Api]]


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    """A new site."""
    async with running_site() as made:
        yield made


@pytest.fixture
async def start(valkey: Valkey, store: Store, intake: Intake, settings: Settings) -> AsyncIterator[Start]:
    """Starts ingest without feeds: ``api = await start(max_feeds=…)``."""
    async with AsyncExitStack() as stack:

        async def started(**changed: Any) -> Api:
            chosen = settings.model_copy(
                update={"ingest_token": _TOKEN, "allow_private_addresses": True, "max_feed_bytes": 100_000} | changed
            )
            web = await stack.enter_async_context(WebClient.of(chosen))
            feeds = Feeds(store.redis)
            url = await stack.enter_async_context(serving(chosen, intake, FeedsApi(chosen, feeds, web)))
            http = await stack.enter_async_context(aiohttp.ClientSession())
            return Api(url, http, feeds, chosen)

        yield started


@pytest.fixture
async def api(start: Start) -> Api:
    """Ingest without feeds."""
    return await start()


async def test_a_feed_is_added_listed_changed_and_removed(api: Api, site: Site) -> None:
    """With its state; what is secret is used, and never returned."""
    url = site.rss("/rss", "خبر").replace("http://", "http://huda:pass%20word@")
    asked = {"url": url, "source": "قاسيون", "language": "ar", "interval": 90, "headers": {"X-Key": "sesame"}}
    added = await api("POST", "", asked | {"full_text": True}, status=201)
    assert site.headers["X-Key"] == "sesame"
    assert site.headers["Authorization"].startswith("Basic ")
    expected = {"source": "قاسيون", "language": "ar", "interval": 90.0, "full_text": True, "status": "new"}
    expected |= {"url": site.url("/rss"), "headers": ["X-Key"], "login": True, "origin": "user", "error": None}
    assert {name: added[name] for name in expected} == expected
    assert not any(secret in json.dumps(added) for secret in ("sesame", "pass word", "pass%20word", "huda"))
    assert (added["articles_per_day"], added["polled"], added["failures"]) == (0.0, None, 0)
    listed = await api("GET")
    assert (listed["total"], listed["counts"]["new"]) == (1, 1)
    assert listed["feeds"] == [await api("GET", f"/{added['id']}")]
    assert "pass" not in json.dumps(listed)

    path = f"/{added['id']}"
    changed = await api(
        "PATCH", path, {"source": None, "interval": None, "user": None, "headers": None, "paused": True}
    )
    assert (changed["source"], changed["interval"], changed["headers"]) == ("127.0.0.1", None, [])
    assert (changed["login"], changed["language"], changed["status"]) == (False, "ar", "paused")
    stored = await api.feeds.get(added["id"])
    assert stored is not None
    assert (stored.options.user, stored.options.headers) == ("", {})
    refused = await api("POST", f"{path}/poll", status=409)
    assert "paused" in refused["detail"]
    assert (await api("PATCH", path, {"paused": False}))["status"] == "new"
    await api("POST", f"{path}/poll", status=202)

    await api("DELETE", path, status=204)
    for method in ("GET", "PATCH", "DELETE"):
        await api(method, path, {} if method == "PATCH" else None, status=404)
    assert (await api("GET"))["total"] == 0


async def test_a_site_with_one_feed_adds_it_and_one_with_several_lists_them(api: Api, site: Site) -> None:
    """A feed that is there already is named, also when it is reached by a page."""
    feed = site.rss("/feed.xml", "أ", title="الأولى")
    page = site.serve("/", '<link rel="alternate" type="application/rss+xml" href="/feed.xml">')
    added = await api("POST", "", {"url": page}, status=201)
    assert added["url"] == feed
    again = await api("POST", "", {"url": page}, status=409)
    assert (again["code"], again["id"]) == ("already_there", added["id"])

    second = site.rss("/second.xml", "ب", "ت", title="الثانية")
    site.serve("/", '<a href="/feed.xml">RSS</a><a href="/second.xml">RSS</a>')
    several = await api("POST", "", {"url": page}, status=409)
    assert several["code"] == "several_feeds"
    assert [(one["url"], one["title"], one["entries"], one["format"]) for one in several["feeds"]] == [
        (feed, "الأولى", 1, "RSS 2.0"),
        (second, "الثانية", 2, "RSS 2.0"),
    ]
    assert (await api("GET"))["total"] == 1


@pytest.mark.parametrize(
    ("body", "field", "cause"),
    [
        ({}, "url", "required"),
        ({"url": "ftp://news.example/"}, "url", "http or https"),
        ({"url": "https://[::1"}, "url", "url"),
        ({"url": "no-scheme.example/rss", "discover": False}, "url", "http or https"),
        ({"url": "https://a.example/\x00"}, "url", "control characters"),
        ({"url": "https://a.example/" + "x" * 3_000}, "url", "at most 2048"),
        ({"url": "https://a.example", "interval": 1}, "interval", "greater than or equal to 10"),
        ({"url": "https://a.example", "interval": "often"}, "interval", "number"),
        ({"url": "https://a.example", "language": "arabic!"}, "language", "pattern"),
        ({"url": "https://a.example", "headers": {"Host": "x"}}, "headers", "Host cannot be set"),
        ({"url": "https://a.example", "headers": {"X": "a\r\nb"}}, "headers", "printable"),
        ({"url": "https://a.example", "colour": "red"}, "colour", "not permitted"),
        ([], "body", "dictionary"),
    ],
)
async def test_what_is_wrong_is_named(api: Api, body: Any, field: str, cause: str) -> None:
    """422 with the field; nothing is added."""
    problem = await api("POST", "", body, status=422)
    assert problem["field"] == field
    assert cause in problem["detail"]
    assert (await api("GET"))["total"] == 0


async def test_an_address_that_is_no_feed_is_refused_with_the_reason(api: Api, site: Site) -> None:
    """A page without feeds, a status, a document that is too large; without discovery it is added all the same."""
    cases = {
        site.serve("/page", "<p>لا شيء"): ("no_feed", "there is no feed"),
        site.url("/missing"): ("status", "HTTP status 404"),
        site.serve("/large", b"x" * 100_001): ("too_large", "KHABAR_MAX_FEED_BYTES"),
    }
    for url, (code, cause) in cases.items():
        problem = await api("POST", "", {"url": url}, status=422)
        assert (problem["field"], problem["code"]) == ("url", code)
        assert cause in problem["detail"]
    site.asked.clear()
    await api("POST", "", {"url": site.url("/missing"), "discover": False}, status=201)
    assert site.asked == []


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1/rss", "http://localhost/rss", "http://[::1]/", "http://10.0.0.1/", "http://a.example:22/"]
)
async def test_private_addresses_are_refused(start: Start, url: str) -> None:
    """At once, as for webhooks: to add and to check, with and without discovery, and in a list."""
    api = await start(allow_private_addresses=False)
    for path, body in (("", {"url": url}), ("", {"url": url, "discover": False}), ("/check", {"url": url})):
        problem = await api("POST", path, body, status=422)
        assert problem["field"] == "url"
        assert "public address" in problem["detail"]
    result = await api("POST", "/import", url.encode())
    assert (result["added"], result["invalid"]) == (0, 1)
    assert "public address" in result["feeds"][0]["error"] or "port 22" in result["feeds"][0]["error"]


async def test_a_list_is_imported_with_a_report(api: Api) -> None:
    """What was added, known and wrong, with the place in the list; importing again adds nothing."""
    document = """<opml version="2.0" xmlns:khabar="urn:khabar:opml"><body><outline text="أخبار">
      <outline text="الأولى" xmlUrl="https://a.example/rss" language="ar" khabar:interval="900"/>
      <outline text="الثانية" xmlUrl="feed://b.example/rss" language="!!"/>
      <outline text="again" xmlUrl="HTTPS://A.example:443/rss"/>
      <outline text="secret" xmlUrl="https://me:secret@c.example/"/>
      <outline text="bare" xmlUrl="d.example/rss"/>
      <outline text="bad" xmlUrl="javascript:alert(1)"/><outline text="none" type="rss"/>
    </outline></body></opml>"""
    result = await api("POST", "/import", document.encode("utf-16"), Content_Type="text/x-opml")
    assert (result["added"], result["known"], result["invalid"]) == (4, 1, 2)
    shown = [(one["place"], one["url"], one["outcome"]) for one in result["feeds"]]
    assert shown == [
        ("outline 2", "https://a.example/rss", "added"),
        ("outline 3", "http://b.example/rss", "added"),
        ("outline 4", "https://a.example/rss", "known"),
        ("outline 5", "https://c.example/", "added"),
        ("outline 6", "https://d.example/rss", "added"),
        ("outline 7", "javascript:alert(1)", "invalid"),
        ("outline 8", "", "invalid"),
    ]
    assert "secret@" not in json.dumps(result)
    assert "language" in result["feeds"][1]["problems"][0]
    feeds = {one["url"]: one for one in (await api("GET"))["feeds"]}
    assert feeds["https://a.example/rss"]["interval"] == 900.0
    assert feeds["https://a.example/rss"]["source"] == "a.example"
    assert feeds["https://c.example/"]["login"]
    again = await api("POST", "/import", document.encode())
    assert (again["added"], again["known"], again["invalid"]) == (0, 5, 2)

    exported = await api("GET", ".opml")
    assert b"secret@" not in exported
    for url in feeds:
        await api("DELETE", f"/{feeds[url]['id']}", status=204)
    back = await api("POST", "/import?names=true", exported)
    assert (back["added"], back["known"], back["invalid"]) == (4, 0, 0)
    assert {one["url"] for one in (await api("GET"))["feeds"]} == {*feeds}


async def test_the_name_of_a_feed_in_a_list_can_be_its_source(api: Api) -> None:
    """Only where that is asked for: feeds of one site have different names."""
    await api("POST", "/import?names=true", '<opml><outline text="الشرق" xmlUrl="https://a.example"/></opml>'.encode())
    assert [one["source"] for one in (await api("GET"))["feeds"]] == ["الشرق"]


@pytest.mark.parametrize(
    ("body", "status", "cause"),
    [(b"<html>", 422, "neither OPML"), (b"", 422, "no feeds"), (b"x" * 5_000_001, 413, "5000000 bytes")],
)
async def test_what_is_no_list_is_not_imported(api: Api, body: bytes, status: int, cause: str) -> None:
    """With the reason."""
    assert cause in (await api("POST", "/import", body, status=status))["detail"]


async def test_feeds_come_in_pages(api: Api) -> None:
    """In the order of their addresses, filtered by status, or one by its address, also in another spelling."""
    for number in range(7):
        await api.feeds.add(FeedOptions(url=f"https://n{number}.example/"), most=100)
    third = await api.feeds.find("https://n3.example/")
    assert third is not None
    await api.feeds.change(third.id, paused=True)
    first = await api("GET", "?limit=3")
    second = await api("GET", "?limit=3&offset=3")
    assert [one["url"] for one in first["feeds"] + second["feeds"]] == [f"https://n{n}.example/" for n in range(6)]
    assert (first["total"], first["counts"]["paused"], first["counts"]["new"]) == (7, 1, 6)
    paused = await api("GET", "?status=paused")
    assert ([one["id"] for one in paused["feeds"]], paused["total"]) == ([third.id], 1)
    found = await api("GET", "?url=HTTPS://N3.example")
    assert [one["id"] for one in found["feeds"]] == [third.id]
    assert (await api("GET", "?url=https://other.example"))["feeds"] == []
    assert (await api("GET", "?url=nonsense"))["feeds"] == []
    for query, field in (("status=bad", "status"), ("limit=501", "limit"), ("offset=-1", "offset")):
        assert (await api("GET", f"?{query}", status=422))["field"] == field


async def test_a_key_that_is_bound_to_sources_manages_their_feeds_only(api: Api, site: Site) -> None:
    """403 naming the source: to add, import, change, remove and poll; listing shows all."""
    bound = {"khabar_sources": "mine.example|%D9%82%D8%A7%D8%B3%D9%8A%D9%88%D9%86"}
    other = await api.feeds.add(FeedOptions(url="https://other.example/"), most=100)
    url = site.rss("/rss", "خبر")
    assert (await api("POST", "", {"url": url}, status=403, **bound))["field"] == "source"
    site.asked.clear()
    await api("POST", "", {"url": url, "source": "other"}, status=403, **bound)
    assert site.asked == []
    mine = await api("POST", "", {"url": url, "source": "قاسيون"}, status=201, **bound)
    await api("PATCH", f"/{mine['id']}", {"source": "other"}, status=403, **bound)
    await api("PATCH", f"/{mine['id']}", {"source": None}, status=403, **bound)
    await api("PATCH", f"/{mine['id']}", {"source": "mine.example"}, **bound)
    for method, path in (("PATCH", ""), ("DELETE", ""), ("POST", "/poll")):
        body = {"paused": True} if method == "PATCH" else None
        assert (await api(method, f"/{other}{path}", body, status=403, **bound))["field"] == "source"
    result = await api("POST", "/import", b"https://mine.example/rss\nhttps://foreign.example/rss", **bound)
    assert [one["outcome"] for one in result["feeds"]] == ["added", "invalid"]
    assert "foreign.example" in result["feeds"][1]["error"]
    assert (await api("GET", **bound))["total"] == 3


async def test_the_number_of_feeds_is_limited(start: Start) -> None:
    """409 naming the setting; a list is imported as far as there is room."""
    api = await start(max_feeds=2)
    result = await api("POST", "/import", b"https://a.example\nhttps://b.example\nhttps://c.example")
    assert (result["added"], result["invalid"]) == (2, 1)
    problem = await api("POST", "", {"url": "https://d.example", "discover": False}, status=409)
    assert "KHABAR_MAX_FEEDS" in problem["detail"]


async def test_a_feed_of_the_file_is_removed_there(api: Api) -> None:
    """The answer says so: it would come back."""
    feed_id = await api.feeds.add(FeedOptions(url="https://a.example", origin="file"), most=10)
    assert "KHABAR_FEEDS" in (await api("DELETE", f"/{feed_id}", status=409))["detail"]


async def test_what_an_address_has_is_checked(api: Api, site: Site) -> None:
    """A feed with its entries as articles, or the feeds of a page. Nothing is added."""
    url = site.rss("/rss", "أول", "ثان", "ثالث")
    checked = await api("POST", "/check", {"url": url, "entries": 2})
    expected = {"format": "RSS 2.0", "encoding": "utf-8", "title": "أخبار", "language": "ar", "error": None}
    expected |= {"total": 3, "articles": 3, "rejected": 0, "content_type": "text/xml", "url": url}
    assert {name: checked[name] for name in expected} == expected
    first, _ = checked["entries"]
    assert first["article"]["title"] == "أول"
    assert "نص الخبر كاملًا" in first["article"]["text"]
    assert first["article"]["source"] == "127.0.0.1"
    assert first["origins"]["title"] == "title"
    page = await api("POST", "/check", {"url": site.serve("/", '<a href="/rss">RSS</a>')})
    assert (page["error"], [one["url"] for one in page["feeds"]]) == ("a page, not a feed", [url])
    missing = await api("POST", "/check", {"url": site.url("/missing")})
    assert "404" in missing["error"]
    assert (await api("GET"))["total"] == 0


async def test_without_the_token_of_ingest_nothing_is_served(api: Api) -> None:
    """401: the gateway has the keys."""
    for method, path in (("GET", ""), ("POST", ""), ("GET", ".opml"), ("POST", "/import"), ("DELETE", "/x")):
        await api(method, path, status=401, Authorization="Bearer other")


async def test_without_a_store_the_answer_says_so(start: Start, store: Store) -> None:
    """503 with Retry-After."""
    api = await start()
    broken = Redis.from_url("redis://127.0.0.1:1/0", decode_responses=True)
    api.feeds._redis = broken
    problem = await api("GET", status=503)
    assert "store" in problem["detail"]
    await broken.aclose()
