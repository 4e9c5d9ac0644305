"""Write the dashboards' JSON: ``python dashboards/build.py``, from anywhere.

``--check`` writes nothing, and fails if a file is not what it would be.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from fleet import fleet
from generate import generate
from host import host

FOLDER = Path(__file__).resolve().parent
DASHBOARDS = {"fleet.json": fleet, "host.json": host}


def files() -> dict[Path, str]:
    """Return what each file should hold."""
    return {
        FOLDER / name: json.dumps(make(), cls=JSONEncoder, indent=2, sort_keys=True) + "\n"
        for name, make in DASHBOARDS.items()
    }


if __name__ == "__main__":
    sys.exit(generate("Write the dashboards' JSON.", files()))
