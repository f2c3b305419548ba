"""Where a subscription starts: at the oldest event, or after the newest of several last ids."""

from typing import Any

import aiohttp
import pytest

import khabar
from tests.api.conftest import Running, Start, Updates, an_article, ids
from tests.api.test_sse import Events


async def _first(gateway: Running, count: int, url: str = "/v1/events", **options: Any) -> list[dict[str, Any]]:
    async with gateway.http.get(gateway.url + url, timeout=aiohttp.ClientTimeout(sock_read=20), **options) as response:
        assert response.status == 200, await response.text()
        return await Events(response).envelopes(count)


async def test_earliest_starts_at_the_oldest_event(start: Start, updates: Updates) -> None:
    """Over WebSocket, SSE, an op and the client: everything that is kept, also what is no longer in memory."""
    first = an_article()
    await updates.send(first)
    async with start(timeouts={"tail_records": 0}) as gateway:
        status, problem, _ = await gateway.get("/v1/events?cursor=" + gateway.gateway.hub.cursors.encode(10**9))
        oldest = problem["oldest"]
        async with gateway.stream(cursor=oldest) as subscriber:
            (wanted,) = await subscriber.events(1)
        async with gateway.stream(cursor="earliest") as subscriber:
            assert (await subscriber.events(1)) == [wanted]
            await subscriber.op(op="subscribe", cursor="earliest")
            await subscriber.until("subscribed")
            assert (await subscriber.events(1)) == [wanted]
        assert await _first(gateway, 1, params={"cursor": "earliest"}) == [wanted]
        async with khabar.connect(gateway.url, cursor="earliest") as events:
            assert (await anext(events)).cursor == wanted["cursor"]
        assert status == 410


async def test_last_event_id_in_the_query(gateway: Running, updates: Updates) -> None:
    """As polyfills of EventSource send it: in the query. Of several ids, the newest that is valid applies."""
    async with gateway.stream() as subscriber:
        await subscriber.next()
        await updates.send(*[an_article() for _ in range(6)])
        whole = await subscriber.events(6)
    cursors = [one["cursor"] for one in whole]
    assert await _first(gateway, 4, f"/v1/events?lastEventId={cursors[1]}") == whole[2:]
    several = f"/v1/events?cursor={cursors[0]}&lastEventId={cursors[1]}&lastEventId={cursors[3]}&lastEventId="
    assert await _first(gateway, 2, several) == whole[4:]
    assert await _first(gateway, 1, several, headers={"Last-Event-ID": cursors[4]}) == whole[5:]
    assert await _first(gateway, 2, several, headers={"Last-Event-ID": cursors[2]}) == whole[4:]
    both = [("Last-Event-ID", cursors[2]), ("Last-Event-ID", cursors[4])]
    assert await _first(gateway, 1, headers=both) == whole[5:]
    # One that is not valid is not the newest.
    assert await _first(gateway, 2, several + "&lastEventId=undefined&lastEventId=" + "f" * 32) == whole[4:]


@pytest.mark.parametrize(
    ("last", "expected"), [("undefined", (400, "bad_cursor")), ("f" * 32, (410, "cursor_too_old"))]
)
async def test_a_wrong_last_event_id_is_an_error(gateway: Running, last: str, expected: tuple[int, str]) -> None:
    """It is not taken for a new subscription, which would leave a gap."""
    for options in ({"params": {"lastEventId": last}}, {"headers": {"Last-Event-ID": last}}):
        status, problem, _ = await gateway.get("/v1/events", **options)
        assert (status, problem["code"]) == expected


async def test_ids_from_both_places_are_ids_of_the_whole_stream(gateway: Running, updates: Updates) -> None:
    """A client that reconnects with a heartbeat's id continues without a gap."""
    async with gateway.stream() as subscriber:
        begin = (await subscriber.next())["cursor"]
    sent = [an_article() for _ in range(3)]
    await updates.send(*sent)
    assert ids(await _first(gateway, 3, f"/v1/events?lastEventId={begin}")) == [one.id for one in sent]
