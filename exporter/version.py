"""Version and revision of the program. The build imports this module, so it imports no other."""

from __future__ import annotations

import platform
import re
from contextlib import suppress
from pathlib import Path

__version__ = "0.1.0"

NAME = "ip-interface-exporter"
_REVISION = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")


def revision() -> str:
    """Return the commit of the checkout that runs, else of its build, else ``unknown``."""
    for commit in (checked_out(Path(__file__).parent.parent / ".git"), _built()):
        if _REVISION.fullmatch(commit):
            return commit
    return "unknown"


def version_text() -> str:
    """Return version, commit, Python and platform as lines of text."""
    return (
        f"{NAME}, version {__version__} (revision: {revision()})\n"
        f"  python:    {platform.python_implementation()} {platform.python_version()}\n"
        f"  platform:  {platform.platform()}\n"
    )


def checked_out(git: Path) -> str:
    """Return the commit that a checkout's .git names, or "".

    It is read from files, because a machine that has a clone may have no git. In a worktree or
    a submodule, .git is a file that names the folder.
    """
    with suppress(OSError, ValueError):
        if git.is_file():
            git = git.parent / git.read_text().removeprefix("gitdir: ").strip()
        head = (git / "HEAD").read_text().strip()
        if not head.startswith("ref: "):
            return head
        name = head.removeprefix("ref: ")
        with suppress(FileNotFoundError):  # a worktree shares the references of its repository
            git /= (git / "commondir").read_text().strip()
        with suppress(FileNotFoundError):
            return (git / name).read_text().strip()
        for line in (git / "packed-refs").read_text().splitlines():
            if line.endswith(f" {name}"):
                return line.split()[0]
    return ""


def _built() -> str:
    """Return the commit that the build hook wrote, or ""."""
    with suppress(OSError, ValueError):
        return Path(__file__).with_name("revision.txt").read_text().strip()
    return ""
