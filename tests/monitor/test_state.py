"""The reducer: exact counts, exact time, bounded series."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.model import (
    FAMILIES,
    Cause,
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
from exporter.monitor.series import Exemplar, Histogram, SeriesSet
from exporter.monitor.state import OVERFLOW_DEVICE, State
from exporter.settings.selection import Group, Selection

IPV4, IPV6 = Family.IPV4, Family.IPV6


UNKNOWN = LinkStatus()
WORKING = LinkStatus(True, OperStatus.UP, True)
SWITCHED_OFF = LinkStatus(False, OperStatus.DOWN)
NO_CARRIER = LinkStatus(True, OperStatus.DOWN, False)


def interface(
    index: int = 3,
    name: str = "eth0",
    connected: bool = True,
    family: Family = IPV4,
    kind: str = "",
    status: LinkStatus = UNKNOWN,
    **parameters: object,
) -> Interface:
    """An interface as a source would describe it."""
    row = InterfaceRow(connected=connected, **parameters)  # type: ignore[arg-type]
    link = Link(name, kind=kind, type=6)
    return Interface(family, make_luid(6, index), index, link, row, status)


def notify(
    notification_type: NotificationType, of: Interface, at: float, row: bool = True, **extra: object
) -> Notification:
    """A notification about an interface, at an instant."""
    extra.setdefault("interface", of if row else None)
    return Notification(notification_type, of.family, of.luid, of.ifindex, at, at, **extra)  # type: ignore[arg-type]


def only(state: State) -> SeriesSet:
    """Return the only series set."""
    (series,) = state.series_sets
    return series


def devices(state: State) -> list[str]:
    """The devices that have a series set, sorted."""
    return sorted(series.device for series in state.series_sets)


def test_what_exists_at_the_start_is_known_and_nothing_happened() -> None:
    """A loaded interface has all its counters at 0, and its time begins at the load."""
    state = State()
    state.load([interface()], instant=100.0)
    series = only(state)
    assert (series.notifications, series.transitions, series.unobserved) == (
        [0, 0, 0],
        [0, 0],
        [0, 0],
    )
    assert series.seconds(107.5, connected=True) == 7.5
    assert state.churn == {IPV4: [0, 0, 0], IPV6: [0, 0, 0]}
    assert (state.existing[IPV4], state.connected[IPV4]) == (1, 1)


def test_time_in_state_is_exact_to_the_event_inside_one_batch() -> None:
    """Two transitions in one batch split the time at their own instants, not at the batch's."""
    state = State()
    state.load([interface()], 0.0)
    up, down = interface(), interface(connected=False)
    state.apply(
        [
            notify(NotificationType.PARAMETER, down, 10.25),
            notify(NotificationType.PARAMETER, up, 10.5),
        ]
    )
    series = only(state)
    assert series.transitions == [1, 1]
    assert series.seconds(20.0, connected=False) == 0.25
    assert series.seconds(20.0, connected=True) == 19.75


def test_an_outage_is_measured_from_loss_to_return_only() -> None:
    """Outages count disconnections that were seen to begin and to end, nothing else."""
    state = State()
    state.load([interface(connected=False)], 0.0)
    up, down = interface(), interface(connected=False)
    state.apply([notify(NotificationType.PARAMETER, up, 5.0)])
    assert state.outages[IPV4].sum == 0.0, "its beginning was never seen"
    state.apply(
        [notify(NotificationType.PARAMETER, down, 6.0), notify(NotificationType.PARAMETER, up, 9.0)]
    )
    assert state.outages[IPV4].sum == 3.0
    state.apply(
        [
            notify(NotificationType.PARAMETER, down, 10.0),
            notify(NotificationType.DELETE, down, 11.0),
        ]
    )
    assert state.outages[IPV4].sum == 3.0, "a deletion is no return"


def test_the_last_outage_of_each_bucket_is_kept_with_its_device() -> None:
    """An exemplar has the device of the outage, its length, and its end in Unix time."""
    state = State()
    up, down = interface(), interface(connected=False)
    state.load([up], 0.0)
    for lost, back in ((1.0, 1.75), (3.0, 3.75), (5.0, 12.0)):
        for row, at in ((down, lost), (up, back)):
            state.apply([notify(NotificationType.PARAMETER, row, at)])
    name = up.link.name
    assert [each for each in state.outages[IPV4].exemplars if each] == [
        Exemplar(name, 0.75, 3.75),
        Exemplar(name, 7.0, 12.0),
    ]


