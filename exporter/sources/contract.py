"""The interface of every source of notifications, and how they are received from it.

A source is pulled, not pushed: on Linux the kernel's socket buffer is the queue, on
Windows the callback fills a bounded one, and a replay reads a file.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from exporter.model import Family, Interface, Notification, NotificationType

log = logging.getLogger(__name__)

#: The pause after a failed receive: long enough not to spin, short enough to lose little.
RETRY_SECONDS = 1.0


class SourceClosed(Exception):
    """`Source.receive` was called on, or interrupted by, a closed source."""


@dataclass(slots=True)
class Health:
    """What a source knows of itself. ``None``: this source has no such signal, so no sample.

    Thread: written by the monitor thread (or the OS callback), read by publishers; every
    field is one reference or one number, so a reader sees the old or the new value.
    """

    #: The system confirmed the registration (Windows) or the subscription (Linux).
    up: bool = False
    #: Messages received, by message name (Linux: NEWLINK, …; elsewhere: the notification type).
    messages: dict[str, int] = field(default_factory=dict)
    #: Failed calls, by operation.
    errors: dict[str, int] = field(default_factory=dict)
    #: Times the system (or our queue) lost notifications because we were too slow.
    overruns: int | None = None
    #: Complete listings after a loss.
    resyncs: int | None = None
    #: When the last of them ended. Unix seconds.
    last_resync: float | None = None
    #: Effective size of the buffer in which notifications wait.
    receive_buffer_bytes: int | None = None
    #: Linux: the sum of the time, beyond one second each, between two reads of the queue of which
    #: the second one had messages. In any period no message waited longer than the increase of
    #: this sum plus one second.
    receive_delay_seconds: float | None = None
    #: Notifications waiting in our own queue, and those that found it full.
    queue_length: int | None = None
    dropped: int | None = None
    #: Of a replay: lines of the recording read so far, and whether all of it has been counted.
    replay_lines: int | None = None
    replay_finished: bool | None = None
    #: Members of those lines that this version does not know.
    replay_unknown_members: int | None = None

    def count_error(self, operation: str) -> None:
        """Count a failed `operation`."""
        self.errors[operation] = self.errors.get(operation, 0) + 1


class Source(Protocol):
    """A stream of notifications, and the table they are about."""

    #: ``rtnetlink``, ``iphlpapi`` or ``replay``.
    backend: str
    health: Health

    def open(self) -> None:
        """Subscribe, then take the first listing. Raises OSError, saying what was refused."""

    def receive(self, timeout: float | None) -> list[Notification]:
        """Return the next notifications, in order; none after `timeout` seconds without any.

        The call says that all those returned before have been processed. Raises `SourceClosed`
        once the source is closed. Thread: the monitor's only.
        """

    def received_until(self) -> float:
        """Return the instant up to which all that was received has been returned and processed.

        While `receive` waits, that is now. Time in state is published up to this instant: a
        notification from before it would change what is already published. Seconds, on the clock
        of `Notification.instant`. Thread: any.
        """

    def interface(self, family: Family, luid: int) -> Interface | None:
        """Read an interface as it is now; ``None`` if there is none. Thread: the monitor's."""

    def interfaces(self, family: Family = Family.UNSPEC) -> list[Interface]:
        """Read all interfaces of a family as they are now. Thread: the monitor's."""

    def close(self) -> None:
        """Unblock `receive` and release everything. Thread: any, any number of times."""


def receive_forever(
    source: Source,
    stop: threading.Event,
    timeout: Callable[[], float | None] = lambda: None,
    on_error: Callable[[], object] = lambda: None,
) -> Iterator[list[Notification]]:
    """Yield batches until the source is closed or `stop` is set.

    `timeout` is asked before each receive. A failed receive is logged, reported to `on_error`,
    and repeated after `RETRY_SECONDS`: one bad message must not end everything.
    """
    while not stop.is_set():
        try:
            batch = source.receive(timeout())
        except SourceClosed:
            return
        except Exception:
            on_error()
            log.exception("Receiving notifications failed, trying again")
            stop.wait(RETRY_SECONDS)
            continue
        yield batch


def with_interfaces(
    batch: Sequence[Notification], read: Callable[[Family, int], Interface | None]
) -> Sequence[Notification]:
    """Read the interface of notifications that came without one, once for each interface.

    It goes to the interface's last notification: the ones before it are counted, but how the
    interface was at their time can no longer be known. `read`: `Source.interface`.
    """
    for n in batch:
        if n.interface is None:
            break
    else:
        return batch  # Linux: they all bring their interfaces
    seen = set()
    out = []
    for n in reversed(batch):
        key = n.family, n.luid
        if n.interface is None and n.type in _READABLE and key not in seen:
            seen.add(key)
            n = n._replace(interface=read(n.family, n.luid))
        out.append(n)
    out.reverse()
    return out


_READABLE = (NotificationType.ADD, NotificationType.PARAMETER)
