"""Which webhooks this gateway delivers: those assigned to it, one task each.

Every second a gateway reports to the store that it is alive, and gets in the same round trip the list of webhooks and
of live gateways. ``assignment`` assigns each webhook to one of these gateways. Invariants:

- Only the gateway that has a webhook's lease delivers it and saves its cursor. The store enforces that, also
  while gateways know different sets of live gateways; a webhook may then wait for a scan or two, no longer.
- A gateway takes leases only of webhooks assigned to it, and only leases that no other gateway has.
- It releases a lease when the webhook is assigned to another live gateway: the current delivery is finished and its
  cursor saved first, so the move loses, repeats and reorders nothing.
- A gateway that stops deregisters, and releases all leases in the same way as far as time permits.
- A gateway that dies counts as dead when it has not reported for the time of a lease, and its leases expire as soon.
  Events that it sent but did not save, at most one of each webhook, are sent again.
- A gateway takes part once it has caught up with the stream: one that never reached Kafka takes nothing from others.

Everything that a gateway writes about itself expires. Webhooks of a key that their gateway does not know are suspended,
as they are when no gateway knows the key: all gateways need the same keys.
"""

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, NamedTuple

import structlog
from prometheus_client import Counter, Gauge
from redis.exceptions import RedisError

from api.access.limits import Allowances
from api.gateway import Gateway
from api.webhooks.assignment import assigned_gateway
from api.webhooks.delivery import Delivery, DeliveryPolicy
from api.webhooks.sender import Sender
from services.resolver import ThreadedResolver
from services.store.webhooks import MOST, Lease, Webhooks

# Webhooks that one gateway delivers, which is also its number of concurrent requests: none waits for another.
_MAX_DELIVERIES: Final = MOST
_STORE_SECONDS: Final = 5.0
_STOP_SECONDS: Final = 2.0
# How long a webhook is not delivered after an unexpected error.
_CRASH_DELAY: Final = 30.0

log = structlog.get_logger(__name__)


class _Running(NamedTuple):
    lease: Lease
    delivery: Delivery
    task: asyncio.Task[None]


