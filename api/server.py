"""Runs the gateway as a process of its own."""

import asyncio
import contextlib
import logging
import resource
import signal
import socket
from collections.abc import Iterator

import structlog
import uvicorn
import uvloop

from api.app import create_app
from api.stream import protocols
from api.stream.subscription import Limits
from services import telemetry
from services.errors import SettingsError
from services.settings import Settings, check_reach

# Frames of clients are ops, a few hundred bytes.
_LARGEST_FRAME = 64 * 1024
# What the kernel holds for a client that does not read; left alone it grows to megabytes each.
_SEND_BUFFER = 256 * 1024
# A client that does not even acknowledge what it is sent, heartbeats at least, is gone: no ping asks over SSE.
_UNACKNOWLEDGED_SECONDS = 60.0
_BACKLOG = 4_096
_SHUTDOWN_SECONDS = 2

_log = structlog.get_logger(__name__)


class Server(uvicorn.Server):
    """A server that lets every subscriber know when it stops; ``stop`` makes it do so."""

    def __init__(self, settings: Settings, limits: Limits | None = None) -> None:
        self.app = create_app(settings, limits)
        super().__init__(
            uvicorn.Config(
                self.app,
                http=protocols.Http,
                ws=protocols.WebSockets,
                ws_max_size=_LARGEST_FRAME,
                ws_per_message_deflate=False,
                timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
                access_log=False,
                log_config=None,
                server_header=False,
            )
        )

    def stop(self) -> None:
        """Stop within a few seconds."""
        self.should_exit = True

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to whoever runs the server."""
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Say goodbye to subscribers with the cursor to go on from, then stop."""
        await self.app.state.gateway.stream.close()
        await super().shutdown(sockets)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket whose connections have bounded send buffers, and end when nobody is there any more.

    Raises ``OSError``.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(_UNACKNOWLEDGED_SECONDS * 1000))
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT. Raises ``SettingsError``, also when the port is taken."""
    check_reach(settings)
    telemetry.configure(settings, "api")
    _many_files()
    # Two lines for every WebSocket that comes are what metrics are for.
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings))


def _many_files() -> None:
    """Every connection is an open file, and the usual limit of 1,024 is for programs with few."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def _serve(settings: Settings) -> None:
    server = Server(settings)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.stop)
    try:
        listening = listen(settings.host, settings.port)
    except OSError as error:
        cause = f"cannot listen on {settings.host}:{settings.port}: {error.strerror}"
        raise SettingsError(f"KHABAR_PORT: {cause}") from None
    with listening as listener:
        _log.info("listening", url=f"http://{settings.host}:{listener.getsockname()[1]}")
        await server.serve(sockets=[listener])
