"""Breaks the code for each clause of the contract, and sees a test of that clause fail.

``python tests/notify/mutations`` works on a copy of the project, needs root, gcc and ten
minutes, and prints a table. Clauses may be named. The exit code is 1 when a mutant survives.
"""

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

NOTIFY = Path(__file__).parents[1]
PROJECT = NOTIFY.parents[1]
sys.path[:0] = [str(NOTIFY), str(NOTIFY.parent), str(PROJECT)]

from clause_table import proofs  # noqa: E402 - the path first
from clauses import CLAUSES  # noqa: E402
from mutants import BEYOND, MUTANTS, Mutant  # noqa: E402

#: What a Linux Python runs of the clauses' tests.
BACKENDS = ("rtnetlink", "so", "replay")
#: A mutant that makes a test hang has failed it, too. Seconds.
PATIENCE = 120.0


def main() -> int:
    """Try the mutants of the clauses that are named, or of all."""
    parser = argparse.ArgumentParser(prog="python tests/notify/mutations", description=__doc__)
    parser.add_argument("clause", nargs="*", help="such as C31; default: all")
    wanted = parser.parse_args().clause or list(CLAUSES)
    rows = [(clause, reason, "beyond us") for clause, reason in BEYOND.items() if clause in wanted]
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "project"
        ignored = shutil.ignore_patterns(".git", "__pycache__", ".*_cache", "node_modules")
        shutil.copytree(PROJECT, copy, ignore=ignored)
        if (failed := tried(copy, {name for names in proofs().values() for name in names})) != "":
            print(f"without any mutant, this fails: {failed}")
            return 1
        for mutant in MUTANTS:
            if mutant.clause in wanted:
                rows.append((mutant.clause, mutant.what, caught(copy, mutant)))
                print(" | ".join(rows[-1]), flush=True)
    survived = [row for row in rows if row[2] == ""]
    missing = set(wanted) - {row[0] for row in rows}
    print(table(rows))
    print(f"{len(rows)} rows, {len(survived)} survived, clauses without a mutant: {missing or 0}")
    return 1 if survived or missing else 0


def caught(copy: Path, mutant: Mutant) -> str:
    """The test that fails with a mutant; empty when none does."""
    file = copy / mutant.file
    source = file.read_text("utf-8")
    tests = {
        test
        for (clause, backend), names in proofs().items()
        if clause == mutant.clause and backend in BACKENDS
        for test in names
    }
    file.write_text(mutant.apply(source), "utf-8")
    try:
        return tried(copy, tests)
    finally:
        file.write_text(source, "utf-8")


def tried(copy: Path, tests: Iterable[str]) -> str:
    """Run tests in a copy of the project. Returns the first that fails, empty when all pass."""
    chosen = " or ".join(sorted(tests))
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-x",
        "-q",
        "-p",
        "no:cacheprovider",
        "tests/notify",
        "--deselect",
        "tests/notify/test_windows.py",
        "-k",
        chosen,
    ]
    # A mutant may make a test wait for something that never comes.
    environment = os.environ | {"DEADLINE_FACTOR": "0.1", "CI": "true"}
    with subprocess.Popen(
        command, cwd=copy, env=environment, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as running:  # fmt: skip
        try:
            output, _ = running.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(running.pid, signal.SIGKILL)
            return "(a test hangs)"
    if running.returncode == 0:
        return ""
    failed = re.search(r"^(?:FAILED|ERROR) \S+::(\S+)", output, re.MULTILINE)
    if failed is None:  # no test ran, or the interpreter died
        return f"(exit code {running.returncode}: {output.strip()[-200:]})"
    return failed[1]


def table(rows: list[tuple[str, str, str]]) -> str:
    """The rows, in columns."""
    head = ("clause", "with a mutant that", "fails")
    widths = [max(len(row[n]) for row in [head, *rows]) for n in range(3)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in [head, *((*row[:2], row[2] or "NOTHING: IT SURVIVES") for row in rows)]
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
