"""Every option of the agent, declared once: flag, key, default, parser and help.

`loader` creates the values. The help of a flag is a noun phrase, that of a switch a command. It is
one long list, in the order of the help, so that an option is found, and added, in one place.
"""

# ruff: noqa: RUF009  (`option` makes a dataclass field, which may be a default)

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, ClassVar
from urllib.parse import urlsplit

from exporter.errors import cited
from exporter.model import Family
from exporter.settings.listen_address import parse_listen_address
from exporter.settings.options import (
    between,
    choice,
    choice_option,
    duration_option,
    names,
    option,
    optional_regex,
    options_of,
    switch_option,
    whole_number,
    words,
)
from exporter.settings.regex import Regex
from exporter.settings.selection import Group, Selection
from exporter.settings.units import parse_duration, parse_size

# Path segments of RFC 3986 without percent-encoding, so that a path has one spelling.
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
        raise ValueError(f"{cited(text)} is a health endpoint: write for example /metrics")
    return text


def _otlp_endpoint(text: str) -> str:
    """Parse a URL. The error does not repeat it, because it can hold a password."""
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
    return choice(words(*OTLP_PROTOCOLS))(text) if text else text


@dataclass(frozen=True, slots=True)
class WebSettings:
    """Settings of the HTTP endpoint."""

    title: ClassVar[str] = "endpoint"
    description: ClassVar[str] = "Where and how metrics are served."

    listen_addresses: tuple[str, ...] = option(
        "web.listen-address",
        ":10190",
        _listen_address,
        "ADDRESS",
        "Address to listen on, as [HOST]:PORT. Without HOST, every address of this computer; "
        "with port 0, any free port, which the log shows. Repeatable.",
        many=True,
    )
    telemetry_path: str = option(
        "web.telemetry-path",
        "/metrics",
        _telemetry_path,
        "PATH",
        'Path of the metrics. "/" replaces the landing page.',
    )
    config_file: str = option(
        "web.config.file",
        "",
        str,
        "FILE",
        "Web configuration file with TLS, basic authentication, headers and rate limit, in the "
        "format of all Prometheus exporters. It is reloaded when it changes. In the "
        "configuration file, its path is relative to that file.",
    )
    systemd_socket: bool = switch_option(
        "web.systemd-socket",
        "Listen on the sockets passed by systemd instead of listen addresses. Linux only.",
    )
    max_requests: int = option(
        "web.max-requests",
        "40",
        between(whole_number, "0", "1000000"),
        "N",
        "Maximum number of simultaneous requests; further ones are answered with 503. 0: no limit.",
    )
    disable_exporter_metrics: bool = switch_option(
        "web.disable-exporter-metrics",
        "Leave out the metrics of the exporter's own process (process_*, python_*).",
    )


@dataclass(frozen=True, slots=True)
class CollectorSettings:
    """Settings of the monitor and of the published series."""

    title: ClassVar[str] = "collector"
    description: ClassVar[str] = "Which interfaces are watched, and what is kept of them."

    include: Regex | None = option(
        "collector.include",
        "",
        optional_regex,
        "REGEX",
        "Regular expression (RE2) of the device names to publish. It must match the whole name.",
    )
    exclude: Regex | None = option(
        "collector.exclude",
        "",
        optional_regex,
        "REGEX",
        "Regular expression (RE2) of the device names to leave out. It must match the whole name.",
    )
    exclude_kinds: tuple[str, ...] = option(
        "collector.exclude-kinds",
        "",
        names,
        "KINDS",
        "Link kinds to leave out, separated by commas, for example veth,bridge. Repeatable. "
        "Linux only.",
        many=True,
    )
    max_interfaces: int = option(
        "collector.max-interfaces",
        "1000",
        between(whole_number, "1", "1000000"),
        "N",
        "Maximum number of IP interfaces with their own series; the rest are summed under "
        'device="other".',
    )
    retention_seconds: float = duration_option(
        "collector.retention",
        "10m",
        "0",
        "7d",
        "Time for which the counters of a deleted interface stay.",
    )
    all_parameters: bool = choice_option(
        "collector.parameters",
        "core",
        {"core": False, "all": True},
        "Members of the interface row to publish: the core ones, or all.",
    )
    # The kernel doubles the value, in an int.
    receive_buffer_bytes: int = option(
        "collector.receive-buffer",
        "32MiB",
        between(parse_size, "4KiB", "1GiB"),
        "SIZE",
        "Size of the queue of notifications: on Linux the receive buffer of the netlink "
        "socket, on Windows a queue in the exporter.",
    )
    family: Family = choice_option(
        "collector.family",
        "unspec",
        _FAMILIES,
        "Address family to watch: both, IPv4 or IPv6.",
    )
    #: In the configuration file only.
    groups: tuple[Group, ...] = ()

    @property
    def selection(self) -> Selection:
        """The filters and groups."""
        return Selection(self.include, self.exclude, frozenset(self.exclude_kinds), self.groups)


