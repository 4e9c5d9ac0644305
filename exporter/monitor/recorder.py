"""Writes what happens to a file, line by line: an observer of the monitor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TextIO

from exporter.model import Interface, Notification
from exporter.monitor.state import Delta
from exporter.sources.recording import encode, encode_present


class Recorder:
    """Appends to a new file; each line is handed to the system before the next is made.

    A killed recorder leaves a file that ends with its last whole notification.
    """

    def __init__(self, path: str, on_error: Callable[[], object] = lambda: None) -> None:
        """Create the file. Raises OSError, FileExistsError among them: nothing is overwritten.

        `on_error` is called when writing failed, once.
        """
        self._on_error = on_error
        self._file: TextIO = open(path, "x", encoding="utf-8", buffering=1)  # noqa: SIM115
        self.lines = 0
        #: Why writing ended early.
        self.error: OSError | None = None

    def begin(self, interfaces: Sequence[Interface], time: float, instant: float) -> None:
        """Note what exists at the start. Raises OSError."""
        for interface in interfaces:
            self._file.write(encode_present(interface, time, instant))

    def __call__(self, batch: Sequence[Notification], deltas: Sequence[Delta]) -> None:
        """Write a batch. Thread: the collector."""
        if self.error is not None:
            return
        try:
            for notification in batch:
                self._file.write(encode(notification))
                self.lines += 1
        except OSError as error:
            self.error = error
            self._on_error()
            raise

    def close(self) -> None:
        """Close the file; it is complete."""
        self._file.close()
