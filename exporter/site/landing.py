"""Renders the landing page: the state of the agent and of the interfaces, for people.

The page is one file without external resources. Its script only updates it: without JavaScript
it is the same page, as of its loading. Interface names can be hostile, so everything is escaped,
and a Content-Security-Policy would block what is not.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from html import escape
from urllib.parse import quote

from exporter.model import Notification, NotificationType
from exporter.monitor import describe
from exporter.monitor.history import Shift, Shown, Strip
from exporter.monitor.state import Delta
from exporter.site.landing_script import SCRIPT
from exporter.site.landing_style import STYLE
from exporter.site.timeline import Window, bar, disconnections, legend
from exporter.site.visible import visible


@dataclass(frozen=True, slots=True)
class InterfaceLine:
    """A row of the table: an IP interface. Numbers count from the start of the exporter."""

    device: str
    #: ``ipv4`` or ``ipv6``.
    family: str
    #: As in the labels, decimal and hexadecimal; empty if several interfaces share the row.
    index: str
    luid: str
    #: ``None``: the interface was deleted, or several share the row.
    connected: bool | None
    #: It is administratively down. `reason`: why it is disconnected otherwise, if known.
    switched_off: bool
    reason: str
    notifications: int
    transitions: int
    #: The time in the present state. ``None``: unknown.
    state_seconds: float | None
    #: It is made by software, not hardware.
    virtual: bool = False


@dataclass(frozen=True, slots=True)
class FamilyCount:
    """The numbers of IP interfaces of a family."""

    family: str
    interfaces: int
    connected: int


@dataclass(frozen=True, slots=True)
class LandingData:
    """The data of the page at `time`, in Unix seconds."""

    time: float
    version: str
    backend: str
    #: The network namespace (Linux), or "".
    namespace: str
    #: The system confirmed that it will send notifications.
    confirmed: bool
    #: How often notifications were lost; ``None``: the source cannot know.
    overruns: int | None
    families: Sequence[FamilyCount] = ()
    interfaces: Sequence[InterfaceLine] = ()
    host: str = ""
    window: Window = field(default_factory=lambda: Window(3600.0, 0.0, 0.0))
    #: The interfaces that changed within the window.
    strips: Sequence[Strip] = ()
    #: The latest changes, the oldest first: notification, device, what changed.
    latest: Sequence[tuple[Notification, str, Shift]] = ()
    #: Show every quiet interface, however many there are.
    everything: bool = False


#: The ranges of the timeline, by their name in the query. Seconds.
RANGES = {"15m": 900.0, "1h": 3600.0, "6h": 21600.0}
DEFAULT_RANGE = "1h"
#: What fits into 200 kB: bars, quiet interfaces, changes.
_MAX_BARS_BYTES, _MAX_BARS, _MAX_QUIET, _MAX_CHANGES = 80_000, 100, 150, 30


def _hash(text: str) -> str:
    """Return the source expression of an inline element for a Content-Security-Policy."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


HEADERS = (
    ("Content-Type", "text/html; charset=utf-8"),
    (
        "Content-Security-Policy",
        f"default-src 'none'; style-src {_hash(STYLE)}; script-src {_hash(SCRIPT)}; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cache-Control", "no-store"),
)

_FAMILIES = {"ipv4": "IPv4", "ipv6": "IPv6"}


