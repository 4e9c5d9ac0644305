"""Makes fleet.png and host.png: forty minutes of ten hosts, as the dashboards show them.

``sudo python dashboards/pictures/incident.py`` needs root, for network namespaces, a
``prometheus`` (``--prometheus``), and what render.py needs. Each host is a namespace with an agent
of its own. Its network cards are veths, whose far ends are in the namespace of a switch: a cable
is pulled by setting its far end down. Prometheus scrapes the agents and evaluates config/alerts;
nothing in the pictures is made up but the hosts' names, and that the veths are network cards.

The first quarter of an hour is quiet, since the rules look back on it. What happens then, and when,
is drawn from a seeded generator.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

assert sys.platform == "linux"  # for mypy: it makes network namespaces

PROJECT = Path(__file__).resolve().parents[2]
PICTURES = Path(__file__).parent
HOSTS = ("web1", "web2", "web3", "web4", "web5", "web6", "db1", "db2", "ci1", "k8s1")
#: Hosts on which containers come and go.
CONTAINERS = ("ci1", "k8s1")
CARDS = ("eth0", "eth1")
PREFIX, SWITCH = "incident-", "incident-switch"
QUIET, LENGTH = 15 * 60.0, 40 * 60.0
#: Of Prometheus; the agents' ports follow.
PORT = 19200


class Event(NamedTuple):
    """What happens to a device of a host; `at` in seconds from the beginning."""

    at: float
    host: str
    action: str
    device: str = ""


def events() -> list[Event]:
    """Return what happens, in order."""
    chance = random.Random(7)
    found: list[Event] = []

    def cut(host: str, device: str, at: float, length: float) -> None:
        found.append(Event(at, host, "cut", device))
        found.append(Event(at + length, host, "mend", device))

    for number in range(1, 7):  # a switch is restarted
        cut(f"web{number}", "eth1", QUIET + 360 + chance.uniform(0, 8), 70 + chance.uniform(0, 15))
    at = QUIET + 600
    while at < QUIET + 1340:  # a loose contact
        cut("db1", "eth1", at, chance.uniform(0.1, 1.5))
        at += chance.uniform(8, 60)
    for number in range(24):  # a link that negotiates again and again
        cut("web3", "eth0", QUIET + 840 + number * 0.45, 0.2)
    for host in CONTAINERS:
        at = QUIET + 20
        while at < LENGTH - 60:
            found.append(Event(at, host, "container", f"veth{chance.randrange(16**7):07x}"))
            at += chance.uniform(4, 24)
    found += [
        Event(QUIET + 540, "web2", "restart"),
        Event(QUIET + 720, "web5", "jumbo frames", "eth1"),
        Event(QUIET + 240, "db1", "switch off", "eth0"),
        Event(QUIET + 390, "db1", "switch on", "eth0"),
        Event(QUIET + 780, "web6", "switch off", "eth1"),
        Event(QUIET + 900, "web4", "forward", "eth0"),
        Event(QUIET + 1020, "db2", "cut", "eth1"),
        Event(QUIET + 1080, "ci1", "overrun"),
        Event(QUIET + 1250, "web6", "stop"),
    ]
    return sorted(found)


def ip(*arguments: str, text: str | None = None) -> None:
    """Run ``ip``. Raises CalledProcessError."""
    subprocess.run(["ip", *arguments], check=True, input=text, text=True)


@contextmanager
def namespaces() -> Iterator[None]:
    """Make the hosts and the switch, and the cables between them; remove them at the end."""
    with ExitStack() as stack:
        for name in (SWITCH, *(PREFIX + host for host in HOSTS)):
            ip("netns", "add", name)
            stack.callback(ip, "netns", "del", name)
            ip("-n", name, "link", "set", "lo", "up")
        for host in HOSTS:
            here = PREFIX + host
            for card in CARDS:
                far = f"{host}-{card}"
                peer = ("type", "veth", "peer", "name", far, "netns", SWITCH)
                ip("-n", here, "link", "add", card, *peer)
                ip("-n", SWITCH, "link", "set", far, "up")
                ip("-n", here, "link", "set", card, "up")
            if host in CONTAINERS:
                ip("-n", here, "link", "add", "docker0", "type", "bridge")
                ip("-n", here, "link", "set", "docker0", "up")
                sysctl(host, "net.ipv4.ip_forward=1")
        yield


def sysctl(host: str, setting: str) -> None:
    """Change a setting of a host. Raises CalledProcessError."""
    subprocess.run(["ip", "netns", "exec", PREFIX + host, "sysctl", "-qw", setting], check=True)


class Agents:
    """An agent in each host, which listens on this machine's loopback. Use it in a with."""

    def __init__(self, folder: Path) -> None:
        self._small_buffer = folder / "agent.yml"
        self._small_buffer.write_text("collector: {receive-buffer: 64KiB}\n")
        self._sockets = {
            host: socket.create_server(("127.0.0.1", PORT + number))
            for number, host in enumerate(HOSTS, 1)
        }
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Agents:
        for host in HOSTS:
            self.start(host)
        return self

    def __exit__(self, *_: object) -> None:
        for host in HOSTS:
            self.stop(host)
            self._sockets[host].close()

    def start(self, host: str) -> None:
        """Start the agent of a host, with its socket as systemd would pass it."""
        flags = f" --config.file={self._small_buffer}" if host == "ci1" else ""
        agent = f"{sys.executable} -m exporter --web.systemd-socket{flags}"
        # The shell moves the socket from where its input is to where systemd would put it.
        shell = f"exec 3<&0 </dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec {agent}"
        self.processes[host] = subprocess.Popen(
            ["ip", "netns", "exec", PREFIX + host, "sh", "-c", shell],
            cwd=PROJECT,
            stdin=self._sockets[host].fileno(),
            stderr=subprocess.DEVNULL,
        )

    def stop(self, host: str) -> None:
        """Stop the agent of a host, if it runs."""
        self.processes[host].terminate()
        self.processes[host].wait()


