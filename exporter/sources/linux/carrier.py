"""Finds the flaps that no notification showed, from the kernel's own carrier counters.

The kernel merges carrier changes before it sends a message: a link that goes down and up
again within one run of its linkwatch worker gives one message that looks like no change.
But it counts them all (IFLA_CARRIER_UP_COUNT and IFLA_CARRIER_DOWN_COUNT). What the
counters grew by, less the transitions that messages showed, was unobserved.

Three facts make it more than a subtraction:

- A counter may grow *before* the transition shows: LOWER_UP appears with the new count, RUNNING
  (and Connected with it) follows in a later message. Such a change is pending, not unobserved.
- An IPv6 message (RTNLGRP_IPV6_IFINFO) shows a transition without any counter; the growth that
  belongs to it comes with the next link message.
- A carrier that changes on a link that is administratively down connects nothing: of what the
  counters grew by meanwhile, only a carrier that the link has when it is up again counts.

Kernels before 4.16 have no such counters. Then nothing is known of unobserved flaps.

Source: net/core/link_watch.c, and net/core/rtnetlink.c (rtnl_fill_ifinfo).
"""

from __future__ import annotations

_MASK = 0xFFFFFFFF  # the counters are u32 and wrap
_HALF = 0x7FFFFFFF  # "growth" beyond it is a counter that fell

#: Carrier ups and downs of a link since it was made; ``None``: the kernel does not count them.
Counters = tuple[int, int] | None


def have_fallen(before: Counters, after: Counters) -> bool:
    """Return whether the counters went back, which those of one link never do."""
    if before is None or after is None:
        return False
    (up, down), (seen_up, seen_down) = after, before
    return (up - seen_up) & _MASK > _HALF or (down - seen_down) & _MASK > _HALF


class CarrierTracker:
    """Compares the carrier counters of one IP interface with its transitions. Not thread-safe."""

    __slots__ = ("_counters", "_early_down", "_early_up", "_up", "follows")

    def __init__(self, counters: Counters, *, follows: bool = True) -> None:
        self.restart(counters, follows=follows)

    def restart(self, counters: Counters, *, follows: bool) -> None:
        """Start again from these counters; `follows`: the carrier connects the interface."""
        #: Whether the carrier connects the interface.
        self.follows = follows
        self._counters = counters
        self._up = 0  # an up that no transition has explained yet
        self._early_up = self._early_down = 0  # transitions that were seen before their growth

    def transition(self, *, connected: bool, carrier: bool) -> None:
        """Process a change of Connected that a message without counters showed.

        `carrier` is that of the last message with counters: a carrier that was there is counted.
        """
        if not connected:
            self._early_down += carrier
        elif self._up:
            self._up -= 1
        else:
            self._early_up += not carrier

    def update(
        self,
        counters: Counters,
        *,
        transition: bool | None,
        connected: bool,
        carrier: bool,
        enabled: bool = True,
    ) -> int:
        """Process the counters of a link message, which showed `transition` (or ``None``).

        Returns the number of unobserved flaps (one connect and one disconnect each).
        `connected` and `carrier` (LOWER_UP) are those of the same message; `enabled` tells whether
        the link may have been up (UP) since the message before it.
        """
        if counters is None or self._counters is None or have_fallen(self._counters, counters):
            self.restart(counters, follows=self.follows)
            return 0
        grown_up = (counters[0] - self._counters[0]) & _MASK
        grown_down = (counters[1] - self._counters[1]) & _MASK
        self._counters = counters
        if not enabled:
            grown_up, grown_down, self._up = int(carrier), 0, 0
        # An early transition without growth was administrative: no growth is owed for it.
        up = max(self._up + grown_up - self._early_up, 0) - (transition is True)
        down = max(grown_down - self._early_down, 0) - (transition is False)
        self._early_up = self._early_down = 0
        pending = carrier and not connected
        flaps = max(0, min(up - pending, down))
        self._up = max(0, min(up - flaps, 1)) if pending else 0
        return flaps

    @property
    def pending(self) -> tuple[bool, int, int, int]:
        """Everything but the counters."""
        return self.follows, self._up, self._early_up, self._early_down

    def is_at(self, counters: Counters) -> bool:
        """Return whether the last update had these counters."""
        return counters == self._counters

    def restore(self, pending: tuple[bool, int, int, int], counters: Counters) -> None:
        """Restore an earlier `pending`, with the present counters."""
        self.follows, self._up, self._early_up, self._early_down = pending
        self._counters = counters
