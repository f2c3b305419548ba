"""The limits that Kafka sets for the consumer group."""

import pytest

from services import groups
from services.embedded.kafka import Kafka
from services.errors import SettingsError


async def test_a_session_timeout_that_kafka_does_not_allow_is_an_error(kafka: Kafka) -> None:
    """The error names the setting and the allowed range; otherwise the worker would try to join forever."""
    await groups.check_session(kafka.bootstrap, 1.0)
    await groups.check_session(kafka.bootstrap, 300.0)
    with pytest.raises(SettingsError, match=r"KHABAR_SESSION_TIMEOUT: Kafka allows 1 to 1800 s, not 0.5"):
        await groups.check_session(kafka.bootstrap, 0.5)
    with pytest.raises(SettingsError, match="not 4000"):
        await groups.check_session(kafka.bootstrap, 4_000.0)
