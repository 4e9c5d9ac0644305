"""The table of what each test came to on each kernel."""

from kernels.guest import Outcome
from kernels.table import good, table

OLD = b"""<testsuites><testsuite>
<testcase classname="tests.sources.test_links" name="test_alike"/>
<testcase classname="tests.sources.test_links" name="test_kind[bond]"/>
<testcase classname="tests.sources.test_links" name="test_kind[netkit]">
  <skipped message="no links of kind netkit"/></testcase>
<testcase classname="tests.agent.test_agent" name="test_far"><skipped message="no wine"/></testcase>
</testsuite></testsuites>"""
NEW = b"""<testsuites><testsuite>
<testcase classname="tests.sources.test_links" name="test_alike"/>
<testcase classname="tests.sources.test_links" name="test_kind[bond]">
  <failure message="AssertionError: 3 == 1&#10;more"/></testcase>
<testcase classname="tests.sources.test_links" name="test_kind[bond]">
  <error message="left behind"/></testcase>
<testcase classname="tests.sources.test_links" name="test_kind[netkit]"/>
<testcase classname="tests.agent.test_agent" name="test_far"><skipped message="no wine"/></testcase>
</testsuite></testsuites>"""


def test_it_shows_what_differs_and_why() -> None:
    """A row for each module and each test that failed or differs, then each reason once."""
    outcomes = [Outcome("5.10", "3.11.2", OLD, 0), Outcome("7.2", "3.14.0", NEW, 1)]
    assert table(outcomes) == (
        "|                    | 5.10                | 7.2               |\n"
        "|--------------------|---------------------|-------------------|\n"
        "| Python             | 3.11.2              | 3.14.0            |\n"
        "| agent/test_agent   | 1 skipped           | 1 skipped         |\n"
        "| sources/test_links | 2 passed, 1 skipped | 2 passed, 1 error |\n"
        "| - kind[bond]       | passed              | error             |\n"
        "| - kind[netkit]     | skipped             | passed            |\n"
        "\n"
        "error: kind[bond]: left behind (7.2)\n"
        "skipped: no links of kind netkit (5.10)\n"
        "skipped: no wine (5.10, 7.2)\n"
    )
    assert [good(outcome) for outcome in outcomes] == [True, False]


def test_random_operations_have_a_row_and_a_say() -> None:
    """Their last line is shown, and where they failed, or did not end, the guest is not good."""
    print_out = "Linux 5.10\n2 rounds, 9 messages, 0 overruns, {} rounds failed\nagain: seed 7\n"
    outcomes = [
        Outcome("5.10", "3.11.2", OLD, 0, (print_out.format(0), 0)),
        Outcome("6.1", "3.11.2", OLD, 0, (print_out.format(1), 1)),
        Outcome("7.2", "3.14.0", OLD, 0, ("", -1)),
        Outcome("7.3", "3.14.0", OLD, 0),
    ]
    (row,) = [line for line in table(outcomes).splitlines() if "random operations" in line]
    assert [cell.strip() for cell in row.split("|")[2:-1]] == [
        "2 rounds, 9 messages, 0 overruns, 0 rounds failed",
        "2 rounds, 9 messages, 0 overruns, 1 rounds failed",
        "exit code -1",
        "",
    ]
    assert [good(outcome) for outcome in outcomes] == [True, False, False, True]


def test_a_guest_that_says_nothing_is_no_success() -> None:
    """Neither one that did not come to its end, nor one in which no test passed."""
    dead = Outcome("6.1", "", b"", -1)
    idle = Outcome("6.1", "3.11.2", b"<testsuites><testsuite/></testsuites>", 0)
    assert not good(dead)
    assert not good(idle)
    assert table([dead]).splitlines()[2].split() == ["|", "Python", "|", "did", "not", "end", "|"]


def test_a_guest_that_ran_only_some_of_its_tests_is_no_success() -> None:
    """Though each that ran passed: its time was over."""
    cut = Outcome("6.1", "3.11.2", OLD, 124)
    assert not good(cut)
    (row,) = [line for line in table([cut]).splitlines() if "pytest" in line]
    assert row.split() == ["|", "pytest", "|", "exit", "code", "124", "|"]
    assert "pytest" not in table([cut._replace(exit_code=0)])
