"""Feeds in the store: what is subscribed to, the state of each feed, what was seen in it, and which process polls it.

=========================== ====== ==============================================================================
key                         type   holds
=========================== ====== ==============================================================================
``feeds:{khabar}``          hash   id → ``STATUS:REVISION``; the revision is a number that each change increments
``feeds:{khabar}:urls``     hash   URL → id: the URL of each feed, and the one to which it has moved
``feeds:{khabar}:due``      zset   id → when it is polled next (ms since 1970); while it is polled, until when its
                                   lease lasts. Paused feeds and those that have ended are not in it
``feed:{khabar}:ID``        hash   the fields of ``FeedOptions`` and ``FeedState``; ``websub:NAME``: those of WebSub
``feed:{khabar}:ID:lease``  string token of the process that polls it; expires
``feed:{khabar}:ID:seen``   string the entries that were seen, as the poller encodes them; expires when the feed is
                                   removed
=========================== ====== ==============================================================================

They are in the same slot as all other keys but have another prefix: ``Store.clear``, which a rebuild of the aggregates
calls, does not remove them. They cannot be rebuilt.

A process polls a feed while it holds its lease. It can save the state only with that lease, and only if the options
are still those that it started with. So a process that was replaced, or that polls a feed that was changed or removed
meanwhile, saves no state. The seen entries are saved with the lease alone: what was sent was sent, whatever the
options are now. Leases and what is due are by the store's clock: the clocks of the processes need not agree.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final, Literal, cast, get_args
from urllib.parse import unquote, urlsplit, urlunsplit

from redis.asyncio import Redis

from services.identity import digest
from services.store import layout

FeedStatus = Literal["new", "ok", "failing", "gone", "paused"]
Origin = Literal["user", "file"]
Saved = Literal["saved", "lost", "changed"]

STATUSES: Final[tuple[FeedStatus, ...]] = get_args(FeedStatus)
INDEX: Final = f"feeds:{layout.TAG}"
URLS: Final = f"{INDEX}:urls"
DUE: Final = f"{INDEX}:due"
_FEED: Final = f"feed:{layout.TAG}:"
_WEBSUB: Final = "websub:"
# A feed that is removed and added again within this time does not send its entries a second time.
SEEN_AFTER_REMOVAL: Final = 30 * 24 * 3600
# The days that ``FeedState.days`` covers.
DAYS: Final = 7
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}

_NOW = f"""
local DUE = '{DUE}'
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local function due(id, after) redis.call('ZADD', DUE, string.format('%.0f', now + after), id) end
"""
_ADD = """
local INDEX, URLS, FEED, SEEN = unpack(KEYS)
local id, url, most = unpack(ARGV, 1, 3)
if redis.call('HEXISTS', INDEX, id) == 1 then return id end
local known = redis.call('HGET', URLS, url)
if known then return known end
if redis.call('HLEN', INDEX) >= tonumber(most) then return 'full' end
redis.call('HSET', FEED, 'created', string.format('%.3f', now / 1000), unpack(ARGV, 4))
redis.call('HSET', URLS, url, id)
redis.call('HSET', INDEX, id, 'new:' .. string.format('%.0f', now))
redis.call('PERSIST', SEEN)
due(id, 0)
return 'added'
"""
_CHANGE = """
local INDEX, FEED = unpack(KEYS)
local id, pause = unpack(ARGV, 1, 2)
local was = redis.call('HGET', INDEX, id)
if not was then return 0 end
local status, revision = string.match(was, '^(%a+):(%d+)$')
if pause == 'yes' then status = 'paused' end
if pause == 'no' and (status == 'paused' or status == 'gone') then status = 'new' end
redis.call('HSET', INDEX, id, status .. ':' .. string.format('%.0f', revision + 1))
if #ARGV > 2 then redis.call('HSET', FEED, unpack(ARGV, 3)) end
if status == 'paused' then
    redis.call('ZREM', DUE, id)
elseif status ~= 'gone' then
    due(id, 0)
end
return 1
"""
_REMOVE = """
local INDEX, URLS, FEED, LEASE, SEEN = unpack(KEYS)
local id = ARGV[1]
for _, url in ipairs(redis.call('HMGET', FEED, 'url', 'moved_to')) do
    if url and redis.call('HGET', URLS, url) == id then redis.call('HDEL', URLS, url) end
