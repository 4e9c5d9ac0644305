"""Renders the landing page: the state of the agent and of the interfaces, for people.

The page is one file without external resources. Its script only updates it, and shows what the
pointer or the focus is on: without JavaScript it is the same page, as of its loading. Interface
names can be hostile, so everything is escaped, and a Content-Security-Policy would block what is
not.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from urllib.parse import quote

from exporter.monitor.history import DisplayState, InterfaceHistory
from exporter.site.formatting import family, number, times, visible
from exporter.site.landing_data import FamilyCount, LandingData
from exporter.site.tables import changes_table, interfaces_tables
from exporter.site.timeline import Bar, Window, bar, churn
from exporter.site.timeline_svg import axis, columns, draw, legend

#: The ranges of the timeline, by their name in the query. Seconds.
RANGES = {"15m": 900.0, "1h": 3600.0, "6h": 21600.0}
DEFAULT_RANGE = "1h"
_RANGE_WORDS = {900.0: "last 15 minutes", 3600.0: "last hour", 21600.0: "last 6 hours"}
#: What fits into 200 kB.
_MAX_BARS = 60


def _inline(name: str) -> str:
    """Return a file of this package without what might end its element."""
    text = Path(__file__).with_name(name).read_text("utf-8").strip()
    assert "</" not in text
    return text


STYLE, SCRIPT = _inline("landing.css"), _inline("landing.js")


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


def render_page(data: LandingData, telemetry_path: str, etag: str = "") -> bytes:
    """Return the page in UTF-8. `etag` is that of the response."""
    title = f"IP interfaces of {visible(data.host)}" if data.host else "IP interfaces"
    counts = churn(data.histories, data.window)
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
{_totals(data.families, counts, data.window)}
</div>
<section aria-labelledby="timeline-title">
<div class="heading"><h2 id="timeline-title">Timeline</h2>{_ranges(data.window)}</div>
<div id="timeline" data-live>{_timeline(data, counts)}</div>
</section>
<section aria-labelledby="changes-title">
<h2 id="changes-title">Latest changes</h2>
<div id="changes" data-live>{changes_table(data.latest, data.time)}</div>
</section>
<section id="interfaces" data-live aria-labelledby="interfaces-title">
{interfaces_tables(data)}
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
        times = "once" if data.overruns == 1 else f"{number(data.overruns)} times"
        mood, word = "warn", "Listening, with losses"
        detail = f"Notifications were lost {times} since the start; all interfaces were read again."
    else:
        mood, word = "good", "Listening"
        detail = "The system reports every change."
        if data.overruns is not None:
            detail += " No notification was lost since the start."
    return f'<p class="health {mood}"><strong>{word}</strong> {detail}</p>'


def _totals(families: Sequence[FamilyCount], counts: Mapping[str, int], window: Window) -> str:
    items = [
        (
            f"{family(count.family)} interfaces",
            number(count.interfaces),
            f"{number(count.connected)} connected",
        )
        for count in families
    ]
    if not items:
        return ""
    links = sum(1 for count in counts.values() if count)
    total = sum(counts.values())
    items.append(
        (
            f"Disconnections, {_RANGE_WORDS[window.seconds]}",
            number(total),
            f"of {times(links, 'link', 'links')}" if total else "",
        )
    )
    body = "".join(
        f"<div><dt>{name}</dt><dd>{count} <small>{more}</small></dd></div>"
        for name, count, more in items
    )
    return f"<dl>{body}</dl>"


def _ranges(window: Window) -> str:
    links = " ".join(
        f"<strong>{name}</strong>"
        if seconds == window.seconds
        else f'<a href="?range={name}">{name}</a>'
        for name, seconds in RANGES.items()
    )
    return f'<nav aria-label="Range">{links}</nav>'


def _timeline(data: LandingData, counts: Mapping[str, int]) -> str:
    """Draw the links that changed, the one with the most disconnections first, and hardware."""
    devices = sorted(counts.keys() | data.present.keys(), key=lambda d: (-counts.get(d, 0), d))
    if not devices:
        return "<p>No interface changed in this time.</p>"
    histories: dict[str, list[InterfaceHistory]] = {}
    for history in data.histories:
        histories.setdefault(history.device, []).append(history)
    bars = [
        bar(d, histories.get(d, ()), data.present.get(d, {}), data.window, counts.get(d, 0))
        for d in devices[:_MAX_BARS]
    ]
    limit = columns(bars)
    items = "".join(_bar(bar, data.window, limit) for bar in bars)
    more = len(devices) - len(bars)
    rest = f"<p>{times(more, 'more link', 'more links')} changed less.</p>" if more else ""
    scale = f'<li class="ends">{axis(data.window)}</li>'
    return f'<ol class="bars">{items}{scale}</ol>{rest}{legend()}'


def _bar(bar: Bar, window: Window, limit: int) -> str:
    states = set(bar.states.values())
    state = states.pop() if len(states) == 1 else None
    css_class = "mixed" if state is None else _STATES[state]
    fell = times(bar.disconnections, "disconnection", "disconnections")
    quiet = "" if bar.disconnections else ' class="none"'
    return (
        f'<li><span class="name {css_class}"><bdi>{visible(bar.device)}</bdi></span>'
        f"{draw(bar, window, limit)}<small{quiet}>{fell}</small></li>"
    )


_STATES = {
    DisplayState.CONNECTED: "connected",
    DisplayState.DISCONNECTED: "disconnected",
    DisplayState.SWITCHED_OFF: "off",
    DisplayState.GONE: "gone",
}


def _link(path: str) -> str:
    """Make a relative link, which also works below the prefix of a proxy."""
    return "./" + escape(quote(path.removeprefix("/")))


def _moment(time: float) -> str:
    moment = datetime.fromtimestamp(time, UTC)
    return (
        f'<time id="clock" datetime="{moment:%Y-%m-%dT%H:%M:%SZ}">{moment:%Y-%m-%d %H:%M:%S}</time>'
        " UTC"
    )
