"""Programs from Debian that tests run, unpacked into a cache: nothing is installed.

``python tests/support/debian.py`` fetches them all (a minute at the most), with the machine's
own apt configuration and signature checks. Tests look them up with `program`.
"""

import shutil
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS), str(TESTS.parent)]  # as pytest has them

from support.cache import cache_directory  # noqa: E402 - the path first

_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"

#: Name in the cache → suite and packages. Debian 12's own Prometheus is 2.42, with promtool; the
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
    # The standard library for wine/provision.py, whose interpreter is a 3.11.
    "python-3.11": ("bookworm", "libpython3.11-stdlib", "libpython3.11-minimal"),
}


def unpacked(name: str) -> Path:
    """The folder of the cache in which packages of `PACKAGES` are, or will be."""
    return cache_directory() / "debian" / name


def program(package: str, name: str) -> str | None:
    """The path of a program: from the cache, else (for Debian 12's own) from PATH."""
    cached = unpacked(package) / "usr" / "bin" / name
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


def archive() -> str:
    """The address of the Debian archive that this machine uses, whatever its release."""
    command = ["apt-get", "indextargets", "--format", "$(REPO_URI) $(ORIGIN) $(LABEL)"]
    listing = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    for line in listing.splitlines():
        address, _, origin = line.partition(" ")
        if origin == "Debian Debian":  # "Debian Debian-Security" is an archive of its own
            return address
    raise SystemExit("this machine's apt knows no Debian archive: run apt-get update first")


def fetch(names: list[str]) -> None:
    """Download and unpack what the cache lacks."""
    missing = [name for name in names if not unpacked(name).exists()]
    if not missing:
        return
    address = archive()
    for suite in sorted({PACKAGES[name][0] for name in missing}):
        state = cache_directory() / "apt" / suite
        for folder in ("lists/partial", "cache/archives/partial"):
            (state / folder).mkdir(parents=True, exist_ok=True)
        (state / "sources.list").write_text(f"deb [signed-by={_KEYRING}] {address} {suite} main\n")
        _apt(state, "update")
        for name in (name for name in missing if PACKAGES[name][0] == suite):
            for old in state.glob("*.deb"):
                old.unlink()
            _apt(state, "download", *PACKAGES[name][1:])
            partial = unpacked(f"{name}.partial")
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            for deb in sorted(state.glob("*.deb")):
                subprocess.run(["dpkg", "-x", deb, partial], check=True)
                print(f"{name}: {deb.name}", flush=True)
            partial.rename(unpacked(name))


if __name__ == "__main__":
    fetch(sys.argv[1:] or list(PACKAGES))
