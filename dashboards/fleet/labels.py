"""Which hosts and interfaces the fleet is told apart by, and where a click on one leads."""

from __future__ import annotations

from parts.frame import AGENT, ROW_HOST, ROW_INTERFACE
from parts.promql import RANGE, select

#: One host; one IP interface, whose luid and index change when it is made anew.
OF_HOST = "job, instance"
OF_INTERFACE = "job, instance, device, family"

INTERFACE = {"instance": "Host", "device": "Device", "family": "Family", "job": ""}
TO_HOST = {"instance": ("Open this host", ROW_HOST)}
TO_INTERFACE = {**TO_HOST, "device": ("Open this interface", ROW_INTERFACE)}

#: Together is within a minute: no step, and so no window, is shorter.
MINUTE = "1m"
SCRAPED = select("up")
#: `up` alone is every target of a job; these were our agents at some time of the range.
AGENTS = f"last_over_time({select(AGENT)}[{RANGE}])"


def of_agents(expression: str) -> str:
    """Only what is about our agents, not about other targets of a job."""
    return f"({expression}) and on ({OF_HOST}) {AGENTS}"


def together(by_host: str) -> str:
    """On how many hosts there was any, in each window."""
    return f"sum(({by_host}) > bool 0)"
