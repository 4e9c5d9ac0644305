"""The alerts that fire, and whether the rules that the dashboards use are there."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard

from parts.frame import row
from parts.looks import RULES
from parts.panels import figure, now
from parts.promql import OF_DEVICE, WATCHED, Scope
from parts.tables import Column, listing


def _alerts(scope: Scope, metric: str, *matchers: str) -> str:
    """Select alerts of config/alerts."""
    return scope.select(metric, 'alertname=~"IpInterface.+"', *matchers)


def firing(scope: Scope) -> str:
    """Select the alerts that fire."""
    return _alerts(scope, "ALERTS", 'alertstate="firing"')


def alerts(
    board: dashboard.Dashboard,
    scope: Scope,
    labels: dict[str, str],
    links: dict[str, tuple[str, str]],
) -> None:
    """Add the row of the alerts that fire. `labels` and `links` are those of `tables.listing`."""
    which = f"alertname, severity, {OF_DEVICE}"
    since = f"1000 * max by ({which}) ({_alerts(scope, 'ALERTS_FOR_STATE')})"
    row(
        board,
        "Alerts",
        listing(
            "Firing alerts",
            "Alerts of this project's rules that fire now on what is chosen. The runbooks in "
            "config/runbooks say what to do.",
            {"alertname": "Alert", "severity": "Severity", **labels},
            [
                Column(
                    "Since",
                    f"{since} and on ({which}) {firing(scope)}",
                    "dateTimeFromNow",
                    # All alerts can be about whole jobs: then there are no hosts to fill the table.
                    wide=True,
                )
            ],
            (20, 7),
            sort_by="Since",
            empty="No alert fires.",
            links=links,
            letters={"alertname": len("IpInterfaceManyHostsDisconnected"), "severity": 8},
        ),
        figure(
            "Recording rules",
            "Whether Prometheus has the recording rules of config/alerts, which say what is "
            "watched. Without them, choose All under Interfaces, and the panels that need them "
            "stay empty.",
            "none",
            # Of any host: one with nothing to watch has none of its own.
            now(f"(count({WATCHED}) > bool 0) or vector(0)", "rules"),
            words=RULES,
            size=(4, 7),
        ),
    )
