"""Which webhooks this gateway delivers: its share of them all, one task each.

Every second a gateway says in the store that it is alive, and is told in the same round trip which webhooks there are
and which gateways are alive. Of these each webhook is one's to deliver (``shares``). What always holds:

- Only the gateway that has a webhook's lease delivers it and saves its cursor. The store decides that, not what the
  gateways know of each other: while they know different things a webhook may wait for a look or two, no more.
- A gateway takes leases of its own share only, and only those that nobody has.
- It gives one up when another gateway that is alive is to have the webhook: the delivery under way is finished and its
  cursor saved, then the lease is released. Such a move loses, repeats and reorders nothing.
- A gateway that stops withdraws, and gives up all in the same way as far as it has the time.
- One that dies counts no longer when it has said nothing for the time of a lease; its leases expire as soon. What it
  had sent and not saved, of each webhook one event at most, comes again.
- A gateway takes part once it has caught up with the stream: one that never reached Kafka takes nothing from others.

All that a gateway writes of itself expires. Webhooks of a key that their gateway does not know rest, as they do when
nobody knows it any more: all gateways need the same keys.
"""

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, NamedTuple

import structlog
from prometheus_client import Counter, Gauge
from redis.exceptions import RedisError

from api.access.limits import Allowances
from api.webhooks.assignment import whose
from api.webhooks.delivery import Courier, Pace
from api.webhooks.resolver import Names
from api.webhooks.sender import Sender
from services.store.webhooks import MOST, Lease, Webhooks

if TYPE_CHECKING:
    from api.gateway import Gateway

# Webhooks that one gateway delivers, and with that requests at a time: nobody waits for another's.
_MOST: Final = MOST
_STORE_SECONDS: Final = 5.0
_STOP_SECONDS: Final = 2.0
# After an error that nobody foresaw.
_CRASH_PAUSE: Final = 30.0

_log = structlog.get_logger(__name__)


class _Delivery(NamedTuple):
    lease: Lease
    courier: Courier
    task: asyncio.Task[None]


class Deliveries:
    """The webhooks of one gateway. ``pace`` may be set before it runs."""

    def __init__(self, gateway: "Gateway", allowances: Allowances) -> None:
        settings = gateway.settings
        self.pace = Pace(pause_after=settings.webhook_pause_hours * 3600)
        self.allow_private = settings.allow_private_addresses
        self.webhooks = Webhooks(gateway.store.redis)
        self.names = Names()
        self._gateway = gateway
        self._allowances = allowances
        # Of this run: what a former one left in the store is not its own.
        self._name = secrets.token_hex(8)
        self._changed = asyncio.Event()
        self._couriers: dict[str, _Delivery] = {}
        # Revisions that are not for this gateway to deliver, and until when others are left alone.
        self._unowned: dict[str, str] = {}
        self._not_before: dict[str, float] = {}
        registry = gateway.metrics.registry
        self._failures = Counter(
            "khabar_api_webhook_failures", "Events that a webhook's receiver did not take.", registry=registry
        )
        Gauge("khabar_api_webhooks", "Webhooks that this gateway delivers.", registry=registry).set_function(
            lambda: len(self._couriers)
        )

    @property
    def delivering(self) -> list[str]:
        """The ids of the webhooks that this gateway delivers now."""
        return sorted(self._couriers)

    def wake(self) -> None:
        """Look for changes now."""
        self._changed.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Deliver; at the end let others do so. The store needs not be there."""
        sender = Sender(self.names, allow_private=self.allow_private, timeout=self.pace.timeout)
        manager = asyncio.create_task(self._manage(sender), name="webhooks")
        try:
            yield
        finally:
            manager.cancel()
            await asyncio.wait([manager], timeout=_STOP_SECONDS)
            await self._withdraw()
            await sender.close()

    async def _withdraw(self) -> None:
        with contextlib.suppress(RedisError, TimeoutError):
            async with asyncio.timeout(_STOP_SECONDS):
                await self.webhooks.deregister(self._name)
        for delivery in self._couriers.values():
            delivery.courier.leave()
        if self._couriers:
            await asyncio.wait([delivery.task for delivery in self._couriers.values()], timeout=_STOP_SECONDS)
        await self._stop(list(self._couriers))

    async def _manage(self, sender: Sender) -> None:
        await self._gateway.follower.caught_up.wait()
        away = False
        while not self._gateway.stream.closing:
            self._changed.clear()
            try:
                async with asyncio.timeout(_STORE_SECONDS):
                    index, gateways = await self.webhooks.heartbeat(self._name, seconds=self.pace.lease)
                mine = {one for one in index if whose(one, gateways) == self._name}
                await self._settle(index, mine, sender)
                away = False
            except (RedisError, TimeoutError) as error:
                if not away:
                    _log.warning("webhooks wait for the store", error=repr(error))
                away = True
            except Exception:  # one that is broken must not end the delivery of all
                _log.exception("webhooks stumbled over something unforeseen")
            try:
                async with asyncio.timeout(self.pace.scan):
                    await self._changed.wait()
            except TimeoutError:
                pass

    async def _settle(self, index: dict[str, str], mine: set[str], sender: Sender) -> None:
        """Stop what was changed or deleted, give up what is another's, begin what is ``mine`` and nobody delivers."""
        self._collect()
        await self._stop([one for one, held in self._couriers.items() if index.get(one) != held.lease.revision])
        for one in self._couriers.keys() - mine:
            self._couriers[one].courier.leave()
        for memory in (self._unowned, self._not_before):
            for gone in memory.keys() - index.keys():
                del memory[gone]
        now = time.monotonic()
        free = [
            Lease(one, revision, secrets.token_hex(16))
            for one, revision in index.items()
            if one in mine
            and revision.startswith("active")
            and one not in self._couriers
            and self._unowned.get(one) != revision
            and self._not_before.get(one, 0.0) <= now
        ][: _MOST - len(self._couriers)]
        if free:
            for lease in await self.webhooks.lease(free, seconds=self.pace.lease):
                await self._begin(lease, sender, held_until=now + self.pace.lease)

    async def _begin(self, lease: Lease, sender: Sender, *, held_until: float) -> None:
        webhook = await self.webhooks.get(lease.id)
        if webhook is None or webhook.revision != lease.revision:
            await self.webhooks.release(lease)
            return
        keys = self._gateway.keys
        key = keys.by_owner(webhook.owner)
        if keys.required and (key is None or "read" not in key.scopes):
            self._unowned[lease.id] = lease.revision
            _log.warning("a webhook rests: the key that made it is not known any more", webhook=lease.id)
            await self.webhooks.release(lease)
            return
        courier = Courier(
            webhook,
            lease,
            gateway=self._gateway,
            webhooks=self.webhooks,
            sender=sender,
            allowance=self._allowances.of(key),
            pace=self.pace,
            held_until=held_until,
            on_failure=self._failures.inc,
        )
        task = asyncio.create_task(courier.run(), name=f"webhook {lease.id}")
        self._couriers[lease.id] = _Delivery(lease, courier, task)

    def _collect(self) -> None:
        """Forget the couriers that have ended."""
        for one, delivery in list(self._couriers.items()):
            task = delivery.task
            if not task.done():
                continue
            del self._couriers[one]
            error = None if task.cancelled() else task.exception()
            if error is not None:
                self._not_before[one] = time.monotonic() + _CRASH_PAUSE
                _log.error("a webhook stumbled over something unforeseen", webhook=one, exc_info=error)

    async def _stop(self, ids: list[str]) -> None:
        tasks = [self._couriers[one].task for one in ids]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=_STOP_SECONDS)
        self._collect()
