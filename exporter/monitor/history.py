"""Remembers the latest changes for people, in bounded memory.

A `Strip` holds the states of one IP interface over the last hours. An interface that has not
changed has none, and beyond `MAX_STRIPS` the one that changed longest ago makes room. Instants are
in seconds, as `Notification.instant`. Thread: written and read under `State.lock`.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from enum import IntEnum
from typing import NamedTuple, Protocol

from exporter.model import Cause, Change, Interface, Notification

#: How far the counts of a strip reach back.
MINUTES = 360
#: A strip keeps so many exact changes; older ones are counted by the minute, when there are
#: `FOLDED_CHANGES` more.
EXACT_CHANGES, FOLDED_CHANGES = 32, 128
MOST_CHANGES = EXACT_CHANGES + FOLDED_CHANGES
MAX_STRIPS = 2_000
LATEST_CHANGES = 200


class Shown(IntEnum):
    """The state of an IP interface as a person sees it."""

    CONNECTED = 0
    DISCONNECTED = 1
    SWITCHED_OFF = 2
    GONE = 3

    @property
    def label(self) -> str:
        """The state in words, for example ``switched off``."""
        return self.name.lower().replace("_", " ")


def shown(interface: Interface | None) -> Shown:
    """Return the state of an interface as a person sees it."""
    if interface is None:
        return Shown.GONE
    if interface.parameters.connected:
        return Shown.CONNECTED
    off = interface.status.cause is Cause.ADMINISTRATIVE
    return Shown.SWITCHED_OFF if off else Shown.DISCONNECTED


class Shift(Protocol):
    """What changed between two states of an interface."""

    @property
    def changes(self) -> tuple[Change, ...]:
        """The members of the row that changed."""

    @property
    def ended(self) -> Shown:
        """The state as a person saw it before."""

    @property
    def began(self) -> Shown:
        """The state as a person sees it; the same if it did not change."""


class PlainShift(NamedTuple):
    """A shift that is no difference of two rows."""

    ended: Shown
    began: Shown
    changes: tuple[Change, ...] = ()


def disconnections(before: Shown, changes: Iterable[tuple[float, Shown]]) -> list[float]:
    """Return when an interface ceased to be connected; `before` is its state at first."""
    found = []
    for instant, state in changes:
        if before is Shown.CONNECTED and state is not before:
            found.append(instant)
        before = state
    return found


def _by_minute(
    before: Shown, instants: Sequence[float], states: Sequence[Shown]
) -> list[tuple[int, int, Shown]]:
    """Return (minute, disconnections, last state) of the minutes in which something changed.

    A state began at each instant.
    """
    minute, last = int(instants[0] // 60), states[-1]
    if int(instants[-1] // 60) == minute:
        # A storm: each state that is connected, but for the last, ends with a disconnection.
        connected = states.count(Shown.CONNECTED) + (before is Shown.CONNECTED)
        return [(minute, connected - (last is Shown.CONNECTED), last)]
    changes = list(zip(instants, states, strict=True))
    counts = Counter([int(instant // 60) for instant in disconnections(before, changes)])
    ends = {int(instant // 60): state for instant, state in changes}
    return [(minute, counts[minute], state) for minute, state in ends.items()]


class Minute(NamedTuple):
    """What folded changes are counted by."""

    #: Since the clock of the notifications stood at 0.
    minute: int
    #: 255 stands for any larger number.
    disconnections: int
    #: The state at its end.
    state: Shown


class Owner(Protocol):
    """What has a strip, until that makes room for another."""

    strip: Strip | None


class Strip:
    """The states of one IP interface over the last hours."""

    __slots__ = (
        "_counts",
        "_ends",
        "_minute",
        "device",
        "family",
        "first",
        "instants",
        "origin",
        "owner",
        "states",
        "unobserved",
    )

    def __init__(self, device: str, family: str, first: Shown, owner: Owner | None = None) -> None:
        self.owner = owner
        #: The name of the link, also where it shares a series set with others.
        self.device = device
        self.family = family
        #: The states before the first of the minutes that are counted, and of the `changes`.
        self.origin = self.first = first
        #: The latest changes: when, and the state that began; to `fold` when there are too many.
        #: Two lists, because a tuple for each change costs the garbage collector time.
        self.instants: list[float] = []
        self.states: list[Shown] = []
        #: The latest flaps that no notification showed: when, and how many.
        self.unobserved: deque[tuple[float, int]] = deque(maxlen=EXACT_CHANGES)
        #: Rings of the folded changes by minute: disconnections, and the last state, counted
        #: from 1; 0: nothing changed. Then the minute of the last.
        self._counts = self._ends = b""
        self._minute = 0

    @property
    def changes(self) -> list[tuple[float, Shown]]:
        """The latest changes: when, and the state that began."""
        return list(zip(self.instants, self.states, strict=True))

    def add(self, instant: float, began: Shown) -> None:
        """Add a change. `State` does the same in place, which takes half the time."""
        self.instants.append(instant)
        self.states.append(began)
        if len(self.states) > MOST_CHANGES:
            self.fold()

    def fold(self) -> None:
        """Count the oldest changes by the minute instead of keeping them."""
        instants, states = self.instants[:-EXACT_CHANGES], self.states[:-EXACT_CHANGES]
        del self.instants[:-EXACT_CHANGES], self.states[:-EXACT_CHANGES]
        counts, ends = bytearray(self._counts or MINUTES), bytearray(self._ends or MINUTES)
        for minute, count, state in _by_minute(self.first, instants, states):
            self._advance(minute, counts, ends)
            at = minute % MINUTES
            counts[at] = min(255, counts[at] + count)
            ends[at] = state + 1
        self.first = states[-1]
        self._counts, self._ends = bytes(counts), bytes(ends)

    def _advance(self, minute: int, counts: bytearray, ends: bytearray) -> None:
        """Forget the minutes that the rings have no room for any more."""
        if self._minute < minute - MINUTES and any(ends):
            self.origin = self.minutes()[-1].state  # all of them
        for passed in range(max(self._minute, minute - MINUTES) + 1, minute + 1):
            at = passed % MINUTES
            if ends[at]:
                self.origin = Shown(ends[at] - 1)
            counts[at] = ends[at] = 0
        self._minute = max(minute, self._minute)

    @property
    def earliest(self) -> float:
        """The instant of the first change it has; of a folded one, the begin of its minute."""
        folded = [60.0 * m.minute for m in self.minutes()[:1]]
        marks = [instant for instant, _ in self.unobserved]
        return min([*folded, *self.instants[:1], *marks], default=math.inf)

    @property
    def latest(self) -> float:
        """The instant of the latest change."""
        unobserved = (instant for instant, _ in self.unobserved)
        return max([*self.instants[-1:], *unobserved], default=0.0)

    def minutes(self) -> list[Minute]:
        """Return the minutes of the folded changes, the oldest first."""
        if not self._ends:
            return []
        counts, ends, last = self._counts, self._ends, self._minute
        found = [
            Minute(last - (last - at) % MINUTES, counts[at], Shown(end - 1))
            for at, end in enumerate(ends)
            if end
        ]
        found.sort()
        return found

    def copy(self) -> Strip:
        """Copy it, to be read without the lock."""
        new = Strip(self.device, self.family, self.first)
        new.instants, new.states = self.instants.copy(), self.states.copy()
        new.unobserved = self.unobserved.copy()
        new._counts, new._ends, new._minute = self._counts, self._ends, self._minute
        new.origin = self.origin
        return new


class History:
    """The strips of the interfaces that changed, and the latest changes of all."""

    def __init__(self) -> None:
        self.strips: list[Strip] = []
        #: The instant from which on the states are known.
        self.since = math.inf
        #: As plain tuples, which take a fifth of the time to make: the notification, a name for
        #: one without an interface, and what changed.
        self.latest: deque[tuple[Notification, str, Shift]] = deque(maxlen=LATEST_CHANGES)

    def strip(self, device: str, family: str, first: Shown, owner: Owner) -> Strip:
        """Give `owner`, an interface that changes for the first time, a strip."""
        if len(self.strips) >= MAX_STRIPS:
            # A quarter at once, because finding the oldest takes time.
            self.strips.sort(key=lambda strip: strip.latest)
            for oldest in self.strips[: MAX_STRIPS // 4]:
                if oldest.owner is not None:
                    oldest.owner.strip = None
            del self.strips[: MAX_STRIPS // 4]
        owner.strip = Strip(device, family, first, owner)
        self.strips.append(owner.strip)
        return owner.strip
