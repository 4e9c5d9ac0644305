"""The fleet dashboard: which hosts churn, which interfaces are worst, which agents are ill."""

from __future__ import annotations

from grafana_foundation_sdk.models import dashboard as models

from fleet.agents import agents
from fleet.churn import churn
from fleet.glance import at_a_glance
from fleet.worst import forwarding, worst
from parts.frame import FLEET_UID, HOST_UID, everything, finished, frame


def fleet() -> models.Dashboard:
    """The dashboard of all hosts."""
    board = frame(
        FLEET_UID,
        "IP interfaces: fleet",
        "Which hosts churn, which interfaces are worst, what churns together, and whether the "
        "agents that tell so are well.",
        ("IP interfaces: host", HOST_UID),
        everything,
    )
    for part in (at_a_glance, churn, worst, forwarding, agents):
        part(board)
    return finished(board)
