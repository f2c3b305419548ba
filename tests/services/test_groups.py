"""What Kafka allows the workers' group."""

import pytest

from services import groups
from services.embedded.kafka import Kafka
from services.errors import SettingsError


async def test_a_session_that_kafka_refuses_is_told_at_the_start(kafka: Kafka) -> None:
    """Instead of a worker that asks again and again: the setting is named, and what is allowed."""
    await groups.check_session(kafka.bootstrap, 1.0)
    await groups.check_session(kafka.bootstrap, 300.0)
    with pytest.raises(SettingsError, match=r"KHABAR_SESSION_TIMEOUT: Kafka allows 1 to 1800 s, not 0.5"):
        await groups.check_session(kafka.bootstrap, 0.5)
    with pytest.raises(SettingsError, match="not 4000"):
        await groups.check_session(kafka.bootstrap, 4_000.0)
