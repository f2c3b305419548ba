"""``khabar ingest``: the push server and the feed poller in one process."""

import asyncio
import socket
import sys

import structlog
import uvicorn

from ingest import feeds, push
from ingest.producer import Intake
from services import http_server, kafka_topics, telemetry
from services.settings import Settings, check_ingest_reach

log = structlog.get_logger(__name__)

_HEADER_BYTES = 65_536
# Bodies and feeds are parsed in threads: the longest time for which one keeps the event loop from running.
_SWITCH_SECONDS = 0.001


async def _keep_topics(settings: Settings) -> None:
    """Create missing topics once Kafka is available. Ends only with an error: ``SettingsError``."""
    await kafka_topics.wait_for(settings)
    await asyncio.Event().wait()


async def run(settings: Settings) -> None:
    """Serve pushes and poll feeds until SIGTERM or SIGINT; then finish the requests in progress, within 10 seconds.

    Kafka may be unavailable at the start and at any time. Raises ``SettingsError`` when an address cannot be listened
    on, or when the file of feeds is not valid.
    """
    check_ingest_reach(settings)
    sys.setswitchinterval(_SWITCH_SECONDS)
    telemetry.configure(settings, "ingest")
    polled = feeds.read_feeds(settings.feeds) if settings.feeds else []
    # A host name is looked up as IPv4: the gateway's default address of ingest is 127.0.0.1.
    family = socket.AF_INET6 if ":" in settings.ingest_host else socket.AF_INET
    host = settings.ingest_host or "0.0.0.0"  # noqa: S104
    listening = http_server.listen(host, settings.ingest_port, setting="KHABAR_INGEST_PORT", family=family)
    telemetry.serve_metrics(settings)
    stop = asyncio.Event()
    http_server.on_stop_signal(stop.set)
    intake = Intake(settings.kafka_servers)
    server = http_server.Server(config(settings, intake))
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    background = [asyncio.create_task(_keep_topics(settings))]
    if polled:
        background.append(asyncio.create_task(feeds.Poller(polled, settings, intake).run()))
    host, port = listening.getsockname()[:2]
    log.info("ingest_listening", host=host, port=port, feeds=len(polled))
    stopping = asyncio.create_task(stop.wait())
    try:
        done, _ = await asyncio.wait({serving, stopping, *background}, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        log.info("ingest_stopping")
        server.stop()
        for task in (*background, stopping):
            task.cancel()
        await asyncio.gather(serving, stopping, *background, return_exceptions=True)
        await intake.close()


def config(settings: Settings, intake: Intake) -> uvicorn.Config:
    """The configuration of the push server. It uses h11, which limits the size of a request's head."""
    return uvicorn.Config(
        push.create_app(settings, intake),
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        log_level="warning",
        server_header=False,
        limit_concurrency=push.CONNECTIONS,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=3,
        h11_max_incomplete_event_size=_HEADER_BYTES,
    )
