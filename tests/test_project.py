"""What .github and the other files for contributors say is so."""

import ast
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.agent import PROJECT

from exporter.settings.schema import OPTIONS

GITHUB = PROJECT / ".github"
DOCUMENTS = sorted(GITHUB.glob("*.md"))
EXPORTER = PROJECT / "exporter"
PACKAGES = sorted(path.parent for path in EXPORTER.rglob("__init__.py"))
#: The modules below all packages say what they are by their names.
GROUND = {"clock", "errors", "logs", "model", "version"}


def document(path: Path) -> Any:
    """The content of a YAML file."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("file", DOCUMENTS, ids=lambda path: path.name)
def test_every_file_that_is_named_exists(file: Path) -> None:
    """Paths in code and in links lead to files of the project."""
    text = file.read_text(encoding="utf-8")
    words = " ".join(re.findall(r"`([^`\n]+)`", text)).split()
    folders = {path.name for path in PROJECT.iterdir() if path.is_dir()} - {".venv"}
    named = [word for word in words if word.partition("/")[0] in folders and "/" in word]
    assert file.name != "CONTRIBUTING.md" or len(named) > 20
    missing = [word for word in named if "NAME" not in word and not (PROJECT / word).exists()]
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)]+)\)", text)]
    missing += [link for link in links if "://" not in link and not (GITHUB / link).exists()]
    assert not missing


@pytest.mark.parametrize("file", DOCUMENTS, ids=lambda path: path.name)
def test_every_flag_that_is_named_exists(file: Path) -> None:
    """A flag of the exporter is one of --help."""
    named = set(re.findall(r"--([a-z]+\.[a-z-]+)", file.read_text(encoding="utf-8")))
    assert named <= set(OPTIONS)


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_the_caption_of_a_package_names_its_modules(package: Path) -> None:
    """Who reads the start of a package learns of each module, under the name that it has."""
    caption = ast.get_docstring(ast.parse((package / "__init__.py").read_text(encoding="utf-8")))
    assert caption
    words = set(re.findall(r"\b[a-z_]+\b", caption))
    modules = {path.stem for path in package.glob("*.py")} - {"__init__", "__main__"}
    packages = {path.parent.name for path in package.glob("*/__init__.py")}
    assert (modules | packages) - words - GROUND == set()
    known = {path.stem for path in EXPORTER.rglob("*.py")} | {path.name for path in PACKAGES}
    named = {name for word in re.findall(r"`([a-z_.]+)`", caption) for name in word.split(".")}
    assert named - known - {"exporter", "watch"} == set()


def test_no_two_test_modules_have_the_same_name() -> None:
    """The folders of the tests are no packages: pytest could import only one of the two."""
    names = Counter(path.name for path in (PROJECT / "tests").rglob("test_*.py"))
    assert [name for name, count in names.items() if count > 1] == []


def test_the_workflow_runs_what_is_run_here() -> None:
    """The checks of a pull request are those of .ci/run, in the release that it is for."""
    (job,) = document(GITHUB / "workflows" / "ci.yml")["jobs"].values()
    assert job["container"]["image"] == "debian:12"
    assert job["steps"][-1]["run"] == "bash .ci/run"


def test_a_commit_is_checked_as_ci_checks_it() -> None:
    """Every hook of pre-commit is a command of .ci/run."""
    lines = (PROJECT / ".ci" / "run").read_text().splitlines()
    (repository,) = document(PROJECT / ".pre-commit-config.yaml")["repos"]
    entries = [hook["entry"] for hook in repository["hooks"]]
    assert len(entries) == 5
    for entry in entries:
        assert any(line.startswith(entry) for line in lines), entry


def test_the_issue_form_asks_for_what_a_bug_needs() -> None:
    """A report has to come with the version, the exporter's own metrics and a recording."""
    form = document(GITHUB / "ISSUE_TEMPLATE" / "bug.yml")
    fields = {field["id"]: field for field in form["body"]}
    asked = {
        "version": "ip-interface-exporter --version",
        "metrics": "/metrics | grep ^ip_interface_exporter_",
        "recording": "ip-interface-exporter record ",
    }
    for name, command in asked.items():
        assert fields[name]["validations"]["required"]
        assert command in fields[name]["attributes"]["description"]


def test_the_changelog_keeps_its_form() -> None:
    """Releases and their kinds of changes are those of Keep a Changelog 1.1."""
    text = (PROJECT / "CHANGELOG.md").read_text(encoding="utf-8")
    releases = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert releases[0] == "[Unreleased]"
    dated = r"\[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d"
    assert all(re.fullmatch(dated, release) for release in releases[1:])
    kinds = set(re.findall(r"^### (.*)$", text, re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert not re.search(r"^- ", text.partition("### ")[0], re.MULTILINE), "an entry has a kind"
