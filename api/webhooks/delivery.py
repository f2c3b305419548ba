"""Delivers one webhook: reads its stream, sends one event after the other, and saves the cursor.

An event is sent again until the receiver accepts it; only then the next one is sent. The cursor of an accepted event is
saved at once. An event that was accepted but could not be saved is sent once more, under the same ``webhook-id``.

``stop_after_current`` lets the current delivery finish, saves it, sends nothing more and releases the lease: the next
gateway starts exactly where this one stopped. A cancelled delivery does not wait, so its event may be sent twice.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog
from pydantic_core import from_json
from redis.exceptions import RedisError

from api.access.limits import Allowance
from api.gateway import Gateway
from api.stream import filters
from api.stream.filters import FilterError
from api.stream.session import Session
from api.stream.stream_event import Event
from api.stream.subscription import StreamError, Subscription
from api.webhooks.sender import Failed, Sender
from services import backoff
from services.store.webhooks import Lease, Webhook, Webhooks

_RETRY_SECONDS = 1.0
# Between two tries to save to a store that does not answer.
_SAVE_RETRY_SECONDS = 0.2
# Between two cancellations of a task that has not ended.
_CANCEL_RETRY_SECONDS = 0.1
# Spread of the delays after failures, so that webhooks that failed together do not retry together.
_JITTER = 0.2
# The errors that end a subscription for good, with the reason of the pause. ``too_slow``: events were deleted unread.
_FINAL_ERRORS = {"bad_cursor": "bad_cursor", "cursor_too_old": "cursor_too_old", "too_slow": "cursor_too_old"}

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class DeliveryPolicy:
    """Times of deliveries, in seconds.

    The delay after a failure is ``first_delay``, doubled with each further failure up to ``max_delay``; after failing
    for ``pause_after`` a webhook is paused. ``timeout``: of one request. ``lease``: how long after a gateway died
    others take over its webhooks. ``scan``: how often a gateway looks for changes and reports that it is alive.
    ``save``: how often a cursor is saved while no event matches.
    """

    first_delay: float = 5.0
    max_delay: float = 3_600.0
    pause_after: float = 24 * 3_600.0
    timeout: float = 15.0
    lease: float = 15.0
    scan: float = 1.0
    save: float = 10.0

    def delay(self, failures: int, retry_after: float, spread: float) -> float:
        """The delay after this many failures in a row, at least ``retry_after`` but not for that above ``max_delay``.

        ``spread``, from 0 to 1, chooses the delay within the jitter.
        """
        planned = backoff.delay(failures, self.first_delay, self.max_delay)
        return max(planned * (1 + _JITTER * (2 * spread - 1)), min(retry_after, self.max_delay))


class LeaseLost(Exception):
    """This gateway no longer delivers the webhook, or not in its present state."""


class Delivery:
    """The delivery of one webhook, for as long as this gateway has its lease."""

    def __init__(  # noqa: PLR0913 - its parts, by name
        self,
        webhook: Webhook,
        lease: Lease,
        *,
        gateway: Gateway,
        webhooks: Webhooks,
        sender: Sender,
        allowance: Allowance,
        policy: DeliveryPolicy,
        held_until: float,
        on_failure: Callable[[], None],
        rng: Callable[[], float] = random.random,
    ) -> None:
        self._webhook = webhook
        self._lease = lease
        self._gateway = gateway
        self._webhooks = webhooks
        self._sender = sender
        self._allowance = allowance
        self._policy = policy
        self._on_failure = on_failure
        self._rng = rng
        # When the lease expires, by the monotonic clock, counted from before the request for it.
        self._held_until = held_until
        self._stopping = asyncio.Event()
        self._sending = asyncio.Lock()
        self._saved = webhook.cursor
        self._saved_at = time.monotonic()
        self._failures = webhook.attempts
        self._failing_since = webhook.failing_since
        self._next_attempt = webhook.next_attempt

    async def run(self) -> None:
        """Deliver until the lease is lost, the webhook paused, changed or deleted, or the gateway stops."""
        tasks = [asyncio.create_task(part) for part in (self._deliver_all(), self._keep_lease(), self._stopped())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ends = await _cancel(tasks)
            with contextlib.suppress(RedisError, TimeoutError):
                async with asyncio.timeout(_RETRY_SECONDS):
                    await self._webhooks.release(self._lease)
        for end in ends:
            if isinstance(end, Exception) and not isinstance(end, LeaseLost):
                raise end

    def stop_after_current(self) -> None:
        """End as soon as no event is being delivered and the last one is saved."""
        self._stopping.set()

    def _now(self) -> float:
        return self._gateway.now().timestamp()

    async def _stopped(self) -> None:
        await self._stopping.wait()
        # Never released: nothing is sent any more.
        await self._sending.acquire()

    async def _keep_lease(self) -> None:
        """Renew the lease. Raises ``LeaseLost``, also when the store does not answer until the lease expires."""
        while True:
            await asyncio.sleep(self._policy.lease / 3)
            await self._save({})

    async def _save(self, fields: dict[str, object], *, delivered: int = 0, failed: int = 0) -> None:
        """Save, retrying until the store answers. Raises ``LeaseLost``."""
        while True:
            began = time.monotonic()
            if began >= self._held_until:
                raise LeaseLost
            try:
                async with asyncio.timeout(self._held_until - began):
                    outcome = await self._webhooks.save(
                        self._lease, fields, seconds=self._policy.lease, delivered=delivered, failed=failed
                    )
            except (RedisError, TimeoutError):
                await asyncio.sleep(_SAVE_RETRY_SECONDS)
                continue
            if outcome != "saved":
                raise LeaseLost
            # Counted from before the request: the lease in the store ends later.
            self._held_until = began + self._policy.lease
            return

    async def _deliver_all(self) -> None:
        session = await self._session()
        while session is not None:
            await asyncio.sleep(max(0.0, self._next_attempt - self._now()))
            try:
                chunk = await session.read()
            except StreamError as error:
                await self._pause_if_final(error)
                return
            for event in chunk.events:
                async with self._sending:
                    accepted = await self._deliver(event)
                if not accepted:
                    # Drop the rest of the chunk: a webhook that waits to retry occupies no memory but its position.
                    session.position = event.offset
                    break
                session.position = event.offset + 1
                self._allowance.take_events(1)
                await self._allowance.wait_for_budget()
            else:
                session.advance(chunk)
                await self._save_position(session.cursor)
                await session.wait(self._policy.save)

    async def _session(self) -> Session | None:
        """The subscription from the saved cursor on; None when it cannot be continued."""
        hub = self._gateway.hub
        while True:
            try:
                wanted = filters.parse_json(from_json(self._webhook.filter))
                return await hub.open(Subscription(wanted, cursor=self._webhook.cursor))
            except FilterError as error:
                await self._pause("bad_filter", str(error))
                return None
            except StreamError as error:
                if error.code in _FINAL_ERRORS:
                    await self._pause_if_final(error)
                    return None
                if hub.closing:
                    return None
            await asyncio.sleep(_RETRY_SECONDS)

    async def _pause_if_final(self, error: StreamError) -> None:
        if error.code in _FINAL_ERRORS:
            await self._pause(_FINAL_ERRORS[error.code], error.message)

    async def _deliver(self, event: Event) -> bool:
        """Send one event; False when it was not accepted and has to be sent again at ``_next_attempt``."""
        if time.monotonic() >= self._held_until:
            raise LeaseLost
        metrics = self._gateway.metrics
        try:
            await self._sender.send(self._webhook, event)
        except Failed as failed:
            await self._on_failed(failed)
            return False
        metrics.delivered.labels("webhook").inc()
        fields: dict[str, object] = {"cursor": event.cursor}
        if self._failures:
            fields |= {"attempts": 0, "failing_since": 0.0, "next_attempt": 0.0, "error": ""}
            self._failures, self._failing_since, self._next_attempt = 0, 0.0, 0.0
        await self._save(fields, delivered=1)
        self._saved, self._saved_at = event.cursor, time.monotonic()
        return True

    async def _on_failed(self, failed: Failed) -> None:
        self._on_failure()
        now = self._now()
        self._failures += 1
        self._failing_since = self._failing_since or now
        self._next_attempt = now + self._policy.delay(self._failures, failed.retry_after, self._rng())
        fields: dict[str, object] = {
            "attempts": self._failures,
            "failing_since": self._failing_since,
            "next_attempt": self._next_attempt,
            "error": str(failed),
        }
        await self._save(fields, failed=1)
        if self._failures == 1:
            log.warning("webhook_failing", webhook=self._webhook.id, cause=str(failed))
        if failed.gone:
            await self._pause("gone", str(failed))
        elif now - self._failing_since >= self._policy.pause_after:
            await self._pause("failed", str(failed))

    async def _pause(self, reason: str, error: str) -> None:
        """Pause the webhook until it is resumed over REST. Raises ``LeaseLost``."""
        fields: dict[str, object] = {"reason": reason, "error": error, "next_attempt": 0.0}
        while time.monotonic() < self._held_until:
            with contextlib.suppress(RedisError):
                if await self._webhooks.change(self._webhook.id, "paused", fields, lease=self._lease):
                    log.warning("webhook_paused", webhook=self._webhook.id, reason=reason, cause=error)
                break
            await asyncio.sleep(_SAVE_RETRY_SECONDS)
        raise LeaseLost

    async def _save_position(self, cursor: str) -> None:
        """Save the cursor from time to time while no event matches; otherwise it would become too old."""
        if cursor != self._saved and time.monotonic() - self._saved_at >= self._policy.save:
            await self._save({"cursor": cursor})
            self._saved, self._saved_at = cursor, time.monotonic()


async def _cancel(tasks: Sequence[asyncio.Task[None]]) -> list[BaseException | None]:
    """Cancel tasks until they have ended, and return how each of them ended.

    One cancellation is not enough: ``asyncio.wait_for`` of Python 3.11, which the store's client uses to write, loses
    a cancellation that coincides with the end of what it waits for.
    """
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=_CANCEL_RETRY_SECONDS)
    return [None if task.cancelled() else task.exception() for task in tasks]
