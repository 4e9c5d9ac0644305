"""A Windows CPython 3.11 under Wine, from Debian and PyPI packages alone.

``python tests/wine/provision.py`` makes it in the cache directory, in about half a minute on
a good mirror; what is there already is kept. The interpreter comes out of a PyPI wheel that
ships one for its users (panda3d's ``deploy_libs``), the pure Python library from Debian 12,
the launcher from python.c. Two DLLs that wheels expect are made here as well:
python3.dll, the stable ABI's name for python311.dll, and bcryptprimitives.dll, which Wine 8
lacks and everything written in Rust asks for random numbers.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path

TESTS = Path(__file__).parents[1]
ROOT = TESTS.parent
sys.path[:0] = [str(TESTS), str(ROOT)]  # as pytest has them

from support import debian  # noqa: E402 - the path first
from support.cache import cache_directory  # noqa: E402

HOME = cache_directory() / "wine"
PYTHON = HOME / "python" / "python.exe"
PREFIX = HOME / "prefix"
SITE_PACKAGES = HOME / "python" / "Lib" / "site-packages"

DEBIAN_PACKAGES = ["wine", "wine64", "gcc-mingw-w64-x86-64-win32", "mingw-w64-x86-64-dev"]
COMPILER = "x86_64-w64-mingw32-gcc"
DONOR = "panda3d==1.10.16"
WINDOWS = ["--platform", "win_amd64", "--python-version", "3.11", "--only-binary=:all:"]

#: How long Wine waits for a service to report itself, in milliseconds: by default 10,000, in
#: which a busy machine cannot start a Python. Wine reads it as text and ignores a number.
CONTROL, PATIENCE = r"HKLM\SYSTEM\CurrentControlSet\Control", "ServicesPipeTimeout"

#: Needed on Windows only: pip on Linux takes them for dependencies of another system.
ONLY_ON_WINDOWS = ["colorama", "pywin32"]
#: Says of a dependency that Windows has no use for it, or it none for Windows.
NOT_ON_WINDOWS = "; sys_platform == 'linux'"

ENVIRONMENT = {
    "WINEARCH": "win64",
    "WINEPREFIX": str(PREFIX),
    "WINEDEBUG": "-all",
    "WINEDLLOVERRIDES": "mscoree,mshtml=",  # no offers to install .NET and a browser
    "PYTHONPYCACHEPREFIX": "Z:" + str(HOME / "pycache").replace("/", "\\"),
}


def environment() -> dict[str, str]:
    """The variables a program under Wine needs, over ours; without a display."""
    inherited = {name: value for name, value in os.environ.items() if name != "DISPLAY"}
    return inherited | ENVIRONMENT


def tools() -> None:
    """Wine and mingw-w64; root installs them."""
    if shutil.which("wine") and shutil.which(COMPILER):
        return
    command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *DEBIAN_PACKAGES]
    if os.name != "posix" or os.geteuid() != 0 or not shutil.which("apt-get"):
        raise SystemExit(f"Wine or mingw-w64 is missing; as root: {' '.join(command)}")
    quiet = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    wait = ["-o", "DPkg::Lock::Timeout=300"]
    subprocess.run([command[0], *wait, "update", "-qq"], check=True, env=quiet)
    subprocess.run([command[0], *wait, *command[1:]], check=True, env=quiet, stdout=2)


def interpreter() -> None:
    """The tree of a Windows CPython: launcher, DLLs, extension modules, pure Python library."""
    if PYTHON.exists():
        return
    tree = PYTHON.parent
    shutil.rmtree(tree, ignore_errors=True)
    (tree / "DLLs").mkdir(parents=True)
    pip("download", DONOR, "--no-deps", *WINDOWS, "-d", str(HOME / "donor"))
    (wheel,) = (HOME / "donor").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.namelist():
            folder, _, name = member.rpartition("/")
            unwanted = name.startswith(("api-ms-win-", "tcl", "tk", "_tkinter"))
            if folder != "deploy_libs" or unwanted:
                continue
            beside = name.lower().startswith(("python3", "vcruntime"))
            (tree / ("" if beside else "DLLs") / name).write_bytes(archive.read(member))
    shutil.rmtree(HOME / "donor")
    ignored = "site-packages lib-dynload _sysconfigdata* config-3* sitecustomize.py __pycache__"
    ignored += " test idlelib tkinter turtledemo ensurepip"
    shutil.copytree(
        standard_library(), tree / "Lib", ignore=shutil.ignore_patterns(*ignored.split())
    )
    SITE_PACKAGES.mkdir()
    sources = Path(__file__).parent
    compile_to(tree / "bcryptprimitives.dll", "-shared", sources / "bcryptprimitives.c")
    compile_to(tree / "python3.dll", "-shared", "-nostdlib", "-Wl,-e,0", stable_abi(tree))
    compile_to(PYTHON, "-municode", sources / "python.c")


def compile_to(target: Path, *arguments: str | Path) -> None:
    """Compile for Windows."""
    subprocess.run([COMPILER, "-O2", *arguments, "-o", target], check=True)


def stable_abi(tree: Path) -> Path:
    """A .def file that forwards every name of python311.dll to it."""
    exports = subprocess.run(
        ["x86_64-w64-mingw32-objdump", "-p", tree / "python311.dll"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    names = re.findall(r"^\t\[ *\d+\] (\w+)$", exports, re.MULTILINE)
    definition = tree / "python3.def"
    lines = ["LIBRARY python3.dll", "EXPORTS", *(f"{name} = python311.{name}" for name in names)]
    definition.write_text("\n".join(lines))
    return definition


def standard_library() -> Path:
    """The pure Python library of Debian 12's CPython 3.11; this machine's Python may be another."""
    debian.fetch(["python-3.11"])
    return debian.unpacked("python-3.11") / "usr" / "lib" / "python3.11"


def packages() -> None:
    """The project's dependencies and its tests', as Windows wheels."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = project["dependencies"] + project["optional-dependencies"]["test"] + ONLY_ON_WINDOWS
    wanted = [name for name in wanted if NOT_ON_WINDOWS not in name]
    done = SITE_PACKAGES / hashlib.sha256(repr(wanted).encode()).hexdigest()[:16]
    if done.exists():
        return
    shutil.rmtree(SITE_PACKAGES, ignore_errors=True)
    pip("install", "--target", str(SITE_PACKAGES), "--implementation", "cp", *WINDOWS, *wanted)
    done.touch()


