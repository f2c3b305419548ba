"""What the HTTP servers of ingest and api have in common: when they stop, and where they listen."""

import asyncio
import contextlib
import ipaddress
import signal
import socket
from collections.abc import Callable, Collection, Iterator, Sequence
from urllib.parse import urlsplit

import uvicorn

from services.errors import SettingsError


class Server(uvicorn.Server):
    """A uvicorn server whose caller handles signals and calls ``stop``."""

    def stop(self) -> None:
        """Stop within ``timeout_graceful_shutdown`` seconds."""
        self.should_exit = True

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Install no signal handlers."""
        yield


def on_stop_signal(stop: Callable[[], object]) -> None:
    """Call ``stop`` in the running event loop at SIGTERM and SIGINT."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)


def is_private_host(host: str, listed: Collection[str] = ()) -> bool:
    """Whether the value of a ``Host`` header is a host that no web site of others can have, or one of ``listed``.

    That is an IP address, ``localhost``, or a name without a dot, as containers have in their network. (Without the
    check, a page of any site could use this service after letting its own name resolve to this machine.)
    """
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return ("." not in name and ":" not in name) or name in listed or bool(ipaddress.ip_address(name))
    except ValueError:
        return False


def listen(  # noqa: PLR0913
    host: str,
    port: int,
    *,
    setting: str,
    family: socket.AddressFamily = socket.AF_UNSPEC,
    backlog: int = 2_048,
    options: Sequence[tuple[int, int, int]] = (),
) -> socket.socket:
    """A listening TCP socket with ``options`` (level, name, value), which accepted connections inherit.

    Raises ``SettingsError`` that names ``setting`` when the address cannot be listened on.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        try:
            for option in ((socket.SOL_SOCKET, socket.SO_REUSEADDR, 1), *options):
                listener.setsockopt(*option)
            listener.bind(address)
            listener.listen(backlog)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        raise SettingsError(f"{setting}: cannot listen on {host}:{port}: {error.strerror}") from error
    return listener
