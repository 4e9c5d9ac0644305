"""Links that change as fast as the kernel does it: a small C program, compiled when needed."""

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from support.namespace import Namespace
from support.waiting import wait_until

from fleet import fleet


class Sender(NamedTuple):
    """A namespace with veth pairs that are up and have addresses; changes one end of each."""

    namespace: Namespace
    program: str
    indices: list[str]

    def flap(self, operations: int, per_second: int = 0) -> float:
        """Switch links down and up, about so many times in all. Returns the seconds it took."""
        return self._send("flag", operations, per_second)

    def touch(self, operations: int) -> float:
        """Change their txqueuelen: the cheapest change that the kernel announces."""
        return self._send("queue", operations, 0)

    def _send(self, how: str, operations: int, per_second: int) -> float:
        rounds = max(1, operations // 2 // len(self.indices))
        command = f"{self.program} {rounds} {per_second} {how} {' '.join(self.indices)}"
        return float(self.namespace.run(command).split()[1])


@contextmanager
def sender(pairs: int) -> Iterator[Sender]:
    """A sender over so many pairs."""
    with fleet(2 * pairs + 1) as namespace, tempfile.TemporaryDirectory() as folder:
        program = f"{folder}/flap"
        source = Path(__file__).with_name("flap.c")
        subprocess.run(["gcc", "-O2", "-o", program, source], check=True)

        def addresses_assigned() -> bool:
            addresses = namespace.ip("-6 -o address show scope link -tentative")
            return len(addresses.splitlines()) == 2 * pairs

        wait_until(addresses_assigned, message="every link has its IPv6 address")
        links = namespace.links()
        indices = [str(links[f"v{left}"]["ifindex"]) for left in range(0, 2 * pairs, 2)]
        yield Sender(namespace, program, indices)
