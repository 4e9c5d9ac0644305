"""Marks on the graphs of both dashboards: alerts, restarts, losses and churn."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models import dashboard as models

from parts.panels import DATASOURCE
from parts.promql import RATE, Scope


class _PrometheusAnnotation(models.AnnotationQuery):
    """What Grafana's Prometheus data source adds to an annotation.

    Source: https://github.com/grafana/grafana/blob/v11.6.0/packages/grafana-prometheus/src/annotations.ts
    """

    title: str
    labels: str

    def to_json(self) -> dict[str, object]:
        """Return the members of the JSON."""
        added = {"step": "60s", "tagKeys": self.labels, "titleFormat": self.title}
        return {**super().to_json(), **added}


class _Marks(dashboard.AnnotationQuery):
    def __init__(self, title: str, labels: str) -> None:
        self._internal = _PrometheusAnnotation()
        self._internal.title = title
        self._internal.labels = labels


def marks(
    name: str, color: str, expr: str, title: str, labels: str = ""
) -> dashboard.AnnotationQuery:
    """Return marks of the times at which `expr` is above 0.

    `title` can have ``{{label}}`` in it; `labels` are shown beside it, those that there are.
    """
    mark = _Marks(title, labels).name(name).icon_color(color).enable(True).datasource(DATASOURCE)
    return mark.expr(expr)


def annotate(
    board: dashboard.Dashboard, scope: Scope, alerts: str, restarts: str, churn: str
) -> None:
    """Add the marks: where these are above 0. `alerts` has the label alertname."""
    resyncs = scope.increase("ip_interface_exporter_source_resyncs_total", RATE)
    for mark in (
        marks("Alerts", "orange", alerts, "{{alertname}}", "severity,device"),
        marks("Agent restarts", "blue", restarts, "Agent restarted", "instance"),
        marks(
            "Lost notifications",
            "red",
            f"sum by (instance) ({resyncs}) > 0",
            "Notifications were lost, all interfaces were read again",
            "instance",
        ),
        marks("Churn", "purple", churn, "Churn"),
    ):
        board.annotation(mark)
