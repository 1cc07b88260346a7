"""What a server counts, in the form that Prometheus reads."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60)
TEXTS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """Counters of one server, in a registry of their own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        self._requests = Counter(
            "workbench_requests", "Requests that were answered.", ("method", "path", "status"), registry=self._registry
        )
        self._seconds = Histogram(
            "workbench_request_seconds", "Wall time of requests.", ("path",), buckets=SECONDS, registry=self._registry
        )
        self._running = Gauge("workbench_requests_running", "Requests at work or in line.", registry=self._registry)
        self._inside = Gauge(
            "workbench_lane_requests", "Requests in a lane, those at work included.", ("lane",), registry=self._registry
        )
        self._worked = Histogram(
            "workbench_lane_seconds", "Time at work, without waiting.", ("lane",), buckets=SECONDS,
            registry=self._registry,
        )  # fmt: skip
        self._refused = Counter(
            "workbench_lane_refused", "Requests that found a lane full.", ("lane",), registry=self._registry
        )
        self._encoded = Counter("workbench_encoded_texts", "Texts encoded.", ("task",), registry=self._registry)
        self._batches = Histogram(
            "workbench_batch_texts", "Texts that were encoded together.", ("task",), buckets=TEXTS,
            registry=self._registry,
        )  # fmt: skip
        self._documents = Gauge(
            "workbench_documents", "Documents of an open collection.", ("collection",), registry=self._registry
        )

    def began(self) -> None:
        """A request came."""
        self._running.inc()

    def ended(self, method: str, path: str, status: int, seconds: float) -> None:
        """A request was answered.

        Args:
            method: Of HTTP.
            path: Of the function that answered, not of the request, so that there are few of them.
            status: Of HTTP.
            seconds: Wall time.
        """
        self._running.dec()
        self._requests.labels(method, path, str(status)).inc()
        self._seconds.labels(path).observe(seconds)

    def inside(self, lane: str, count: int) -> None:
        """So many requests are in a lane."""
        self._inside.labels(lane).set(count)

    def worked(self, lane: str, seconds: float) -> None:
        """A lane was at work for so long."""
        self._worked.labels(lane).observe(seconds)

    def refused(self, lane: str) -> None:
        """A lane was full."""
        self._refused.labels(lane).inc()

    def encoded(self, task: str, texts: int) -> None:
        """So many texts were encoded together."""
        self._encoded.labels(task).inc(texts)
        self._batches.labels(task).observe(texts)

    def written(self, documents: Mapping[str, int]) -> bytes:
        """All of it as text.

        Args:
            documents: Collection -> how many documents it has now.

        Returns:
            What Prometheus reads.
        """
        self._documents.clear()
        for name, count in documents.items():
            self._documents.labels(name).set(count)
        return generate_latest(self._registry)
