"""Real servers that ask for TLS and users, and certificates made for the test."""

import asyncio
import contextlib
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import trustme
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from services.connections import KafkaServers
from services.embedded.kafka import Kafka
from services.embedded.process import free_port
from services.embedded.valkey import Valkey

USER, PASSWORD = "reader", "bread-and@water"


class Certificates:
    """An authority of the test, and certificates that it has issued to 127.0.0.1 and to a client: PEM files."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        authority = trustme.CA()
        self.ca = directory / "ca.pem"
        authority.cert_pem.write_to_path(self.ca)
        self.server = self._issue(authority, directory / "server.pem")
        self.client = self._issue(authority, directory / "client.pem")

    @staticmethod
    def _issue(authority: trustme.CA, path: Path) -> Path:
        issued = authority.issue_cert("127.0.0.1")
        key = load_pem_private_key(issued.private_key_pem.bytes(), None)
        # Kafka reads keys as PKCS#8 only.
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        path.write_bytes(pem + b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        return path


class SecuredKafka(Kafka):
    """A Kafka that asks for TLS, a client certificate and a user, with PLAIN or SCRAM."""

    def __init__(self, directory: Path, certificates: Certificates) -> None:
        self.certificates = certificates
        super().__init__(
            directory,
            password="inner",
            properties={
                "listener.security.protocol.map": "CLIENTS:SASL_SSL,CONTROLLER:SASL_PLAINTEXT",
                "listener.name.clients.sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
                "listener.name.clients.scram-sha-256.sasl.jaas.config": _SCRAM,
                "listener.name.clients.scram-sha-512.sasl.jaas.config": _SCRAM,
                "ssl.keystore.type": "PEM",
                "ssl.keystore.location": str(certificates.server),
                "ssl.truststore.type": "PEM",
                "ssl.truststore.location": str(certificates.ca),
                "ssl.client.auth": "required",
            },
        )

    @property
    def servers(self) -> KafkaServers:
        """With the user of the broker itself, which PLAIN knows."""
        files = {"ca_file": str(self.certificates.ca), "certificate_file": str(self.certificates.client)}
        return replace(super().servers, tls=True, **files)

    def scram(self, mechanism: str) -> KafkaServers:
        """With the user that SCRAM knows."""
        return replace(self.servers, mechanism=mechanism, user=USER, password=PASSWORD)

    async def _format(self, command: Sequence[str | Path]) -> None:
        users = [
            word
            for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512")
            for word in ("--add-scram", f"{mechanism}=[name={USER},password={PASSWORD}]")
        ]
        await super()._format([*command, *users])


_SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule required;"


class AclValkey(Valkey):
    """A Valkey whose only user is ``USER``."""

    def __init__(self, directory: Path, **options: str) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        users = directory / "users.acl"
        users.write_text(f"user default off\nuser {USER} on >{PASSWORD} ~* &* +@all\n")
        login = {"aclfile": str(users), "masteruser": USER, "masterauth": PASSWORD}
        super().__init__(directory, options=login | options)

    @property
    def url(self) -> str:
        """With user and password."""
        return f"redis://{USER}:{PASSWORD.replace('@', '%40')}@127.0.0.1:{self.port}/0"


@asynccontextmanager
async def behind_tls(port: int, certificates: Certificates) -> AsyncIterator[int]:
    """A port that speaks TLS and forwards to ``port``, as stunnel does: not every build of Valkey has TLS."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificates.server)

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            writer.close()
            return
        await asyncio.gather(copy(reader, inner_writer), copy(inner_reader, writer))

    tls_port = free_port()
    server = await asyncio.start_server(forward, "127.0.0.1", tls_port, ssl=context)
    try:
        yield tls_port
    finally:
        server.close()


def store_server_with_tls() -> Path | None:
    """A Redis or Valkey on this machine that was built with TLS; None: there is none."""
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found is not None:
            linked = subprocess.run(["ldd", found], capture_output=True, text=True, check=False).stdout
            if "libssl" in linked:
                return Path(found)
    return None
