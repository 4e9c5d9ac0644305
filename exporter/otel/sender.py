"""Sends the batches of one signal, counts their items, and logs when exports start to fail."""

from __future__ import annotations

import logging
import threading
import time
from enum import Enum
from typing import Any, Protocol

from exporter.logs import event
from exporter.otel.counts import ItemCounts
from exporter.otel.destinations import Destination
from exporter.otel.library_log import LIBRARY_LOG, describe

log = logging.getLogger(__name__)


class Exporter(Protocol):
    """The common part of the exporters of the three signals."""

    def export(self, payload: Any, /) -> Enum:
        """Send a batch, with retries. Return ``SUCCESS`` or another member."""

    def shutdown(self) -> Any:
        """Refuse further batches, and end the wait before a retry."""


class SignalSender:
    """Sends one signal. Thread: that of its worker; `abort` and `close` from any."""

    def __init__(self, destination: Destination, exporter: Exporter) -> None:
        self.destination = destination
        self.counts = ItemCounts()
        self._exporter = exporter
        #: Whether the last batch was exported; ``None`` before the first.
        self._exporting: bool | None = None
        self._aborted = False

    def __repr__(self) -> str:
        return f"<SignalSender {self.destination.signal} {self.counts.counts()}>"

    def send(self, batch: object, items: int) -> None:
        """Export a batch of `items` items and count them. Never raises."""
        if self._aborted:
            return
        reason = ""
        began = time.monotonic()
        try:
            exported = self._exporter.export(batch).name == "SUCCESS"
        except Exception as error:  # noqa: BLE001  (raised by a library; its text may hold secrets)
            exported, reason = False, describe(error)
        self.counts.add("exported" if exported else "failed", items)
        reason = reason or LIBRARY_LOG.pop_reason()
        self._log_export(items, exported=exported, seconds=time.monotonic() - began)
        if exported is not self._exporting:
            self._exporting = exported
            self._log_change(reason)

    def shutdown(self) -> None:
        """Release the resources of the exporter."""
        if not self._aborted:
            self._exporter.shutdown()

    def abort(self) -> None:
        """Cancel a running `send` as far as the library can. Never blocks. Thread: any."""
        self._aborted = True
        threading.Thread(target=self._exporter.shutdown, name="otlp-abort", daemon=True).start()

    def close(self) -> None:
        """Count and log as dropped what was not sent. Thread: any."""
        if dropped := self.counts.close():
            event(
                log,
                logging.WARNING,
                "OTLP push stopped before everything was sent",
                signal=self.destination.signal,
                dropped=dropped,
            )

    def _log_export(self, items: int, *, exported: bool, seconds: float) -> None:
        if log.isEnabledFor(logging.DEBUG):
            result = "exported" if exported else "failed"
            signal = self.destination.signal
            fields = {"signal": signal, "items": items, "seconds": round(seconds, 3)}
            event(log, logging.DEBUG, "OTLP batch sent", **fields, result=result)

    def _log_change(self, reason: str) -> None:
        """Log that exports succeed or fail from now on."""
        signal, _, protocol = self.destination
        endpoint = self.destination.redacted_endpoint
        fields = {"signal": signal, "endpoint": endpoint, "protocol": protocol}
        if self._exporting:
            event(log, logging.INFO, "OTLP push succeeded", **fields)
        else:
            event(log, logging.WARNING, "OTLP push failed", **fields, reason=reason)
