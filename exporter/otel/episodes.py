"""Which burst of churn a notification belongs to. No clock of its own: time is given.

An *episode* begins with a notification after quiet. It is over when none has come for the
quiet period, or when its maximum duration is reached, whichever is first; in the second
case the churn may go on, and the next episode continues it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True, eq=False)
class Episode:
    """One burst. Unit: seconds, on the clock of `Notification.instant`."""

    began: float
    #: Its last notification so far.
    last: float
    #: There was no quiet between the episode before and this one.
    continues: bool


class Episodes:
    """Places notifications, in the order in which they come. Thread: one."""

    def __init__(self, quiet_seconds: float, max_seconds: float) -> None:
        self._quiet = quiet_seconds
        self._maximum = max_seconds
        #: The latest episode: the open one, or the one that was over last.
        self._latest: Episode | None = None
        self._open = False

    def place(self, instant: float) -> Episode:
        """The episode of a notification at `instant`: the open one, or a new one."""
        latest = self._latest
        if latest is not None:
            instant = max(instant, latest.last)  # time never goes back
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
        """Whether no episode is open at `now`, any more or at all."""
        due = self.due
        if due is not None and now >= due:
            self._open = False
        return not self._open

    @property
    def due(self) -> float | None:
        """When the open episode will be over unless another notification comes first."""
        if not self._open or self._latest is None:
            return None
        return min(self._latest.last + self._quiet, self._latest.began + self._maximum)
