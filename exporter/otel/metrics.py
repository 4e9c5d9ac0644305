"""Encodes the catalog as OTLP metrics, with the names, labels and values of a scrape.

The data points are created directly, because the SDK's observable instruments have no
histogram, keep reporting deleted series, and merge all attribute sets beyond 2,000. A metric
has a unit if its name ends with it: stores append other units to the name.

Source: https://opentelemetry.io/docs/specs/otel/metrics/data-model/
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence

from opentelemetry.sdk.metrics import Exemplar as OtelExemplar
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    HistogramDataPoint,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.metrics.export import Histogram as HistogramData
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from exporter import __version__
from exporter.metrics.catalog import (
    EXPORTER_METRICS,
    HOST_METRICS,
    IDENTITY,
    AgentMetric,
    HistogramMetric,
    SeriesMetric,
    identity,
)
from exporter.metrics.snapshot import Snapshot, locked_snapshot
from exporter.monitor.series import Exemplar, Histogram, SeriesSet, nanoseconds
from exporter.otel.attributes import MAX_INT64
from exporter.otel.trace_ids import root_span_id
from exporter.version import NAME

#: Data points in one request: below the 4 MiB that a gRPC server takes by default.
REQUEST_POINTS = 8_192

_CUMULATIVE = AggregationTemporality.CUMULATIVE

_UNITS = {"_seconds": "s", "_bytes": "By"}

#: Labels and value of a sample.
_Labeled = tuple[dict[str, str], float]


class MetricEncoder:
    """Encodes the metrics of a snapshot. Not thread-safe."""

    def __init__(
        self, read: Callable[[], Snapshot], metrics: Sequence[SeriesMetric], resource: Resource
    ) -> None:
        self._read = read
        self._metrics = tuple(metrics)
        self._resource = resource
        self._scope = InstrumentationScope(NAME, __version__)
        self._began = time.time_ns()

    def encode(self) -> Iterator[tuple[MetricsData, int]]:
        """Yield requests of a bounded size with all metrics, each with its data points."""
        metrics: list[Metric] = []
        points = 0
        for metric in self._metrics_now():
            count = len(metric.data.data_points)
            if points + count > REQUEST_POINTS and metrics:
                yield self._request(metrics), points
                metrics, points = [], 0
            metrics.append(metric)
            points += count
        if metrics:
            yield self._request(metrics), points

    def _request(self, metrics: list[Metric]) -> MetricsData:
        scope = ScopeMetrics(self._scope, metrics, "")
        return MetricsData([ResourceMetrics(self._resource, [scope], self._resource.schema_url)])

    def _metrics_now(self) -> list[Metric]:
        """Encode one snapshot."""
        host: list[Metric] = []
        exporter: list[Metric] = []
        # The monitor thread waits meanwhile, so the series are only copied: 1 µs each.
        with locked_snapshot(self._read) as snapshot:
            now = time.time_ns()
            for metric in HOST_METRICS:
                host += self._agent_metric(metric, snapshot, now)
            for metric in EXPORTER_METRICS:
                exporter += self._agent_metric(metric, snapshot, now)
            copies = [series.copy() for series in snapshot.state.series_sets]
        interfaces: list[Metric] = []
        for m in self._metrics:
            samples = _series_samples(m, copies, snapshot.instant)
            interfaces += self._numbers(m.name, m.type, m.help, samples, now)
        return host + interfaces + exporter

    def _agent_metric(
        self, metric: AgentMetric | HistogramMetric, snapshot: Snapshot, now: int
    ) -> Iterator[Metric]:
        if isinstance(metric, AgentMetric):
            samples = ((_labels(metric.labels, v), value) for v, value in metric.read(snapshot))
            yield from self._numbers(metric.name, metric.type, metric.help, samples, now)
        elif points := [
            _histogram_point(_labels(metric.labels, values), histogram, self._began, now)
            for values, histogram in metric.read(snapshot)
        ]:
            unit = _unit(metric.name)
            yield Metric(metric.name, metric.help, unit, HistogramData(points, _CUMULATIVE))

    def _numbers(
        self, name: str, type_: str, help_: str, samples: Iterable[_Labeled], now: int
    ) -> Iterator[Metric]:
        """Yield the metric if it has samples, in parts if it is too large for a request."""
        points = [
            NumberDataPoint(labels, self._began, now, _number(value)) for labels, value in samples
        ]
        for start in range(0, len(points), REQUEST_POINTS):
            part = points[start : start + REQUEST_POINTS]
            data = Sum(part, _CUMULATIVE, is_monotonic=True) if type_ == "counter" else Gauge(part)
            yield Metric(name, help_, _unit(name), data)


def _unit(name: str) -> str:
    """Return the unit in UCUM, as OpenTelemetry writes it, or "" for a number of things."""
    base = name.removesuffix("_total")
    return next((unit for end, unit in _UNITS.items() if base.endswith(end)), "")


def _labels(names: tuple[str, ...], values: tuple[str, ...]) -> dict[str, str]:
    return dict(zip(names, values, strict=True))


def _series_samples(
    metric: SeriesMetric, all_series: Iterable[SeriesSet], instant: float
) -> Iterator[_Labeled]:
    for series in all_series:
        labels = _labels(IDENTITY, identity(series))
        for values, value in metric.read(series, instant):
            yield labels | _labels(metric.labels, values), value


def _number(value: float) -> int | float:
    """Convert a value for the encoder, which knows no bool and no integer beyond 64 bits."""
    if isinstance(value, int) and value <= MAX_INT64:
        return int(value)
    return float(value)


def _histogram_point(
    labels: dict[str, str], histogram: Histogram, began: int, now: int
) -> HistogramDataPoint:
    counts = []
    total = 0
    for _, cumulative in histogram.cumulative():
        counts.append(cumulative - total)
        total = cumulative
    return HistogramDataPoint(
        labels,
        began,
        now,
        total,
        histogram.sum,
        counts,
        histogram.bounds,
        None,  # type: ignore[arg-type]  # the minimum and the maximum
        None,  # type: ignore[arg-type]  # are unknown, and left out by the encoder
        [_exemplar(each) for each in histogram.exemplars if each is not None],
    )


def _exemplar(exemplar: Exemplar) -> OtelExemplar:
    trace_id = exemplar.trace_id
    return OtelExemplar(
        {"network.interface.name": exemplar.device},
        exemplar.seconds,
        nanoseconds(exemplar.time),
        None if trace_id is None else root_span_id(trace_id),
        trace_id,
    )