@pytest.mark.parametrize("trace_id", [None, 0xAB])
def test_the_device_of_an_exemplar_fits(trace_id: int | None) -> None:
    """OpenMetrics allows 128 letters for an exemplar's labels; a Windows alias has up to 256."""
    state = State(trace_id=None if trace_id is None else lambda _: trace_id)
    up, down = interface(name="x" * 256), interface(name="x" * 256, connected=False)
    state.load([up], 0.0)
    for row, at in ((down, 1.0), (up, 2.0)):
        state.apply([notify(NotificationType.PARAMETER, row, at)])
    (exemplar,) = (each for each in state.outages[IPV4].exemplars if each)
    labels = exemplar.labels
    assert sum(len(name) + len(value) for name, value in labels.items()) == 128
    assert labels.get("trace_id") == (None if trace_id is None else f"{'ab':0>32}")


def test_an_exemplar_has_the_trace_of_the_notification_that_ended_the_outage() -> None:
    """The trace is looked up for each notification that is not filtered out, and no other."""
    asked: list[float] = []

    def trace_id(instant: float) -> int:
        asked.append(instant)
        return len(asked)

    state = State(Selection(exclude=re.compile("not")), trace_id=trace_id)
    up, down = interface(), interface(connected=False)
    other = interface(9, "not")
    state.load([up, other], 0.0)
    for notification_type, row, at in (
        (NotificationType.PARAMETER, down, 1.0),
        (NotificationType.PARAMETER, other, 2.0),
        (NotificationType.REFRESH, down, 3.0),
        (NotificationType.PARAMETER, up, 4.0),
    ):
        state.apply([notify(notification_type, row, at)])
    assert asked == [1.0, 4.0]
    assert [each.trace_id for each in state.outages[IPV4].exemplars if each] == [2]


@pytest.mark.parametrize(
    ("status", "cause", "label"),
    [
        (SWITCHED_OFF, Cause.ADMINISTRATIVE, "administrative"),
        (LinkStatus(False, OperStatus.LOWER_LAYER_DOWN), Cause.ADMINISTRATIVE, "administrative"),
        (NO_CARRIER, Cause.CARRIER, "down"),
        (LinkStatus(None, OperStatus.DOWN, False), Cause.OTHER, "down"),
        (LinkStatus(True, OperStatus.DOWN), Cause.OTHER, "down"),
        (LinkStatus(True, OperStatus.LOWER_LAYER_DOWN), Cause.OTHER, "lowerLayerDown"),
        (LinkStatus(True, OperStatus.DORMANT, True), Cause.OTHER, "dormant"),
        (LinkStatus(True, OperStatus.NOT_PRESENT), Cause.OTHER, "notPresent"),
        (LinkStatus(True, OperStatus.TESTING), Cause.OTHER, "testing"),
        (WORKING, Cause.OTHER, "unknown"),
        (LinkStatus(), Cause.OTHER, "unknown"),
    ],
)
def test_a_disconnection_counts_by_its_cause(status: LinkStatus, cause: Cause, label: str) -> None:
    """The status in the notification decides; the sum is that of the transitions."""
    state = State()
    state.load([interface(status=WORKING)], 0.0)
    state.apply(
        [notify(NotificationType.PARAMETER, interface(connected=False, status=status), 1.0)]
    )
    assert only(state).disconnections == [int(cause is each) for each in Cause]
    assert only(state).transitions == [1, 0]
    assert status.cause_label == label


def test_an_outage_is_not_administrative() -> None:
    """An interface that is switched off, at once or during an outage, has no outage."""
    state = State()
    on = interface(status=WORKING)
    off = interface(connected=False, status=SWITCHED_OFF)
    lost = interface(connected=False, status=NO_CARRIER)
    state.load([on], 0.0)
    for at, one in enumerate([off, lost, on]):  # off, then on without a carrier for a moment
        state.apply([notify(NotificationType.PARAMETER, one, float(at))])
    for at, one in enumerate([lost, off, lost, on], 10):
        state.apply([notify(NotificationType.PARAMETER, one, float(at))])
    assert state.outages[IPV4].cumulative()[-1] == ("+Inf", 0)
    state.apply([notify(NotificationType.PARAMETER, lost, 20.0)])
    state.apply([notify(NotificationType.PARAMETER, on, 24.0)])
    assert state.outages[IPV4].sum == 4.0
    assert only(state).disconnections == [1, 2, 0]


