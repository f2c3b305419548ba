"""Webhooks in the store: their configuration, the cursor of each, and which gateway delivers it.

========================================= ====== ================================================================
key                                       type   holds
========================================= ====== ================================================================
``webhooks:{khabar}``                     hash   id → revision: the state, and a number that each change increments
``webhooks:{khabar}:of:OWNER``            set    ids of one owner
``webhook:{khabar}:ID``                   hash   the fields of ``Webhook``
``webhook:{khabar}:ID:lease``             string token of the gateway that delivers it; expires
``webhooks:{khabar}:gateways``            zset   gateways that deliver → until when each counts as alive (ms since
                                                 1970); expires
========================================= ====== ================================================================

They are in the same slot as all other keys but have another prefix: ``Store.clear``, which a rebuild of the aggregates
calls, does not remove them. They cannot be rebuilt.

A gateway can save a cursor only while it holds the lease and the revision is the one that it started with. So a
gateway that was replaced, or that delivers a webhook that was changed or deleted meanwhile, saves nothing. All expiry
is by the store's clock: the clocks of the gateways need not agree.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

from redis.asyncio import Redis

from services.store import layout

WebhookState = Literal["active", "paused"]
Saved = Literal["saved", "lost", "changed"]

INDEX: Final = f"webhooks:{layout.TAG}"
GATEWAYS: Final = f"{INDEX}:gateways"
# Maximum of an installation: each webhook costs a gateway a task and a connection.
MOST: Final = 1_000

_CREATE = """
if redis.call('SCARD', KEYS[2]) >= tonumber(ARGV[2]) then return 'owner' end
if redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[3]) then return 'all' end
redis.call('HSET', KEYS[3], unpack(ARGV, 4))
redis.call('SADD', KEYS[2], ARGV[1])
redis.call('HSET', KEYS[1], ARGV[1], 'active:1')
return 'made'
"""
_CHANGE = """
local was = redis.call('HGET', KEYS[1], ARGV[1])
if not was or (ARGV[3] ~= '' and was ~= ARGV[3]) then return false end
if ARGV[2] ~= '' and redis.call('GET', KEYS[3]) ~= ARGV[2] then return false end
local now = ARGV[4] .. ':' .. (tonumber(string.match(was, '%d+$')) + 1)
redis.call('HSET', KEYS[1], ARGV[1], now)
redis.call('HSET', KEYS[2], unpack(ARGV, 5))
return now
"""
_SAVE = """
if redis.call('GET', KEYS[3]) ~= ARGV[2] then return 'lost' end
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[3] then return 'changed' end
redis.call('PEXPIRE', KEYS[3], ARGV[4])
if ARGV[5] ~= '0' then redis.call('HINCRBY', KEYS[2], 'deliveries', ARGV[5]) end
if ARGV[6] ~= '0' then redis.call('HINCRBY', KEYS[2], 'failures', ARGV[6]) end
if #ARGV > 6 then redis.call('HSET', KEYS[2], unpack(ARGV, 7)) end
return 'saved'
"""
_RELEASE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""
_DELETE = """
redis.call('SREM', KEYS[2], ARGV[1])
redis.call('DEL', KEYS[3], KEYS[4])
return redis.call('HDEL', KEYS[1], ARGV[1])
"""
# Gateways that ended without deregistering are removed when their time is over; the key expires with the last one.
_HEARTBEAT = """
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
redis.call('ZADD', KEYS[2], string.format('%.0f', now + ARGV[2]), ARGV[1])
redis.call('PEXPIRE', KEYS[2], ARGV[2])
return {redis.call('HGETALL', KEYS[1]), redis.call('ZRANGE', KEYS[2], 0, -1)}
"""


class Full(Exception):
    """The maximum number of webhooks is reached: that of the owner (``owner`` True) or of the installation."""

    def __init__(self, *, owner: bool) -> None:
        super().__init__("the maximum number of webhooks is reached")
        self.owner = owner


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """A webhook. Times are seconds since 1970, 0.0 for none.

    ``owner``: the owner of the key that created it. ``filter``: JSON. ``cursor``: all events up to it were delivered.
    ``reason``: why it is paused. ``error``: the last error. ``attempts``: failed attempts in a row, since
    ``failing_since``.
    """

    id: str
    owner: str
    url: str
    filter: str
    secret: str
    cursor: str
    created: float
    state: WebhookState = "active"
    reason: str = ""
    error: str = ""
    deliveries: int = 0
    failures: int = 0
    attempts: int = 0
    failing_since: float = 0.0
    next_attempt: float = 0.0
    revision: str = "active:1"

    @classmethod
    def of(cls, stored: dict[str, str], revision: str) -> "Webhook":
        """The webhook of a hash in the store."""
        fields: dict[str, Any] = {name: value for name, value in stored.items() if name in _FIELDS}
        for name, kind in _NUMBERS.items():
            if name in fields:
                fields[name] = kind(fields[name])
        return cls(**fields, state=cast(WebhookState, revision.partition(":")[0]), revision=revision)


_NUMBERS: Final = {
    "created": float,
    "deliveries": int,
    "failures": int,
    "attempts": int,
    "failing_since": float,
    "next_attempt": float,
}
_FIELDS: Final = {"id", "owner", "url", "filter", "secret", "cursor", "reason", "error", *_NUMBERS}


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to deliver one revision of a webhook, for as long as the store holds the token."""

    id: str
    revision: str
    token: str


