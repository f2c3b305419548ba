"""Limits of one key or one client address: concurrent connections, events a second, posts and reads a minute.

Each gateway applies them by itself. ``Allowances.of(key)`` is the allowance of a key, the same for all its connections;
``Addresses.connection`` bounds the streams of one address, and ``Reads`` the REST reads of a key or an address.
"""

import asyncio
import ipaddress
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Final, Protocol

from api.problems import ProblemError

# Retry-After of a refused connection: the client's other connections may close at any time.
_CONNECTION_RETRY_SECONDS: Final = 5
# Clients whose reads are counted at a time; beyond it those that have read least recently start again.
_MAX_READERS: Final = 10_000
# A client with an IPv6 address has the whole /64.
_IPV6_PREFIX: Final = 64


class TooMany(Exception):
    """A limit is reached; the message says which one. ``retry_after``: whole seconds until a retry may succeed."""

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after = max(1, math.ceil(retry_after))

    def as_problem(self) -> ProblemError:
        """The answer that says which limit it is and when to retry."""
        headers = {"Retry-After": str(self.retry_after)}
        return ProblemError(429, self.message, headers=headers, code="too_many")


@dataclass(frozen=True, slots=True)
class Quota:
    """The limits of a key; None: no limit.

    ``connections``: streams at a time. ``events``: delivered a second, over all streams. ``posts``: pushes a minute.
    """

    connections: int | None = None
    events: int | None = None
    posts: int | None = None

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """The names of the limits."""
        return tuple(field.name for field in fields(cls))


class Bucket:
    """A token bucket: filled with ``rate`` tokens a second up to ``size``; it may be overdrawn."""

    def __init__(self, rate: float, size: float, clock: Callable[[], float]) -> None:
        self._rate = rate
        self._size = size
        self._clock = clock
        self._tokens = size
        self._at = clock()

    def tokens(self) -> float:
        """The tokens in the bucket; negative when it is overdrawn."""
        self._fill()
        return self._tokens

    def take(self, count: float) -> float:
        """Take tokens, overdrawing if necessary; returns the seconds until the bucket is no longer overdrawn."""
        self._fill()
        self._tokens -= count
        return max(0.0, -self._tokens / self._rate)

    def try_take(self, count: float) -> float:
        """Take tokens if there are enough and return 0; else take none and return the seconds until there are."""
        self._fill()
        if self._tokens >= count:
            self._tokens -= count
            return 0.0
        return (count - self._tokens) / self._rate

    def _fill(self) -> None:
        now = self._clock()
        self._tokens = min(self._size, self._tokens + (now - self._at) * self._rate)
        self._at = now


class Allowance:
    """What is left of a quota: one for all connections of a key. Without limits it costs nothing."""

    def __init__(self, quota: Quota, clock: Callable[[], float] = time.monotonic) -> None:
        self.quota = quota
        self._open = 0
        self._events = None if quota.events is None else Bucket(quota.events, quota.events, clock)
        self._posts = None if quota.posts is None else Bucket(quota.posts / 60, quota.posts, clock)

    @property
    def rate_limited(self) -> bool:
        """Whether events are limited. Such a stream calls ``wait_for_budget`` before it reads, then ``take_events``."""
        return self._events is not None

    @contextmanager
    def connection(self) -> Iterator[None]:
        """Hold this while a stream is open. Raises ``TooMany``."""
        if self.quota.connections is not None and self._open >= self.quota.connections:
            message = f"this key may have {self.quota.connections} connections at a time"
            raise TooMany(message, _CONNECTION_RETRY_SECONDS)
        self._open += 1
        try:
            yield
        finally:
            self._open -= 1

    def budget(self, count: int) -> int:
        """How many of ``count`` events may be sent now, after ``wait_for_budget``: at least one."""
        return count if self._events is None else min(count, max(1, int(self._events.tokens())))

    def take_events(self, count: int) -> float:
        """Count delivered events; returns the seconds until any stream of the key may send the next ones."""
        return 0.0 if self._events is None else self._events.take(count)

    async def wait_for_budget(self) -> None:
        """Return when events may be delivered."""
        while wait := self.take_events(0):  # noqa: ASYNC110 - other streams may take meanwhile
            await asyncio.sleep(wait)

    def post(self, count: int = 1) -> None:
        """Count a push. Raises ``TooMany``."""
        if self._posts is not None and (wait := self._posts.try_take(count)):
            raise TooMany(f"this key may push {self.quota.posts} times a minute", wait)


#: The allowance without limits.
UNLIMITED: Final = Allowance(Quota())


class Limited(Protocol):
    """A key, as far as limits are concerned."""

    @property
    def digest(self) -> bytes:
        """Identifies it."""

    @property
    def quota(self) -> Quota:
        """Its limits."""


class Allowances:
    """The allowances of all keys. Without keys, only the limits of an address apply."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._of_keys: dict[bytes, Allowance] = {}

    def of(self, key: Limited | None) -> Allowance:
        """The allowance of an authenticated key."""
        if key is None:
            return UNLIMITED
        found = self._of_keys.get(key.digest)
        if found is None:
            found = self._of_keys[key.digest] = Allowance(key.quota, self._clock)
        return found


class Addresses:
    """Counts the streams of each client address. ``limit`` 0: no limit.

    The loopback is never limited: it is the operator, or a proxy through which all clients come.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._open: Counter[str] = Counter()

    @contextmanager
    def connection(self, address: str | None) -> Iterator[None]:
        """Hold this while a stream is open. Raises ``TooMany``."""
        name = _client(address) if self.limit else None
        if name is None:
            yield
            return
        if self._open[name] >= self.limit:
            raise TooMany(f"one address may have {self.limit} connections at a time", _CONNECTION_RETRY_SECONDS)
        self._open[name] += 1
        try:
            yield
        finally:
            self._open[name] -= 1
            if not self._open[name]:
                del self._open[name]


class Reads:
    """Counts REST reads: ``limit`` a minute for each key, or each address of those without a key. 0: no limit.

    As for streams, the loopback is not limited without a key.
    """

    def __init__(self, limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._buckets: dict[str, Bucket] = {}

    def take(self, key: Limited | None, address: str | None) -> None:
        """Count a read. Raises ``TooMany``."""
        name = _client(address) if key is None else key.digest.hex()
        if not self._limit or name is None:
            return
        bucket = self._buckets.pop(name, None) or Bucket(self._limit / 60, max(1, self._limit / 10), self._clock)
        self._buckets[name] = bucket
        if len(self._buckets) > _MAX_READERS:
            del self._buckets[next(iter(self._buckets))]
        if wait := bucket.try_take(1):
            who = "address" if key is None else "key"
            raise TooMany(f"one {who} may read {self._limit} times a minute", wait)


def _client(address: str | None) -> str | None:
    """The name under which a client is counted; None when it is not counted."""
    try:
        ip = ipaddress.ip_address(address or "")
    except ValueError:
        return None  # a Unix socket has no address
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is None:
            network = ipaddress.ip_network((int(ip), _IPV6_PREFIX), strict=False)
            return None if ip.is_loopback else str(network)
        ip = ip.ipv4_mapped
    return None if ip.is_loopback else str(ip)
