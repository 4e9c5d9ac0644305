"""Finds the flaps that no notification showed, from the kernel's own carrier counters.

The kernel merges carrier changes before it tells anyone: a link that goes down and up
again within one run of its linkwatch worker gives one message that looks like no change.
But it counts them all (IFLA_CARRIER_UP_COUNT and IFLA_CARRIER_DOWN_COUNT). What the
counters grew by, less the transitions that were seen, was missed.

Three facts make it more than a subtraction:

- A counter grows *before* the transition shows: first LOWER_UP appears with the new count,
  RUNNING (Connected) follows in a later message. Such a change is pending, not missed.
- An IPv6 message (RTNLGRP_IPV6_IFINFO) shows a transition without any counter, and so does
  a listing that may be ahead of the stream; the growth that belongs to it comes with the
  next link message.
- A carrier that changes on a link that is administratively down connects nothing, so only
  pairs (one up and one down) can be a missed flap.

Source: net/core/link_watch.c, and net/core/rtnetlink.c (rtnl_fill_ifinfo).
"""

from __future__ import annotations

_MASK = 0xFFFFFFFF  # the counters are u32 and wrap
_HALF = 0x7FFFFFFF  # "growth" beyond it is a message that is older than the last listing


class CarrierAccount:
    """The books of one IP interface. Thread: the collector."""

    __slots__ = ("_down", "_early_down", "_early_up", "_seen_down", "_seen_up", "_up", "follows")

    def __init__(self, up_count: int, down_count: int, follows: bool = True) -> None:
        #: Whether the carrier connects the interface (not while IPv6 is switched off).
        self.follows = follows
        self._seen_up, self._seen_down = up_count, down_count
        self._up = self._down = 0  # growth that no transition has explained yet
        self._early_up = self._early_down = 0  # transitions seen before their growth

    def transition(self, connected: bool) -> None:
        """A notification showed Connected change to `connected`."""
        if connected:
            if self._up:
                self._up -= 1
            else:
                self._early_up += 1
        elif self._down:
            self._down -= 1
        else:
            self._early_down += 1

    def reading(
        self,
        up_count: int,
        down_count: int,
        transition: bool | None,
        connected: bool,
        carrier: bool,
    ) -> int:
        """A link message gave the counters, showing `transition` (or ``None``).

        Returns the number of flaps (one connect and one disconnect each) that were missed.
        `connected` and `carrier` (LOWER_UP) are those of the same message.
        """
        grown_up = (up_count - self._seen_up) & _MASK
        grown_down = (down_count - self._seen_down) & _MASK
        early_up, early_down = self._early_up, self._early_down
        self._early_up = self._early_down = 0
        if grown_up > _HALF or grown_down > _HALF:
            return 0  # what this message shows was before these books began
        self._seen_up, self._seen_down = up_count, down_count
        # An early transition without growth was administrative: nothing is owed for it.
        self._up = max(self._up + grown_up - early_up, 0)
        self._down = max(self._down + grown_down - early_down, 0)
        if transition is not None:
            self.transition(transition)
            self._early_up = self._early_down = 0
        pending_up, pending_down = carrier and not connected, connected and not carrier
        missed = max(0, min(self._up - pending_up, self._down - pending_down))
        self._up = min(self._up - missed, 1) if pending_up else 0
        self._down = min(self._down - missed, 1) if pending_down else 0
        return missed

    @property
    def books(self) -> tuple[bool, int, int, int, int]:
        """All that is known beside the counters themselves."""
        return self.follows, self._up, self._down, self._early_up, self._early_down

    def has_read(self, up_count: int, down_count: int) -> bool:
        """Whether these were the counters of the last reading."""
        return (up_count, down_count) == (self._seen_up, self._seen_down)

    def restore(
        self, books: tuple[bool, int, int, int, int], up_count: int, down_count: int
    ) -> None:
        """Have the books of an earlier time, with the counters of now."""
        self.follows, self._up, self._down, self._early_up, self._early_down = books
        self._seen_up, self._seen_down = up_count, down_count

    def forget(self, up_count: int, down_count: int, follows: bool) -> None:
        """Start afresh, because the interface `follows` the carrier no longer, or again."""
        self.__init__(up_count, down_count, follows)  # type: ignore[misc]
