"""The declared lower bounds work: every requirement at the oldest release that it admits.

``python tests/fresh/lower_bounds.py`` installs them in a new environment, builds the project
with the oldest build backend, checks style and layers as .ci/run does, and runs the tests that
need no root. Arguments go to pytest.
"""

import os
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

TESTS = Path(__file__).parents[1]
PROJECT = TESTS.parent
sys.path[:0] = [str(TESTS), str(PROJECT)]  # as pytest has them

from support.processes import unwind_when_interrupted  # noqa: E402 - the path first

#: The tools of `dev`, as .ci/run calls them. Not mypy: old libraries have no annotations.
CHECKS = ("ruff check .", "ruff format --check .", "lint-imports")

#: Root without these capabilities can make no network namespace.
WITHOUT_CAPABILITIES = ("setpriv", "--bounding-set=-net_admin,-sys_admin", "--inh-caps=-all")


def lowest() -> list[str]:
    """Return every requirement, also of tests, documentation and development, as a version."""
    document = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    project = document["project"]
    declared = document["build-system"]["requires"] + project["dependencies"]
    for requirements in project["optional-dependencies"].values():
        declared += [other for other in requirements if not other.startswith(project["name"])]
    unbounded = [requirement for requirement in declared if "=" not in requirement.split(";")[0]]
    assert not unbounded, f"without a lower bound: {unbounded}"
    return [requirement.replace(">=", "==", 1) for requirement in declared]


def main(arguments: list[str]) -> int:
    """Install, list and test. Returns pytest's exit code."""
    unwind_when_interrupted()
    with tempfile.TemporaryDirectory(prefix="lower-bounds-") as folder:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        python = f"{folder}/bin/python"
        install = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        subprocess.run([*install, *lowest()], check=True)
        itself = ["--no-build-isolation", "--no-deps", str(PROJECT)]
        subprocess.run([*install, *itself], check=True)
        subprocess.run([*install[:3], "freeze"], check=True)
        for check in CHECKS:
            subprocess.run(f"{folder}/bin/{check}".split(), cwd=PROJECT, check=True)
        prefix = WITHOUT_CAPABILITIES if os.geteuid() == 0 else ()
        command = [*prefix, python, "-m", "pytest", "-p", "no:cacheprovider", *arguments]
        without_ci = {name: value for name, value in os.environ.items() if name != "CI"}
        return subprocess.run(command, cwd=PROJECT, env=without_ci, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
