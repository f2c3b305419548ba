"""Runs one Faust worker until it is told to stop."""

import asyncio
import sys
from datetime import UTC, datetime

import structlog

from enrich.annotate import annotate
from enrich.entities import recognition
from enrich.fingerprint import embedding
from services import groups, kafka_topics, telemetry
from services.events import ArticleIn, RawArticle
from services.settings import Settings

log = structlog.get_logger(__name__)


def run(settings: Settings) -> None:
    """Wait for Kafka and the topics, then work until SIGTERM or SIGINT. Does not return."""
    telemetry.configure(settings, "enrich")
    telemetry.serve_metrics(settings.metrics_port)
    settings.data_dir.mkdir(parents=True, exist_ok=True)  # Faust makes its own folder in it, but not the parents
    warm_up(settings)
    asyncio.run(_ready(settings))
    from enrich.app import app  # noqa: PLC0415 - making the app reads settings and opens clients

    worker = app.Worker(
        loglevel=settings.log_level.upper(),
        logfile=None,
        override_logging=False,
        redirect_stdouts=False,
        quiet=True,
    )
    worker.spinner = None  # its end would write a terminal's control sequence into the log
    sys.exit(worker.execute_from_commandline())


async def _ready(settings: Settings) -> None:
    """Return when Kafka is there with its topics. Raises ``SettingsError`` when it will not have such a worker."""
    await kafka_topics.wait_for(settings)
    await groups.check_session(settings.kafka_servers, settings.session_timeout)


def warm_up(settings: Settings) -> None:
    """Load every model and word list now, so that the first article does not wait for them.

    Raises ``OperatorError`` when the recogniser or the encoder that the settings ask for is not there.
    """
    recognizer = recognition.load(settings.ner, settings.ner_model)
    encoder = embedding.load(settings.vectors)
    for text in ("قال بوتين أمس إن روسيا…", "Путин сказал", "Putin said on Monday"):
        article = ArticleIn(html=f"<p>{text}</p>")
        raw = RawArticle(**article.model_dump(), id="", received_at=datetime.now(UTC))
        annotate(raw, recognizer=recognizer, encoder=encoder)
