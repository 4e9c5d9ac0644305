"""The folder in which tests keep what they download and build between runs."""

import os
from pathlib import Path

#: Names the folder; ``.ci/run`` names a new one, so that no step can rely on an old one.
VARIABLE = "IP_INTERFACE_EXPORTER_CACHE"


def cache_directory() -> Path:
    """The folder that `VARIABLE` names, else one in the user's cache directory."""
    if chosen := os.environ.get(VARIABLE):
        return Path(chosen)
    parent = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(parent) / "ip-interface-exporter"
