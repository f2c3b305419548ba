"""The memory of all bodies: one client cannot take all of it, and small bodies always find room."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

# Of each body so much is free: with the limit of connections it is bounded by itself.
FREE_BYTES = 65_536
# One client may take this share of the bytes and requests.
_SHARE = 4


class Exhausted(Exception):
    """There is no room. ``client``: because of this client's own requests; else because of all clients'."""

    def __init__(self, *, client: bool) -> None:
        super().__init__("too many large requests at one time")
        self.client = client


@dataclass(slots=True)
class _Use:
    requests: int = 0
    size: int = 0


class BodyBudget:
    """``size`` bytes for the bodies of at most ``requests`` requests, from reading them to the end of the request."""

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
        """Hold ``size`` bytes in all, if that is more than before. Raises ``Exhausted``."""
        more = size - FREE_BYTES - self.taken
        if more > 0:
            self._budget._take(self._use, more)
            self.taken += more
