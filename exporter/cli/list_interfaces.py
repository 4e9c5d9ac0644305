"""The command list: a table of the IP interfaces as they are now."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text as StyledText

from exporter.clock import SYSTEM
from exporter.errors import escaped
from exporter.model import Interface, Link, format_luid
from exporter.monitor import describe
from exporter.settings.options import Text, regex
from exporter.settings.schema import Settings
from exporter.sources import system_source
from exporter.sources.recording import encode_present

_COLUMNS = (
    "DEVICE", "FAMILY", "STATE", "MTU", "FORWARDING", "METRIC", "KIND", "ALIAS", "INDEX", "LUID",
)  # fmt: skip
_UNLIMITED = 100_000
_NUMBERS = frozenset({"MTU", "METRIC", "INDEX"})


def run_list(settings: Settings, devices: Sequence[str], *, as_json: bool) -> int:
    """Print the selected IP interfaces; return 1 if there are none.

    `devices` are names, or regular expressions that match whole names; none selects all.
    Raises OSError, and SettingsError for an expression that is invalid.
    """
    interfaces = _selected(settings, devices)
    if as_json:
        print(json.dumps([_as_object(i) for i in interfaces], indent=2))
    elif interfaces:
        _print_table(interfaces)
    return 0 if interfaces else 1


def _selected(settings: Settings, devices: Sequence[str]) -> list[Interface]:
    collector = settings.collector
    source = system_source(collector.family, collector.receive_buffer_bytes)
    try:
        source.open()
        interfaces = source.interfaces()
    finally:
        source.close()
    names = {i.link.name for i in interfaces}
    expressions = [Text("list DEVICE", d).read(regex) for d in devices if d not in names]

    def selected(link: Link) -> bool:
        named = link.name in devices or any(e.fullmatch(link.name) for e in expressions)
        return (named or not devices) and collector.selection.includes(link)

    return sorted((i for i in interfaces if selected(i.link)), key=lambda i: (i.ifindex, i.family))


def _as_object(interface: Interface) -> object:
    """Return the members of a recording's line, and the state as a person reads it."""
    line = json.loads(encode_present(interface, SYSTEM.wall(), SYSTEM.monotonic()))
    for key in ("time", "instant", "event"):
        del line[key]
    return {"device": interface.link.name, **line, "state": describe.state(interface)}


def _print_table(interfaces: Sequence[Interface]) -> None:
    rows = [_cells(i) for i in interfaces]
    table = Table(box=None, pad_edge=False, header_style="bold")
    shown = [n for n, name in enumerate(_COLUMNS) if name == "DEVICE" or any(r[n] for r in rows)]
    for n in shown:
        name = _COLUMNS[n]
        table.add_column(name, justify="right" if name in _NUMBERS else "left", no_wrap=True)
    for row, interface in zip(rows, interfaces, strict=True):
        style = "green" if interface.parameters.connected else "dim"
        table.add_row(*(StyledText(row[n], style if n == _STATE else "") for n in shown))
    console = Console(file=sys.stdout, highlight=False, width=_UNLIMITED)
    # As wide as the longest line: the terminal wraps what does not fit, and nothing is cut off.
    console.width = console.measure(table).maximum
    console.print(table)


_STATE = _COLUMNS.index("STATE")


def _cells(interface: Interface) -> tuple[str, ...]:
    """Return the texts of `_COLUMNS`; "" where the system has no such member."""
    row, link = interface.parameters, interface.link

    def optional(member: object) -> str:
        return "" if member is None else describe.value(member)

    return (
        escaped(link.name),
        interface.family.label,
        describe.state(interface),
        optional(row.mtu_bytes),
        optional(row.forwarding_enabled),
        optional(row.metric),
        escaped(link.kind),
        escaped(link.alias),
        str(interface.ifindex),
        format_luid(interface.luid),
    )
