"""Metrics: what the service counts and times, in the form of Prometheus."""

import time
from collections.abc import Awaitable, Callable

from fastapi import Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest

BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)  # seconds
UNKNOWN = "unknown"  # the route of a path that there is not: paths that somebody makes up must not become labels


class Metrics:
    """This counts for one process; several workers are told apart by who asks each of them."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "warmstart_requests", "Requests by route and status.", ["route", "method", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "warmstart_request_seconds",
            "Seconds that a request took.",
            ["route"],
            buckets=BUCKETS,
            registry=self.registry,
        )
        self.events = Counter("warmstart_events", "Events by what became of them.", ["outcome"], registry=self.registry)
        self.recommended = Counter(
            "warmstart_recommendations", "Recommendations by what was known.", ["stage"], registry=self.registry
        )
        self.items = Gauge("warmstart_items", "Items that can be recommended.", registry=self.registry)

    async def timed(self, request: Request, go_on: Callable[[Request], Awaitable[Response]]) -> Response:
        """Count and time a request."""
        begun = time.perf_counter()
        status = 500
        try:
            answer = await go_on(request)
            status = answer.status_code
            return answer
        finally:
            route = getattr(request.scope.get("route"), "path", UNKNOWN)
            self.requests.labels(route, request.method, status).inc()
            self.seconds.labels(route).observe(time.perf_counter() - begun)

    def shown(self) -> Response:
        """All figures."""
        return Response(generate_latest(self.registry), media_type=CONTENT_TYPE_LATEST)
