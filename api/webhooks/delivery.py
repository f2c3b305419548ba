"""Delivers one webhook: reads its stream, sends one event after the other, and saves how far it came.

An event is sent again until the receiver takes it, and only then comes the next one. What was taken is saved at once;
what was taken but could not be saved is sent once more, under the same ``webhook-id``.

Who is to ``leave`` finishes and saves the delivery under way, sends nothing more, and then gives up the lease: the next
gateway begins exactly where this one stopped. Who is cancelled does not wait, and may leave a repetition behind.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog
from pydantic_core import from_json
from redis.exceptions import RedisError

from api.access.limits import Allowance
from api.stream import filters
from api.stream.filters import FilterError
from api.stream.session import Session
from api.stream.stream_event import Event
from api.stream.subscription import StreamError, Subscription
from api.webhooks.sender import Failed, Sender
from services.store.webhooks import Lease, Webhook, Webhooks

if TYPE_CHECKING:
    from api.gateway import Gateway

_RETRY_SECONDS = 1.0
# Between a save that the store did not answer and the next one.
_SAVE_AGAIN = 0.2
# Between a cancellation and the next one.
_CANCEL_AGAIN = 0.1
# Spread of pauses around what they are meant to be, so that what failed at once does not come back at once.
_JITTER = 0.2
# What ends a subscription for good, unless somebody says where to go on. ``too_slow``: deleted before it was read.
_LOST = {"bad_cursor": "bad_cursor", "cursor_too_old": "cursor_too_old", "too_slow": "cursor_too_old"}

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Pace:
    """Times of deliveries, in seconds.

    ``first`` pause after a failure, doubled with each up to the ``longest``; ``pause_after`` so long it is given up.
    ``timeout`` of one request; ``lease``: so long after a gateway died others take its webhooks over. ``scan``:
    how often a gateway looks for changes and says that it is alive; ``save``: how often a cursor is saved while nothing
    matches.
    """

    first: float = 5.0
    longest: float = 3_600.0
    pause_after: float = 24 * 3_600.0
    timeout: float = 15.0
    lease: float = 15.0
    scan: float = 1.0
    save: float = 10.0

    def pause(self, attempts: int, asked: float, dice: float) -> float:
        """The pause after so many failures in a row; at least as long as the receiver asks for, within reason."""
        meant = min(self.longest, self.first * 2.0 ** min(attempts - 1, 30))
        return max(meant * (1 - _JITTER + 2 * _JITTER * dice), min(asked, self.longest))


class _Over(Exception):
    """This gateway does not deliver the webhook any more, or not as it is."""


class Courier:
    """One webhook on its way, for as long as this gateway has its lease."""

    def __init__(  # noqa: PLR0913 - its surroundings, by name
        self,
        webhook: Webhook,
        lease: Lease,
        *,
        gateway: "Gateway",
        webhooks: Webhooks,
        sender: Sender,
        allowance: Allowance,
        pace: Pace,
        held_until: float,
        on_failure: Callable[[], None],
        clock: Callable[[], float] = time.time,
        dice: Callable[[], float] = random.random,
    ) -> None:
        self._webhook = webhook
        self._lease = lease
        self._gateway = gateway
        self._webhooks = webhooks
        self._sender = sender
        self._allowance = allowance
        self._pace = pace
        self._on_failure = on_failure
        self._clock = clock
        self._dice = dice
        # By the monotonic clock, counted from before the lease was asked for.
        self._held_until = held_until
        self._leaving = asyncio.Event()
        self._sending = asyncio.Lock()
        self._saved = webhook.cursor
        self._saved_at = time.monotonic()
        self._attempts = webhook.attempts
        self._failing_since = webhook.failing_since
        self._next_attempt = webhook.next_attempt

    async def run(self) -> None:
        """Deliver until the lease is lost, the webhook paused, changed or deleted, the gateway stops, or ``leave``."""
        tasks = [asyncio.create_task(part) for part in (self._deliver(), self._keep(), self._leave())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ends = await _ended(tasks)
            with contextlib.suppress(RedisError, TimeoutError):
                async with asyncio.timeout(_RETRY_SECONDS):
                    await self._webhooks.release(self._lease)
        for end in ends:
            if isinstance(end, Exception) and not isinstance(end, _Over):
                raise end

    def leave(self) -> None:
        """End when no delivery is under way: at once, or when the one that is was saved."""
        self._leaving.set()

    async def _leave(self) -> None:
        await self._leaving.wait()
        # Never given back: nothing is sent any more.
        await self._sending.acquire()

    async def _keep(self) -> None:
        """Keep the lease. Raises ``_Over`` when it is lost, also to a store that has not answered for so long."""
        while True:
            await asyncio.sleep(self._pace.lease / 3)
            await self._save({})

    async def _save(self, fields: dict[str, object], *, delivered: int = 0, failed: int = 0) -> None:
        """Save, again and again until the store answers. Raises ``_Over`` when it is not this gateway's to save."""
        while True:
            began = time.monotonic()
            if began >= self._held_until:
                raise _Over
            try:
                async with asyncio.timeout(self._held_until - began):
                    outcome = await self._webhooks.save(
                        self._lease, fields, seconds=self._pace.lease, delivered=delivered, failed=failed
                    )
            except (RedisError, TimeoutError):
                await asyncio.sleep(_SAVE_AGAIN)
                continue
            if outcome != "saved":
                raise _Over
            # Counted from before the question: the store's count began later.
            self._held_until = began + self._pace.lease
            return

    async def _deliver(self) -> None:
        session = await self._session()
        while session is not None:
            await asyncio.sleep(max(0.0, self._next_attempt - self._clock()))
            try:
                chunk = await session.read()
            except StreamError as error:
                await self._ended(error)
                return
            for event in chunk.events:
                async with self._sending:
                    taken = await self._hand_over(event)
                if not taken:
                    # What was read is dropped: while it waits, a webhook holds its place and nothing else.
                    session.position = event.offset
                    break
                session.position = event.offset + 1
                self._allowance.take_events(1)
                await self._allowance.room()
            else:
                session.position = chunk.position
                await self._note(session.cursor)
                await session.wait(self._pace.save)

    async def _session(self) -> Session | None:
        """The subscription from the saved cursor on; None when there is none any more."""
        stream = self._gateway.stream
        while True:
            try:
                wanted = filters.parse_json(from_json(self._webhook.filter))
                return await stream.open(Subscription(wanted, cursor=self._webhook.cursor))
            except FilterError as error:
                await self._pause("bad_filter", str(error))
                return None
            except StreamError as error:
                if error.code in _LOST:
                    await self._ended(error)
                    return None
                if stream.closing:
                    return None
            await asyncio.sleep(_RETRY_SECONDS)

    async def _ended(self, error: StreamError) -> None:
        if error.code in _LOST:
            await self._pause(_LOST[error.code], error.message)

    async def _hand_over(self, event: Event) -> bool:
        """Send one event; False when it was not taken, and is to be sent again at ``_next_attempt``."""
        if time.monotonic() >= self._held_until:
            raise _Over
        metrics = self._gateway.metrics
        try:
            await self._sender.send(self._webhook, event)
        except Failed as failed:
            await self._failed(failed)
            return False
        metrics.delivered.labels("webhook").inc()
        fields: dict[str, object] = {"cursor": event.cursor}
        if self._attempts:
            fields |= {"attempts": 0, "failing_since": 0.0, "next_attempt": 0.0, "error": ""}
            self._attempts, self._failing_since, self._next_attempt = 0, 0.0, 0.0
        await self._save(fields, delivered=1)
        self._saved, self._saved_at = event.cursor, time.monotonic()
        return True

    async def _failed(self, failed: Failed) -> None:
        self._on_failure()
        now = self._clock()
        self._attempts += 1
        self._failing_since = self._failing_since or now
        pause = self._pace.pause(self._attempts, failed.retry_after, self._dice())
        self._next_attempt = now + pause
        noted: dict[str, object] = {
            "attempts": self._attempts,
            "failing_since": self._failing_since,
            "next_attempt": self._next_attempt,
            "error": str(failed),
        }
        await self._save(noted, failed=1)
        if self._attempts == 1:
            _log.warning("a webhook fails", webhook=self._webhook.id, cause=str(failed))
        if failed.gone:
            await self._pause("gone", str(failed))
        elif now - self._failing_since >= self._pace.pause_after:
            await self._pause("failed", str(failed))

    async def _pause(self, reason: str, error: str) -> None:
        """Let it rest until somebody resumes it. Raises ``_Over``."""
        fields: dict[str, object] = {"reason": reason, "error": error, "next_attempt": 0.0}
        while time.monotonic() < self._held_until:
            with contextlib.suppress(RedisError):
                if await self._webhooks.change(self._webhook.id, "paused", fields, lease=self._lease):
                    _log.warning("a webhook is paused", webhook=self._webhook.id, reason=reason, cause=error)
                break
            await asyncio.sleep(_SAVE_AGAIN)
        raise _Over

    async def _note(self, cursor: str) -> None:
        """Save now and then how far the stream went without anything to send: else it would one day be too old."""
        if cursor != self._saved and time.monotonic() - self._saved_at >= self._pace.save:
            await self._save({"cursor": cursor})
            self._saved, self._saved_at = cursor, time.monotonic()


async def _ended(tasks: Sequence[asyncio.Task[None]]) -> list[BaseException | None]:
    """Cancel tasks until they have ended; how each of them did.

    Once is not enough: ``asyncio.wait_for`` of Python 3.11, through which the store's client writes, loses a
    cancellation that comes with the end of what it waits for.
    """
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=_CANCEL_AGAIN)
    return [None if task.cancelled() else task.exception() for task in tasks]
