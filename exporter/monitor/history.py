"""Remembers the latest changes for people, in bounded memory.

An `InterfaceHistory` has the states of one IP interface over the last hours. An interface that has
not changed has none, and beyond `MAX_HISTORIES` the one that changed longest ago makes room.
Instants are in seconds, as `Notification.instant`. Thread: written and read under `State.lock`.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from enum import IntEnum
from typing import NamedTuple, Protocol

from exporter.model import Cause, Change, Interface, Notification

#: How far the counts of a history reach back.
MINUTES = 360
#: So many changes of an interface are kept exactly. When there are `ROLL_UP_CHANGES` more, these
#: are rolled up: counted by the minute.
EXACT_CHANGES, ROLL_UP_CHANGES = 32, 128
MOST_CHANGES = EXACT_CHANGES + ROLL_UP_CHANGES
MAX_HISTORIES = 2_000
LATEST_CHANGES = 200


class DisplayState(IntEnum):
    """The state of an IP interface as it is shown to people."""

    CONNECTED = 0
    DISCONNECTED = 1
    SWITCHED_OFF = 2
    GONE = 3

    @property
    def label(self) -> str:
        """The state in words, for example ``switched off``."""
        return self.name.lower().replace("_", " ")


def display_state(interface: Interface | None) -> DisplayState:
    """Return the state of an interface as it is shown to people."""
    if interface is None:
        return DisplayState.GONE
    if interface.parameters.connected:
        return DisplayState.CONNECTED
    off = interface.status.cause is Cause.ADMINISTRATIVE
    return DisplayState.SWITCHED_OFF if off else DisplayState.DISCONNECTED


class StateChange(NamedTuple):
    """A change of an interface as it is shown to people."""

    before: DisplayState
    #: The same if only the row changed.
    after: DisplayState
    #: The members of the row that changed.
    changes: tuple[Change, ...] = ()


def disconnected_at(
    before: DisplayState, changes: Iterable[tuple[float, DisplayState]]
) -> list[float]:
    """Return when an interface ceased to be connected; `before` is its state at first."""
    found = []
    for instant, state in changes:
        if before is DisplayState.CONNECTED and state is not before:
            found.append(instant)
        before = state
    return found


class MinuteBucket(NamedTuple):
    """The changes of a minute that were rolled up."""

    #: Since the clock of the notifications stood at 0.
    minute: int
    #: 255 stands for any larger number.
    disconnections: int
    #: The state at its end.
    state: DisplayState


def _buckets(
    before: DisplayState, instants: Sequence[float], states: Sequence[DisplayState]
) -> list[MinuteBucket]:
    """Count changes by the minute; a state began at each instant."""
    minute, last = int(instants[0] // 60), states[-1]
    if int(instants[-1] // 60) == minute:
        # A storm: each state that is connected, but for the last, ends with a disconnection.
        connected = states.count(DisplayState.CONNECTED) + (before is DisplayState.CONNECTED)
        return [MinuteBucket(minute, connected - (last is DisplayState.CONNECTED), last)]
    changes = list(zip(instants, states, strict=True))
    counts = Counter([int(instant // 60) for instant in disconnected_at(before, changes)])
    ends = {int(instant // 60): state for instant, state in changes}
    return [MinuteBucket(minute, counts[minute], state) for minute, state in ends.items()]


class Owner(Protocol):
    """An object whose history can be removed, to make room for another's."""

    history: InterfaceHistory | None


