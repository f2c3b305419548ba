"""The bytes that all requests hold: one client cannot take all of them, and small requests always find room.

There is one budget for bodies, in memory, and one for the results of long pushes, on disk.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus

# Of each body so much is free: with the limit of connections it is bounded by itself.
FREE_BYTES = 65_536
# One client may take this share of the bytes and requests.
_SHARE = 4


class Exhausted(Exception):
    """There is no room. ``client``: because of this client's own requests; else because of all clients'."""

    def __init__(self, *, client: bool) -> None:
        super().__init__(f"too many large requests at one time{' of this client' if client else ''}")
        self.client = client

    @property
    def status(self) -> HTTPStatus:
        """The status of the response."""
        return HTTPStatus.TOO_MANY_REQUESTS if self.client else HTTPStatus.SERVICE_UNAVAILABLE


@dataclass(slots=True)
class _Use:
    requests: int = 0
    size: int = 0


class BodyBudget:
    """``size`` bytes for at most ``requests`` requests at one time, until the end of each."""

    def __init__(self, size: int, requests: int) -> None:
        self._size = size
        self._requests = requests
        self._used = 0
        self._clients: dict[str, _Use] = {}

    @contextmanager
    def request(self, client: str) -> Iterator["Claim"]:
        """What one request of a client uses; given back at the end. Raises ``Exhausted``."""
        use = self._clients.setdefault(client, _Use())
        if use.requests * _SHARE >= self._requests:
            raise Exhausted(client=True)
        use.requests += 1
        claim = Claim(self, use)
        try:
            yield claim
        finally:
            use.requests -= 1
            self._take(use, -claim.taken)
            if not use.requests:
                del self._clients[client]

    def _take(self, use: _Use, size: int) -> None:
        if size > 0 and (use.size + size) * _SHARE > self._size:
            raise Exhausted(client=True)
        if size > 0 and self._used + size > self._size:
            raise Exhausted(client=False)
        use.size += size
        self._used += size


class Claim:
    """The bytes that a request holds. ``taken``: those that count."""

    def __init__(self, budget: BodyBudget, use: _Use) -> None:
        self._budget = budget
        self._use = use
        self.taken = 0

    def hold(self, size: int) -> None:
        """Hold ``size`` bytes in all, instead of as many as before. Raises ``Exhausted``."""
        more = max(0, size - FREE_BYTES) - self.taken
        if more:
            self._budget._take(self._use, more)
            self.taken += more
