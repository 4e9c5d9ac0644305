"""Programs from Debian that tests run, unpacked into a cache: nothing is installed.

``python tests/support/debian.py`` fetches them all (a minute at the most), with the machine's
own apt configuration and signature checks. Tests look them up with `program`.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ip-interface-exporter"
_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"

#: Name in the cache → (suite, package). Debian 12's own Prometheus is 2.42, with promtool; the
#: newer suite has a 3.x in two packages, which run on Debian 12 as they are.
PACKAGES = {
    "prometheus-2": ("bookworm", "prometheus"),
    "prometheus-3": ("sid", "prometheus"),
    "promtool-3": ("sid", "promtool"),
    "victoria-metrics": ("sid", "victoria-metrics"),
    "alertmanager": ("sid", "prometheus-alertmanager"),
    "docker-compose": ("sid", "docker-compose"),
    # Debian 12 has 1.5; the newer reads the links by netlink, as the benchmark compares with it.
    "node-exporter": ("sid", "prometheus-node-exporter"),
}


def program(package: str, name: str) -> str | None:
    """The path of a program: from the cache, else (for Debian 12's own) from PATH."""
    cached = CACHE / "debian" / package / "usr" / "bin" / name
    if cached.exists():
        return str(cached)
    return shutil.which(name) if PACKAGES[package][0] == "bookworm" else None


def _apt(state: Path, *arguments: str) -> str:
    options = {
        "Dir::State::lists": state / "lists",
        "Dir::Cache": state / "cache",
        "Dir::Etc::sourcelist": state / "sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "APT::Sandbox::User": "root",
    }
    flags = [f"-o{key}={value}" for key, value in options.items()]
    command = ["apt-get", "-q", *flags, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, cwd=state).stdout


def _archive() -> str:
    """The address of the Debian archive that this machine uses."""
    command = ["apt-get", "indextargets", "--format", "$(REPO_URI) $(ORIGIN) $(CODENAME)"]
    listing = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    for line in listing.splitlines():
        address, _, origin = line.partition(" ")
        if origin == "Debian bookworm":
            return address
    raise SystemExit("this machine's apt knows no Debian 12 archive: run apt-get update first")


def fetch(packages: list[str]) -> None:
    """Download and unpack what the cache lacks."""
    missing = [name for name in packages if not (CACHE / "debian" / name).exists()]
    if not missing:
        return
    archive = _archive()
    for suite in sorted({PACKAGES[name][0] for name in missing}):
        state = CACHE / "apt" / suite
        for folder in ("lists/partial", "cache/archives/partial"):
            (state / folder).mkdir(parents=True, exist_ok=True)
        (state / "sources.list").write_text(f"deb [signed-by={_KEYRING}] {archive} {suite} main\n")
        _apt(state, "update")
        for name in (name for name in missing if PACKAGES[name][0] == suite):
            for old in state.glob("*.deb"):
                old.unlink()
            _apt(state, "download", PACKAGES[name][1])
            (deb,) = state.glob("*.deb")
            unpacked = CACHE / "debian" / f"{name}.partial"
            shutil.rmtree(unpacked, ignore_errors=True)
            subprocess.run(["dpkg", "-x", deb, unpacked], check=True)
            unpacked.rename(CACHE / "debian" / name)
            print(f"{name}: {deb.name}")


if __name__ == "__main__":
    fetch(sys.argv[1:] or list(PACKAGES))
