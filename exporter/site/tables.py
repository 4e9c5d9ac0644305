"""Renders the tables of the landing page: the latest changes, and the interfaces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import takewhile

from exporter.model import Notification, NotificationType
from exporter.monitor import describe
from exporter.monitor.history import DisplayState, StateChange
from exporter.monitor.state import Delta
from exporter.site.formatting import duration, family, number, times, visible
from exporter.site.landing_data import InterfaceLine, LandingData

#: Changes, of which the first are not folded.
_MAX_CHANGES, _FIRST_CHANGES = 50, 12
#: A change of a link reaches both families within this time.
_AT_ONCE_SECONDS = 0.05

_CHANGE_COLUMNS = ("Time (UTC)", "Interface", "Family", "Change", "Details")
_COLUMNS = (
    "Interface", "Family", "State", "For", "Transitions", "Notifications", "Index", "LUID",
)  # fmt: skip
_NUMBERS = frozenset(_COLUMNS[3:])


@dataclass(slots=True)
class _ChangeRow:
    """A change of an interface, or the same change of both families."""

    time: float
    device: str
    families: list[str]
    what: str
    details: str

    def same(self, other: _ChangeRow) -> bool:
        """Return whether both are one change of a link: it reaches the families one by one."""
        return (
            self.near(other)
            and (self.device, self.what, self.details) == (other.device, other.what, other.details)
            and not set(self.families) & set(other.families)
        )

    def near(self, other: _ChangeRow) -> bool:
        """Return whether both may have happened at once."""
        return abs(self.time - other.time) < _AT_ONCE_SECONDS


def changes_table(latest: Sequence[tuple[Notification, str, StateChange]], now: float) -> str:
    """Return the latest changes, newest first, each with before → after and cause."""
    if not latest:
        return "<p>Nothing has changed since the start.</p>"
    rows = [_change(row, now) for row in _joined(latest)[:_MAX_CHANGES]]
    body = _table(_CHANGE_COLUMNS, rows[:_FIRST_CHANGES], "Table of the changes")
    if older := rows[_FIRST_CHANGES:]:
        table = _table(_CHANGE_COLUMNS, older, "Table of the older changes")
        body += (
            f'<details id="older"><summary>{len(older)} older changes</summary>{table}</details>'
        )
    return body


def _joined(latest: Sequence[tuple[Notification, str, StateChange]]) -> list[_ChangeRow]:
    """Return the changes, newest first; one of both families once."""
    rows: list[_ChangeRow] = []
    for change in reversed(latest):
        row = _change_row(*change)
        recent = takewhile(row.near, reversed(rows))
        if (both := next(filter(row.same, recent), None)) is not None:
            both.families += row.families
        else:
            rows.append(row)
    return rows


def _change_row(n: Notification, device: str, change: StateChange) -> _ChangeRow:
    connected = (change.before is DisplayState.CONNECTED, change.after is DisplayState.CONNECTED)
    transition = connected[1] if connected[0] is not connected[1] else None
    if n.type in (NotificationType.ADD, NotificationType.DELETE):
        transition = None
    delta = Delta(n, device, change.changes, transition)
    details = describe.details(delta)
    if transition is None and change.before is not change.after and not details:
        details = f"{change.before.label} → {change.after.label}"
    what = "changed" if n.type is NotificationType.REFRESH else describe.event(delta)
    return _ChangeRow(n.time, device, [n.family.label], what, details)


def _change(row: _ChangeRow, now: float) -> str:
    moment = datetime.fromtimestamp(row.time, UTC)
    text = moment.time().isoformat("milliseconds")
    if moment.date() != datetime.fromtimestamp(now, UTC).date():
        text = f"{moment.date()} {text}"
    families = ", ".join(family(label) for label in sorted(row.families))
    class_attribute = f' class="{row.what}"' if row.what in ("connected", "disconnected") else ""
    return (
        f'<tr><td><time datetime="{moment:%Y-%m-%dT%H:%M:%SZ}">{text}</time></td>'
        f'<th scope="row"><bdi>{visible(row.device)}</bdi></th><td>{families}</td>'
        f"<td{class_attribute}>{row.what}</td><td>{visible(row.details)}</td></tr>"
    )


def interfaces_tables(data: LandingData) -> str:
    """Return what changed, and hardware, in a table; fold away what is quiet and virtual."""
    body = '<h2 id="interfaces-title">Interfaces</h2>'
    if not data.interfaces and not data.quiet:
        return f"{body}<p>There is no IP interface.</p>"
    if data.interfaces:
        body += _interfaces(
            data.interfaces, data.more_interfaces, "Table of the interfaces", data.time
        )
    if data.quiet:
        opened = " open" if data.everything or not data.interfaces else ""
        count = times(len(data.quiet) + data.more_quiet, "interface", "interfaces")
        table = _interfaces(data.quiet, data.more_quiet, "Table of the quiet interfaces", data.time)
        body += (
            f'<details id="quiet"{opened}><summary>{count} that are quiet and virtual</summary>'
            f"{table}</details>"
        )
    return body


def _interfaces(lines: Sequence[InterfaceLine], more: int, label: str, time: float) -> str:
    rest = f'<p>{number(more)} more: <a href="?all">show all</a></p>' if more else ""
    rows = [_interface(line, time) for line in lines]
    return _table(_COLUMNS, rows, label, "Counts are since the start") + rest


def _interface(line: InterfaceLine, time: float) -> str:
    state = {True: "connected", False: "disconnected", None: "gone"}[line.connected]
    if line.connected is None and not line.luid:
        state = "several"
    text = state
    if line.connected is False and line.switched_off:
        state, text = "off", "switched off"
    elif line.connected is False and line.reason:
        text = f"disconnected <small>{visible(line.reason)}</small>"
    seconds = "–"
    if line.state_seconds is not None:
        since = time - line.state_seconds
        seconds = f'<span data-since="{since:.0f}">{duration(line.state_seconds)}</span>'
    numbers = (
        seconds,
        number(line.transitions),
        number(line.notifications),
        visible(line.index) or "–",
        visible(line.luid) or "–",
    )
    cells = "".join(f'<td class="number">{text}</td>' for text in numbers)
    return (
        # bdi: a name with right-to-left marks must not rearrange the row.
        f'<tr><th scope="row"><bdi>{visible(line.device)}</bdi></th>'
        f'<td>{family(line.family)}</td><td class="{state}">{text}</td>{cells}</tr>'
    )


def _table(columns: Sequence[str], rows: Sequence[str], label: str, caption: str = "") -> str:
    classes = dict.fromkeys(_NUMBERS, ' class="number"')
    head = "".join(f'<th scope="col"{classes.get(name, "")}>{name}</th>' for name in columns)
    body = "\n".join(rows)
    captioned = f"<caption>{caption}</caption>\n" if caption else ""
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{label}"><table>\n'
        f"{captioned}<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table></div>"
    )