def configuration() -> str:
    """Return Prometheus' configuration: the agents, and the rules of config/alerts."""
    targets = [
        {"targets": [f"127.0.0.1:{PORT + number}"], "labels": {"instance": f"{host}:10190"}}
        for number, host in enumerate(HOSTS, 1)
    ]
    # Only a veth can be made, and none is watched: let those that stand for cards be watched.
    cards = {"source_labels": ["device", "kind"], "regex": r"eth\d;veth"}
    relabel = [{**cards, "target_label": "kind", "replacement": ""}]
    scrape = {"job_name": "ip-interfaces", "static_configs": targets}
    document = {
        "global": {"scrape_interval": "15s", "evaluation_interval": "15s"},
        "rule_files": [str(PROJECT / "config" / "alerts" / "*.yml")],
        "scrape_configs": [{**scrape, "metric_relabel_configs": relabel}],
    }
    return json.dumps(document)


@contextmanager
def prometheus(program: str, folder: Path) -> Iterator[None]:
    """Run a server."""
    config = folder / "prometheus.yml"
    config.write_text(configuration())
    command = [program, f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}"]
    command.append(f"--web.listen-address=127.0.0.1:{PORT}")
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.terminate()


def happen(event: Event, agents: Agents) -> list[Event]:
    """Do it. Returns what follows from it."""
    _, host, action, device = event
    here, far = PREFIX + host, f"{host}-{device}"
    if action in ("cut", "mend"):
        ip("-n", SWITCH, "link", "set", far, "down" if action == "cut" else "up")
    elif action == "container":
        inside = "c" + device.removeprefix("veth")
        ip("-n", here, "link", "add", device, "type", "veth", "peer", "name", inside)
        ip("-n", here, "link", "set", device, "master", "docker0", "up")
        ip("-n", here, "link", "set", inside, "up")
        return [
            event._replace(at=event.at + 2 + int(device[-2:], 16) % 38, action="container ends")
        ]
    elif action == "container ends":
        ip("-n", here, "link", "del", device)
    elif action == "jumbo frames":
        ip("-n", here, "link", "set", device, "mtu", "9000")
    elif action in ("switch off", "switch on"):
        ip("-n", here, "link", "set", device, "down" if action == "switch off" else "up")
    elif action == "forward":
        sysctl(host, f"net.ipv4.conf.{device}.forwarding=1")
    elif action == "restart":
        agents.stop(host)
        agents.start(host)
    elif action == "stop":
        agents.stop(host)
    elif action == "overrun":  # more than the small buffer holds, while nobody takes it
        agents.processes[host].send_signal(signal.SIGSTOP)
        lines = "".join(f"link set docker0 alias a{number}\n" for number in range(3000))
        ip("-n", here, "-batch", "-", text=lines)
        agents.processes[host].send_signal(signal.SIGCONT)
    return []


def run(agents: Agents) -> None:
    """Let everything happen, each at its time."""
    began = time.monotonic()
    waiting = events()
    while waiting and waiting[0].at < LENGTH:
        event = waiting.pop(0)
        time.sleep(max(0.0, began + event.at - time.monotonic()))
        waiting = sorted([*waiting, *happen(event, agents)])
    time.sleep(max(0.0, began + LENGTH - time.monotonic()))


def draw(end: float) -> None:
    """Draw both dashboards. Raises CalledProcessError."""
    store = f"--prometheus=http://127.0.0.1:{PORT}"
    times = [f"--from={end - LENGTH + QUIET:.0f}", f"--to={end:.0f}"]
    for name, chosen in (("fleet", []), ("host", ["--set=instance=db1:10190"])):
        render = [sys.executable, str(PROJECT / "dashboards" / "render.py"), name]
        subprocess.run([*render, str(PICTURES / f"{name}.png"), store, *times, *chosen], check=True)


def main() -> None:
    """Make the pictures."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # and remove what was made
    parser = argparse.ArgumentParser(description="Make fleet.png and host.png.")
    parser.add_argument("--prometheus", default="prometheus", help="the program")
    parser.add_argument("--folder", type=Path, help="where its data stays, to draw it again")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, namespaces():
        folder = asked.folder or Path(name)
        folder.mkdir(exist_ok=True)
        with Agents(folder) as agents, prometheus(asked.prometheus, folder):
            run(agents)
            draw(time.time())


if __name__ == "__main__":
    main()
