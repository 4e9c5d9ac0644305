"""The process keeps the memory that it frees."""

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
    """Return the page faults of each use, in a thread of a new process."""
    command = [sys.executable, "-c", PROGRAM, how]
    root = Path(__file__).parents[2]
    return float(subprocess.check_output(command, cwd=root, text=True))


def test_freed_memory_is_used_again_without_page_faults() -> None:
    """The second use of as much memory as a scrape takes causes no page faults."""
    require(platform.libc_ver()[0] == "glibc", "glibc, whose allocator is tuned")
    assert faults("as it is") > 100
    assert faults("tuned") < 5
