"""WebSub: a hub posts what is new in a feed, so that it needs to be polled less often (https://www.w3.org/TR/websub/).

1. A poll finds that the feed announces a hub. It is asked for a subscription; the request names the callback URL, which
   nobody can guess, and a secret.
2. The hub verifies the request at the callback URL: it is confirmed only if it was made.
3. The hub posts what is new there, signed with the secret. What is not signed, or with another secret, is ignored.

The subscription is renewed at the first poll after half of its time. Requests that fail or are not verified are
repeated ever more seldom. Polling goes on, at the longest interval (``KHABAR_FEED_INTERVAL_MAX``) as long as the hub
delivers: a poll that finds something that was not delivered ends that, until the hub delivers again.

The state of a subscription is in the store with its feed, so any ingest process can take a request of the hub.
"""

import asyncio
import hmac
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, fields
from hashlib import sha1, sha256, sha384, sha512
from typing import Any, Final, Literal, Self
from urllib.parse import urlsplit

import aiohttp
import structlog
from prometheus_client import Counter
from redis import RedisError

from ingest.feeds import schedule
from ingest.feeds.writer import LEASE_SECONDS, FeedWriter, LeaseLost
from ingest.producer import Unavailable
from ingest.web import WebClient, without_credentials
from services import backoff
from services.decompression import Corrupt, Oversized, UnknownEncoding
from services.documents.feed import NotAFeed
from services.resolver import looking_up_for
from services.settings import Settings
from services.store.feeds import Claim, Feed, Feeds

log = structlog.get_logger(__name__)

SUBSCRIPTIONS = Counter(
    "khabar_ingest_websub_subscriptions_total",
    "Requests to hubs, and of hubs about subscriptions, by what happened",
    ["outcome"],
)
DELIVERIES = Counter("khabar_ingest_websub_deliveries_total", "Deliveries of hubs by what became of them", ["outcome"])

#: Path of the callback URLs; what follows is ``FEED_ID.TOKEN``.
PATH: Final = "/v1/websub/"
# For how long a subscription is asked; hubs may grant less.
_LEASE: Final = 10 * 86_400.0
# What a hub grants that does not say for how long.
_UNSAID_LEASE: Final = 86_400.0
_LEASES: Final = (60.0, 90 * 86_400.0)
_RETRY_SECONDS: Final = 600.0
_MAX_RETRY_SECONDS: Final = 86_400.0
_TIMEOUT: Final = aiohttp.ClientTimeout(total=15, sock_connect=10)
_MAX_REDIRECTS: Final = 3
_MAX_URL: Final = 2_048
_MAX_CAUSE: Final = 300
# A delivery has this many seconds until it is answered; while another process polls the feed, it waits.
_DELIVERY_SECONDS: Final = 20.0
_CLAIM_SECONDS: Final = 0.2
# What a feed polled or pushed meanwhile is not missed.
_ON_ITS_WAY_SECONDS: Final = 60.0
_DIGESTS: Final = {"sha1": sha1, "sha256": sha256, "sha384": sha384, "sha512": sha512}
_CALLBACK: Final = re.compile(r"([a-z2-7]{10,64})\.([A-Za-z0-9_-]{20,100})")