@dataclass(frozen=True, slots=True)
class OtlpSettings:
    """Settings of the OTLP push."""

    title: ClassVar[str] = "otlp"
    description: ClassVar[str] = "Where notifications and metrics are pushed; default: nowhere."

    endpoint: str = option(
        "otlp.endpoint",
        "",
        _otlp_endpoint,
        "URL",
        "URL of an OTLP receiver; over HTTP, the path of each signal is appended. It overrides "
        "OTEL_EXPORTER_OTLP_ENDPOINT and the variables of the signals. Headers, certificates, "
        "timeout and compression can only be set by OTEL_EXPORTER_OTLP_*.",
    )
    protocol: str = option(
        "otlp.protocol",
        "",
        _optional_protocol,
        "|".join(OTLP_PROTOCOLS),
        "Protocol of the push. It overrides OTEL_EXPORTER_OTLP_PROTOCOL and the variables of "
        f"the signals. If none is set: {OTLP_PROTOCOLS[0]}.",
    )
    events: str = choice_option(
        "otlp.events",
        "spans",
        words("spans", "logs", "both"),
        "Form of the notifications: span events, log events, or both.",
    )
    metrics_interval_seconds: float | None = option(
        "otlp.metrics-interval",
        "",
        _optional_interval,
        "DURATION",
        "Time between two pushes of the metrics. It overrides OTEL_METRIC_EXPORT_INTERVAL. If "
        "neither is set: 1m.",
    )
    max_retry_seconds: float = duration_option(
        "otlp.max-retry-time",
        "15m",
        "0",
        "1d",
        "Time for which notifications wait for a receiver that does not answer; the oldest are "
        "given up first.",
    )


@dataclass(frozen=True, slots=True)
class EpisodeSettings:
    """Settings of the episodes, each of which is pushed as one trace."""

    title: ClassVar[str] = "episode"
    description: ClassVar[str] = "Bursts of notifications, each pushed as one trace."

    quiet_seconds: float = duration_option(
        "episode.quiet",
        "5s",
        "100ms",
        "1h",
        "Time without a notification after which an episode ends.",
    )
    max_duration_seconds: float = duration_option(
        "episode.max-duration",
        "1m",
        "100ms",
        "1d",
        "Maximum length of an episode; a longer burst continues in a linked one.",
    )


@dataclass(frozen=True, slots=True)
class LogSettings:
    """Settings of the log."""

    title: ClassVar[str] = "log"
    description: ClassVar[str] = "What is written to standard error."

    level: str = choice_option(
        "log.level",
        "info",
        words("debug", "info", "warn", "error"),
        "Minimum level to log. debug: also each system message, request and push.",
    )
    format: str = choice_option(
        "log.format",
        "logfmt",
        words("logfmt", "json"),
        "Log format.",
    )


@dataclass(frozen=True, slots=True)
class ReplaySettings:
    """Settings of the command replay."""

    title: ClassVar[str] = "replay"
    description: ClassVar[str] = "Only with the commands replay and watch."

    pace: str = choice_option(
        "replay.pace",
        "none",
        words("none", "recorded"),
        "Pace of the replay: as fast as possible, or with the recorded pauses.",
        in_file=False,
    )


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings."""

    title: ClassVar[str] = "configuration"
    description: ClassVar[str] = "The file in which the flags can be set."

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
#: Every option by flag, in the order of the help.
OPTIONS = {o.flag: o for section in SECTIONS for o in options_of(section).values()}
#: What a reload can change at run time.
RELOADABLE = frozenset(
    {
        "collector.include",
        "collector.exclude",
        "collector.exclude-kinds",
        "collector.max-interfaces",
        "collector.retention",
        "groups",
        "log.level",
        "log.format",
    }
)


def changed_flags(before: Settings, after: Settings) -> set[str]:
    """Return the flags whose values differ, and ``groups`` if these differ."""
    pairs: list[tuple[Any, Any]] = [
        (before, after),
        (before.web, after.web),
        (before.collector, after.collector),
        (before.otlp, after.otlp),
        (before.episode, after.episode),
        (before.log, after.log),
    ]
    changed = {
        option.flag
        for old, new in pairs
        for name, option in options_of(type(old)).items()
        if getattr(old, name) != getattr(new, name)
    }
    return changed | ({"groups"} if before.collector.groups != after.collector.groups else set())
