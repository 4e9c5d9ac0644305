"""Write the dashboards' JSON: ``python dashboards/build.py``, from anywhere.

``--check`` writes nothing, and fails if a file is not what it would be.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from fleet import fleet
from host import host

FOLDER = Path(__file__).resolve().parent
DASHBOARDS = {"fleet.json": fleet, "host.json": host}


def main() -> int:
    """The exit code: 1 if a file was to be up to date and is not."""
    parser = argparse.ArgumentParser(description="Write the dashboards' JSON.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if out of date")
    check = parser.parse_args().check
    stale = False
    for name, make in DASHBOARDS.items():
        path = FOLDER / name
        text = json.dumps(make(), cls=JSONEncoder, indent=2, sort_keys=True) + "\n"
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        if check:
            stale = True
            print(f"{path} is out of date: run python {__file__}", file=sys.stderr)
        else:
            path.write_text(text, encoding="utf-8", newline="\n")
            print(f"wrote {path}")
    return int(stale)


if __name__ == "__main__":
    sys.exit(main())
