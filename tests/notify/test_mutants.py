"""The mutants of `python tests/notify/mutations` fit the code of today."""

import sys
from pathlib import Path

from clauses import CLAUSES

sys.path.append(str(Path(__file__).with_name("mutations")))

from mutants import BEYOND, MUTANTS

PROJECT = Path(__file__).parents[2]


def test_every_mutant_is_code_of_today_with_a_change() -> None:
    """The text that a mutant changes is there, once, and what comes of it can be compiled."""
    for mutant in MUTANTS:
        changed = mutant.apply((PROJECT / mutant.file).read_text("utf-8"))
        compile(changed, mutant.file, "exec")


def test_every_clause_has_a_mutant() -> None:
    """Each clause can be broken, or the reason why not is given."""
    assert {mutant.clause for mutant in MUTANTS} | BEYOND.keys() == CLAUSES.keys()