def test_an_inferred_transition_bounds_no_outage() -> None:
    """The time of an inferred change is unknown, and so is the length of the outage."""
    state = State()
    on, lost = interface(status=WORKING), interface(connected=False, status=NO_CARRIER)
    state.load([on], 0.0)
    for at, one, inferred in (
        (1.0, lost, True),
        (2.0, on, False),
        (3.0, lost, False),
        (4.0, on, True),
    ):
        state.apply([notify(NotificationType.PARAMETER, one, at, inferred=inferred)])
    assert state.outages[IPV4].cumulative()[-1] == ("+Inf", 0)
    assert (only(state).transitions, only(state).unobserved) == ([1, 1], [1, 1])
    assert only(state).disconnections == [0, 1, 0]


@pytest.mark.parametrize("meanwhile", ["timer", "setting", "status"])
def test_a_comparison_ends_an_outage_only_if_it_finds_another_status(meanwhile: str) -> None:
    """The comparison of each minute finds random timers and settings that change silently.

    Another status without a notification means that one was lost: the outage may have ended.
    """
    state = State()
    on, lost = interface(status=WORKING), interface(connected=False, status=NO_CARRIER)
    state.load([on], 0.0)
    found = {
        "timer": interface(connected=False, status=NO_CARRIER, reachable_time_seconds=31.2),
        "setting": interface(connected=False, status=NO_CARRIER, dad_transmits=2),
        "status": interface(connected=False, status=LinkStatus(True, OperStatus.DORMANT, True)),
    }[meanwhile]
    type_ = NotificationType.PARAMETER if meanwhile == "setting" else NotificationType.REFRESH
    state.apply(
        [
            notify(NotificationType.PARAMETER, lost, 10.0),
            notify(type_, found, 60.0, inferred=True),
            notify(NotificationType.PARAMETER, on, 400.0),
        ]
    )
    assert state.outages[IPV4].sum == (0.0 if meanwhile == "status" else 390.0)


def test_changed_members_are_counted_by_name() -> None:
    """Each changed member of the row counts once; its series begins with the first change."""
    state = State()
    state.load([interface(mtu_bytes=1500, forwarding_enabled=False)], 0.0)
    changed = interface(mtu_bytes=1400, forwarding_enabled=True)
    (delta,) = state.apply([notify(NotificationType.PARAMETER, changed, 1.0)])
    assert only(state).parameter_changes == {"mtu_bytes": 1, "forwarding_enabled": 1}
    assert [(c.parameter, c.before, c.after) for c in delta.changes] == [
        ("mtu_bytes", 1500, 1400),
        ("forwarding_enabled", False, True),
    ]


def test_inferred_notifications_change_the_state_and_are_counted_apart() -> None:
    """A change found by comparison is unobserved, never churn or a transition."""
    state = State()
    state.load([interface()], 0.0)
    state.apply(
        [notify(NotificationType.PARAMETER, interface(connected=False), 2.0, inferred=True)]
    )
    assert state.inferred[NotificationType.PARAMETER] == 1
    assert state.churn[IPV4] == [0, 0, 0]
    assert only(state).notifications == [0, 0, 0]
    assert (only(state).transitions, only(state).unobserved) == ([0, 0], [1, 0])
    assert only(state).disconnections == [0, 0, 0], "why is not known"
    assert only(state).last_notification is None


def test_a_deleted_interface_keeps_frozen_counters_for_the_retention() -> None:
    """After a delete the gauges end at once, and the counters after the retention."""
    state = State(retention_seconds=60.0)
    state.load([interface()], 0.0)
    state.apply([notify(NotificationType.DELETE, interface(), 4.0)])
    series = only(state)
    assert series.interface is None
    assert series.notifications[NotificationType.DELETE] == 1
    assert series.seconds(50.0, connected=True) == 4.0
    assert (state.existing[IPV4], state.connected[IPV4]) == (0, 0)
    assert state.expire(63.9) == 64.0
    assert devices(state) == ["eth0"]
    assert state.expire(64.0) is None
    assert devices(state) == []
    assert state.churn[IPV4][NotificationType.DELETE] == 1, (
        "the computer's own counter has it for ever"
    )


