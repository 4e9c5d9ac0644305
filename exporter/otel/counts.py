"""What became of every item of a signal: nothing is lost unsaid.

An item is a notification for traces (a span event) and for logs, a data point for metrics.
"""

from __future__ import annotations

import threading

#: Offered to the push; and of these: taken by the endpoint, refused by it or not delivered
#: in time, given up for want of room or of time to stop.
RESULTS = ("accepted", "exported", "failed", "dropped")


class Account:
    """accepted = exported + failed + dropped + what is still on its way. Thread: any."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts = dict.fromkeys(RESULTS, 0)
        self._closed = False

    def add(self, result: str, items: int) -> None:
        """Count items; once closed, what an abandoned thread still says is of no interest."""
        with self._lock:
            if not self._closed:
                self._counts[result] += items

    def counts(self) -> dict[str, int]:
        """By result, all of one moment."""
        with self._lock:
            return self._counts.copy()

    def close(self) -> int:
        """Whatever is still on its way is dropped. Returns how many those are."""
        with self._lock:
            accepted, exported, failed, dropped = self._counts.values()
            pending = accepted - exported - failed - dropped
            if not self._closed:
                self._counts["dropped"] += pending
            self._closed = True
            return pending
