"""A real bash completes flags, their values, commands and files."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import Terminal
from requirements_here import require
from support.waiting import wait_until

SCRIPTS = str(Path(sys.executable).parent)
REGISTER = b'eval "$(register-python-argcomplete ip-interface-exporter)"; echo registered $?\n'
#: Ctrl-U, which removes the line.
ERASE = b"\x15"


@pytest.fixture(scope="module")
def shell() -> Iterator[Terminal]:
    """An interactive bash, set up to complete as README.md says."""
    for program in ("ip-interface-exporter", "register-python-argcomplete"):
        require(
            shutil.which(program, path=SCRIPTS),
            f"{program} beside Python: pip install -e '.[test]'",
        )
    bash = shutil.which("bash")
    require(bash, "bash: apt-get install bash")
    assert bash
    environment = {
        "PATH": f"{SCRIPTS}:{os.environ['PATH']}",
        "PS1": "> ",
        "INPUTRC": "/dev/null",
        "TERM": "dumb",
    }
    command = [bash, "--norc", "--noprofile", "-i"]
    with Terminal(*command, columns=200, environment=environment) as terminal:
        terminal.type(REGISTER)
        terminal.wait_for(b"registered 0\r\n> ")
        yield terminal


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("wa", "watch "),
        ("watch --in", "watch --initial "),
        ("--web.l", "--web.listen-address "),
        ("--log.level=d", "--log.level=debug "),
        ("service ins", "service install "),
        ("check-config CHANGE", "check-config CHANGELOG.md "),
    ],
)
def test_tab_completes(shell: Terminal, typed: str, completed: str) -> None:
    """The only word that fits is completed."""
    begin = len(shell.output)
    shell.type(f"ip-interface-exporter {typed}\t".encode())
    expected = f"ip-interface-exporter {completed}".encode()
    wait_until(
        lambda: expected in shell.output[begin:], message=lambda: f"{shell.output[begin:]!r}"
    )
    shell.type(ERASE)


def test_tab_shows_the_commands_first(shell: Terminal) -> None:
    """Without a letter all commands are shown, and no flag yet."""
    begin = len(shell.output)
    shell.type(b"ip-interface-exporter \t\t")
    words = b"agent +check-config +list +record +replay +service +watch"
    wait_until(lambda: re.search(words, shell.output[begin:]), message=lambda: f"{shell.output!r}")
    assert b"--web" not in shell.output[begin:]
    shell.type(ERASE)