def render_page(data: LandingData, telemetry_path: str, etag: str = "") -> bytes:
    """Return the page in UTF-8. `etag` is that of the response."""
    title = f"IP interfaces of {visible(data.host)}" if data.host else "IP interfaces"
    where = f" · namespace {visible(data.namespace)}" if data.namespace else ""
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>{STYLE}</style>
</head>
<body data-etag="{escape(etag)}" data-time="{data.time:.1f}">
<header>
<h1>{title}</h1>
<p id="moment" data-live>{_moment(data.time)} · {visible(data.backend)}{where}</p>
<p id="lost" class="health bad" role="status" hidden></p>
</header>
<main>
<div id="summary" data-live>
{_health(data)}
{_totals(data.families)}
</div>
<section aria-labelledby="timeline-title">
<h2 id="timeline-title">Timeline</h2>
{_ranges(data.window)}
<div id="timeline" data-live>{_timeline(data)}</div>
</section>
<section aria-labelledby="changes-title">
<h2 id="changes-title">Latest changes</h2>
<div id="changes" data-live>{_latest(data)}</div>
</section>
<section id="interfaces" data-live aria-labelledby="interfaces-title">
{_interfaces(data)}
</section>
</main>
<footer>
<nav aria-label="Endpoints">
<a href="{_link(telemetry_path)}">Metrics</a>
<a href="./-/healthy">Healthy</a>
<a href="./-/ready">Ready</a>
</nav>
<p>ip-interface-exporter {visible(data.version)}</p>
</footer>
<script>{SCRIPT}</script>
</body>
</html>
""".encode("utf-8", "replace")


def _health(data: LandingData) -> str:
    if not data.confirmed:
        mood, word = "bad", "Not listening"
        detail = "The system has not confirmed that it will report changes."
    elif data.overruns:
        times = "once" if data.overruns == 1 else f"{_number(data.overruns)} times"
        mood, word = "warn", "Listening, with losses"
        detail = f"Notifications were lost {times} since the start; all interfaces were read again."
    else:
        mood, word = "good", "Listening"
        detail = "The system reports every change."
        if data.overruns is not None:
            detail += " No notification was lost since the start."
    return f'<p class="health {mood}"><strong>{word}</strong> {detail}</p>'


def _totals(families: Sequence[FamilyCount]) -> str:
    items = "".join(
        f"<div><dt>{_family(count.family)} interfaces</dt>"
        f"<dd>{_number(count.interfaces)} <small>{_number(count.connected)} connected</small>"
        "</dd></div>"
        for count in families
    )
    return f"<dl>{items}</dl>" if items else ""


def _ranges(window: Window) -> str:
    links = " ".join(
        f"<strong>{name}</strong>"
        if seconds == window.seconds
        else f'<a href="?range={name}">{name}</a>'
        for name, seconds in RANGES.items()
    )
    return f'<nav aria-label="Range">{links}</nav>'


def _timeline(data: LandingData) -> str:
    """Draw a bar for each link that changed, the one with the most disconnections first."""
    links: dict[str, dict[str, Strip]] = {}
    for strip in sorted(data.strips, key=lambda strip: strip.latest):
        links.setdefault(strip.device, {})[strip.family] = strip
    present: dict[str, dict[str, Shown]] = {}
    for line in data.interfaces:
        if line.connected is not None and line.device in links:
            off = Shown.SWITCHED_OFF if line.switched_off else Shown.DISCONNECTED
            state = Shown.CONNECTED if line.connected else off
            present.setdefault(line.device, {})[line.family] = state
    churn = {
        device: max(disconnections(strip, data.window) for strip in strips.values())
        for device, strips in links.items()
    }
    bars: list[str] = []
    size = 0
    for device in sorted(links, key=lambda device: (-churn[device], device)):
        name = f"<bdi>{visible(device)}</bdi>"
        drawn = bar(links[device], present.get(device, {}), data.window)
        times = f"{_number(churn[device])} disconnection{'' if churn[device] == 1 else 's'}"
        bars.append(f'<li><span class="name">{name}</span>{drawn}<small>{times}</small></li>')
        size += len(bars[-1])
        if size > _MAX_BARS_BYTES or len(bars) >= _MAX_BARS:
            break
    if not bars:
        return "<p>No interface changed in this time.</p>"
    more = len(links) - len(bars)
    rest = f"<p>{_number(more)} more links changed less.</p>" if more else ""
    return f'<ol class="bars">{"".join(bars)}</ol>{rest}{legend(data.window)}'


def _latest(data: LandingData) -> str:
    if not data.latest:
        return "<p>Nothing has changed since the start.</p>"
    head = "".join(f'<th scope="col">{name}</th>' for name in _CHANGE_COLUMNS)
    body = "\n".join(_change(*change) for change in list(data.latest)[: -_MAX_CHANGES - 1 : -1])
    return (
        '<div class="scroll" tabindex="0" role="region" aria-label="Table of the changes"><table>\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table></div>"
    )


_CHANGE_COLUMNS = ("Time (UTC)", "Interface", "Family", "Change", "Details")


def _change(n: Notification, device: str, shift: Shift) -> str:
    connected = (shift.ended is Shown.CONNECTED, shift.began is Shown.CONNECTED)
    transition = connected[1] if connected[0] is not connected[1] else None
    if n.type in (NotificationType.ADD, NotificationType.DELETE):
        transition = None
    delta = Delta(n, device, shift.changes, transition)
    details = describe.details(delta)
    if transition is None and shift.ended is not shift.began and not details:
        details = f"{shift.ended.label} → {shift.began.label}"
    event = "changed" if n.type is NotificationType.REFRESH else describe.event(delta)
    moment = datetime.fromtimestamp(n.time, UTC)
    return (
        f'<tr><td><time datetime="{moment:%Y-%m-%dT%H:%M:%SZ}">{moment:%H:%M:%S}</time></td>'
        f'<th scope="row"><bdi>{visible(device)}</bdi></th><td>{_family(n.family.label)}</td>'
        f"<td>{event}</td><td>{visible(details)}</td></tr>"
    )


def _interfaces(data: LandingData) -> str:
    """Show what changed, and hardware, in a table; fold away what is quiet and virtual."""
    if not data.interfaces:
        return '<h2 id="interfaces-title">Interfaces</h2><p>There is no IP interface.</p>'
    changed = {strip.device for strip in data.strips}
    rows = sorted(data.interfaces, key=lambda line: (line.device, line.family, line.luid))
    first = [line for line in rows if line.device in changed or not line.virtual]
    quiet = [line for line in rows if line.device not in changed and line.virtual]
    limit = len(rows) if data.everything else _MAX_QUIET
    body = '<h2 id="interfaces-title">Interfaces</h2>'
    if first:
        body += _table(first, limit, "Table of the interfaces", data.time)
    if quiet:
        opened = " open" if data.everything or not first else ""
        table = _table(quiet, limit, "Table of the quiet interfaces", data.time)
        body += (
            f'<details id="quiet"{opened}><summary>{_number(len(quiet))} quiet virtual '
            f"interfaces</summary>{table}</details>"
        )
    return body


def _table(lines: Sequence[InterfaceLine], limit: int, label: str, time: float) -> str:
    head = "".join(
        f'<th scope="col"{kind}>{name}</th>'
        for name, kind in (
            ("Interface", ""),
            ("Family", ""),
            ("State", ""),
            ("For", ' class="number"'),
            ("Transitions", ' class="number"'),
            ("Notifications", ' class="number"'),
            ("Index", ' class="number"'),
            ("LUID", ' class="number"'),
        )
    )
    body = "\n".join(_row(line, time) for line in lines[:limit])
    more = len(lines) - limit
    rest = f'<p>{_number(more)} more: <a href="?all">show all</a></p>' if more > 0 else ""
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{label}"><table>\n'
        "<caption>Counts are since the start</caption>\n"
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table></div>{rest}"
    )


def _row(line: InterfaceLine, time: float) -> str:
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
        seconds = f'<span data-since="{since:.0f}">{_duration(line.state_seconds)}</span>'
    numbers = (
        seconds,
        _number(line.transitions),
        _number(line.notifications),
        visible(line.index) or "–",
        visible(line.luid) or "–",
    )
    cells = "".join(f'<td class="number">{number}</td>' for number in numbers)
    return (
        # bdi: a name with right-to-left marks must not rearrange the row.
        f'<tr><th scope="row"><bdi>{visible(line.device)}</bdi></th>'
        f'<td>{_family(line.family)}</td><td class="{state}">{text}</td>{cells}</tr>'
    )


def _link(path: str) -> str:
    """Make a relative link, which also works below the prefix of a proxy."""
    return "./" + escape(quote(path.removeprefix("/")))


def _family(label: str) -> str:
    return _FAMILIES.get(label) or visible(label)


def _number(value: int) -> str:
    return f"{value:,}".replace(",", "\u202f")  # narrow no-break space, as ISO 80000 has it


def _moment(time: float) -> str:
    moment = datetime.fromtimestamp(time, UTC)
    return f'<time datetime="{moment:%Y-%m-%dT%H:%M:%SZ}">{moment:%Y-%m-%d %H:%M:%S} UTC</time>'


def _duration(seconds: float) -> str:
    """Format a duration in its two largest units: ``3 d 4 h``, ``12 s``."""
    if seconds < 1:
        return "< 1 s"
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    units = [(days, "d"), (hour, "h"), (minute, "min"), (second, "s")]
    first = next(place for place, (count, _) in enumerate(units) if count)
    return " ".join(f"{count}\u202f{unit}" for count, unit in units[first : first + 2] if count)
