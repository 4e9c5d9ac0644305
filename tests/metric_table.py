"""The README's tables of metrics, from the catalog.

``python tests/metric_table.py --update`` writes them into README.md.
"""

import re
import sys
from collections.abc import Iterable
from pathlib import Path

PROJECT = Path(__file__).parents[1]
sys.path.insert(0, str(PROJECT))

from exporter.metrics.catalog import (  # noqa: E402 - found by the line above
    CORE_PARAMETERS,
    EXPORTER_METRICS,
    HOST_METRICS,
    IPHLPAPI_METRICS,
    OTHER_PARAMETERS,
    SERIES_METRICS,
    AgentMetric,
    HistogramMetric,
    SeriesMetric,
)

README = PROJECT / "README.md"
Metric = AgentMetric | HistogramMetric | SeriesMetric

#: Marker in README.md → what stands between it and its end.
TABLES: dict[str, tuple[Metric, ...]] = {
    "host": HOST_METRICS,
    "interface": (*SERIES_METRICS, *IPHLPAPI_METRICS, *CORE_PARAMETERS),
    "all": OTHER_PARAMETERS,
    "exporter": EXPORTER_METRICS,
}


def table(metrics: Iterable[Metric]) -> str:
    """A Markdown table."""
    lines = ["| metric | type | labels | meaning |", "|---|---|---|---|"]
    for metric in metrics:
        kind = "histogram" if isinstance(metric, HistogramMetric) else metric.type
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        lines.append(f"| `{metric.name}` | {kind} | {labels} | {metric.help} |")
    return "\n".join(lines)


def updated(text: str) -> str:
    """README.md with its tables as the catalog has them. Raises LookupError."""
    for name, metrics in TABLES.items():
        begin, end = f"<!-- metrics: {name} -->\n", f"\n<!-- end of metrics: {name} -->"
        pattern = re.escape(begin) + ".*?" + re.escape(end)
        replaced = begin + table(metrics) + end
        text, found = re.subn(pattern, lambda _, new=replaced: new, text, flags=re.DOTALL)
        if found != 1:
            raise LookupError(f"{README.name} has the marker of {name!r} {found} times")
    return text


if __name__ == "__main__":
    now = README.read_text(encoding="utf-8")
    if "--update" in sys.argv:
        README.write_text(updated(now), encoding="utf-8")
    else:
        print(updated(now))
