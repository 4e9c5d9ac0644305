"""The rules: well-formed, about metrics that there are, tested by promtool, and documented."""

import re
import subprocess
from collections import defaultdict
from functools import cache
from pathlib import Path

import pytest
import yaml
from rulebook import (
    ALERTS,
    CONFIG,
    RECORDED,
    RULE_FILES,
    RULE_TESTS,
    RULES,
    RUNBOOKS,
    Rule,
    code_blocks,
    groups,
    queries,
)
from support.prometheus import needed
from support.promql import declared, grouping_labels, matchers, selectors

RUNBOOK_URL = (
    "https://github.com/ip-interface-exporter/ip-interface-exporter/blob/main/config/runbooks/"
)
every_alert = pytest.mark.parametrize("rule", ALERTS, ids=repr)
every_recorded = pytest.mark.parametrize(
    "rule", [rule for rule in RECORDED if rule.file.stem == "recording"], ids=repr
)
every_rule = pytest.mark.parametrize("rule", RULES, ids=repr)
every_promtool = pytest.mark.parametrize("package", ["prometheus-2", "promtool-3"])

#: What Prometheus adds to every sample, and what many have besides.
TARGET = {"job", "instance", "cluster"}
#: What a roll-out in Kubernetes changes.
VOLATILE = {"container", "pod"}
#: The recorded constants, and the label that names one.
THRESHOLD = "ip_interface:threshold"


#: What others declare: Prometheus, every exporter, node_exporter.
OTHERS: dict[str, set[str]] = {
    THRESHOLD: {"threshold"},
    "up": set(),
    "ALERTS": {"alertname", "alertstate", "device"},
    "process_start_time_seconds": set(),
    "node_network_receive_bytes_total": {"device"},
    "node_network_receive_errs_total": {"device"},
    "node_network_speed_bytes": {"device"},
}


def known() -> dict[str, set[str]]:
    """The labels of every series that a rule or a runbook may name, without the target's."""
    recorded = {rule.name: rule.name.partition(":")[0] for rule in RECORDED}
    # A level is the labels that are left, joined by underscores: no label of ours has one.
    levels = {name: set(level.split("_")) - TARGET for name, level in recorded.items()}
    return declared() | levels | OTHERS


KNOWN = known()
# A host is what ManyHostsDisconnected makes of an instance.
EVERY_LABEL = TARGET.union(VOLATILE, {"host"}, *KNOWN.values())


def check(expression: str) -> None:
    """Fails for PromQL that is none, or names metrics or labels that nothing has."""
    for node in selectors(expression):
        metric = node.at.name
        assert metric in KNOWN, f"nothing is called {metric}"
        wrong = matchers(node.at).keys() - KNOWN[metric] - TARGET
        assert not wrong, f"{metric} has no such label: {wrong}"
    wrong = grouping_labels(expression) - EVERY_LABEL
    assert not wrong, f"no series has such a label: {wrong}"


@every_rule
def test_names_only_what_is_declared(rule: Rule) -> None:
    """An expression parses, and its metrics and labels are the catalog's or recorded here."""
    check(rule.body["expr"])


@pytest.mark.parametrize("runbook", RUNBOOKS, ids=lambda path: path.stem)
def test_a_runbook_asks_what_can_be_answered(runbook: Path) -> None:
    """There are queries in every runbook, and each parses and names what is declared."""
    asked = queries(runbook)
    assert asked
    for query in asked:
        check(query)


def test_the_readme_asks_what_can_be_answered() -> None:
    """Its queries parse, and name what is declared."""
    asked = queries(RULE_FILES[0].parent / "README.md")
    assert asked
    for query in asked:
        check(query)


def test_each_alert_has_its_runbook_and_each_runbook_its_alert() -> None:
    """The folder and the rules name the same alerts."""
    assert [path.stem for path in RUNBOOKS] == sorted(rule.name for rule in ALERTS)


@pytest.mark.parametrize("runbook", RUNBOOKS, ids=lambda path: path.stem)
def test_a_runbook_says_all_that_is_asked_at_night(runbook: Path) -> None:
    """Every runbook has the same headings, in the same order."""
    headings = re.findall(r"^##? (.+)$", runbook.read_text(), re.M)
    sections = ["Meaning", "Impact", "Diagnosis", "Mitigation", "False positives"]
    assert headings == [runbook.stem, *sections]


@every_alert
def test_annotations(rule: Rule) -> None:
    """A fixed summary, a description about the case, the runbook; a severity, a category."""
    assert rule.name.startswith("IpInterface")
    annotations, labels = rule.body["annotations"], rule.body["labels"]
    assert annotations.keys() == {"summary", "description", "runbook_url"}
    assert "{{" not in annotations["summary"]
    assert annotations["summary"].endswith(".")
    assert "\n" not in annotations["summary"]
    assert "{{ $labels." in annotations["description"]
    assert annotations["description"].endswith(".")
    assert annotations["runbook_url"] == f"{RUNBOOK_URL}{rule.name}.md"
    assert labels.keys() == {"severity", "category"}
    assert labels["severity"] in {"critical", "warning", "info"}
    assert labels["category"] in {"fault", "change", "agent"}


def test_names_are_unique() -> None:
    """No two rules have one name: runbooks, tests and silences go by it."""
    names = [rule.name for rule in RULES if rule.name != THRESHOLD]
    assert len(set(names)) == len(names)


