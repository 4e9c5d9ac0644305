"""What the benchmarks print: medians, percentiles, ratios to a peer of the same run."""

from collections.abc import Iterable, Sequence
from statistics import median, quantiles
from typing import Literal

#: How much of everything: whether it runs, some minutes, all that the targets ask for.
Size = Literal["short", "usual", "long"]


def heading(text: str) -> None:
    """A section begins."""
    print(f"\n## {text}\n", flush=True)


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table, the first column to the left, the others to the right."""
    lines = [[*map(str, columns)], *([_cell(value) for value in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    lines.insert(1, ["-" * width for width in widths])
    for line in lines:
        first, *rest = (text for text in line)
        cells = [first.ljust(widths[0])]
        cells += (text.rjust(width) for text, width in zip(rest, widths[1:], strict=True))
        print("| " + " | ".join(cells) + " |", flush=True)


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 100 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def ratio(ours: float, peers: float) -> str:
    """How we compare, so that it reads the right way round: ``1/80`` is 80 times less."""
    if not ours or not peers:
        return "-"
    return f"1/{peers / ours:.3g}" if ours < peers else f"{ours / peers:.2f}x"


def percentile(values: Sequence[float], percent: int) -> float:
    """The value that so many percent of the values do not exceed."""
    if len(values) < 2:
        return values[0]
    return quantiles(values, n=100, method="inclusive")[percent - 1]


__all__ = ["Size", "heading", "median", "percentile", "ratio", "table"]
