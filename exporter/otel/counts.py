"""Counts the items of a signal by result, so that no loss goes unnoticed.

An item is a notification for traces (a span event) and logs, a data point for metrics.
"""

from __future__ import annotations

import threading
from typing import Literal

#: ``accepted``: handed to the push. Of these, ``exported``: taken by the endpoint; ``failed``:
#: refused by it, or not delivered in time; ``dropped``: no room, or no time before the stop.
Result = Literal["accepted", "exported", "failed", "dropped"]


class ItemCounts:
    """Counts of items: accepted = exported + failed + dropped + in flight. Thread: any."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[Result, int] = {
            "accepted": 0,
            "exported": 0,
            "failed": 0,
            "dropped": 0,
        }
        self._closed = False

    def __repr__(self) -> str:
        return f"<ItemCounts {self.counts()}>"

    def add(self, result: Result, items: int) -> None:
        """Count items. A no-op after `close`, when an abandoned thread may still report some."""
        with self._lock:
            if not self._closed:
                self._counts[result] += items

    def counts(self) -> dict[Result, int]:
        """Return the counts by result, all of the same moment."""
        with self._lock:
            return self._counts.copy()

    def close(self) -> int:
        """Count the items in flight as dropped, and return their number."""
        with self._lock:
            counts = self._counts
            ended = counts["exported"] + counts["failed"] + counts["dropped"]
            in_flight = counts["accepted"] - ended
            if not self._closed:
                counts["dropped"] += in_flight
            self._closed = True
            return in_flight
