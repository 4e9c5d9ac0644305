"""Runs the agent as users do: in a process of its own, scraped over HTTP."""

import gzip
import http.client
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Self

from prometheus_client import parser
from prometheus_client.openmetrics import parser as openmetrics

from support.namespace import FALLBACK_TUNNELS, Namespace
from support.waiting import DEADLINE, wait_until

PROJECT = Path(__file__).parents[2]
_ADDRESS = re.compile(r"address=\S*?([0-9.]+|\[[0-9a-f:]+\]):([0-9]+)")


class Answer(NamedTuple):
    """An HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes


def fetch(port: int, path: str, headers: Mapping[str, str] | None = None) -> Answer:
    """The answer to a GET request to this computer, or to the namespace the thread is in."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE)
    try:
        names = {name.replace("_", "-"): value for name, value in (headers or {}).items()}
        connection.request("GET", path, headers=names)
        response = connection.getresponse()
        body = response.read()
        if response.getheader("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        return Answer(response.status, dict(response.getheaders()), body)
    finally:
        connection.close()


def _threads(pid: int) -> list[str]:
    """Return a line for each thread of a process: whether it hangs or waits for a processor.

    Source: https://docs.kernel.org/filesystems/proc.html,
    https://docs.kernel.org/scheduler/sched-stats.html
    """
    lines = [f"load average {Path('/proc/loadavg').read_text()}"]
    for task in Path(f"/proc/{pid}/task").glob("*"):
        with suppress(OSError):  # it has ended
            state = (task / "stat").read_text().rpartition(")")[2].split()[0]
            ran, waited, _ = (task / "schedstat").read_text().split()
            name, where, call = (
                (task / file).read_text().strip() for file in ("comm", "wchan", "syscall")
            )
            lines.append(
                f"thread {name}: state {state}, ran {int(ran) / 1e9:.1f} s, waited for a processor "
                f"{int(waited) / 1e9:.1f} s, in {where}, system call {call}\n"
            )
    return lines


class Metrics:
    """A scraped page, in either format: sums of samples by name and labels."""

    def __init__(self, page: str) -> None:
        self.samples: dict[str, list[tuple[dict[str, str], float]]] = defaultdict(list)
        read = openmetrics if page.endswith("# EOF\n") else parser
        for family in read.text_string_to_metric_families(page):
            for sample in family.samples:
                self.samples[sample.name].append((sample.labels, sample.value))

    def all(self, name: str, **labels: str) -> list[tuple[dict[str, str], float]]:
        """The samples that have these labels, among others."""
        return [s for s in self.samples.get(name, []) if labels.items() <= s[0].items()]

    def sum(self, name: str, **labels: str) -> float:
        """The sum over the samples that have these labels; 0 without any."""
        return sum(value for _, value in self.all(name, **labels))

    def grown(self, before: "Metrics", name: str, **labels: str) -> float:
        """How much the sum has grown since the page `before`."""
        return self.sum(name, **labels) - before.sum(name, **labels)

    def devices(self, name: str = "ip_interface_notifications_total") -> set[str]:
        """The devices that have samples of a metric, without `FALLBACK_TUNNELS`."""
        return {labels["device"] for labels, _ in self.samples.get(name, [])} - FALLBACK_TUNNELS


class Agent:
    """A running agent, in a namespace if one is given. Use it as a context manager."""

    #: Seconds in which the log must contain the port.
    start_timeout = DEADLINE

    def __init__(
        self, *arguments: str, namespace: Namespace | None = None, listen: str = "127.0.0.1:0"
    ) -> None:
        self.namespace = namespace
        inside = ["ip", "netns", "exec", namespace.name] if namespace else []
        self.command = [
            *inside,
            sys.executable,
            "-m",
            "exporter",
            *arguments,
            f"--web.listen-address={listen}",
        ]
        self.log: list[str] = []
        self.port = 0

    def __enter__(self) -> Self:
        #: On `time.perf_counter`.
        self.began = time.perf_counter()
        self.process = subprocess.Popen(
            self.command,
            cwd=PROJECT,
            stderr=subprocess.PIPE,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )
        self._begin()
        return self

    def _begin(self) -> None:
        """Wait until the log has the port. If it does not, end the process."""
        self._reader = threading.Thread(target=self._read_log, name="agent-log", daemon=True)
        self._reader.start()
        ended = self.process.poll
        try:
            wait_until(
                lambda: self.port or ended() is not None,
                self.start_timeout,
                "the log has the port",
            )
            assert self.port, "".join(self.log)
        except BaseException:
            self.process.kill()
            self.stop()
            raise

    def __exit__(self, *_: object) -> None:
        self.process.send_signal(signal.SIGCONT)
        self.stop()

    def stop(self, with_signal: int = signal.SIGTERM, timeout: float = DEADLINE) -> int:
        """Stop the agent with a signal. Returns its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(with_signal)
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"still running after {timeout} s\n{''.join(self.log)}") from None
        self._reader.join(DEADLINE)
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream:
                stream.close()
        return code

    def describe(self) -> str:
        """Return the end of the log, and the state of each thread of the process."""
        return "".join([*self.log[-20:], *_threads(self.process.pid)])

    def _read_log(self) -> None:
        assert self.process.stderr is not None
        for raw in self.process.stderr:
            line = raw.decode("utf-8", "replace")
            self.log.append(line)
            if not self.port and "istening" in line and (match := _ADDRESS.search(line)):
                self.port = int(match[2])

    def get(self, path: str = "/metrics", **headers: str) -> Answer:
        """The answer to a GET request."""
        if self.namespace is None:
            return fetch(self.port, path, headers)
        with self.namespace.enter():
            return fetch(self.port, path, headers)

    def scrape(self) -> Metrics:
        """The metrics page as of now."""
        answer = self.get()
        assert answer.status == 200, answer
        return Metrics(answer.body.decode())

    def wait_for(self, name: str, value: float, **labels: str) -> Metrics:
        """Wait until a sum has a value. Returns the page."""
        seen: list[float] = []

        def reached() -> Metrics | None:
            page = self.scrape()
            seen[:] = [page.sum(name, **labels)]
            return page if seen[0] == value else None

        return wait_until(reached, message=lambda: f"{name}{labels} == {value}, is {seen}")
