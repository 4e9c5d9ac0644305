"""The table of clauses says what the tests do."""

from __future__ import annotations

from clause_table import proofs, table, written
from clauses import CLAUSES, NOT_APPLICABLE


def test_table_is_up_to_date() -> None:
    """tests/README.md has the table that the marks of the tests amount to."""
    assert written()[1] == table(), "python tests/notify/clause_table.py --update"


def test_no_excuse_for_what_is_proven() -> None:
    """No clause is said not to apply to a backend that a test proves it with."""
    assert {key for key, tests in proofs().items() if tests} & NOT_APPLICABLE.keys() == set()


def test_all_forty_clauses() -> None:
    """The table has C1 to C40, and our answers where the document is silent."""
    names = list(CLAUSES)
    assert names[:40] == [f"C{number}" for number in range(1, 41)]
    assert names[40:] == [f"S{number}" for number in range(1, len(names) - 39)]