def test_the_same_luid_that_comes_back_goes_on_counting() -> None:
    """A LUID that returns continues its series; the time between belongs to no state."""
    state = State()
    state.load([interface()], 0.0)
    state.apply(
        [
            notify(NotificationType.DELETE, interface(), 4.0),
            notify(NotificationType.ADD, interface(), 10.0),
        ]
    )
    series = only(state)
    assert (
        series.notifications[NotificationType.ADD],
        series.notifications[NotificationType.DELETE],
    ) == (1, 1)
    assert series.seconds(11.0, connected=True) == 5.0
    assert state.expire(1e9) is None
    assert devices(state) == ["eth0"], "it exists, so nothing expires"


def test_a_re_created_device_is_another_series() -> None:
    """The same name with another LUID is another interface."""
    state = State()
    state.load([interface(index=3)], 0.0)
    state.apply([notify(NotificationType.DELETE, interface(index=3), 1.0)])
    state.apply([notify(NotificationType.ADD, interface(index=4), 2.0)])
    assert [series.luid for series in state.series_sets] == [
        "0x0006000003000000",
        "0x0006000004000000",
    ]


def test_a_rename_carries_the_values_to_the_new_label() -> None:
    """After a rename only the new label has series, with all that was counted before."""
    state = State()
    state.load([interface(name="veth1a2b")], 0.0)
    state.apply(
        [notify(NotificationType.PARAMETER, interface(name="veth1a2b", connected=False), 1.0)]
    )
    generation, _ = state.series_sets.changed_since(0)
    state.apply([notify(NotificationType.REFRESH, interface(name="eth0", connected=False), 2.0)])
    series = only(state)
    assert (series.device, series.transitions, series.notifications) == ("eth0", [1, 0], [1, 0, 0])
    changed = state.series_sets.changed_since(generation)[1]
    assert changed == [series], "a page must drop the old name"


def test_every_reader_gets_the_changes_since_its_own_generation() -> None:
    """Two readers with different intervals get each change exactly once."""
    state = State()
    state.load([interface(index=i, name=f"v{i}") for i in (1, 2, 3)], 0.0)
    slow, changed = state.series_sets.changed_since(0)
    assert {series.device for series in changed} == {"v1", "v2", "v3"}
    fast = slow
    for index in (2, 1, 2):
        state.apply(
            [notify(NotificationType.PARAMETER, interface(index=index, name=f"v{index}"), 1.0)]
        )
        fast, changed = state.series_sets.changed_since(fast)
        assert [series.device for series in changed] == [f"v{index}"]
    slow, changed = state.series_sets.changed_since(slow)
    assert [series.device for series in changed] == ["v2", "v1"]
    assert [state.series_sets.changed_since(reader)[1] for reader in (slow, fast)] == [[], []]


def test_unobserved_transitions_are_added_to_their_own_counter() -> None:
    """Flaps that only the kernel's counters prove are counted apart from observed ones."""
    state = State()
    state.load([interface()], 0.0)
    n = notify(
        NotificationType.REFRESH, interface(), 1.0, unobserved_connects=3, unobserved_disconnects=2
    )
    state.apply([n])
    assert only(state).unobserved == [2, 3]
    assert only(state).notifications == [0, 0, 0]


def test_beyond_the_limit_interfaces_share_one_device() -> None:
    """Interfaces beyond the limit add up under the overflow device, and are reported."""
    state = State(max_interfaces=2)
    state.load([interface(index=i, name=f"v{i}") for i in range(1, 6)], 0.0)
    assert devices(state) == [OVERFLOW_DEVICE, "v1", "v2"]
    assert state.aggregated == 3
    assert state.existing[IPV4] == 5
    state.apply([notify(NotificationType.DELETE, interface(index=5, name="v5"), 2.0)])
    state.apply(
        [notify(NotificationType.PARAMETER, interface(index=4, name="v4", connected=False), 3.0)]
    )
    (other,) = [series for series in state.series_sets if series.shared]
    assert (other.luid, other.index, other.interface) == ("", "", None)
    assert (other.notifications[NotificationType.DELETE], other.transitions) == (1, [1, 0])
    assert other.seconds(4.0, connected=True) == 4.0 + 2.0 + 3.0
    assert other.seconds(4.0, connected=False) == 1.0
    assert state.aggregated == 2


