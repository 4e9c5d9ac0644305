"""Finds the metrics, matchers, labels and windows of a PromQL expression."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import promql_parser as promql

from exporter.metrics.catalog import (
    EXPORTER_METRICS,
    HOST_METRICS,
    IDENTITY,
    AgentMetric,
    HistogramMetric,
    series_metrics,
)


class Node(NamedTuple):
    """A part of an expression, and what it is inside of, the nearest last."""

    at: Any
    inside: tuple[Any, ...]


def nodes(expression: str) -> list[Node]:
    """Return every part of an expression, the outermost first. Raises ValueError for bad PromQL."""
    found: list[Node] = []
    stack: list[Any] = []

    def enter(node: Any) -> bool:
        found.append(Node(node, tuple(stack)))
        stack.append(node)
        return True

    def leave(node: Any) -> bool:
        stack.pop()
        return True

    promql.walk(promql.parse(expression), enter, leave)
    return found


def selectors(expression: str) -> Iterator[Node]:
    """The parts that name a metric."""
    return (node for node in nodes(expression) if isinstance(node.at, promql.VectorSelector))


def matchers(selector: promql.VectorSelector) -> dict[str, tuple[promql.MatchOp, str]]:
    """(operator, value) by label."""
    return {m.name: (m.op, m.value) for m in selector.matchers.matchers}


def grouping_labels(expression: str) -> set[str]:
    """The labels after by, without, on, ignoring and group_left."""
    labels: set[str] = set()
    for node in nodes(expression):
        modifier = getattr(node.at, "modifier", None)
        if isinstance(node.at, promql.AggregateExpr) and modifier:
            labels.update(modifier.labels)
        elif isinstance(node.at, promql.BinaryExpr) and modifier:
            labels.update(modifier.matching.labels if modifier.matching else ())
            labels.update(modifier.group_labels or ())
    return labels


def is_grown(node: Node) -> bool:
    """Return whether only the growth of this counter is used."""
    window, call = (None, None, *node.inside)[-1:-3:-1]
    if isinstance(window, promql.MatrixSelector):
        return isinstance(call, promql.Call) and call.func.name in ("rate", "irate", "increase")
    return is_new(window)


def is_new(node: Any) -> bool:
    """Return whether this is ``x unless x offset …``, the value of a counter that is new."""
    if not isinstance(node, promql.BinaryExpr) or " unless " not in " ".join(str_of(node).split()):
        return False
    sides = (node.lhs, node.rhs)
    if not all(isinstance(side, promql.VectorSelector) for side in sides):
        return False
    same = node.lhs.name == node.rhs.name and matchers(node.lhs) == matchers(node.rhs)
    return same and node.lhs.offset is None and node.rhs.offset is not None


def str_of(node: Any) -> str:
    """The PromQL of a part."""
    text: str = node.prettify()
    return text


def declared() -> dict[str, set[str]]:
    """The labels of each series that the exporter declares."""
    series: dict[str, set[str]] = {}
    for metric in series_metrics(all_parameters=True, backend="iphlpapi"):
        series[metric.name] = {*IDENTITY, *metric.labels}
    for metric in (*HOST_METRICS, *EXPORTER_METRICS):
        if isinstance(metric, AgentMetric):
            series[metric.name] = set(metric.labels)
        else:
            assert isinstance(metric, HistogramMetric)
            series[f"{metric.name}_bucket"] = {"le", *metric.labels}
            series[f"{metric.name}_count"] = series[f"{metric.name}_sum"] = set(metric.labels)
    return series
