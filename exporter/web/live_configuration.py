"""Keeps a web configuration up to date with its file.

The file and the files that it names are checked with every request and connection, and read
again when they have changed. While they are invalid, requests are refused.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from exporter.errors import SettingsError
from exporter.logs import event
from exporter.web.configuration import WebConfiguration
from exporter.web.configuration_reader import read_web_configuration
from exporter.web.daemon_thread import run_in_daemon_thread
from exporter.web.log_limit import LogLimiter
from exporter.web.tls import Tls, build_tls

_log = logging.getLogger(__name__)

# An invalid file is read again after this time even if it looks unchanged: the reason can be
# the permissions of a folder.
_RETRY_SECONDS = 1.0
#: The longest time that a request or a handshake waits for the file, on a dead network share
#: for example.
_READ_SECONDS = 10.0

#: Identifies the version of a file; ``None``: it does not exist.
_Stamp = tuple[int, ...] | None


@dataclass(frozen=True, slots=True)
class Loaded:
    """A web configuration with its certificates."""

    configuration: WebConfiguration
    #: ``None``: plain HTTP.
    tls: Tls | None


class _Read(NamedTuple):
    """The result of reading the files."""

    #: By path, from before the files were read.
    stamps: dict[str, _Stamp]
    loaded: Loaded | SettingsError


def check_web_configuration(path: str) -> None:
    """Read a file and the files that it names. Raises SettingsError."""
    _with_certificates(read_web_configuration(path))


def _with_certificates(configuration: WebConfiguration) -> Loaded:
    settings = configuration.tls
    try:
        return Loaded(configuration, build_tls(settings) if settings else None)
    except OSError as error:  # not about the files: no free descriptor, for example
        raise SettingsError(f"{settings and settings.where}: cannot be loaded: {error}") from None


def _read(path: str) -> _Read:
    # Stamped before they are read, so that a change meanwhile is noticed the next time.
    stamps = {path: _stamp(path)}
    try:
        configuration = read_web_configuration(path)
        if configuration.tls:
            stamps |= {file: _stamp(file) for file in configuration.tls.files}
        return _Read(stamps, _with_certificates(configuration))
    except SettingsError as error:
        return _Read(stamps, error)


class LiveWebConfig:
    """The web configuration of a file as it is now. Thread: the event loop's.

    The file is read in a thread of its own, so that a slow file system does not stop the loop.
    """

    def __init__(self, path: str, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Read the file. Raises SettingsError."""
        self._path = path
        self._monotonic = monotonic
        self._log_limiter = LogLimiter(monotonic=monotonic)
        #: The reading in progress. When it is done, what was read is in force.
        self._reading: asyncio.Task[None] | None = None
        self._read_at = monotonic()
        #: Why the file is invalid; empty while it is valid.
        self._problem = ""
        self._stamps, loaded = _read(path)
        if isinstance(loaded, SettingsError):
            raise loaded
        #: The last valid configuration.
        self.last_good = loaded
        self._warn()

    def __repr__(self) -> str:
        return f"<LiveWebConfig {self._path} problem={self._problem!r}>"

    async def current(self) -> WebConfiguration:
        """Return the configuration. Raises SettingsError while the files are invalid."""
        await self._refresh()
        if not self._problem:
            return self.last_good.configuration
        if self._log_limiter.allow(self._problem):
            message = "Invalid web configuration: answering 500 until it is fixed"
            event(_log, logging.ERROR, message, error=self._problem)
        raise SettingsError(self._problem)

    async def tls(self) -> Tls:
        """Return how to secure a connection that begins now.

        While the files are invalid this is the last valid TLS, so that clients get an answer.
        """
        await self._refresh()
        assert self.last_good.tls  # `_check_reload` keeps it from changing to or from None
        return self.last_good.tls

    async def _refresh(self) -> None:
        """Read the files again if they have changed."""
        if self._reading is None:
            changed = any(_stamp(path) != stamp for path, stamp in self._stamps.items())
            overdue = self._problem and self._monotonic() - self._read_at >= _RETRY_SECONDS
            if not changed and not overdue:
                return
            self._read_at = self._monotonic()
            self._reading = asyncio.create_task(self._read_again())
            # Whoever waits gets its exception; nobody may have waited for so long.
            self._reading.add_done_callback(lambda task: task.cancelled() or task.exception())
        try:
            async with asyncio.timeout(_READ_SECONDS):
                # Shielded, because other requests wait for the same future.
                await asyncio.shield(self._reading)
        except TimeoutError:
            self._problem = f"{self._path}: cannot be read within {_READ_SECONDS:g} s"

    async def _read_again(self) -> None:
        """Read the files and take over the result. Raises only unexpected exceptions."""
        try:
            read = await run_in_daemon_thread(lambda: _read(self._path), "web-config")
        except BaseException:
            self._problem = f"{self._path}: cannot be read"
            raise
        finally:
            self._reading = None
        self._stamps, loaded = read
        try:
            if isinstance(loaded, SettingsError):
                raise loaded
            self._check_reload(loaded)
        except SettingsError as error:
            self._problem = str(error)
            return
        self._problem = ""
        self.last_good = loaded
        self._warn()
        message = "Web configuration reloaded; rate_limit changes with a restart only"
        event(_log, logging.INFO, message, file=self._path)

    def _warn(self) -> None:
        tls = self.last_good.configuration.tls
        if tls and len(tls.curves) > 1:
            curve = self.last_good.tls.curve if self.last_good.tls else ""
            message = "Only one of curve_preferences is used: Python supports no more"
            event(_log, logging.WARNING, message, curve=curve)

    def _check_reload(self, loaded: Loaded) -> None:
        """Raise SettingsError for a change that is not possible at run time."""
        if loaded.configuration.empty and not self.last_good.configuration.empty:
            # Some editors empty the file for a moment before they write it.
            raise SettingsError(f"{self._path}: is empty now: write {{}} for no configuration")
        if (loaded.tls is None) != (self.last_good.tls is None):
            switch = "on" if loaded.tls else "off"
            raise SettingsError(f"{self._path}: turns TLS {switch}, which needs a restart")


def _stamp(path: str) -> _Stamp:
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    # ctime (on Windows the time of creation) also changes with the permissions.
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino
