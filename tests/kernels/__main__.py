"""Run the tests of the kernel on the kernels of Debian's releases.

``python tests/kernels`` boots each under qemu and ends with a table; releases may be named.
Nothing is installed: kernels, qemu and the guests' disks are unpacked from Debian's packages
into the cache (3.5 GB), which takes some minutes the first time. Needs neither root nor KVM.
"""

import argparse
import shutil
import sys
import time
from pathlib import Path

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS), str(TESTS.parent)]

from kernels import guest, kernel, root, tools  # noqa: E402 - the path first
from kernels.table import good, table  # noqa: E402
from support import processes  # noqa: E402

#: Where a release's packages are.
SUITES = {
    "bullseye": ("bullseye-security",),  # all that is left of it
    "bookworm": ("bookworm", "bookworm-security"),
    "trixie": ("trixie", "trixie-security"),
    "sid": ("sid",),
}
#: Whose own Python is too old for the project: its kernel runs another release's.
PYTHON = {"bullseye": "bookworm"}
#: Whose tests of the kernel run; those of others are about what comes after.
FOLDERS = ("tests/bindings", "tests/sources", "tests/notify")
#: How many times longer tests may wait than on the machine itself: with KVM, and without.
FACTORS = {True: 1, False: 2}


def main() -> int:
    """Run the guests, one after the other, and print the table."""
    ours, pytest, minutes = sys.argv[1:], ["-m", "kernel", *FOLDERS], 3.0
    if "--" in ours:
        ours, pytest, minutes = ours[: ours.index("--")], ours[ours.index("--") + 1 :], 0.0
    parser = argparse.ArgumentParser(
        prog="python tests/kernels",
        usage="%(prog)s [option ...] [release ...] [-- pytest's arguments]",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("release", nargs="*", help=f"of {', '.join(SUITES)}; default: all")
    parser.add_argument("--python", choices=SUITES, help="release whose Python runs the tests")
    parser.add_argument(
        "--random",
        type=float,
        metavar="MINUTES",
        help="time for tests/random, after the tests; default: 3, or 0 if pytest has arguments",
    )
    parser.add_argument("--limit", type=float, default=30, metavar="MINUTES", help="default: 30")
    parser.add_argument("--update", action="store_true", help="fetch newer packages")
    arguments = parser.parse_args(ours)
    if unknown := set(arguments.release) - SUITES.keys():
        parser.error(f"no such release: {', '.join(unknown)}; there are {', '.join(SUITES)}")
    if arguments.update:
        for part in (*tools.HOME.glob("kernel-*"), *tools.HOME.glob("root-*")):
            shutil.rmtree(part) if part.is_dir() else part.unlink()
    processes.unwind_when_interrupted()  # and end the guest
    tools.provide()
    minutes = minutes if arguments.random is None else arguments.random
    work = guest.Work(pytest, minutes, arguments.limit * 60, FACTORS[guest.has_kvm()])
    outcomes = [
        run(release, arguments.python or PYTHON.get(release, release), work)
        for release in arguments.release or SUITES
    ]
    print(f"\n{table(outcomes)}", end="")
    return 0 if all(map(good, outcomes)) else 1


def run(release: str, python: str, work: guest.Work) -> guest.Outcome:
    """Do the work on the kernel of one release with the Python of another, or the same."""
    made = kernel.provide(release, *SUITES[release]), root.provide(python, *SUITES[python])
    console = tools.HOME / f"console-{release}.log"
    print(f"{release}: Linux {made[0].release}, Python of {python}, console {console}", flush=True)
    began = time.monotonic()
    outcome = guest.run(*made, work, console)
    print(f"{release}: {time.monotonic() - began:.0f} s", flush=True)
    return outcome


if __name__ == "__main__":
    raise SystemExit(main())
