"""Renders the lines of one series set, one cell per metric."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import lru_cache

from exporter.exposition.text_format import escape_label, format_value, labels
from exporter.metrics.catalog import IDENTITY, SeriesMetric, identity
from exporter.monitor.series import STATES, Growth, SeriesSet, nanoseconds, seconds_at

#: Stands in a template for the value that most samples have: no text in UTF-8 has this byte.
MOST_COMMON = b"\xff"

# Most counts and settings are small integers: a cache hit costs a third of formatting.
# (Zeros of either sign are one key: no metric of a series has a negative one.)
_number = lru_cache(maxsize=4096)(format_value)


def format_identity(series: SeriesSet) -> str:
    """Format the labels that name the series set."""
    device, family, index, luid = identity(series)  # as IDENTITY has them
    return f'device="{escape_label(device)}",family="{family}",index="{index}",luid="{luid}"'


def cell(series: SeriesSet, identity_labels: str, metric: SeriesMetric, instant: float) -> bytes:
    """Render the lines of a metric that does not depend on time."""
    lines = ""
    for values, value in metric.read(series, instant):
        before, after = _around(metric.name, metric.labels, values)
        if before:
            lines += before + identity_labels + after + _number(value) + "\n"
        else:
            all_labels = labels(IDENTITY + metric.labels, identity(series) + values)
            lines += f"{metric.name}{{{all_labels}}} {_number(value)}\n"
    return lines.encode()


@lru_cache(maxsize=512)  # types, states, causes and parameters: there are a few dozen of them
def _around(name: str, names: tuple[str, ...], values: tuple[str, ...]) -> tuple[str, str]:
    """Return what a line has before and after the identity labels, up to the value.

    Labels are sorted by name; both are empty where the metric's own stand on both sides.
    """
    if not names:
        return f"{name}{{", "} "
    if max(names) < IDENTITY[0]:
        return f"{name}{{{labels(names, values)},", "} "
    if min(names) > IDENTITY[-1]:
        return f"{name}{{", f",{labels(names, values)}}} "
    return "", ""


def time_cell(
    series: SeriesSet, identity_labels: str, metric: SeriesMetric, most_common: Growth | None
) -> tuple[bytes, tuple[Growth, ...]]:
    """Render the lines of time in state as a template, and return the growth of its ``%b``.

    It has `MOST_COMMON` for a value that grows as `most_common`, ``%b`` for one that grows
    otherwise.
    """
    identity_labels = identity_labels.replace("%", "%%")
    template = b""
    growing: tuple[Growth, ...] = ()
    for connected in (True, False):
        value = b"%b"
        growth = series.growth(connected=connected)
        if not series.growing(connected=connected):
            value = format_value(seconds_at(growth, 0)).encode()
        elif growth == most_common:
            value = MOST_COMMON
        else:
            growing += (growth,)
        before, after = _around(metric.name, metric.labels, (STATES[connected],))
        template += (before + identity_labels + after).encode() + value + b"\n"
    return template, growing


def most_common_growth(all_series: Iterable[SeriesSet]) -> Growth | None:
    """Return the growth that most values have: at the start all begin to grow at once."""
    growing = [
        series.growth(connected=connected)
        for series in all_series
        for connected in (True, False)
        if series.growing(connected=connected)
    ]
    return max(growing, key=Counter(growing).__getitem__, default=None)


class SecondsText(dict[Growth, bytes]):
    """Times in state at one instant, as printed, each formatted once."""

    def __init__(self, instant: float) -> None:
        self._now = nanoseconds(instant)

    def __missing__(self, growth: Growth) -> bytes:
        value = seconds_at(growth, self._now)
        # Below a million, repr is what format_value gives, at a third of its cost.
        text = self[growth] = (repr(value) if value < 1e6 else format_value(value)).encode()
        return text
