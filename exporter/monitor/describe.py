"""Puts interfaces and their changes into words, for people."""

from __future__ import annotations

from collections.abc import Iterator

from exporter.errors import escaped
from exporter.model import Cause, Change, Interface, LinkStatus, NotificationType, OperStatus
from exporter.monitor.state import Delta

#: What a change shows for a member that the system does not have.
ABSENT = "-"

#: Why a link that is administratively up does not work.
_REASONS = {
    OperStatus.DOWN: "down",
    OperStatus.TESTING: "testing",
    OperStatus.DORMANT: "dormant",
    OperStatus.NOT_PRESENT: "not present",
    OperStatus.LOWER_LAYER_DOWN: "lower layer down",
}


def state(interface: Interface) -> str:
    """Return the state and its cause, for example ``disconnected (no carrier)``."""
    if interface.parameters.connected:
        return "connected"
    if interface.status.cause is Cause.ADMINISTRATIVE:
        return "switched off"
    return f"disconnected ({reason(interface.status) or 'unknown'})"


def reason(status: LinkStatus) -> str:
    """Return why an interface that is not switched off is disconnected; "" if not known."""
    return "no carrier" if status.cause is Cause.CARRIER else _REASONS.get(status.oper_status, "")


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
    """Return the cause as the label `cause` has it, and RFC 2863's word where that says more."""
    label, more = status.cause.label, status.cause_label
    return label if more == label else f"{label} ({more})"


def _change(change: Change) -> str:
    name = change.parameter.removesuffix("_enabled").removesuffix("_bytes")
    if name == "connected":
        before, after = ("connected" if v else "disconnected" for v in change[1:])
    else:
        before, after = value(change.before), value(change.after)
    return f"{name} {before} → {after}" if name != "connected" else f"{before} → {after}"
