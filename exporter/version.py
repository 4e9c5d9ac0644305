"""What exactly is running."""

from __future__ import annotations

import json
import platform
import re
from contextlib import suppress
from importlib import metadata
from pathlib import Path

from exporter import __version__

NAME = "ip-interface-exporter"
_REVISION = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")


def revision() -> str:
    """The commit: of the checkout it runs from, else that it was installed from, else ``unknown``.

    Read from files: a daemon should not have to run ``git`` to know what it is.
    """
    for found in (_checked_out(Path(__file__).parent.parent / ".git"), _installed()):
        if _REVISION.fullmatch(found):
            return found
    return "unknown"


def version_text() -> str:
    """Several lines for a person: version, commit, Python, platform."""
    return (
        f"{NAME}, version {__version__} (revision: {revision()})\n"
        f"  python:    {platform.python_implementation()} {platform.python_version()}\n"
        f"  platform:  {platform.platform()}\n"
    )


def _checked_out(git: Path) -> str:
    with suppress(OSError, ValueError):
        head = (git / "HEAD").read_text().strip()
        if not head.startswith("ref: "):
            return head
        name = head.removeprefix("ref: ")
        with suppress(FileNotFoundError):
            return (git / name).read_text().strip()
        for line in (git / "packed-refs").read_text().splitlines():
            if line.endswith(f" {name}"):
                return line.split()[0]
    return ""


def _installed() -> str:
    """From PEP 610's record of what ``pip install git+…`` fetched."""
    with suppress(metadata.PackageNotFoundError, ValueError, LookupError, TypeError):
        text = metadata.distribution(NAME).read_text("direct_url.json")
        return str(json.loads(text or "{}")["vcs_info"]["commit_id"])
    return ""
