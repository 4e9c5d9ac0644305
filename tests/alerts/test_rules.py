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
    RECORDED,
    RULE_FILES,
    RULE_TESTS,
    RULES,
    RUNBOOKS,
    Rule,
    code_blocks,
    queries,
)
from support.prometheus import needed
from support.promql import declared, grouping_labels, matchers, selectors

RUNBOOK_URL = (
    "https://github.com/ip-interface-exporter/ip-interface-exporter/blob/main/config/runbooks/"
)
every_alert = pytest.mark.parametrize("rule", ALERTS, ids=repr)
every_rule = pytest.mark.parametrize("rule", RULES, ids=repr)
every_promtool = pytest.mark.parametrize("package", ["prometheus-2", "promtool-3"])

#: What Prometheus adds to every sample.
TARGET = {"job", "instance"}


def known() -> dict[str, set[str]]:
    """The labels of every series that a rule or a runbook may name, without the target's."""
    recorded = {rule.name: rule.name.partition(":")[0] for rule in RECORDED}
    # A level is the labels that are left, joined by underscores: no label of ours has one.
    levels = {name: set(level.split("_")) - TARGET for name, level in recorded.items()}
    return declared() | levels | {"up": set()}


KNOWN = known()
EVERY_LABEL = TARGET.union(*KNOWN.values())


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
    """An expression parses, and its metrics and labels are the catalogue's or recorded here."""
    check(rule.body["expr"])


@pytest.mark.parametrize("runbook", RUNBOOKS, ids=lambda path: path.stem)
def test_a_runbook_asks_what_can_be_answered(runbook: Path) -> None:
    """There are queries in every runbook, and each parses and names what is declared."""
    asked = queries(runbook)
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
    said, labels = rule.body["annotations"], rule.body["labels"]
    assert said.keys() == {"summary", "description", "runbook_url"}
    assert "{{" not in said["summary"]
    assert said["summary"].endswith(".")
    assert "\n" not in said["summary"]
    assert "{{ $labels." in said["description"]
    assert said["description"].endswith(".")
    assert said["runbook_url"] == f"{RUNBOOK_URL}{rule.name}.md"
    assert labels.keys() == {"severity", "category"}
    assert labels["severity"] in {"critical", "warning", "info"}
    assert labels["category"] in {"fault", "change", "agent"}


def test_names_are_unique() -> None:
    """No two rules have one name: runbooks, tests and silences go by it."""
    assert len({rule.name for rule in RULES}) == len(RULES)


@pytest.mark.parametrize("rule", RECORDED, ids=repr)
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


@every_promtool
def test_the_rules_pass_their_tests(package: str) -> None:
    """Old and new Prometheus alert when they should, minute by minute, and not otherwise."""
    promtool = needed(package, "promtool")
    command = [promtool, "test", "rules", *map(str, RULE_TESTS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("SUCCESS") == len(RULE_TESTS)


def test_the_readme_is_complete() -> None:
    """It lists every rule file, and every alert with its severity and category."""
    readme = RULE_FILES[0].parent / "README.md"
    named = yaml.safe_load(code_blocks(readme, "yaml")[0])["rule_files"]
    assert sorted(named) == [file.name for file in RULE_FILES]
    row = re.compile(r"^\| \[(\w+)\]\(\.\./runbooks/\1\.md\) \| (\w+) \| (\w+) \|", re.M)
    listed = row.findall(readme.read_text())
    labels = [(r.name, r.body["labels"]["severity"], r.body["labels"]["category"]) for r in ALERTS]
    assert sorted(listed) == sorted(labels)
