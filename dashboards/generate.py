"""Writes files that are made from others, or checks that they are up to date.

For build.py, and for config/kubernetes/build.py.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path


def generate(description: str, files: Mapping[Path, str]) -> int:
    """Write the files that differ from these texts; with ``--check`` on the command line, none.

    Return the exit code: 1 if a file was to be up to date and is not. `description` is what
    ``--help`` says of the script.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if out of date")
    check = parser.parse_args().check
    stale = False
    for path, text in files.items():
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        if check:
            stale = True
            print(f"{path} is out of date: run python {sys.argv[0]}", file=sys.stderr)
        else:
            path.write_text(text, encoding="utf-8", newline="\n")
            print(f"wrote {path}")
    return int(stale)
