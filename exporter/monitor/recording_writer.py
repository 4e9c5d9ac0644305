"""Writes what the monitor observes to a file, line by line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TextIO

from exporter.model import Interface, Notification
from exporter.monitor.state import Delta
from exporter.sources.recording import encode, encode_present, encode_start


class Recorder:
    """Writes a new file; each line is handed to the system before the next is made.

    A killed recorder leaves a file that ends with its last whole notification.
    """

    def __init__(self, path: str, on_error: Callable[[], object] = lambda: None) -> None:
        """Create the file. Raises OSError, FileExistsError among them: nothing is overwritten.

        `on_error` is called when writing failed, once.
        """
        self._path = path
        self._on_error = on_error
        self._file: TextIO = open(path, "x", encoding="utf-8", buffering=1)  # noqa: SIM115
        self._bytes = 0
        self._failed = False
        #: Notifications written.
        self.lines = 0
        #: Why writing ended early.
        self.error: OSError | None = None

    def __repr__(self) -> str:
        return f"<Recorder {self._path!r} lines={self.lines}>"

    def begin(self, interfaces: Sequence[Interface], time: float, instant: float) -> None:
        """Write what exists at the start. Raises OSError."""
        self._write(encode_start(time, instant))
        for interface in interfaces:
            self._write(encode_present(interface, time, instant))

    def __call__(self, batch: Sequence[Notification], deltas: Sequence[Delta]) -> None:
        """Write a batch. Thread: the monitor's."""
        if self.error is not None:
            return
        try:
            for notification in batch:
                self._write(encode(notification))
                self.lines += 1
        except OSError as error:
            self.error = error
            self._on_error()
            raise

    def close(self) -> None:
        """Close the file; it is complete, or a write has failed. Raises OSError."""
        try:
            self._file.close()
        except OSError as error:  # it tries to write the rest
            if not self._failed:
                raise self._named(error) from error

    def _write(self, line: str) -> None:
        try:
            self._file.write(line)
        except OSError as error:
            self._failed = True
            raise self._named(error) from error
        self._bytes += len(line)  # JSON in ASCII

    def _named(self, error: OSError) -> OSError:
        return OSError(error.errno, f"{error.strerror} after byte {self._bytes}", self._path)
