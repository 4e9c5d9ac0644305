"""README.md's commands on machines that have nothing: bare Debian 12, 13 and sid.

``python tests/fresh`` makes each release with debootstrap and runs the two commands in it as
root, as root without two capabilities, and as an ordinary user, with the release's own Python.
It prints a table, and exits with 1 if anything failed. It needs root, git, debootstrap and
about 15 minutes for each release. What is tested is the commit that is checked out.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from shutil import which

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS), str(TESTS.parent)]  # as pytest has them

import trials  # noqa: E402 - the path first
from support.processes import unwind_when_interrupted  # noqa: E402

RELEASES = ("bookworm", "trixie", "sid")

#: Mounts and processes are private and vanish with the process that made them: nothing of the
#: machine is mounted any more below a folder that is deleted, however the run ended.
PRIVATE = ("unshare", "--mount", "--pid", "--fork", "--kill-child")


def main() -> int:
    """Run what is named, or all. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python tests/fresh", description=__doc__)
    parser.add_argument("release", nargs="*", help=f"of {', '.join(RELEASES)}; default: all")
    parser.add_argument(
        "--user",
        choices=trials.USERS,
        help=f"one user; default: all but {trials.CI}, which runs .ci/run on a Debian 12",
    )
    parser.add_argument(
        "--programs",
        action="store_true",
        help="root also fetches the programs and the Windows Python that more tests use",
    )
    parser.add_argument("--logs", type=Path, help="folder for the output of each command")
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    releases = arguments.release or list(RELEASES)
    if unknown := set(releases) - set(RELEASES):
        parser.error(f"no such release: {', '.join(unknown)}; there are {', '.join(RELEASES)}")
    users = [arguments.user] if arguments.user else [u for u in trials.USERS if u != trials.CI]
    if arguments.inside:
        choices = trials.Choices(releases, users, arguments.programs, arguments.logs)
        return trials.run(choices, arguments.inside)
    missing = [name for name in ("git", "debootstrap", "unshare") if not which(name)]
    if os.geteuid() != 0 or missing:
        parser.error(f"it needs root, git, debootstrap and util-linux; missing: {missing}")
    unwind_when_interrupted()
    with tempfile.TemporaryDirectory(prefix="fresh-") as folder:
        again = [*PRIVATE, sys.executable, *sys.argv, f"--inside={folder}"]
        return subprocess.run(again, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
