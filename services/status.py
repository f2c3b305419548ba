"""``khabar status``: what runs, lag, rates and dead letters."""

import asyncio
import time
from datetime import UTC, datetime
from typing import Any

import aiohttp
import psutil
from aiokafka.errors import KafkaError
from redis import RedisError

from services import conditions, deadletters, kafka_topics
from services.clock import utc_now
from services.connections import shown_redis_url
from services.errors import reason
from services.groups import GROUP, deleted_unread, lags, stable_members
from services.instances import endpoints
from services.settings import Settings
from services.store import WINDOWS, Store
from services.store.feeds import STATUSES, Feeds

_MEASURED_SECONDS = 1.0
# Failing feeds that are shown.
_MAX_FAILING = 20


async def collect(settings: Settings) -> dict[str, Any]:
    """Everything that ``khabar status --json`` prints.

    ``healthy``: gateway, Kafka, store and a worker are up, and nothing stands still, keeps crashing or is full.
    """
    gateway, kafka, store = await asyncio.gather(_gateway(settings), _kafka(settings), _store(settings))
    here = conditions.checks(settings)
    up = gateway["ready"] and kafka["reachable"] and store["reachable"] and kafka["workers"] > 0
    states = [*(gateway.get("checks") or {}).values(), *here.values()]
    return {
        "healthy": up and store["writable"] == conditions.OK and all(state == conditions.OK for state in states),
        "time": utc_now().isoformat(),
        "gateway": gateway,
        "kafka": kafka,
        "store": store,
        "conditions": here,
        "processes": _processes(settings),
    }


async def _gateway(settings: Settings) -> dict[str, Any]:
    url = settings.gateway_url
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session,
            session.get(f"{url}/readyz") as response,
        ):
            state = await response.json()
            return {
                "url": url,
                "ready": response.status == 200,
                "checks": state.get("checks"),
                "aggregates": state.get("aggregates"),
            }
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        return {"url": url, "ready": False, "error": reason(error)}


async def _kafka(settings: Settings) -> dict[str, Any]:
    servers = settings.kafka_servers
    names = [topic.name for topic in (kafka_topics.RAW, kafka_topics.ANNOTATED, kafka_topics.UPDATES)]
    try:
        began = time.monotonic()
        before = await lags(servers, GROUP, names)
        await asyncio.sleep(_MEASURED_SECONDS)
        after = await lags(servers, GROUP, names)
        seconds = time.monotonic() - began
        return {
            "servers": str(servers),
            "reachable": True,
            "workers": await stable_members(servers, GROUP),
            "topics": {
                name: {
                    "records": after[name][0],
                    "lag": after[name][1],
                    "per_second": round((after[name][0] - before[name][0]) / seconds, 1),
                }
                for name in names
            },
            "dead_letters": len(await deadletters.numbers(servers)),
            "lost": await deleted_unread(servers, GROUP),
        }
    except (KafkaError, OSError) as error:
        return {"servers": str(servers), "reachable": False, "workers": 0, "error": reason(error)}


async def _store(settings: Settings) -> dict[str, Any]:
    store = Store(settings.redis_url)
    try:
        try:
            await store.check_writable()
            writable = conditions.OK
        except RedisError as error:
            writable = reason(error)
        windows = {}
        for window in WINDOWS:
            top = await store.top("language", window, limit=1)
            windows[window] = {"articles": top.total, "duplicates": top.duplicates}
        return {
            "url": shown_redis_url(settings.redis_url),
            "reachable": True,
            "writable": writable,
            "windows": windows,
            "complete_since": None if top.complete.since is None else top.complete.since.isoformat(),
            "rebuilding": top.complete.rebuilding,
            "feeds": await _feeds(store),
        }
    except (RedisError, OSError) as error:
        return {"url": shown_redis_url(settings.redis_url), "reachable": False, "error": reason(error)}
    finally:
        await store.close()


async def _feeds(store: Store) -> dict[str, Any]:
    """The number of feeds by status, and those that have failed for longest."""
    summary = await Feeds(store.redis).summary(most=_MAX_FAILING)
    return {
        "counts": summary.counts,
        "failing": [
            {
                "id": feed.id,
                "url": feed.url,
                "status": feed.status,
                "error": feed.state.error,
                "failures": feed.state.failures,
                "last_success": _time(feed.state.succeeded),
                "next_poll": _time(feed.state.next_poll),
            }
            for feed in summary.failing
        ],
    }


