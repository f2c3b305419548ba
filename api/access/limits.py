"""What one key, or one client address, may take: connections at a time, events a second, posts a minute.

Limits hold for each gateway by itself. Whoever delivers asks: ``Allowances.of(key)`` is the allowance of a key (the
same for all its connections), ``Addresses.connection`` bounds the streams of one address.
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

# A closed connection of its own makes room at any time; asking again sooner than this is noise.
_CONNECTION_AGAIN: Final = 5
# Who has an IPv6 address has the /64 that it lies in.
_IPV6_PREFIX: Final = 64


class TooMany(Exception):
    """A limit is reached; the message says which one. ``retry_after``: whole seconds until asking again may help."""

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after = max(1, math.ceil(retry_after))

    def as_problem(self) -> ProblemError:
        """The answer that tells which limit it is, and when to come again."""
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
        """What can be limited."""
        return tuple(field.name for field in fields(cls))


class Bucket:
    """A token bucket: ``rate`` tokens a second flow in, at most ``size`` stay; it may be overdrawn."""

    def __init__(self, rate: float, size: float, clock: Callable[[], float]) -> None:
        self._rate = rate
        self._size = size
        self._clock = clock
        self._tokens = size
        self._at = clock()

    def there(self) -> float:
        """The tokens that are there, less than none when it is overdrawn."""
        self._fill()
        return self._tokens

    def take(self, count: float) -> float:
        """Take tokens, also those that are not there yet; seconds until the bucket is no longer overdrawn."""
        self._fill()
        self._tokens -= count
        return max(0.0, -self._tokens / self._rate)

    def try_take(self, count: float) -> float:
        """Take tokens if all are there; otherwise none, and the seconds until they would be."""
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
    """What is left of a quota. One for all connections of a key; without limits it costs nothing."""

    def __init__(self, quota: Quota, clock: Callable[[], float] = time.monotonic) -> None:
        self.quota = quota
        self._open = 0
        self._events = None if quota.events is None else Bucket(quota.events, quota.events, clock)
        self._posts = None if quota.posts is None else Bucket(quota.posts / 60, quota.posts, clock)

    @property
    def paced(self) -> bool:
        """Whether events are limited. Such a stream reads when there is ``room``, and notes what it sent."""
        return self._events is not None

    @contextmanager
    def connection(self) -> Iterator[None]:
        """Held while a stream is open. Raises ``TooMany``."""
        if self.quota.connections is not None and self._open >= self.quota.connections:
            message = f"this key may have {self.quota.connections} connections at a time"
            raise TooMany(message, _CONNECTION_AGAIN)
        self._open += 1
        try:
            yield
        finally:
            self._open -= 1

    def share(self, count: int) -> int:
        """How many of so many events may go now, when there is room: at least one of them."""
        return count if self._events is None else min(count, max(1, int(self._events.there())))

    def take_events(self, count: int) -> float:
        """Note that so many events were delivered; seconds to wait before the next ones, by whatever stream."""
        return 0.0 if self._events is None else self._events.take(count)

    async def room(self) -> None:
        """Return when events may be delivered."""
        while wait := self.take_events(0):  # noqa: ASYNC110 - others may take meanwhile
            await asyncio.sleep(wait)

    def post(self, count: int = 1) -> None:
        """Note a push. Raises ``TooMany``."""
        if self._posts is not None and (wait := self._posts.try_take(count)):
            raise TooMany(f"this key may push {self.quota.posts} times a minute", wait)


#: That of whoever has no limits.
UNLIMITED: Final = Allowance(Quota())


class Limited(Protocol):
    """Who has an allowance, told apart by a digest."""

    @property
    def digest(self) -> bytes:
        """Its own."""

    @property
    def quota(self) -> Quota:
        """What it may take."""


class Allowances:
    """The allowances of all keys; whoever has no key because none is needed has no limits but those of an address."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._of_keys: dict[bytes, Allowance] = {}

    def of(self, key: Limited | None) -> Allowance:
        """The allowance of a key that was checked."""
        if key is None:
            return UNLIMITED
        found = self._of_keys.get(key.digest)
        if found is None:
            found = self._of_keys[key.digest] = Allowance(key.quota, self._clock)
        return found


class Addresses:
    """Streams of each client address. ``most`` 0: no limit.

    The loopback is never limited: behind it is whoever runs the gateway, or a proxy that stands for everybody.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._open: Counter[str] = Counter()

    @contextmanager
    def connection(self, address: str | None) -> Iterator[None]:
        """Held while a stream is open. Raises ``TooMany``."""
        name = _subscriber(address) if self.most else None
        if name is None:
            yield
            return
        if self._open[name] >= self.most:
            raise TooMany(f"one address may have {self.most} connections at a time", _CONNECTION_AGAIN)
        self._open[name] += 1
        try:
            yield
        finally:
            self._open[name] -= 1
            if not self._open[name]:
                del self._open[name]


def _subscriber(address: str | None) -> str | None:
    """By what a client is counted; None when it is not."""
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
