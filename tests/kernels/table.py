"""The table of what each test came to on each kernel."""

import re
import xml.etree.ElementTree as ET
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from kernels.guest import Outcome

_PASSED, _SKIPPED = "passed", "skipped"
#: What a test can come to, in the order of a summary.
_RESULTS = (_PASSED, "failed", "error", _SKIPPED)
#: Exit codes of pytest when it has run all tests.
_ENDED = {0, 1}


class Test(NamedTuple):
    """What a test came to in one guest."""

    module: str
    name: str
    #: Of `_RESULTS`.
    result: str
    #: Why it did not pass.
    reason: str


def tests_of(report: bytes) -> list[Test]:
    """All tests of a JUnit report, in order."""
    tests: dict[tuple[str, str], Test] = {}
    for case in ET.fromstring(report).iter("testcase") if report else ():
        module = case.get("classname", "").removeprefix("tests.").replace(".", "/")
        name = case.get("name", "").removeprefix("test_")
        result, reason = _PASSED, ""
        for kind in ("skipped", "error", "failure"):
            if (problem := case.find(kind)) is not None:
                result = "failed" if kind == "failure" else kind
                reason = problem.get("message", "").partition("\n")[0]
        if (module, name) not in tests or result != _PASSED:  # its end has an entry of its own
            tests[module, name] = Test(module, name, result, reason)
    return list(tests.values())


def good(outcome: Outcome) -> bool:
    """Whether all tests that were to run in the guest did, some passed, and none failed."""
    passed = any(test.result == _PASSED for test in tests_of(outcome.report))
    ended = outcome.exit_code == 0 and (not outcome.random or outcome.random[1] == 0)
    return passed and ended


def table(outcomes: Sequence[Outcome]) -> str:
    """Markdown: a row for each module, and for each test that failed or differs."""
    columns = [{(t.module, t.name): t for t in tests_of(outcome.report)} for outcome in outcomes]
    modules: dict[str, dict[str, None]] = defaultdict(dict)
    for column in columns:
        for module, name in column:
            modules[module][name] = None
    rows = [
        ["", *(outcome.kernel for outcome in outcomes)],
        ["Python", *(outcome.python or "did not end" for outcome in outcomes)],
    ]
    if not {outcome.exit_code for outcome in outcomes} <= _ENDED:
        rows.append(["pytest", *map(_end, outcomes)])
    for module, names in sorted(modules.items()):
        found = [
            [column[module, name] for name in names if (module, name) in column]
            for column in columns
        ]
        rows.append([module, *(_summary(tests) for tests in found)])
        for name in names:
            tests = [column.get((module, name)) for column in columns]
            results = [test.result if test else "did not run" for test in tests]
            if len(set(results)) > 1 or not {_PASSED, _SKIPPED}.issuperset(results):
                rows.append([f"- {name}", *results])
    if any(outcome.random for outcome in outcomes):
        rows.append(["random operations", *map(_random, outcomes)])
    return "\n".join(filter(None, (_markdown(rows), _reasons(columns, outcomes))))


def _summary(tests: Sequence[Test]) -> str:
    counts = Counter(test.result for test in tests)
    return ", ".join(f"{counts[result]} {result}" for result in _RESULTS if counts[result])


def _end(outcome: Outcome) -> str:
    """Whether pytest came to its end."""
    return "ended" if outcome.exit_code in _ENDED else f"exit code {outcome.exit_code}"


def _random(outcome: Outcome) -> str:
    """The line that sums up what ``tests/random`` printed."""
    output, code = outcome.random or ("", 0)
    sums = [line for line in output.splitlines() if re.match(r"\d+ rounds, ", line)]
    return sums[-1] if sums else f"exit code {code}" if code else ""


def _markdown(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        f"| {' | '.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))} |\n"
        for row in rows
    ]
    lines.insert(1, f"|{'|'.join('-' * (width + 2) for width in widths)}|\n")
    return "".join(lines)


def _reasons(columns: Sequence[dict[tuple[str, str], Test]], outcomes: Sequence[Outcome]) -> str:
    """Why tests were skipped or failed: each reason once, with the kernels it was met on."""
    kernels: dict[str, dict[str, None]] = defaultdict(dict)
    for column, outcome in zip(columns, outcomes, strict=True):
        for test in column.values():
            if test.result != _PASSED:
                what = f"{test.name}: " if test.result != _SKIPPED else ""
                kernels[f"{test.result}: {what}{test.reason}"][outcome.kernel] = None
    return "".join(f"{reason} ({', '.join(where)})\n" for reason, where in sorted(kernels.items()))
