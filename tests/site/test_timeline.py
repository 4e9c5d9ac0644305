"""The bars of the page: what they show, and that they stay small."""

from __future__ import annotations

import re
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from exporter.monitor.history import DisplayState, InterfaceHistory
from exporter.site.timeline import Bar, Window, bar, churn, disconnections, segments
from exporter.site.timeline_svg import axis, columns, draw

NOW = 100_000.0
WINDOW = Window(3600.0, NOW, 1.7e9)


def history(
    *changes: tuple[float, DisplayState],
    family: str = "ipv4",
    first: DisplayState = DisplayState.CONNECTED,
) -> InterfaceHistory:
    """A history with these changes, in seconds before now."""
    made = InterfaceHistory("eth0", family, first)
    for ago, state in sorted(changes, reverse=True):
        made.add(NOW - ago, state)
    return made


def made(
    *histories: InterfaceHistory,
    present: dict[str, DisplayState] | None = None,
    window: Window = WINDOW,
) -> Bar:
    """The bar of a link with these histories."""
    count = churn(histories, window).get("eth0", 0)
    return bar("eth0", histories, present or {}, window, count)


def drawn(*histories: InterfaceHistory, **more: dict[str, DisplayState]) -> str:
    """The same, drawn."""
    return draw(made(*histories, **more), WINDOW)


def titles(svg: str) -> list[str]:
    """What the segments of a bar say, in order."""
    return [title.replace("\u202f", " ") for title in re.findall("<title>(.*?)</title>", svg)]


def test_a_bar_has_a_segment_for_each_state() -> None:
    """From the begin of the window to now, without a gap, with exact times and words."""
    one = history((600.0, DisplayState.DISCONNECTED), (300.0, DisplayState.CONNECTED))
    assert [(p.begin - NOW, p.end - NOW, p.state) for p in segments([one], WINDOW)] == [
        (-3600.0, -600.0, DisplayState.CONNECTED),
        (-600.0, -300.0, DisplayState.DISCONNECTED),
        (-300.0, 0.0, DisplayState.CONNECTED),
    ]
    svg = drawn(one, present={"ipv4": DisplayState.CONNECTED})
    assert titles(svg) == [
        "connected until 22:03:20",
        "disconnected for 5 min, 22:03:20 to 22:08:20",
        "connected since 22:08:20",
    ]
    assert 'aria-label="eth0: connected now, 1 disconnection"' in svg
    assert "style" not in svg


def test_a_short_part_is_exact() -> None:
    """What took less than ten seconds has its times in milliseconds."""
    svg = drawn(history((10.5, DisplayState.DISCONNECTED), (10.27, DisplayState.CONNECTED)))
    assert titles(svg)[1] == "disconnected for 230 ms, 22:13:09.500 to 22:13:09.730"


def test_the_time_before_the_start_is_not_known() -> None:
    """What an interface was before the agent began is drawn as not known."""
    window = Window(3600.0, NOW, 1.7e9, NOW - 60.0)
    one = history((30.0, DisplayState.DISCONNECTED))
    assert segments([one], window)[0].begin == NOW - 60.0
    assert titles(draw(made(one, window=window), window)) == [
        "not known, before the start at 22:12:20",
        "connected until 22:12:50",
        "disconnected since 22:12:50",
    ]


def test_a_storm_is_counted_by_the_minute_between_the_states_around_it() -> None:
    """What it was before and after a storm is drawn, also once the storm is only counted."""
    states = (DisplayState.DISCONNECTED, DisplayState.CONNECTED)
    storm = [(2000.0 - n / 4, states[n % 2]) for n in range(480)]
    later = [(900.0 - n, states[n % 2]) for n in range(200)]
    found = segments([history(*storm, *later)], WINDOW)
    assert (found[0].begin, found[0].state) == (WINDOW.begin, DisplayState.CONNECTED)
    assert all(a.end == b.begin for a, b in pairwise(found))
    between = next(p for p in found if p.end > NOW - 1500.0)
    assert (between.state, between.several) == (DisplayState.CONNECTED, False)
    assert sum(p.disconnections for p in found) == 340


