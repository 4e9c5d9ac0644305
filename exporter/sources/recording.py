"""The recording format: one JSON object a line, so that a file cut off anywhere can be read.

A recording begins with a line that names its format, then has a line for each interface that
existed (``present``), then one for each notification::

    {"format": 1, "time": 1700000000.0, "instant": 81.25, "event": "start"}
    {"time": 1700000000.25, "instant": 81.5, "event": "parameter", "family": "ipv4",
     "luid": "0x0006000003000000", "index": 3,
     "link": {"name": "eth0", "kind": "veth", "type": 6, "address": "02:00:00:00:00:01"},
     "row": {"connected": true, "mtu_bytes": 1500},
     "status": {"enabled": true, "oper_status": "up", "carrier": true}}

``time`` is Unix time, ``instant`` a clock that does not jump (``time`` stands in for it),
both in seconds. ``link``, ``row`` and ``status`` are left out where there was none, and their
members where they are empty or absent. ``inferred`` and ``unobserved`` appear only where they
apply. The first recordings had no ``start`` line.

A reader ignores members that it does not know; what changes the meaning of the others gets
another format number. Several recordings may stand in one file.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

from exporter.errors import is_text
from exporter.model import (
    Family,
    Interface,
    InterfaceRow,
    Link,
    LinkStatus,
    Notification,
    NotificationType,
    OperStatus,
    format_luid,
)

#: The format that is written.
FORMAT = 1
#: Longer lines are invalid.
MAX_LINE_BYTES = 65536

#: OTLP has 64 bits for a whole number, and for a time in nanoseconds.
_END_OF_NUMBERS = 2**63
_END_OF_TIME = 2**63 / 1e9

_OPER_STATUS = {status.label: status for status in OperStatus}
_TYPES = {type_.label: type_ for type_ in NotificationType}
_START, _PRESENT = "start", "present"
_MEMBERS = frozenset({
    "format", "time", "instant", "event", "family", "luid", "index", "link", "row", "status",
    "inferred", "unobserved",
})  # fmt: skip

#: Called with the name of each member that is ignored because it is not known.
OnUnknown = Callable[[str], object]


class RecordingError(ValueError):
    """An invalid line; the message says what is wrong."""


class Start(NamedTuple):
    """The beginning of a recording."""

    time: float
    instant: float
    format: int


class Present(NamedTuple):
    """An interface that existed when the recording began."""

    time: float
    instant: float
    interface: Interface


#: A line of a recording.
Item = Start | Present | Notification


def encode_start(time: float, instant: float) -> str:
    """Return the first line of a recording."""
    return _dump({"format": FORMAT, "time": time, "instant": instant, "event": _START})


def encode_present(interface: Interface, time: float, instant: float) -> str:
    """Return the line of an interface that exists at the start."""
    line = {"time": time, "instant": instant, "event": _PRESENT}
    return _dump(line | _encode_interface(interface))


def encode(n: Notification) -> str:
    """Return the line of a notification."""
    line: dict[str, Any] = {"time": n.time, "instant": n.instant, "event": n.type.label}
    if n.inferred:
        line["inferred"] = True
    if n.unobserved_connects or n.unobserved_disconnects:
        line["unobserved"] = [n.unobserved_connects, n.unobserved_disconnects]
    if n.interface is not None:
        line |= _encode_interface(n.interface)
    elif n.type is not NotificationType.INITIAL:
        line |= {"family": n.family.label, "luid": format_luid(n.luid), "index": n.ifindex}
    return _dump(line)


def _dump(line: dict[str, Any]) -> str:
    return json.dumps(line, separators=(",", ":")) + "\n"


def _encode_interface(interface: Interface) -> dict[str, Any]:
    line: dict[str, Any] = {
        "family": interface.family.label,
        "luid": format_luid(interface.luid),
        "index": interface.ifindex,
        "link": {k: v for k, v in interface.link._asdict().items() if v or k == "name"},
        "row": {k: v for k, v in interface.parameters._asdict().items() if v is not None},
    }
    if interface.status != LinkStatus():
        status = {k: v for k, v in interface.status._asdict().items() if v is not None}
        line["status"] = status | {"oper_status": interface.status.oper_status.label}
    return line


def decode(line: bytes, on_unknown: OnUnknown = lambda _: None) -> Item:
    """Return the meaning of a line. Raises RecordingError."""
    if len(line) > MAX_LINE_BYTES:
        raise RecordingError(f"longer than {MAX_LINE_BYTES} bytes")
    try:
        data = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise RecordingError(f"not JSON ({error})") from None
    if not isinstance(data, dict):
        raise RecordingError("not a JSON object")
    for name in data.keys() - _MEMBERS:
        on_unknown(name)
    time = _number(data, "time")
    instant = _number(data, "instant") if "instant" in data else time
    event = str(data.get("event"))
    if event == _START:
        return Start(time, instant, _integer(data, "format"))
    if event == NotificationType.INITIAL.label:
        return Notification(NotificationType.INITIAL, Family.UNSPEC, 0, 0, time, instant)
    if event != _PRESENT and event not in _TYPES:
        raise RecordingError(
            f'"event" is {event!r}: expected one of {_START}, {_PRESENT}, {", ".join(_TYPES)}'
        )
    try:
        family = Family.from_label(str(data.get("family")))
    except ValueError as error:
        raise RecordingError(str(error)) from None
    luid, index = _luid(data), _integer(data, "index")
    interface = None
    if "link" in data or "row" in data or event == _PRESENT:
        interface = Interface(family, luid, index, *_parts(data, on_unknown))
    if event == _PRESENT:
        assert interface is not None
        return Present(time, instant, interface)
    connects, disconnects = _unobserved(data)
    return Notification(
        _TYPES[event],
        family,
        luid,
        index,
        time,
        instant,
        interface,
        connects,
        disconnects,
        data.get("inferred") is True,
    )


def _number(data: dict[str, Any], key: str) -> float:
    value = data.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RecordingError(f'"{key}" is {value!r}: expected a number of seconds')
    if not 0 <= value < _END_OF_TIME:
        raise RecordingError(f'"{key}" is {value!r}: expected seconds, before the year 2262')
    return float(value)


def _integer(data: dict[str, Any], key: str) -> int:
    value = data.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 32:
        raise RecordingError(f'"{key}" is {value!r}: expected a whole number from 0 to 2^32-1')
    return value


def _luid(data: dict[str, Any]) -> int:
    text = data.get("luid")
    try:
        luid = int(text, 16) if isinstance(text, str) else -1
    except ValueError:
        luid = -1
    if not 0 <= luid < 1 << 64:
        raise RecordingError(f'"luid" is {text!r}: expected 64 bits in hexadecimal')
    return luid


def _unobserved(data: dict[str, Any]) -> tuple[int, int]:
    value = data.get("unobserved", [0, 0])
    if (
        not isinstance(value, list)
        or len(value) != 2
        or any(type(v) is not int or not 0 <= v < 1 << 32 for v in value)
    ):
        raise RecordingError(f'"unobserved" is {value!r}: expected [connects, disconnects]')
    return value[0], value[1]


def _parts(data: dict[str, Any], on_unknown: OnUnknown) -> tuple[Link, InterfaceRow, LinkStatus]:
    return (
        _link(_object(data, "link", Link._fields, on_unknown)),
        _row(_object(data, "row", InterfaceRow._fields, on_unknown)),
        _status(_object(data, "status", LinkStatus._fields, on_unknown))
        if "status" in data
        else LinkStatus(),
    )


def _object(
    data: dict[str, Any], key: str, members: tuple[str, ...], on_unknown: OnUnknown
) -> dict[str, Any]:
    """Return the known members of an object."""
    value = data.get(key)
    if not isinstance(value, dict):
        raise RecordingError(f'"{key}" is {value!r}: expected an object')
    for name in value.keys() - set(members):
        on_unknown(f"{key}.{name}")
    return {name: value[name] for name in members if name in value}


def _link(value: dict[str, Any]) -> Link:
    for name, text in value.items():
        if name == "type":
            _integer(value, name)
        elif not isinstance(text, str):
            raise RecordingError(f'"link.{name}" is {text!r}: expected text')
        elif not is_text(text):
            raise RecordingError(f'"link.{name}" is {text!r}: it holds half of a surrogate pair')
    if "name" not in value:
        raise RecordingError('"link" has no "name"')
    return Link(**value)


def _row(value: dict[str, Any]) -> InterfaceRow:
    zones = value.pop("zone_indices", None)
    for name, number in value.items():
        boolean = isinstance(InterfaceRow._field_defaults[name], bool)
        if not isinstance(number, bool if boolean else int | float):
            raise RecordingError(f'"row.{name}" is {number!r}: expected a number or a boolean')
        if not abs(number) < _END_OF_NUMBERS:
            raise RecordingError(f'"row.{name}" is {number!r}: expected less than 2^63')
    if zones is not None:
        if not isinstance(zones, list) or any(
            type(zone) is not int or not abs(zone) < _END_OF_NUMBERS for zone in zones
        ):
            raise RecordingError(f'"row.zone_indices" is {zones!r}: expected a list of numbers')
        value["zone_indices"] = tuple(zones[:16])
    return InterfaceRow(**value)


def _status(value: dict[str, Any]) -> LinkStatus:
    for name in ("enabled", "carrier"):
        if not isinstance(value.get(name), bool | None):
            raise RecordingError(f'"status.{name}" is {value[name]!r}: expected a boolean')
    text = value.get("oper_status", OperStatus.UNKNOWN.label)
    status = _OPER_STATUS.get(text) if isinstance(text, str) else None
    if status is None:
        expected = ", ".join(_OPER_STATUS)
        raise RecordingError(f'"status.oper_status" is {text!r}: expected one of {expected}')
    return LinkStatus(value.get("enabled"), status, value.get("carrier"))
