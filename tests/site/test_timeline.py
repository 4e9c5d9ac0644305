"""The bars of the page: what they show, and that they stay small."""

from __future__ import annotations

import re
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from exporter.monitor.history import Shown, Strip
from exporter.site.timeline import Window, bar, disconnections, parts

NOW = 100_000.0
WINDOW = Window(3600.0, NOW, 1.7e9)


def strip(
    *changes: tuple[float, Shown], family: str = "ipv4", first: Shown = Shown.CONNECTED
) -> Strip:
    """A strip with these changes, in seconds before now."""
    made = Strip("eth0", family, first)
    for ago, state in sorted(changes, reverse=True):
        made.add(NOW - ago, state)
    return made


def test_a_bar_has_a_part_for_each_state() -> None:
    """From the begin of the window to now, without a gap, with times and words."""
    one = strip((600.0, Shown.DISCONNECTED), (300.0, Shown.CONNECTED))
    assert [(p.begin - NOW, p.end - NOW, p.state) for p in parts(one, WINDOW)] == [
        (-3600.0, -600.0, Shown.CONNECTED),
        (-600.0, -300.0, Shown.DISCONNECTED),
        (-300.0, 0.0, Shown.CONNECTED),
    ]
    drawn = bar({"ipv4": one}, {"ipv4": Shown.CONNECTED}, WINDOW)
    assert "<title>disconnected, 22:03:20 to 22:08:20</title>" in drawn
    assert 'aria-label="ipv4 connected, disconnected once"' in drawn
    assert "style" not in drawn


def test_nothing_is_drawn_of_the_time_before_the_start() -> None:
    """What an interface was before the agent began is not known."""
    window = Window(3600.0, NOW, 1.7e9, NOW - 60.0)
    (first, *_) = parts(strip((30.0, Shown.DISCONNECTED)), window)
    assert first.begin == NOW - 60.0


def test_families_share_a_bar_unless_they_differ() -> None:
    """Alike they are one row; else each has half the height, named in its words."""
    both = {
        family: strip((600.0, Shown.DISCONNECTED), family=family) for family in ("ipv4", "ipv6")
    }
    assert 'height="8"' not in bar(both, {}, WINDOW)
    drawn = bar({"ipv4": both["ipv4"]}, {"ipv6": Shown.CONNECTED}, WINDOW)
    assert drawn.count('height="8"') == 3
    assert "<title>ipv6 connected, " in drawn


def test_flaps_that_no_notification_showed_are_marked() -> None:
    """A mark at their time, with their number."""
    one = strip((600.0, Shown.DISCONNECTED))
    one.unobserved.append((NOW - 300.0, 3))
    drawn = bar({"ipv4": one}, {}, WINDOW)
    assert "3 flaps that no notification showed, 22:08:20" in drawn


@given(st.lists(st.floats(0.0, 3599.0), max_size=3000))
def test_any_bar_stays_small_and_whole(ages: list[float]) -> None:
    """However often an interface flapped, its bar is small, in order, and counts everything."""
    states = (Shown.DISCONNECTED, Shown.CONNECTED)
    changes = [(ago, states[n % 2]) for n, ago in enumerate(sorted(ages, reverse=True))]
    one = strip(*changes)
    found = parts(one, WINDOW)
    assert all(a.end <= b.begin + 1e-6 for a, b in pairwise(found))
    assert found[-1].end == NOW
    assert disconnections(one, WINDOW) <= (len(ages) + 1) // 2
    drawn = bar({"ipv4": one}, {}, WINDOW)
    assert len(drawn) < 60_000
    assert all(0 <= float(x) <= 1000 for x in re.findall(r' x="([-0-9.]+)"', drawn))
