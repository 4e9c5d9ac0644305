"""What the agent can be told: flags over the configuration file over the environment.

Each option is declared once, here; see `options`. `settings_reader` makes the values.
"""

# ruff: noqa: RUF009  (`option` makes a dataclass field, which is what a default may be)

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from exporter.errors import cited
from exporter.model import Family
from exporter.settings.addresses import parse_listen_address
from exporter.settings.options import (
    between,
    choice,
    listed,
    option,
    optional_pattern,
    options_of,
    switch,
    whole_number,
    words,
)
from exporter.settings.selection import Group, Selection
from exporter.settings.units import parse_duration, parse_size

# Path segments as RFC 3986 has them, without percent-encoding: one path, one spelling.
_PATH = re.compile(r"/[A-Za-z0-9._~!$&'()*+,;=:@/-]*")
#: The default first.
OTLP_PROTOCOLS = ("http/protobuf", "grpc")
_FAMILIES = {"unspec": Family.UNSPEC, "inet": Family.IPV4, "inet6": Family.IPV6}


def _listen_address(text: str) -> tuple[str]:
    parse_listen_address(text)
    return (text,)


def _telemetry_path(text: str) -> str:
    if not _PATH.fullmatch(text):
        raise ValueError(f"{cited(text)} is not a path: write for example /metrics")
    if text == "/health" or text.startswith("/-/"):
        raise ValueError(f"{cited(text)} is where health is served: write for example /metrics")
    return text


def _otlp_endpoint(text: str) -> str:
    """A URL; the text of an error does not repeat it, it can hold a password."""
    if not text:
        return text
    try:
        parts = urlsplit(text)
        valid = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        valid = False
    if not valid or not text.isprintable() or " " in text:
        raise ValueError("is not a URL: write for example http://localhost:4318")
    return text


def _optional_interval(text: str) -> float | None:
    return between(parse_duration, "100ms", "1d")(text) if text else None


def _optional_protocol(text: str) -> str:
    return words(*OTLP_PROTOCOLS)(text) if text else text


@dataclass(frozen=True, slots=True)
class WebSettings:
    """Endpoint: where and how metrics are served."""

    listen_addresses: tuple[str, ...] = option(
        "web.listen-address",
        ":10190",
        _listen_address,
        "ADDRESS",
        "Address to serve on, as [HOST]:PORT. Without a host: every address of this computer. "
        "Port 0: any free port, see the log. May be repeated.",
        many=True,
    )
    telemetry_path: str = option(
        "web.telemetry-path",
        "/metrics",
        _telemetry_path,
        "PATH",
        "Path of the metrics. With / they take the place of the landing page.",
    )
    config_file: str = option(
        "web.config.file",
        "",
        str,
        "FILE",
        "Web configuration file: TLS, basic authentication, headers, rate limit, as every "
        "exporter of Prometheus has it. It is read again when it changes. In the configuration "
        "file, its path is relative to that file.",
    )
    systemd_socket: bool = option(
        "web.systemd-socket",
        "false",
        switch,
        "",
        "Linux: serve on the sockets that systemd passes, in place of listen addresses.",
    )
    max_requests: int = option(
        "web.max-requests",
        "40",
        between(whole_number, "0", "1000000"),
        "N",
        "Requests served at the same time; those beyond are answered 503. 0: no limit.",
    )
    disable_exporter_metrics: bool = option(
        "web.disable-exporter-metrics",
        "false",
        switch,
        "",
        "Leave out the metrics of the exporter's own process (process_*, python_*).",
    )


@dataclass(frozen=True, slots=True)
class CollectorSettings:
    """Collector: which interfaces are watched and what is kept of them."""

    include: re.Pattern[str] | None = option(
        "collector.include",
        "",
        optional_pattern,
        "REGEX",
        "Publish only interfaces whose whole device name matches.",
    )
    exclude: re.Pattern[str] | None = option(
        "collector.exclude",
        "",
        optional_pattern,
        "REGEX",
        "Leave out interfaces whose whole device name matches.",
    )
    exclude_kinds: tuple[str, ...] = option(
        "collector.exclude-kinds",
        "",
        listed,
        "KINDS",
        "Leave out interfaces of these link kinds, with commas between: veth,bridge.",
        many=True,
    )
    max_interfaces: int = option(
        "collector.max-interfaces",
        "1000",
        between(whole_number, "1", "1000000"),
        "N",
        "IP interfaces with series of their own; those beyond share the device other.",
    )
    retention_seconds: float = option(
        "collector.retention",
        "10m",
        between(parse_duration, "0", "7d"),
        "DURATION",
        "How long the counters of a deleted interface stay.",
    )
    all_parameters: bool = option(
        "collector.parameters",
        "core",
        choice({"core": False, "all": True}),
        "core|all",
        "Interface parameters that have a metric: the core ones, or all.",
    )
    # The kernel doubles what it is given, in an int.
    receive_buffer_bytes: int = option(
        "collector.receive-buffer",
        "32MiB",
        between(parse_size, "4KiB", "1GiB"),
        "SIZE",
        "Linux: how much the kernel may queue for us before notifications are lost.",
    )
    family: Family = option(
        "collector.family",
        "unspec",
        choice(_FAMILIES),
        "unspec|inet|inet6",
        "Address family to watch: both, IPv4, or IPv6.",
    )
    #: Only the configuration file has them.
    groups: tuple[Group, ...] = ()

    @property
    def selection(self) -> Selection:
        """The filters and groups together."""
        return Selection(self.include, self.exclude, frozenset(self.exclude_kinds), self.groups)


