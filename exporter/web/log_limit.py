"""Limits how often a message is logged, so that clients cannot flood the log."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

_log = logging.getLogger(__name__)

#: Messages that are remembered; beyond them, the one logged longest ago is forgotten.
_MAX_MESSAGES = 100


class LimitedLogger(logging.Filter):
    """A filter for the logger of a library: each message once every minute."""

    def __init__(self) -> None:
        super().__init__()
        self._limiter = LogLimiter()

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to log a record."""
        return self._limiter.allow(str(record.msg))


class LogLimiter:
    """Allows each message once every `seconds`. Thread: one at a time."""

    def __init__(
        self, seconds: float = 60.0, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._seconds = seconds
        self._monotonic = monotonic
        #: When a message was last logged, and how often it was suppressed since.
        self._logged: dict[str, tuple[float, int]] = {}

    def allow(self, message: str) -> bool:
        """Return whether to log a message now. If so, the next `seconds` it is not allowed."""
        return self._suppressed(message) is not None

    def failure(self, action: str, error: BaseException) -> None:
        """Log a failure with its traceback, once every `seconds` for each type of error."""
        suppressed = self._suppressed(f"{action}: {type(error).__qualname__}")
        if suppressed is not None:
            fields = {"suppressed": suppressed} if suppressed else {}
            _log.error("%s failed", action, exc_info=error, extra={"fields": fields})

    def _suppressed(self, message: str) -> int | None:
        """Return how often a message was suppressed before; ``None`` if it is suppressed now."""
        now = self._monotonic()
        logged, suppressed = self._logged.pop(message, (now - self._seconds, 0))
        if now - logged < self._seconds:
            self._logged[message] = logged, suppressed + 1
            return None
        if len(self._logged) >= _MAX_MESSAGES:
            del self._logged[next(iter(self._logged))]
        self._logged[message] = now, 0
        return suppressed
