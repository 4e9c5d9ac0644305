"""How one IP interface of a host is called, and asked for."""

from __future__ import annotations

from parts.promql import INTERFACE, select

#: One IP interface for a person: its luid and index change when it is made anew.
OF_INTERFACE = "device, family"
NAME = "{{device}} {{family}}"
NAMES = {"device": "Device", "family": "Family"}

NOTIFICATIONS = "ip_interface_notifications_total"
TRANSITIONS = "ip_interface_transitions_total"
UNOBSERVED = "ip_interface_unobserved_transitions_total"


def one(metric: str) -> str:
    """The value of a gauge by interface."""
    return f"max by ({OF_INTERFACE}) ({select(metric, INTERFACE)})"


def polled(window: str) -> str:
    """The changes that the polled gauge shows."""
    return f"changes({select('ip_interface_connected', INTERFACE)}[{window}])"
