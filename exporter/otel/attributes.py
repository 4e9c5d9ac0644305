"""The attributes of a notification, the same in span events and log events.

OpenTelemetry defines the names of interface and family; the other names begin with
``ip_interface.``.

Source: https://opentelemetry.io/docs/specs/semconv/registry/attributes/network/
"""

from __future__ import annotations

from exporter.model import Notification, NotificationType, format_luid
from exporter.monitor.state import Delta

#: Name of a span event, and ``event_name`` of a log event.
EVENT_NAME = "ip_interface.notification"

#: The largest integer that OTLP can encode.
MAX_INT64 = 2**63 - 1

Value = bool | int | float | str | list[int]
Attributes = dict[str, Value]


def unix_nanoseconds(n: Notification) -> int:
    """Return the time of a notification in Unix nanoseconds."""
    return int(n.time * 1e9)


def interface_name(delta: Delta, previous: str = "") -> str:
    """Return the name of the interface, or `previous` if the notification has none.

    Without either it is `Delta.device`, which can be the name of a group.
    """
    interface = delta.notification.interface
    return (interface.link.name if interface else previous) or previous or delta.device


def interface_attributes(n: Notification, name: str) -> Attributes:
    """Return the attributes that identify the IP interface."""
    return {
        "network.interface.name": name,
        "network.type": n.family.label,
        "ip_interface.luid": format_luid(n.luid),
        "ip_interface.index": n.ifindex,
    }


def change_name(delta: Delta) -> str:
    """Return what happened: the type of the notification, or the state that began."""
    if delta.transition is not None:
        return "connected" if delta.transition else "disconnected"
    return delta.notification.type.label


def event_attributes(delta: Delta, name: str) -> Attributes:
    """Return the attributes of the IP interface and of its change."""
    n = delta.notification
    attributes = interface_attributes(n, name)
    attributes["ip_interface.change"] = n.type.label
    if n.type is NotificationType.ADD and n.interface is not None:
        attributes["ip_interface.kind"] = n.interface.link.kind
        if (mtu := n.interface.parameters.mtu_bytes) is not None:
            attributes["ip_interface.parameter.mtu_bytes.after"] = mtu
    for change in delta.changes:
        prefix = f"ip_interface.parameter.{change.parameter}"
        for moment, value in (("before", change.before), ("after", change.after)):
            if value is not None:
                attributes[f"{prefix}.{moment}"] = _value(value)
    if delta.transition is False and n.interface is not None and not n.inferred:
        attributes["ip_interface.disconnection.cause"] = n.interface.status.cause_label
    if n.unobserved_connects:
        attributes["ip_interface.unobserved.connected"] = n.unobserved_connects
    if n.unobserved_disconnects:
        attributes["ip_interface.unobserved.disconnected"] = n.unobserved_disconnects
    if n.inferred:
        attributes["ip_interface.inferred"] = True
    return attributes


def _value(value: object) -> Value:
    if isinstance(value, tuple):
        return list(value)
    if isinstance(value, int) and value > MAX_INT64:
        return str(value)
    assert isinstance(value, bool | int | float | str)
    return value
