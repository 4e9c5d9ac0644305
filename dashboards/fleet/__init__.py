"""The fleet dashboard: which hosts churn, which interfaces are worst, which agents are ill."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models import dashboard as models

from fleet.agents import agents
from fleet.churn import churn
from fleet.glance import at_a_glance
from fleet.labels import DEVICE, TO_DEVICE, together, worst_hosts
from fleet.worst import forwarding, worst
from parts.alerts import alerts, firing
from parts.annotations import annotate
from parts.frame import FLEET_UID, HOST_UID, choice, everything, finished, frame
from parts.promql import HOSTS, HOSTS_AND_JOBS


def _worst() -> dashboard.QueryVariable:
    """Return the hidden variable of the hosts that the tables of the worst devices ask."""
    hosts = choice("worst", "Worst", f"query_result({worst_hosts()})")
    hosts.regex('/instance="([^"]+)"/').hide(models.VariableHide.HIDE_VARIABLE)
    return everything(hosts, None)


def fleet() -> models.Dashboard:
    """Return the dashboard of all hosts."""
    board = frame(
        FLEET_UID,
        "IP interfaces: fleet",
        "Which hosts churn, which interfaces are worst, what churns together, and whether the "
        "agents that report it are well.",
        ("IP interfaces: host", HOST_UID),
        many=True,
    )
    board.with_variable(_worst())
    fires = firing(HOSTS_AND_JOBS)
    started = HOSTS.select("process_start_time_seconds")
    annotate(
        board,
        HOSTS_AND_JOBS,
        # In a fleet some alert always fires: only where one begins.
        alerts=f"count by (alertname, severity) ({fires} unless {fires} offset 1m)",
        restarts=f"count(time() - {started} < 60)",
        churn=f"max({together()}) >= 3",
    )
    at_a_glance(board)
    alerts(board, HOSTS_AND_JOBS, DEVICE, TO_DEVICE)
    for part in (churn, worst, forwarding, agents):
        part(board)
    return finished(board)
