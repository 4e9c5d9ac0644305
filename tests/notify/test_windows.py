"""The contract on Windows: this directory again, run by a Windows Python under Wine."""

from __future__ import annotations

import re

from clause_table import proofs
from support.windows import windows, windows_is_up  # noqa: F401 - a fixture


def test_the_contract_holds_on_windows() -> None:
    """Every test that proves a clause there passes there, and none is skipped."""
    pytest = ("-m", "pytest", "-q", "-rps", "-p", "no:cacheprovider", "tests/notify")
    code, output = windows(*pytest)
    assert code == 0, output
    passed = re.findall(r"^PASSED .*::(\w+)", output, re.MULTILINE)
    wanted = {
        name for (_, backend), tests in proofs().items() if backend == "dll" for name in tests
    }
    assert wanted <= set(passed), output
    assert "skipped" not in output
    print(output.splitlines()[-1])
