"""Namespaces with as many links as wanted, of veth pairs, and a way to keep them flapping."""

import itertools
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from support.namespace import Namespace

#: So many ``ip`` commands by one process: beyond it, the pipe is what is measured.
_BATCH = 2000


@contextmanager
def fleet(links: int) -> Iterator[Namespace]:
    """A namespace with so many links, all up: the loopback and veths v0, v1, … (v0 with v1, …)."""
    with Namespace() as namespace:
        commands = ["link set lo up"]
        for left in range(0, links - 1, 2):
            commands.append(f"link add v{left} type veth peer name v{left + 1}")
            commands += [f"link set v{left} up", f"link set v{left + 1} up"]
        for part in range(0, len(commands), _BATCH):
            namespace.batch(commands[part : part + _BATCH])
        yield namespace


@contextmanager
def flapping(namespace: Namespace, prefix: str, count: int) -> Iterator[None]:
    """Links PREFIX0 … go down and up as fast as one ``ip -batch`` makes them."""
    command = ["ip", "-n", namespace.name, "-batch", "-"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, text=True) as process:
        done = threading.Event()
        writer = threading.Thread(
            target=_write, args=(process, prefix, count, done), name="flapper", daemon=True
        )
        writer.start()
        try:
            yield
        finally:
            done.set()
            writer.join()
            process.communicate()


def _write(
    process: "subprocess.Popen[str]", prefix: str, count: int, done: threading.Event
) -> None:
    assert process.stdin is not None
    for number in itertools.cycle(range(count)):
        if done.is_set():
            return
        process.stdin.write(f"link set {prefix}{number} down\nlink set {prefix}{number} up\n")
