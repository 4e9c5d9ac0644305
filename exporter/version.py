"""What exactly is running."""

from __future__ import annotations

import json
import platform
import re
from contextlib import suppress
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
    """From PEP 610's record of what ``pip install git+…`` fetched.

    Read without importlib.metadata, which costs 0.8 MiB and 30 ms.
    """
    record = f"{NAME.replace('-', '_')}-{__version__}.dist-info/direct_url.json"
    with suppress(OSError, ValueError, LookupError, TypeError):
        text = (Path(__file__).parent.parent / record).read_text()
        return str(json.loads(text)["vcs_info"]["commit_id"])
    return ""
