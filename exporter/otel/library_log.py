"""Replaces the log of the OTLP libraries, of which it keeps the reason of the last failure.

The libraries log every try of every batch, and their messages can hold header values,
certificates and URLs with credentials. Only a status, or the type of an error with the system's
text, is kept for the thread that exports; `sender` logs it when exports begin to fail.
"""

from __future__ import annotations

import logging
import threading
from enum import Enum
from http import HTTPStatus

_PHRASES = {status.phrase: status.value for status in HTTPStatus if status >= 400}
_LIBRARIES = ("opentelemetry", "urllib3", "requests", "grpc")


class LibraryLog(logging.Handler):
    """A log handler that only keeps a reason, one for each thread."""

    def __init__(self) -> None:
        super().__init__()
        self._local = threading.local()

    def emit(self, record: logging.LogRecord) -> None:
        """Remember the reason in a record, if there is one."""
        for value in record.args if isinstance(record.args, tuple) else ():
            if reason := describe(value):
                self.remember(reason)
                return

    def remember(self, reason: str) -> None:
        """Keep the reason why the last try of this thread failed."""
        self._local.reason = reason

    def pop_reason(self) -> str:
        """Return and forget the reason why the last export of this thread failed."""
        reason: str = getattr(self._local, "reason", "no answer")
        self._local.__dict__.clear()
        return reason


#: Global, like the loggers.
LIBRARY_LOG = LibraryLog()


def replace_library_logs() -> None:
    """Send the records of the libraries' loggers to `LIBRARY_LOG` only. Idempotent."""
    for name in _LIBRARIES:
        logger = logging.getLogger(name)
        logger.propagate = False
        if LIBRARY_LOG not in logger.handlers:
            logger.addHandler(LIBRARY_LOG)


def describe(value: object) -> str:
    """Return the reason in an argument of a log message, or "" if it may hold anything else."""
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
    """Return the type of the innermost error, and its text if it is the system's."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    text = error.strerror if isinstance(error, OSError) else None
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
