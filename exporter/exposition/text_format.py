"""Prometheus text 0.0.4 and OpenMetrics 1.0.0, line by line.

The two differ in headers, and in exemplars, which only OpenMetrics has.

Source: https://prometheus.io/docs/instrumenting/exposition_formats/,
https://prometheus.io/docs/specs/om/open_metrics_spec/
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client.utils import floatToGoString

from exporter.exposition.negotiation import Format
from exporter.monitor.series import Exemplar

#: Formats a number as Go prints it, which every Prometheus client does.
format_value: Callable[[float], str] = floatToGoString


def escape_label(value: str) -> str:
    """Escape a label value, which stands between quotes."""
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def labels(names: Iterable[str], values: Iterable[str]) -> str:
    """Format ``a="1",b="2"``, without braces, sorted by name as prometheus_client does it."""
    return ",".join(
        f'{name}="{escape_label(value)}"' for name, value in sorted(zip(names, values, strict=True))
    )


def sample(name: str, label_text: str, value: float) -> str:
    """Format a sample with its newline."""
    braces = f"{{{label_text}}}" if label_text else ""
    return f"{name}{braces} {format_value(value)}\n"


def exemplar_text(exemplar: Exemplar) -> str:
    """Format an exemplar, which stands at the end of a sample's line."""
    names, values = zip(*exemplar.labels.items(), strict=True)
    return f" # {{{labels(names, values)}}} {format_value(exemplar.seconds)} {exemplar.time}"


def header(name: str, type_: str, help_: str, format: Format) -> str:
    """Format the HELP and TYPE lines. OpenMetrics names a counter without its ``_total``."""
    if format is Format.OPENMETRICS:
        if type_ == "counter":
            name = name.removesuffix("_total")
        help_ = escape_label(help_)
    else:
        help_ = help_.replace("\\", "\\\\").replace("\n", "\\n")
    return f"# HELP {name} {help_}\n# TYPE {name} {type_}\n"
