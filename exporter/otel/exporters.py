"""Makes the exporters of opentelemetry-exporter-otlp, by signal and protocol.

They read headers, timeout, compression and certificates from the environment themselves.
"""

from __future__ import annotations

import os
from typing import Any

import requests  # type: ignore[import-untyped,unused-ignore]

from exporter.errors import SettingsError
from exporter.otel.destinations import Destination
from exporter.otel.library_log import LIBRARY_LOG, describe, replace_library_logs
from exporter.otel.sender import Exporter


#: By default a channel waits up to 120 s before it connects again; milliseconds.
_GRPC_CHANNEL: Any = (
    ("grpc.initial_reconnect_backoff_ms", 500),
    ("grpc.min_reconnect_backoff_ms", 500),
    ("grpc.max_reconnect_backoff_ms", 5000),
)


def make_exporter(destination: Destination) -> Exporter:
    """Make an exporter, which is not connected yet. Raises SettingsError."""
    replace_library_logs()
    try:
        if destination.protocol == "grpc":
            return _grpc(destination)
        return _http(destination)
    except Exception as error:  # noqa: BLE001  (its text may hold secrets)
        raise SettingsError(
            f"the OTLP exporter for {destination.signal} cannot be created: check the variables "
            f"OTEL_EXPORTER_OTLP_* ({describe(error)})"
        ) from None


def _http(destination: Destination) -> Exporter:
    endpoint = destination.endpoint
    session = _Session()
    session.hooks["response"].append(_remember_status)
    match destination.signal:
        case "traces":
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

            return OTLPSpanExporter(endpoint, session=session)
        case "logs":
            from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter

            return OTLPLogExporter(endpoint, session=session)
        case _:
            from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter

            return OTLPMetricExporter(endpoint, session=session)


class _Session(requests.Session):  # type: ignore[misc,unused-ignore]
    """A session in which OTEL_EXPORTER_OTLP_CERTIFICATE overrides REQUESTS_CA_BUNDLE."""

    def merge_environment_settings(
        self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any
    ) -> Any:
        verify = self.verify if verify is None else verify
        return super().merge_environment_settings(url, proxies, stream, verify, cert)


def _remember_status(response: Any, **_: object) -> None:
    """Remember the status of a failure, which the exporter does not report."""
    if reason := describe(int(response.status_code)):
        LIBRARY_LOG.remember(reason)


def _grpc(destination: Destination) -> Exporter:
    # gRPC's core writes to standard error for each try, without a logger.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    from opentelemetry.exporter.otlp.proto.grpc import exporter

    exporter.logger.filters.clear()  # one drops repeated records, and with them the reason
    endpoint = destination.endpoint
    options = {"channel_options": _GRPC_CHANNEL}
    match destination.signal:
        case "traces":
            from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

            return OTLPSpanExporter(endpoint, **options)
        case "logs":
            from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter

            return OTLPLogExporter(endpoint, **options)
        case _:
            from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter

            return OTLPMetricExporter(endpoint, **options)
