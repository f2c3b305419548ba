"""``khabar ingest``: the push server and the feed poller in one process."""

import asyncio
import socket
import sys

import structlog
import uvicorn

from ingest import push
from ingest.feeds import api as feeds_api
from ingest.feeds import counts, websub_callback
from ingest.feeds.api import FeedsApi
from ingest.feeds.poller import Poller
from ingest.feeds.subscriptions_file import SubscriptionsFile
from ingest.feeds.websub import WebSub
from ingest.feeds.writer import FeedWriter
from ingest.pages import Pages
from ingest.producer import Intake
from ingest.web import WebClient
from services import connections, http_server, kafka_topics, telemetry
from services.settings import Settings, check_ingest_reach
from services.store import Store
from services.store.feeds import Feeds

log = structlog.get_logger(__name__)

_HEADER_BYTES = 65_536
# Bodies and feeds are parsed in threads: the longest time for which one keeps the event loop from running.
_SWITCH_SECONDS = 0.001


async def _keep_topics(settings: Settings) -> None:
    """Check the access to the store, and create missing topics once Kafka is available.

    Ends only with an error: ``SettingsError``.
    """
    await asyncio.gather(connections.check_redis(settings.redis_url), kafka_topics.wait_for(settings))
    await asyncio.Event().wait()


async def run(settings: Settings) -> None:
    """Serve pushes and poll feeds until SIGTERM or SIGINT; then finish the requests in progress, within 10 seconds.

    Kafka and the store may be unavailable at the start and at any time; without the store, polling waits, pushes do
    not. Raises ``SettingsError`` when an address cannot be listened on, or when the file of feeds is not valid.
    """
    check_ingest_reach(settings)
    sys.setswitchinterval(_SWITCH_SECONDS)
    telemetry.configure(settings, "ingest")
    store = Store(settings.redis_url)
    feeds = Feeds(store.redis)
    file = SubscriptionsFile(settings.feeds, feeds, most=settings.max_feeds) if settings.feeds else None
    # A host name is looked up as IPv4: the gateway's default address of ingest is 127.0.0.1.
    family = socket.AF_INET6 if ":" in settings.ingest_host else socket.AF_INET
    host = settings.ingest_host or "0.0.0.0"  # noqa: S104
    listening = http_server.listen(host, settings.ingest_port, setting="KHABAR_INGEST_PORT", family=family)
    telemetry.serve_metrics(settings)
    stop = asyncio.Event()
    http_server.on_stop_signal(stop.set)
    intake = Intake(settings.kafka_servers)
    web = WebClient.of(settings)
    pages = Pages(web, max_bytes=settings.max_page_bytes)
    writer = FeedWriter(feeds, intake, max_entries=settings.max_feed_entries, complete=pages.complete_all)
    websub = WebSub(settings, feeds, writer, web)
    server = http_server.Server(config(settings, intake, FeedsApi(settings, feeds, web, websub), websub))
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    poller = Poller(settings, feeds, intake, writer, websub=websub)
    running = [_keep_topics(settings), poller.run(), counts.keep(feeds)]
    if file is not None:
        file.on_removed = websub.end
        running.append(file.run())
    background = [asyncio.create_task(one) for one in running]
    host, port = listening.getsockname()[:2]
    log.info("ingest_listening", host=host, port=port)
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
        await websub.close()
        await web.close()
        await intake.close()
        await store.close()


def config(
    settings: Settings, intake: Intake, feeds: FeedsApi | None = None, websub: WebSub | None = None
) -> uvicorn.Config:
    """The configuration of the HTTP server. It uses h11, which limits the size of a request's head."""
    app = push.create_app(settings, intake)
    if feeds is not None:
        feeds_api.install(app, feeds)
    if websub is not None:
        app.include_router(websub_callback.router(websub, settings))
    return uvicorn.Config(
        app,
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
