"""Groups notifications into episodes: bursts, each of which is pushed as one trace.

An episode begins with a notification after a quiet period. It ends after another quiet period,
or at its maximum length; in that case the burst may go on, and the next episode continues it.
All times are passed in, in seconds of the clock of `Notification.instant`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True, eq=False)
class Episode:
    """One burst of notifications."""

    #: The instant of its first notification.
    began: float
    #: The instant of its last notification so far.
    last: float
    #: There was no quiet period between the previous episode and this one.
    continues: bool


class Episodes:
    """Assigns notifications, in order, to episodes. Not thread-safe."""

    def __init__(self, quiet_seconds: float, max_seconds: float) -> None:
        self._quiet = quiet_seconds
        self._maximum = max_seconds
        #: The open episode, or the last one that ended.
        self._latest: Episode | None = None
        self._open = False

    def assign(self, instant: float) -> Episode:
        """Return the episode of a notification at `instant`: the open one, or a new one."""
        latest = self._latest
        if latest is not None:
            instant = max(instant, latest.last)  # never goes back
        self.expire(instant)
        if self._open:
            assert latest is not None
            latest.last = instant
            return latest
        continues = latest is not None and instant < latest.last + self._quiet
        self._latest = Episode(instant, instant, continues)
        self._open = True
        return self._latest

    def expire(self, now: float) -> bool:
        """End the open episode if it is over at `now`. Return whether none is open."""
        end = self.end
        if end is not None and now >= end:
            self._open = False
        return not self._open

    @property
    def end(self) -> float | None:
        """The instant at which the open episode ends if no other notification comes."""
        if not self._open or self._latest is None:
            return None
        return min(self._latest.last + self._quiet, self._latest.began + self._maximum)
