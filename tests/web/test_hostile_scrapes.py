"""Many scrapers at once, while interfaces change: each page is whole, and shows one state."""

import re
import threading
from collections.abc import Iterator

import pytest
from support.agent import Agent, Metrics
from support.consistency import contradictions, contradictions_between
from support.namespace import Namespace

CLIENTS, PAGES, PAIRS = 64, 3, 5
CHURN = re.compile(rb"^ip_interface_churn_total.*$", re.MULTILINE)
FORMATS = ("text/plain", "application/openmetrics-text;version=1.0.0")


@pytest.fixture
def flapping(namespace: Namespace) -> Iterator[Namespace]:
    """A namespace in which links flap, come and go, for as long as the test runs."""
    namespace.ip("link set lo up")
    namespace.batch(f"link add l{i} type veth peer name r{i}" for i in range(PAIRS))
    namespace.batch(f"link set {side}{i} up" for side in "lr" for i in range(PAIRS))
    done = threading.Event()

    def flap() -> None:
        count = 0
        while not done.is_set():
            count += 1
            namespace.batch(f"link set l{i} {way}" for i in range(PAIRS) for way in ("down", "up"))
            if count <= 10:
                namespace.batch(["link add x type veth peer name y", "link del x"])

    thread = threading.Thread(target=flap)
    thread.start()
    yield namespace
    done.set()
    thread.join()


def test_sixty_four_scrapers_amid_flaps_each_see_one_state(flapping: Namespace) -> None:
    """Every page of every client parses, contradicts neither itself nor the one before it."""
    bodies: list[list[bytes]] = [[] for _ in range(CLIENTS)]
    refused = []

    def scrape(number: int) -> None:
        headers = {"Accept": FORMATS[number % 2]}
        if number % 4 < 2:
            headers["Accept_Encoding"] = "gzip"
        pages = bodies[number]
        # Until the last page tells of more than the first: a busy machine may flap slowly.
        while len(pages) < PAGES or CHURN.findall(pages[0]) == CHURN.findall(pages[-1]):
            answer = agent.get(**headers)
            if answer.status == 200:
                pages[PAGES - 1 :] = [answer.body]
            else:
                refused.append(answer.status)

    # The retention outlasts the test, so that no series is removed between two pages.
    with Agent("--collector.retention=1d", namespace=flapping) as agent:
        agent.wait_for("ip_interface_exporter_source_up", 1)
        clients = [threading.Thread(target=scrape, args=(n,)) for n in range(CLIENTS)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        last = agent.scrape()
        assert agent.stop() == 0
        assert not [line for line in agent.log if "Traceback" in line]
    assert set(refused) <= {503}
    for number, received in enumerate(bodies):
        pages = [Metrics(body.decode()) for body in received]
        assert all(body.endswith(b"# EOF\n") == bool(number % 2) for body in received)
        for page in pages:
            assert contradictions(page) == []
        for before, after in zip(pages, [*pages[1:], last], strict=True):
            assert contradictions_between(before, after) == []
