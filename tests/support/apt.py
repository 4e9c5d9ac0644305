"""Packages of any Debian release, unpacked into a folder: nothing is installed.

Uses this machine's apt, its archive and Debian's keyring, apart from its list of what is
installed.
"""

import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

from support.cache import cache_directory

_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


def archive() -> str:
    """The address of the Debian archive that this machine uses, whatever its release."""
    command = ["apt-get", "indextargets", "--format", "$(REPO_URI) $(ORIGIN) $(LABEL)"]
    listing = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    for line in listing.splitlines():
        address, _, origin = line.partition(" ")
        if origin == "Debian Debian":  # "Debian Debian-Security" is an archive of its own
            return address
    raise SystemExit("this machine's apt knows no Debian archive: run apt-get update first")


class Packages:
    """The packages of one suite or more. Raises SystemExit with apt's message when that fails."""

    def __init__(self, *suites: str) -> None:
        """Read the lists, e.g. of ``bookworm``, ``bookworm-security``; the newest version wins."""
        self._state = cache_directory() / "apt" / "+".join(suites)
        for folder in ("lists/partial", "cache/archives/partial"):
            (self._state / folder).mkdir(parents=True, exist_ok=True)
        main = archive().rstrip("/")
        archives = {suite: f"{main}-security" if "security" in suite else main for suite in suites}
        lines = [f"deb [signed-by={_KEYRING}] {archives[suite]} {suite} main\n" for suite in suites]
        (self._state / "sources.list").write_text("".join(lines))
        (self._state / "status").touch()  # nothing is installed
        self._run("apt-get", "update")

    def unpack(self, packages: Iterable[str], target: Path) -> list[str]:
        """Download and unpack packages into a new folder; the names of their files."""
        return self._unpack(["download", *packages], target)

    def unpack_with_dependencies(self, packages: Iterable[str], target: Path) -> list[str]:
        """The same, with all that they depend on, as if nothing were installed."""
        install = ["install", "-y", "--download-only", "--no-install-recommends"]
        return self._unpack([*install, *packages], target)

    def dependencies(self, package: str) -> list[str]:
        """The names of a package and of all that it depends on, also those that no suite has."""
        others = ("recommends", "suggests", "conflicts", "breaks", "replaces", "enhances")
        without = [f"--no-{relation}" for relation in others]
        output = self._run("apt-cache", "depends", "--recurse", *without, package)
        return [line for line in output.splitlines() if line and not line.startswith((" ", "<"))]

    def _unpack(self, command: list[str], target: Path) -> list[str]:
        partial = target.with_name(f"{target.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        with tempfile.TemporaryDirectory(dir=self._state) as downloads:
            Path(downloads, "partial").mkdir()
            self._run("apt-get", f"-oDir::Cache::archives={downloads}", *command, cwd=downloads)
            files = sorted(Path(downloads).glob("*.deb"))
            for file in files:
                subprocess.run(["dpkg", "-x", file, partial], check=True)
        partial.rename(target)
        return [file.name for file in files]

    def _run(self, program: str, *arguments: str, cwd: str | Path | None = None) -> str:
        options = {
            "Dir::State::lists": self._state / "lists",
            "Dir::State::status": self._state / "status",
            "Dir::Cache": self._state / "cache",
            "Dir::Etc::sourcelist": self._state / "sources.list",
            "Dir::Etc::sourceparts": "/dev/null",
            "APT::Sandbox::User": "root",
        }
        flags = [f"-o{key}={value}" for key, value in options.items()]
        command = [program, "-q", *flags, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False)
        if done.returncode:
            raise SystemExit(f"{' '.join(command)}: {done.stderr.strip()}")
        return done.stdout
