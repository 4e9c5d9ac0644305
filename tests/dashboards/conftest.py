"""The code of dashboards/, importable: `grafana` and `render`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "dashboards"))