def test_a_deleted_interface_makes_room_for_a_new_one() -> None:
    """At the limit, the oldest series of a deleted interface is dropped first."""
    state = State(max_interfaces=2)
    state.load([interface(index=1, name="a"), interface(index=2, name="b")], 0.0)
    state.apply([notify(NotificationType.DELETE, interface(index=1, name="a"), 1.0)])
    state.apply([notify(NotificationType.ADD, interface(index=3, name="c"), 2.0)])
    assert devices(state) == ["b", "c"]
    assert state.aggregated == 0


def test_a_group_shares_one_series_by_name_or_kind() -> None:
    """Interfaces of a group add up under its name, however many come and go."""
    selection = Selection(groups=(Group("containers", re.compile("veth")),))
    state = State(selection)
    for i in range(1, 501):
        veth = interface(index=i, name=f"v{i}", kind="veth")
        state.apply(
            [notify(NotificationType.ADD, veth, i), notify(NotificationType.DELETE, veth, i + 0.5)]
        )
    assert devices(state) == ["containers"]
    assert only(state).notifications == [0, 500, 500]
    assert only(state).seconds(1e6, connected=True) == 250.0
    assert state.churn[IPV4] == [0, 500, 500]


def test_filtered_interfaces_leave_no_trace() -> None:
    """An excluded interface is neither counted nor published, until a rename includes it."""
    selection = Selection(exclude=re.compile("veth.*"), exclude_kinds=frozenset({"bridge"}))
    state = State(selection)
    state.load([interface(name="veth1"), interface(index=4, name="br0", kind="bridge")], 0.0)
    state.apply([notify(NotificationType.PARAMETER, interface(name="veth1", connected=False), 1.0)])
    assert (devices(state), state.churn[IPV4], state.existing[IPV4]) == ([], [0, 0, 0], 0)
    state.apply([notify(NotificationType.REFRESH, interface(name="eth0", connected=False), 2.0)])
    assert devices(state) == ["eth0"]
    assert only(state).seconds(5.0, connected=False) == 3.0
    state.apply([notify(NotificationType.REFRESH, interface(name="veth1", connected=False), 6.0)])
    assert (devices(state), state.existing[IPV4]) == ([], 0)


def test_an_interface_without_a_row_is_still_counted() -> None:
    """A notification without a row counts, names the interface once known, or expires."""
    state = State(retention_seconds=10.0)
    state.apply([notify(NotificationType.ADD, interface(), 1.0, row=False)])
    assert state.churn[IPV4][NotificationType.ADD] == 1
    assert (devices(state), state.existing[IPV4]) == ([""], 0)
    state.apply([notify(NotificationType.PARAMETER, interface(), 2.0)])
    assert (devices(state), state.existing[IPV4]) == (["eth0"], 1)
    state.apply([notify(NotificationType.ADD, interface(index=9), 3.0, row=False)])
    assert state.expire(13.0) is None
    assert devices(state) == ["eth0"]


def test_a_hundred_thousand_deleted_interfaces_leave_nothing_behind() -> None:
    """Created and deleted in waves, interfaces leave the churn counter and nothing else."""
    state = State(max_interfaces=1000, retention_seconds=10.0)
    for i in range(100_000):
        one = interface(index=i % (1 << 24), name=f"veth{i}", kind="veth")
        state.apply(
            [notify(NotificationType.ADD, one, i), notify(NotificationType.DELETE, one, i + 0.5)]
        )
        assert len(state.series_sets._own) <= 1000
        state.expire(i + 1.0)
    state.expire(1e9)
    assert list(state.series_sets) == []
    table = state.series_sets
    assert (state._tracked, table._departed, table._changed) == ({}, {}, {})
    assert state.churn[IPV4] == [0, 100_000, 100_000]


def test_cached_differences_are_bounded_and_right() -> None:
    """For any number of rows of one interface, each difference is right and few are cached."""
    state = State()
    state.load([interface(mtu_bytes=0)], 0.0)
    for mtu in range(1, 2000):
        after = interface(mtu_bytes=mtu, connected=mtu % 2 == 0)
        (delta,) = state.apply([notify(NotificationType.PARAMETER, after, float(mtu))])
        assert [c.after for c in delta.changes if c.parameter == "mtu_bytes"] == [mtu]
    assert only(state).parameter_changes["mtu_bytes"] == 1999
    assert only(state).transitions == [1000, 999]
    assert len(state._differences) < 300


