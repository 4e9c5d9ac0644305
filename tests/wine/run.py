"""Run Windows CPython with the given arguments: ``python tests/wine/run.py -m pytest tests/…``.

Everything it needs is provisioned first (see provision.py), and ``IPHLPAPI_STANDIN`` names the
stand-in DLL. Exit code, output and working directory are those of the Windows Python.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS), str(TESTS.parent)]  # as pytest has them

from standin import build_dll  # noqa: E402 - the path first
from wine import provision  # noqa: E402


def windows_path(path: Path) -> str:
    """The path as programs under Wine see it: drive Z: is the root."""
    return "Z:" + str(path.resolve()).replace("/", "\\")


def start(arguments: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
    """Start the Windows Python. SIGINT to the process is its Ctrl-C; SIGTERM kills it.

    The standard streams must be pipes or /dev/null: with a regular file Python under Wine 8
    dies at start (WinError 6).
    """
    environment = provision.environment() | {"IPHLPAPI_STANDIN": windows_path(build_dll())}
    return subprocess.Popen(
        ["wine", str(provision.PYTHON), *arguments], env=environment, bufsize=0, **options
    )


def _copy(source: Any, target: Any) -> None:
    while piece := source.read(65536):
        target.write(piece)
        target.flush()


def main(arguments: Sequence[str]) -> int:
    """Provision, run, pass on output and exit code."""
    provision.provision()
    process = start(
        arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    copies = [
        threading.Thread(target=_copy, args=(process.stdout, sys.stdout.buffer)),
        threading.Thread(target=_copy, args=(process.stderr, sys.stderr.buffer)),
    ]
    for copy in copies:
        copy.start()
    for copy in copies:
        copy.join()
    return process.wait()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
