"""How to connect to Kafka and to Redis or Valkey: addresses, TLS and credentials.

The settings import this module, so it loads the clients' libraries only when it connects.
"""

import asyncio
import functools
import ssl
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from services.errors import SettingsError

if TYPE_CHECKING:
    from redis.asyncio import Redis

REDIS_SCHEMES: Final = ("redis://", "rediss://", "unix://", "redis+sentinel://", "rediss+sentinel://")
# Seconds for one attempt to connect when the credentials are checked.
_CHECK_TIMEOUT: Final = 5.0
# A broker that has just started may not have read its users yet.
_SECOND_TRY_AFTER: Final = 1.0


@dataclass(frozen=True, repr=False)
class KafkaServers:
    """Bootstrap servers (``host:port[,host:port]``) and how to connect to them. ``str()`` gives the addresses only."""

    addresses: str
    tls: bool = False
    mechanism: str | None = None
    """``PLAIN``, ``SCRAM-SHA-256`` or ``SCRAM-SHA-512``; None: without a user."""
    user: str | None = None
    password: str | None = field(default=None)
    ca_file: str | None = None
    """The certificates to trust; None: those of this machine."""
    certificate_file: str | None = None
    key_file: str | None = None

    def __str__(self) -> str:
        return self.addresses

    __repr__ = __str__  # no password in a log

    @property
    def tls_context(self) -> ssl.SSLContext | None:
        """The context for TLS; None without TLS. Raises ``SettingsError``."""
        return _tls_context(self.ca_file, self.certificate_file, self.key_file) if self.tls else None

    def access(self) -> dict[str, Any]:
        """All fields but the addresses, for ``KafkaServers(addresses, **access)``."""
        return {name: value for name, value in asdict(self).items() if name != "addresses" and value}


Bootstrap = str | KafkaServers
"""Kafka's bootstrap servers; a string: without TLS and user."""


def client_options(bootstrap: Bootstrap) -> dict[str, Any]:
    """The arguments of every client of aiokafka that say where and how it connects. Raises ``SettingsError``."""
    servers = KafkaServers(bootstrap) if isinstance(bootstrap, str) else bootstrap
    options: dict[str, Any] = {"bootstrap_servers": servers.addresses}
    transport = "SSL" if servers.tls else "PLAINTEXT"
    if servers.tls:
        options["ssl_context"] = servers.tls_context
    if servers.mechanism is None:
        return options | {"security_protocol": transport}
    return options | {
        "security_protocol": f"SASL_{transport}",
        "sasl_mechanism": servers.mechanism,
        "sasl_plain_username": servers.user,
        "sasl_plain_password": servers.password,
    }


