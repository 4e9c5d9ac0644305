"""A limit on what is logged about what others do."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

_log = logging.getLogger(__name__)

#: Things told apart; beyond them, the one told longest ago is forgotten.
_MOST = 100


class Occasionally:
    """Says whether something is worth a log line: each thing once every `seconds`.

    Thread: one at a time.
    """

    def __init__(
        self, seconds: float = 60.0, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._seconds = seconds
        self._monotonic = monotonic
        self._told: dict[str, float] = {}

    def due(self, thing: str) -> bool:
        """Whether it was not due within the last `seconds`; from now on, it was."""
        now = self._monotonic()
        if now - self._told.get(thing, now - self._seconds) < self._seconds:
            return False
        self._told.pop(thing, None)
        if len(self._told) >= _MOST:
            del self._told[next(iter(self._told))]
        self._told[thing] = now
        return True


class FailureLog:
    """Logs failures with their traceback, each kind at most once per `interval` seconds."""

    def __init__(
        self, interval: float = 60.0, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._interval = interval
        self._monotonic = monotonic
        #: When each kind was last logged, and how often it was seen since.
        self._seen: dict[tuple[str, str], tuple[float, int]] = {}

    def report(self, what: str, error: BaseException) -> None:
        """Log it, or count it if its kind was logged a moment ago."""
        now = self._monotonic()
        kind = what, type(error).__qualname__
        logged, more = self._seen.get(kind, (now - self._interval, 0))
        if now - logged < self._interval:
            self._seen[kind] = logged, more + 1
            return
        self._seen[kind] = now, 0
        since = f" ({more} more like it since the last report)" if more else ""
        _log.error("%s failed%s: %s", what, since, error, exc_info=error)
