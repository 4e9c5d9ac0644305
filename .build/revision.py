"""A build hook of Hatch: puts the commit into the wheel, which has no .git to read it from."""

import os
import runpy
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

#: Names the commit where the build does not see .git, as in a container image.
VARIABLE = "IP_INTERFACE_EXPORTER_REVISION"


class RevisionHook(BuildHookInterface):  # type: ignore[type-arg]
    """Adds exporter/revision.txt to a wheel or source distribution, not to the source tree."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Find the commit. Without one, what a source distribution brought along stays."""
        if version == "editable":  # it runs from the checkout
            return
        root = Path(self.root)
        checked_out = runpy.run_path(str(root / "exporter" / "version.py"))["checked_out"]
        revision = os.environ.get(VARIABLE) or checked_out(root / ".git")
        if revision:
            self._folder = tempfile.TemporaryDirectory()
            file = Path(self._folder.name) / "revision.txt"
            file.write_text(f"{revision}\n")
            build_data["force_include"][str(file)] = "exporter/revision.txt"
