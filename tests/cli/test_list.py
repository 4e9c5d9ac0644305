"""The command list shows the IP interfaces as they are, for people and for scripts."""

import json
import subprocess

import pytest
from commands import run
from support.namespace import Namespace
from support.waiting import wait_until


def listed(namespace: Namespace, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Return the output of ``list``, which must have listed all interfaces.

    On a busy machine it may end earlier, with a warning; then it is run again.
    """

    def complete() -> subprocess.CompletedProcess[str] | None:
        result = run("list", *arguments, namespace=namespace)
        return None if "still being listed" in result.stderr else result

    return wait_until(complete, message="a complete list")


@pytest.fixture
def pair(namespace: Namespace) -> Namespace:
    """A veth pair, of which one end is connected to nothing that is up."""
    namespace.ip("link add west type veth peer name east")
    namespace.ip("link set west up")
    namespace.ip("link set west alias 'to the east'")
    return namespace


def test_the_table_is_what_ip_shows(pair: Namespace) -> None:
    """One line for each family of each link, with the values of the kernel."""
    result = listed(pair)
    assert result.returncode == 0
    head, *lines = result.stdout.splitlines()
    assert head.split() == [
        "DEVICE",
        "FAMILY",
        "STATE",
        "MTU",
        "FORWARDING",
        "KIND",
        "ALIAS",
        "INDEX",
        "LUID",
    ]
    assert [line.split()[:2] for line in lines] == [
        [name, family] for name in ("lo", "east", "west") for family in ("ipv4", "ipv6")
    ]
    west = next(line for line in lines if line.startswith("west"))
    assert "disconnected (" in west, "it is switched on, but has no carrier"
    assert f" {pair.links()['west']['mtu']} " in west
    assert " veth " in west
    assert "to the east" in west
    east = next(line for line in lines if line.startswith("east"))
    assert "switched off" in east


def test_json_is_the_same_for_scripts(pair: Namespace) -> None:
    """Every member that the system has, under the names of a recording."""
    interfaces = json.loads(listed(pair, "--json", "west").stdout)
    assert [(i["device"], i["family"]) for i in interfaces] == [("west", "ipv4"), ("west", "ipv6")]
    assert interfaces[0]["row"]["mtu_bytes"] == pair.links()["west"]["mtu"]
    assert interfaces[0]["index"] == pair.index("west")
    assert not interfaces[0]["row"]["connected"]


@pytest.mark.parametrize(
    ("devices", "shown"),
    [
        (["west"], {"west"}),
        (["w.*", "lo"], {"west", "lo"}),
        (["--collector.exclude=lo"], {"west", "east"}),
        (["--collector.family=inet6", "lo"], {"lo"}),
    ],
)
def test_names_and_expressions_select(pair: Namespace, devices: list[str], shown: set[str]) -> None:
    """A name, an expression for whole names, and the filters of the agent select devices."""
    result = listed(pair, "--json", *devices)
    assert {i["device"] for i in json.loads(result.stdout)} == shown


def test_nothing_that_matches_is_exit_code_1(pair: Namespace) -> None:
    """A script can ask whether a device exists."""
    result = listed(pair, "wes")
    assert (result.returncode, result.stdout) == (1, "")
    assert json.loads(listed(pair, "--json", "wes").stdout) == []


def test_a_bad_expression_is_one_clear_line(pair: Namespace) -> None:
    """What was wrong, and where."""
    result = run("list", "(", namespace=pair)
    assert result.returncode == 1
    assert "list DEVICE" in result.stderr
    assert "Traceback" not in result.stderr


def test_hostile_names_stay_in_their_cell(namespace: Namespace) -> None:
    """A name cannot move the cursor, set a color, or be read as markup."""
    namespace.ip("link add '[red]\u009b31m' type veth peer name '[b]'")
    output = listed(namespace).stdout
    assert "[red]\\u009b31m" in output
    assert "[b] " in output
