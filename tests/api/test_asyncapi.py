"""``/asyncapi.json``: valid, complete, and consistent with what the gateway sends.

``asyncapi-3.0.0.json.gz`` is the official schema of AsyncAPI 3.0.0 (``schemas/3.0.0.json`` of @asyncapi/specs 6.11.1,
Apache-2.0, copyright the AsyncAPI Initiative), compressed and otherwise unchanged.
"""

import gzip
import json
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any, get_args

import pytest
from jsonschema import Draft7Validator, ValidationError

from api.routes import sse, websocket
from api.stream import filters
from services.events import Date, EventType, Quote, Span
from tests.api.conftest import (
    Running,
    Start,
    Subscriber,
    Updates,
    a_story,
    a_topic,
    a_trend,
    an_article,
    an_entity,
)
from tests.harness import hashed

_OFFICIAL = Path(__file__).with_name("asyncapi-3.0.0.json.gz")


async def _document(gateway: Running, **options: Any) -> dict[str, Any]:
    status, body, _ = await gateway.get("/asyncapi.json", **options)
    assert status == 200
    return dict(body)


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for name, value in node.items():
            if name == "$ref" and isinstance(value, str):
                yield value
            else:
                yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)


def _found(document: dict[str, Any], reference: str) -> Any:
    assert reference.startswith("#/")
    node: Any = document
    for part in reference[2:].split("/"):
        node = node[part]
    return _found(document, node["$ref"]) if "$ref" in node else node


@pytest.mark.parametrize("keys", [[], hashed("reader:read")])
async def test_it_is_valid_asyncapi(start: Start, keys: list[str]) -> None:
    """It matches the official schema of AsyncAPI 3.0.0, every reference resolves, and it can be read without a key."""
    official = Draft7Validator(json.loads(gzip.decompress(_OFFICIAL.read_bytes())))
    async with start(api_keys=keys) as gateway:
        document = await _document(gateway)
        official.validate(document)
        with pytest.raises(ValidationError):
            official.validate(document | {"channels": {"stream": {"adress": "/"}}})
        references = set(_references(document))
        assert len(references) > 40
        for reference in references:
            assert _found(document, reference)
        for server in document["servers"].values():
            schemes = [_found(document, one["$ref"])["type"] for one in server.get("security", [])]
            assert schemes == (["http", "httpApiKey"] if keys else [])


async def test_servers_have_the_address_of_the_request(start: Start) -> None:
    """Also behind a proxy that terminates TLS."""
    async with start(origins=("https://news.example",)) as gateway:
        servers = (await _document(gateway))["servers"]
        assert servers["websocket"]["host"] == servers["sse"]["host"] == f"127.0.0.1:{gateway.port}"
        assert (servers["websocket"]["protocol"], servers["sse"]["protocol"]) == ("ws", "http")
        proxied = {"Host": "news.example", "X-Forwarded-Proto": "https"}
        servers = (await _document(gateway, headers=proxied))["servers"]
    assert {(one["host"], one["protocol"]) for one in servers.values()} == {
        ("news.example", "wss"),
        ("news.example", "https"),
    }


async def test_it_contains_everything_that_the_gateway_supports(gateway: Running) -> None:
    """It has every filter, start parameter, event type, error code, close code and op; every parameter is described."""
    document = await _document(gateway)
    messages = document["components"]["messages"]
    query = document["channels"]["stream"]["bindings"]["ws"]["query"]["properties"]
    assert list(query) == [*filters.NAMES, "cursor", "since"]
    assert all(one.get("description") or one.get("enum") for one in query.values())
    assert document["operations"]["sendServerSentEvents"]["bindings"]["http"]["query"]["properties"] == query
    assert set(get_args(EventType)) < set(messages)
    codes = _found(document, messages["error"]["payload"]["$ref"])["properties"]["code"]["enum"]
    assert set(codes) == {*websocket.CLOSE_CODES, *sse.STATUSES} == set(messages["error"]["x-close-codes"])
    received = [one for one in document["operations"].values() if one["action"] == "receive"]
    ops = [_found(document, one["messages"][0]["$ref"])["name"] for one in received]
    async with gateway.stream() as subscriber:
        await subscriber.op(op="?")
        assert (await subscriber.until("error"))["message"].endswith(f"known are {', '.join(ops)}")


