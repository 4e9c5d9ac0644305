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
#: A gauge that is switched at each scrape at which they grow, and how often it fell until each.
SWITCHED = [int(on) for on in accumulate(map(bool, GROWTH), lambda one, other: one ^ other)]
FALLEN = [0, *accumulate(before > after for before, after in pairwise(SWITCHED))]

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
#: (title, query, series, its values); those of a counter are also how much has happened.
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
        "Disconnections that polling misses",
        "A",
        f'ip_interface_transitions_total{{{OF_INTERFACE}, state="disconnected"}}',
        COUNTED,
    ),
    (
        "Disconnections that polling misses",
        "C",
        f"ip_interface_connected{{{OF_INTERFACE}}}",
        SWITCHED,
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
    """Return what happened between two times, in seconds: growth, or falls of a gauge."""
    happened = FALLEN if values is SWITCHED else values
    return happened[until // SCRAPE] - happened[since // SCRAPE]


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


#: An agent and the next one, which have another label: a gauge that stays, and a counter.
ROLLED_OUT = {'pod="a"': ("1x19 _x40", "0x9 3x9 _x40"), 'pod="b"': ("_x22 1x37", "_x22 0x37")}


@pytest.mark.parametrize("package", ["promtool-3", "victoria-metrics"])
@pytest.mark.parametrize(
    ("title", "ref", "expected"),
    [("Disconnections that polling misses", "C", 0), ("Figures by interface", "G", 3)],
)
def test_a_roll_out_is_no_disconnection(
    package: str, title: str, ref: str, expected: int, tmp_path: Path
) -> None:
    """Polling saw none of three disconnections; a series that begins or ends is none, either."""
    query = found(title, ref)
    expression = expand(query.expr, TARGET | TIMES.windows(query.panel))
    series = []
    for label, (gauge, counter) in ROLLED_OUT.items():
        of, fell = f"{OF_INTERFACE}, {label}", f'{OF_INTERFACE}, {label}, state="disconnected"'
        series += [
            {"series": f"ip_interface_connected{{{of}}}", "values": gauge},
            {"series": f"ip_interface_transitions_total{{{fell}}}", "values": counter},
            {
                "series": f"ip_interface_unobserved_transitions_total{{{fell}}}",
                "values": counter.replace("3", "0", 1),
            },
        ]
    none = [
        {
            "expr": f"round(sum({expression})) or vector(0)",  # `increase` extrapolates
            "eval_time": f"{step}s",
            "exp_samples": [{"labels": "{}", "value": expected}],
        }
        for step in range(20 * SCRAPE + 7, 58 * SCRAPE, STEP)
    ]
    victoria = package == "victoria-metrics"
    kind = "metricsql_expr_test" if victoria else "promql_expr_test"
    rules = {"groups": [{"name": "none", "rules": [{"record": "none", "expr": "1"}]}]}
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(rules))  # vmalert-tool wants one
    tests = [{"interval": f"{SCRAPE}s", "input_series": series, kind: none}]
    document = {"rule_files": ["rules.yml"], "tests": tests}
    (tmp_path / "test.yml").write_text(yaml.safe_dump(document))
    if victoria:
        command = [needed(package, "vmalert-tool"), "unittest", "--files=test.yml"]
    else:
        command = [needed(package, "promtool"), "test", "rules", "test.yml"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
