"""Runs a systemd for tests: process 1 of its own namespaces, with the unit under test.

Nothing of the machine is touched: mounts, processes, network and control group are private
and vanish with it. The exporter is at the place that the unit names, /opt and /etc being
covered; Python is bound to where the unit's sandbox can see it (not below /root or /tmp).
"""

import os
import shutil
import signal
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Self

from requirements_here import require

from support.agent import PROJECT, Metrics, fetch
from support.namespace import Namespace
from support.waiting import DEADLINE, wait_until

SYSTEMD = Path("/lib/systemd/systemd")
UNIT = "ip-interface-exporter.service"
_TARGETS = ("sysinit", "basic", "multi-user", "shutdown", "network-pre", "sockets")
_SCRIPT = """
set -e
mount --make-rprivate /
mount -t tmpfs -o mode=755 tests /mnt
mkdir -p /mnt/python /mnt/site /mnt/project /mnt/etc /mnt/work
mount --bind {python} /mnt/python
mount --bind {site} /mnt/site
mount --bind {project} /mnt/project
mount -t overlay -o lowerdir=/etc,upperdir=/mnt/etc,workdir=/mnt/work etc /etc
mkdir /etc/ip-interface-exporter
cp /mnt/project/config/ip-interface-exporter.yml /etc/ip-interface-exporter/
mount -t tmpfs -o mode=755 opt /opt
mkdir -p /opt/ip-interface-exporter/bin
cat > /opt/ip-interface-exporter/bin/ip-interface-exporter <<'END'
#!/bin/sh
export LD_LIBRARY_PATH=/mnt/python/lib PYTHONPATH=/mnt/project:/mnt/site
exec /mnt/python/bin/{name} -B -m exporter "$@"
END
chmod 755 /opt/ip-interface-exporter/bin/ip-interface-exporter
mount -t tmpfs -o mode=755 run /run
mkdir -p /run/systemd /run/lock
mount -t cgroup2 none /sys/fs/cgroup
exec {systemd} --system --unit=default.target
"""


class Pid1:
    """systemd, running the unit. Use it as a context manager, in a namespace with lo up."""

    def __init__(self, namespace: Namespace, folder: Path, *drop_ins: str) -> None:
        require(SYSTEMD.exists(), "systemd: apt-get install systemd")
        require(shutil.which("unshare"), "unshare: apt-get install util-linux")
        self.namespace = namespace
        self.log_file = folder / "log"
        self._units = folder / "units"
        self._cgroup = _cgroup2() / f"ipix-test-{os.getpid()}"
        shutil.copytree(PROJECT / "config" / "systemd", self._units)
        for name in _TARGETS:
            self._write(f"{name}.target", "[Unit]\nDefaultDependencies=no\n")
        self._write("default.target", f"[Unit]\nDefaultDependencies=no\nWants={UNIT}\n")
        self._write(f"{UNIT}.d/tests.conf", self.settings)
        for number, text in enumerate(drop_ins):
            self._write(f"{UNIT}.d/{number}.conf", text)

    @property
    def units(self) -> Path:
        """The folder of the units; ``systemctl daemon-reload`` takes what is written there."""
        return self._units

    @property
    def settings(self) -> str:
        """The drop-in of every service: a log file, and time to stop on a busy machine."""
        return f"[Service]\nStandardError=append:{self.log_file}\nTimeoutStopSec={DEADLINE:.0f}s\n"

    def _write(self, name: str, text: str) -> None:
        (self._units / name).parent.mkdir(exist_ok=True)
        (self._units / name).write_text(text)

    def __enter__(self) -> Self:
        try:
            self._cgroup.mkdir()
        except OSError as error:
            require(False, f"a control group of its own ({error})")
        script = _SCRIPT.format(
            python=sys.base_prefix,
            site=sysconfig.get_path("purelib"),
            project=PROJECT,
            name=f"python{sys.version_info.major}.{sys.version_info.minor}",
            systemd=SYSTEMD,
        )
        namespaces = ["--mount", "--pid", "--ipc", "--uts", "--cgroup", "--fork", "--mount-proc"]
        enter = f'echo $$ > "$0/cgroup.procs" && exec unshare {" ".join(namespaces)} '
        self._process = subprocess.Popen(
            ["nsenter", f"--net=/run/netns/{self.namespace.name}", "sh",
             "-c", f'{enter} --kill-child sh -c "$1"', self._cgroup, script],
            env={"PATH": os.environ["PATH"], "container": "tests",
                 "SYSTEMD_UNIT_PATH": str(self._units)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )  # fmt: skip
        return self

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGKILL)  # and with it process 1, and with that all
        self._process.communicate()

        def gone() -> bool:
            for folder, _, _ in os.walk(self._cgroup, topdown=False):
                try:
                    os.rmdir(folder)
                except OSError:
                    return False
            return True

        wait_until(gone, message="the control group is empty")

    def ctl(self, *arguments: str) -> str:
        """Return the output of systemctl; empty while systemd does not answer yet."""
        return self.run("systemctl", *arguments)

    def run(self, *inside: str) -> str:
        """Return the output of a program run beside systemd; empty while there is none."""
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        assert self._process.poll() is None, self._process.communicate()[0]
        init = children.read_text().split()
        if not init:
            return ""
        command = ["nsenter", f"--target={init[0]}", "--mount", "--pid", *inside]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()

    def show(self, name: str, unit: str = UNIT) -> str:
        """A property of a unit."""
        return self.ctl("show", f"--property={name}", "--value", unit)

    def wait_active(self, timeout: float = DEADLINE, unit: str = UNIT) -> None:
        """Wait until the unit is active, that is, has notified READY=1."""
        try:
            wait_until(lambda: self.show("ActiveState", unit) == "active", timeout)
        except AssertionError:
            raise AssertionError(self.describe(unit)) from None

    def describe(self, unit: str = UNIT) -> str:
        """Return the status and the log of the unit."""
        log = self.log_file.read_text() if self.log_file.exists() else ""
        return f"{self.ctl('status', '--no-pager', unit)}\n{log}"

    def scrape(self, port: int = 10190) -> Metrics:
        """The metrics page as of now."""
        with self.namespace.enter():
            return Metrics(fetch(port, "/metrics").body.decode())


def _cgroup2() -> Path:
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, place, kind, *_ = line.split()
        if kind == "cgroup2":
            return Path(place)
    require(False, "a cgroup2 file system")
    raise AssertionError
