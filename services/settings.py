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
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from dotenv import dotenv_values
from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from services import instances
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
_SERVER = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^\s:/\[\],]+):\d{1,5}")


class Settings(BaseSettings):
    """All settings with their defaults. Field ``kafka`` is set by ``KHABAR_KAFKA``, and so on."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_file=".env", extra="ignore", frozen=True)

    kafka: str | None = Field(None, description="Kafka bootstrap servers, host:port[,host:port]; unset: embedded")
    redis: str | None = Field(None, description="Redis or Valkey URL; unset: embedded")
    data_dir: Path = Field(Path(".khabar"), description="where the embedded servers keep their data")
    host: str = Field("127.0.0.1", description="address the gateway listens on")
    port: int = Field(8000, ge=0, le=65535, description="port of the gateway; 0 takes a free one")
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
    max_webhooks: int = Field(100, ge=1, le=1_000, description="maximum webhooks of one key")
    webhook_pause_hours: float = Field(24.0, gt=0, description="a webhook that fails for this long is paused")
    api_key: str | None = Field(None, repr=False, description="the key that khabar replay and watch send to a gateway")
    feeds: Path | None = Field(None, description="file with one feed URL a line, polled by ingest")
    feed_interval: float = Field(300.0, ge=1, description="seconds between two polls of a feed")
    allow_private_addresses: bool = Field(False, description="let feeds and webhooks connect to private addresses")
    raw_partitions: int = Field(4, ge=1, le=1000, description="partitions of articles.raw, when it is created")
    replication: int = Field(1, ge=1, le=10, description="replicas of each topic, when it is created")
    max_body_bytes: int = Field(16_000_000, ge=1_000, description="largest request body of a push")
    max_articles: int = Field(1_000, ge=1, description="maximum articles in one push")
    story_window_hours: float = Field(72.0, gt=0, description="how long articles are compared with later ones")
    story_memory_bytes: int = Field(
        500_000_000, ge=5_000_000, description="maximum memory for these articles; beyond it the oldest are evicted"
    )
    ner: Literal["default", "quality", "camel"] = Field(
        "default", description="what recognises names: default, quality or camel"
    )
    ner_model: Path | None = Field(None, description="directory of the quality recogniser's model")
    vectors: bool = Field(False, description="sentence vectors for stories across languages; needs the extra vectors")
    session_timeout: float = Field(10.0, ge=1, le=300, description="seconds until a silent enrich worker is replaced")
    log_bytes: int = Field(64_000_000, ge=100_000, description="memory of the gateway's shared event log")
    metrics_port: int = Field(0, ge=0, le=65535, description="Prometheus port of ingest and enrich; 0: none")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="debug, info, warning, error")
    log_format: Literal["text", "json"] = Field("text", description="text or json")

    @field_validator("kafka", "redis", "api_key", "api_keys_file", "feeds", "ingest_token", "ner_model", mode="before")
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

    @field_validator("kafka")
    @classmethod
    def _bootstrap_servers(cls, value: str | None) -> str | None:
        if value is not None and not all(_SERVER.fullmatch(server) for server in value.split(",")):
            raise ValueError("must be host:port, several separated by commas")
        return value

    @field_validator("feeds", "api_keys_file")
    @classmethod
    def _file(cls, value: Path | None) -> Path | None:
        if value is not None and not value.is_file():
            raise ValueError(f"there is no file {value}")
        return value

    @field_validator("redis")
    @classmethod
    def _redis_url(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("must start with redis://, rediss:// or unix://")
        return value

    @property
    def kafka_servers(self) -> str:
        """Bootstrap servers: as set, else those of a running ``khabar up``, else the usual local port."""
        return self.kafka or instances.endpoints(self.data_dir).get("kafka") or "127.0.0.1:9092"

    @property
    def redis_url(self) -> str:
        """Store URL: as set, else that of a running ``khabar up``, else the usual local port."""
        return self.redis or instances.endpoints(self.data_dir).get("redis") or "redis://127.0.0.1:6379/0"

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
        name = PREFIX + str(first["loc"][0]).upper()
        message = first["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
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
    if not _is_loopback(settings.host):
        raise SettingsError(
            f"KHABAR_HOST: without keys the gateway listens on 127.0.0.1 only, not on {settings.host}: "
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
