"""Every figure of the agent beside its peers', measured in one run.

``python tests/bench`` needs root (for network namespaces), gcc and some minutes; parts may be
named, ``--short`` only shows that it runs. See README.md here.
"""

import argparse
import importlib
import os
import platform
import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS), str(TESTS.parent)]

PARTS = ("decode", "stream", "latency", "scrape", "footprint", "otlp")


def main() -> None:
    """Run the parts that are named, or all."""
    parser = argparse.ArgumentParser(prog="python tests/bench", description=__doc__)
    parser.add_argument("part", nargs="*", help=f"of {', '.join(PARTS)}; default: all")
    parser.add_argument("--short", action="store_true", help="less of everything: does it run?")
    arguments = parser.parse_args()
    if unknown := set(arguments.part) - set(PARTS):
        parser.error(f"no such part: {', '.join(unknown)}; there are {', '.join(PARTS)}")
    print(
        f"{os.cpu_count()} cores, Linux {platform.release()}, Python {platform.python_version()},"
        f" load {os.getloadavg()[0]:.1f}"
    )
    for part in arguments.part or PARTS:
        importlib.import_module(part).run(arguments.short)


if __name__ == "__main__":
    main()
