"""What every source of notifications promises: five verbs and an account of its health.

A source is pulled, not pushed: on Linux the kernel's socket buffer is the queue, on
Windows the callback fills a bounded one, and a replay reads a file.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from exporter.model import Family, Interface, Notification


class SourceClosed(Exception):
    """`Source.receive` was called on, or interrupted by, a closed source."""


@dataclass(slots=True)
class Health:
    """What a source knows of itself. ``None``: this source has no such signal, so no sample.

    Thread: written by the collector thread (or the OS callback), read by publishers; every
    field is one reference or one number, so a reader sees the old or the new value.
    """

    #: The system confirmed the registration (Windows) or the subscription (Linux).
    up: bool = False
    #: Messages received, by message name (Linux: NEWLINK, …; Windows: the kind).
    messages: dict[str, int] = field(default_factory=dict)
    #: Failed calls, by operation.
    errors: dict[str, int] = field(default_factory=dict)
    #: Times the system (or our queue) lost notifications because we were too slow.
    overruns: int | None = None
    #: Complete re-readings after a loss, and when the last one ended (Unix seconds).
    resyncs: int | None = None
    last_resync: float | None = None
    receive_buffer_bytes: int | None = None
    #: Notifications waiting in our own queue, and those that found it full.
    queue_length: int | None = None
    dropped: int | None = None

    def count_error(self, operation: str) -> None:
        """One more failed `operation`."""
        self.errors[operation] = self.errors.get(operation, 0) + 1


class Source(Protocol):
    """A stream of notifications, and the table they are about."""

    #: ``rtnetlink``, ``iphlpapi`` or ``replay``.
    backend: str
    health: Health

    def open(self) -> None:
        """Subscribe, then take the first listing. Raises OSError, saying what was refused."""

    def receive(self, timeout: float | None) -> list[Notification]:
        """The next notifications, in order; empty after `timeout` seconds without any.

        Raises `SourceClosed` once the source is closed. Thread: the collector only.
        """

    def interface(self, family: Family, luid: int) -> Interface | None:
        """The interface as it is now, or ``None`` when there is none. Thread: the collector."""

    def interfaces(self, family: Family = Family.UNSPEC) -> list[Interface]:
        """All interfaces of a family as they are now. Thread: the collector."""

    def close(self) -> None:
        """Unblock `receive` and release everything. Thread: any, any number of times."""