def _time(seconds: float) -> str | None:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds") if seconds else None


def _processes(settings: Settings) -> list[dict[str, Any]]:
    found = []
    recorded = endpoints(settings.data_dir)
    for name, pid in recorded.get("processes", {}).items():
        try:
            memory = psutil.Process(pid).memory_info().rss
        except psutil.Error:
            memory = None
        found.append(
            {
                "name": name,
                "pid": pid,
                "rss_mb": None if memory is None else round(memory / 1e6),
                **recorded.get("restarts", {}).get(name, {}),
            }
        )
    return found


def render(found: dict[str, Any]) -> str:
    """The same as text; one sentence when nothing runs."""
    gateway, kafka, store = found["gateway"], found["kafka"], found["store"]
    if "error" in gateway and not kafka["reachable"] and not store["reachable"]:
        return (
            f"no Khabar is running here: the gateway ({gateway['url']}), Kafka ({kafka['servers']}) and the store "
            f"({store['url']}) do not answer; start it with khabar up, or name its data directory with --data-dir"
        )
    ready = "ready" if gateway["ready"] else f"NOT READY   {gateway.get('error', '')}".rstrip()
    lines = [f"gateway   {gateway['url']}   {ready}"]
    for name, state in (gateway.get("checks") or {}).items():
        lines.append(f"            {name}: {state}")
    lines.append(
        f"kafka     {kafka['servers']}   {'ok' if kafka['reachable'] else kafka['error']}   workers {kafka['workers']}"
    )
    for name, topic in kafka.get("topics", {}).items():
        lines.append(
            f"            {name:<20} {topic['records']:>9} records   lag {topic['lag']:>6}   {topic['per_second']:>7}/s"
        )
    if "dead_letters" in kafka:
        lines.append(f"            dead letters         {kafka['dead_letters']:>9}")
    for topic, count in kafka.get("lost", {}).items():
        lines.append(f"            {topic:<20} {count:>9} records were deleted before they were read")
    lines.append(f"store     {store['url']}   {'ok' if store['reachable'] else store['error']}")
    for window, counts in store.get("windows", {}).items():
        lines.append(f"            {window:<4} {counts['articles']:>9} articles   {counts['duplicates']:>7} duplicates")
    if store["reachable"]:
        lines.append(f"            numbers: {_completeness(gateway.get('aggregates') or {}, store)}")
    if store["reachable"] and store["writable"] != conditions.OK:
        lines.append(f"            writes: {store['writable']}")
    lines += _feed_lines(store.get("feeds") or {})
    lines += [f"WRONG     {name}: {state}" for name, state in found["conditions"].items() if state != conditions.OK]
    for process in found["processes"]:
        memory = "gone" if process["rss_mb"] is None else f"{process['rss_mb']} MB"
        lines.append(f"process   {process['name']:<10} pid {process['pid']:<8} {memory}{_restarts(process)}")
    return "\n".join(lines)


def _feed_lines(feeds: dict[str, Any]) -> list[str]:
    counts = {status: feeds["counts"].get(status, 0) for status in STATUSES} if feeds else {}
    if not any(counts.values()):
        return []
    lines = ["feeds     " + "   ".join(f"{status} {number}" for status, number in counts.items() if number)]
    for feed in feeds["failing"]:
        since = f"since {feed['last_success']}" if feed["last_success"] else "never read"
        lines.append(f"            {feed['status']} {since}: {feed['url']}   {feed['error']}")
    return lines


def _restarts(process: dict[str, Any]) -> str:
    if not process.get("restarts"):
        return ""
    return f"   restarted {process['restarts']} times, last {process['last_exit']}"


def _completeness(reported: dict[str, Any], store: dict[str, Any]) -> str:
    """The state of the aggregates as the gateway reports it, or that of the store when the gateway is down."""
    behind = reported.get("behind") or 0
    if store["rebuilding"]:
        progress = reported.get("progress")
        return "being rebuilt" + ("" if progress is None else f": {progress:.0%}, {behind} events to go")
    since = store["complete_since"]
    complete = "complete" if since is None else f"complete since {since}"
    lag = f"; {behind} events behind" if reported.get("state") == "behind" else ""
    return complete + lag
