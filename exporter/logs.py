"""Writes the log to standard error, as logfmt or JSON.

A record is one line, whatever its message and values contain. Writing never raises, so that
the agent goes on when standard error is closed.
"""

from __future__ import annotations

import json
import logging
import math
import re
import sys
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime

from exporter.errors import quoted

LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
}
_PLAIN = re.compile(r'[^\s"=\\]+')
_NOT_A_KEY = re.compile(r"[^A-Za-z0-9_.-]")


def set_up(level: str = "info", format: str = "logfmt") -> None:
    """Log records of `level` and above as ``logfmt`` or ``json``. Replaces an earlier set-up."""
    handler = _StderrHandler()
    handler.setFormatter(
        JsonFormatter() if format == "json" else LogfmtFormatter(tracebacks=level == "debug")
    )
    root = logging.getLogger()
    for old in [h for h in root.handlers if isinstance(h, _StderrHandler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    # Of libraries only warnings and errors.
    root.setLevel(max(LEVELS[level], logging.WARNING))
    logging.getLogger("exporter").setLevel(LEVELS[level])


def event(log: logging.Logger, level: int, message: str, /, **fields: object) -> None:
    """Log a message with fields: ``event(log, logging.INFO, "Listening", address=a)``."""
    log.log(level, message, extra={"fields": fields}, stacklevel=2)


class LogfmtFormatter(logging.Formatter):
    """Formats a record as ``time=… level=… msg=… key=value …``, with or without tracebacks."""

    def __init__(self, *, tracebacks: bool = False) -> None:
        super().__init__()
        self._tracebacks = tracebacks

    def format(self, record: logging.LogRecord) -> str:
        """Return one line, without a newline."""
        fields = _fields(record, tracebacks=self._tracebacks)
        return " ".join(f"{key}={_logfmt(value)}" for key, value in fields.items())


class JsonFormatter(logging.Formatter):
    """Formats a record as a JSON object, in ASCII."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line, without a newline."""
        fields = _fields(record, tracebacks=True)
        return json.dumps({key: _json(value) for key, value in fields.items()})


class _StderrHandler(logging.Handler):
    """Writes to the `sys.stderr` of the moment, which can be ``None`` in a Windows service."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            # In one write, so that the lines of threads and processes do not mix.
            line = self.format(record) + "\n"
            if sys.stderr is not None:
                sys.stderr.write(line)
                sys.stderr.flush()
        except Exception:  # noqa: BLE001, S110  (there is nowhere left to report it)
            pass


def _fields(record: logging.LogRecord, *, tracebacks: bool) -> dict[str, object]:
    time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
    fields: dict[str, object] = {
        "time": time.removesuffix("+00:00") + "Z",
        "level": _level(record.levelno),
        "msg": _message(record),
    }
    extra = getattr(record, "fields", None)
    for key, value in extra.items() if isinstance(extra, Mapping) else ():
        name = _NOT_A_KEY.sub("_", str(key)) or "_"
        while name in fields:
            name += "_"
        fields[name] = value
    if record.exc_info and record.exc_info[1]:
        error = record.exc_info[1]
        fields.setdefault("error", f"{type(error).__name__}: {_text(error)}")
        if tracebacks:
            fields["traceback"] = "".join(traceback.format_exception(error))
    return fields


def _level(number: int) -> str:
    return next((n for n, least in reversed(LEVELS.items()) if number >= least), "debug")


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001  (wrong arguments: the format string is better than nothing)
        return _text(record.msg)


def _logfmt(value: object) -> str:
    text = _text(value)
    return text if _PLAIN.fullmatch(text) and text.isprintable() else quoted(text)


def _json(value: object) -> object:
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    return _text(value)


def _text(value: object) -> str:
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    try:
        return str(value)
    except Exception:  # noqa: BLE001  (raised by an object's __str__)
        return f"<{type(value).__name__}>"
