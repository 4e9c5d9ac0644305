"""The history: what it keeps is exact, and it keeps little."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from exporter.model import (
    Family,
    Interface,
    InterfaceRow,
    Link,
    LinkStatus,
    Notification,
    NotificationType,
    OperStatus,
    make_luid,
)
from exporter.monitor.history import (
    EXACT_CHANGES,
    LATEST_CHANGES,
    MAX_STRIPS,
    MINUTES,
    MOST_CHANGES,
    Shown,
    Strip,
    disconnections,
)
from exporter.monitor.state import State
from exporter.settings.selection import Group, Selection


def interface(index: int = 3, *, connected: bool = True, enabled: bool = True) -> Interface:
    """An interface that is connected, or not, or switched off."""
    status = LinkStatus(enabled, OperStatus.UP if connected else OperStatus.DOWN, connected)
    link = Link(f"eth{index}", type=6)
    return Interface(Family.IPV4, make_luid(6, index), index, link, InterfaceRow(connected), status)


def notification(
    of: Interface, instant: float, type: NotificationType = NotificationType.PARAMETER
) -> Notification:
    """A notification about an interface."""
    row = None if type is NotificationType.DELETE else of
    return Notification(type, of.family, of.luid, of.ifindex, 1e9 + instant, instant, row)


@given(st.lists(st.tuples(st.floats(0, 30), st.sampled_from(Shown)), max_size=600))
def test_a_strip_loses_no_disconnection(steps: list[tuple[float, Shown]]) -> None:
    """Exact changes and counts by minute together are all disconnections of the range."""
    strip = Strip("eth0", "ipv4", Shown.GONE)
    every: list[tuple[float, Shown]] = []
    now = 0.0
    for pause, state in steps:
        now += pause
        every.append((now, state))
        strip.add(now, state)
    expected = disconnections(Shown.GONE, every)
    folded = sum(m.disconnections for m in strip.minutes())
    forgotten = [at for at in expected if at // 60 <= now // 60 - MINUTES]
    kept = folded + len(disconnections(strip.first, strip.changes))
    assert len(expected) - len(forgotten) <= kept <= len(expected)
    assert strip.changes == every[len(every) - len(strip.changes) :]


def test_what_people_see_is_remembered() -> None:
    """Connected, disconnected, switched off and gone are told apart, in order."""
    state = State()
    state.load([interface()], 0.0)
    up, down = interface(), interface(connected=False)
    off = interface(connected=False, enabled=False)
    for instant, row in enumerate((down, off, up), start=1):
        state.count([notification(row, float(instant))])
    state.count([notification(up, 4.0, NotificationType.DELETE)])
    (strip,) = state.history.strips
    assert strip.first is Shown.CONNECTED
    assert [began for _, began in strip.changes] == [
        Shown.DISCONNECTED,
        Shown.SWITCHED_OFF,
        Shown.CONNECTED,
        Shown.GONE,
    ]
    assert [shift.began for _, _, shift in state.history.latest] == [
        began for _, began in strip.changes
    ]


def test_a_strip_follows_the_name_of_its_link() -> None:
    """Also in a group, whose interfaces share a series set, and after a rename."""
    state = State(Selection(groups=(Group("cables", match=re.compile("eth.*")),)))
    state.load([interface()], 0.0)
    state.count([notification(interface(connected=False), 1.0)])
    (strip,) = state.history.strips
    assert strip.device == "eth3"
    renamed = interface()._replace(link=Link("lan0", type=6))
    state.count([notification(renamed, 2.0)])
    assert state.history.strips == [strip]
    assert strip.device == "lan0"
    state.count([notification(renamed, 3.0, NotificationType.DELETE)])
    assert strip.device == state.history.latest[-1][1] == "lan0"


def test_folded_changes_keep_the_state_at_the_end_of_each_minute() -> None:
    """What an interface was between two storms, and before the first, is known for six hours."""
    strip = Strip("eth0", "ipv4", Shown.SWITCHED_OFF)
    now = 0.0
    for minute, last in ((10, Shown.CONNECTED), (20, Shown.GONE), (400, Shown.CONNECTED)):
        storm = [Shown.CONNECTED, Shown.DISCONNECTED] * 100 + [last]
        for step, state in enumerate(storm):
            now = minute * 60.0 + step / 10
            strip.add(now, state)
        if minute < 400:
            for n in range(EXACT_CHANGES + 1):  # so that all of the storm before it is folded
                strip.add(now + 60.0 + n, last)
            strip.fold()
        if minute == 20:
            assert strip.origin is Shown.SWITCHED_OFF
            ends = {m.minute: m.state for m in strip.minutes()}
            assert ends[10] is Shown.CONNECTED
            assert ends[20] is Shown.GONE
    assert strip.origin is Shown.GONE, "the end of what is forgotten"
    assert [m.minute for m in strip.minutes()] == [400]


def test_what_has_not_changed_has_no_strip() -> None:
    """Interfaces that are quiet cost nothing."""
    state = State()
    state.load([interface(index) for index in range(100)], 0.0)
    state.count([notification(interface(5), 1.0)])
    assert state.history.strips == []


def test_memory_is_bounded_whatever_happens() -> None:
    """A storm on one interface, and changes of more interfaces than there are strips."""
    state = State(max_interfaces=100_000)
    rows = [interface(connected=False), interface()]
    state.load([rows[1]], 0.0)
    for step in range(5_000):
        state.count([notification(rows[step % 2], step / 100)])
    (strip,) = state.history.strips
    assert len(strip.changes) <= MOST_CHANGES
    assert len(state.history.latest) == LATEST_CHANGES
    for index in range(10, 10 + 2 * MAX_STRIPS):
        state.count([notification(interface(index), 100.0 + index, NotificationType.ADD)])
    assert len(state.history.strips) <= MAX_STRIPS
    state.count([notification(rows[0], 1e6)])
    assert state.history.strips[-1].device == "eth3", "it has a new one after it made room"
