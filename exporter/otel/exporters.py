"""Makes the exporters of opentelemetry-exporter-otlp, by signal and protocol.

They read headers, timeout, compression and certificates from the environment themselves.
"""

from __future__ import annotations

import importlib.util
import os
from typing import Any

import requests  # type: ignore[import-untyped,unused-ignore]

from exporter.errors import SettingsError, cited
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
    except SettingsError:
        raise
    except Exception as error:  # noqa: BLE001  (its text may hold secrets)
        raise SettingsError(
            f"the OTLP exporter for {destination.signal} cannot be created: check the variables "
            f"OTEL_EXPORTER_OTLP_* ({describe(error)})"
        ) from None


def _http(destination: Destination) -> Exporter:
    endpoint = destination.endpoint
    _check_proxy(endpoint)
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
    """A session that takes proxies from the environment, but neither passwords nor certificates.

    requests lets ~/.netrc override the headers, and REQUESTS_CA_BUNDLE the certificate, that
    OTEL_EXPORTER_OTLP_* set.
    """

    def __init__(self) -> None:
        super().__init__()
        self.auth = lambda request: request  # in place of ~/.netrc

    def rebuild_auth(self, prepared_request: Any, response: Any) -> None:
        """Remove the authorization on a redirect to another host, and add none."""
        headers, url = prepared_request.headers, prepared_request.url
        if "Authorization" in headers and self.should_strip_auth(response.request.url, url):
            del headers["Authorization"]

    def merge_environment_settings(
        self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any
    ) -> Any:
        verify = self.verify if verify is None else verify
        return super().merge_environment_settings(url, proxies, stream, verify, cert)


def _remember_status(response: Any, **_: object) -> None:
    """Remember the status of a failure, which the exporter does not report."""
    if reason := describe(int(response.status_code)):
        LIBRARY_LOG.remember(reason)


def _check_proxy(endpoint: str) -> None:
    """Raise SettingsError for a proxy that requests cannot use. Its URL may hold a password."""
    proxies = requests.utils.get_environ_proxies(endpoint)
    proxy = requests.utils.select_proxy(endpoint, proxies) or ""
    scheme, separator, _ = proxy.partition("://")
    if not separator or scheme in ("http", "https"):
        return
    variables = "ALL_PROXY, HTTPS_PROXY, HTTP_PROXY"
    if not scheme.startswith("socks"):
        raise SettingsError(
            f"the proxy of {variables} has the unknown scheme {cited(scheme)}: write for example "
            "http://proxy:3128"
        )
    if importlib.util.find_spec("socks") is None:
        raise SettingsError(
            f"the SOCKS proxy of {variables} needs the package PySocks: pip install PySocks"
        )


def _grpc(destination: Destination) -> Exporter:
    # grpcio has no wheel for Windows on ARM64.
    needed = "grpc", "opentelemetry.exporter.otlp.proto.grpc"
    if any(importlib.util.find_spec(name) is None for name in needed):
        raise SettingsError(
            "the OTLP protocol grpc needs the package opentelemetry-exporter-otlp-proto-grpc, "
            "which is not installed: pip install it, or use http/protobuf"
        )
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
