"""The catalogue as OTLP data points: the names, labels and values that a scrape has.

The points are made directly, as a bridge from another metrics library would: the SDK's
observable instruments know no histogram, keep reporting what has vanished, and fold
everything beyond 2,000 attribute sets into one. Names carry no unit beside them, so that no
store appends it once more.

Source: https://opentelemetry.io/docs/specs/otel/metrics/data-model/
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence

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
from exporter.metrics.catalogue import (
    EXPORTER_METRICS,
    HOST_METRICS,
    IDENTITY,
    AgentMetric,
    HistogramMetric,
    SeriesMetric,
    identity,
)
from exporter.metrics.snapshot import Snapshot, snapshot
from exporter.monitor.series import Histogram, SeriesSet
from exporter.version import NAME

#: Data points in one request: below the 4 MiB that a gRPC server takes by default.
REQUEST_POINTS = 8_192

_CUMULATIVE = AggregationTemporality.CUMULATIVE
_MAX_INTEGER = 2**63 - 1

#: Labels and value of one sample.
_Labelled = tuple[dict[str, str], float]


class PointMaker:
    """Reads the catalogue. Thread: one."""

    def __init__(
        self, read: Callable[[], Snapshot], metrics: Sequence[SeriesMetric], resource: Resource
    ) -> None:
        self._read = read
        self._metrics = tuple(metrics)
        self._resource = resource
        self._scope = InstrumentationScope(NAME, __version__)
        self._began = time.time_ns()

    def collect(self) -> Iterator[tuple[MetricsData, int]]:
        """Everything as of now, in requests of a bounded size, each with its data points."""
        metrics: list[Metric] = []
        points = 0
        for metric in self._read_all():
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

    def _read_all(self) -> list[Metric]:
        """One state, never a mixture of two."""
        host: list[Metric] = []
        own: list[Metric] = []
        with snapshot(self._read) as reading:  # only to copy, 1 µs a series: the collector waits
            now = time.time_ns()
            for metric in HOST_METRICS:
                host += self._agent_metric(metric, reading, now)
            for metric in EXPORTER_METRICS:
                own += self._agent_metric(metric, reading, now)
            copies = [series.copy() for series in reading.state.series()]
        interfaces: list[Metric] = []
        for m in self._metrics:
            samples = _series_samples(m, copies, reading.instant)
            interfaces += self._numbers(m.name, m.type, m.help, samples, now)
        return host + interfaces + own

    def _agent_metric(
        self, metric: AgentMetric | HistogramMetric, reading: Snapshot, now: int
    ) -> Iterator[Metric]:
        if isinstance(metric, AgentMetric):
            samples = ((_labels(metric.labels, v), value) for v, value in metric.read(reading))
            yield from self._numbers(metric.name, metric.type, metric.help, samples, now)
        elif points := [
            _histogram_point(_labels(metric.labels, values), histogram, self._began, now)
            for values, histogram in metric.read(reading)
        ]:
            yield Metric(metric.name, metric.help, "", HistogramData(points, _CUMULATIVE))

    def _numbers(
        self, name: str, type_: str, help_: str, samples: Iterable[_Labelled], now: int
    ) -> Iterator[Metric]:
        """The metric, if it has samples; in pieces, if it has more than a request holds."""
        points = [
            NumberDataPoint(labels, self._began, now, _number(value)) for labels, value in samples
        ]
        for start in range(0, len(points), REQUEST_POINTS):
            piece = points[start : start + REQUEST_POINTS]
            data = Sum(piece, _CUMULATIVE, True) if type_ == "counter" else Gauge(piece)
            yield Metric(name, help_, "", data)


def _labels(names: tuple[str, ...], values: tuple[str, ...]) -> dict[str, str]:
    return dict(zip(names, values, strict=True))


def _series_samples(
    metric: SeriesMetric, all_series: Iterable[SeriesSet], instant: float
) -> Iterator[_Labelled]:
    for series in all_series:
        who = _labels(IDENTITY, identity(series))
        for values, value in metric.read(series, instant):
            yield who | _labels(metric.labels, values), value


def _number(value: float) -> int | float:
    """As it is encoded: truth values are integers, and integers have 64 bits."""
    if isinstance(value, int) and value <= _MAX_INTEGER:
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
        None,  # type: ignore[arg-type]  # nobody keeps the minimum and
        None,  # type: ignore[arg-type]  # the maximum; the encoder leaves them out
    )
