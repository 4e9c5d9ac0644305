"""Unobserved flaps, compared with a model of the kernel's counters and messages."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.sources.linux.carrier import CarrierTracker, have_fallen

WRAP = 1 << 32


@dataclass
class Kernel:
    """A link that is administratively up, as net/core/link_watch.c runs it.

    The driver turns the carrier on and off and the counters grow at once; RUNNING follows
    the carrier when the linkwatch worker runs, however often it changed in between. A link is
    connected with both.
    """

    up_count: int
    down_count: int
    carrier: bool
    running: bool = field(init=False)
    ups: int = 0
    downs: int = 0

    def __post_init__(self) -> None:
        self.running = self.carrier

    def toggle(self) -> None:
        """Change the carrier, as the driver does."""
        self.carrier = not self.carrier
        if self.carrier:
            self.ups += 1
        else:
            self.downs += 1

    def linkwatch(self) -> None:
        """Run the linkwatch worker."""
        self.running = self.carrier

    @property
    def connected(self) -> bool:
        """Connected, as a message shows it."""
        return self.running and self.carrier

    @property
    def counts(self) -> tuple[int, int]:
        """IFLA_CARRIER_UP_COUNT and IFLA_CARRIER_DOWN_COUNT."""
        return (self.up_count + self.ups) % WRAP, (self.down_count + self.downs) % WRAP


class Follower:
    """Processes the messages of one interface as the table of links does."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.connected = kernel.connected
        self.carrier = kernel.carrier
        self.tracker = CarrierTracker(kernel.counts)
        self.observed_ups = self.observed_downs = self.unobserved = 0

    def _transition(self) -> bool | None:
        if self.kernel.connected is self.connected:
            return None
        self.connected = self.kernel.connected
        self.observed_ups += self.connected
        self.observed_downs += not self.connected
        return self.connected

    def link_message(self) -> int:
        """Send and process a link message. Returns the flaps that it proves."""
        transition = self._transition()
        unobserved = self.tracker.update(
            self.kernel.counts,
            transition=transition,
            connected=self.connected,
            carrier=self.kernel.carrier,
        )
        self.carrier = self.kernel.carrier
        self.unobserved += unobserved
        return unobserved

    def inet6_message(self) -> None:
        """Send and process an AF_INET6 message, which has no counters."""
        transition = self._transition()
        if transition is not None:
            self.tracker.transition(connected=transition, carrier=self.carrier)

    @property
    def totals(self) -> tuple[int, int]:
        """Observed and unobserved transitions by direction: the growth of the counters."""
        return self.observed_ups + self.unobserved, self.observed_downs + self.unobserved


COUNTS = st.one_of(st.integers(0, 5), st.integers(WRAP - 5, WRAP - 1))
STEPS = st.lists(st.sampled_from(["toggle", "linkwatch", "link", "inet6", "race"]), max_size=60)


def start(up_count: int, down_count: int, carrier: bool) -> tuple[Kernel, Follower]:
    """Return a link without pending messages, and its follower."""
    kernel = Kernel(up_count, down_count, carrier)
    return kernel, Follower(kernel)


def play(steps: list[str], kernel: Kernel, follower: Follower) -> None:
    """Play the steps; the linkwatch worker always ends with a link message."""
    for step in steps:
        match step:
            case "toggle":
                kernel.toggle()
            case "linkwatch":
                kernel.linkwatch()
                assert follower.link_message() >= 0
            case "link":
                assert follower.link_message() >= 0
            case "inet6" | "race":
                # The worker sends the IPv6 message before the link message; the driver may
                # change the carrier between the two.
                kernel.linkwatch()
                follower.inet6_message()
                if step == "race":
                    kernel.toggle()
                assert follower.link_message() >= 0
        assert follower.totals[0] <= kernel.ups
        assert follower.totals[1] <= kernel.downs


@given(COUNTS, COUNTS, st.booleans(), STEPS)
def test_observed_and_unobserved_equal_the_growth(
    up_count: int, down_count: int, carrier: bool, steps: list[str]
) -> None:
    """Without pending messages, observed and unobserved transitions add up to the growth."""
    kernel, follower = start(up_count, down_count, carrier)
    play([*steps, "linkwatch"], kernel, follower)
    assert follower.totals == (kernel.ups, kernel.downs)


