"""Draws timeline.svg from run.jsonl: what the agent was told, and what a poll would have seen.

``python dashboards/pictures/timeline.py`` writes it. The poll is one that reads the state of
each interface every 15 seconds, as a scrape of a gauge does.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from exporter.model import Family, Notification
from exporter.sources.recording import Start, decode

RUN = Path(__file__).with_name("run.jsonl")
PICTURE = Path(__file__).with_name("timeline.svg")
POLL_SECONDS = 15

# All in the picture's own units.
_LEFT, _RIGHT, _TOP, _WIDTH, _ROW, _BAR = 76, 236, 84, 1000, 62, 20

_STYLE = """
text { font: 14px system-ui, "Segoe UI", "DejaVu Sans", sans-serif; fill: #1b1f24; }
.soft { fill: #59636e; font-size: 12px; } .name { font-weight: 600; }
.number { font-weight: 600; text-anchor: end; }
.page { fill: #fff; } .line { stroke: #d8dee4; }
.up { fill: #2da44e; } .down { fill: #cf222e; } .merged { fill: #bf8700; } .none { fill: #8c959f; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; } .soft { fill: #9198a1; }
  .page { fill: #0d1117; } .line { stroke: #30363d; }
  .up { fill: #3fb950; } .down { fill: #ff6a69; } .merged { fill: #e3b341; }
}
""".strip()


class Stretch(NamedTuple):
    """A time in one state, in seconds from the beginning of the run."""

    begin: float
    end: float
    connected: bool


class Told(NamedTuple):
    """What the recording says of a device's IPv4."""

    stretches: list[Stretch]
    #: (second, outages) where a message proved outages that the kernel had merged away.
    proven: list[tuple[float, int]]

    @property
    def outages(self) -> int:
        """How often it was disconnected."""
        return sum(not s.connected for s in self.stretches) + sum(n for _, n in self.proven)

    @property
    def polls(self) -> list[tuple[float, bool]]:
        """(second, connected) as a poll every 15 seconds sees it."""
        seconds = map(float, range(0, int(self.stretches[-1].end) + 1, POLL_SECONDS))
        return [(at, next(s.connected for s in self.stretches if at <= s.end)) for at in seconds]

    @property
    def polled_outages(self) -> int:
        """How many outages the polls can tell: from connected to disconnected between two."""
        states = [connected for _, connected in self.polls]
        return sum(was and not now for was, now in pairwise(states))


def read(path: Path = RUN) -> dict[str, Told]:
    """Return the devices of a recording, without the loopback. Raises RecordingError."""
    lines = [decode(line) for line in path.read_bytes().splitlines()]
    start = lines[0].instant
    end = lines[-1].instant - start
    changes: dict[str, list[tuple[float, bool]]] = {}
    proven: dict[str, list[tuple[float, int]]] = {}
    for line in lines:
        interface = None if isinstance(line, Start) else line.interface
        if interface is None or interface.family is not Family.IPV4 or interface.ifindex == 1:
            continue
        name, connected = interface.link.name, bool(interface.parameters.connected)
        told = changes.setdefault(name, [])
        if not told or told[-1][1] != connected:
            told.append((line.instant - start, connected))
        if isinstance(line, Notification) and line.unobserved_disconnects:
            proven.setdefault(name, []).append((line.instant - start, line.unobserved_disconnects))
    return {
        name: Told(
            [
                Stretch(begin, following, connected)
                for (begin, connected), (following, _) in pairwise([*told, (end, False)])
            ],
            proven.get(name, []),
        )
        for name, told in sorted(changes.items())
    }


def draw(told: dict[str, Told]) -> str:
    """Return the picture, as SVG for light and dark pages."""
    seconds = max(each.stretches[-1].end for each in told.values())
    scale = (_WIDTH - _LEFT - _RIGHT) / seconds
    bottom = _TOP + _ROW * len(told)
    seen = sum(each.outages for each in told.values())
    polled = sum(each.polled_outages for each in told.values())
    summary = f"{seen} outages in {seconds:.0f} seconds; a poll every 15 seconds tells {polled}"
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {bottom + 64}"'
        f' role="img" aria-label="{summary}">',
        f"<style>{_STYLE}</style>",
        f'<rect class="page" width="{_WIDTH}" height="{bottom + 64}" rx="8"/>',
        f'<text x="20" y="34" class="name">{summary}</text>',
        f'<text x="{_WIDTH - 148}" y="{_TOP - 14}" class="soft number">the agent</text>',
        f'<text x="{_WIDTH - 24}" y="{_TOP - 14}" class="soft number">poll every 15 s</text>',
    ]
    for at in range(0, int(seconds) + 1, POLL_SECONDS):
        x = _LEFT + at * scale
        out.append(f'<path class="line" d="M{x:.1f} {_TOP - 4}V{bottom}"/>')
        out.append(
            f'<text x="{x:.1f}" y="{bottom + 18}" class="soft" text-anchor="middle">{at} s</text>'
        )
    for row, (name, each) in enumerate(told.items()):
        out += _device(name, each, _TOP + row * _ROW, scale)
    out += _legend(bottom + 46)
    return "\n".join([*out, "</svg>", ""])


def _device(name: str, told: Told, top: int, scale: float) -> list[str]:
    out = [f'<text x="20" y="{top + 16}" class="name">{name}</text>']
    for begin, end, connected in told.stretches:
        # A short outage is drawn a pixel wide at least: it happened.
        width = max((end - begin) * scale, 0.0 if connected else 1.2)
        out.append(
            f'<rect class="{"up" if connected else "down"}" x="{_LEFT + begin * scale:.1f}"'
            f' y="{top}" width="{width:.1f}" height="{_BAR}"/>'
        )
    for at, count in told.proven:
        for place in range(count):  # side by side, before the message that proved them
            x = _LEFT + at * scale - 3.0 * (place + 1)
            out.append(f'<rect class="merged" x="{x:.1f}" y="{top}" width="1.6" height="{_BAR}"/>')
    for at, connected in told.polls:
        out.append(
            f'<circle class="{"up" if connected else "down"}" cx="{_LEFT + at * scale:.1f}"'
            f' cy="{top + _BAR + 14}" r="5"/>'
        )
    for x, count in ((_WIDTH - 148, told.outages), (_WIDTH - 24, told.polled_outages)):
        out.append(f'<text x="{x}" y="{top + 16}" class="number">{count}</text>')
    return out


def _legend(y: int) -> list[str]:
    return [
        f'<rect class="up" x="{_LEFT}" y="{y - 11}" width="14" height="12"/>',
        f'<text x="{_LEFT + 20}" y="{y}" class="soft">connected</text>',
        f'<rect class="down" x="{_LEFT + 100}" y="{y - 11}" width="14" height="12"/>',
        f'<text x="{_LEFT + 120}" y="{y}" class="soft">disconnected, as the kernel told</text>',
        f'<rect class="merged" x="{_LEFT + 340}" y="{y - 11}" width="4" height="12"/>',
        f'<text x="{_LEFT + 350}" y="{y}" class="soft">an outage the kernel merged away, proven by'
        " its counters</text>",
        f'<circle class="none" cx="{_LEFT + 746}" cy="{y - 5}" r="5"/>',
        f'<text x="{_LEFT + 758}" y="{y}" class="soft">what a poll finds</text>',
    ]


if __name__ == "__main__":
    PICTURE.write_text(draw(read()), encoding="utf-8")
