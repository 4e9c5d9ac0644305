"""Durations and sizes as people write them."""

from __future__ import annotations

import re
from decimal import Decimal

from exporter.errors import cited

# Largest first: the order in which the parts of a duration are written. No months, no years:
# their length is an opinion.
_SECONDS = {
    "w": Decimal(604800),
    "d": Decimal(86400),
    "h": Decimal(3600),
    "m": Decimal(60),
    "s": Decimal(1),
    "ms": Decimal("0.001"),
}
# Nine digits: more would be a slip, and arithmetic on a million of them would take a while.
_DURATION = re.compile("".join(rf"(?:([0-9]{{1,9}}(?:\.[0-9]{{1,9}})?){u})?" for u in _SECONDS))

# Go's own, smallest last; both letters that look like a micro sign.
_GO_SECONDS = {
    "h": Decimal(3600),
    "m": Decimal(60),
    "s": Decimal(1),
    "ms": Decimal("0.001"),
    "us": Decimal("0.000001"),
    "µs": Decimal("0.000001"),
    "μs": Decimal("0.000001"),
    "ns": Decimal("0.000000001"),
}
_GO_PART = re.compile(r"([0-9]{1,9}\.?[0-9]{0,9}|\.[0-9]{1,9})(ns|us|µs|μs|ms|s|m|h)")

_BYTES = {
    "": 1,
    "B": 1,
    "kB": 1000,
    "KB": 1000,
    "MB": 1000**2,
    "GB": 1000**3,
    "KiB": 1 << 10,
    "MiB": 1 << 20,
    "GiB": 1 << 30,
}
_SIZE = re.compile(r"([0-9]{1,15})([A-Za-z]*)")


def parse_duration(text: str) -> float:
    """Seconds: ``1h30m``, ``500ms``, ``1.5s``, ``0``. Raises ValueError.

    Units run from large to small, each at most once, as in Prometheus' own durations; Go's
    decimals are welcome. Source: https://prometheus.io/docs/prometheus/latest/querying/basics
    """
    if text == "0":
        return 0.0
    match = _DURATION.fullmatch(text)
    if not match or not text:
        raise ValueError(f"{cited(text)} is not a duration: write for example 90s, 10m or 1h30m")
    parts = zip(match.groups(default="0"), _SECONDS.values(), strict=True)
    return float(sum(Decimal(number) * seconds for number, seconds in parts))


def parse_go_duration(text: str) -> float:
    """Seconds, of a duration as Go programs read it: ``1.5h``, ``2m30s``. Raises ValueError.

    Source: https://pkg.go.dev/time#ParseDuration
    """
    digits = text[1:] if text[:1] in ("-", "+") else text
    parts = _GO_PART.findall(digits)
    if digits != "0" and ("".join(map("".join, parts)) != digits or not parts):
        raise ValueError(f"{cited(text)} is not a duration: write for example 500ms, 10s or 1m30s")
    seconds = float(sum(Decimal(number) * _GO_SECONDS[unit] for number, unit in parts))
    return -seconds if text.startswith("-") else seconds


def parse_size(text: str) -> int:
    """Bytes: ``65536``, ``4MB`` (decimal), ``32MiB`` (binary). Raises ValueError."""
    match = _SIZE.fullmatch(text)
    if not match or match[2] not in _BYTES:
        raise ValueError(f"{cited(text)} is not a size: write for example 65536, 4MB or 32MiB")
    return int(match[1]) * _BYTES[match[2]]
