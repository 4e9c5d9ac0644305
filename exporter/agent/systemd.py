"""systemd's protocols: readiness, reload, watchdog and stop (sd_notify), and passed sockets.

Without NOTIFY_SOCKET the notifier does nothing. It has no thread of its own: the main thread
calls `Notifier.poll`, which returns when to call it again: once the agent is ready, twice in
the unit's WatchdogSec=, as systemd recommends, and never without one.

Source: https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html
"""

from __future__ import annotations

import logging
import os
import re
import socket
import sys
import time
from collections.abc import Callable, MutableMapping

from exporter.errors import SettingsError
from exporter.logs import event

log = logging.getLogger(__name__)

#: Seconds between two polls while the agent is not ready.
_READY_POLL_SECONDS = 0.05
#: The longest time between two polls while a part of the agent hangs. Seconds.
_HUNG_POLL_SECONDS = 1.0
_LISTEN_FDS_START = 3  # SD_LISTEN_FDS_START


class Notifier:
    """Tells systemd the state of this process. Thread: the main thread."""

    def __init__(self, environment: MutableMapping[str, str] = os.environ) -> None:
        names = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
        # Removed, so that no child process can notify in our name.
        address, usec, pid = (environment.pop(name, "") for name in names)
        #: "@" stands for the zero byte of Linux' abstract sockets.
        self._address = address.replace("@", "\0", 1) if address[:1] in ("/", "@") else ""
        valid = self._address and re.fullmatch("[1-9][0-9]{0,15}", usec)
        #: Seconds between two watchdog pings; ``None`` without a watchdog.
        self.watchdog_seconds = int(usec) / 2e6 if valid and pid in ("", str(os.getpid())) else None
        self._ready = False
        self._status = self._hung_reason = ""

    def __repr__(self) -> str:
        address = self._address.replace("\0", "@")
        return f"<Notifier {address or 'off'} watchdog_seconds={self.watchdog_seconds}>"

    def poll(self, unready: Callable[[], str], hung: Callable[[], str]) -> float | None:
        """Send what is due; return the seconds until the next call, or ``None`` for never.

        `unready` and `hung` return the reason why the agent is not ready, or hangs, or "".
        """
        if not self._address:
            return None
        if not self._ready:
            if unready():
                return _READY_POLL_SECONDS
            self._ready = True
            self._notify("READY=1")
        if self.watchdog_seconds is None:
            return None
        reason = hung()
        if reason:
            if not self._hung_reason:
                event(log, logging.ERROR, "Watchdog pings to systemd suspended", reason=reason)
                self._notify(f"STATUS={reason}")
            self._hung_reason = reason
            return min(_HUNG_POLL_SECONDS, self.watchdog_seconds)
        if self._hung_reason:
            event(
                log, logging.WARNING, "Watchdog pings to systemd resumed", after=self._hung_reason
            )
            self._notify(f"STATUS={self._status}")
            self._hung_reason = ""
        self._notify("WATCHDOG=1")
        return self.watchdog_seconds

    def reloading(self) -> None:
        """Announce that a reload begins; `reloaded` must follow."""
        if self._ready:
            self._notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def reloaded(self) -> None:
        """Announce that the reload has ended, successfully or not."""
        if self._ready:
            self._notify("READY=1")

    def stopping(self) -> None:
        """Announce that shutdown has begun."""
        self._notify("STOPPING=1")

    def status(self, text: str) -> None:
        """Set the line that ``systemctl status`` shows."""
        self._status = text
        self._notify(f"STATUS={text}")

    def _notify(self, *lines: str) -> None:
        if not self._address or sys.platform == "win32":
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                sock.settimeout(1.0)  # systemd may be too busy to empty its queue
                sock.sendto("\n".join(lines).encode("utf-8", "replace"), self._address)
        except OSError as error:
            event(log, logging.WARNING, "Notifying systemd failed", state=lines[0], error=error)


def passed_sockets(environment: MutableMapping[str, str] = os.environ) -> list[socket.socket]:
    """Return the listening sockets that systemd passed to this process. Call it once.

    No child process inherits the sockets or the variables. Raises SettingsError without sockets.
    Source: https://www.freedesktop.org/software/systemd/man/latest/sd_listen_fds.html
    """
    pid, count = (environment.pop(f"LISTEN_{name}", "") for name in ("PID", "FDS"))
    if sys.platform != "linux":
        raise SettingsError("--web.systemd-socket: systemd exists on Linux only")
    if pid != str(os.getpid()) or not re.fullmatch("[1-9][0-9]{0,3}", count):
        raise SettingsError(
            "--web.systemd-socket: systemd passed no socket to this process: "
            "start it from a .socket unit, or use --web.listen-address"
        )
    passed = []
    for descriptor in range(_LISTEN_FDS_START, _LISTEN_FDS_START + int(count)):
        try:
            os.set_inheritable(descriptor, False)
            sock = socket.socket(fileno=descriptor)
            listens = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
            listens = listens and sock.family in (socket.AF_INET, socket.AF_INET6)
        except OSError:
            listens = 0
        if not listens:
            raise SettingsError(
                f"--web.systemd-socket: file descriptor {descriptor} is not a listening TCP "
                "socket: write for example ListenStream=10190 in the .socket unit"
            )
        passed.append(sock)
    return passed
