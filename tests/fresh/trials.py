"""Runs README.md's commands as each user in each release, and judges what they do."""

import os
import re
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from bare_debian import BareDebian
from support.agent import PROJECT, fetch

#: Seconds after which a command is ended.
TIMEOUT = 5400

#: Words of an output that a newcomer would take for a failure.
ALARMING = ("Traceback", "not found", "Permission denied", "ERROR", "unable to", "Can't")

#: Fetches what tests/README.md says that more tests use.
PROGRAMS = ".venv/bin/python tests/support/debian.py && .venv/bin/python tests/wine/provision.py"


class User(NamedTuple):
    """Somebody who runs the commands."""

    description: str
    home: str
    prefix: tuple[str, ...] = ()
    packages: str = ""


USERS = {
    "root": User("root, without sudo", "/root"),
    "uncapable": User(
        "root without CAP_NET_ADMIN and CAP_SYS_ADMIN",
        "/root",
        ("setpriv", "--bounding-set=-net_admin,-sys_admin", "--inh-caps=-all"),
    ),
    "ordinary": User(
        "an ordinary user with sudo",
        "/home/ordinary",
        ("setpriv", "--reuid=ordinary", "--regid=ordinary", "--init-groups", "--inh-caps=-all"),
        "sudo",
    ),
    "ci": User("root in a plain chroot: .ci/run", "/root", packages="git ca-certificates"),
}
#: Runs .ci/run in place of README.md's commands.
CI = "ci"


class Commands(NamedTuple):
    """The lines of README.md that a newcomer pastes."""

    run: str
    test: str
    kernel: str


class Trial(NamedTuple):
    """What came of the commands."""

    release: str
    python: str
    user: str
    run: str
    test: str
    skipped: Counter[str]
    good: bool


def commands() -> Commands:
    """Read the first block below "Run it", and the two below "Work on it"."""
    text = (PROJECT / "README.md").read_text()

    def blocks(heading: str) -> list[str]:
        section = text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
        return re.findall(r"^```sh\n(.*)\n```$", section, re.MULTILINE)

    (run,), (test, kernel) = blocks("Run it"), blocks("Work on it")
    return Commands(run, test, kernel)


class Choices(NamedTuple):
    """What to try, and where to keep the output of each command."""

    releases: Sequence[str]
    users: Sequence[str]
    programs: bool
    logs: Path | None

    def keep(self, name: str, text: str) -> None:
        """Keep an output, if it is asked for."""
        if self.logs:
            self.logs.mkdir(parents=True, exist_ok=True)
            (self.logs / name).write_text(text)


def run(choices: Choices, folder: Path) -> int:
    """Make every trial and print the table. Returns the exit code."""
    made = []
    for release in choices.releases:
        base = BareDebian(folder / release)
        base.bootstrap(release)
        for user in choices.users:
            machine = base.copy(folder / f"{release}-{user}")
            machine.mount(plain=user == CI)
            made.append(trial(machine, release, user, choices))
    print(table(made), flush=True)
    return 0 if all(trial.good for trial in made) else 1


def trial(machine: BareDebian, release: str, name: str, choices: Choices) -> Trial:
    """Run the commands as a user; the machine is theirs alone."""
    user = USERS[name]
    if user.packages:
        machine.run("apt-get -q update")
        machine.run(f"apt-get -q install -y --no-install-recommends {user.packages}")
    if user.home != "/root":
        machine.run(f"useradd --create-home --shell /bin/bash {name}")
        machine.run(f"echo '{name} ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/{name}")
    revision = machine.clone(f"{user.home}/clone")
    machine.run(f"chown -R --reference={user.home} {user.home}/clone")
    lines = commands()
    ran, steps = "", [".ci/run"]
    if name != CI:
        ran, output = first_command(
            machine.command(user.home, user.prefix, served(lines.run)), revision
        )
        choices.keep(f"{release}-{name}-run", output)
        print(f"{release}, {user.description}: {ran}", flush=True)
        steps = [lines.kernel] * (name == "root")
        steps += [PROGRAMS] * (name == "root" and choices.programs)
        steps += [lines.test]
    began = time.monotonic()
    output = ended(machine.command(user.home, user.prefix, " && ".join(steps)), lambda _: False)
    seconds = time.monotonic() - began
    choices.keep(f"{release}-{name}-test", output)
    tested = re.findall(r"^=+ (.*(?:passed|failed|error).*) in .* =+$", output, re.MULTILINE)
    result = f"{tested[-1] if tested else 'no test ran'}, {seconds:.0f} s"
    print(f"{release}, {user.description}: {result}", flush=True)
    skipped: Counter[str] = Counter()
    for count, reason in re.findall(r"^SKIPPED \[(\d+)\] \S+ (.*)$", output, re.MULTILINE):
        skipped[reason] += int(count)
    python = machine.run("python3 --version").split()[1]
    good = not ran.startswith("failed") and bool(tested) and not re.search("fail|error", result)
    return Trial(release, python, user.description, ran, result, skipped, good)


def served(line: str) -> str:
    """Have the agent of README.md's first command listen where this machine has a free port."""
    return f"{line} --web.listen-address=127.0.0.1:0"


def first_command(command: list[str], revision: str) -> tuple[str, str]:
    """Run the first command until its page is there, then press Ctrl-C. Verdict and output.

    The page must tell the revision.
    """
    found = []
    began = time.monotonic()

    def watch(line: str) -> bool:
        address = re.search(r"msg=Listening .*address=\S*:(\d+)", line)
        if address:
            found.append(fetch(int(address[1]), "/metrics").body.decode())
        return bool(address)

    output = ended(command, watch)
    seconds = time.monotonic() - began
    wrong = [word for word in ALARMING if word in output]
    if not found:
        wrong.append("no page")
    elif f'revision="{revision}"' not in found[0]:
        wrong.append("another revision")
    if "msg=Stopped" not in output:
        wrong.append("it did not stop by itself")
    return (f"failed: {', '.join(wrong)}" if wrong else f"ok, {seconds:.0f} s"), output


def ended(command: list[str], watch: Callable[[str], bool]) -> str:
    """Run a command to its end, and return what it prints.

    Ctrl-C is pressed after a line for which `watch` is true.
    """
    lines = []
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    limit = threading.Timer(TIMEOUT, os.killpg, (process.pid, signal.SIGKILL))
    limit.start()
    with process:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            if watch(line):
                os.killpg(process.pid, signal.SIGINT)
    limit.cancel()
    return "".join(lines)


def table(made: Sequence[Trial]) -> str:
    """Lay out the results, and below them the reasons of what was skipped."""
    rows = ["| Debian | Python | as | first command | second command |", "|---|---|---|---|---|"]
    reasons = []
    for t in made:
        rows.append(f"| {t.release} | {t.python} | {t.user} | {t.run} | {t.test} |")
        reasons.append(f"\n{t.release}, {t.user}; skipped:")
        reasons += [f"  {count:5} {reason}" for reason, count in t.skipped.most_common()]
    return "\n".join(["", *rows, *reasons])
