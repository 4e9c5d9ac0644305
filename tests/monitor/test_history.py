"""The history: its entries are exact, and few."""

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
    MAX_HISTORIES,
    MINUTES,
    MOST_CHANGES,
    DisplayState,
    InterfaceHistory,
    disconnected_at,
)
from exporter.monitor.state import State
from exporter.settings.selection import Group, Selection


def interface(index: int = 3, *, connected: bool = True, enabled: bool = True) -> Interface:
    """Return an interface that is connected, disconnected or switched off."""
    status = LinkStatus(enabled, OperStatus.UP if connected else OperStatus.DOWN, connected)
    link = Link(f"eth{index}", type=6)
    return Interface(Family.IPV4, make_luid(6, index), index, link, InterfaceRow(connected), status)


def notification(
    of: Interface, instant: float, type: NotificationType = NotificationType.PARAMETER
) -> Notification:
    """A notification about an interface."""
    row = None if type is NotificationType.DELETE else of
    return Notification(type, of.family, of.luid, of.ifindex, 1e9 + instant, instant, row)


@given(st.lists(st.tuples(st.floats(0, 30), st.sampled_from(DisplayState)), max_size=600))
def test_a_history_loses_no_disconnection(steps: list[tuple[float, DisplayState]]) -> None:
    """Exact changes and counts by minute together are all disconnections of the range."""
    history = InterfaceHistory("eth0", "ipv4", DisplayState.GONE)
    every: list[tuple[float, DisplayState]] = []
    now = 0.0
    for pause, state in steps:
        now += pause
        every.append((now, state))
        history.add(now, state)
    expected = disconnected_at(DisplayState.GONE, every)
    rolled_up = sum(bucket.disconnections for bucket in history.buckets())
    forgotten = [at for at in expected if at // 60 <= now // 60 - MINUTES]
    kept = rolled_up + len(disconnected_at(history.state_before_changes, history.changes))
    assert len(expected) - len(forgotten) <= kept <= len(expected)
    assert history.changes == every[len(every) - len(history.changes) :]


def test_each_display_state_is_recorded() -> None:
    """Connected, disconnected, switched off and deleted are different, and in order."""
    state = State()
    state.load([interface()], 0.0)
    up, down = interface(), interface(connected=False)
    off = interface(connected=False, enabled=False)
    for instant, row in enumerate((down, off, up), start=1):
        state.count([notification(row, float(instant))])
    state.count([notification(up, 4.0, NotificationType.DELETE)])
    (history,) = state.history.interfaces
    assert history.state_before_changes is DisplayState.CONNECTED
    assert [began for _, began in history.changes] == [
        DisplayState.DISCONNECTED,
        DisplayState.SWITCHED_OFF,
        DisplayState.CONNECTED,
        DisplayState.GONE,
    ]
    assert [change.after for _, _, change in state.history.latest] == [
        began for _, began in history.changes
    ]


def test_a_history_follows_the_name_of_its_link() -> None:
    """Its device is right in a group, whose interfaces share a series set, and after a rename."""
    state = State(Selection(groups=(Group("cables", match=re.compile("eth.*")),)))
    state.load([interface()], 0.0)
    state.count([notification(interface(connected=False), 1.0)])
    (history,) = state.history.interfaces
    assert history.device == "eth3"
    renamed = interface()._replace(link=Link("lan0", type=6))
    state.count([notification(renamed, 2.0)])
    assert state.history.interfaces == [history]
    assert history.device == "lan0"
    state.count([notification(renamed, 3.0, NotificationType.DELETE)])
    assert history.device == state.history.latest[-1][1] == "lan0"


def test_rolled_up_changes_keep_the_state_at_the_end_of_each_minute() -> None:
    """The state between two storms, and before the first, is kept for six hours."""
    history = InterfaceHistory("eth0", "ipv4", DisplayState.SWITCHED_OFF)
    now = 0.0
    for minute, last in (
        (10, DisplayState.CONNECTED),
        (20, DisplayState.GONE),
        (400, DisplayState.CONNECTED),
    ):
        storm = [DisplayState.CONNECTED, DisplayState.DISCONNECTED] * 100 + [last]
        for step, state in enumerate(storm):
            now = minute * 60.0 + step / 10
            history.add(now, state)
        if minute < 400:
            for n in range(EXACT_CHANGES + 1):  # so that all of the storm before it is rolled up
                history.add(now + 60.0 + n, last)
            history.roll_up()
        if minute == 20:
            assert history.state_before_buckets is DisplayState.SWITCHED_OFF
            ends = {m.minute: m.state for m in history.buckets()}
            assert ends[10] is DisplayState.CONNECTED
            assert ends[20] is DisplayState.GONE
    assert history.state_before_buckets is DisplayState.GONE, "the end of what is forgotten"
    assert [m.minute for m in history.buckets()] == [400]


def test_an_interface_without_changes_has_no_history() -> None:
    """Interfaces that do not change take no memory."""
    state = State()
    state.load([interface(index) for index in range(100)], 0.0)
    state.count([notification(interface(5), 1.0)])
    assert state.history.interfaces == []


def test_memory_is_bounded_whatever_happens() -> None:
    """A storm on one interface, and changes of more interfaces than there are histories."""
    state = State(max_interfaces=100_000)
    rows = [interface(connected=False), interface()]
    state.load([rows[1]], 0.0)
    for step in range(5_000):
        state.count([notification(rows[step % 2], step / 100)])
    (history,) = state.history.interfaces
    assert len(history.changes) <= MOST_CHANGES
    assert len(state.history.latest) == LATEST_CHANGES
    for index in range(10, 10 + 2 * MAX_HISTORIES):
        state.count([notification(interface(index), 100.0 + index, NotificationType.ADD)])
    assert len(state.history.interfaces) <= MAX_HISTORIES
    state.count([notification(rows[0], 1e6)])
    assert state.history.interfaces[-1].device == "eth3", "it has a new one after it made room"
