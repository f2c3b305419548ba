"""Settings: environment variables ``KHABAR_*`` (and ``.env``), checked once at start.

A wrong value or an unknown name is rejected with a one-sentence error that names it.
"""

import difflib
import functools
import ipaddress
import os
import re
import socket
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from dotenv import dotenv_values
from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from services import instances
from services.connections import REDIS_SCHEMES, KafkaServers, redis_client, redis_url_with
from services.errors import SettingsError
from services.instances import endpoints_file

__all__ = [
    "PREFIX",
    "Settings",
    "check_ingest_reach",
    "check_reach",
    "current",
    "endpoints_file",
    "load",
    "load_running",
]

PREFIX = "KHABAR_"
_ORIGIN = re.compile(r"https?://(\[[0-9a-f:.]+\]|[^\s:/\[\],@?#]+)(:\d{1,5})?")
_PUBLIC_URL = re.compile(r"https?://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(:\d{1,5})?(/[^\s?#]*)?")
_SERVER = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^\s:/\[\],]+):\d{1,5}")


class Settings(BaseSettings):
    """All settings with their defaults. Field ``kafka`` is set by ``KHABAR_KAFKA``, and so on."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_file=".env", extra="ignore", frozen=True)

    kafka: str | None = Field(None, description="Kafka bootstrap servers, host:port[,host:port]; unset: embedded")
    kafka_security: Literal["plaintext", "tls", "sasl_plaintext", "sasl_tls"] = Field(
        "plaintext", description="plaintext, tls, sasl_plaintext or sasl_tls (Kafka's names too)"
    )
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        "SCRAM-SHA-512", description="PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512"
    )
    kafka_user: str | None = Field(None, description="user at Kafka, for sasl_plaintext and sasl_tls")
    kafka_password: str | None = Field(None, repr=False, description="password of that user")
    kafka_password_file: Path | None = Field(None, description="file with that password")
    kafka_ca_file: Path | None = Field(
        None, description="certificates to trust Kafka by, PEM; unset: those of this machine"
    )
    kafka_certificate_file: Path | None = Field(None, description="client certificate for Kafka, PEM")
    kafka_key_file: Path | None = Field(None, description="its key, PEM; unset: in the same file")
    redis: str | None = Field(None, repr=False, description="Redis or Valkey URL; unset: embedded")
    redis_password_file: Path | None = Field(None, description="file with the password at Redis or Valkey")
    redis_ca_file: Path | None = Field(
        None, description="certificates to trust Redis or Valkey by, PEM; unset: those of this machine"
    )
    data_dir: Path = Field(Path(".khabar"), description="where the embedded servers keep their data")
    host: str = Field("127.0.0.1", description="address the gateway listens on")
    port: int = Field(8000, ge=0, le=65535, description="port of the gateway; 0 takes a free one")
    published: str | None = Field(
        None,
        description="[ADDRESS:]PORT where a container's engine publishes the gateway; decides on the need for keys",
    )
    ingest_host: str = Field("127.0.0.1", description="address the ingest service listens on")
    ingest_port: int = Field(8001, ge=0, le=65535, description="port of the ingest service")
    ingest_token: str | None = Field(
        None,
        min_length=20,
        repr=False,
        description="what the gateway shows ingest; unset: anybody on this machine may push",
    )
    ingest_url: str = Field("http://127.0.0.1:8001", description="where the gateway forwards pushed articles")
    api_keys: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        repr=False,
        description="comma-separated KEY or sha256:HEX, each with :read or :write or neither; unset: no authentication",
    )
    api_keys_file: Path | None = Field(None, description="file of keys: lines NAME sha256:HEX SCOPES LIMITS")
    allow_open: bool = Field(False, description="without keys, let the gateway listen on more than the loopback")
    origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="comma-separated origins whose pages may use the gateway besides its own, or *"
    )
    max_connections_per_address: int = Field(
        1_000, ge=0, description="maximum streams of one client address, except this machine's; 0: no limit"
    )
    max_reads_per_minute: int = Field(
        6_000, ge=0, description="maximum REST reads of one key or client address, except this machine's; 0: no limit"
    )
    max_webhooks: int = Field(100, ge=1, le=1_000, description="maximum webhooks of one key")
    webhook_pause_hours: float = Field(24.0, gt=0, description="a webhook that fails for this long is paused")
    api_key: str | None = Field(None, repr=False, description="the key that khabar replay and watch send to a gateway")
    public_url: str | None = Field(
        None, description="address at which the internet reaches the gateway, for hubs of WebSub; unset: no WebSub"
    )
    feeds: Path | None = Field(None, description="file of feeds, OPML or one URL a line")
    max_feeds: int = Field(10_000, ge=1, description="maximum feeds, those of the file and of users together")
    max_feed_entries: int = Field(
        5_000, ge=1, le=50_000, description="maximum entries that are read of one feed document"
    )
    feed_interval: float = Field(
        300.0, ge=1, description="seconds between two polls of a feed until it is known how often it changes"
    )
    feed_interval_min: float = Field(
        60.0, ge=1, description="a feed that changes often is polled after this many seconds"
    )
    feed_interval_max: float = Field(3_600.0, ge=1, description="a feed that seldom changes: after this many seconds")
    max_feed_bytes: int = Field(5_000_000, ge=10_000, description="largest feed document, decompressed")
    max_page_bytes: int = Field(5_000_000, ge=10_000, description="largest page of an article, decompressed")
    user_agent: str | None = Field(
        None, min_length=1, max_length=200, description="User-Agent of requests for feeds and pages"
    )
    allow_private_addresses: bool = Field(False, description="let feeds and webhooks connect to private addresses")
    raw_partitions: int = Field(4, ge=1, le=1000, description="partitions of articles.raw, when it is created")
    replication: int = Field(1, ge=1, le=10, description="replicas of each topic, when it is created")
    max_body_bytes: int = Field(16_000_000, ge=1_000, description="largest JSON document, or line of NDJSON, in a push")
    max_articles: int = Field(1_000, ge=1, description="maximum articles in one JSON document of a push")
    story_window_hours: float = Field(72.0, gt=0, description="how long articles are compared with later ones")
    story_memory_bytes: int = Field(
        500_000_000, ge=5_000_000, description="maximum memory for these articles; beyond it the oldest are evicted"
    )
    ner: Literal["default", "quality", "camel"] = Field(
        "default", description="what recognises names: default, quality or camel"
    )
    ner_model: Path | None = Field(None, description="directory of the quality recogniser's model")
    vectors: bool = Field(False, description="use the sentence encoder for stories; needs the extra vectors")
    session_timeout: float = Field(10.0, ge=1, le=300, description="seconds until a silent enrich worker is replaced")
    log_bytes: int = Field(64_000_000, ge=100_000, description="memory of the gateway's shared event log")
    frame_bytes: int = Field(
        32_768, ge=1_024, description="largest WebSocket frame of events, unless a single event is larger"
    )
    metrics_port: int = Field(
        0, ge=0, le=65535, description="Prometheus port of ingest and enrich, of all processes with khabar up; 0: none"
    )
    metrics_host: str = Field("127.0.0.1", description="address that the metrics port listens on")
    min_free_bytes: int = Field(
        500_000_000, ge=0, description="khabar up reports a disk with less than this free for its data; 0: never"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="debug, info, warning, error")
    log_format: Literal["text", "json"] = Field("text", description="text or json")

    @field_validator(
        "kafka",
        "kafka_user",
        "kafka_password",
        "kafka_password_file",
        "kafka_ca_file",
        "kafka_certificate_file",
        "kafka_key_file",
        "published",
        "redis",
        "redis_password_file",
        "redis_ca_file",
        "api_key",
        "api_keys_file",
        "feeds",
        "public_url",
        "user_agent",
        "ingest_token",
        "ner_model",
        mode="before",
    )
    @classmethod
    def _blank_is_unset(cls, value: object) -> object:
        return None if value == "" else value

    @field_validator("api_keys", "origins", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("origins")
    @classmethod
    def _origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for one in value:
            if one not in {"*", "null"} and not _ORIGIN.fullmatch(one.lower()):
                raise ValueError(f"{one!r} is not an origin such as https://news.example or http://127.0.0.1:3000")
        return tuple(one.lower() for one in value)

    @field_validator("user_agent")
    @classmethod
    def _header_value(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"[!-~][ -~]*", value):
            raise ValueError("must be printable ASCII characters")
        return value

    @field_validator("public_url")
    @classmethod
    def _public_url(cls, value: str | None) -> str | None:
        if value is not None and not _PUBLIC_URL.fullmatch(value):
            raise ValueError("must be an address such as https://news.example, without a query")
        return value

    @field_validator("kafka")
    @classmethod
    def _bootstrap_servers(cls, value: str | None) -> str | None:
        if value is not None and not all(_SERVER.fullmatch(server) for server in value.split(",")):
            raise ValueError("must be host:port, several separated by commas")
        return value

    @field_validator("kafka_security", mode="before")
    @classmethod
    def _names_of_kafka(cls, value: object) -> object:
        return value.lower().replace("ssl", "tls") if isinstance(value, str) else value

    @field_validator("kafka_sasl_mechanism", mode="before")
    @classmethod
    def _upper(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value

    @field_validator(
        "feeds",
        "api_keys_file",
        "kafka_password_file",
        "kafka_ca_file",
        "kafka_certificate_file",
        "kafka_key_file",
        "redis_password_file",
        "redis_ca_file",
    )
    @classmethod
    def _file(cls, value: Path | None) -> Path | None:
        if value is not None and not value.is_file():
            raise ValueError(f"there is no file {value}")
        return value

    @field_validator("redis")
    @classmethod
    def _redis_url(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(REDIS_SCHEMES):
            raise ValueError(f"must start with {', '.join(REDIS_SCHEMES[:-1])} or {REDIS_SCHEMES[-1]}")
        if value is not None:
            redis_client(value)  # opens no connection
        return value

    @model_validator(mode="after")
    def _login(self) -> Self:
        secret = self.kafka_password is not None or self.kafka_password_file is not None
        if self.kafka_security.startswith("sasl") and (self.kafka_user is None or not secret):
            raise ValueError(
                f"KHABAR_KAFKA_SECURITY: {self.kafka_security} needs KHABAR_KAFKA_USER and KHABAR_KAFKA_PASSWORD "
                "or KHABAR_KAFKA_PASSWORD_FILE"
            )
        if self.kafka_user is not None and not self.kafka_security.startswith("sasl"):
            raise ValueError("KHABAR_KAFKA_USER: needs KHABAR_KAFKA_SECURITY sasl_plaintext or sasl_tls")
        if self.kafka_ca_file is not None and not self.kafka_security.endswith("tls"):
            raise ValueError("KHABAR_KAFKA_CA_FILE: needs KHABAR_KAFKA_SECURITY tls or sasl_tls")
        if self.redis_ca_file is not None and not str(self.redis).startswith("rediss"):
            raise ValueError("KHABAR_REDIS_CA_FILE: needs a URL rediss:// or rediss+sentinel:// in KHABAR_REDIS")
        return self

    @property
    def kafka_servers(self) -> KafkaServers:
        """Bootstrap servers: as set, else those of a running ``khabar up``, else the usual local port.

        Raises ``SettingsError`` when the file of the password cannot be read.
        """
        found = {} if self.kafka else instances.endpoints(self.data_dir)
        if "kafka" in found:
            return KafkaServers(found["kafka"], **found.get("kafka_access", {}))
        login = {}
        if self.kafka_security.startswith("sasl"):
            password = _secret("KHABAR_KAFKA_PASSWORD_FILE", self.kafka_password_file, self.kafka_password)
            login = {"mechanism": self.kafka_sasl_mechanism, "user": self.kafka_user, "password": password}
        return KafkaServers(
            self.kafka or "127.0.0.1:9092",
            tls=self.kafka_security.endswith("tls"),
            ca_file=_absolute(self.kafka_ca_file),
            certificate_file=_absolute(self.kafka_certificate_file),
            key_file=_absolute(self.kafka_key_file),
            **login,
        )

    @property
    def redis_url(self) -> str:
        """Store URL: as set, else that of a running ``khabar up``, else the usual local port.

        It may hold a password: ``connections.shown_redis_url`` is for messages. Raises ``SettingsError`` when the file
        of the password cannot be read.
        """
        found = None if self.redis else instances.endpoints(self.data_dir).get("redis")
        if found:
            return str(found)
        password = _secret("KHABAR_REDIS_PASSWORD_FILE", self.redis_password_file)
        return redis_url_with(self.redis or "redis://127.0.0.1:6379/0", password=password, ca_file=self.redis_ca_file)

    def key_for(self, url: str) -> str | None:
        """The key to push to a URL with: the token of ingest for that of a running ``khabar up``, else the API key."""
        running = instances.endpoints(self.data_dir)
        of_ingest = urlsplit(str(running.get("ingest"))).netloc == urlsplit(url if "://" in url else f"//{url}").netloc
        return running.get("ingest_token") if of_ingest else self.api_key

    @property
    def origin_hosts(self) -> frozenset[str]:
        """The host names of the listed origins."""
        return frozenset(urlsplit(one).hostname or "" for one in self.origins)

    @property
    def gateway_url(self) -> str:
        """Address of the gateway: that of a running ``khabar up``, else from host and port."""
        return instances.endpoints(self.data_dir).get("gateway") or f"http://{self.host}:{self.port}"


def _absolute(path: Path | None) -> str | None:
    return None if path is None else str(path.absolute())


def _secret(name: str, file: Path | None, value: str | None = None) -> str | None:
    """The content of a file without the end of its line, or else the value."""
    if file is None:
        return value
    try:
        return file.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, ValueError) as error:
        raise SettingsError(f"{name}: {file} cannot be read: {error}") from None


def load(**overrides: Any) -> Settings:
    """Read the settings; ``overrides`` (from command-line options) take precedence where they are not None.

    Raises ``SettingsError`` with a one-sentence message that names the first wrong setting.
    """
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    for name in [*os.environ, *dotenv_values(".env")]:
        if name.startswith(PREFIX) and name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise SettingsError(f"unknown setting {name}{hint}")
    try:
        return Settings(**{name: value for name, value in overrides.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        message = first["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
        if not first["loc"]:  # several settings that do not fit together; the message names them
            raise SettingsError(message) from None
        name = PREFIX + str(first["loc"][0]).upper()
        raise SettingsError(f"{name}: {message}") from None


def load_running(data_dir: Path | None = None) -> Settings:
    """Read the settings for a command that uses a running ``khabar up``.

    Where no data directory is given and no instance runs in the default one, the data directory is that of this
    user's instance that was started last. Raises ``SettingsError`` as ``load``.
    """
    settings = load(data_dir=data_dir)
    if "data_dir" in settings.model_fields_set or instances.endpoints(settings.data_dir):
        return settings
    found = instances.newest()
    return settings if found is None else settings.model_copy(update={"data_dir": found})


def check_reach(settings: Settings) -> None:
    """Check that the gateway is not reachable from the network without a key. Raises ``SettingsError``."""
    if settings.api_keys or settings.api_keys_file is not None or settings.allow_open:
        return
    host, where = settings.host, "KHABAR_HOST: without keys the gateway listens"
    if settings.published is not None:
        # A container listens on all of its own addresses; what is published decides who reaches it.
        host = settings.published.rpartition(":")[0].strip("[]") or "0.0.0.0"  # noqa: S104
        where = "PUBLISH: without keys the gateway is published"
    if not _is_loopback(host):
        raise SettingsError(
            f"{where} on 127.0.0.1 only, not on {host}: "
            "set KHABAR_API_KEYS, or KHABAR_ALLOW_OPEN=true to let anybody who reaches it read and write"
        )


def check_ingest_reach(settings: Settings) -> None:
    """Check that ingest is not reachable from the network without its token. Raises ``SettingsError``."""
    if settings.ingest_token or settings.allow_open or _is_loopback(settings.ingest_host or "0.0.0.0"):  # noqa: S104
        return
    raise SettingsError(
        f"KHABAR_INGEST_HOST: without a token ingest listens on 127.0.0.1 only, not on {settings.ingest_host}: "
        "set the same KHABAR_INGEST_TOKEN here and for the gateway, or KHABAR_ALLOW_OPEN=true to let anybody push"
    )


def _is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens on ``host``; True for an address that cannot be listened on."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return True
    return all(ipaddress.ip_address(str(address[0]).partition("%")[0]).is_loopback for *_, address in found)


@functools.cache
def current() -> Settings:
    """The settings of this process, read once."""
    return load()