class Webhooks:
    """Reads and writes of webhooks. Raises ``redis.RedisError`` when the store cannot be reached."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._create = redis.register_script(_CREATE)
        self._change = redis.register_script(_CHANGE)
        self._save = redis.register_script(_SAVE)
        self._release = redis.register_script(_RELEASE)
        self._delete = redis.register_script(_DELETE)
        self._heartbeat = redis.register_script(_HEARTBEAT)

    async def create(self, webhook: Webhook, *, most: int) -> None:
        """Add a webhook; its owner may have at most ``most``. Raises ``Full``."""
        fields = _pairs({name: getattr(webhook, name) for name in sorted(_FIELDS)})
        outcome = await self._create(
            keys=[INDEX, _owned(webhook.owner), _hook(webhook.id)], args=[webhook.id, most, MOST, *fields]
        )
        if outcome != "made":
            raise Full(owner=outcome == "owner")

    async def get(self, webhook_id: str) -> Webhook | None:
        """One webhook; None when there is none with this id."""
        found = await self._read([webhook_id])
        return found[0] if found else None

    async def owned(self, owner: str | None) -> list[Webhook]:
        """All webhooks of an owner, or (None) of all owners, oldest first."""
        ids: Any = await self._redis.hkeys(INDEX) if owner is None else await self._redis.smembers(_owned(owner))
        return sorted(await self._read(ids), key=lambda webhook: (webhook.created, webhook.id))

    async def _read(self, ids: Iterable[str]) -> list[Webhook]:
        wanted = [*ids]
        async with self._redis.pipeline(transaction=True) as pipeline:
            for webhook_id in wanted:
                pipeline.hget(INDEX, webhook_id)
                pipeline.hgetall(_hook(webhook_id))
            answers = await pipeline.execute()
        return [
            Webhook.of(answers[at + 1], answers[at])
            for at in range(0, len(answers), 2)
            if answers[at] is not None and answers[at + 1]
        ]

    async def heartbeat(self, gateway: str, *, seconds: float) -> tuple[dict[str, str], list[str]]:
        """Mark a gateway as alive for ``seconds``; return all webhooks and all live gateways.

        The webhooks as id → revision (which begins with the state); the gateways include this one. One round trip.
        """
        flat, gateways = await self._heartbeat(keys=[INDEX, GATEWAYS], args=[gateway, round(seconds * 1000)])
        return dict(zip(flat[::2], flat[1::2], strict=True)), list(gateways)

    async def deregister(self, gateway: str) -> None:
        """Remove a gateway that delivers no more, so that the others need not wait for its heartbeat to expire."""
        await self._redis.zrem(GATEWAYS, gateway)

    async def change(
        self, webhook_id: str, state: WebhookState, fields: dict[str, object], *, lease: Lease | None = None
    ) -> bool:
        """Set a state and other fields; a gateway that delivers the former revision can no longer save.

        Returns False when there is no such webhook, or when the ``lease`` has been lost.
        """
        token, revision = ("", "") if lease is None else (lease.token, lease.revision)
        keys = [INDEX, _hook(webhook_id), _lease(webhook_id)]
        pairs = _pairs(fields | {"state": state})
        return bool(await self._change(keys=keys, args=[webhook_id, token, revision, state, *pairs]))

    async def delete(self, webhook: Webhook) -> bool:
        """Remove a webhook; return whether it existed."""
        keys = [INDEX, _owned(webhook.owner), _hook(webhook.id), _lease(webhook.id)]
        return bool(await self._delete(keys=keys, args=[webhook.id]))

    async def lease(self, wanted: Sequence[Lease], *, seconds: float) -> list[Lease]:
        """Acquire those of the leases that no gateway holds, for ``seconds``; return the acquired ones."""
        async with self._redis.pipeline(transaction=False) as pipeline:
            for one in wanted:
                pipeline.set(_lease(one.id), one.token, nx=True, px=round(seconds * 1000))
            answers = await pipeline.execute()
        return [one for one, taken in zip(wanted, answers, strict=True) if taken]

    async def save(
        self,
        lease: Lease,
        fields: dict[str, object],
        *,
        seconds: float,
        delivered: int = 0,
        failed: int = 0,
    ) -> Saved:
        """Set fields, add to the counters and extend the lease by ``seconds``; do nothing if it is lost.

        Returns ``saved``, or ``lost`` when another gateway may hold the lease, or ``changed`` when the webhook has
        another revision or was deleted.
        """
        keys = [INDEX, _hook(lease.id), _lease(lease.id)]
        arguments: list[str | int] = [lease.id, lease.token, lease.revision, round(seconds * 1000), delivered, failed]
        return cast(Saved, await self._save(keys=keys, args=[*arguments, *_pairs(fields)]))

    async def release(self, lease: Lease) -> None:
        """Release the lease."""
        await self._release(keys=[_lease(lease.id)], args=[lease.token])


def _pairs(fields: dict[str, object]) -> list[str]:
    return [str(part) for pair in fields.items() for part in pair]


def _hook(webhook_id: str) -> str:
    return f"webhook:{layout.TAG}:{webhook_id}"


def _lease(webhook_id: str) -> str:
    return f"{_hook(webhook_id)}:lease"


def _owned(owner: str) -> str:
    return f"{INDEX}:of:{owner}"