def test_every_threshold_is_defined_used_and_missed() -> None:
    """The constants are those the rules compare with, and IpInterfaceThresholdMissing knows."""
    named = re.compile(rf'{THRESHOLD}{{threshold="(\w+)"}}')
    missed, used = set(), set()
    for rule in RULES:
        found = set(named.findall(rule.body["expr"]))
        if rule.name == "IpInterfaceThresholdMissing":
            missed = found
        else:
            used |= found
    constants = [rule for rule in RULES if rule.name == THRESHOLD]
    defined = [rule.body["labels"]["threshold"] for rule in constants]
    assert sorted(defined) == sorted(used) == sorted(missed)
    assert {rule.file.stem for rule in constants} == {"thresholds"}, "the file that users keep"
    assert not [rule for rule in RULES if rule.file.stem == "thresholds" and rule not in constants]


def test_every_group_has_its_interval() -> None:
    """What a rule costs must not depend on the interval of the server that loads it."""
    for file in RULE_FILES:
        for group in yaml.safe_load(file.read_text())["groups"]:
            assert "interval" in group, group["name"]


@every_recorded
def test_no_recorded_series_ends_with_a_roll_out(rule: Rule) -> None:
    """A label that a restart changes is on none: the past is found again under the same labels."""
    aggregations = re.findall(
        r"without \(([^)]*)\) \(\s*(?:last_over_time|rate|ip_)", rule.body["expr"]
    )
    for labels in aggregations:
        assert set(labels.split(", ")) >= VOLATILE


@every_recorded
def test_recorded_names(rule: Rule) -> None:
    """level:metric:operation, and the metric in the middle is the one that is read."""
    match = re.fullmatch(r"instance(_[a-z]+)*:(ip_interface_[a-z_]+):[a-z0-9_]+", rule.name)
    assert match, rule.name
    assert "by (" not in rule.body["expr"], "without keeps the labels that users add"


@cache
def verdicts() -> dict[str, set[tuple[bool, str]]]:
    """(whether it fires, name of the case) of each alert, as promtool's tests have it."""
    found = defaultdict(set)
    for file in RULE_TESTS:
        for test in yaml.safe_load(file.read_text())["tests"]:
            for case in test["alert_rule_test"]:
                found[case["alertname"]].add((bool(case.get("exp_alerts")), test["name"]))
    return found


@every_alert
def test_each_alert_is_seen_to_fire_and_to_be_silent(rule: Rule) -> None:
    """There is a tested case where it fires, and one where something else is the matter."""
    fires = {name for fired, name in verdicts()[rule.name] if fired}
    silent = {name for fired, name in verdicts()[rule.name] if not fired}
    assert fires
    assert silent - fires, "only ever silent before and after it fires"


@every_promtool
def test_promtool_has_nothing_to_say(package: str) -> None:
    """Old and new promtool find the rules right, with every lint there is."""
    promtool = needed(package, "promtool")
    command = [promtool, "check", "rules", "--lint=all", "--lint-fatal", *map(str, RULE_FILES)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""


@pytest.mark.parametrize("file", RULE_TESTS, ids=lambda path: path.name)
@every_promtool
def test_the_rules_pass_their_tests(package: str, file: Path) -> None:
    """Old and new Prometheus alert when they should, minute by minute, and not otherwise."""
    promtool = needed(package, "promtool")
    command = [promtool, "test", "rules", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("SUCCESS") == 1


def test_vmalert_reads_the_rules() -> None:
    """VictoriaMetrics' evaluator of rules accepts every file, expressions and templates too."""
    vmalert = needed("victoria-metrics", "vmalert")
    command = [vmalert, "-dryRun", *(f"-rule={file}" for file in RULE_FILES)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


#: In these a day has few evaluations. What vmalert records is seen an evaluation later.
OF_DAYS = {"week.test.yml", "weekend.test.yml"}


@pytest.mark.parametrize(
    "file", [file for file in RULE_TESTS if file.name not in OF_DAYS], ids=lambda path: path.name
)
def test_the_rules_pass_their_tests_in_vmalert(file: Path, tmp_path: Path) -> None:
    """Evaluated by vmalert over VictoriaMetrics, they alert in the same cases."""
    tool = needed("victoria-metrics", "vmalert-tool")
    text = file.read_text().replace("promql_expr_test:", "metricsql_expr_test:")
    copy = tmp_path / file.name
    copy.write_text(text.replace("../../..", str(CONFIG.parent)))
    command = [tool, "unittest", "--disableAlertgroupLabel", f"--files={copy}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_tests_evaluate_what_is_recorded_first() -> None:
    """Each file names its groups in their order; one turns it round, on purpose."""
    for file in RULE_TESTS:
        document = yaml.safe_load(file.read_text())
        loaded = {(file.parent / name).resolve() for name in document["rule_files"]}
        names = [
            group["name"]
            for path in RULE_FILES
            if path in loaded
            for group in yaml.safe_load(path.read_text())["groups"]
        ]
        order = [name for name in groups() if name in names]
        if file.name == "late.test.yml":
            order.reverse()
        assert document.get("group_eval_order", order) == order, file.name


def test_the_readme_is_complete() -> None:
    """It lists every rule file, and every alert with its severity and category."""
    readme = RULE_FILES[0].parent / "README.md"
    named = yaml.safe_load(code_blocks(readme, "yaml")[0])["rule_files"]
    assert sorted(named) == [file.name for file in RULE_FILES]
    row = re.compile(r"^\| \[(\w+)\]\(\.\./runbooks/\1\.md\) \| (\w+) \| (\w+) \|", re.M)
    listed = row.findall(readme.read_text())
    labels = [(r.name, r.body["labels"]["severity"], r.body["labels"]["category"]) for r in ALERTS]
    assert sorted(listed) == sorted(labels)
    constants = [rule.body["labels"]["threshold"] for rule in RULES if rule.name == THRESHOLD]
    assert [name for name in constants if f"`{name}`" not in readme.read_text()] == []
