"""The files for containers agree with the code, and open nothing by default."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.errors import SettingsError
from services.settings import PREFIX, Settings, check_reach

ROOT = Path(__file__).parent.parent
ANY = "0.0.0.0"  # noqa: S104


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    """The Compose file."""
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    return loaded


def test_kafka_has_the_same_version_everywhere(compose: dict[str, Any]) -> None:
    """In the container, in the lock of the embedded one and in what the lock is made of."""
    lock = tomllib.loads((ROOT / "services" / "embedded" / "kafka.lock.toml").read_text(encoding="utf-8"))
    locked = {one["version"] for one in lock["dependencies"] if one["groupId"] == "org.apache.kafka"}
    image = compose["services"]["kafka"]["image"].removeprefix("apache/kafka:")
    wanted = re.search(r"kafka_2\.13:([\d.]+)", (ROOT / "services" / "embedded" / "jars.py").read_text())
    assert wanted is not None
    assert {image, wanted[1]} == locked


def test_images_have_exact_versions(compose: dict[str, Any]) -> None:
    """Not tags that move."""
    images = [service["image"] for service in compose["services"].values() if "build" not in service]
    images += re.findall(r"^FROM (\S+)", (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    for image in images:
        assert image == "khabar:local" or re.search(r":\d+\.\d+\.\d+(-|$)", image), image


def test_only_the_gateway_is_published(compose: dict[str, Any]) -> None:
    """On loopback, and Valkey and ingest are in no network with services that do not use them."""
    services = compose["services"]
    assert {name for name, service in services.items() if "ports" in service} == {"api"}
    assert services["api"]["ports"] == ["${PUBLISH:-127.0.0.1:8000}:8000"]

    def who_reaches(target: str) -> set[str]:
        networks = set(services[target]["networks"])
        return {name for name, service in services.items() if networks & set(service["networks"])} - {target}

    assert who_reaches("valkey") == {"ingest", "enrich", "api"}
    assert who_reaches("kafka") == {"ingest", "enrich", "api"}
    assert set(services["demo"]["networks"]) == {"edge"}


def test_the_services_are_given_settings_that_exist(compose: dict[str, Any]) -> None:
    """An unknown one would stop the start."""
    for service in compose["services"].values():
        given = {name for name in service.get("environment", {}) if name.startswith(PREFIX)}
        known = {PREFIX + name.upper() for name in Settings.model_fields}
        assert given <= known


@pytest.mark.parametrize("published", ["8000", "0.0.0.0:8000", "[::]:8000", "192.0.2.7:8000"])
def test_a_gateway_published_beyond_loopback_needs_keys(published: str) -> None:
    """Whatever it listens on within its container."""
    with pytest.raises(SettingsError, match=r"PUBLISH: without keys the gateway is published on 127\.0\.0\.1 only"):
        check_reach(Settings(host=ANY, published=published))
    check_reach(Settings(host=ANY, published=published, api_keys=("key",)))
    check_reach(Settings(host=ANY, published=published, allow_open=True))


@pytest.mark.parametrize("published", ["127.0.0.1:8000", "[::1]:8000", "localhost:80"])
def test_a_gateway_published_on_loopback_may_be_open(published: str) -> None:
    """As in the first steps."""
    check_reach(Settings(host=ANY, published=published))


def test_valkey_refuses_writes_before_its_container_is_full(compose: dict[str, Any]) -> None:
    """maxmemory is below the container's limit, and nothing is evicted."""
    valkey = compose["services"]["valkey"]
    assert valkey["environment"]["VALKEY_MAXMEMORY"] == "${VALKEY_MAXMEMORY:-700mb}"
    assert valkey["mem_limit"] == "${VALKEY_MEMORY:-1g}"
    assert "--maxmemory-policy noeviction" in valkey["command"][-1]
