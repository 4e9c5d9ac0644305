"""README.md says what is so."""

import re
import subprocess
import sys
import threading
from importlib import import_module
from importlib.util import find_spec
from inspect import isclass, isfunction
from pathlib import Path

import metric_table
import pytest
from requirements_here import require
from support import promql
from support.waiting import DEADLINE

TEXT = metric_table.README.read_text(encoding="utf-8")
HELP = (metric_table.PROJECT / "tests/settings/data/help.txt").read_text(encoding="utf-8")


def test_the_metric_tables_are_the_catalog() -> None:
    """Each metric of the catalog stands in README.md, with its type, labels and meaning."""
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


PROGRAMS = re.findall(r"^```python\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize(
    ("number", "output"),
    # The prompt can come between the words of the callback's line.
    [(0, 'ip_interface_connected{device="lo"'), (1, "initial")],
    ids=["watch", "notify"],
)
def test_the_python_programs_run(number: int, output: str) -> None:
    """Each program of README.md runs as it stands, and prints what it is about before Enter."""
    require(sys.platform == "linux", "Linux")
    with subprocess.Popen(
        [sys.executable, "-u", "-c", PROGRAMS[number]],
        cwd=metric_table.PROJECT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as program:
        assert program.stdout is not None
        hung = threading.Timer(DEADLINE, program.kill)
        hung.start()
        assert any(output in line for line in program.stdout)
        _, errors = program.communicate("\n")
        hung.cancel()
    assert (program.returncode, errors) == (0, "")
    assert len(PROGRAMS) == 2


def test_the_documentation_of_the_python_api_is_made_from_its_docstrings(tmp_path: Path) -> None:
    """The command of README.md documents each public name, and each name has a docstring."""
    require(find_spec("pdoc") is not None, "pdoc: pip install -e '.[dev]'")
    (modules,) = re.findall(r"&& pdoc (.*)`", TEXT)
    command = [sys.executable, "-m", "pdoc", "-o", str(tmp_path), *modules.split()]
    subprocess.run(command, cwd=metric_table.PROJECT, check=True, capture_output=True)
    for name in ("exporter", "exporter.notify"):
        page = tmp_path.joinpath(*name.split(".")).with_suffix(".html").read_text()
        module = import_module(name)
        for public in module.__all__:
            assert f'id="{public}"' in page
            member = getattr(module, public)
            assert member.__doc__ or not (isclass(member) or isfunction(member)), public


def test_every_flag_that_is_named_exists() -> None:
    """A flag that README.md names is one of --help."""
    known = set(re.findall(r"--[a-z][a-z0-9.-]+", HELP))
    named = set(re.findall(r"--[a-z]+\.[a-z0-9.-]+[a-z0-9]", TEXT))
    assert named
    assert named <= known
