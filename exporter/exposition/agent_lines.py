"""Renders the metrics of the computer and the exporter: few lines, at every scrape."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from exporter.exposition.negotiation import Format
from exporter.exposition.text_format import header, labels, sample
from exporter.metrics.catalogue import AgentMetric, HistogramMetric
from exporter.metrics.snapshot import Snapshot


class AgentSamples(NamedTuple):
    """A metric as it was read."""

    name: str
    type: str
    help: str
    #: Name, label names, label values and value of each sample.
    samples: list[tuple[str, tuple[str, ...], tuple[str, ...], float]]


def agent_samples(
    metrics: Sequence[AgentMetric | HistogramMetric], snapshot: Snapshot
) -> list[AgentSamples]:
    """Read the metrics. The caller holds the lock of the state."""
    read = []
    for metric in metrics:
        if isinstance(metric, AgentMetric):
            samples = [
                (metric.name, metric.labels, values, value)
                for values, value in metric.read(snapshot)
            ]
            read.append(AgentSamples(metric.name, metric.type, metric.help, samples))
        else:
            samples = []
            for values, histogram in metric.read(snapshot):
                names, count = (*metric.labels, "le"), 0
                for bound, count in histogram.cumulative():
                    samples.append((f"{metric.name}_bucket", names, (*values, bound), count))
                samples.append((f"{metric.name}_count", metric.labels, values, count))
                samples.append((f"{metric.name}_sum", metric.labels, values, histogram.sum))
            read.append(AgentSamples(metric.name, "histogram", metric.help, samples))
    return read


def agent_lines(read: Sequence[AgentSamples], format: Format) -> bytes:
    """Render the lines of what was read."""
    out: list[str] = []
    for metric in read:
        if metric.samples:
            out.append(header(metric.name, metric.type, metric.help, format))
            for name, names, values, value in metric.samples:
                out.append(sample(name, _labels(names, values), value))
    return "".join(out).encode()


@lru_cache(maxsize=512)  # the same at every scrape
def _labels(names: tuple[str, ...], values: tuple[str, ...]) -> str:
    return labels(names, values)
