"""The programs that judge the files of config/."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from support.agent import PROJECT

from exporter.agent.check_config import load
from exporter.settings.command_line import parse
from exporter.settings.schema import Settings

CONFIG = PROJECT / "config"
NAME = "ip-interface-exporter"


def run(*command: str | Path, cwd: Path = PROJECT) -> subprocess.CompletedProcess[str]:
    """What a program says."""
    return subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"NO_COLOR": "1"},
    )


def settings_of(arguments: Sequence[str], files: dict[str, Path]) -> Settings:
    """What the agent makes of a command line; `files` stand for the paths that it names.

    Raises SystemExit and SettingsError as the agent does.
    """
    invocation = parse(arguments)
    assert invocation.command == "agent"
    flags = dict(invocation.flags)
    for flag in ("config.file", "web.config.file"):
        if flag in flags:
            flags[flag] = [str(files[path]) for path in flags[flag]]
    return load(flags, {})