BOUNDS = (0.1, 1.0, 2.5)


@given(st.lists(st.one_of(st.sampled_from(BOUNDS), st.floats(-1.0, 5.0)), max_size=40))
def test_many_values_at_once_are_as_many_values(values: list[float]) -> None:
    """A histogram has the same buckets whether values come one by one or sorted together."""
    one_by_one, together = Histogram(BOUNDS), Histogram(BOUNDS)
    for value in values:
        one_by_one.observe(value)
    together.observe_all(sorted(values))
    assert together.cumulative() == one_by_one.cumulative()
    assert math.isclose(together.sum, one_by_one.sum, abs_tol=1e-9)


def totals(state: State, now: float) -> object:
    """Return every number of the state."""
    return (
        state.churn,
        state.inferred,
        state.existing,
        state.connected,
        [
            (
                series.device,
                series.notifications,
                series.connections,
                series.disconnections,
                series.unobserved,
                series.parameter_changes,
                series.seconds(now, connected=True),
                series.seconds(now, connected=False),
            )
            for series in state.series_sets
        ],
    )


INTERFACES = st.builds(
    interface,
    index=st.integers(1, 4),
    name=st.sampled_from(["eth0", "veth1", "br0", "x0"]),
    connected=st.booleans(),
    family=st.sampled_from(FAMILIES),
    kind=st.sampled_from(["", "veth", "bridge"]),
    status=st.sampled_from([LinkStatus(), WORKING, SWITCHED_OFF, NO_CARRIER]),
    mtu_bytes=st.sampled_from([1280, 1500]),
)
EVENTS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                NotificationType.ADD,
                NotificationType.DELETE,
                NotificationType.PARAMETER,
                NotificationType.REFRESH,
            ]
        ),
        INTERFACES,
        st.floats(0.0, 100.0),
        st.booleans(),
        st.booleans(),
    ),
    max_size=60,
)
SELECTIONS = st.builds(
    Selection,
    exclude=st.sampled_from([None, re.compile("x.*")]),
    exclude_kinds=st.sampled_from([frozenset(), frozenset({"bridge"})]),
    groups=st.sampled_from([(), (Group("pods", re.compile("veth.*")),)]),
)


@settings(max_examples=300, deadline=None)
@given(EVENTS, SELECTIONS, st.integers(1, 6))
def test_totals_agree_after_any_events(
    events: list[tuple[NotificationType, Interface, float, bool, bool]],
    selection: Selection,
    limit: int,
) -> None:
    """For any sequence: sums agree, nothing is negative, series stay within their bounds."""
    state = State(selection, max_interfaces=limit, retention_seconds=1e9)
    unwatched = State(selection, max_interfaces=limit, retention_seconds=1e9)
    now = 0.0
    evicted = 0
    for notification_type, one, pause, with_row, inferred in events:
        now += pause
        before = {series: sum(series.notifications) for series in state.series_sets}
        n = notify(notification_type, one, now, row=with_row, inferred=inferred)
        state.apply([n])
        unwatched.count([n])
        alive = set(state.series_sets)
        evicted += sum(count for series, count in before.items() if series not in alive)
        assert len(state.series_sets._own) <= limit
    counted = sum(sum(series.notifications) for series in state.series_sets) + evicted
    assert counted == sum(map(sum, state.churn.values()))
    assert totals(state, now) == totals(unwatched, now), "count is apply without deltas"
    live = [t for t in state._tracked.values() if t.interface and t.series]
    for family in FAMILIES:
        mine = [t.interface for t in live if t.interface and t.interface.family is family]
        assert state.existing[family] == len(mine)
        assert state.connected[family] == sum(i.parameters.connected for i in mine)
    for series in state.series_sets:
        total = series.seconds(now, connected=True) + series.seconds(now, connected=False)
        assert min(series.seconds(now, connected=True), series.seconds(now, connected=False)) >= 0.0
        assert total <= now * len(events) + 1e-6
        assert min(*series.notifications, *series.transitions, *series.unobserved) >= 0


