"""``GET /asyncapi.json``: the stream as an AsyncAPI 3.0 document, generated from the gateway's own definitions.

Payloads come from the models of events and messages; filters, error codes and close codes from the tables that the
routes use; descriptions of query parameters and authentication from the OpenAPI document of the same stream.
"""

from collections.abc import Callable
from typing import Any, Literal

from fastapi import APIRouter, FastAPI, Request
from pydantic import BaseModel, ConfigDict
from pydantic.json_schema import models_json_schema
from starlette.datastructures import URL

from api.routes import sse, websocket
from api.stream import filters
from khabar import messages
from khabar.filters import FILTERS, FilterSpec
from services.events import Record

router = APIRouter()

_VERSION = "3.0.0"
_SCHEMA = "#/components/schemas/{model}"
_STREAM, _EVENTS = "/v1/stream", "/v1/events"


class Subscribe(Record):
    """Replaces the filter. Continues at the present position unless ``cursor`` or ``since`` (RFC 3339) is given.

    The answer contains the cursor after which the new filter applies.
    """

    model_config = ConfigDict(extra="forbid")

    op: Literal["subscribe"]
    filter: dict[str, Any] | None = None
    cursor: str | None = None
    since: str | None = None


class Ping(Record):
    """Requests a pong."""

    op: Literal["ping"]


class Auth(Record):
    """The first frame of a client that cannot set headers, if the gateway needs a key."""

    op: Literal["auth"]
    key: str


_OPS: dict[str, type[BaseModel]] = {"subscribe": Subscribe, "ping": Ping, "auth": Auth}
_ANSWERS = {"subscribe": ("subscribed", "error"), "ping": ("pong",), "auth": ("subscribed", "error")}
_EXAMPLES: dict[str, Record] = {
    "subscribe": Subscribe(op="subscribe", filter={"entity": ["Q7747"], "duplicates": "show"}),
    "ping": Ping(op="ping"),
    "auth": Auth(op="auth", key="KEY"),
}
_NOTES: dict[str, type[BaseModel]] = {
    "subscribed": messages.Subscribed,
    "heartbeat": messages.Heartbeat,
    "pong": messages.Pong,
    "error": messages.StreamError,
}
_MESSAGES: dict[str, type[BaseModel]] = {**messages.EVENTS, **_NOTES, **_OPS}
_SENT = (*messages.EVENTS, "subscribed", "heartbeat", "error")
_SENT_AS_SSE = (*messages.EVENTS, "heartbeat", "error")


@router.get("/asyncapi.json", include_in_schema=False)
async def document(request: Request) -> dict[str, Any]:
    """The document, with the address of this gateway that the client used."""
    app: FastAPI = request.app
    if not hasattr(app.state, "asyncapi"):
        app.state.asyncapi = _description(app)
    needs_key: bool = app.state.gateway.keys.required
    servers = _servers(request.url, request.scope.get("root_path", ""))
    if needs_key:
        for server in servers.values():
            server["security"] = [_reference("securitySchemes", name) for name in _security(app)]
    return {**app.state.asyncapi, "servers": servers}


def _servers(url: URL, path: str) -> dict[str, dict[str, Any]]:
    safe = "s" if url.scheme == "https" else ""
    where = {"host": url.netloc, **({"pathname": path} if path else {})}
    return {
        "websocket": {**where, "protocol": f"ws{safe}", "description": "The stream over WebSocket."},
        "sse": {**where, "protocol": f"http{safe}", "description": "The stream as server-sent events."},
    }


