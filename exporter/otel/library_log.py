"""Takes over what the libraries of the push log, and keeps only a reason that is harmless.

They log every try of every batch, and what they log can hold header values, certificates
and URLs with credentials. Here it becomes a status, or the type and the system's text of an
error, remembered for the thread that exports; `outlet` tells it once, when the state changes.
"""

from __future__ import annotations

import logging
import threading
from enum import Enum
from http import HTTPStatus

_PHRASES = {status.phrase: status.value for status in HTTPStatus if status >= 400}
_LIBRARIES = ("opentelemetry", "urllib3", "requests", "grpc")


class LibraryLog(logging.Handler):
    """A handler that writes nothing. Thread: any; each has a reason of its own."""

    def __init__(self) -> None:
        super().__init__()
        self._local = threading.local()

    def emit(self, record: logging.LogRecord) -> None:
        """Remember why, if the record tells."""
        for value in record.args if isinstance(record.args, tuple) else ():
            if reason := describe(value):
                self.remember(reason)
                return

    def remember(self, reason: str) -> None:
        """Why this thread's last try failed."""
        self._local.reason = reason

    def take_reason(self) -> str:
        """Why this thread's last export failed, as far as it is known."""
        reason: str = getattr(self._local, "reason", "no answer")
        self._local.__dict__.clear()
        return reason


#: Loggers are global, and so is this.
LIBRARY_LOG = LibraryLog()


def take_over() -> None:
    """From now on the libraries' loggers say nothing. Any number of times."""
    for name in _LIBRARIES:
        logger = logging.getLogger(name)
        logger.propagate = False
        if LIBRARY_LOG not in logger.handlers:
            logger.addHandler(LIBRARY_LOG)


def describe(value: object) -> str:
    """What an argument of a log message says about the reason; nothing if it could be anything."""
    if isinstance(value, BaseException):
        return _describe_error(value)
    if isinstance(value, Enum):  # grpc.StatusCode
        return value.name
    if isinstance(value, str):
        return f"HTTP {_PHRASES[value]}" if value in _PHRASES else ""
    if isinstance(value, int) and 400 <= value < 600:
        return f"HTTP {value}"
    return ""


def _describe_error(error: BaseException) -> str:
    """The innermost error: its type, and the system's own text if that is what it is."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    text = error.strerror if isinstance(error, OSError) else None
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
