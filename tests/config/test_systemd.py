"""The unit as systemd sees it: its own checks, and a systemd that runs it, sandbox and all."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from functools import reduce
from operator import or_
from pathlib import Path

import pytest
from requirements_here import require
from support.agent import PROJECT
from support.namespace import Namespace
from support.systemd import UNIT, Pid1
from support.waiting import DEADLINE, wait_until

FOLDER = PROJECT / "config" / "systemd"
#: Tenths: 1.1 of 10. The rest is the host's network, its sockets, and no list of scrapers.
EXPOSURE = 11
UNIT_SOCKET = UNIT.replace(".service", ".socket")
CAP_NET_ADMIN = 12


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The units, with a program that exists in place of the installed one."""
    require(shutil.which("systemd-analyze"), "systemd-analyze: apt-get install systemd")
    for unit in FOLDER.glob("ip-interface-exporter.*"):
        text = unit.read_text().replace("ExecStart=/opt/ip-interface-exporter/bin/", "ExecStart=/")
        (tmp_path / unit.name).write_text(text.replace("=/ip-interface-exporter ", "=/bin/true "))
    return tmp_path


def analyze(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """What systemd-analyze says."""
    command = ["systemd-analyze", *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env=os.environ | environment
    )


def test_systemd_has_nothing_to_say(installed: Path) -> None:
    """``systemd-analyze verify`` is silent about service and socket."""
    done = analyze("verify", *sorted(installed.iterdir()))
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_systemd_has_nothing_to_say_of_the_template(installed: Path) -> None:
    """Nor about service and socket of a network namespace."""
    template = installed / "ip-interface-exporter@.service"
    template.write_text((installed / UNIT).read_text())
    (installed / f"{template.name}.d").mkdir()
    text = (FOLDER / "namespace.conf").read_text()
    program = "ExecStart=/opt/ip-interface-exporter/bin/ip-interface-exporter"
    (installed / f"{template.name}.d" / "namespace.conf").write_text(
        text.replace(program, "ExecStart=/bin/true")
    )
    shutil.copy(FOLDER / "ip-interface-exporter@.socket", installed)
    port = installed / "ip-interface-exporter@blue.socket.d" / "port.conf"
    port.parent.mkdir()
    port.write_text("[Socket]\nListenStream=10191\n")
    done = analyze(
        "verify",
        *(installed / f"ip-interface-exporter@blue.{kind}" for kind in ("service", "socket")),
        SYSTEMD_UNIT_PATH=f"{installed}:",
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_little_is_exposed(installed: Path) -> None:
    """``systemd-analyze security`` rates the service as it did when that was decided."""
    done = analyze("security", "--offline=true", f"--threshold={EXPOSURE}", installed / UNIT)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def lively(namespace: Namespace) -> Namespace:
    """A namespace with a pair of interfaces, whose loopback is up."""
    namespace.ip("link set lo up")
    namespace.ip("link add a0 type veth peer name b0")
    return namespace


def status_of(pid1: Pid1) -> dict[str, str]:
    """What the kernel says of the agent's process."""
    text = pid1.run("cat", f"/proc/{pid1.show('MainPID')}/status")
    return dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)


def capabilities(status: dict[str, str]) -> int:
    """All that it has or could get."""
    names = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
    return reduce(or_, (int(status[name], 16) for name in names))


@pytest.fixture
def pid1(lively: Namespace, tmp_path: Path) -> Iterator[Pid1]:
    """A systemd that runs the unit, with a log file and more time to stop."""
    with Pid1(lively, tmp_path) as made:
        yield made


def test_it_works_in_its_sandbox_and_is_supervised(pid1: Pid1, lively: Namespace) -> None:
    """Real systemd: ready when ready, counting unprivileged, reloaded, watched, restarted."""
    pid1.wait_active()
    assert pid1.show("StatusText") == "Listening on [::]:10190"

    status = status_of(pid1)
    assert status["Uid"].split()[0] != "0"
    assert capabilities(status) == 0
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"

    before = time.time()
    lively.batch(["link set a0 up", "link set b0 up"])
    wait_until(
        lambda: pid1.scrape().sum("ip_interface_connected", device="a0") == 2,
        message="what happens is seen",
    )
    page = pid1.scrape()
    assert abs(page.sum("process_start_time_seconds") - before) < DEADLINE
    assert page.sum("process_resident_memory_bytes") < 80e6

    pid1.ctl("reload", UNIT)
    assert pid1.show("ActiveState") == "active"
    assert page.sum("ip_interface_exporter_config_last_reload_successful") == 1

    assert pid1.show("NRestarts") == "0"
    shorter = pid1.units / f"{UNIT}.d" / "watchdog.conf"
    shorter.write_text("[Service]\nWatchdogSec=8s\n")
    pid1.ctl("daemon-reload")
    pid1.ctl("restart", UNIT)
    pid1.wait_active()
    hung = pid1.show("MainPID")
    shorter.unlink()  # for the next process; this one keeps it
    pid1.ctl("daemon-reload")
    pid1.run("kill", "-STOP", hung)
    wait_until(lambda: pid1.show("NRestarts") != "0", message="the watchdog ends what hangs")
    pid1.wait_active()
    assert pid1.show("MainPID") != hung
    assert pid1.scrape().sum("ip_interface_connected", device="a0") == 2

    pid1.ctl("stop", UNIT)
    assert pid1.show("Result") == "success", pid1.describe()
    log = pid1.log_file.read_text().splitlines()
    errors = [line for line in log if "level=error" in line]
    # As the agent does when a busy machine keeps a part of it from its work.
    assert all("Watchdog pings to systemd suspended" in line for line in errors), errors


def indented(unit: str) -> str:
    """The drop-in that a comment of this unit shows."""
    lines = (FOLDER / unit).read_text().splitlines()
    return "\n".join(line[4:] for line in lines if line.startswith("#   "))


def test_the_optional_parts_do_what_they_say(lively: Namespace, tmp_path: Path) -> None:
    """With them, systemd's own socket is served, and the receive buffer is what was asked for.

    A push loads gRPC, the largest piece of foreign code there is: the sandbox lets it work, too.
    """
    optional = ((FOLDER / "receive-buffer.conf").read_text(), indented(UNIT_SOCKET))
    push = "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1 OTEL_EXPORTER_OTLP_PROTOCOL=grpc"
    with Pid1(lively, tmp_path, *optional, f"[Service]\nEnvironment={push}\n") as pid1:
        pid1.wait_active()
        assert pid1.ctl("show", "--property=SubState", "--value", UNIT_SOCKET) == "running"
        assert capabilities(status_of(pid1)) == 1 << CAP_NET_ADMIN
        page = pid1.scrape()
        # The kernel doubles what it is given.
        assert page.sum("ip_interface_exporter_receive_buffer_bytes") == 2 * (32 << 20)
        lively.batch(["link set a0 up", "link set b0 up"])
        wait_until(
            lambda: pid1.scrape().sum("ip_interface_exporter_otlp_items_total", result="accepted"),
            message="what happens goes to the push",
        )
        pid1.ctl("stop", UNIT)
        assert pid1.show("Result") == "success", pid1.describe()


def commands(file: str) -> list[str]:
    """The shell commands that the comment of this file shows."""
    lines = (FOLDER / file).read_text().splitlines()
    return [line[4:] for line in lines if line.startswith("#   ")]


def test_each_network_namespace_has_its_exporter_on_the_hosts_address(
    lively: Namespace, tmp_path: Path
) -> None:
    """Installed as documented, it sees the namespace only, names it, and is scraped on the host."""
    unit = "ip-interface-exporter@blue.service"
    with Pid1(lively, tmp_path) as pid1:
        pid1.wait_active()
        # Beside systemd, /run/netns is its own.
        script = "\n".join(["set -e", *commands("namespace.conf")[:-1]])
        script = script.replace("/etc/systemd/system", str(pid1.units))
        pid1.run("sh", "-c", f"cd {PROJECT} && {script}")
        (pid1.units / "ip-interface-exporter@.service.d" / "tests.conf").write_text(pid1.settings)
        pid1.ctl("daemon-reload")

        # Not there yet: it is tried again.
        pid1.ctl("start", "--no-block", unit)
        wait_until(lambda: pid1.show("NRestarts", unit) not in ("", "0"), message="tried again")
        pid1.run("ip", "netns", "add", "blue")
        pid1.run("ip", "-n", "blue", "link", "add", "c0", "type", "veth", "peer", "name", "d0")
        pid1.wait_active(unit=unit)

        ours, theirs = pid1.scrape(), pid1.scrape(10191)
        assert theirs.sum("ip_interface_exporter_namespace_info", netns="blue") == 1
        assert theirs.sum("ip_interfaces", family="ipv4") == 3  # lo, c0, d0
        assert theirs.sum("ip_interface_connected", device="c0") == 0
        assert ours.sum("ip_interface_exporter_namespace_info", netns="blue") == 0
        assert ours.sum("ip_interface_exporter_namespace_info") == 1

        for device in ("c0", "d0"):
            pid1.run("ip", "-n", "blue", "link", "set", device, "up")
        wait_until(
            lambda: pid1.scrape(10191).sum("ip_interface_connected", device="c0") == 2,
            message="what happens in the namespace is seen",
        )
        status = pid1.run("cat", f"/proc/{pid1.show('MainPID', unit)}/status")
        assert "Uid:\t0\t" not in status

        pid1.ctl("stop", unit)
        assert pid1.show("Result", unit) == "success", pid1.describe(unit)
