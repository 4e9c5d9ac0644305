"""Every figure of the agent beside its peers', measured in one run.

``python tests/bench`` needs root (for network namespaces), gcc and some minutes. Parts may be
named; ``--short`` only shows that it runs, ``--long`` takes a quarter of an hour. See README.md.
"""

import argparse
import importlib
import os
import platform
import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS), str(TESTS.parent)]

PARTS = (
    "decode",
    "stream",
    "latency",
    "scrape",
    "growth",
    "footprint",
    "otlp",
    "promises",
    "rules",
    "panels",
)


def main() -> None:
    """Run the parts that are named, or all."""
    parser = argparse.ArgumentParser(prog="python tests/bench", description=__doc__)
    parser.add_argument("part", nargs="*", help=f"of {', '.join(PARTS)}; default: all")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--short", action="store_true", help="less of everything: does it run?")
    size.add_argument("--long", action="store_true", help="10 million messages, all sizes")
    arguments = parser.parse_args()
    if unknown := set(arguments.part) - set(PARTS):
        parser.error(f"no such part: {', '.join(unknown)}; there are {', '.join(PARTS)}")
    print(
        f"{os.cpu_count()} cores, Linux {platform.release()}, Python {platform.python_version()},"
        f" load {os.getloadavg()[0]:.1f}"
    )
    chosen = "short" if arguments.short else "long" if arguments.long else "usual"
    for part in arguments.part or PARTS:
        importlib.import_module(part).run(chosen)


if __name__ == "__main__":
    main()