class InterfaceHistory:
    """The states of one IP interface over the last hours."""

    __slots__ = (
        "_counts",
        "_ends",
        "_minute",
        "device",
        "family",
        "instants",
        "owner",
        "state_before_buckets",
        "state_before_changes",
        "states",
        "unobserved",
    )

    def __init__(
        self, device: str, family: str, before: DisplayState, owner: Owner | None = None
    ) -> None:
        """Begin with the state `before` the first change."""
        self.owner = owner
        #: The name of the link, also where it shares a series set with others.
        self.device = device
        self.family = family
        self.state_before_buckets = self.state_before_changes = before
        #: The latest changes: when, and the state that began; to `roll_up` when there are too many.
        #: Two lists, because a tuple for each change costs the garbage collector time.
        self.instants: list[float] = []
        self.states: list[DisplayState] = []
        #: The latest flaps that no notification showed: when, and how many.
        self.unobserved: deque[tuple[float, int]] = deque(maxlen=EXACT_CHANGES)
        #: Ring buffers with a byte for each minute: its disconnections, and its last state plus 1
        #: (0: no change); and the minute of their last bytes.
        self._counts = self._ends = b""
        self._minute = 0

    @property
    def changes(self) -> list[tuple[float, DisplayState]]:
        """The latest changes: when, and the state that began."""
        return list(zip(self.instants, self.states, strict=True))

    def add(self, instant: float, began: DisplayState) -> None:
        """Add a change. `State` does the same in place, which takes half the time."""
        self.instants.append(instant)
        self.states.append(began)
        if len(self.states) > MOST_CHANGES:
            self.roll_up()

    def roll_up(self) -> None:
        """Count the oldest changes by the minute instead of keeping them."""
        instants, states = self.instants[:-EXACT_CHANGES], self.states[:-EXACT_CHANGES]
        del self.instants[:-EXACT_CHANGES], self.states[:-EXACT_CHANGES]
        counts, ends = bytearray(self._counts or MINUTES), bytearray(self._ends or MINUTES)
        for minute, count, state in _buckets(self.state_before_changes, instants, states):
            self._advance(minute, counts, ends)
            at = minute % MINUTES
            counts[at] = min(255, counts[at] + count)
            ends[at] = state + 1
        self.state_before_changes = states[-1]
        self._counts, self._ends = bytes(counts), bytes(ends)

    def _advance(self, minute: int, counts: bytearray, ends: bytearray) -> None:
        """Forget the minutes that the ring buffers have no room for any more."""
        if self._minute < minute - MINUTES and any(ends):
            self.state_before_buckets = self.buckets()[-1].state  # all of them
        for passed in range(max(self._minute, minute - MINUTES) + 1, minute + 1):
            at = passed % MINUTES
            if ends[at]:
                self.state_before_buckets = DisplayState(ends[at] - 1)
            counts[at] = ends[at] = 0
        self._minute = max(minute, self._minute)

    @property
    def earliest(self) -> float:
        """The instant of the first change it has; of one rolled up, the start of its minute."""
        rolled_up = [60.0 * bucket.minute for bucket in self.buckets()[:1]]
        marks = [instant for instant, _ in self.unobserved]
        return min([*rolled_up, *self.instants[:1], *marks], default=math.inf)

    @property
    def latest(self) -> float:
        """The instant of the latest change."""
        unobserved = (instant for instant, _ in self.unobserved)
        return max([*self.instants[-1:], *unobserved], default=0.0)

    def buckets(self) -> list[MinuteBucket]:
        """Return the minutes in which changes were rolled up, the oldest first."""
        if not self._ends:
            return []
        counts, ends, last = self._counts, self._ends, self._minute
        found = [
            MinuteBucket(last - (last - at) % MINUTES, counts[at], DisplayState(end - 1))
            for at, end in enumerate(ends)
            if end
        ]
        found.sort()
        return found

    def copy(self) -> InterfaceHistory:
        """Copy it, to be read without the lock."""
        new = InterfaceHistory(self.device, self.family, self.state_before_changes)
        new.instants, new.states = self.instants.copy(), self.states.copy()
        new.unobserved = self.unobserved.copy()
        new._counts, new._ends, new._minute = self._counts, self._ends, self._minute
        new.state_before_buckets = self.state_before_buckets
        return new


class History:
    """The histories of the interfaces that changed, and the latest changes of all."""

    def __init__(self) -> None:
        self.interfaces: list[InterfaceHistory] = []
        #: The instant from which on the states are known.
        self.since = math.inf
        #: As plain tuples, which take a fifth of the time to make: the notification, a name for
        #: one without an interface, and what changed.
        self.latest: deque[tuple[Notification, str, StateChange]] = deque(maxlen=LATEST_CHANGES)

    def begin(
        self, device: str, family: str, before: DisplayState, owner: Owner
    ) -> InterfaceHistory:
        """Give `owner`, an interface that changes for the first time, a history."""
        if len(self.interfaces) >= MAX_HISTORIES:
            # A quarter at once, because finding the oldest takes time.
            self.interfaces.sort(key=lambda history: history.latest)
            for oldest in self.interfaces[: MAX_HISTORIES // 4]:
                if oldest.owner is not None:
                    oldest.owner.history = None
            del self.interfaces[: MAX_HISTORIES // 4]
        owner.history = InterfaceHistory(device, family, before, owner)
        self.interfaces.append(owner.history)
        return owner.history