@pytest.mark.parametrize(("carrier", "toggles", "unobserved"), [
    (True, 2, 1),
    (True, 200, 100),
    (False, 2, 1),
    (True, 1, 0),
    (False, 3, 1),
])  # fmt: skip
def test_merged_flaps_are_unobserved(carrier: bool, toggles: int, unobserved: int) -> None:
    """Two carrier changes between two messages are an unobserved flap; an odd one is observed."""
    kernel, follower = start(0, 0, carrier)
    play(["toggle"] * toggles + ["linkwatch"], kernel, follower)
    assert follower.unobserved == unobserved


def updated(
    tracker: CarrierTracker,
    counters: tuple[int, int] | None,
    transition: bool | None = None,
    *,
    connected: bool,
    carrier: bool = True,
    enabled: bool = True,
) -> int:
    """Return the flaps that a link message proves."""
    return tracker.update(
        counters, transition=transition, connected=connected, carrier=carrier, enabled=enabled
    )


@pytest.mark.parametrize("carrier", [True, False])
def test_a_carrier_that_changes_on_a_link_that_is_down_is_no_flap(carrier: bool) -> None:
    """A tap that is down gets and loses its carrier with its program, without connecting."""
    tracker = CarrierTracker((0, 0))
    assert updated(tracker, (2, 2), connected=False, carrier=False, enabled=False) == 0
    # It is up again, with a carrier or without, and linkwatch has not run yet.
    assert updated(tracker, (5, 5), connected=False, carrier=carrier, enabled=False) == 0
    assert updated(tracker, (5, 6), connected=False, carrier=False) == carrier


def test_ipv6_that_is_ready_on_a_link_with_a_carrier_expects_no_growth() -> None:
    """The carrier was there and is counted: further growth is a flap."""
    tracker = CarrierTracker((18, 17))
    tracker.transition(connected=True, carrier=True)
    assert updated(tracker, (19, 18), connected=True) == 1


def test_the_first_down_of_a_bridge_is_no_flap() -> None:
    """A link that is administratively down counts the loss of its carrier; it is no flap."""
    tracker = CarrierTracker((0, 0))
    assert updated(tracker, (0, 1), connected=False, carrier=False) == 0
    assert updated(tracker, (1, 1), connected=False) == 0
    assert updated(tracker, (1, 1), True, connected=True) == 0


def test_an_administrative_change_expects_no_growth() -> None:
    """A change of Connected without a counter does not use up the growth of later flaps."""
    tracker = CarrierTracker((7, 7))
    assert updated(tracker, (7, 7), False, connected=False) == 0
    assert updated(tracker, (7, 7), True, connected=True) == 0
    assert updated(tracker, (8, 8), connected=True) == 1


def test_several_early_transitions_use_up_the_growth() -> None:
    """Transitions of IPv6 messages, which have no counters, use up the growth that follows."""
    tracker = CarrierTracker((0, 0))
    for connected in (False, True, False, True):
        tracker.transition(connected=connected, carrier=True)
    assert updated(tracker, (2, 2), connected=True) == 0
    assert updated(tracker, (3, 3), connected=True) == 1


def test_a_restart_ignores_earlier_growth() -> None:
    """Growth while the interface could not follow the carrier is no flap."""
    tracker = CarrierTracker((0, 0))
    tracker.transition(connected=False, carrier=True)
    tracker.restart((5, 5), follows=True)
    assert updated(tracker, (5, 5), connected=False) == 0
    assert updated(tracker, (6, 6), connected=True) == 1


@pytest.mark.parametrize("transition", [None, True, False])
def test_counters_that_are_absent_are_unknown(transition: bool | None) -> None:
    """Without counters, as before Linux 4.16, no flap is proven; nor by the first counters."""
    tracker = CarrierTracker(None)
    connected = transition is not False
    assert updated(tracker, None, transition, connected=connected) == 0
    assert updated(tracker, (9, 9), connected=connected) == 0
    assert updated(tracker, (10, 10), connected=True) == 1


@pytest.mark.parametrize(("before", "after", "fallen"), [
    ((5, 5), (5, 5), False),
    ((5, 5), (6, 5), False),
    ((5, 5), (4, 9), True),
    ((5, 5), (9, 4), True),
    ((WRAP - 1, 0), (1, 0), False),
    ((1, 0), (WRAP - 1, 0), True),
    (None, (4, 4), False),
    ((5, 5), None, False),
])  # fmt: skip
def test_counters_that_fall_are_of_another_link(
    before: tuple[int, int] | None, after: tuple[int, int] | None, fallen: bool
) -> None:
    """The counters of one link only grow, and wrap; falling counters prove no flap."""
    assert have_fallen(before, after) is fallen
    if fallen:
        tracker = CarrierTracker(before)
        assert updated(tracker, after, connected=True) == 0
        assert tracker.is_at(after)
