"""The catalogue as a prometheus_client collector, for programs with a registry of their own.

It is also the oracle of the scrape page: prometheus_client's encoders must print from it
what `exposition` prints from its cache.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from prometheus_client.exposition import generate_latest
from prometheus_client.gc_collector import GCCollector
from prometheus_client.metrics_core import HistogramMetricFamily, Metric
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector, CollectorRegistry

from exporter.metrics.catalogue import (
    EXPORTER_METRICS,
    HOST_METRICS,
    IDENTITY,
    STATE_SECONDS,
    AgentMetric,
    HistogramMetric,
    SeriesMetric,
    identity,
    state_seconds,
)
from exporter.metrics.snapshot import Snapshot, snapshot


class CatalogueCollector(Collector):
    """Register it in a CollectorRegistry. Thread: any."""

    def __init__(self, read: Callable[[], Snapshot], metrics: Sequence[SeriesMetric]) -> None:
        self._read = read
        self._metrics = tuple(metrics)

    def collect(self) -> Iterable[Metric]:
        """Every family that has samples now, all of one state."""
        with snapshot(self._read) as reading:
            families = [_agent_family(metric, reading) for metric in HOST_METRICS]
            families += [_series_family(metric, reading) for metric in self._metrics]
            families += [_agent_family(metric, reading) for metric in EXPORTER_METRICS]
        return [family for family in families if family.samples]


def _family(name: str, type_: str, help_: str) -> Metric:
    return Metric(name.removesuffix("_total") if type_ == "counter" else name, help_, type_)


def _agent_family(metric: AgentMetric | HistogramMetric, reading: Snapshot) -> Metric:
    if isinstance(metric, HistogramMetric):
        histograms = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
        for values, histogram in metric.read(reading):
            histograms.add_metric(values, histogram.cumulative(), histogram.sum)
        return histograms
    family = _family(metric.name, metric.type, metric.help)
    for values, value in metric.read(reading):
        family.add_sample(metric.name, dict(zip(metric.labels, values, strict=True)), value)
    return family


def _series_family(metric: SeriesMetric, reading: Snapshot) -> Metric:
    family = _family(metric.name, metric.type, metric.help)
    for series in reading.state.series():
        who = dict(zip(IDENTITY, identity(series), strict=True))
        samples = (
            state_seconds(series, reading.instant)
            if metric.name == STATE_SECONDS
            else metric.read(series)
        )
        for values, value in samples:
            extra = dict(zip(metric.labels, values, strict=True))
            family.add_sample(metric.name, who | extra, value)
    return family


def library_page() -> Callable[[bool], bytes]:
    """Renders prometheus_client's own metrics of this process and its Python (no EOF)."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)

    def render(openmetrics: bool) -> bytes:
        if openmetrics:
            page: bytes = generate_openmetrics(registry)  # type: ignore[no-untyped-call]
            return page.removesuffix(b"# EOF\n")
        return generate_latest(registry)

    return render
