"""A throwaway network namespace: the real kernel, and never the machine's own interfaces.

Needs root. `Namespace.enter` moves the calling *thread* only (setns is per thread), so what
it opens there, sockets and files under /proc/sys/net, belongs to the namespace.
"""

import ctypes
import itertools
import json
import os
import platform
import re
import shlex
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from shutil import which
from typing import Any, Self

from requirements_here import require

from support.waiting import wait_until

_CLONE_NEWNET = 0x40000000
_THREAD_NAMESPACE = "/proc/thread-self/ns/net"
_PREFIX = f"ipix-test-{os.getpid()}-"
_serial = itertools.count(1)

#: The kernel's version. Since 6.2 a link can be renamed while it is up.
KERNEL = tuple(int(number) for number in re.findall(r"\d+", platform.release())[:2])

#: The links that a new namespace has beside ``lo`` where the modules of these tunnels are loaded.
FALLBACK_TUNNELS = {
    *("gre0", "gretap0", "erspan0", "tunl0", "sit0", "ip_vti0"),
    *("ip6gre0", "ip6tnl0", "ip6_vti0"),
}


def _setns(descriptor: int) -> None:
    """Move this thread. Python has os.setns only since 3.12."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, _CLONE_NEWNET):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def _checked(command: list[str], text: str | None = None) -> str:
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{shlex.join(command)}: {done.stderr.strip()}")
    return done.stdout


def _root_is_mounted() -> bool:
    """Return whether / is a mount point: it is none in a plain chroot."""
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    return any(line.split()[4] == "/" for line in mounts)


def remove_leftovers() -> list[str]:
    """Delete the namespaces that this process has made and not removed. Returns their names."""
    left = [place.name for place in Path("/run/netns").glob(f"{_PREFIX}*")]
    for name in left:
        _checked(["ip", "netns", "del", name])
    return left


class Namespace:
    """A uniquely named network namespace; `remove` it, or use it as a context manager."""

    def __init__(self) -> None:
        require(which("ip"), "iproute2: apt-get install iproute2")
        require(os.geteuid() == 0, "root, to make network namespaces")
        require(_root_is_mounted(), "a / that is a mount point, which ip-netns(8) needs")
        self.name = f"{_PREFIX}{next(_serial)}"
        try:
            _checked(["ip", "netns", "add", self.name])
        except RuntimeError as error:
            # Without the name, so that pytest reports it once for all tests.
            reason = str(error).partition(": ")[2]
            require(False, f"CAP_SYS_ADMIN, to make network namespaces ({reason})")
        except BaseException:  # interrupted: it may have been made
            self.remove()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    def remove(self) -> None:
        """Delete the namespace, and with it every interface in it."""
        with suppress(RuntimeError):  # gone already
            _checked(["ip", "netns", "del", self.name])

    def ip(self, arguments: str) -> str:
        """The output of ``ip`` with these arguments. Raises RuntimeError with its message."""
        return _checked(["ip", "-n", self.name, *shlex.split(arguments)])

    def batch(self, commands: Iterable[str]) -> None:
        """Many ``ip`` commands by one process: the fastest way to cause a storm."""
        _checked(["ip", "-n", self.name, "-batch", "-"], "\n".join(commands) + "\n")

    def run(self, command: str) -> str:
        """The output of any command, run inside. Raises RuntimeError with its message."""
        return _checked(["ip", "netns", "exec", self.name, *shlex.split(command)])

    def sysctl(self, name: str, value: int | str | None = None) -> str:
        """A setting below net, e.g. ``ipv4/conf/lo/forwarding``, after writing `value` if given."""
        path = Path("/proc/sys/net") / name
        with self.enter():
            if value is not None:
                path.write_text(f"{value}\n")
            return path.read_text().strip()

    @contextmanager
    def enter(self) -> Iterator[None]:
        """Run the calling thread inside the namespace for the length of the block."""
        home = os.open(_THREAD_NAMESPACE, os.O_RDONLY | os.O_CLOEXEC)
        try:
            inside = os.open(f"/run/netns/{self.name}", os.O_RDONLY | os.O_CLOEXEC)
            try:
                _setns(inside)
            finally:
                os.close(inside)
            try:
                yield
            finally:
                _setns(home)
        finally:
            os.close(home)

    # -- what other programs report of the same namespace ---------------------------------

    def links(self) -> dict[str, dict[str, Any]]:
        """``ip -details link``, by name."""
        return {link["ifname"]: link for link in json.loads(self.ip("-j -d link"))}

    def index(self, name: str) -> int:
        """The index of a link."""
        return int(self.links()[name]["ifindex"])

    def carrier_counts(self) -> dict[str, tuple[int, int]]:
        """(carrier_up_count, carrier_down_count) of every link in sysfs, by name."""
        files = "cd /sys/class/net && grep . */carrier_up_count */carrier_down_count"
        counts: dict[str, list[int]] = {}
        for line in self.run(f"sh -c '{files}'").splitlines():
            path, _, count = line.rpartition(":")
            counts.setdefault(path.partition("/")[0], []).append(int(count))
        return {name: (up, down) for name, (up, down) in counts.items()}

    def netconf(self) -> dict[tuple[str, str], dict[str, Any]]:
        """``ip netconf``: the IP interfaces, by family (``inet``, ``inet6``) and name."""
        return {
            (entry["family"], entry["interface"]): entry
            for entry in json.loads(self.ip("-j netconf"))
            if entry["interface"] not in ("all", "default")
        }

    def wait_up(self, *names: str) -> None:
        """Wait until these links are up and no notification of it is pending."""

        def up() -> bool:
            # Newer kernels end a pending change of the carrier before they reply about one link
            # (linkwatch_sync_dev); the list of all may be older.
            self.batch(f"link show dev {name}" for name in names)
            links = self.links()
            return all(links[name]["operstate"] == "UP" for name in names)

        wait_until(up, message=f"{names} are up", pause=0.05)

    def neighbor_timers(self) -> dict[tuple[str, str], dict[str, Any]]:
        """``ip ntable``: the timers of each IP interface, by family and name."""
        return {
            (entry["family"], entry["dev"]): entry
            for entry in json.loads(self.ip("-j ntable show"))
            if "dev" in entry
        }
