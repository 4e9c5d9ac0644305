"""Takes the picture of the live page: an agent and a minute of churn, in a namespace of their own.

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
    """Let a cable flap, a second one fail for a while, and a container come and go."""
    for name in ("eth0", "eth1", "eth2", "wan0"):
        ip(f"link add {name} type veth peer name peer-{name}")
        ip(f"link set {name} up")
        ip(f"link set peer-{name} up")
    for step in range(150):
        if step % 3 == 0 and step < 90:
            ip(f"link set peer-eth2 {'down' if step % 2 else 'up'}")
        if step in (30, 80):
            ip(f"link set peer-eth1 {'down' if step == 30 else 'up'}")
        if step in (50, 70):
            ip(f"link set wan0 {'down' if step == 50 else 'up'}")
        if step in (20, 60):
            ip("link add veth7 type veth peer name pod7" if step == 20 else "link del veth7")
        time.sleep(0.4)


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
