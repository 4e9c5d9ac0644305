"""What the process keeps of the memory that it has had."""

import platform
import subprocess
import sys
from pathlib import Path

from requirements_here import require

PROGRAM = """
import resource, sys, threading
from exporter.agent.memory_tuning import tune

def use():
    "Twice what a page of 1,000 links takes on its way: pieces, and chunks of them."
    pieces = [b"x" * 16_384 for _ in range(64)]
    chunks = [b"".join(pieces[:16]) for _ in range(4)]

def measured():
    for _ in range(3):
        use()
    before = resource.getrusage(resource.RUSAGE_THREAD).ru_minflt
    for _ in range(10):
        use()
    print((resource.getrusage(resource.RUSAGE_THREAD).ru_minflt - before) / 10)

if sys.argv[1] == "tuned":
    tune()
thread = threading.Thread(target=measured)
thread.start()
thread.join()
"""


def faults(how: str) -> float:
    """Page faults of each use, in a thread of a process of its own."""
    command = [sys.executable, "-c", PROGRAM, how]
    root = Path(__file__).parents[2]
    return float(subprocess.check_output(command, cwd=root, text=True))


def test_what_was_freed_is_used_again_without_asking_the_system() -> None:
    """The second time that as much memory is used as by a scrape, there are no page faults."""
    require(platform.libc_ver()[0] == "glibc", "glibc, whose allocator is tuned")
    assert faults("as it is") > 100
    assert faults("tuned") < 5
