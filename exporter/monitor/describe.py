"""Puts interfaces and their changes into words, for people."""

from __future__ import annotations

from collections.abc import Iterator

from exporter.errors import escaped
from exporter.model import Cause, Change, Interface, LinkStatus, NotificationType
from exporter.monitor.state import Delta

#: What a change shows for a member that the system does not have.
ABSENT = "-"


def state(interface: Interface) -> str:
    """Return the state and its cause, for example ``disconnected (no carrier)``."""
    if interface.parameters.connected:
        return "connected"
    match interface.status.cause:
        case Cause.ADMINISTRATIVE:
            return "switched off"
        case Cause.CARRIER:
            return "disconnected (no carrier)"
    return f"disconnected ({interface.status.cause_label})"


def value(value: object) -> str:
    """Return a member of the row: ``yes`` and ``no`` for a boolean, `ABSENT` for ``None``."""
    if value is None:
        return ABSENT
    if isinstance(value, bool):
        return "yes" if value else "no"
    return escaped(str(value))


def event(delta: Delta) -> str:
    """Return what happened, in one word."""
    n = delta.notification
    match n.type:
        case NotificationType.ADD:
            return "added"
        case NotificationType.DELETE:
            return "deleted"
    if delta.transition is not None:
        return "connected" if delta.transition else "disconnected"
    return "changed" if delta.changes else "notified"


def details(delta: Delta) -> str:
    """Return before → after of each member that changed, the cause, and what was not notified."""
    return ", ".join(_details(delta))


def _details(delta: Delta) -> Iterator[str]:
    n = delta.notification
    if n.type is NotificationType.ADD and n.interface is not None:
        yield state(n.interface)
        if n.interface.parameters.mtu_bytes is not None:
            yield f"mtu {n.interface.parameters.mtu_bytes}"
    for change in delta.changes:
        yield _change(change)
    if delta.transition is False and n.interface is not None:
        yield f"cause {cause(n.interface.status)}"
    if n.unobserved_connects:
        flaps = "flap" if n.unobserved_connects == 1 else "flaps"
        yield f"{n.unobserved_connects} more {flaps} that no notification showed"
    if n.inferred:
        yield "found by reading the interfaces again"


def cause(status: LinkStatus) -> str:
    """Return the cause as the metrics name it, and RFC 2863's word where that says more."""
    label, more = status.cause.label, status.cause_label
    return label if more == label else f"{label} ({more})"


def _change(change: Change) -> str:
    name = change.parameter.removesuffix("_enabled").removesuffix("_bytes")
    if name == "connected":
        before, after = ("connected" if v else "disconnected" for v in change[1:])
    else:
        before, after = value(change.before), value(change.after)
    return f"{name} {before} → {after}" if name != "connected" else f"{before} → {after}"
