"""The web configuration as its file has it now.

The file and those that it names are looked at whenever somebody asks, and read again when
they have changed. What cannot be read holds nothing open: it is an error until repaired.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass

from exporter.errors import SettingsError
from exporter.logs import event
from exporter.web.configuration import WebConfiguration
from exporter.web.configuration_reader import read_web_configuration
from exporter.web.log_limit import Occasionally
from exporter.web.tls import Tls, build_tls

_log = logging.getLogger(__name__)

# A bad file is tried again after so long even if nothing seems to have changed: what was wrong
# may be a folder's permissions.
_RETRY_SECONDS = 1.0

#: What shows that a file has changed; ``None``: there is no such file.
_Stamp = tuple[int, ...] | None


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration, with its certificates."""

    configuration: WebConfiguration
    #: ``None``: plain HTTP.
    tls: Tls | None


def check_web_configuration(path: str) -> None:
    """Read a file and those that it names. Raises SettingsError."""
    _with_certificates(read_web_configuration(path))


def _with_certificates(configuration: WebConfiguration) -> Loaded:
    settings = configuration.tls
    try:
        return Loaded(configuration, build_tls(settings) if settings else None)
    except OSError as error:  # not of the files themselves: no descriptor is left, say
        raise SettingsError(f"{settings and settings.where}: cannot be loaded: {error}") from None


class Policy:
    """What the file says, now. Thread: one at a time."""

    def __init__(self, path: str, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Raises SettingsError."""
        self._path = path
        self._monotonic = monotonic
        self._occasionally = Occasionally(monotonic=monotonic)
        #: What the files looked like before they were read.
        self._stamps: dict[str, _Stamp] = {}
        self._read_at = 0.0
        #: Why it is bad; empty while it is good.
        self._problem = ""
        #: The last that was good.
        self.last = self._taken(self._read())

    def current(self) -> WebConfiguration:
        """What the file says. Raises SettingsError while it, or one it names, is bad."""
        self._refresh()
        if not self._problem:
            return self.last.configuration
        if self._occasionally.due(self._problem):
            message = "The web configuration is bad: all is answered 500 until it is repaired"
            event(_log, logging.ERROR, message, error=self._problem)
        raise SettingsError(self._problem)

    def tls(self) -> Tls:
        """How a connection is secured that begins now.

        While the file is bad, by what was good before: so the client can be told.
        """
        self._refresh()
        assert self.last.tls  # whether there is TLS does not change: see _checked
        return self.last.tls

    def _refresh(self) -> None:
        changed = any(_stamp(path) != stamp for path, stamp in self._stamps.items())
        overdue = self._problem and self._monotonic() - self._read_at >= _RETRY_SECONDS
        if not changed and not overdue:
            return
        # Whatever goes wrong now, what was good before does not count any more.
        self._problem = f"{self._path}: cannot be read"
        try:
            self.last = self._taken(self._checked(self._read()))
        except SettingsError as error:
            self._problem = str(error)
            return
        self._problem = ""
        message = "Web configuration read again; rate_limit changes with a restart only"
        event(_log, logging.INFO, message, file=self._path)

    def _read(self) -> Loaded:
        self._read_at = self._monotonic()
        # Before reading: what changes meanwhile is seen the next time.
        self._stamps = {self._path: _stamp(self._path)}
        configuration = read_web_configuration(self._path)
        if configuration.tls:
            self._stamps |= {path: _stamp(path) for path in configuration.tls.files}
        return _with_certificates(configuration)

    def _taken(self, loaded: Loaded) -> Loaded:
        settings = loaded.configuration.tls
        if settings and len(settings.curves) > 1:
            message = "Of curve_preferences only one is used: Python takes no more"
            event(_log, logging.WARNING, message, curve=loaded.tls.curve if loaded.tls else "")
        return loaded

    def _checked(self, loaded: Loaded) -> Loaded:
        """Raises SettingsError for what is good at start only."""
        if loaded.configuration.empty and not self.last.configuration.empty:
            # What an editor leaves for a moment, between emptying the file and writing it.
            raise SettingsError(f"{self._path}: is empty now: write {{}} if nothing is wanted")
        if (loaded.tls is None) != (self.last.tls is None):
            switch = "on" if loaded.tls else "off"
            raise SettingsError(f"{self._path}: turns TLS {switch}, which takes a restart")
        return loaded


def _stamp(path: str) -> _Stamp:
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    # The time of change (on Windows: of creation) tells of new permissions, too.
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino
