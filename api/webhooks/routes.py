"""``/v1/webhooks``: create, list, pause, resume and delete webhooks; each key has its own."""

import secrets
from datetime import UTC, datetime
from typing import Any, Final, Literal, TypeVar

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import from_json, to_json
from starlette.requests import ClientDisconnect

from api.access.auth import Keys, Reader, may_ask, owner_of
from api.gateway import Gateway
from api.problems import RETRY_AFTER, ProblemError, documented, only
from api.routes.sse import STATUSES
from api.stream import filters
from api.stream.backlog import Unavailable
from api.stream.filters import Filter, FilterError
from api.stream.subscription import StreamError, Subscription
from api.webhooks import sender, targets
from api.webhooks.manager import DeliveryManager
from api.webhooks.targets import BadTarget
from services import request_body
from services.resolver import looking_up_for
from services.store.webhooks import Full, Webhook

router = APIRouter(tags=["webhooks"], dependencies=[Depends(only()), Depends(may_ask)])

_MAX_BODY_BYTES: Final = 64 * 1024
# Answers differ by key, so they may not be cached.
_HEADERS = {"Cache-Control": "no-store"}

_Model = TypeVar("_Model", bound=BaseModel)
_FROM = "`now`, `oldest` (everything that is kept), or a cursor to resume after"
_MAX_FROM_CHARACTERS: Final = 100


class NewWebhook(BaseModel):
    """A webhook to create."""

    model_config = ConfigDict(extra="forbid", strict=True)

    url: str = Field(description="http or https; one POST an event")
    filter: dict[str, Any] | None = Field(None, description="as in `subscribe`")
    secret: str | None = Field(None, description="`whsec_` and base64 of 24 to 64 bytes; by default a new one")
    from_: str = Field("now", alias="from", max_length=_MAX_FROM_CHARACTERS, description=_FROM)


class Resume(BaseModel):
    """Where to resume; without `from`: where it stopped."""

    model_config = ConfigDict(extra="forbid", strict=True)

    from_: str | None = Field(None, alias="from", max_length=_MAX_FROM_CHARACTERS, description=_FROM)


class WebhookOut(BaseModel):
    """A webhook.

    `state`: `active`; `failing`: the last attempt failed, the next is at `next_attempt`; `paused`: `reason` says why.
    Everything up to `cursor` was delivered. `error`: the last error.
    """

    id: str
    url: str
    filter: dict[str, Any]
    state: Literal["active", "failing", "paused"]
    reason: Literal["asked", "gone", "failed", "cursor_too_old", "bad_cursor", "bad_filter"] | None
    error: str | None
    cursor: str
    created: AwareDatetime
    deliveries: int
    failures: int
    failing_since: AwareDatetime | None
    next_attempt: AwareDatetime | None


class CreatedWebhook(WebhookOut):
    """A new webhook with the secret that signs its messages, which is not shown again."""

    secret: str


class WebhooksOut(BaseModel):
    """Webhooks, oldest first."""

    webhooks: list[WebhookOut]


def _body(model: type[BaseModel], *, required: bool) -> dict[str, Any]:
    content = {"application/json": {"schema": model.model_json_schema()}}
    return {"requestBody": {"required": required, "content": content}}


@router.post(
    "/v1/webhooks",
    status_code=201,
    response_class=Response,
    responses={201: {"model": CreatedWebhook}, **documented(400, 401, 403, 408, 409, 413, 422, 429, 503)},
    openapi_extra=_body(NewWebhook, required=True),
)
async def create(request: Request, key: Reader) -> Response:
    """Create a webhook. From now on (or `from`) each matching event is sent to `url`, in order."""
    gateway, deliveries = _parts(request)
    asked = await _read(request, NewWebhook)
    try:
        with looking_up_for(owner_of(key)):
            await targets.check(asked.url, deliveries.resolver, allow_private=deliveries.allow_private)
    except BadTarget as error:
        raise ProblemError(422, str(error), field="url") from None
    try:
        wanted = filters.parse_json(asked.filter or {})
    except FilterError as error:
        raise ProblemError(422, str(error), field=error.name) from None
    secret = asked.secret if asked.secret is not None else sender.new_secret()
    try:
        sender.secret_bytes(secret)
    except ValueError as error:
        raise ProblemError(422, str(error), field="secret") from None
    webhook = Webhook(
        id=f"wh_{secrets.token_hex(8)}",
        owner=owner_of(key),
        url=asked.url,
        filter=to_json(wanted.as_json()).decode(),
        secret=secret,
        cursor=await _start_cursor(gateway, wanted, asked.from_),
        created=gateway.now().timestamp(),
    )
    most = gateway.settings.max_webhooks
    try:
        await gateway.with_store_timeout(deliveries.webhooks.create(webhook, most=most))
    except Full as full:
        which = f"you have {most} webhooks already" if full.owner else "the maximum number of webhooks is reached"
        raise ProblemError(409, f"{which}; delete one first") from None
    deliveries.wake()
    body = CreatedWebhook(**_out(webhook).model_dump(), secret=secret)
    return _answer(body, 201, {"Location": f"/v1/webhooks/{webhook.id}"})


@router.get(
    "/v1/webhooks",
    response_class=Response,
    responses={200: {"model": WebhooksOut}, **documented(401, 403, 422, 429, 503)},
)
async def listed(request: Request, key: Reader) -> Response:
    """Your webhooks; where no keys are needed, all."""
    gateway, deliveries = _parts(request)
    owner = owner_of(key) if gateway.keys.required else None
    found = await gateway.with_store_timeout(deliveries.webhooks.owned(owner))
    return _answer(WebhooksOut(webhooks=[_out(webhook) for webhook in found]))


_ONE = documented(401, 403, 404, 422, 429, 503)


@router.get("/v1/webhooks/{webhook_id}", response_class=Response, responses={200: {"model": WebhookOut}, **_ONE})
async def one(request: Request, webhook_id: str, key: Reader) -> Response:
    """One webhook and its state."""
    return _answer(_out(await _found(request, webhook_id, key)))


@router.post("/v1/webhooks/{webhook_id}/pause", response_class=Response, responses={200: {"model": WebhookOut}, **_ONE})
async def pause(request: Request, webhook_id: str, key: Reader) -> Response:
    """Send nothing until it is resumed. A request in progress may still arrive."""
    webhook = await _found(request, webhook_id, key)
    if webhook.state != "paused":
        await _change(request, webhook, "paused", {"reason": "asked", "next_attempt": 0.0})
    return _answer(_out(await _found(request, webhook_id, key)))


@router.post(
    "/v1/webhooks/{webhook_id}/resume",
    response_class=Response,
    responses={
        200: {"model": WebhookOut},
        **_ONE,
        **documented(400, 408, 413),
        **documented(410, code={"type": "string"}, oldest={"type": "string"}),
    },
    openapi_extra=_body(Resume, required=False),
)
async def resume(request: Request, webhook_id: str, key: Reader) -> Response:
    """Resume after the last delivered event, or elsewhere (`from`); the next attempt is made at once."""
    gateway, _ = _parts(request)
    webhook = await _found(request, webhook_id, key)
    asked = await _read(request, Resume, empty=True)
    try:
        wanted = filters.parse_json(from_json(webhook.filter))
    except FilterError as error:  # it was created under wider limits
        raise ProblemError(422, str(error), field=error.name) from None
    cursor = await _start_cursor(gateway, wanted, asked.from_ or webhook.cursor)
    fields = {"reason": "", "error": "", "attempts": 0, "failing_since": 0.0, "next_attempt": 0.0}
    # Without ``from`` the store keeps its cursor: a delivery may have moved it since it was read here.
    await _change(request, webhook, "active", fields | ({"cursor": cursor} if asked.from_ else {}))
    return _answer(_out(await _found(request, webhook_id, key)))


@router.delete("/v1/webhooks/{webhook_id}", status_code=204, response_class=Response, responses=_ONE)
async def delete(request: Request, webhook_id: str, key: Reader) -> Response:
    """Delete it and send nothing more. A request in progress may still arrive."""
    gateway, deliveries = _parts(request)
    webhook = await _found(request, webhook_id, key)
    await gateway.with_store_timeout(deliveries.webhooks.delete(webhook))
    deliveries.wake()
    return Response(status_code=204)


