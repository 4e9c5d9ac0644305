"""Parses durations and sizes."""

from __future__ import annotations

import re
from decimal import Decimal

from exporter.errors import cited

# Prometheus' units, largest first: the order in which a duration is written. No years, which
# have no fixed length.
_SECONDS = {
    "w": Decimal(604800),
    "d": Decimal(86400),
    "h": Decimal(3600),
    "m": Decimal(60),
    "s": Decimal(1),
    "ms": Decimal("0.001"),
}
# At most nine digits: more are a mistake, and a million would take long to compute with.
_DURATION = re.compile("".join(rf"(?:([0-9]{{1,9}}(?:\.[0-9]{{1,9}})?){u})?" for u in _SECONDS))

# Go's units. Two different characters are the micro sign.
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
_GO_PART = re.compile(r"([0-9]{1,9}(?:\.[0-9]{0,9})?|\.[0-9]{1,9})(ns|us|µs|μs|ms|s|m|h)")

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
    """Return the seconds of a duration: ``1h30m``, ``500ms``, ``1.5s``, ``2d``, ``0``.

    It can be written as in Prometheus (units from large to small, each at most once) or as in
    Go (`parse_go_duration`). Raises ValueError.
    Source: https://prometheus.io/docs/prometheus/latest/querying/basics
    """
    match = _DURATION.fullmatch(text)
    if match and text:
        parts = zip(match.groups(default="0"), _SECONDS.values(), strict=True)
        return float(sum(Decimal(number) * seconds for number, seconds in parts))
    try:
        return parse_go_duration(text)
    except ValueError:
        example = "write for example 90s, 10m or 1h30m"
        raise ValueError(f"{cited(text)} is not a duration: {example}") from None


def parse_go_duration(text: str) -> float:
    """Return the seconds of a duration as Go parses it: ``1.5h``, ``-2m30s``. Raises ValueError.

    Source: https://pkg.go.dev/time#ParseDuration
    """
    digits = text[1:] if text[:1] in ("-", "+") else text
    parts = _GO_PART.findall(digits)
    if digits != "0" and ("".join(map("".join, parts)) != digits or not parts):
        raise ValueError(f"{cited(text)} is not a duration: write for example 500ms, 10s or 1m30s")
    seconds = float(sum(Decimal(number) * _GO_SECONDS[unit] for number, unit in parts))
    return -seconds if text.startswith("-") else seconds


def parse_size(text: str) -> int:
    """Return the bytes of a size: ``65536``, ``4MB`` (decimal), ``32MiB`` (binary).

    Raises ValueError.
    """
    match = _SIZE.fullmatch(text)
    if not match or match[2] not in _BYTES:
        raise ValueError(f"{cited(text)} is not a size: write for example 65536, 4MB or 32MiB")
    return int(match[1]) * _BYTES[match[2]]
