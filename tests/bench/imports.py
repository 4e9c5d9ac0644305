"""What the push costs at the start: seconds and memory of the agent without and with it.

``python tests/bench/imports.py`` prints the best of five processes for each.
"""

import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).parents[2]

CODE = """
import sys, time
began = time.perf_counter()
import exporter.run
from exporter.app import Agent
from exporter.settings_reader import load
from exporter.sources.replay import ReplaySource
flags = {name: [value] for name, value in (a.split("=") for a in sys.argv[1:])}
agent = Agent(load(flags, {}), ReplaySource("none"))
took = time.perf_counter() - began
status = open("/proc/self/status").read()
print(took, int(status.partition("VmRSS:")[2].split()[0]) / 1024)
"""

CASES = {
    "without an endpoint": (),
    "http/protobuf": ("otlp.endpoint=http://127.0.0.1:1",),
    "grpc": ("otlp.endpoint=http://127.0.0.1:1", "otlp.protocol=grpc"),
}


def measure(*flags: str) -> tuple[float, float]:
    """Seconds and MiB of one new process."""
    command = [sys.executable, "-c", CODE, *flags]
    done = subprocess.run(command, cwd=PROJECT, check=True, capture_output=True, text=True)
    seconds, mebibytes = done.stdout.split()
    return float(seconds), float(mebibytes)


def main() -> None:
    """Print a table."""
    print(f"{'push':<22}{'import and build':>18}{'resident':>12}")
    for name, flags in CASES.items():
        seconds, mebibytes = min(measure(*flags) for _ in range(5))
        print(f"{name:<22}{seconds * 1000:>15.0f} ms{mebibytes:>8.1f} MiB")


if __name__ == "__main__":
    main()