def _description(app: FastAPI) -> dict[str, Any]:
    """The document without the servers."""
    query = _query(app)
    return {
        "asyncapi": _VERSION,
        "info": {
            "title": app.title,
            "version": app.version,
            "description": "Enriched and grouped news, live. Both channels carry the same stream; a cursor of one is "
            "valid for the other. /openapi.json describes everything except the stream.",
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {
            "stream": {
                "address": _STREAM,
                "title": "WebSocket",
                "description": "The gateway's text frames hold one or more messages, one a line; a client's hold one. "
                "Without filters in the query the stream starts unfiltered at once.",
                "servers": [{"$ref": "#/servers/websocket"}],
                "messages": {name: _reference("messages", name) for name in _MESSAGES},
                "bindings": {"ws": {"method": "GET", "query": query, "bindingVersion": "0.1.0"}},
            },
            "events": {
                "address": _EVENTS,
                "title": "Server-sent events",
                "description": "The payload is in `data:`, its type in `event:`, its cursor in `id:`. "
                "The header Last-Event-ID resumes, and overrides cursor and since.",
                "servers": [{"$ref": "#/servers/sse"}],
                "messages": {name: _reference("messages", name) for name in _SENT_AS_SSE},
            },
        },
        "operations": _operations(query),
        "components": {
            "messages": {name: _message(name) for name in _MESSAGES},
            "schemas": _schemas(),
            "securitySchemes": _security(app),
        },
    }


def _query(app: FastAPI) -> dict[str, Any]:
    """The query of both channels."""
    parameters = app.openapi()["paths"][_EVENTS]["get"]["parameters"]
    texts = {one["name"]: one["description"] for one in parameters if one["in"] == "query"}
    properties: dict[str, dict[str, Any]] = {
        name: {"type": "string", "description": texts[name]} for name in (*filters.NAMES, "cursor", "since")
    }
    for spec in FILTERS:
        if not spec.multiple:
            properties[spec.name] |= _choice(spec)
    return {
        "type": "object",
        "description": "Each filter can be repeated or comma-separated (any value may match); all filters must match.",
        "properties": properties,
        "additionalProperties": False,
    }


def _operations(query: dict[str, Any]) -> dict[str, Any]:
    """The operations, from the gateway's point of view: what it sends and what it receives."""
    operations: dict[str, Any] = {
        "sendToWebSocket": {
            "action": "send",
            "channel": {"$ref": "#/channels/stream"},
            "summary": "Events as they are published, and messages about the subscription.",
            "messages": _of_channel("stream", _SENT),
        },
        "sendServerSentEvents": {
            "action": "send",
            "channel": {"$ref": "#/channels/events"},
            "summary": "Events as they are published, and messages about the subscription.",
            "messages": _of_channel("events", _SENT_AS_SSE),
            "bindings": {"http": {"method": "GET", "query": query, "bindingVersion": "0.3.0"}},
        },
    }
    for name in _OPS:
        operations[f"receive{name.title()}"] = {
            "action": "receive",
            "channel": {"$ref": "#/channels/stream"},
            "messages": _of_channel("stream", (name,)),
            "reply": {"channel": {"$ref": "#/channels/stream"}, "messages": _of_channel("stream", _ANSWERS[name])},
        }
    return operations


def _message(name: str) -> dict[str, Any]:
    model = _MESSAGES[name]
    message: dict[str, Any] = {
        "name": name,
        "title": name.title(),
        "summary": (model.__doc__ or "").split("\n")[0],
        "payload": {"$ref": _SCHEMA.format(model=model.__name__)},
    }
    if name in _EXAMPLES:
        message["examples"] = [{"payload": _EXAMPLES[name].model_dump(exclude_none=True)}]
    if name == "error":
        message["x-close-codes"] = dict(websocket.CLOSE_CODES)
        message["x-statuses"] = {code: int(status) for code, status in sse.STATUSES.items()}
        message["description"] = (
            "After an error that ends the connection, a WebSocket closes with the code in `x-close-codes`. Before the "
            "first server-sent event, the error is a problem document with the status in `x-statuses` instead."
        )
    return message


def _schemas() -> dict[str, Any]:
    _, made = models_json_schema([(model, "validation") for model in _MESSAGES.values()], ref_template=_SCHEMA)
    schemas: dict[str, Any] = made["$defs"]
    schemas["StreamError"]["properties"]["code"]["enum"] = sorted({*websocket.CLOSE_CODES, *sse.STATUSES})
    schemas["Filter"] = _filter(
        lambda spec: {"type": "array", "items": {"enum": list(spec.values)} if spec.values else {"type": "string"}}
    )
    asked = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
    schemas["FilterAsked"] = _filter(lambda _: dict(asked)) | {"type": ["object", "null"]}
    schemas["Subscribed"]["properties"]["filter"] = {"$ref": _SCHEMA.format(model="Filter")}
    schemas["Subscribe"]["properties"]["filter"] = {"$ref": _SCHEMA.format(model="FilterAsked")}
    return schemas


def _filter(several: Callable[[FilterSpec], dict[str, Any]]) -> dict[str, Any]:
    properties = {spec.name: several(spec) if spec.multiple else _choice(spec) for spec in FILTERS}
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _choice(spec: FilterSpec) -> dict[str, Any]:
    return {"type": "string", "enum": list(spec.values), "default": spec.default}


def _security(app: FastAPI) -> dict[str, Any]:
    """The ways to send a key, converted from OpenAPI."""
    schemes = app.openapi()["components"]["securitySchemes"]
    return {
        name: {**scheme, "type": "httpApiKey"} if scheme["type"] == "apiKey" else scheme
        for name, scheme in schemes.items()
    }


def _of_channel(channel: str, names: tuple[str, ...]) -> list[dict[str, str]]:
    return [{"$ref": f"#/channels/{channel}/messages/{name}"} for name in names]


def _reference(kind: str, name: str) -> dict[str, str]:
    return {"$ref": f"#/components/{kind}/{name}"}
