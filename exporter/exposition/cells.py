"""What is said of one series set under each metric: a few lines, its cells."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache

from exporter.exposition.text_format import format_value, labels
from exporter.metrics.catalogue import IDENTITY, STATE_SECONDS, SeriesMetric, identity
from exporter.monitor.series import STATES, SeriesSet, nanoseconds, seconds_at

#: What a time in state that goes on is computed from: `SeriesSet.seconds_terms`.
Terms = tuple[int, int]

#: Stands in a template for a value that most have: no text in UTF-8 has this byte.
COMMON = b"\xff"


#: Of the counts and settings there are, most are small and common: a look-up takes a third of
#: formatting. (Zeros of either sign are one key: no metric of a series has a negative one.)
_number = lru_cache(maxsize=4096)(format_value)


def who(series: SeriesSet) -> str:
    """The identity labels."""
    return labels(IDENTITY, identity(series))


def series_cells(
    series: SeriesSet, who: str, metrics: Sequence[SeriesMetric], row_changed: bool
) -> list[tuple[int, bytes]]:
    """The cells of one series set that may have changed, by position of the metric."""
    cells = []
    for position, metric in enumerate(metrics):
        if row_changed or not metric.of_row:
            lines = ""
            for values, value in metric.read(series):
                own = _with_labels(who, series, metric, values)
                lines += f"{metric.name}{{{own}}} {_number(value)}\n"
            cells.append((position, lines.encode()))
    return cells


def _with_labels(who: str, series: SeriesSet, metric: SeriesMetric, values: tuple[str, ...]) -> str:
    """The labels of a sample: identity and the metric's own, sorted by name."""
    if not values:
        return who
    if metric.labels[0] > IDENTITY[-1]:
        return who + _own_labels(metric.labels, values)
    return labels(IDENTITY + metric.labels, identity(series) + values)


@lru_cache(maxsize=256)  # kinds, states and parameters: there are a few dozen of them
def _own_labels(names: tuple[str, ...], values: tuple[str, ...]) -> str:
    return f",{labels(names, values)}"


def seconds_cell(
    series: SeriesSet, who: str, common: Terms | None
) -> tuple[bytes, tuple[Terms, ...]]:
    """The lines of time in state as a template, and the terms of its ``%b``.

    It has `COMMON` for a value that grows by the `common` terms, ``%b`` for one by others.
    """
    who = who.replace("%", "%%")
    template = b""
    growing: tuple[Terms, ...] = ()
    for connected in (True, False):
        value = b"%b"
        terms = series.seconds_terms(connected)
        if not series.growing(connected):
            value = format_value(seconds_at(terms, 0)).encode()
        elif terms == common:
            value = COMMON
        else:
            growing += (terms,)
        own = _own_labels(("state",), (STATES[connected],))
        template += b"%b %b\n" % (f"{STATE_SECONDS}{{{who}{own}}}".encode(), value)
    return template, growing


def common_terms(all_series: Iterable[SeriesSet]) -> Terms | None:
    """Those that most of the values have: at the start all began to grow at once."""
    terms = [s.seconds_terms(c) for s in all_series for c in (True, False) if s.growing(c)]
    return max(terms, key=Counter(terms).__getitem__, default=None)


class SecondsText(dict[Terms, bytes]):
    """Times in state at one instant, as printed.

    All that exist since the start have the same, and are formatted once.
    """

    def __init__(self, instant: float) -> None:
        self._now = nanoseconds(instant)

    def __missing__(self, terms: Terms) -> bytes:
        value = seconds_at(terms, self._now)
        # repr is what format_value comes to below a million, at a third of its cost
        text = self[terms] = (repr(value) if value < 1e6 else format_value(value)).encode()
        return text