class _Described:
    """The message schemas of a document, made stricter: messages may have no members that are not described."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._components = deepcopy(document["components"])
        for schema in self._components["schemas"].values():
            schema.setdefault("additionalProperties", False)
        self._messages: dict[str, str] = {
            name: one["payload"]["$ref"] for name, one in self._components["messages"].items()
        }
        self.met: set[str] = set()

    def check(self, name: str, message: Any) -> None:
        """Raises ``ValidationError`` when the message does not match its schema."""
        schema = {"$ref": self._messages[name], "components": self._components}
        Draft7Validator(schema, format_checker=Draft7Validator.FORMAT_CHECKER).validate(message)
        self.met.add(name)


async def _to_the_end(subscriber: Subscriber, described: _Described, last: str) -> None:
    while True:
        message = await subscriber.next()
        described.check(message["type"], message)
        if message["type"] == last:
            return


async def test_sent_and_received_messages_match_the_document(start: Start, updates: Updates) -> None:
    """Checked with real frames of every kind over both transports, and with the ops that caused them."""
    full = an_article(
        title=None,
        entities=[an_entity("Q1")],
        topics=[a_topic("medtop:04000000")],
        quotes=[Quote(start=0, end=2, text="نص", speaker=None, verb=None, direct=True)],
        dates=[Date(start=0, end=2, text="نص", date="2026-11-06", basis="explicit")],
        boilerplate=[Span(start=0, end=2)],
        published_at="2026-11-06T12:00:00+03:00",
    )
    split = a_story(entities=[an_entity("Q1")], split_from="s1", articles=["a"])
    async with start(timeouts={"heartbeat": 0.2}) as gateway:
        document = await _document(gateway)
        described = _Described(document)

        async def op(subscriber: Subscriber, **message: Any) -> None:
            described.check(message["op"], message)
            await subscriber.op(**message)

        async with gateway.stream() as subscriber:
            await _to_the_end(subscriber, described, "subscribed")
            await updates.send(full, an_article(), split, a_story(), a_trend())
            await _to_the_end(subscriber, described, "trend")
            await _to_the_end(subscriber, described, "heartbeat")
            await op(subscriber, op="ping")
            await _to_the_end(subscriber, described, "pong")
            await op(subscriber, op="subscribe", filter={"entity": ["Q1"], "type": "article", "duplicates": "show"})
            await _to_the_end(subscriber, described, "subscribed")
            for wrong in ({"filter": {"language": "klingon"}}, {"cursor": "x"}, {"since": "2020"}):
                await op(subscriber, op="subscribe", **wrong)
                await _to_the_end(subscriber, described, "error")
            await op(subscriber, op="auth", key="any")
        async with gateway.http.get(f"{gateway.url}/v1/events") as response:
            await updates.send(full, a_story(), a_trend())
            met: dict[str, str] = {}
            block: dict[str, str] = {}
            while not {"article", "story", "trend", "heartbeat"} <= set(met):
                line = (await response.content.readline()).decode().rstrip("\n")
                if line:
                    name, _, value = line.partition(": ")
                    block[name] = value
                    continue
                if "data" in block:
                    message = json.loads(block["data"])
                    described.check(block["event"], message)
                    assert block["id"] == message["cursor"]
                    met[block["event"]] = block["data"]
                block = {}
        async with gateway.stream() as subscriber:
            gateway.server.stop()
            await _to_the_end(subscriber, described, "error")
    assert described.met == set(document["components"]["messages"])
    for name, message in document["components"]["messages"].items():
        for example in message.get("examples", []):
            described.check(name, example["payload"])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("article", {"cursor": "c", "type": "article", "time": "2026-11-06T12:00:00Z", "data": {"id": "a"}}),
        ("heartbeat", {"type": "heartbeat"}),
        ("error", {"type": "error", "code": "unknown", "message": ""}),
        ("subscribe", {"op": "subscribe", "filter": {"colour": "red"}}),
        ("subscribe", {"op": "subscribe", "limit": 7}),
    ],
)
async def test_other_messages_do_not_match(gateway: Running, name: str, message: dict[str, Any]) -> None:
    """The schemas reject wrong messages."""
    described = _Described(await _document(gateway))
    with pytest.raises(ValidationError):
        described.check(name, message)
