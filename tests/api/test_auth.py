"""API keys and scopes."""

from collections.abc import AsyncIterator

import pytest

from api.auth import Forbidden, Keys, Unauthorized
from services.errors import SettingsError
from tests.api.conftest import Running, Start, Updates, an_article, ids

_BEARER = "Authorization"


@pytest.fixture(scope="module")
def keys() -> tuple[str, ...]:
    """Keys as they stand in the setting."""
    return ("all", "reader:read", "writer:write")


@pytest.fixture
async def closed(start: Start, keys: tuple[str, ...]) -> AsyncIterator[Running]:
    """A gateway that wants keys."""
    async with start(api_keys=keys, limits={"authenticate": 0.3}) as gateway:
        yield gateway


async def test_rest_needs_a_key_of_the_right_scope(closed: Running) -> None:
    """401 with a challenge without a known key, 403 with one that may not, in either header."""
    for headers, expected in (
        ({}, 401),
        ({_BEARER: "Bearer nobody"}, 401),
        ({_BEARER: "Basic all"}, 401),
        ({"X-API-Key": "reader:read"}, 401),
        ({"X-API-Key": "مفتاح".encode().decode("latin-1")}, 401),
        ({_BEARER: "Bearer writer"}, 403),
        ({_BEARER: "Bearer reader"}, 200),
        ({_BEARER: "bearer all"}, 200),
        ({"X-API-Key": "reader"}, 200),
    ):
        for path in ("/v1/stories", "/v1/aggregates?by=source"):
            status, body, response = await closed.get(path, headers=headers)
            assert status == expected, headers
            if expected != 200:
                assert body["status"] == expected
                assert ("WWW-Authenticate" in response.headers) == (expected == 401)
    assert (await closed.get("/v1/events"))[0] == 401
    assert (await closed.get("/v1/articles/x"))[0] == 401
    for key, expected in ((None, 401), ("reader", 403), ("writer", 503), ("all", 503)):
        headers = {"X-API-Key": key} if key else {}
        async with closed.http.post(f"{closed.url}/v1/articles", data=b"{}", headers=headers) as response:
            assert response.status == expected  # 503: it may, but there is no ingest here


async def test_health_and_the_page_stay_open(closed: Running) -> None:
    """What probes, Prometheus and browsers ask for first needs no key."""
    for path in ("/", "/dashboard/dashboard.js", "/healthz", "/metrics", "/openapi.json"):
        assert (await closed.get(path))[0] == 200
    assert (await closed.get("/readyz"))[0] == 503


async def test_websockets_authenticate_in_a_header_or_a_first_frame(closed: Running, updates: Updates) -> None:
    """Either way the stream begins with ``subscribed``."""
    async with (
        closed.stream(headers={_BEARER: "Bearer reader"}) as by_header,
        closed.stream() as by_frame,
    ):
        await by_frame.op(op="auth", key="all")
        for subscriber in (by_header, by_frame):
            assert (await subscriber.next())["type"] == "subscribed"
        article = an_article()
        await updates.send(article)
        for subscriber in (by_header, by_frame):
            assert ids(await subscriber.events(1)) == [article.id]


async def test_websockets_without_a_valid_key_are_closed(closed: Running) -> None:
    """4401 for no key in time, a wrong one, or another first frame; 4403 for one that may not read."""
    for frame, headers, code in (
        (None, {}, 4401),
        ({"op": "auth", "key": "nobody"}, {}, 4401),
        ({"op": "auth", "key": 7}, {}, 4401),
        ({"op": "subscribe"}, {}, 4401),
        (None, {_BEARER: "Bearer nobody"}, 4401),
        ({"op": "auth", "key": "writer"}, {}, 4403),
        (None, {"X-API-Key": "writer"}, 4403),
    ):
        async with closed.stream(headers=headers) as subscriber:
            if frame:
                await subscriber.op(**frame)
            error = await subscriber.next()
            assert error["code"] == {4401: "unauthorized", 4403: "forbidden"}[code]
            assert await subscriber.close_code() == code


async def test_without_keys_a_key_is_no_hindrance(gateway: Running) -> None:
    """A browser that still has a key sends it; an open gateway takes no offence."""
    async with gateway.stream(headers={_BEARER: "Bearer old"}) as subscriber:
        await subscriber.op(op="auth", key="old")
        await subscriber.op(op="ping")
        assert (await subscriber.next())["type"] == "subscribed"
        assert (await subscriber.next())["type"] == "pong"
    assert (await gateway.get("/v1/stories", headers={"X-API-Key": "old"}))[0] == 200


@pytest.mark.parametrize("entry", ["key:admin", ":read", "key:"])
def test_a_wrong_entry_is_refused_without_showing_it(entry: str) -> None:
    """The message tells which entry it is by its number, because it may hold a secret."""
    with pytest.raises(SettingsError, match=r"KHABAR_API_KEYS: entry 2") as caught:
        Keys(["fine", entry])
    assert entry.strip(":") not in str(caught.value).replace("KEY:read", "")


def test_scopes_of_a_key_given_twice_add_up() -> None:
    """``K:read`` and ``K:write`` are the same as ``K``."""
    keys = Keys(["k:read", "k:write", "r:read"])
    keys.check(b"k", "read")
    keys.check(b"k", "write")
    with pytest.raises(Forbidden):
        keys.check(b"r", "write")
    with pytest.raises(Unauthorized):
        keys.check(None, "read")
