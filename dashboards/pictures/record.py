"""Makes run.jsonl: two minutes of four interfaces, told by the kernel and recorded.

``sudo python dashboards/pictures/record.py`` needs root, for two network namespaces: the
interfaces are in one, the far ends of their cables in the other. A cable is pulled by setting
its far end down. When that happens is drawn from a seeded generator, so nothing is arranged
to fall between two polls.
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

RUN = Path(__file__).with_name("run.jsonl")
SECONDS = 120.0
NEAR, FAR = "picture-near", "picture-far"


def outages() -> list[tuple[float, str, str]]:
    """Return (second, cable, ``down`` or ``up``), in order."""
    chance = random.Random(15)
    pulled = [  # a loose contact
        ("eth1", chance.uniform(3, 115), chance.uniform(0.2, 1.5)) for _ in range(9)
    ]
    # A link that negotiates again and again.
    pulled += [("eth2", 38 + number * 0.45, 0.2) for number in range(24)]
    pulled += [("eth3", chance.uniform(20, 30), 2.5), ("eth3", chance.uniform(70, 80), 24.0)]
    events = [(at, name, "down") for name, at, _ in pulled]
    events += [(at + length, name, "up") for name, at, length in pulled]
    return sorted(events)


def ip(*arguments: str) -> None:
    """Run ``ip``. Raises CalledProcessError."""
    subprocess.run(["ip", *arguments], check=True)


def record() -> None:
    """Make the namespaces, run the agent in one, pull the cables, remove all again."""
    RUN.unlink(missing_ok=True)
    for name in (NEAR, FAR):
        ip("netns", "add", name)
    try:
        for number in range(4):
            near, far = f"eth{number}", f"far{number}"
            ip("-n", NEAR, "link", "add", near, "type", "veth", "peer", "name", far, "netns", FAR)
            ip("-n", FAR, "link", "set", far, "up")
            ip("-n", NEAR, "link", "set", near, "up")
        time.sleep(4)  # until nothing is left of their beginning
        command = [sys.executable, "-m", "exporter", "record", str(RUN)]
        inside = ["ip", "netns", "exec", NEAR, *command, "--web.listen-address=127.0.0.1:0"]
        with subprocess.Popen(inside, cwd=Path(__file__).parents[2]) as agent:
            time.sleep(1)
            began = time.monotonic()
            for at, name, state in outages():
                time.sleep(max(0.0, began + at - time.monotonic()))
                ip("-n", FAR, "link", "set", name.replace("eth", "far"), state)
            time.sleep(max(0.0, began + SECONDS - time.monotonic()))
            agent.send_signal(signal.SIGTERM)
    finally:
        for name in (NEAR, FAR):
            ip("netns", "del", name)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # and remove what was made
    record()