Delivered = Literal[
    "accepted",
    "unknown",
    "ended",
    "paused",
    "unsigned",
    "wrong_signature",
    "no_feed",
    "too_large",
    "busy",
    "kafka_away",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """A subscription as it is kept with its feed. Times are seconds since 1970; "" and 0.0 stand for none.

    ``asked_hub``, ``asked_topic``: of the last request. ``token``: the part of the callback URL that nobody can guess.
    ``secret``: that of signatures. ``until``: when what the hub has granted ends; ``lease``: for how many seconds it
    was granted. ``retry_at``: not asked again before. ``failures``: requests since the last one that was verified.
    ``error``: why the hub does not deliver. ``delivered``: when it did last; ``missed``: when a poll last found what
    it had not delivered.
    """

    asked_hub: str = ""
    asked_topic: str = ""
    token: str = ""
    secret: str = ""
    until: float = 0.0
    lease: float = 0.0
    retry_at: float = 0.0
    failures: int = 0
    error: str = ""
    delivered: float = 0.0
    missed: float = 0.0

    @classmethod
    def of(cls, stored: Mapping[str, str]) -> Self:
        """The subscription in the fields ``Feed.websub``."""
        kinds: dict[str, type[Any]] = {one.name: type(one.default) for one in fields(cls)}
        return cls(**{name: kind(stored[name]) for name, kind in kinds.items() if stored.get(name)})

    def active(self, now: float) -> bool:
        """Whether the hub has granted it and its time has not ended."""
        return now < self.until

    def delivers(self, now: float) -> bool:
        """Whether the hub delivers, as far as is known."""
        return self.active(now) and self.delivered > self.missed


_NONE: Final = {one.name: "" for one in fields(Subscription)}


class NotConfirmed(Exception):
    """A request of a hub about a subscription is not confirmed; the message says why."""


class WebSub:
    """Subscribes to feeds at their hubs, and takes what the hubs deliver. Does nothing without ``KHABAR_PUBLIC_URL``.

    ``web``: for requests to hubs, which are strangers: it connects to public addresses only.
    """

    def __init__(self, settings: Settings, feeds: Feeds, writer: FeedWriter, web: WebClient) -> None:
        self._base = (settings.public_url or "").rstrip("/")
        self._bounds = schedule.Bounds.of(settings)
        self._max_bytes = settings.max_feed_bytes
        self._feeds = feeds
        self._writer = writer
        self._web = web
        self._tasks: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """End the requests to hubs that are under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # ---- polls ----

    def wait(self, feed: Feed, wait: float, *, now: float) -> float:
        """Seconds until the next poll, where they would be ``wait`` without WebSub."""
        subscription = Subscription.of(feed.websub)
        if not self._base or not subscription.active(now):
            return wait
        if subscription.delivers(now) and not feed.options.interval:
            wait = max(wait, self._bounds.most)
        # A poll renews the subscription after half of its time.
        return min(wait, max((subscription.until - now) / 2, min(wait, self._bounds.least)))

    def after_poll(self, feed: Feed, *, sent: int, now: float) -> None:
        """Ask the feed's hub for a subscription if it is time to, in the background.

        ``feed``: with the hub that this poll has found in ``websub``. ``sent``: the entries that were new.
        """
        if not self._base:
            return
        hub, topic = feed.websub.get("hub", ""), feed.websub.get("topic", "") or feed.url
        subscription = Subscription.of(feed.websub)
        if sent and subscription.active(now) and now - subscription.delivered > _ON_ITS_WAY_SECONDS:
            self._start(self._note(feed, {"missed": f"{now:.3f}"}))
        moved = bool(subscription.token) and (hub, topic) != (subscription.asked_hub, subscription.asked_topic)
        if moved:
            self.end(feed)
        if not _usable(hub) or len(topic) > _MAX_URL:
            if moved:
                self._start(self._note(feed, _NONE))
            return
        if moved or not subscription.token:
            subscription = Subscription(token=secrets.token_urlsafe(24), secret=secrets.token_urlsafe(32))
        elif now < subscription.retry_at or (subscription.until - now > subscription.lease / 2):
            return
        self._start(self._ask(feed, subscription, hub, topic, now))

    def end(self, feed: Feed) -> None:
        """End the subscription of a feed that was removed or has another hub, in the background.

        One attempt: a hub that goes on delivering gets a 410.
        """
        subscription = Subscription.of(feed.websub)
        if self._base and subscription.token and _usable(subscription.asked_hub):
            self._start(self._unsubscribe(feed, subscription))

    def _start(self, work: Any) -> None:
        task = asyncio.create_task(work, name="websub")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _ask(self, feed: Feed, subscription: Subscription, hub: str, topic: str, now: float) -> None:
        """Ask for a subscription, or for another lease. It begins when the hub has verified the request."""
        failures = subscription.failures + 1
        wait = backoff.delay(failures, _RETRY_SECONDS, _MAX_RETRY_SECONDS)
        asked = {
            **_NONE,
            **{name: str(getattr(subscription, name) or "") for name in _NONE},
            "asked_hub": hub,
            "asked_topic": topic,
            # Until it is verified, the request counts as failed.
            "failures": str(failures),
            "retry_at": f"{now + wait:.3f}",
            "error": "the hub has not verified the request yet",
        }
        # Some hubs verify it before they answer.
        if not await self._note(feed, asked):
            return
        SUBSCRIPTIONS.labels("asked").inc()
        cause = await self._post(
            hub,
            {
                "hub.mode": "subscribe",
                "hub.topic": topic,
                "hub.callback": self._callback(feed, subscription),
                "hub.secret": subscription.secret,
                "hub.lease_seconds": f"{_LEASE:.0f}",
            },
        )
        if cause is not None:
            SUBSCRIPTIONS.labels("failed").inc()
            report = log.debug if subscription.failures else log.warning
            report("websub_not_subscribed", feed=feed.url, hub=without_credentials(hub), cause=cause)
            await self._note(feed, {"error": cause})

    async def _unsubscribe(self, feed: Feed, subscription: Subscription) -> None:
        SUBSCRIPTIONS.labels("ended").inc()
        cause = await self._post(
            subscription.asked_hub,
            {
                "hub.mode": "unsubscribe",
                "hub.topic": subscription.asked_topic,
                "hub.callback": self._callback(feed, subscription),
            },
        )
        log.debug("websub_ended", feed=feed.url, hub=without_credentials(subscription.asked_hub), cause=cause)

    def _callback(self, feed: Feed, subscription: Subscription) -> str:
        return f"{self._base}{PATH}{feed.id}.{subscription.token}"

    async def _note(self, feed: Feed, values: Mapping[str, str]) -> bool:
        try:
            return await self._feeds.write_websub(feed.id, values)
        except RedisError:
            return False  # the next poll tries again

    async def _post(self, hub: str, form: Mapping[str, str]) -> str | None:
        """Send a form to a hub; why it was not accepted, or None."""
        host = urlsplit(hub).hostname or ""
        try:
            async with self._web.turns.at(host):
                request = self._web.session.post(
                    hub, data=form, timeout=_TIMEOUT, max_redirects=_MAX_REDIRECTS + 1, skip_auto_headers=()
                )
                with looking_up_for(host):
                    async with request as answer:
                        if 200 <= answer.status < 300:
                            return None
                        text = (await answer.content.read(_MAX_CAUSE)).decode("utf-8", "replace").strip()
                        return f"the hub answers {answer.status}: {text}"[:_MAX_CAUSE]
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            return without_credentials(f"{type(error).__name__}: {error}")[:_MAX_CAUSE]

    # ---- requests of hubs ----

    async def verify(self, callback: str, query: Mapping[str, str]) -> str:
        """The answer to a request of a hub about a subscription. ``query``: the parameters ``hub.*``.

        Raises ``NotConfirmed`` and ``redis.RedisError``.
        """
        try:
            return await self._verify(callback, query)
        except NotConfirmed as error:
            SUBSCRIPTIONS.labels("refused").inc()
            log.debug("websub_verification_refused", cause=str(error))
            raise

    async def _verify(self, callback: str, query: Mapping[str, str]) -> str:
        feed, subscription = await self._find(callback)
        mode, topic, challenge = (query.get(f"hub.{name}", "") for name in ("mode", "topic", "challenge"))
        now = time.time()
        if mode == "unsubscribe":
            # Only what is not subscribed to: a feed that was removed, or at its former hub.
            if subscription is None and _CALLBACK.fullmatch(callback):
                return challenge
            raise NotConfirmed("it is subscribed to")
        if feed is None or subscription is None or feed.status in {"paused", "gone"}:
            raise NotConfirmed("there is no such subscription")
        if topic != subscription.asked_topic:
            raise NotConfirmed(f"topic {topic[:200]!r} was not asked for")
        if mode == "denied":
            SUBSCRIPTIONS.labels("denied").inc()
            reason = f"the hub denies the subscription: {query.get('hub.reason', 'no reason given')}"[:_MAX_CAUSE]
            log.warning("websub_denied", feed=feed.url, cause=reason)
            retry = f"{now + _MAX_RETRY_SECONDS:.3f}"
            await self._feeds.write_websub(feed.id, {"until": "", "lease": "", "retry_at": retry, "error": reason})
            return ""
        if mode != "subscribe" or not challenge:
            raise NotConfirmed(f"mode {mode[:50]!r} is unknown, or there is no challenge")
        lease = _lease(query.get("hub.lease_seconds", ""))
        SUBSCRIPTIONS.labels("verified").inc()
        granted = {"until": f"{now + lease:.3f}", "lease": f"{lease:.3f}", "retry_at": "", "failures": "", "error": ""}
        await self._feeds.write_websub(feed.id, granted)
        if not subscription.active(now):
            log.info("websub_subscribed", feed=feed.url, hub=without_credentials(subscription.asked_hub), seconds=lease)
        return challenge

    async def expects(self, callback: str) -> Delivered | None:
        """Why a delivery to this callback need not be read; None: it has to be. Raises ``redis.RedisError``."""
        feed, subscription = await self._find(callback)
        outcome: Delivered | None = None
        if feed is None or subscription is None:
            outcome = "unknown" if feed else "ended"
        elif feed.status in {"paused", "gone"}:
            outcome = "paused"
        if outcome is not None:
            DELIVERIES.labels(outcome).inc()
        return outcome

    async def deliver(
        self, callback: str, body: bytes, *, signature: str, content_type: str, encoding: str
    ) -> Delivered:
        """Write what a hub has posted to Kafka, as if a poll had found it. Returns what became of it.

        Takes at most 20 seconds. "busy", "kafka_away": the hub should try again.
        """
        outcome: Delivered
        try:
            async with asyncio.timeout(_DELIVERY_SECONDS):
                outcome = await self._deliver(callback, body, signature, content_type, encoding)
        except Unavailable:
            outcome = "kafka_away"
        except (TimeoutError, LeaseLost, RedisError):
            outcome = "busy"
        DELIVERIES.labels(outcome).inc()
        return outcome

    async def _deliver(self, callback: str, body: bytes, signature: str, content_type: str, encoding: str) -> Delivered:
        feed, subscription = await self._find(callback)
        if feed is None or subscription is None:
            return "unknown"
        if not signature:
            log.debug("websub_delivery_ignored", feed=feed.url, cause="it is not signed")
            return "unsigned"
        if not signed(body, signature, subscription.secret):
            log.debug("websub_delivery_ignored", feed=feed.url, cause="its signature is wrong")
            return "wrong_signature"
        claim = await self._claimed(feed)
        state: dict[str, Any] = {}
        seen = None
        now = time.time()
        try:
            data = await self._web.unpack(body, encoding, self._max_bytes)
            topic = subscription.asked_topic
            written = await self._writer.write(claim, data, content_type=content_type, url=topic, whole=False)
        except (NotAFeed, Corrupt, UnknownEncoding) as error:
            # Also what hubs send that only say that there is something new.
            log.debug("websub_delivery_without_feed", feed=feed.url, cause=str(error))
            await self._finish(claim, state, seen, now)
            if now - claim.feed.state.polled > self._bounds.least:
                await self._feeds.poll_now(feed.id)
            return "no_feed"
        except Oversized:
            await self._finish(claim, state, seen, now)
            return "too_large"
        except BaseException:
            await asyncio.shield(self._finish(claim, state, seen, now))
            raise
        state, seen = written.state(claim.feed), written.seen
        if written.sent:
            state["changed"] = now
        await self._finish(claim, state, seen, now)
        await self._feeds.write_websub(feed.id, {"delivered": f"{now:.3f}"})
        return "accepted"

    async def _claimed(self, feed: Feed) -> Claim:
        """The lease of a feed, as soon as no other process has it."""
        while True:
            claim = await self._feeds.claim(feed.id, secrets.token_hex(16), seconds=LEASE_SECONDS)
            if claim is not None:
                return claim
            await asyncio.sleep(_CLAIM_SECONDS)

    async def _finish(self, claim: Claim, state: dict[str, Any], seen: str | None, now: float) -> None:
        """Release the feed; it is polled when it would have been."""
        next_in = max(0.0, claim.feed.state.next_poll - now)
        await self._feeds.finish(claim, state, status=claim.feed.status, next_in=next_in, seen=seen)

    async def _find(self, callback: str) -> tuple[Feed | None, Subscription | None]:
        """The feed of a callback URL, and its subscription if the URL is that of its last request."""
        parts = _CALLBACK.fullmatch(callback)
        feed = await self._feeds.get(parts[1]) if parts else None
        if parts is None or feed is None:
            return None, None
        subscription = Subscription.of(feed.websub)
        same = hmac.compare_digest(subscription.token.encode(), parts[2].encode())
        return feed, subscription if same else None


def signed(body: bytes, signature: str, secret: str) -> bool:
    """Whether a header ``X-Hub-Signature`` (``METHOD=HEX``) is that of this body with this secret."""
    method, _, digest = signature.strip().partition("=")
    hashed = _DIGESTS.get(method.strip().lower())
    if hashed is None or not digest.isascii():
        return False
    return hmac.compare_digest(hmac.new(secret.encode(), body, hashed).hexdigest(), digest.strip().lower())


def _lease(seconds: str) -> float:
    """The seconds that a hub grants."""
    if not re.fullmatch(r"[0-9]{1,12}", seconds):
        return _UNSAID_LEASE
    least, most = _LEASES
    return min(max(float(seconds), least), most)


def _usable(hub: str) -> bool:
    try:
        return urlsplit(hub).scheme in {"http", "https"} and bool(urlsplit(hub).hostname) and len(hub) <= _MAX_URL
    except ValueError:
        return False