class DeliveryManager:
    """The webhooks of one gateway. ``policy`` may be set before it runs."""

    def __init__(self, gateway: Gateway, allowances: Allowances) -> None:
        settings = gateway.settings
        self.policy = DeliveryPolicy(pause_after=settings.webhook_pause_hours * 3600)
        self.allow_private = settings.allow_private_addresses
        self.webhooks = Webhooks(gateway.store.redis)
        self.resolver = ThreadedResolver()
        self._gateway = gateway
        self._allowances = allowances
        # New for each run: leases that a former run left in the store are not this one's.
        self._name = secrets.token_hex(8)
        self._changed = asyncio.Event()
        self._running: dict[str, _Running] = {}
        # By webhook: the revision that is suspended, and until when not to start it again.
        self._suspended: dict[str, str] = {}
        self._not_before: dict[str, float] = {}
        registry = gateway.metrics.registry
        self._failures = Counter(
            "khabar_api_webhook_failures", "Deliveries that a webhook's receiver did not accept.", registry=registry
        )
        Gauge("khabar_api_webhooks", "Webhooks that this gateway delivers.", registry=registry).set_function(
            lambda: len(self._running)
        )

    def wake(self) -> None:
        """Look for changes now."""
        self._changed.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Deliver; at the end hand over to the other gateways. The store may be unavailable at any time."""
        sender = Sender(
            self.resolver, allow_private=self.allow_private, timeout=self.policy.timeout, now=self._gateway.now
        )
        manager = asyncio.create_task(self._manage(sender), name="webhooks")
        try:
            yield
        finally:
            manager.cancel()
            await asyncio.wait([manager], timeout=_STOP_SECONDS)
            await self._hand_over()
            await sender.close()

    async def _hand_over(self) -> None:
        with contextlib.suppress(RedisError, TimeoutError):
            async with asyncio.timeout(_STOP_SECONDS):
                await self.webhooks.deregister(self._name)
        for one in self._running.values():
            one.delivery.stop_after_current()
        if self._running:
            await asyncio.wait([one.task for one in self._running.values()], timeout=_STOP_SECONDS)
        await self._stop(list(self._running))

    async def _manage(self, sender: Sender) -> None:
        await self._gateway.follower.caught_up.wait()
        unavailable = False
        while not self._gateway.hub.closing:
            self._changed.clear()
            try:
                async with asyncio.timeout(_STORE_SECONDS):
                    index, gateways = await self.webhooks.heartbeat(self._name, seconds=self.policy.lease)
                assigned = {one for one in index if assigned_gateway(one, gateways) == self._name}
                await self._reconcile(index, assigned, sender)
                unavailable = False
            except (RedisError, TimeoutError) as error:
                if not unavailable:
                    log.warning("webhooks_store_unavailable", error=repr(error))
                unavailable = True
            except Exception:  # an unexpected error must not end the deliveries of all webhooks
                log.exception("webhooks_reconcile_failed")
            try:
                async with asyncio.timeout(self.policy.scan):
                    await self._changed.wait()
            except TimeoutError:
                pass

    async def _reconcile(self, index: dict[str, str], assigned: set[str], sender: Sender) -> None:
        """Make the running deliveries those of the ``assigned`` webhooks.

        Stops the changed and deleted ones, lets those of other gateways finish, starts those that no gateway delivers.
        """
        self._remove_ended()
        await self._stop([one for one, running in self._running.items() if index.get(one) != running.lease.revision])
        for one in self._running.keys() - assigned:
            self._running[one].delivery.stop_after_current()
        for noted in (self._suspended, self._not_before):
            for deleted in noted.keys() - index.keys():
                del noted[deleted]
        now = time.monotonic()
        startable = [
            Lease(one, revision, secrets.token_hex(16))
            for one, revision in index.items()
            if one in assigned
            and revision.startswith("active")
            and one not in self._running
            and self._suspended.get(one) != revision
            and self._not_before.get(one, 0.0) <= now
        ][: _MAX_DELIVERIES - len(self._running)]
        if startable:
            for lease in await self.webhooks.lease(startable, seconds=self.policy.lease):
                await self._start(lease, sender, held_until=now + self.policy.lease)

    async def _start(self, lease: Lease, sender: Sender, *, held_until: float) -> None:
        webhook = await self.webhooks.get(lease.id)
        if webhook is None or webhook.revision != lease.revision:
            await self.webhooks.release(lease)
            return
        keys = self._gateway.keys
        key = keys.by_owner(webhook.owner)
        if keys.required and (key is None or "read" not in key.scopes):
            self._suspended[lease.id] = lease.revision
            log.warning("webhook_suspended", webhook=lease.id, cause="unknown key")
            await self.webhooks.release(lease)
            return
        delivery = Delivery(
            webhook,
            lease,
            gateway=self._gateway,
            webhooks=self.webhooks,
            sender=sender,
            allowance=self._allowances.of(key),
            policy=self.policy,
            held_until=held_until,
            on_failure=self._failures.inc,
        )
        task = asyncio.create_task(delivery.run(), name=f"webhook {lease.id}")
        self._running[lease.id] = _Running(lease, delivery, task)

    def _remove_ended(self) -> None:
        """Remove the deliveries that have ended."""
        for one, running in list(self._running.items()):
            task = running.task
            if not task.done():
                continue
            del self._running[one]
            error = None if task.cancelled() else task.exception()
            if error is not None:
                self._not_before[one] = time.monotonic() + _CRASH_DELAY
                log.error("webhook_delivery_failed", webhook=one, retry_seconds=_CRASH_DELAY, exc_info=error)

    async def _stop(self, ids: list[str]) -> None:
        tasks = [self._running[one].task for one in ids]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=_STOP_SECONDS)
        self._remove_ended()
