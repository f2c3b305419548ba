"""``khabar api``: runs the gateway as a process."""

import asyncio
import logging
import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

import structlog
import uvicorn
import uvloop

from api.access.limits import Addresses, TooMany
from api.app import create_app
from api.http_protocol import Refused
from api.stream import protocols
from api.stream.subscription import StreamTimeouts
from services import connections, http_server, telemetry
from services.settings import Settings, check_reach

# Frames of clients are ops, a few hundred bytes.
_MAX_FRAME_BYTES = 64 * 1024
# Bounds what the kernel buffers for a client that does not read; by default it grows to megabytes a connection.
_SEND_BUFFER_BYTES = 256 * 1024
# A client that does not acknowledge even heartbeats for this long is gone; SSE has no pings that would find out.
_TCP_USER_TIMEOUT_SECONDS = 60.0
_BACKLOG = 4_096
_SHUTDOWN_SECONDS = 2

log = structlog.get_logger(__name__)


class Server(http_server.Server):
    """A server that closes every subscription with its cursor when it stops."""

    def __init__(self, settings: Settings, timeouts: StreamTimeouts | None = None) -> None:
        self.app = create_app(settings, timeouts)
        super().__init__(
            uvicorn.Config(
                self.app,
                http=partial(protocols.Http, admit=partial(_admit, self.app.state.addresses)),  # type: ignore[arg-type]
                ws=protocols.WebSockets,
                ws_max_size=_MAX_FRAME_BYTES,
                ws_per_message_deflate=False,
                timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
                access_log=False,
                log_config=None,
                server_header=False,
                # Browsers must not take an answer for another type than its own.
                headers=[("X-Content-Type-Options", "nosniff")],
            )
        )

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Send subscribers the cursor to resume from, then stop."""
        await self.app.state.gateway.hub.close()
        await super().shutdown(sockets)


@contextmanager
def _admit(addresses: Addresses, address: str | None) -> Iterator[None]:
    """Count a connection whose request has not arrived yet like a stream of its address."""
    with ExitStack() as held:
        try:
            held.enter_context(addresses.connection(address))
        except TooMany as error:
            raise Refused(429, error.message, retry_after=str(error.retry_after)) from None
        yield


def listen(host: str, port: int) -> socket.socket:
    """A listening socket whose connections have bounded send buffers and end when the client is gone.

    Raises ``SettingsError``.
    """
    options = [(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)]
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        options.append((socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(_TCP_USER_TIMEOUT_SECONDS * 1000)))
    return http_server.listen(host, port, setting="KHABAR_PORT", backlog=_BACKLOG, options=options)


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT. Raises ``SettingsError``, also when the port is in use."""
    check_reach(settings)
    telemetry.configure(settings, "api")
    _raise_file_limit()
    # uvicorn logs two lines for every WebSocket; the metrics count connections.
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings))


def _raise_file_limit() -> None:
    """Allow as many open files as the system permits: each connection is one, and the usual limit is 1,024."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def _serve(settings: Settings) -> None:
    # Kafka and the store may be away at the start, but they must not refuse this gateway.
    await asyncio.gather(connections.check_kafka(settings.kafka_servers), connections.check_redis(settings.redis_url))
    server = Server(settings)
    http_server.on_stop_signal(server.stop)
    with listen(settings.host, settings.port) as listener:
        log.info("gateway_listening", url=f"http://{settings.host}:{listener.getsockname()[1]}")
        await server.serve(sockets=[listener])
