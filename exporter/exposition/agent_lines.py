"""Renders the metrics of the computer and the exporter: few lines, at every scrape."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from exporter.exposition.negotiation import Format
from exporter.exposition.text_format import exemplar_text, header, labels, sample
from exporter.metrics.catalog import AgentMetric, HistogramMetric
from exporter.metrics.snapshot import Snapshot
from exporter.monitor.series import Exemplar

#: Name, label names, label values, value and exemplar.
_Sample = tuple[str, tuple[str, ...], tuple[str, ...], float, Exemplar | None]


class AgentSamples(NamedTuple):
    """A metric as it was read."""

    name: str
    type: str
    help: str
    samples: list[_Sample]


def agent_samples(
    metrics: Sequence[AgentMetric | HistogramMetric], snapshot: Snapshot
) -> list[AgentSamples]:
    """Read the metrics. The caller holds the lock of the state."""
    read = []
    for metric in metrics:
        samples: list[_Sample]
        if isinstance(metric, AgentMetric):
            samples = [
                (metric.name, metric.labels, values, value, None)
                for values, value in metric.read(snapshot)
            ]
            read.append(AgentSamples(metric.name, metric.type, metric.help, samples))
        else:
            samples = []
            for values, histogram in metric.read(snapshot):
                names, count = (*metric.labels, "le"), 0
                buckets = zip(histogram.cumulative(), histogram.exemplars, strict=True)
                for (bound, count), exemplar in buckets:
                    with_bound = (*values, bound)
                    samples.append((f"{metric.name}_bucket", names, with_bound, count, exemplar))
                samples.append((f"{metric.name}_count", metric.labels, values, count, None))
                samples.append((f"{metric.name}_sum", metric.labels, values, histogram.sum, None))
            read.append(AgentSamples(metric.name, "histogram", metric.help, samples))
    return read


def agent_lines(read: Sequence[AgentSamples], format: Format) -> bytes:
    """Render the lines of what was read."""
    out: list[str] = []
    for metric in read:
        if metric.samples:
            out.append(header(metric.name, metric.type, metric.help, format))
            for name, names, values, value, exemplar in metric.samples:
                line = sample(name, _labels(names, values), value)
                if exemplar is not None and format is Format.OPENMETRICS:
                    line = f"{line[:-1]}{exemplar_text(exemplar)}\n"
                out.append(line)
    return "".join(out).encode()


@lru_cache(maxsize=512)  # the same at every scrape
def _labels(names: tuple[str, ...], values: tuple[str, ...]) -> str:
    return labels(names, values)
