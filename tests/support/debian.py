"""Programs from Debian that tests run, unpacked into a cache: nothing is installed.

``python tests/support/debian.py`` fetches them all (a minute at the most), with the machine's
own apt configuration and signature checks. Tests look them up with `program`.
"""

import argparse
import shutil
import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS), str(TESTS.parent)]  # as pytest has them

from support.apt import Packages  # noqa: E402 - the path first
from support.cache import cache_directory  # noqa: E402

#: Name in the cache → suite and packages. Debian 12's own Prometheus is 2.42, with promtool; the
#: newer suite has a 3.x in two packages, which run on Debian 12 as they are.
PACKAGES = {
    "prometheus-2": ("bookworm", "prometheus"),
    "prometheus-3": ("sid", "prometheus"),
    "promtool-3": ("sid", "promtool"),
    "victoria-metrics": ("sid", "victoria-metrics"),
    "alertmanager": ("sid", "prometheus-alertmanager"),
    "docker-compose": ("sid", "docker-compose"),
    "kubectl": ("sid", "kubectl"),  # with kustomize
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


def fetch(names: list[str]) -> None:
    """Download and unpack what the cache lacks."""
    missing = [name for name in names if not unpacked(name).exists()]
    for suite in sorted({PACKAGES[name][0] for name in missing}):
        packages = Packages(suite)
        for name in (name for name in missing if PACKAGES[name][0] == suite):
            files = packages.unpack(PACKAGES[name][1:], unpacked(name))
            print(f"{name}: {', '.join(files)}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python tests/support/debian.py", description=__doc__)
    parser.add_argument("name", nargs="*", help=f"of {', '.join(PACKAGES)}; default: all")
    names = parser.parse_args().name or list(PACKAGES)
    if unknown := set(names) - set(PACKAGES):
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    fetch(names)