def test_a_link_that_was_made_again_has_one_bar() -> None:
    """Containers come and go under the same name, each time as another interface."""
    gone, up = DisplayState.GONE, DisplayState.CONNECTED
    first = history((3000.0, up), (2000.0, gone), first=gone)
    second = history((1000.0, up), (500.0, gone), first=gone)
    svg = drawn(second, first)
    assert [title.split()[0] for title in titles(svg)] == ["gone", "connected"] * 2 + ["gone"]
    assert "2 disconnections" in svg


def test_families_share_a_bar_unless_they_differ() -> None:
    """Alike they are one row; else each has half the height, named in its words."""
    one, other = (
        history((600.0, DisplayState.DISCONNECTED), family=family) for family in ("ipv4", "ipv6")
    )
    assert 'height="46%"' not in drawn(one, other)
    svg = drawn(one, present={"ipv6": DisplayState.CONNECTED})
    assert svg.count('height="46%"') == 3
    assert "<title>IPv6 connected all the time</title>" in svg
    assert "eth0: IPv4 disconnected, IPv6 connected now, 1 disconnection" in svg


def test_flaps_that_no_notification_showed_are_marked() -> None:
    """A mark at their time, with their number."""
    one = history((600.0, DisplayState.DISCONNECTED))
    one.unobserved.append((NOW - 300.0, 3))
    assert titles(drawn(one))[-1] == "3 flaps that no notification showed, 22:08:20"


def test_the_axis_has_round_times() -> None:
    """Ticks at full ten minutes of the hour, and none over the label of the end."""
    times = re.findall(r">(\d\d:\d\d)<", axis(WINDOW))
    assert times == ["21:20", "21:30", "21:40", "21:50", "22:00"]


def test_no_time_of_the_axis_is_written_over_another() -> None:
    """Whenever the page is loaded, labels of 35 pixels have room in a bar of 288, beside "now"."""
    for passed in range(0, 3600, 20):
        window = Window(3600.0, NOW, 1.7e9 + passed)
        places = [float(x) for x in re.findall(r'<text x="([0-9.]+)%" y="1em">', axis(window))]
        middles = [2.88 * place for place in places]
        assert all(other - one >= 35 for one, other in pairwise(middles))
        assert len(middles) >= 3
        assert middles[-1] + 35 / 2 < 288 - 26


@given(st.lists(st.floats(0.0, 3599.0), max_size=3000))
def test_any_bar_stays_small_and_whole(ages: list[float]) -> None:
    """However often an interface flapped, its bar is small, in order, and counts everything."""
    states = (DisplayState.DISCONNECTED, DisplayState.CONNECTED)
    changes = [(ago, states[n % 2]) for n, ago in enumerate(sorted(ages, reverse=True))]
    one = history(*changes)
    found = segments([one], WINDOW)
    assert all(a.end <= b.begin + 1e-6 for a, b in pairwise(found))
    assert found[-1].end == NOW
    assert disconnections(one, WINDOW) <= (len(ages) + 1) // 2
    whole = made(one)
    svg = draw(whole, WINDOW, columns([whole]))
    assert len(svg) < 60_000
    assert all(0 <= float(x) <= 100 for x in re.findall(r' x="([-0-9.]+)%"', svg))


def test_a_crowd_of_bars_shares_the_page() -> None:
    """What flaps most gets fewer columns then; a bar with few segments keeps them all."""
    states = (DisplayState.DISCONNECTED, DisplayState.CONNECTED)
    busy = [
        made(history(*((3500.0 - 20 * n, states[n % 2]) for n in range(150)))) for _ in range(50)
    ]
    calm = made(history((600.0, DisplayState.DISCONNECTED), (300.0, DisplayState.CONNECTED)))
    limit = columns([*busy, calm])
    assert draw(calm, WINDOW, limit) == draw(calm, WINDOW)
    svgs = [draw(one, WINDOW, limit) for one in busy]
    assert sum(map(len, svgs)) < 120_000
    found = titles(svgs[0])
    assert sum(int(t.split()[0]) for t in found if "disconnection" in t) <= 75
    assert len(found) > 4
