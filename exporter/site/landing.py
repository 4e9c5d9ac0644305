"""Renders the landing page: the state of the agent and of the interfaces, for people.

The page is one file without scripts or external resources. Interface names can be hostile, so
everything is escaped, and a Content-Security-Policy would block what is not.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from urllib.parse import quote

from exporter.site.landing_style import STYLE


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


_STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()

HEADERS = (
    ("Content-Type", "text/html; charset=utf-8"),
    (
        "Content-Security-Policy",
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cache-Control", "no-store"),
)

# Invisible characters are shown as their symbol (␀, ␊, …) or U+FFFD: control characters, and
# marks of direction or joining, which can make two names look the same.
_VISIBLE = {code: 0x2400 + code for code in range(0x20)} | {0x7F: 0x2421}
_VISIBLE |= dict.fromkeys(
    (*range(0x80, 0xA0), *range(0x200B, 0x2010), *range(0x2028, 0x202F), *range(0x2060, 0x2070)),
    0xFFFD,
)

_FAMILIES = {"ipv4": "IPv4", "ipv6": "IPv6"}


def render_page(data: LandingData, telemetry_path: str) -> bytes:
    """Return the page in UTF-8."""
    title = f"IP interfaces of {_text(data.host)}" if data.host else "IP interfaces"
    rows = sorted(data.interfaces, key=lambda line: (line.device, line.family, line.luid))
    where = f" · namespace {_text(data.namespace)}" if data.namespace else ""
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>{STYLE}</style>
</head>
<body>
<header>
<h1>{title}</h1>
<p>{_moment(data.time)} · {_text(data.backend)}{where}</p>
</header>
<main>
{_health(data)}
{_totals(data.families)}
{_table(rows)}
</main>
<footer>
<nav aria-label="Endpoints">
<a href="{_link(telemetry_path)}">Metrics</a>
<a href="./-/healthy">Healthy</a>
<a href="./-/ready">Ready</a>
</nav>
<p>ip-interface-exporter {_text(data.version)}</p>
</footer>
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


def _table(lines: Sequence[InterfaceLine]) -> str:
    if not lines:
        return "<p>There is no IP interface.</p>"
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
    body = "\n".join(map(_row, lines))
    return (
        '<div class="scroll" tabindex="0" role="region" aria-labelledby="caption"><table>\n'
        '<caption id="caption">Every IP interface; counts are since the start</caption>\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table></div>"
    )


def _row(line: InterfaceLine) -> str:
    state = {True: "connected", False: "disconnected", None: "gone"}[line.connected]
    if line.connected is None and not line.luid:
        state = "several"
    text = state
    if line.connected is False and line.switched_off:
        state, text = "off", "switched off"
    elif line.connected is False and line.reason:
        text = f"disconnected <small>{_text(line.reason)}</small>"
    seconds = "–" if line.state_seconds is None else _duration(line.state_seconds)
    numbers = (
        seconds,
        _number(line.transitions),
        _number(line.notifications),
        _text(line.index) or "–",
        _text(line.luid) or "–",
    )
    cells = "".join(f'<td class="number">{number}</td>' for number in numbers)
    return (
        # bdi: a name with right-to-left marks must not rearrange the row.
        f'<tr><th scope="row"><bdi>{_text(line.device)}</bdi></th>'
        f'<td>{_family(line.family)}</td><td class="{state}">{text}</td>{cells}</tr>'
    )


def _text(value: str) -> str:
    return escape(value.translate(_VISIBLE))


def _link(path: str) -> str:
    """Make a relative link, which also works below the prefix of a proxy."""
    return "./" + escape(quote(path.removeprefix("/")))


def _family(label: str) -> str:
    return _FAMILIES.get(label) or _text(label)


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
