"""What the gateway tells Prometheus."""

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
    """Counters and gauges in a registry of their own, so that two gateways can live in one process."""

    def __init__(self, log: "Log") -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self.connections = Gauge("khabar_api_connections", "Open subscriptions.", ["transport"], registry=self.registry)
        self.delivered = Counter(
            "khabar_api_events_delivered", "Events handed to subscribers.", ["transport"], registry=self.registry
        )
        self.too_slow = Counter(
            "khabar_api_too_slow", "Subscribers dropped because they read too slowly.", registry=self.registry
        )
        self.unparsable = Counter(
            "khabar_api_unparsable_records", "Records of updates that were skipped.", registry=self.registry
        )
        self.pushes = Counter(
            "khabar_api_pushes", "Pushes by the status that was answered.", ["status"], registry=self.registry
        )
        for name, text, value in (
            ("log_bytes", "Memory of the shared log.", lambda: log.bytes),
            ("log_start_offset", "Oldest offset in the shared log.", lambda: log.start),
            ("log_end_offset", "Offset behind the newest event in the shared log.", lambda: log.end),
        ):
            Gauge(f"khabar_api_{name}", text, registry=self.registry).set_function(value)

    def render(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self.registry)
