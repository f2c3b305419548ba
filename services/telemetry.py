"""Logs (structlog over the standard library, text or JSON) and Prometheus metrics."""

import logging
import os
import sys

import structlog
from prometheus_client import start_http_server

from services.errors import SettingsError
from services.settings import Settings

# Libraries that log too much. The Kafka client logs each failed attempt to connect as an error; the callers already
# log once when Kafka is unavailable, and once when it is back.
_LEVELS = {
    "aiokafka": logging.CRITICAL,
    "aiokafka.consumer": logging.ERROR,
    "faust": logging.WARNING,
    "mode": logging.WARNING,
    "uvicorn.access": logging.WARNING,
    "trafilatura": logging.CRITICAL,
    "htmldate": logging.CRITICAL,
    "asyncio": logging.WARNING,
}


def configure(settings: Settings, service: str) -> None:
    """Send all logs of this process to standard error, each line with time, level, service and event."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service)
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if settings.log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=_colors())
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(settings.log_level.upper())
    for name, level in _LEVELS.items():
        logging.getLogger(name).setLevel(level)


def _colors() -> bool:
    """Whether standard error is a terminal that shows colours, and nobody has switched them off (no-color.org)."""
    return sys.stderr.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def serve_metrics(settings: Settings) -> None:
    """Serve this process's metrics to Prometheus where the settings say; with port 0 not at all.

    Raises ``SettingsError`` when that address cannot be listened on.
    """
    if not settings.metrics_port:
        return
    try:
        start_http_server(settings.metrics_port, settings.metrics_host)
    except OSError as error:
        address = f"{settings.metrics_host}:{settings.metrics_port}"
        raise SettingsError(f"KHABAR_METRICS_PORT: cannot listen on {address}: {error.strerror}") from None
