"""The gateway's Prometheus metrics."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)

if TYPE_CHECKING:
    from api.stream.log import Log


class Metrics:
    """Counters and gauges, in a separate registry so that two gateways can run in one process."""

    def __init__(self, shared_log: "Log") -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self.connections = Gauge("khabar_api_connections", "Open subscriptions.", ["transport"], registry=self.registry)
        self.delivered = Counter(
            "khabar_api_events_delivered", "Events delivered to subscribers.", ["transport"], registry=self.registry
        )
        self.too_slow = Counter(
            "khabar_api_too_slow", "Subscribers disconnected because they read too slowly.", registry=self.registry
        )
        self.unparsable = Counter(
            "khabar_api_unparsable_records",
            "Records of updates skipped because they could not be parsed.",
            registry=self.registry,
        )
        self.pushes = Counter(
            "khabar_api_pushes", "Pushes by the status of their answer.", ["status"], registry=self.registry
        )
        self._checks = Gauge("khabar_check_ok", "1: this check of /readyz is ok.", ["check"], registry=self.registry)
        for name, text, value in (
            ("log_bytes", "Bytes of the shared log.", lambda: shared_log.bytes),
            ("log_start_offset", "Oldest offset in the shared log.", lambda: shared_log.start),
            ("log_end_offset", "Offset after the newest event in the shared log.", lambda: shared_log.end),
        ):
            Gauge(f"khabar_api_{name}", text, registry=self.registry).set_function(value)

    def note_checks(self, states: Mapping[str, bool]) -> None:
        """The results of the readiness checks; True: ok."""
        self._checks.clear()
        for name, ok in states.items():
            self._checks.labels(name).set(ok)

    def render(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self.registry)
