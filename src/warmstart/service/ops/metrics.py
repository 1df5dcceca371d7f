"""Metrics: what the service counts and times, in the form of Prometheus."""

from fastapi import Response
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)

BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)  # seconds
# the route of a path that there is not: paths that somebody makes up must not become labels
UNKNOWN = "unknown"


class Metrics:
    """This counts for one process; several workers are told apart by who asks each of them."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "warmstart_requests",
            "Requests by route and status.",
            ["route", "method", "status"],
            registry=self.registry,
        )
        self.seconds = Histogram(
            "warmstart_request_seconds",
            "Seconds that a request took.",
            ["route"],
            buckets=BUCKETS,
            registry=self.registry,
        )
        self.events = Counter(
            "warmstart_events",
            "Events by what became of them.",
            ["outcome"],
            registry=self.registry,
        )
        self.recommended = Counter(
            "warmstart_recommendations",
            "Recommendations by what was known.",
            ["stage"],
            registry=self.registry,
        )
        self.items = Gauge(
            "warmstart_items", "Items that can be recommended.", registry=self.registry
        )

    def count(self, route: str | None, method: str, status: int, seconds: float) -> None:
        """Count a request that was answered; `route` is None where there is none for its path."""
        self.requests.labels(route or UNKNOWN, method, status).inc()
        self.seconds.labels(route or UNKNOWN).observe(seconds)

    def shown(self) -> Response:
        """All figures."""
        return Response(generate_latest(self.registry), media_type=CONTENT_TYPE_LATEST)
