"""Each alert fires and is silent, in each life of a host and at each scrape interval."""

import json
import subprocess
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from incidents import CASES, HEALTHY, KNOWN, START, Incident, Value
from rulebook import ALERTS, RULE_FILES, at_their_intervals, groups
from support.prometheus import needed

#: Minutes of a test before a host is known, if it is first seen in the middle; after the incident
#: has begun; and what the counters stand at in the middle.
UNKNOWN, AFTER, COUNTED = 37, 90, 1000

#: The series of a host that one series becomes in a life: more labels, and a value.
Life = Callable[[str, Value, Incident, int], Iterator[tuple[dict[str, str], Value]]]


def is_counter(series: str) -> bool:
    """Whether a restart sets it to 0."""
    return series.partition("{")[0].endswith(("_total", "_count"))


def in_the_middle(
    series: str, value: Value, _: Incident, known: int
) -> Iterator[tuple[dict[str, str], Value]]:
    """The server knows nothing of the host at first, whose counters stand high already."""

    def seen(minute: float) -> float | None:
        now = value(minute) if minute >= -known else None
        return now if now is None else now + COUNTED * is_counter(series)

    yield {}, seen


def rolled_out(
    series: str, value: Value, incident: Incident, known: int
) -> Iterator[tuple[dict[str, str], Value]]:
    """The agent is replaced: another pod, another start, counters at 0."""
    ends = incident.roll_out
    first = 60 * (known + ends) if series == START else 0
    counted = (value(ends) or 0) if is_counter(series) else 0

    def second(minute: float) -> float | None:
        now = value(minute) if minute > ends else None
        return now if now is None else now + first - counted

    yield {"pod": "a", "container": "exporter"}, lambda m: value(m) if m < ends else None
    yield {"pod": "b", "container": "exporter"}, second


class Server:
    """A test of promtool: incidents at the same time, each on hosts of a cluster of its own."""

    def __init__(self, name: str, known: int, life: Life, interval: int) -> None:
        self.name, self.known, self.life, self.interval = name, known, life, interval
        self.begins = UNKNOWN + known
        self.series: list[dict[str, str]] = []
        self.questions: list[dict[str, Any]] = []

    def add(self, cluster: str, incident: Incident) -> None:
        """Let this happen."""
        for host in range(incident.hosts):
            target = {"cluster": cluster, "job": "ip-interfaces", "instance": f"h{host}:10190"}
            for selector, value in (HEALTHY | incident.series).items():
                metric, _, rest = selector.partition("{")
                for labels, lived in self.life(selector, value, incident, self.known):
                    pairs = [f"{key}={json.dumps(text)}" for key, text in (target | labels).items()]
                    series = f"{metric}{{{', '.join([*pairs, rest])}"
                    self.series.append({"series": series, "values": self.samples(lived)})

    def samples(self, value: Value) -> str:
        """The samples of a value as promtool's tests write them."""
        times = range(-60 * self.begins, 60 * AFTER + 1, self.interval)
        left = [value(at / 60) for at in times]
        words: list[str] = []
        while left:
            first, *others = left
            number = 1
            if first is None:
                words.append("stale" if words and words[-1] not in ("stale", "_") else "_")
            else:
                step = (others[0] - first) if others and others[0] is not None else 0
                while number < len(left) and left[number] == first + step * number:
                    number += 1
                words.append(f"{first:.12g}{step:+.12g}x{number - 1}")
            del left[:number]
        return " ".join(words)

    def ask(self, matchers: str, first: int, last: int, *, fires: bool) -> None:
        """Require of an alert to fire, or not to, between these minutes after the beginning."""
        firing = f'ALERTS{{alertstate="firing", {matchers}}}'
        self.questions.append(
            {
                "expr": f"group(last_over_time({firing}[{last - first}m]))",
                "eval_time": f"{self.begins + last}m",
                "exp_samples": [{"labels": "{}", "value": 1}] if fires else [],
            }
        )

    def document(self) -> dict[str, Any]:
        """What promtool reads."""
        return {
            "name": self.name,
            "interval": f"{self.interval}s",
            "input_series": self.series,
            "promql_expr_test": self.questions,
        }


def servers(life: Life, interval: int) -> list[Server]:
    """A server for each incident of a server; else one for all whose hosts are known as long."""
    made: dict[tuple[str, int], Server] = {}

    def of(name: str, known: int) -> Server:
        return made.setdefault((name, known), Server(name, known, life, interval))

    usual = of("hosts", KNOWN)
    usual.add("healthy", Incident({}))
    usual.ask('cluster="healthy"', -usual.begins, AFTER, fires=False)
    for alert, case in CASES.items():
        for fires, incident in ((True, case.fires), (False, case.silent)):
            name = f"{alert} {'fires' if fires else 'is silent'}"
            server = of(name if case.of_server else "hosts", case.known)
            server.add(name, incident)
            matchers = f'alertname="{alert}"'
            if not case.of_server:
                matchers += f', cluster="{name}"'
            server.ask(matchers, 2 - case.known, -1, fires=False)  # before, there is no target
            server.ask(matchers, -1, incident.within if fires else AFTER, fires=fires)
    return list(made.values())


def test_every_alert_is_in_the_matrix() -> None:
    """None is left out."""
    assert sorted(CASES) == sorted(rule.name for rule in ALERTS)


def matrix(life: Life, interval: int, rules: Iterable[Path]) -> str:
    """The tests for promtool."""
    tests = {
        "rule_files": list(map(str, rules)),
        "evaluation_interval": "1m",
        "group_eval_order": groups(),
        "tests": [server.document() for server in servers(life, interval)],
    }
    return json.dumps(tests)


@pytest.mark.parametrize("interval", [15, 60])
@pytest.mark.parametrize("life", [in_the_middle, rolled_out], ids=lambda life: life.__name__)
def test_each_alert_fires_and_is_silent(life: Life, interval: int, tmp_path: Path) -> None:
    """Its incident fires it in time, what is nearly one does not; a healthy host fires none.

    With each group at its own interval, to which neither an incident nor a host keeps time.
    """
    rules = {tmp_path / file.name: at_their_intervals(file) for file in RULE_FILES}
    for copy, document in rules.items():
        copy.write_text(json.dumps(document))
    file = tmp_path / "matrix.test.yml"
    file.write_text(matrix(life, interval, rules))
    command = [needed("promtool-3", "promtool"), "test", "rules", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_roll_out_is_none_to_vmalert(tmp_path: Path) -> None:
    """VictoriaMetrics, to whose functions a new series is another thing, has the same answers."""
    file = tmp_path / "matrix.test.yml"
    text = matrix(rolled_out, 60, RULE_FILES)
    file.write_text(text.replace("promql_expr_test", "metricsql_expr_test"))
    tool = needed("victoria-metrics", "vmalert-tool")
    command = [tool, "unittest", "--disableAlertgroupLabel", f"--files={file}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
