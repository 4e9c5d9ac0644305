"""Resolves the destination of each signal from the settings and OpenTelemetry's variables.

The settings override the environment. The libraries read headers, timeout, compression and
certificates themselves.

Source: https://opentelemetry.io/docs/specs/otel/protocol/exporter/
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple
from urllib.parse import urlsplit, urlunsplit

from exporter.errors import SettingsError, cited, quoted
from exporter.settings.files import MAX_PEM_BYTES, read_file
from exporter.settings.schema import OTLP_PROTOCOLS, OtlpSettings

SIGNALS = ("traces", "logs", "metrics")
#: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
DEFAULT_METRICS_INTERVAL = 60.0

_PREFIX = "OTEL_EXPORTER_OTLP"
_FILES = ("CERTIFICATE", "CLIENT_KEY", "CLIENT_CERTIFICATE")


class Destination(NamedTuple):
    """The endpoint and the protocol of one signal."""

    signal: str
    #: With the path of the signal for HTTP. It can hold credentials.
    endpoint: str
    protocol: str

    @property
    def redacted_endpoint(self) -> str:
        """The endpoint without user, password and query, which can be secret."""
        parts = urlsplit(self.endpoint if "//" in self.endpoint else f"//{self.endpoint}")
        scheme = f"{parts.scheme}://" if parts.scheme else ""
        return f"{scheme}{parts.netloc.rpartition('@')[2]}{parts.path}"


def destinations(settings: OtlpSettings, environment: Mapping[str, str]) -> tuple[Destination, ...]:
    """Return a destination for each signal to push. Raises SettingsError."""
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return ()
    wanted = {"traces": settings.events != "logs", "logs": settings.events != "spans"}
    resolved = []
    for signal in SIGNALS:
        if wanted.get(signal, True) and _has_exporter(signal, environment):
            destination = _destination(signal, settings, environment)
            if destination is not None:
                _check_files(signal, environment)
                resolved.append(destination)
    return tuple(resolved)


def metrics_interval(settings: OtlpSettings, environment: Mapping[str, str]) -> float:
    """Return the seconds between two pushes of the metrics. Raises SettingsError."""
    if settings.metrics_interval_seconds is not None:
        return settings.metrics_interval_seconds
    name = "OTEL_METRIC_EXPORT_INTERVAL"
    text = environment.get(name, "").strip()
    if not text:
        return DEFAULT_METRICS_INTERVAL
    if not (text.isascii() and text.isdigit() and 100 <= int(text[:10]) <= 86_400_000):
        raise SettingsError(f"${name}: {cited(text)}: must be milliseconds, 100 or more")
    return int(text) / 1000


def _has_exporter(signal: str, environment: Mapping[str, str]) -> bool:
    """Return whether OTEL_<SIGNAL>_EXPORTER is unset or includes ``otlp``."""
    text = environment.get(f"OTEL_{signal.upper()}_EXPORTER", "")
    names = [name.strip().lower() for name in text.split(",") if name.strip()]
    return not names or "otlp" in names


def _variables(signal: str, name: str, environment: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield variables and their values, that of the signal first. Empty counts as unset."""
    for variable in (f"{_PREFIX}_{signal.upper()}_{name}", f"{_PREFIX}_{name}"):
        if value := environment.get(variable, "").strip():
            yield variable, value


def _destination(
    signal: str, settings: OtlpSettings, environment: Mapping[str, str]
) -> Destination | None:
    protocol = settings.protocol or _protocol(signal, environment)
    if settings.endpoint:
        base, has_path = settings.endpoint, False
    else:
        variable, base = next(_variables(signal, "ENDPOINT", environment), ("", ""))
        has_path = signal.upper() in variable
    if not base:
        return None
    if protocol == "grpc" or has_path:
        return Destination(signal, base, protocol)
    parts = urlsplit(base)
    path = f"{parts.path.removesuffix('/')}/v1/{signal}"
    return Destination(signal, urlunsplit(parts._replace(path=path)), protocol)


def _protocol(signal: str, environment: Mapping[str, str]) -> str:
    for variable, value in _variables(signal, "PROTOCOL", environment):
        if value not in OTLP_PROTOCOLS:
            protocols = ", ".join(OTLP_PROTOCOLS)
            raise SettingsError(f"${variable}: {cited(value)}: must be one of {protocols}")
        return value
    return OTLP_PROTOCOLS[0]


def _check_files(signal: str, environment: Mapping[str, str]) -> None:
    """Raise SettingsError at start-up for a file that the first export could not read."""
    for name in _FILES:
        for variable, path in _variables(signal, name, environment):
            try:
                read_file(path, MAX_PEM_BYTES)
            except OSError as error:
                reason = error.strerror or str(error)
                raise SettingsError(f"${variable}: {quoted(path)}: {reason}") from None
