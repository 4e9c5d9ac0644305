"""The benchmarks run; what they measure is not judged here, where others share the machine."""

import shutil
import subprocess
import sys

from requirements_here import require
from support.agent import PROJECT
from support.debian import program
from support.namespace import Namespace


def test_every_part_runs_in_its_short_mode(namespace: Namespace) -> None:
    """One command measures each part and prints its tables, peers and ratios among them."""
    del namespace  # it says whether there can be any
    require(shutil.which("gcc"), "gcc: apt-get install gcc libc6-dev")
    require(shutil.which("curl"), "curl: apt-get install curl")
    require(
        program("node-exporter", "prometheus-node-exporter"),
        "node_exporter: python tests/support/debian.py node-exporter",
    )
    done = subprocess.run(
        [sys.executable, "tests/bench", "--short"], cwd=PROJECT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for peer in ("pyroute2", "ip monitor", "node_exporter", "generate_latest", "grpc"):
        assert peer in done.stdout
    assert done.stdout.count("\n## ") >= 9
