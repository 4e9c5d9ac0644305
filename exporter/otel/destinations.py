"""Where each signal goes: flags and file over OpenTelemetry's own environment variables.

The libraries act on headers, timeout, compression and certificates themselves. What they
leave to whoever builds them is decided here.

Source: https://opentelemetry.io/docs/specs/otel/protocol/exporter/
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

from exporter.errors import SettingsError, cited, quoted
from exporter.settings.schema import OTLP_PROTOCOLS, OtlpSettings

SIGNALS = ("traces", "logs", "metrics")
#: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
DEFAULT_METRICS_INTERVAL = 60.0

_PREFIX = "OTEL_EXPORTER_OTLP"
_FILES = ("CERTIFICATE", "CLIENT_KEY", "CLIENT_CERTIFICATE")


class Destination(NamedTuple):
    """Where and how one signal is pushed."""

    signal: str
    #: As the exporter wants it: with the signal's path for HTTP. May hold credentials.
    endpoint: str
    protocol: str

    @property
    def shown(self) -> str:
        """The endpoint without what could be secret: user, password and query."""
        parts = urlsplit(self.endpoint if "//" in self.endpoint else f"//{self.endpoint}")
        scheme = f"{parts.scheme}://" if parts.scheme else ""
        return f"{scheme}{parts.netloc.rpartition('@')[2]}{parts.path}"


def destinations(settings: OtlpSettings, environment: Mapping[str, str]) -> tuple[Destination, ...]:
    """One for each signal that is to be pushed. Raises SettingsError."""
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return ()
    wanted = {"traces": settings.events != "logs", "logs": settings.events != "spans"}
    found = []
    for signal in SIGNALS:
        if wanted.get(signal, True) and _has_exporter(signal, environment):
            destination = _destination(signal, settings, environment)
            if destination is not None:
                _check_files(signal, environment)
                found.append(destination)
    return tuple(found)


def metrics_interval(settings: OtlpSettings, environment: Mapping[str, str]) -> float:
    """Seconds between two pushes of the metrics. Raises SettingsError."""
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
    """OTEL_TRACES_EXPORTER and so on: whether ``otlp`` is among them, or nothing is said."""
    text = environment.get(f"OTEL_{signal.upper()}_EXPORTER", "")
    names = [name.strip().lower() for name in text.split(",") if name.strip()]
    return not names or "otlp" in names


def _variables(signal: str, name: str, environment: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """(variable, value): that of the signal before that of all signals; empty is unset."""
    for variable in (f"{_PREFIX}_{signal.upper()}_{name}", f"{_PREFIX}_{name}"):
        if value := environment.get(variable, "").strip():
            yield variable, value


def _destination(
    signal: str, settings: OtlpSettings, environment: Mapping[str, str]
) -> Destination | None:
    protocol = settings.protocol or _protocol(signal, environment)
    if settings.endpoint:
        base, whole = settings.endpoint, False
    else:
        variable, base = next(_variables(signal, "ENDPOINT", environment), ("", ""))
        whole = signal.upper() in variable
    if not base:
        return None
    if protocol == "grpc" or whole:
        return Destination(signal, base, protocol)
    return Destination(signal, f"{base.removesuffix('/')}/v1/{signal}", protocol)


def _protocol(signal: str, environment: Mapping[str, str]) -> str:
    for variable, value in _variables(signal, "PROTOCOL", environment):
        if value not in OTLP_PROTOCOLS:
            known = ", ".join(OTLP_PROTOCOLS)
            raise SettingsError(f"${variable}: {cited(value)}: must be one of {known}")
        return value
    return OTLP_PROTOCOLS[0]


def _check_files(signal: str, environment: Mapping[str, str]) -> None:
    """A file that cannot be read should be known at the start, not with the first export."""
    for name in _FILES:
        for variable, path in _variables(signal, name, environment):
            try:
                with open(path, "rb"):
                    pass
            except (OSError, ValueError) as error:
                reason = getattr(error, "strerror", None) or "not a path"
                raise SettingsError(f"${variable}: {quoted(path)}: {reason}") from None
