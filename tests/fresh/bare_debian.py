"""A bare Debian in a folder, which reaches archives and registries as this machine does."""

import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from support import apt
from support.agent import PROJECT
from support.cache import cache_directory

from exporter.version import checked_out

_PROXIES = ("http_proxy", "https_proxy", "no_proxy")
_CERTIFICATES = "/etc/certificates-of-the-machine.pem"
#: The settings of pip that say how an index is reached.
_PIP = ("index-url", "extra-index-url", "trusted-host", "proxy", "cert", "timeout")


class BareDebian:
    """The root folder of a Debian. Mount and use it in a mount namespace of your own only."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def bootstrap(self, release: str) -> None:
        """Install a release: its minimal packages and Python."""
        packages = cache_directory() / "debootstrap" / release
        packages.mkdir(parents=True, exist_ok=True)
        command = ["debootstrap", "--variant=minbase", "--include=python3"]
        command += [f"--cache-dir={packages}", release, str(self.root), apt.archive()]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        (self.root / "etc/apt/apt.conf.d/99machine").write_text(_apt_configuration())
        for name in ("etc/apt/auth.conf", "etc/apt/auth.conf.d", "etc/hosts", "etc/resolv.conf"):
            here, there = Path("/", name), self.root / name
            if here.is_dir():
                shutil.copytree(here, there, dirs_exist_ok=True)
            elif here.exists():
                shutil.copy(here, there)
        settings = _pip_settings()
        if "cert" in settings:
            shutil.copy(settings["cert"], self.root / _CERTIFICATES[1:])
            settings["cert"] = _CERTIFICATES
        lines = [f"{name} = {value}\n" for name, value in settings.items()]
        (self.root / "etc/pip.conf").write_text("[global]\n" + "".join(lines))

    def copy(self, root: Path) -> "BareDebian":
        """Copy it, unmounted, to another folder."""
        subprocess.run(["cp", "-a", self.root, root], check=True)
        return BareDebian(root)

    def mount(self, *, plain: bool = False) -> None:
        """Mount what programs expect below it, and unless `plain` make it a mount point itself."""
        if not plain:
            subprocess.run(["mount", "--bind", self.root, self.root], check=True)
        for kind, place in (("proc", "proc"), ("tmpfs", "run")):
            subprocess.run(["mount", "-t", kind, kind, self.root / place], check=True)
        for place in ("sys", "dev"):
            subprocess.run(["mount", "--rbind", f"/{place}", self.root / place], check=True)

    def clone(self, folder: str) -> str:
        """Clone the project into a folder. Returns the commit."""
        safe = ["-c", f"safe.directory={PROJECT}", "-c", f"safe.directory={PROJECT}/.git"]
        command = [
            "git",
            *safe,
            "-c",
            "advice.detachedHead=false",
            "clone",
            "-q",
            "--no-hardlinks",
            PROJECT,
            self.root / folder[1:],
        ]
        subprocess.run(command, check=True)
        return checked_out(self.root / folder[1:] / ".git")

    def command(self, home: str, prefix: Sequence[str], line: str) -> list[str]:
        """Build the command that runs a line of shell in ``clone`` below `home`."""
        environment = [f"HOME={home}", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"]
        environment += ["LANG=C.UTF-8"]
        environment += [f"{k}={v}" for k, v in os.environ.items() if k.lower() in _PROXIES]
        shell = ["sh", "-c", f'cd "$HOME/clone" && {line}']
        return ["chroot", str(self.root), "env", "-i", *environment, *prefix, *shell]

    def run(self, line: str) -> str:
        """Return what a line of shell prints for root. Raises CalledProcessError."""
        command = [
            "chroot",
            self.root,
            "sh",
            "-c",
            f"export DEBIAN_FRONTEND=noninteractive; {line}",
        ]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def _apt_configuration() -> str:
    """How this machine's apt reaches an archive, as a file of apt.conf.d."""
    command = ["apt-config", "dump", "Acquire"]
    dump = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    lines = (line for line in dump.splitlines(keepends=True) if "::IndexTargets" not in line)
    return "".join(line for line in lines if not line.endswith(' "";\n'))


def _pip_settings() -> dict[str, str]:
    """How this machine's pip reaches an index; what lies on its disk is left out."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    listing = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    settings = {}
    for line in listing.splitlines():
        key, _, value = line.partition("=")
        name = key.rpartition(".")[2]
        words = [w for w in ast.literal_eval(value).split() if not w.startswith("file:")]
        if name in _PIP and words:
            settings[name] = " ".join(words)
    return settings
