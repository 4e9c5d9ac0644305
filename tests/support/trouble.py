"""Loads an agent in every way at once: each way is a thread that runs until the block ends.

The counts of a thread are complete after the block; its failure is raised there.
"""

import http.client
import itertools
import re
import signal
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from exporter.web.admission import Limits
from support.agent import Agent, Metrics
from support.consistency import contradictions_between
from support.crowd import Crowd
from support.namespace import Namespace
from support.otlp_receiver import HttpReceiver

PAIRS = 10
WAVE = 25
#: Seconds for which the OTLP receiver is there, longer than a pause between two tries, and then
#: away, the longest beyond the time limit of a batch.
THERE, AWAY = 10.0, (1.0, 2.0, 15.0)
#: In a namespace every port is free.
OTLP_PORT = 4318
CROWD = 100  # a third of which takes no answer: less than may be in flight

#: Reloads change the settings of waves and guests alone: the flapping links stay on the page,
#: and only the guests are counted at some times and not at others.
GOOD = (
    "",
    "collector: {exclude: 'g.*'}\n",
    "groups: [{name: waves, match: 'w.*'}]\n",
    "collector: {retention: 2s, exclude-kinds: [bridge]}\n",
    "log: {format: json}\n",
)
BAD = ("collector: {exclude: '('}\n", "collector: [\n", "colector: {}\n", "a: &a [*a]\n", "\0")

FORMATS = ("text/plain", "application/openmetrics-text;version=1.0.0")
#: Seconds that the agent gives a client, for the request and for reading the response.
_LIMITS = (Limits().request_seconds, Limits().crowded_response_seconds)
_PASSING = re.compile(r'device="[wg]')
_BAD_REQUESTS = (
    b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
    b"GET /" + b"a" * 40_000,
    b"HEAD / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
    b"\0" * 100,
    b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n" + b"a" * 100_000,
)


class Trouble:
    """The load of an agent, with counts."""

    def __init__(self, agent: Agent, namespace: Namespace, config: Path) -> None:
        self._agent, self._namespace, self._config = agent, namespace, config
        self._done = threading.Event()
        #: How often each thing was done.
        self.counts: Counter[str] = Counter()
        #: Seconds that scrapes took.
        self.scrapes: list[float] = []
        #: OTLP items that arrived, by signal.
        self.arrived: Counter[str] = Counter()
        #: What should not have happened.
        self.wrong: list[str] = []

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """All of it, for the length of the block."""
        jobs: list[tuple[Callable[[], None], float]] = [
            (self._flap, 0.05),
            (self._wave, 0.2),
            (self._guests, 0.3),
            (self._reload, 0.5),
            (self._bad_request, 0.02),
            (self._pipeline, 0.1),
            (self._receive, 0),
            *((self._scraper(number), 0.1) for number in range(4)),
        ]
        threads = [threading.Thread(target=self._repeat, args=job) for job in jobs]
        threads.append(threading.Thread(target=self._crowd))
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._done.set()
            for thread in threads:
                thread.join()
            self._load("")

    def _repeat(self, act: Callable[[], None], pause: float) -> None:
        try:
            with self._namespace.enter():
                while not self._done.wait(pause):
                    act()
        except Exception as error:  # noqa: BLE001 (reported at the end)
            self.wrong.append(f"{act}: {error!r}\n{self._agent.describe()}")

    def _flap(self) -> None:
        ways = ("down", "up")
        self._namespace.batch(f"link set l{i} {way}" for i in range(PAIRS) for way in ways)
        self.counts["flaps"] += PAIRS

    def _wave(self) -> None:
        names = range(WAVE)
        self._namespace.batch(f"link add w{i} type veth peer name wp{i}" for i in names)
        self._namespace.batch(f"link set w{i} up" for i in names)
        self._namespace.batch(f"link del w{i}" for i in names)
        self.counts["waves"] += 1

    def _guests(self) -> None:
        self._namespace.batch(["link add g type veth peer name gp", "link set g up"])
        self._namespace.batch(["link set g down", "link del g"])
        self.counts["guests"] += 1

    def _reload(self) -> None:
        number = self.counts["reloads"]
        files = [good_or_bad for pair in zip(GOOD, BAD, strict=True) for good_or_bad in pair]
        self._load(files[number % len(files)])
        self.counts["reloads"] += 1

    def _load(self, text: str) -> None:
        self._config.write_text(text)
        self._agent.process.send_signal(signal.SIGHUP)

    def _bad_request(self) -> None:
        request = _BAD_REQUESTS[self.counts["bad requests"] % len(_BAD_REQUESTS)]
        with suppress(OSError), socket.create_connection(("127.0.0.1", self._agent.port), 5) as bad:
            bad.sendall(request)
            if self.counts["bad requests"] % 2:  # a reset instead of an end
                _reset(bad)
            else:
                bad.recv(1000)
        self.counts["bad requests"] += 1

    def _pipeline(self) -> None:
        path = ("metrics", "", "nothing")[self.counts["pipelines broken off"] % 3]
        with suppress(OSError), socket.create_connection(("127.0.0.1", self._agent.port), 5) as bad:
            bad.sendall(f"GET /{path} HTTP/1.1\r\nHost: x\r\n\r\n".encode() * 100)
            if self.counts["pipelines broken off"] % 2:
                _reset(bad)
        self.counts["pipelines broken off"] += 1

    def _receive(self) -> None:
        with self.receiver():
            self._done.wait(THERE)
        self._done.wait(AWAY[self.counts["receivers gone"] % len(AWAY)])
        self.counts["receivers gone"] += 1

    @contextmanager
    def receiver(self) -> Iterator[None]:
        """An OTLP receiver for the length of the block. The thread is in the namespace."""
        with HttpReceiver(OTLP_PORT) as receiver:
            yield
        self.arrived["traces"] += sum(len(span.events) for span in receiver.spans())
        self.arrived["logs"] += len(receiver.records())

    def _crowd(self) -> None:
        try:
            with (
                self._namespace.enter(),
                Crowd(("127.0.0.1", self._agent.port), CROWD) as crowd,
            ):
                while not self._done.wait(0.1):
                    self.counts["slow clients given up"] += crowd.harass()
        except Exception as error:  # noqa: BLE001 (reported at the end)
            self.wrong.append(f"crowd: {error!r}")

    def _scraper(self, number: int) -> Callable[[], None]:
        headers = {"Accept": FORMATS[number % 2]}
        if number < 2:
            headers["Accept_Encoding"] = "gzip"
        before: list[Metrics] = []
        turns = itertools.count()

        def scrape() -> None:
            began = time.monotonic()
            try:
                answer = self._agent.get(**headers)
            except (ConnectionResetError, BrokenPipeError, http.client.HTTPException):
                if time.monotonic() - began < min(_LIMITS):
                    raise
                # A busy machine kept this client from its request, or from reading the answer.
                self.counts["scrapes too slow for the agent"] += 1
                return
            self.scrapes.append(time.monotonic() - began)
            self.counts[f"scrapes {answer.status}"] += 1
            # Reading a page costs more than making one: not every one is.
            if answer.status == 200 and not next(turns) % 20:
                page = Metrics(_lasting(answer.body.decode()))
                for last in before:
                    self.wrong += contradictions_between(last, page)
                before[:] = [page]

        return scrape


def _reset(connection: socket.socket) -> None:
    """Let the next close send a reset, as a client that is killed does."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _lasting(page: str) -> str:
    """Return the samples that no wave, guest or reload changes."""
    return "".join(line for line in page.splitlines(True) if not _PASSING.search(line))
