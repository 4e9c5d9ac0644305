"""The instant until which a source has received: no later than any pending notification."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from standin import Standin
from support.listening import opened
from support.namespace import Namespace
from support.waiting import wait_until

from exporter.clock import SYSTEM
from exporter.model import NotificationType
from exporter.sources.contract import Source, SourceClosed
from exporter.sources.windows.source import WindowsSource


class Kernel:
    """A Linux source in a namespace, and a way to cause a notification."""

    def __init__(self, namespace: Namespace, source: Source) -> None:
        self.source = source
        self._namespace = namespace
        namespace.ip("link add name west type veth peer name east")

    def cause(self) -> None:
        """Cause a notification."""
        for how in ("up", "down"):
            self._namespace.ip(f"link set dev west {how}")
            self._namespace.ip(f"link set dev east {how}")
        # The kernel notifies of an MTU at once; it may merge the changes of the carrier.
        self._namespace.ip("link set dev west mtu 1400")


class Windows:
    """A Windows source over the stand-in."""

    def __init__(self, standin: Standin, source: Source) -> None:
        self.source = source
        self._standin = standin
        standin.add(3)

    def cause(self) -> None:
        """Cause a notification."""
        self._standin.change(3)
        self._standin.wait_idle()


@pytest.fixture(params=[Kernel, Windows])
def system(request: pytest.FixtureRequest) -> Iterator[Kernel | Windows]:
    """Each system."""
    if request.param is Kernel:
        with Namespace() as namespace, opened(namespace) as source:
            yield Kernel(namespace, source)
        return
    standin = Standin()
    windows = WindowsSource(library=standin.path)
    windows.open()
    try:
        yield Windows(standin, windows)
    finally:
        standin.wait_idle()
        windows.close()
        standin.reset()


def test_the_instant_is_no_later_than_a_pending_notification(system: Kernel | Windows) -> None:
    """From a receipt until the next receive, the instant is no later than the receipt."""
    system.cause()

    def received() -> bool:
        batch = system.source.receive(0.02)
        if batch:
            assert system.source.received_until() <= min(n.instant for n in batch)
        return any(n.type is NotificationType.PARAMETER for n in batch)

    wait_until(received, message="a parameter notification")


def test_while_a_source_waits_the_instant_is_now(system: Kernel | Windows) -> None:
    """A source that waits has returned every notification; the next ones are later."""
    source = system.source
    instants: list[float] = []

    def receive() -> None:
        try:
            while True:
                instants.extend(n.instant for n in source.receive(None))
        except SourceClosed:
            pass

    thread = threading.Thread(target=receive)
    thread.start()
    try:
        for _ in range(3):
            before = SYSTEM.monotonic()
            wait_until(lambda: source.received_until() > before, message="time passes")  # noqa: B023
        seen = len(instants)
        until = source.received_until()
        system.cause()
        wait_until(lambda: len(instants) > seen, message="a notification")
        assert min(instants[seen:]) >= until
    finally:
        source.close()
        thread.join()