def prefix() -> None:
    """The Windows that the programs see: registry, drives."""
    registry = PREFIX / "system.reg"
    if registry.exists() and f'"{PATIENCE}"="' in registry.read_text(errors="replace"):
        return
    nothing = subprocess.DEVNULL
    for command in (
        ["wineboot", "-i"],
        ["wine", "reg", "add", CONTROL, "/v", PATIENCE, "/t", "REG_SZ", "/d", "600000", "/f"],
    ):
        subprocess.run(
            command, check=True, env=environment(), stdin=nothing, stdout=nothing, stderr=nothing
        )
    subprocess.run(["wineserver", "-w"], check=True, env=environment())


def pip(*arguments: str) -> None:
    """Run our own interpreter's pip."""
    command = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check", *arguments]
    subprocess.run(command, check=True, stdout=2)


def provision(report: Callable[[str], None] = lambda _line: None) -> None:
    """Everything above, in order; steps that are done cost nothing."""
    HOME.mkdir(parents=True, exist_ok=True)
    for step in (tools, interpreter, packages, prefix):
        began = time.monotonic()
        step()
        report(f"{step.__name__}: {time.monotonic() - began:.1f} s")


if __name__ == "__main__":
    provision(lambda line: print(line, flush=True))
    print(PYTHON)