end
redis.call('DEL', FEED, LEASE)
redis.call('EXPIRE', SEEN, ARGV[2])
redis.call('ZREM', DUE, id)
return redis.call('HDEL', INDEX, id)
"""
# ARGV: prefix of the keys, token, milliseconds, maximum number, and the ids or none for those that are due.
# Returns the leased feeds, and in how many ms the next one is due (-1: none).
_CLAIM = """
local INDEX = KEYS[1]
local prefix, token, lasting, most = unpack(ARGV, 1, 4)
local wanted = {unpack(ARGV, 5)}
if #wanted == 0 then wanted = redis.call('ZRANGEBYSCORE', DUE, '-inf', now, 'LIMIT', 0, most) end
local found = {}
for _, id in ipairs(wanted) do
    local revision = redis.call('HGET', INDEX, id)
    local lease = prefix .. id .. ':lease'
    if not revision then
        redis.call('ZREM', DUE, id)
    elseif redis.call('SET', lease, token, 'NX', 'PX', lasting) then
        if redis.call('ZSCORE', DUE, id) then due(id, lasting) end
        found[#found + 1] = {id, revision, redis.call('HGETALL', prefix .. id)}
    elseif #ARGV == 4 then
        due(id, math.max(redis.call('PTTL', lease), 10))
    end
end
local first = redis.call('ZRANGE', DUE, 0, 0, 'WITHSCORES')
return {found, first[2] and math.max(0, tonumber(first[2]) - now) or -1}
"""
# ARGV: prefix of the keys, milliseconds, then id and token of each lease. Returns for each whether it is still held.
_RENEW = """
local prefix, lasting = unpack(ARGV, 1, 2)
local held = {}
for at = 3, #ARGV, 2 do
    local lease = prefix .. ARGV[at] .. ':lease'
    local mine = redis.call('GET', lease) == ARGV[at + 1]
    held[#held + 1] = mine and 1 or 0
    if mine then
        redis.call('PEXPIRE', lease, lasting)
        if redis.call('ZSCORE', DUE, ARGV[at]) then due(ARGV[at], lasting) end
    end
end
return held
"""
# ARGV: id, token, number of the revision, status or '', URL to which it has moved or '-', what happens to the lease
# ('keep', 'end', or in how many ms the next poll is due), milliseconds, seen entries or '-', fields.
_SAVE = """
local INDEX, URLS, FEED, LEASE, SEEN = unpack(KEYS)
local id, token, revision, status, moved, next, lasting, seen = unpack(ARGV, 1, 8)
local was = redis.call('HGET', INDEX, id)
if not was or redis.call('GET', LEASE) ~= token then return 'lost' end
if seen ~= '-' then redis.call('SET', SEEN, seen) end
if string.match(was, '%d+$') ~= revision then
    if next ~= 'keep' then
        redis.call('DEL', LEASE)
        if redis.call('ZSCORE', DUE, id) then due(id, 0) end
    end
    return 'changed'
end
if status ~= '' then redis.call('HSET', INDEX, id, status .. ':' .. revision) end
if moved ~= '-' then
    local former = redis.call('HGET', FEED, 'moved_to')
    if former and former ~= '' and redis.call('HGET', URLS, former) == id then redis.call('HDEL', URLS, former) end
    if moved ~= '' then redis.call('HSETNX', URLS, moved, id) end
end
if #ARGV > 8 then redis.call('HSET', FEED, unpack(ARGV, 9)) end
if next == 'keep' then
    redis.call('PEXPIRE', LEASE, lasting)
    if redis.call('ZSCORE', DUE, id) then due(id, lasting) end
    return 'saved'
end
redis.call('DEL', LEASE)
if next == 'end' then
    redis.call('ZREM', DUE, id)
    redis.call('HSET', FEED, 'next_poll', '0')
else
    due(id, next)
    redis.call('HSET', FEED, 'next_poll', string.format('%.3f', (now + next) / 1000))
end
return 'saved'
"""
_RELEASE = """
local LEASE = KEYS[1]
if redis.call('GET', LEASE) ~= ARGV[2] then return 0 end
redis.call('DEL', LEASE)
if redis.call('ZSCORE', DUE, ARGV[1]) then due(ARGV[1], 0) end
return 1
"""
_POLL_NOW = """
local INDEX = KEYS[1]
local status, revision = string.match(redis.call('HGET', INDEX, ARGV[1]) or '', '^(%a+):(%d+)$')
if not status or status == 'paused' then return 0 end
if status == 'gone' then redis.call('HSET', INDEX, ARGV[1], 'new:' .. revision) end
due(ARGV[1], 0)
return 1
"""
# Fields with an empty value are removed.
_WRITE_WEBSUB = """
local INDEX, FEED = unpack(KEYS)
if redis.call('HEXISTS', INDEX, ARGV[1]) == 0 then return 0 end
for at = 2, #ARGV, 2 do
    if ARGV[at + 1] == '' then redis.call('HDEL', FEED, ARGV[at])
    else redis.call('HSET', FEED, ARGV[at], ARGV[at + 1]) end
end
return 1
"""


class AlreadyThere(Exception):
    """The URL is that of a feed that is subscribed to, or the one to which it has moved; ``feed_id``: its id."""

    def __init__(self, feed_id: str) -> None:
        super().__init__("the feed is already subscribed to")
        self.feed_id = feed_id


class TooManyFeeds(Exception):
    """The maximum number of feeds (``KHABAR_MAX_FEEDS``) is reached."""

    def __init__(self, most: int) -> None:
        super().__init__(f"there are {most} feeds already, the maximum (KHABAR_MAX_FEEDS)")


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedOptions:
    """What a user chooses of a feed.

    ``url``: http or https; it is normalised, and a user name and a password in it become ``user`` and ``password``.
    ``source``: the name of its articles' source; "" for the host name. ``language``: a hint, "" for what the feed says.
    ``interval``: seconds between polls, 0.0 for what the feed announces and what is learnt. ``headers``, ``user``,
    ``password``: of the requests; secret: they are never logged, and no API returns them. ``full_text``: fetch the
    pages of entries that have only a summary. ``origin``: who added it, a user or the file of feeds.

    Raises ``ValueError`` for a URL that is no http or https URL with a host.
    """

    url: str
    source: str = ""
    language: str = ""
    interval: float = 0.0
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    full_text: bool = False
    origin: Origin = "user"

    def __post_init__(self) -> None:
        """Normalise the URL and take the user name and the password out of it."""
        url, user, password = _split_url(self.url)
        object.__setattr__(self, "url", url)
        if user and not self.user:
            object.__setattr__(self, "user", user)
            object.__setattr__(self, "password", password)

    @property
    def id(self) -> str:
        """The id of a feed with this URL."""
        return feed_id(self.url)

    @property
    def host(self) -> str:
        """The host name of the URL."""
        return urlsplit(self.url).hostname or self.url

    @property
    def source_name(self) -> str:
        """The source of its articles."""
        return self.source or self.host


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedState:
    """What polling a feed has shown. Times are seconds since 1970; "", 0 and 0.0 stand for none.

    ``title``, ``site``: as the feed has them. ``created``: when it was added. ``polled``: the last poll; ``succeeded``:
    the last one that could read the feed; ``changed``: the last one with a new or changed entry. ``error``: why the
    last poll failed, or "". ``failures``: in a row. ``next_poll``: when it is due. ``learnt_interval``: seconds between
    its changes; ``announced_interval``: seconds as the feed itself says. ``etag``, ``modified``, ``body_hash``: of the
    last document of which everything was acknowledged. ``moved_to``: where a permanent redirect leads. ``days``:
    articles sent by day (``YYYY-MM-DD``), the last 7. ``articles``, ``known``, ``rejected``: totals of entries sent,
    already known and refused. ``problems``: what was wrong with the last document, a sentence each.
    """

    title: str = ""
    site: str = ""
    created: float = 0.0
    polled: float = 0.0
    succeeded: float = 0.0
    changed: float = 0.0
    error: str = ""
    failures: int = 0
    next_poll: float = 0.0
    learnt_interval: float = 0.0
    announced_interval: float = 0.0
    etag: str = ""
    modified: str = ""
    body_hash: str = ""
    moved_to: str = ""
    days: dict[str, int] = field(default_factory=dict)
    articles: int = 0
    known: int = 0
    rejected: int = 0
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """A feed that is subscribed to. ``id``: a hash of its first URL. ``revision``: counts changes of the options.

    ``websub``: fields of WebSub, free-form; they may hold secrets.
    """

    id: str
    options: FeedOptions
    state: FeedState = field(default_factory=FeedState)
    status: FeedStatus = "new"
    websub: dict[str, str] = field(default_factory=dict, repr=False)
    revision: str = ""

    @property
    def url(self) -> str:
        """The URL to request: where it has moved, else its own. It holds no user name and no password."""
        return self.state.moved_to or self.options.url

    @classmethod
    def of(cls, feed_id: str, revision: str, stored: Mapping[str, str]) -> "Feed":
        """The feed of a hash in the store."""
        status, _, number = revision.partition(":")
        return cls(
            id=feed_id,
            options=FeedOptions(**_decoded(stored, _OPTION_KINDS)),
            state=FeedState(**_decoded(stored, _STATE_KINDS)),
            status=cast(FeedStatus, status),
            websub={name.removeprefix(_WEBSUB): value for name, value in stored.items() if name.startswith(_WEBSUB)},
            revision=number,
        )


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to poll a feed, for as long as the store holds the token."""

    feed: Feed
    token: str


@dataclass(frozen=True, slots=True)
class Summary:
    """The number of feeds by status, and some of those that are failing or gone, the longest first."""

    counts: dict[FeedStatus, int]
    failing: list[Feed]


def normalised(url: str) -> str:
    """The URL as it is stored: without user and password. Raises ``ValueError`` when it is no http or https URL."""
    return _split_url(url)[0]


def feed_id(url: str) -> str:
    """The id of a feed with this (first) URL. Raises ``ValueError`` when it is no http or https URL."""
    return digest("feed", normalised(url))


class Feeds:
    """Reads and writes of feeds. Raises ``redis.RedisError`` when the store cannot be reached.

    ``redis``: a client that decodes responses, as ``Store.redis``.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._add = redis.register_script(_NOW + _ADD)
        self._change = redis.register_script(_NOW + _CHANGE)
        self._remove = redis.register_script(_NOW + _REMOVE)
        self._claim = redis.register_script(_NOW + _CLAIM)
        self._renew = redis.register_script(_NOW + _RENEW)
        self._save = redis.register_script(_NOW + _SAVE)
        self._release = redis.register_script(_NOW + _RELEASE)
        self._poll_now = redis.register_script(_NOW + _POLL_NOW)
        self._write_websub = redis.register_script(_WRITE_WEBSUB)

    # ---- subscriptions ----

    async def add(self, options: FeedOptions, *, most: int) -> str:
        """Add a feed, due at once; return its id. There may be at most ``most`` feeds.

        Raises ``AlreadyThere`` and ``TooManyFeeds``.
        """
        keys = [INDEX, URLS, _key(options.id), _seen(options.id)]
        outcome = await self._add(keys=keys, args=[options.id, options.url, most, *_pairs(asdict(options))])
        if outcome == "full":
            raise TooManyFeeds(most)
        if outcome != "added":
            raise AlreadyThere(outcome)
        return options.id

    async def change(self, feed_id: str, *, paused: bool | None = None, **options: Any) -> bool:
        """Set fields of ``FeedOptions`` (all but ``url``); a poll in progress can no longer save its state.

        ``paused``: pause it, or resume it (also one that has ended). The feed is due at once. Returns False when there
        is no such feed. Raises ``ValueError`` for an unknown field.
        """
        if unknown := options.keys() - (_OPTION_KINDS.keys() - {"url"}):
            raise ValueError(f"{', '.join(sorted(unknown))}: no option of a feed that can be changed")
        pause = {None: "", True: "yes", False: "no"}[paused]
        keys = [INDEX, _key(feed_id)]
        return bool(await self._change(keys=keys, args=[feed_id, pause, *_pairs(options)]))

    async def remove(self, feed_id: str) -> bool:
        """Remove a feed; return whether it existed. What was seen in it is kept for 30 days."""
        keys = [INDEX, URLS, _key(feed_id), _lease(feed_id), _seen(feed_id)]
        return bool(await self._remove(keys=keys, args=[feed_id, SEEN_AFTER_REMOVAL]))

    async def get(self, feed_id: str) -> Feed | None:
        """One feed; None when there is none with this id."""
        found = await self._read([feed_id])
        return found[0] if found else None

    async def find(self, url: str) -> Feed | None:
        """The feed with this URL, or that has moved to it. Raises ``ValueError`` when it is no http or https URL."""
        found: Any = await self._redis.hget(URLS, normalised(url))
        return None if found is None else await self.get(found)

    async def all(self) -> list[Feed]:
        """All feeds with their state, the oldest first."""
        ids: Any = await self._redis.hkeys(INDEX)
        return sorted(await self._read(ids), key=lambda feed: (feed.state.created, feed.id))

    async def page(
        self, *, status: FeedStatus | None = None, offset: int = 0, limit: int = 100
    ) -> tuple[list[Feed], int, dict[FeedStatus, int]]:
        """Some of the feeds, in the order of their URLs; the number of all that match; the number of all by status."""
        index: Any = await self._redis.hgetall(INDEX)
        urls: Any = await self._redis.hgetall(URLS)
        statuses = {feed_id: cast(FeedStatus, value.partition(":")[0]) for feed_id, value in index.items()}
        counts = Counter(statuses.values())
        # A feed that has moved has two URLs.
        first: dict[str, str] = {}
        for url, feed_id in urls.items():
            if status is None or statuses.get(feed_id) == status:
                first[feed_id] = min(url, first.get(feed_id, url))
        ordered = sorted(first, key=first.__getitem__)
        found = await self._read(ordered[offset : offset + limit])
        return found, len(ordered), {status: counts[status] for status in STATUSES}

    async def poll_now(self, feed_id: str) -> bool:
        """Make a feed due at once, also one that has ended. Returns False when it is paused or there is none."""
        return bool(await self._poll_now(keys=[INDEX], args=[feed_id]))

    async def summary(self, *, most: int = 20) -> Summary:
        """The number of feeds by status, and at most ``most`` of those that are failing or gone."""
        index: Any = await self._redis.hgetall(INDEX)
        statuses = {feed_id: cast(FeedStatus, value.partition(":")[0]) for feed_id, value in index.items()}
        counts = Counter(statuses.values())
        wrong = [feed_id for feed_id, status in sorted(statuses.items()) if status in {"failing", "gone"}]
        failing = await self._read(wrong[: 10 * most])
        failing.sort(key=lambda feed: (feed.state.succeeded, feed.id))
        return Summary({status: counts[status] for status in STATUSES}, failing[:most])

    async def write_websub(self, feed_id: str, values: Mapping[str, str]) -> bool:
        """Set fields of WebSub, without a lease; an empty value removes one. False when there is no such feed."""
        pairs = [part for name, value in values.items() for part in (f"{_WEBSUB}{name}", value)]
        return bool(await self._write_websub(keys=[INDEX, _key(feed_id)], args=[feed_id, *pairs]))

    # ---- polling: by the process that holds the lease ----

    async def claim_due(self, token: str, *, most: int, seconds: float) -> tuple[list[Claim], float | None]:
        """Lease at most ``most`` feeds that are due and that no process polls, for ``seconds``.

        Returns them, and in how many seconds the next one may be due (None: there is none). ``token``: unique to this
        call. One round trip.
        """
        return await self._take(token, most, seconds)

    async def claim(self, feed_id: str, token: str, *, seconds: float) -> Claim | None:
        """Lease one feed, due or not; None when another process holds its lease or there is no such feed."""
        claims, _ = await self._take(token, 1, seconds, feed_id)
        return claims[0] if claims else None

    async def _take(self, token: str, most: int, seconds: float, *ids: str) -> tuple[list[Claim], float | None]:
        arguments: list[str | int] = [_FEED, token, round(seconds * 1000), most, *ids]
        found, wait = await self._claim(keys=[INDEX], args=arguments)
        claims = [
            Claim(Feed.of(feed_id, revision, dict(zip(flat[::2], flat[1::2], strict=True))), token)
            for feed_id, revision, flat in found
        ]
        return claims, None if wait < 0 else wait / 1000

    async def renew(self, claims: Sequence[Claim], *, seconds: float) -> list[Claim]:
        """Extend leases to ``seconds`` from now; return those that were lost. One round trip."""
        if not claims:
            return []
        pairs = [part for claim in claims for part in (claim.feed.id, claim.token)]
        held = await self._renew(keys=[INDEX], args=[_FEED, round(seconds * 1000), *pairs])
        return [claim for claim, mine in zip(claims, held, strict=True) if not mine]

    async def seen(self, feed_id: str) -> str:
        """The seen entries as they were saved last; "" when there are none."""
        return cast(str, await self._redis.get(_seen(feed_id)) or "")

    async def save(
        self,
        claim: Claim,
        state: Mapping[str, object],
        *,
        seconds: float,
        status: FeedStatus | None = None,
        seen: str | None = None,
    ) -> Saved:
        """Set fields of ``FeedState`` and the seen entries, and extend the lease by ``seconds``.

        Returns ``saved``; ``changed`` when the options were changed meanwhile (then only ``seen`` was saved); or
        ``lost`` when another process may hold the lease or the feed was removed (then nothing was).
        """
        return await self._write(claim, state, "keep", seconds=seconds, status=status, seen=seen)

    async def finish(
        self,
        claim: Claim,
        state: Mapping[str, object],
        *,
        status: FeedStatus,
        next_in: float | None,
        seen: str | None = None,
    ) -> Saved:
        """As ``save``, and release the lease: the feed is due in ``next_in`` seconds, or (None) never again.

        When the options were changed meanwhile it is due at once.
        """
        next_poll = "end" if next_in is None else str(round(next_in * 1000))
        return await self._write(claim, state, next_poll, seconds=0, status=status, seen=seen)

    async def release(self, claim: Claim) -> None:
        """Release a lease without saving anything: the feed is due at once."""
        await self._release(keys=[_lease(claim.feed.id)], args=[claim.feed.id, claim.token])

    async def _write(  # noqa: PLR0913
        self,
        claim: Claim,
        state: Mapping[str, object],
        next_poll: str,
        *,
        seconds: float,
        status: FeedStatus | None,
        seen: str | None,
    ) -> Saved:
        if unknown := state.keys() - _STATE_KINDS.keys():
            raise ValueError(f"{', '.join(sorted(unknown))}: no state of a feed")
        feed = claim.feed
        keys = [INDEX, URLS, _key(feed.id), _lease(feed.id), _seen(feed.id)]
        moved = str(state.get("moved_to", "-"))
        lasting = round(seconds * 1000)
        kept = "-" if seen is None else seen
        arguments: list[str | int] = [
            feed.id,
            claim.token,
            feed.revision,
            status or "",
            moved,
            next_poll,
            lasting,
            kept,
        ]
        return cast(Saved, await self._save(keys=keys, args=[*arguments, *_pairs(state)]))

    async def _read(self, ids: Iterable[str]) -> list[Feed]:
        wanted = [*ids]
        async with self._redis.pipeline(transaction=True) as pipeline:
            for one in wanted:
                pipeline.hget(INDEX, one)
                pipeline.hgetall(_key(one))
            answers = await pipeline.execute()
        return [
            Feed.of(one, answers[2 * at], answers[2 * at + 1])
            for at, one in enumerate(wanted)
            if answers[2 * at] is not None and answers[2 * at + 1]
        ]


def _split_url(url: str) -> tuple[str, str, str]:
    """A URL without user and password, normalised; the user; the password. Raises ``ValueError``."""
    parts = urlsplit(url.strip())
    scheme, host = parts.scheme.lower(), parts.hostname
    if scheme not in _DEFAULT_PORTS or not host:
        raise ValueError("not an http or https URL with a host")
    named = f"[{host}]" if ":" in host else host
    port = "" if parts.port in {None, _DEFAULT_PORTS[scheme]} else f":{parts.port}"
    plain = urlunsplit((scheme, f"{named}{port}", parts.path or "/", parts.query, ""))
    return plain, unquote(parts.username or ""), unquote(parts.password or "")


def _kinds(of: type[Any]) -> dict[str, type[Any]]:
    """The type of each field of a dataclass, by that of an empty value."""
    return {
        one.name: type(one.default_factory() if callable(one.default_factory) else one.default) for one in fields(of)
    }


_OPTION_KINDS: Final = _kinds(FeedOptions) | {"url": str}
_STATE_KINDS: Final = _kinds(FeedState)


def _pairs(values: Mapping[str, object]) -> list[str]:
    return [part for name, value in values.items() for part in (name, _encoded(value))]


def _encoded(value: object) -> str:
    match value:
        case str():
            return value
        case bool():
            return "1" if value else ""
        case dict() | list():
            return json.dumps(value, ensure_ascii=False)
        case _:
            return str(value)


def _decoded(stored: Mapping[str, str], kinds: Mapping[str, type[Any]]) -> dict[str, Any]:
    return {
        name: json.loads(stored[name]) if kind in {dict, list} else kind(stored[name])
        for name, kind in kinds.items()
        if name in stored
    }


def _key(feed_id: str) -> str:
    return f"{_FEED}{feed_id}"


def _lease(feed_id: str) -> str:
    return f"{_FEED}{feed_id}:lease"


def _seen(feed_id: str) -> str:
    return f"{_FEED}{feed_id}:seen"