@functools.cache
def _tls_context(ca_file: str | None, certificate_file: str | None, key_file: str | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except (OSError, ValueError) as error:
        raise SettingsError(f"KHABAR_KAFKA_CA_FILE: {ca_file} holds no certificate: {error}") from None
    if certificate_file is not None:
        try:
            context.load_cert_chain(certificate_file, key_file)
        except (OSError, ValueError) as error:
            raise SettingsError(
                f"KHABAR_KAFKA_CERTIFICATE_FILE: {certificate_file} and its key cannot be used: {error}"
            ) from None
    return context


async def check_kafka(bootstrap: Bootstrap) -> None:
    """Check that Kafka accepts the credentials, and its certificate is trusted. Raises ``SettingsError``.

    A Kafka that does not answer passes: it may answer later.
    """
    try:
        await _try_kafka(bootstrap)
    except SettingsError:
        await asyncio.sleep(_SECOND_TRY_AFTER)
        await _try_kafka(bootstrap)


async def _try_kafka(bootstrap: Bootstrap) -> None:
    from aiokafka import errors
    from aiokafka.conn import create_conn

    options = client_options(bootstrap)
    for address in options.pop("bootstrap_servers").split(","):
        host, port = address.rsplit(":", 1)
        try:
            async with asyncio.timeout(_CHECK_TIMEOUT):
                connection = await create_conn(host.strip("[]"), int(port), **options)
        except (errors.SaslAuthenticationFailed, errors.UnsupportedSaslMechanismError) as error:
            raise SettingsError(
                f"KHABAR_KAFKA_USER, KHABAR_KAFKA_PASSWORD: Kafka at {address} refuses the user "
                f"{options['sasl_plain_username']!r} with {options['sasl_mechanism']}: {error_text(error)}"
            ) from None
        except errors.IllegalSaslStateError:
            raise SettingsError(f"KHABAR_KAFKA_SECURITY: Kafka at {address} asks for no user there") from None
        except ssl.SSLCertVerificationError as error:
            raise SettingsError(
                f"KHABAR_KAFKA_CA_FILE: the certificate of Kafka at {address} is not trusted: {error.verify_message}"
            ) from None
        except ssl.SSLError as error:
            raise SettingsError(
                f"KHABAR_KAFKA_SECURITY: no TLS connection to Kafka at {address}: {error.reason or error}"
            ) from None
        except (errors.KafkaError, OSError, TimeoutError):
            continue
        connection.close()
        return


def error_text(error: Exception) -> str:
    """What an error of aiokafka says, without its number and class."""
    return str(error.args[0] if error.args else error).rstrip(".")


def redis_client(url: str, **options: Any) -> "Redis":
    """A client for a ``redis://``, ``rediss://`` or ``unix://`` URL, or for Sentinel.

    Sentinel: ``redis+sentinel://[USER:PASSWORD@]HOST:PORT[,HOST:PORT]/SERVICE[/DB]``, ``rediss+sentinel`` with TLS to
    the sentinels too. User and password are those of the servers; ``?sentinel_username=`` and ``sentinel_password=``
    those of the sentinels. Close it with ``close_redis``. Raises ``ValueError`` when the URL is not valid.
    """
    from redis.asyncio import Redis
    from redis.asyncio.sentinel import Sentinel

    parts = urlsplit(url)
    if not parts.scheme.endswith("+sentinel"):
        return Redis.from_url(url, **options)
    userinfo, _, hosts = parts.netloc.rpartition("@")
    user, _, password = userinfo.partition(":")
    service, _, database = parts.path.strip("/").partition("/")
    addresses = [one.rpartition(":") for one in hosts.split(",")]
    if not service or not all(host and port.isdecimal() for host, _, port in addresses):
        raise ValueError("Sentinel: redis+sentinel://HOST:PORT[,HOST:PORT]/SERVICE[/DB]")
    query: dict[str, Any] = dict(parse_qsl(parts.query))
    timeouts = {name: options[name] for name in ("socket_timeout", "socket_connect_timeout") if name in options}
    of_sentinels = {name: query.pop(f"sentinel_{name}", None) for name in ("username", "password")}
    transport = {"ssl": True} | query if parts.scheme.startswith("rediss") else query
    sentinel: Any = Sentinel(  # type: ignore[no-untyped-call]
        [(host.strip("[]"), int(port)) for host, _, port in addresses],
        sentinel_kwargs={**timeouts, **of_sentinels, **transport},
    )
    client: Redis = sentinel.master_for(
        service,
        username=unquote(user) or None,
        password=unquote(password) or None,
        db=int(database or 0),
        **transport,
        **options,
    )
    return client


async def close_redis(client: "Redis") -> None:
    """Close a client of ``redis_client`` and its connections to sentinels."""
    from redis.asyncio.sentinel import SentinelConnectionPool

    await client.aclose()
    pool = client.connection_pool
    if isinstance(pool, SentinelConnectionPool):
        await pool.sentinel_manager.aclose()


def redis_url_with(url: str, *, password: str | None, ca_file: Path | None) -> str:
    """The URL with a password, unless it has one, and with the certificates to trust."""
    if password is None and ca_file is None:
        return url
    parts = urlsplit(url)
    userinfo, _, hosts = parts.netloc.rpartition("@")
    if password is not None and ":" not in userinfo:
        parts = parts._replace(netloc=f"{userinfo}:{quote(password, safe='')}@{hosts}")
    if ca_file is not None:
        query = [*parse_qsl(parts.query), ("ssl_ca_certs", str(ca_file.resolve()))]
        parts = parts._replace(query=urlencode(query))
    return parts.geturl()


def shown_redis_url(url: str) -> str:
    """The URL without user, password and options, for messages and logs."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


async def check_redis(url: str) -> None:
    """Check that the store accepts the credentials, and its certificate is trusted. Raises ``SettingsError``.

    A store that does not answer passes: it may answer later.
    """
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff
    from redis.exceptions import AuthenticationError, AuthorizationError, RedisError

    once = Retry(NoBackoff(), 0)
    client = redis_client(url, socket_timeout=_CHECK_TIMEOUT, socket_connect_timeout=_CHECK_TIMEOUT, retry=once)
    try:
        await client.ping()
    except (AuthenticationError, AuthorizationError) as error:
        raise SettingsError(f"KHABAR_REDIS: {shown_redis_url(url)} refuses user or password: {error}") from None
    except RedisError as error:
        refused = next((one for one in _causes(error) if isinstance(one, ssl.SSLError)), None)
        if "WRONGPASS" in str(error) or "NOAUTH" in str(error) or "NOPERM" in str(error):
            raise SettingsError(f"KHABAR_REDIS: {shown_redis_url(url)} refuses user or password: {error}") from None
        if isinstance(refused, ssl.SSLCertVerificationError):
            raise SettingsError(
                f"KHABAR_REDIS_CA_FILE: the certificate of {shown_redis_url(url)} is not trusted: "
                f"{refused.verify_message}"
            ) from None
        if refused is not None:
            raise SettingsError(f"KHABAR_REDIS: no TLS connection to {shown_redis_url(url)}: {refused}") from None
    except (OSError, TimeoutError):
        pass
    finally:
        await close_redis(client)


def _causes(error: BaseException | None) -> list[BaseException]:
    found: list[BaseException] = []
    while error is not None and len(found) < 10:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found