@dataclass(frozen=True, slots=True)
class OtlpSettings:
    """OTLP: where notifications and metrics are pushed to, if anywhere."""

    endpoint: str = option(
        "otlp.endpoint",
        "",
        _otlp_endpoint,
        "URL",
        "Push to this OTLP receiver; over HTTP the path of each signal is appended. Without it: "
        "what OTEL_EXPORTER_OTLP_ENDPOINT, or a signal's own variable, says. Headers, "
        "certificates, timeout and compression: from OTEL_EXPORTER_OTLP_* only.",
    )
    protocol: str = option(
        "otlp.protocol",
        "",
        _optional_protocol,
        "|".join(OTLP_PROTOCOLS),
        "How to push. Without it: what OTEL_EXPORTER_OTLP_PROTOCOL, or a signal's own variable, "
        f"says, or {OTLP_PROTOCOLS[0]}.",
    )
    events: str = option(
        "otlp.events",
        "spans",
        words("spans", "logs", "both"),
        "spans|logs|both",
        "What each notification becomes: an event in a span, or an event in a log.",
    )
    metrics_interval_seconds: float | None = option(
        "otlp.metrics-interval",
        "",
        _optional_interval,
        "DURATION",
        "How often metrics are pushed. Without it: what OTEL_METRIC_EXPORT_INTERVAL says, or 1m.",
    )


@dataclass(frozen=True, slots=True)
class EpisodeSettings:
    """Episode: the burst of notifications that becomes one trace."""

    quiet_seconds: float = option(
        "episode.quiet",
        "5s",
        between(parse_duration, "100ms", "1h"),
        "DURATION",
        "It is over when no notification has come for so long.",
    )
    max_duration_seconds: float = option(
        "episode.max-duration",
        "1m",
        between(parse_duration, "100ms", "1d"),
        "DURATION",
        "It is over after so long in any case; a linked one goes on.",
    )


@dataclass(frozen=True, slots=True)
class LogSettings:
    """Log: what is written to standard error."""

    level: str = option(
        "log.level",
        "info",
        words("debug", "info", "warn", "error"),
        "debug|info|warn|error",
        "The least severe messages that are written.",
    )
    format: str = option(
        "log.format",
        "logfmt",
        words("logfmt", "json"),
        "logfmt|json",
        "How they are written.",
    )


@dataclass(frozen=True, slots=True)
class ReplaySettings:
    """Replay: only with the command replay."""

    pace: str = option(
        "replay.pace",
        "none",
        words("none", "recorded"),
        "none|recorded",
        "As fast as possible, or with the pauses that were recorded.",
        in_file=False,
    )


@dataclass(frozen=True, slots=True)
class Settings:
    """Configuration: where the rest is read from."""

    config_file: str = option(
        "config.file",
        "",
        str,
        "FILE",
        "Configuration file (YAML). Its keys are the names of these flags, each dot being a "
        "level: {log: {level: debug}}. Flags override it.",
        in_file=False,
        environment="IP_INTERFACE_EXPORTER_CONFIG_FILE",
    )
    web: WebSettings = field(default_factory=WebSettings)
    collector: CollectorSettings = field(default_factory=CollectorSettings)
    otlp: OtlpSettings = field(default_factory=OtlpSettings)
    episode: EpisodeSettings = field(default_factory=EpisodeSettings)
    log: LogSettings = field(default_factory=LogSettings)
    replay: ReplaySettings = field(default_factory=ReplaySettings)


SECTIONS = (
    WebSettings,
    CollectorSettings,
    OtlpSettings,
    EpisodeSettings,
    Settings,
    LogSettings,
    ReplaySettings,
)
#: Every option, by flag, in the order in which they are shown.
OPTIONS = {o.flag: o for section in SECTIONS for o in options_of(section).values()}
