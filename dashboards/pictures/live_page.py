"""Takes the picture of the live page: an agent and ten minutes of churn, in its own namespace.

``python dashboards/pictures/live_page.py`` needs root, iproute2, chromium and the extra ``dev``.
"""

import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import sync_playwright

NAMESPACE = "live-page-picture"
PICTURE = Path(__file__).with_name("live-page.png")
URL = "http://127.0.0.1:10190/?range=15m"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]
INSIDE = ["ip", "netns", "exec", NAMESPACE]


def ip(arguments: str) -> None:
    """Run ``ip`` in the namespace."""
    subprocess.run(["ip", "-n", NAMESPACE, *arguments.split()], check=True)


def churn() -> None:
    """Ten minutes: a loose contact, an outage, a link switched off, containers, a new MTU."""
    for name in ("eth0", "eth1", "eth2", "wan0"):
        ip(f"link add {name} type veth peer name peer-{name}")
        ip(f"link set {name} up")
        ip(f"link set peer-{name} up")
    planned = [
        *((250 + 1.5 * n, f"link set peer-eth2 {('down', 'up')[n % 2]}") for n in range(60)),
        *((560 + 9 * n, f"link set peer-eth2 {('down', 'up')[n % 2]}") for n in range(4)),
        *((150, "link set peer-eth1 down"), (230, "link set peer-eth1 up")),
        *((330, "link set wan0 down"), (450, "link set wan0 up"), (500, "link set wan0 mtu 1400")),
    ]
    for begin in (60, 260, 400, 520):
        planned += [
            (begin, "link add veth7 type veth peer name pod7"),
            (begin + 1, "link set veth7 up"),
            (begin + 1.3, "link set pod7 up"),
            (begin + 70, "link del veth7"),
        ]
    began = time.monotonic()
    for at, change in sorted(planned):
        time.sleep(max(0.0, began + at - time.monotonic()))
        ip(change)


def main(launcher: Path) -> None:
    """Take the picture."""
    launcher.write_text(f'#!/bin/sh\nexec {" ".join(INSIDE)} chromium "$@"\n')
    launcher.chmod(0o755)
    subprocess.run(["ip", "netns", "add", NAMESPACE], check=True)
    agent = None
    try:
        ip("link set lo up")
        command = [
            *INSIDE,
            sys.executable,
            "-m",
            "exporter",
            "--web.listen-address=127.0.0.1:10190",
        ]
        agent = subprocess.Popen([*command, "--collector.exclude=peer-.*|pod.*"])
        churn()
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=str(launcher), args=FLAGS)
            page = browser.new_page(viewport={"width": 1000, "height": 820})
            page.goto(URL)
            page.screenshot(path=PICTURE)
            browser.close()
    finally:
        if agent is not None:
            agent.terminate()
            agent.wait()
        subprocess.run(["ip", "netns", "del", NAMESPACE], check=True)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # and remove what was made
    with tempfile.TemporaryDirectory() as folder:
        main(Path(folder, "chromium"))
