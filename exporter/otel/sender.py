"""One signal's way out: its exporter, its account, and a log line when its luck changes."""

from __future__ import annotations

import logging
import threading
from enum import Enum
from typing import Any, Protocol

from exporter.logs import event
from exporter.otel.counts import Account
from exporter.otel.destinations import Destination
from exporter.otel.library_log import LIBRARY_LOG, describe

log = logging.getLogger(__name__)


class Exporter(Protocol):
    """What the exporters of all three signals have in common."""

    def export(self, payload: Any, /) -> Enum:
        """Send, and try again for as long as it makes sense. ``SUCCESS`` or something else."""

    def shutdown(self) -> Any:
        """Send nothing any more; end waits before another try."""


class Outlet:
    """Sends for one signal. Thread: that of its worker, but for `abort` and `close`."""

    def __init__(self, destination: Destination, exporter: Exporter) -> None:
        self.destination = destination
        self.account = Account()
        self._exporter = exporter
        #: Whether the last batch was taken; ``None`` before the first.
        self._works: bool | None = None
        self._aborted = False

    def send(self, payload: object, items: int) -> None:
        """Export a batch and book it."""
        if self._aborted:
            return
        reason = ""
        try:
            works = self._exporter.export(payload).name == "SUCCESS"
        except Exception as error:  # noqa: BLE001  (a library's; its text could hold anything)
            works, reason = False, describe(error)
        self.account.add("exported" if works else "failed", items)
        reason = reason or LIBRARY_LOG.take_reason()
        if works is not self._works:
            self._works = works
            self._tell(works, reason)

    def shut(self) -> None:
        """Release what the exporter holds."""
        if not self._aborted:
            self._exporter.shutdown()

    def abort(self) -> None:
        """Break off a send, as far as the library can; returns at once. Thread: any."""
        self._aborted = True
        threading.Thread(target=self._exporter.shutdown, name="otlp-abort", daemon=True).start()

    def close(self) -> None:
        """Book as dropped what was not sent, and say so. Thread: any."""
        if dropped := self.account.close():
            event(
                log,
                logging.WARNING,
                "Stopped before everything was pushed",
                signal=self.destination.signal,
                dropped=dropped,
            )

    def _tell(self, works: bool, reason: str) -> None:
        signal, _, protocol = self.destination
        fields = {"signal": signal, "endpoint": self.destination.shown, "protocol": protocol}
        if works:
            event(log, logging.INFO, "OTLP push works", **fields)
        else:
            event(log, logging.WARNING, "OTLP push fails", **fields, reason=reason)
