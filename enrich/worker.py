"""Runs one Faust worker until it is stopped."""

import asyncio
import sys
from collections.abc import Collection

import faust
import structlog

from enrich.app import create_app
from enrich.stage import STAGES
from services import connections, groups, kafka_topics, telemetry
from services.clock import utc_now
from services.events import ArticleIn, RawArticle
from services.settings import Settings

log = structlog.get_logger(__name__)


def run(settings: Settings, stages: Collection[str] = STAGES) -> None:
    """Wait for Kafka and the topics, then run these stages until SIGTERM or SIGINT. Does not return.

    Raises ``OperatorError`` when the settings ask for a model that is missing or for what Kafka does not allow.
    """
    prepare(settings, stages)
    serve(create_app(settings, stages=stages), settings)


def prepare(settings: Settings, stages: Collection[str] = STAGES) -> None:
    """Set up logs and metrics, load the models these stages need, and wait for Kafka with its topics."""
    telemetry.configure(settings, "enrich")
    telemetry.serve_metrics(settings)
    settings.data_dir.mkdir(parents=True, exist_ok=True)  # Faust makes its own folder in it, but not the parents
    if "annotate" in stages:
        warm_up(settings)
    asyncio.run(_ready(settings))


def serve(app: faust.App, settings: Settings) -> None:
    """Run the app until SIGTERM or SIGINT. Does not return."""
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
    await connections.check_redis(settings.redis_url)
    await kafka_topics.wait_for(settings)
    await groups.check_session(settings.kafka_servers, settings.session_timeout)


def warm_up(settings: Settings) -> None:
    """Load every model and word list now, so that the first article does not wait for them.

    Raises ``OperatorError`` when the recogniser or the encoder that the settings ask for is missing.
    """
    from enrich.annotate import annotate
    from enrich.entities import recognition
    from enrich.fingerprint import embedding

    recognizer = recognition.load(settings.ner, settings.ner_model)
    encoder = embedding.load(settings.vectors)
    for text in ("قال بوتين أمس إن روسيا…", "Путин сказал", "Putin said on Monday"):
        article = ArticleIn(html=f"<p>{text}</p>")
        raw = RawArticle(**article.model_dump(), id="", received_at=utc_now())
        annotate(raw, recognizer=recognizer, encoder=encoder)
