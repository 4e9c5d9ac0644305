"""A graph of what is counted shows each event in one step, and no event twice."""

import subprocess
from itertools import accumulate, pairwise
from pathlib import Path

import pytest
import yaml
from support.prometheus import needed

from grafana import Query, Times, expand, queries

#: Prometheus' own default of scrapes, and what Grafana then asks of an hour.
SCRAPE = 15
TIMES = Times(0, 3600, SCRAPE)
STEP = 60
#: How much the counters grow at each scrape: alone, in a row, and many at once.
GROWTH = (
    [0] * 6 + [1, 0, 0, 3, 1, 1] + [0] * 9 + [24, 0, 0, 0, 1] + [0] * 12 + [2, 0, 0, 0, 0, 1, 0]
)
COUNTED = list(accumulate(GROWTH))
#: A gauge that is switched at each scrape at which they grow.
SWITCHED = list(accumulate((bool(growth) for growth in GROWTH), lambda one, other: one ^ other))

TARGET = {
    "job": "job",
    "instance": "instance",
    "interfaces": "",
    "cluster": ".*",
    "family": ".+",
    "device": "eth0",
    "by": "device",
}
OF_INTERFACE = 'job="job", instance="instance", device="eth0", family="ipv4"'
#: (title, query, series, its values).
GRAPHS: list[tuple[str, str, str, list[int]]] = [
    (
        "Disconnections over time",
        "A",
        f'ip_interface_disconnections_total{{{OF_INTERFACE}, cause="carrier"}}',
        COUNTED,
    ),
    (
        "Disconnections by cause",
        "A",
        f'ip_interface_disconnections_total{{{OF_INTERFACE}, cause="carrier"}}',
        COUNTED,
    ),
    (
        "Transitions that polling misses",
        "A",
        f'ip_interface_transitions_total{{{OF_INTERFACE}, state="connected"}}',
        COUNTED,
    ),
    (
        "Transitions that polling misses",
        "C",
        f"ip_interface_connected{{{OF_INTERFACE}}}",
        [int(on) for on in SWITCHED],
    ),
    (
        "Outages by length",
        "A",
        'ip_interface_outage_duration_seconds_bucket{job="job", instance="instance", '
        'family="ipv4", le="1.0"}',
        COUNTED,
    ),
    (
        "Unread notifications",
        "A",
        f"ip_interface_unread_notifications_total{{{OF_INTERFACE}}}",
        COUNTED,
    ),
]


def found(title: str, ref: str) -> Query:
    """Return a query of the host dashboard."""
    (query,) = (
        query
        for query in queries("host")
        if query.panel.get("title") == title and query.target["refId"] == ref
    )
    return query


def shown(values: list[int], since: int, until: int) -> int:
    """Return what happened between two times, in seconds: growth, or changes of a gauge."""
    pairs = list(pairwise(values))[since // SCRAPE : until // SCRAPE]
    return sum(abs(after - before) for before, after in pairs)


@pytest.mark.parametrize("package", ["prometheus-2", "promtool-3"])
@pytest.mark.parametrize(
    ("title", "ref", "series", "values"), GRAPHS, ids=[f"{graph[0]} {graph[1]}" for graph in GRAPHS]
)
def test_an_event_is_in_one_step(
    package: str, title: str, ref: str, series: str, values: list[int], tmp_path: Path
) -> None:
    """Each step of an hour shows what grew since the step before, exactly."""
    query = found(title, ref)
    assert TIMES.step(query.panel) == STEP
    # Without proven disconnections the sums with them would be empty.
    proven = f'ip_interface_unobserved_transitions_total{{{OF_INTERFACE}, state="disconnected"}}'
    expression = expand(query.expr, TARGET | TIMES.windows(query.panel))
    # A scrape is never at the very time of a step.
    steps = range(STEP + 7, SCRAPE * len(GROWTH), STEP)
    (tmp_path / "test.yml").write_text(
        yaml.safe_dump(
            {
                "tests": [
                    {
                        "interval": f"{SCRAPE}s",
                        "input_series": [
                            {"series": series, "values": " ".join(map(str, values))},
                            {"series": proven, "values": f"0x{len(GROWTH)}"},
                        ],
                        "promql_expr_test": [
                            {
                                "expr": f"sum({expression}) or vector(0)",
                                "eval_time": f"{step}s",
                                "exp_samples": [
                                    {"labels": "{}", "value": shown(values, step - STEP, step)}
                                ],
                            }
                            for step in steps
                        ],
                    }
                ]
            }
        )
    )
    promtool = needed(package, "promtool")
    done = subprocess.run(
        [promtool, "test", "rules", str(tmp_path / "test.yml")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
