"""The metrics of all processes of ``khabar up`` on one port, each with the label ``process``."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager

import aiohttp
import structlog
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families

from services.errors import StartError

log = structlog.get_logger(__name__)

_TIMEOUT = 3.0


class _Merged:
    """A collector that returns families which are already read."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = list(families)

    def collect(self) -> Iterable[Metric]:
        return self._families


def merge(texts: Mapping[str, str]) -> bytes:
    """One text of several, by process; each sample gets the label ``process``."""
    families: dict[str, Metric] = {}
    for process, text in texts.items():
        try:
            read = list(text_string_to_metric_families(text))
        except ValueError as error:
            log.warning("metrics_not_readable", process=process, cause=str(error)[:300])
            continue
        for family in read:
            merged = families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
            for sample in family.samples:
                merged.samples.append(sample._replace(labels=sample.labels | {"process": process}))
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Merged(families.values()))
    return generate_latest(registry)


@asynccontextmanager
async def serving(host: str, port: int, addresses: Mapping[str, str], own: Callable[[], bytes]) -> AsyncIterator[None]:
    """Serve ``/metrics``: those at ``addresses``, by process, and ``own``, which have no label ``process`` added.

    A process that does not answer is left out. Raises
    ``StartError`` when the port cannot be listened on.
    """
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_TIMEOUT)) as session:

        async def fetched(address: str) -> str:
            try:
                async with session.get(address) as response:
                    return await response.text() if response.status == 200 else ""
            except (aiohttp.ClientError, TimeoutError):
                return ""

        async def metrics(_: web.Request) -> web.Response:
            texts = await asyncio.gather(*map(fetched, addresses.values()))
            body = await asyncio.to_thread(merge, dict(zip(addresses, texts, strict=True)))
            return web.Response(body=body + own(), headers={"Content-Type": CONTENT_TYPE_LATEST})

        app = web.Application()
        app.router.add_get("/metrics", metrics)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        try:
            try:
                await web.TCPSite(runner, host, port).start()
            except OSError as error:
                raise StartError(f"KHABAR_METRICS_PORT: cannot listen on {host}:{port}: {error.strerror}") from None
            yield
        finally:
            await runner.cleanup()
