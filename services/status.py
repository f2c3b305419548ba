"""``khabar status``: what runs, how far behind it is, rates and dead letters."""

import asyncio
import json
import time
from datetime import UTC, datetime
from typing import Any

import aiohttp
import psutil
from aiokafka.errors import KafkaError
from redis import RedisError

from services import deadletters, kafka_topics
from services.groups import GROUP, lags, stable_members
from services.settings import Settings, endpoints_file
from services.store import WINDOWS, Store

_MEASURED_SECONDS = 1.0


async def collect(settings: Settings) -> dict[str, Any]:
    """Everything ``khabar status --json`` prints; ``healthy`` is whether all of it answers."""
    gateway, kafka, store = await asyncio.gather(_gateway(settings), _kafka(settings), _store(settings))
    return {
        "healthy": gateway["ready"] and kafka["reachable"] and store["reachable"] and kafka["workers"] > 0,
        "time": datetime.now(UTC).isoformat(),
        "gateway": gateway,
        "kafka": kafka,
        "store": store,
        "processes": _processes(settings),
    }


async def _gateway(settings: Settings) -> dict[str, Any]:
    url = settings.gateway_url
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session,
            session.get(f"{url}/readyz") as response,
        ):
            told = await response.json()
            return {
                "url": url,
                "ready": response.status == 200,
                "checks": told.get("checks"),
                "aggregates": told.get("aggregates"),
            }
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        return {"url": url, "ready": False, "error": repr(error)}


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
            "servers": servers,
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
            "dead_letters": len([letter async for letter in deadletters.read(servers)]),
        }
    except (KafkaError, OSError) as error:
        return {"servers": servers, "reachable": False, "workers": 0, "error": repr(error)}


async def _store(settings: Settings) -> dict[str, Any]:
    store = Store(settings.redis_url)
    try:
        windows = {}
        for window in WINDOWS:
            top = await store.top("language", window, limit=1)
            windows[window] = {"articles": top.total, "duplicates": top.duplicates}
        return {
            "url": settings.redis_url.rsplit("@", 1)[-1],
            "reachable": True,
            "windows": windows,
            "complete_since": None if top.complete.since is None else top.complete.since.isoformat(),
            "rebuilding": top.complete.rebuilding,
        }
    except (RedisError, OSError) as error:
        return {"url": settings.redis_url.rsplit("@", 1)[-1], "reachable": False, "error": repr(error)}
    finally:
        await store.close()


def _processes(settings: Settings) -> list[dict[str, Any]]:
    try:
        noted = json.loads(endpoints_file(settings.data_dir).read_text(encoding="utf-8"))["processes"]
    except (OSError, ValueError, KeyError):
        return []
    found = []
    for name, pid in noted.items():
        try:
            memory = psutil.Process(pid).memory_info().rss
        except psutil.Error:
            memory = None
        found.append({"name": name, "pid": pid, "rss_mb": None if memory is None else round(memory / 1e6)})
    return found


def render(found: dict[str, Any]) -> str:
    """The same for a person."""
    gateway, kafka, store = found["gateway"], found["kafka"], found["store"]
    lines = [f"gateway   {gateway['url']}   {'ready' if gateway['ready'] else 'NOT READY'}"]
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
    lines.append(f"store     {store['url']}   {'ok' if store['reachable'] else store['error']}")
    for window, counts in store.get("windows", {}).items():
        lines.append(f"            {window:<4} {counts['articles']:>9} articles   {counts['duplicates']:>7} duplicates")
    if store["reachable"]:
        lines.append(f"            numbers: {_completeness(gateway.get('aggregates') or {}, store)}")
    for process in found["processes"]:
        memory = "gone" if process["rss_mb"] is None else f"{process['rss_mb']} MB"
        lines.append(f"process   {process['name']:<10} pid {process['pid']:<8} {memory}")
    return "\n".join(lines)


def _completeness(told: dict[str, Any], store: dict[str, Any]) -> str:
    """What the gateway tells of the numbers, or what the store itself says where there is no gateway."""
    behind = told.get("behind") or 0
    if store["rebuilding"]:
        progress = told.get("progress")
        return "being rebuilt" + ("" if progress is None else f": {progress:.0%}, {behind} events to go")
    since = store["complete_since"]
    whole = "complete" if since is None else f"complete since {since}"
    late = f"; {behind} events behind" if told.get("state") == "behind" else ""
    return whole + late
