"""Settings are checked at start; errors name the setting."""

from pathlib import Path

import pytest

from services import settings
from services.errors import SettingsError


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("KHABAR_PORT", "http"),
        ("KHABAR_PORT", "70000"),
        ("KHABAR_REDIS", "localhost:6379"),
        ("KHABAR_LOG_LEVEL", "loud"),
        ("KHABAR_RAW_PARTITIONS", "0"),
        ("KHABAR_KAFKA", "nonsense"),
        ("KHABAR_KAFKA", "a:9092,b"),
        ("KHABAR_FEEDS", "nowhere.txt"),
        ("KHABAR_API_KEYS_FILE", "nowhere.txt"),
        ("KHABAR_ALLOW_OPEN", "perhaps"),
        ("KHABAR_ORIGINS", "news.example"),
        ("KHABAR_ORIGINS", "https://news.example/,*"),
        ("KHABAR_MAX_CONNECTIONS_PER_ADDRESS", "-1"),
        ("KHABAR_MAX_WEBHOOKS", "0"),
        ("KHABAR_WEBHOOK_PAUSE_HOURS", "0"),
    ],
)
def test_the_error_for_a_wrong_value_names_the_setting(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the environment variable."""
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=name):
        settings.load()


def test_an_unknown_name_is_an_error_with_a_suggestion(monkeypatch: pytest.MonkeyPatch) -> None:
    """A misspelt setting is not silently ignored."""
    monkeypatch.setenv("KHABAR_KAFAK", "localhost:9092")
    with pytest.raises(SettingsError, match="unknown setting KHABAR_KAFAK; did you mean KHABAR_KAFKA"):
        settings.load()


def test_an_unknown_name_in_the_env_file_is_an_error_too() -> None:
    """``.env`` is checked like the environment; names that do not begin with KHABAR_ are ignored."""
    Path(".env").write_text("PUBLISH=1\nKHABAR_PROT=8000\n")
    with pytest.raises(SettingsError, match="unknown setting KHABAR_PROT; did you mean KHABAR_PORT"):
        settings.load()


def test_env_file_is_read_and_the_environment_takes_precedence(monkeypatch: pytest.MonkeyPatch) -> None:
    """``.env`` in the working directory provides the settings that the environment does not set."""
    Path(".env").write_text("KHABAR_PORT=8123\nKHABAR_HOST=0.0.0.0\n")
    monkeypatch.setenv("KHABAR_HOST", "127.0.0.1")
    loaded = settings.load()
    assert (loaded.port, loaded.host) == (8123, "127.0.0.1")


def test_an_option_takes_precedence_over_both(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command-line option takes precedence; None means that it was not given."""
    monkeypatch.setenv("KHABAR_PORT", "8123")
    assert settings.load(port=9000, host=None).port == 9000


def test_addresses_of_a_running_instance_are_found(tmp_path: Path) -> None:
    """Commands find the addresses of a running ``khabar up``; explicit ones take precedence."""
    settings.endpoints_file(tmp_path).write_text('{"kafka": "127.0.0.1:1", "redis": "redis://127.0.0.1:2/0"}')
    loaded = settings.load(data_dir=tmp_path)
    assert (loaded.kafka_servers.addresses, loaded.redis_url) == ("127.0.0.1:1", "redis://127.0.0.1:2/0")
    assert settings.load(data_dir=tmp_path, kafka="k:9092").kafka_servers.addresses == "k:9092"


def test_keys_are_split(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several API keys are separated by commas."""
    monkeypatch.setenv("KHABAR_API_KEYS", "one:read, two ,")
    assert settings.load().api_keys == ("one:read", "two")


def test_keys_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings that are printed or logged do not contain keys."""
    monkeypatch.setenv("KHABAR_API_KEYS", "hidden-1")
    monkeypatch.setenv("KHABAR_API_KEY", "hidden-2")
    assert "hidden" not in repr(settings.load()) + str(settings.load())


def test_origins_are_split_and_converted_to_lower_case(monkeypatch: pytest.MonkeyPatch) -> None:
    """Browsers send origins in lower case."""
    monkeypatch.setenv("KHABAR_ORIGINS", "https://News.example, http://[::1]:3000 ,null")
    assert settings.load().origins == ("https://news.example", "http://[::1]:3000", "null")