def _parts(request: Request) -> tuple[Gateway, DeliveryManager]:
    return request.app.state.gateway, request.app.state.deliveries


async def _found(request: Request, webhook_id: str, key: Any) -> Webhook:
    """The webhook, if it belongs to the key. Raises ``ProblemError`` 404."""
    gateway, deliveries = _parts(request)
    keys: Keys = gateway.keys
    name = webhook_id.removeprefix("wh_")
    plausible = webhook_id.startswith("wh_") and name.isascii() and name.isalnum()
    found = await gateway.with_store_timeout(deliveries.webhooks.get(webhook_id)) if plausible else None
    if found is None or (keys.required and found.owner != owner_of(key)):
        raise ProblemError(404, "there is no webhook with this id")
    return found


async def _change(
    request: Request, webhook: Webhook, state: Literal["active", "paused"], fields: dict[str, object]
) -> None:
    gateway, deliveries = _parts(request)
    await gateway.with_store_timeout(deliveries.webhooks.change(webhook.id, state, fields))
    deliveries.wake()


async def _start_cursor(gateway: Gateway, wanted: Filter, start: str) -> str:
    """The cursor after which to start, for a value of ``from``. Raises ``ProblemError``."""
    hub = gateway.hub
    cursor = None if start in {"now", "oldest"} else start
    try:
        session = await hub.open(Subscription(wanted, cursor=cursor))
        if start == "oldest":
            return hub.cursors.encode(await gateway.backlog.oldest() - 1)
        return session.cursor
    except Unavailable:
        raise ProblemError(503, "the stream cannot be read at the moment; try again", headers=RETRY_AFTER) from None
    except StreamError as error:
        status = STATUSES[error.code]
        field = "from" if error.code == "bad_cursor" else None
        extra = {name: value for name, value in error.extra.items() if name != "field"}
        headers = RETRY_AFTER if status == 503 else None
        raise ProblemError(
            422 if field else status, error.message, field=field, headers=headers, code=error.code, **extra
        ) from None


async def _read(request: Request, model: type[_Model], *, empty: bool = False) -> _Model:
    """The body of a request; with ``empty`` it may be missing. Raises ``ProblemError``."""
    body = bytearray()

    def take(chunk: bytes) -> None:
        body.extend(chunk)
        if len(body) > _MAX_BODY_BYTES:
            raise ProblemError(413, f"the body has more than {_MAX_BODY_BYTES} bytes")

    try:
        await request_body.receive(request.stream(), take)
    except ClientDisconnect:
        raise ProblemError(400, "the body ended too early") from None
    except request_body.TooSlow as error:
        raise ProblemError(408, str(error), headers={"Connection": "close"}) from None
    try:
        given = from_json(bytes(body) if body or not empty else b"{}")
    except ValueError:
        raise ProblemError(400, "the body is not JSON") from None
    try:
        return model.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = str(first["loc"][0]) if first["loc"] else "body"
        raise ProblemError(422, f"{field[:60]}: {first['msg']}", field=field[:60]) from None


def _out(webhook: Webhook) -> WebhookOut:
    failing = webhook.state == "active" and webhook.attempts > 0
    return WebhookOut.model_validate(
        {
            "id": webhook.id,
            "url": webhook.url,
            "filter": from_json(webhook.filter),
            "state": "failing" if failing else webhook.state,
            "reason": (webhook.reason or None) if webhook.state == "paused" else None,
            "error": webhook.error or None,
            "cursor": webhook.cursor,
            "created": _moment(webhook.created),
            "deliveries": webhook.deliveries,
            "failures": webhook.failures,
            "failing_since": _moment(webhook.failing_since),
            "next_attempt": _moment(webhook.next_attempt) if failing else None,
        }
    )


def _moment(seconds: float) -> datetime | None:
    return datetime.fromtimestamp(seconds, UTC) if seconds else None


def _answer(body: BaseModel, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(body.model_dump_json(), status, _HEADERS | (headers or {}), media_type="application/json")
