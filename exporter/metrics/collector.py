"""The catalog as a prometheus_client collector, for programs with a registry of their own.

The tests compare the scrape page with it: prometheus_client's encoders must print from this
collector what `exposition` prints from its cache.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from prometheus_client import samples
from prometheus_client.metrics_core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

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
from exporter.monitor.series import Exemplar


class CatalogCollector(Collector):
    """Register it in a CollectorRegistry. Thread: any."""

    def __init__(self, read: Callable[[], Snapshot], metrics: Sequence[SeriesMetric]) -> None:
        self._read = read
        self._metrics = tuple(metrics)

    def __repr__(self) -> str:
        return f"<CatalogCollector {len(self._metrics)} metrics of an IP interface>"

    def collect(self) -> Iterable[Metric]:
        """Return every family that has samples now, all of one state."""
        with locked_snapshot(self._read) as snapshot:
            families = [_agent_family(metric, snapshot) for metric in HOST_METRICS]
            families += [_series_family(metric, snapshot) for metric in self._metrics]
            families += [_agent_family(metric, snapshot) for metric in EXPORTER_METRICS]
        return [family for family in families if family.samples]


def _family(name: str, type_: str, help_: str) -> Metric:
    return Metric(name.removesuffix("_total") if type_ == "counter" else name, help_, type_)


def _agent_family(metric: AgentMetric | HistogramMetric, snapshot: Snapshot) -> Metric:
    if isinstance(metric, HistogramMetric):
        histograms = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
        for values, histogram in metric.read(snapshot):
            buckets = [
                (bound, count, _exemplar(exemplar)) if exemplar else (bound, count)
                for (bound, count), exemplar in zip(
                    histogram.cumulative(), histogram.exemplars, strict=True
                )
            ]
            histograms.add_metric(values, buckets, histogram.sum)
        return histograms
    family = _family(metric.name, metric.type, metric.help)
    for values, value in metric.read(snapshot):
        family.add_sample(metric.name, dict(zip(metric.labels, values, strict=True)), value)
    return family


def _exemplar(exemplar: Exemplar) -> samples.Exemplar:
    return samples.Exemplar(exemplar.labels, exemplar.seconds, exemplar.time)


def _series_family(metric: SeriesMetric, snapshot: Snapshot) -> Metric:
    family = _family(metric.name, metric.type, metric.help)
    for series in snapshot.state.series_sets:
        identity_labels = dict(zip(IDENTITY, identity(series), strict=True))
        for values, value in metric.read(series, snapshot.instant):
            extra = dict(zip(metric.labels, values, strict=True))
            family.add_sample(metric.name, identity_labels | extra, value)
    return family
