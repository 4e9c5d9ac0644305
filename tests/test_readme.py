"""README.md says what is so."""

import re

import metric_table
from support import promql

TEXT = metric_table.README.read_text(encoding="utf-8")
HELP = (metric_table.PROJECT / "tests/settings/data/help.txt").read_text(encoding="utf-8")


def test_the_metric_tables_are_the_catalogue() -> None:
    """Each metric of the catalogue stands in README.md, with its type, labels and meaning."""
    assert metric_table.updated(TEXT) == TEXT, "run: python tests/metric_table.py --update"


def test_every_query_asks_for_declared_metrics() -> None:
    """The queries of README.md are PromQL and name only metrics and labels that there are."""
    queries = re.findall(r"^\| .*\? \| `(.*)` \|$", TEXT, re.MULTILINE)
    assert len(queries) >= 5
    metrics = promql.declared()
    for query in queries:
        for selector in promql.selectors(query):
            labels = promql.matchers(selector.at).keys()
            assert labels <= metrics[selector.at.name], query


def test_every_file_that_is_linked_exists() -> None:
    """A relative link of README.md leads to a file of the project."""
    targets = re.findall(r'(?:\]\(|src="|srcset=")([^)"#]+)', TEXT)
    local = [target for target in targets if "://" not in target]
    assert local
    missing = [target for target in local if not (metric_table.PROJECT / target).exists()]
    assert not missing


def test_every_flag_that_is_named_exists() -> None:
    """A flag that README.md names is one of --help."""
    known = set(re.findall(r"--[a-z][a-z0-9.-]+", HELP))
    named = set(re.findall(r"--[a-z]+\.[a-z0-9.-]+[a-z0-9]", TEXT))
    assert named
    assert named <= known