@given(
    st.lists(st.tuples(st.floats(0, 50), st.booleans(), st.booleans()), max_size=12),
    st.floats(0, 1e7),
)
def test_time_in_state_never_falls(steps: list[tuple[float, bool, bool]], began: float) -> None:
    """After a scrape, no earlier notification reduces the time that was shown."""
    state = State()
    state.load([interface()], began)
    shown = [0.0, 0.0]
    now = began
    for seconds, connected, late in steps:
        now += seconds
        happened = now - 3 * late
        state.apply([notify(NotificationType.PARAMETER, interface(connected=connected), happened)])
        with state.lock:
            instant = state.pin(now)
            next_shown = [only(state).seconds(instant, connected=value) for value in (False, True)]
        assert next_shown[0] >= shown[0]
        assert next_shown[1] >= shown[1]
        shown = next_shown


@settings(max_examples=200, deadline=None)
@given(EVENTS, st.lists(st.none() | st.floats(0.0, 1.0), max_size=60), st.booleans())
def test_publishing_changes_no_number(
    events: list[tuple[NotificationType, Interface, float, bool, bool]],
    scrapes: list[float | None],
    late: bool,
) -> None:
    """Scrapes at any moments change neither counts nor outages.

    Nor do they change time in state, if they show only the time that was processed. A scrape
    beyond that moves time from one state to the other, and loses none.
    """
    scraped, unscraped = State(retention_seconds=150.0), State(retention_seconds=150.0)
    now = 0.0
    shares = iter(scrapes)
    for type_, one, pause, with_row, inferred in events:
        share = next(shares, None)
        if share is not None:
            with scraped.lock:
                scraped.pin(now + share * pause + 200.0 * late)
        now += pause
        n = notify(type_, one, now, row=with_row, inferred=inferred)
        scraped.count([n])
        unscraped.count([n])
    now += 1e4
    for state in (scraped, unscraped):
        state.pin(now)
    for family in FAMILIES:
        ours, theirs = scraped.outages[family], unscraped.outages[family]
        assert (ours.cumulative(), ours.sum) == (theirs.cumulative(), theirs.sum)
    if late:  # the retention may end earlier then
        assert (scraped.churn, scraped.inferred) == (unscraped.churn, unscraped.inferred)
    else:
        assert totals(scraped, now) == totals(unscraped, now)


def test_a_scrape_keeps_no_series_set_beyond_its_retention() -> None:
    """A notification of the scraped instant expires what is due, as without a scrape."""
    scraped, unscraped = State(retention_seconds=150.0), State(retention_seconds=150.0)
    with_row, gone = interface(), notify(NotificationType.DELETE, interface(), 1.0)
    for state in (scraped, unscraped):
        state.load([with_row], 0.0)
        state.count([gone])
    with scraped.lock:
        scraped.pin(151.0)
    for state in (scraped, unscraped):
        state.count([notify(NotificationType.ADD, with_row, 151.0)])
    assert only(unscraped).notifications == [0, 1, 0], "it is a new series set"
    assert totals(scraped, 200.0) == totals(unscraped, 200.0)


def test_a_notification_that_was_late_for_a_scrape_counts_from_there() -> None:
    """A transition before a scrape that is processed after it counts from the scrape."""
    state = State()
    state.load([interface()], 0.0)
    with state.lock:
        assert state.pin(1000.0) == 1000.0
    state.apply([notify(NotificationType.PARAMETER, interface(connected=False), 999.5)])
    assert only(state).seconds(1010.0, connected=True) == 1000.0


def test_a_group_that_is_no_longer_configured_ends_when_it_is_empty() -> None:
    """Reloads with new group names each time leave no series behind."""
    state = State()
    state.load([interface(name="eth0"), interface(index=4, name="veth4", kind="veth")], 0.0)
    for round_ in range(20):
        groups = (Group(f"group{round_}", re.compile("veth")),)
        state.reconfigure(Selection(groups=groups), 1000, 600.0, float(round_))
        assert devices(state) == ["eth0", f"group{round_}"]
    state.reconfigure(Selection(), 1000, 600.0, 30.0)
    assert devices(state) == ["eth0", "veth4"]


def test_notifications_without_a_row_are_counted() -> None:
    """A change without a row is counted, because it may hide a flap."""
    state = State()
    state.load([interface()], 0.0)
    rowless = notify(NotificationType.PARAMETER, interface(), 1.0)._replace(interface=None)
    state.apply([rowless, rowless, notify(NotificationType.PARAMETER, interface(), 1.0)])
    (series,) = state.series_sets
    assert series.unread == 2
    assert series.notifications[NotificationType.PARAMETER] == 3
