"""Sends the batches of one signal, counts their items, and logs when exports start to fail."""

from __future__ import annotations

import logging
import re
import threading
import time
from enum import Enum
from typing import Any, Literal, Protocol

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


#: Failures after which the endpoint may take the same batch later.
#: Source: https://opentelemetry.io/docs/specs/otlp/#failures, #failures-1
_TEMPORARY_HTTP = frozenset({408, 429, 502, 503, 504})
_PERMANENT_GRPC = frozenset({
    "ALREADY_EXISTS", "FAILED_PRECONDITION", "INTERNAL", "INVALID_ARGUMENT", "NOT_FOUND",
    "PERMISSION_DENIED", "UNAUTHENTICATED", "UNIMPLEMENTED", "UNKNOWN",
})  # fmt: skip


class Outcome(Enum):
    """What became of a batch."""

    EXPORTED = "exported"
    #: The endpoint did not answer, or asked to try again.
    POSTPONED = "postponed"
    #: The endpoint refused the batch, and will do so again.
    REFUSED = "refused"


def is_permanent(reason: str) -> bool:
    """Return whether a failure with this reason (see `library_log.describe`) is final."""
    if status := re.fullmatch("HTTP ([0-9]+)", reason):
        return int(status[1]) not in _TEMPORARY_HTTP
    return reason in _PERMANENT_GRPC


class SignalSender:
    """Sends one signal. Thread: that of its worker; `abort` and `close` from any."""

    def __init__(self, destination: Destination, exporter: Exporter) -> None:
        self.destination = destination
        self.counts = ItemCounts()
        self._exporter = exporter
        #: Whether the last batch was exported; ``None`` before the first.
        self._exporting: bool | None = None
        #: Items that were lost since exports began to fail.
        self._lost = 0
        self._aborted = False

    def __repr__(self) -> str:
        return f"<SignalSender {self.destination.signal} {self.counts.counts()}>"

    def send(self, batch: object, items: int) -> Outcome:
        """Export a batch of `items` items, and count them unless it is postponed. Never raises."""
        if self._aborted:
            return Outcome.POSTPONED
        reason = ""
        began = time.monotonic()
        try:
            exported = self._exporter.export(batch).name == "SUCCESS"
        except Exception as error:  # noqa: BLE001  (raised by a library; its text may hold secrets)
            exported, reason = False, describe(error)
        reason = reason or LIBRARY_LOG.pop_reason()
        self._log_export(items, exported=exported, seconds=time.monotonic() - began)
        if exported:
            outcome = Outcome.EXPORTED
            self.counts.add("exported", items)
        elif is_permanent(reason):
            outcome = Outcome.REFUSED
            self.lose("failed", items)
        else:
            outcome = Outcome.POSTPONED
        if exported is not self._exporting:
            self._exporting = exported
            self._log_change(reason)
        return outcome

    def lose(self, result: Literal["failed", "dropped"], items: int) -> None:
        """Count items that will not be sent; the log has them once exports succeed again."""
        self.counts.add(result, items)
        self._lost += items

    def shutdown(self) -> None:
        """Release the resources of the exporter."""
        if not self._aborted:
            self._exporter.shutdown()

    def abort(self) -> None:
        """Cancel a running `send` as far as the library can. Never blocks. Thread: any."""
        self._aborted = True
        threading.Thread(target=self._exporter.shutdown, name="otlp-abort", daemon=True).start()

    def close(self) -> None:
        """Count as dropped what was not sent, and log what was lost. Thread: any."""
        dropped = self.counts.close()
        if dropped or self._lost:
            event(
                log,
                logging.WARNING,
                "OTLP push stopped before everything was sent",
                signal=self.destination.signal,
                dropped=dropped,
                lost=dropped + self._lost,
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
            event(log, logging.INFO, "OTLP push succeeded", **fields, lost=self._lost)
            self._lost = 0
        else:
            event(log, logging.WARNING, "OTLP push failed", **fields, reason=reason)
