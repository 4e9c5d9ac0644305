"""What systemd, which started us, is told: ready, reloading, alive, stopping.

Without systemd (no NOTIFY_SOCKET) it does nothing. It has no thread: the main thread, which
only waits, calls `attend` when `attend` asked for it. After the start that is never, unless
the unit has WatchdogSec=; then it is every half of it, as systemd recommends.

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

log = logging.getLogger(__name__)

#: How often to look again while we are not ready, or something hangs. Seconds.
_SOON = 0.05
_RETRY = 1.0
_LISTEN_FDS_START = 3  # SD_LISTEN_FDS_START


class Supervisor:
    """Whoever started us and wants to know how we are. Thread: the main one."""

    def __init__(self, environment: MutableMapping[str, str] = os.environ) -> None:
        names = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
        # No child process may speak for us.
        address, usec, pid = (environment.pop(name, "") for name in names)
        #: "@" stands for the zero byte of Linux' abstract sockets.
        self._address = address.replace("@", "\0", 1) if address[:1] in ("/", "@") else ""
        watched = self._address and re.fullmatch("[1-9][0-9]{0,15}", usec)
        #: Seconds from one sign of life to the next; ``None`` if nobody wants any.
        self.interval = int(usec) / 2e6 if watched and pid in ("", str(os.getpid())) else None
        self._ready = False
        self._status = self._hanging = ""

    def attend(self, unready: Callable[[], str], hanging: Callable[[], str]) -> float | None:
        """Say what is true; seconds until this should be called again, ``None``: never.

        `unready` and `hanging` give the reason, or nothing.
        """
        if not self._address:
            return None
        if not self._ready:
            if unready():
                return _SOON
            self._ready = True
            self._tell("READY=1")
        if self.interval is None:
            return None
        reason = hanging()
        if reason:
            if not self._hanging:
                log.error("No sign of life goes to systemd while this lasts: %s", reason)
                self._tell(f"STATUS={reason}")
            self._hanging = reason
            return min(_RETRY, self.interval)
        if self._hanging:
            log.warning("This is over: %s", self._hanging)
            self._tell(f"STATUS={self._status}")
            self._hanging = ""
        self._tell("WATCHDOG=1")
        return self.interval

    def reloading(self) -> None:
        """The configuration is being read again; `reloaded` must follow."""
        if self._ready:
            self._tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def reloaded(self) -> None:
        """It has been read, for better or worse."""
        if self._ready:
            self._tell("READY=1")

    def stopping(self) -> None:
        """The end has begun."""
        self._tell("STOPPING=1")

    def status(self, text: str) -> None:
        """One line for ``systemctl status``."""
        self._status = text
        self._tell(f"STATUS={text}")

    def _tell(self, *lines: str) -> None:
        if not self._address or sys.platform == "win32":
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                sock.settimeout(1.0)  # systemd's queue is full: it is busy, we are, too
                sock.sendto("\n".join(lines).encode("utf-8", "replace"), self._address)
        except OSError as error:
            log.warning("Telling systemd %s failed: %s", lines[0], error)


def passed_sockets(environment: MutableMapping[str, str] = os.environ) -> list[socket.socket]:
    """The listening sockets that systemd passed to this process. Call it once.

    Raises SettingsError when there are none. No child process inherits them, or the variables.
    Source: https://www.freedesktop.org/software/systemd/man/latest/sd_listen_fds.html
    """
    pid, count = (environment.pop(f"LISTEN_{name}", "") for name in ("PID", "FDS"))
    if sys.platform != "linux":
        raise SettingsError("--web.systemd-socket: only Linux has systemd")
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
                f"--web.systemd-socket: the passed descriptor {descriptor} is no listening TCP "
                "socket: write for example ListenStream=10190 in the .socket unit"
            )
        passed.append(sock)
    return passed
