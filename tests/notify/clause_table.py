"""The table in tests/README.md: which test proves which clause with which backend.

``python tests/notify/clause_table.py`` prints it, with ``--update`` it is written.
"""

from __future__ import annotations

import importlib
import itertools
import sys
from collections import defaultdict
from pathlib import Path

TESTS = Path(__file__).parents[1]
if __name__ == "__main__":
    sys.path[:0] = [str(TESTS), str(TESTS.parent)]

from clauses import BACKENDS, CLAUSES, LIVE, NOT_APPLICABLE  # noqa: E402

README = TESTS / "README.md"
BEGIN, END = "<!-- clauses: begin -->\n", "<!-- clauses: end -->\n"


def proofs() -> dict[tuple[str, str], list[str]]:
    """The tests that prove a clause with a backend, by their marks."""
    found = defaultdict(list)
    for file in sorted(Path(__file__).parent.glob("test_*.py")):
        module = importlib.import_module(file.stem)
        for name, test in vars(module).items():
            marks = {mark.name: mark.args for mark in getattr(test, "pytestmark", [])}
            if name.startswith("test_") and test.__module__ == module.__name__:
                for clause in marks.get("clause", ()):
                    for backend in marks.get("backends", LIVE):
                        found[clause, backend].append(name)
    return found


def cell(tests: list[str], reason: str | None) -> str:
    """What a clause is with a backend: proven, or not applicable; nothing else."""
    if tests:
        return "<br>".join(f"`{name.removeprefix('test_')}`" for name in tests)
    if reason is None:
        raise SystemExit("a clause is neither proven nor said not to apply")
    return f"not applicable: {reason}"


def table() -> str:
    """The table as Markdown; a cell that equals the one before it says so instead."""
    found = proofs()
    head = ["", "clause", *BACKENDS.values()]
    lines = [" | ".join(["", *head, ""]).strip(), "|" + "---|" * len(head)]
    for clause, text in CLAUSES.items():
        cells = [
            cell(found[clause, backend], NOT_APPLICABLE.get((clause, backend)))
            for backend in BACKENDS
        ]
        cells[1:] = ["← the same" if b == a else b for a, b in itertools.pairwise(cells)]
        lines.append(f"| {clause} | {text} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def written() -> tuple[str, str, str]:
    """README.md before the table, the table in it, and what comes after."""
    before, _, rest = README.read_text("utf-8").partition(BEGIN)
    inside, _, after = rest.partition(END)
    return before + BEGIN, inside, END + after


if __name__ == "__main__":
    if "--update" in sys.argv:
        before, _, after = written()
        README.write_text(before + table() + after, "utf-8")
    else:
        print(table(), end="")
