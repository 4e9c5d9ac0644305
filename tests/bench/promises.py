"""The times that are promised: of a stop, and of a scrape among clients that are slow.

Tests bound work, order and counts, which holds on any machine. These hold where there is time
to spare.
"""

import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from report import Size, heading, table
from support import certificates
from support.agent import Agent
from support.crowd import Crowd
from support.namespace import Namespace
from support.waiting import wait_until

from exporter.model import Family, Interface, InterfaceRow, Link, make_luid
from exporter.sources.recording import encode_present
from fleet import flapping, fleet

#: So many that their page does not fit into the system's buffers.
INTERFACES = 900
#: The beginning of a TLS handshake: a record that promises more than comes.
HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"


def run(size: Size) -> None:
    """Print the table."""
    times = 1 if size == "short" else 5
    clients = 50 if size == "short" else 500
    heading(f"Promised times, the longest of {times}")
    rows = [
        ("SIGTERM to exit, in a flap storm", _longest(times, _stop_in_a_storm), 1),
        (
            "SIGTERM to exit, with an OTLP endpoint that never answers",
            _longest(times, _stop_silent),
            5,
        ),
        ("SIGTERM to exit, while a password is compared", _longest(times, _stop_comparing), 5),
        (f"a scrape beside {clients} slow clients", _beside_a_crowd(clients, 12 * times), 1),
        (f"a scrape beside {clients} unfinished handshakes", _beside_handshakes(clients, times), 1),
    ]
    table(("", "s", "promised"), rows)


def _longest(times: int, measure: Callable[[], float]) -> float:
    return max(measure() for _ in range(times))


@contextmanager
def _flapping(*flags: str) -> Iterator[tuple[Namespace, Agent]]:
    """An agent that has counted much of a storm that goes on."""
    with (
        fleet(41) as namespace,
        Agent(*flags, namespace=namespace) as agent,
        flapping(namespace, "v", 40),
    ):
        wait_until(lambda: agent.scrape().sum("ip_interface_churn_total") > 500)
        yield namespace, agent


def _stop(agent: Agent) -> float:
    began = time.perf_counter()
    assert agent.stop(signal.SIGTERM) == 0
    return time.perf_counter() - began


def _stop_in_a_storm() -> float:
    with _flapping() as (_, agent):
        return _stop(agent)


def _stop_silent() -> float:
    with socket.create_server(("127.0.0.1", 0), backlog=100) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        flags = (f"--otlp.endpoint={endpoint}", "--otlp.metrics-interval=100ms")
        with Agent(*flags) as agent:
            connection, _ = silent.accept()
            with connection:
                return _stop(agent)


def _stop_comparing() -> float:
    users = f"basic_auth_users: {{alice: {certificates.WONDERLAND.replace('$10$', '$16$')}}}\n"
    with _configured(users) as agent:
        threads = Path(f"/proc/{agent.process.pid}/task")
        idle = len(list(threads.iterdir()))
        url = f"http://127.0.0.1:{agent.port}/"
        command = ["curl", "-s", "-u", "alice:oz", url]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL):
            wait_until(lambda: len(list(threads.iterdir())) > idle)
            return _stop(agent)


@contextmanager
def _configured(web: str) -> Iterator[Agent]:
    """An agent with this web configuration, and certificates beside it."""
    with tempfile.TemporaryDirectory() as folder:
        certificates.write_all(Path(folder))
        file = Path(folder) / "web.yml"
        file.write_text(web)
        with Agent(f"--web.config.file={file}") as agent:
            yield agent


def _beside_a_crowd(clients: int, times: int) -> float:
    with tempfile.NamedTemporaryFile("w") as recording:
        for i in range(1, INTERFACES + 1):
            link = Link(f"veth{i}", kind="veth")
            row = InterfaceRow(connected=True)
            veth = Interface(Family.IPV4, make_luid(6, i), i, link, row)
            recording.write(encode_present(veth, 1.0, 1.0))
        recording.flush()
        with Agent("replay", recording.name) as agent:
            agent.wait_for("ip_interfaces", INTERFACES, family="ipv4")
            with Crowd(("127.0.0.1", agent.port), clients) as crowd:
                wait_until(lambda: agent.get().status == 200)
                took = []
                for _ in range(times):
                    began = time.perf_counter()
                    assert agent.get().status == 200
                    took.append(time.perf_counter() - began)
                    crowd.harass()
                    time.sleep(0.05)  # twenty times as often as anybody scrapes
                return max(took)


def _beside_handshakes(clients: int, times: int) -> float:
    web = "tls_server_config: {cert_file: server.pem, key_file: server.key}\n"
    with _configured(web) as agent, ExitStack() as held:
        for number in range(clients):
            client = socket.create_connection(("127.0.0.1", agent.port))
            held.enter_context(client)
            client.sendall((b"", HELLO)[number % 2])
        took = []
        for _ in range(times):
            began = time.perf_counter()
            subprocess.run(
                ["curl", "-sSk", "-o", "/dev/null", f"https://localhost:{agent.port}/metrics"],
                check=True,
            )
            took.append(time.perf_counter() - began)
        return max(took)
