"""What the API does when the system fails it: beside the contract, see the other modules."""

from __future__ import annotations

import errno
import threading
from collections.abc import Iterator
from contextlib import closing

import pytest
from calls import Calls
from standin import Standin
from support.namespace import Namespace
from support.waiting import DEADLINE, wait_until

from exporter.bindings.netioapi import AF_INET
from exporter.bindings.rtnetlink_socket import Requester
from exporter.bindings.winerror import IpHelperError
from exporter.model import Family, Interface, Notification, NotificationType, make_luid
from exporter.notify import NotificationHandle
from exporter.notify.linux import LinuxBackend
from exporter.notify.windows import IpHelperBackend
from exporter.sources import contract
from exporter.sources.contract import Health, SourceClosed
from exporter.sources.windows import source as windows


class ScriptedSource:
    """A source that gives what it is told to, or raises it."""

    backend = "script"

    def __init__(self, *script: list[Notification] | Exception) -> None:
        self.health = Health()
        self.read_keys: list[tuple[Family, int]] = []
        self._script = list(script)
        self._closed = threading.Event()

    def open(self) -> None:
        """Nothing to open."""

    def receive(self, timeout: float | None) -> list[Notification]:
        """The next item; after the last, wait to be closed."""
        if not self._script:
            self._closed.wait(timeout)
            raise SourceClosed
        item = self._script.pop(0)
        if isinstance(item, Exception):
            raise item
        return item

    def received_until(self) -> float:
        """Nobody publishes it."""
        return 0.0

    def interface(self, family: Family, luid: int) -> Interface | None:
        """Note what is read."""
        self.read_keys.append((family, luid))
        return None

    def interfaces(self, family: Family = Family.UNSPEC) -> list[Interface]:
        """Nothing."""
        return []

    def close(self) -> None:
        """End `receive`."""
        self._closed.set()


def notification(
    notification_type: NotificationType, luid: int = 3, inferred: bool = False
) -> Notification:
    """A notification without a row."""
    return Notification(notification_type, Family.IPV4, luid, 3, 0.0, 0.0, inferred=inferred)


def deliver(source: ScriptedSource) -> tuple[NotificationHandle, Calls]:
    """A started registration with a source."""
    calls = Calls()
    handle = NotificationHandle(source, calls, None, initial=False)
    handle.start()
    return handle, calls


# -- the dispatcher -------------------------------------------------------------------------


def test_failing_receive_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One failing receive is logged, and what comes after it is delivered."""
    monkeypatch.setattr(contract, "RETRY_SECONDS", 0.0)
    source = ScriptedSource(
        [notification(NotificationType.ADD)],
        OSError("out of order"),
        [notification(NotificationType.DELETE)],
    )
    handle, calls = deliver(source)
    calls.wait(2)
    handle.cancel()
    assert [call.type for call in calls.all] == [NotificationType.ADD, NotificationType.DELETE]
    assert "out of order" in caplog.text


def test_cancel_ends_the_wait_after_a_failure() -> None:
    """A cancel does not wait until a failing source is tried again."""
    handle, _ = deliver(ScriptedSource(OSError("out of order")))
    handle.cancel()


def test_refresh_is_no_notification() -> None:
    """What is none in the contract's sense is not called back; what is inferred is."""
    batch = [
        notification(NotificationType.REFRESH),
        notification(NotificationType.PARAMETER, inferred=True),
        notification(NotificationType.REFRESH),
    ]
    handle, calls = deliver(ScriptedSource(batch, [notification(NotificationType.DELETE)]))
    calls.wait(type=NotificationType.DELETE)
    handle.cancel()
    assert [call.type for call in calls.all] == [
        NotificationType.PARAMETER,
        NotificationType.DELETE,
    ]


def test_rows_are_read_for_the_comparison() -> None:
    """The source reads what it told of, once for a batch, and nothing that is gone."""
    batch = [
        notification(NotificationType.ADD, 3),
        notification(NotificationType.PARAMETER, 3),
        notification(NotificationType.PARAMETER, 4),
    ]
    source = ScriptedSource(
        [*batch, notification(NotificationType.DELETE, 5)],
        [notification(NotificationType.DELETE, 9)],
    )
    handle, calls = deliver(source)
    calls.wait(5)
    handle.cancel()
    assert sorted(source.read_keys) == [(Family.IPV4, 3), (Family.IPV4, 4)]


# -- Windows --------------------------------------------------------------------------------


@pytest.fixture(name="standin")
def _standin() -> Iterator[Standin]:
    standin = Standin()
    yield standin
    assert (standin.tables, standin.registrations) == (0, 0)
    standin.reset()


def test_comparison_repeats_nothing(standin: Standin, monkeypatch: pytest.MonkeyPatch) -> None:
    """What Windows told is not found again by the comparison; what it kept to itself is."""
    standin.put(AF_INET, 3)
    calls = Calls()
    source = IpHelperBackend(standin.path).register(Family.UNSPEC)
    handle = NotificationHandle(source, calls, None, initial=False)
    handle.start()
    standin.add(4)
    standin.change(3, NlMtu=1400)
    calls.wait(2)
    monkeypatch.setattr(windows, "RECONCILE_SECONDS", 0.0)
    standin.put(AF_INET, 4, NlMtu=1300)  # without a notification
    standin.notify(NotificationType.DELETE, AF_INET, 9)
    calls.wait(index=4, type=NotificationType.PARAMETER)
    handle.cancel()
    assert sorted(calls.about(3) + calls.about(4)) == [
        (NotificationType.PARAMETER, AF_INET),
        (NotificationType.PARAMETER, AF_INET),
        (NotificationType.ADD, AF_INET),
    ]


def test_cancel_that_the_system_refuses(standin: Standin, caplog: pytest.LogCaptureFixture) -> None:
    """When Windows will not cancel, that is logged, and no callback comes all the same."""
    calls = Calls()
    source = IpHelperBackend(standin.path).register(Family.UNSPEC)
    handle = NotificationHandle(source, calls, None, initial=False)
    handle.start()
    standin.fail("CancelMibChangeNotify2", 31)
    handle.cancel()
    standin.add(3)
    standin.wait_idle()
    assert calls.all == []
    (failed,) = [r.__dict__["fields"] for r in caplog.records if r.levelname == "WARNING"]
    assert "CancelMibChangeNotify2 failed: 31" in str(failed["error"])
    standin.reset()


# -- Linux ----------------------------------------------------------------------------------


@pytest.fixture(name="backend")
def _backend(namespace: Namespace) -> Iterator[LinuxBackend]:
    with namespace.enter():
        yield LinuxBackend()


def refusing(method: str, error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a method of the socket that asks fail."""

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(Requester, method, fail)


@pytest.mark.parametrize(
    ("code", "status"),
    [(errno.ENOBUFS, 8), (errno.ENOMEM, 8), (errno.EPERM, 5), (errno.EAFNOSUPPORT, 50)],
)
def test_errors_of_the_kernel(
    backend: LinuxBackend, monkeypatch: pytest.MonkeyPatch, code: int, status: int
) -> None:
    """An errno that has a documented code is raised as that, from the kernel's error."""
    refusing("links", OSError(code, "no"), monkeypatch)
    for call in (backend.link_table, backend.stack_table, lambda: backend.interface_table(0)):
        with pytest.raises(IpHelperError) as caught:
            call()
        assert caught.value.winerror == status
        assert isinstance(caught.value.__cause__, OSError)


def test_other_errors_of_the_kernel(backend: LinuxBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    """An errno without a documented code stays what it is."""
    refusing("links", TimeoutError(errno.ETIMEDOUT, "no answer"), monkeypatch)
    with pytest.raises(TimeoutError, match="no answer"):
        backend.link_table()


def test_computer_without_ipv6(backend: LinuxBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel that runs without IPv6 has no table of it: ERROR_NOT_SUPPORTED."""
    monkeypatch.setattr("exporter.notify.linux._IPV6", "/proc/net/no such file")
    with pytest.raises(IpHelperError) as caught:
        backend.interface_table(Family.IPV6)
    assert caught.value.winerror == 50
    assert {entry.ifindex for entry in backend.interface_table(Family.IPV4)} >= {1}


def test_no_interfaces(backend: LinuxBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table without rows is ERROR_NOT_FOUND; a namespace has at least its loopback."""
    monkeypatch.setattr(Requester, "links", lambda *_: [])
    with pytest.raises(IpHelperError) as caught:
        backend.interface_table(Family.UNSPEC)
    assert caught.value.winerror == 1168


def test_index_beyond_24_bits(backend: LinuxBackend, namespace: Namespace) -> None:
    """A link with a large index is read and listed like any other, by index and by LUID."""
    index = (1 << 24) + 7
    namespace.ip(f"link add far index {index} type bridge")
    entry = backend.link_entry(0, index)
    assert (entry.link.name, entry.luid) == ("far", make_luid(6, index))
    assert backend.link_entry(entry.luid, 0) == entry
    assert entry in backend.link_table()
    assert backend.interface_entry(Family.IPV6, entry.luid, 0).ifindex == index
    assert "far" in {entry.link.name for entry in backend.interface_table(Family.UNSPEC)}


def test_reads_in_a_storm(backend: LinuxBackend, namespace: Namespace) -> None:
    """Links that come and go all the time keep nobody from reading or registering."""
    namespace.batch(f"link add name a{i} type veth peer name b{i}" for i in range(30))
    lasting = set(namespace.links())
    ended = threading.Event()

    def storm() -> None:
        while not ended.is_set():
            namespace.batch(c for _ in range(9) for c in ("link add s type ifb", "link del s"))

    thread = threading.Thread(target=storm)
    thread.start()
    try:
        for _ in range(10):
            backend.register(Family.UNSPEC).close()
            for table in (backend.link_table(), backend.interface_table(Family.UNSPEC)):
                names = {entry.link.name for entry in table}
                assert lasting <= names <= lasting | {"s"}
    finally:
        ended.set()
        thread.join()


def test_luids_of_reads_and_notifications_agree(
    backend: LinuxBackend, namespace: Namespace
) -> None:
    """A link that took over an index is read under the LUID under which it was added."""
    calls = Calls()
    handle = NotificationHandle(backend.register(Family.IPV4), calls, None, initial=False)
    handle.start()
    try:
        for life in range(3):
            namespace.ip("link add west index 50 type ifb")
            calls.wait(life + 1, index=50, type=NotificationType.ADD)
            added = [call.row for call in calls.all if call.type is NotificationType.ADD]
            assert added[-1] is not None
            luid = make_luid(6, 50, life)
            assert added[-1].luid == luid
            assert backend.interface_entry(*added[-1]).luid == luid
            assert backend.link_entry(0, 50).luid == luid
            assert {i.luid for i in backend.interface_table(Family.IPV4) if i.ifindex == 50} == {
                luid
            }
            namespace.ip("link del west")
            calls.wait(life + 1, index=50, type=NotificationType.DELETE)
            with pytest.raises(IpHelperError) as caught:
                backend.interface_entry(*added[-1])
            assert caught.value.winerror == 2
        namespace.ip("link add west index 50 type ifb")
        calls.wait(4, index=50, type=NotificationType.ADD)
        with pytest.raises(IpHelperError) as caught:  # it names the life before
            backend.interface_entry(Family.IPV4, make_luid(6, 50, 2), 0)
        assert caught.value.winerror == 2
        with closing(backend.register(Family.IPV4)) as later:
            assert {i.luid for i in later.interfaces() if i.ifindex == 50} == {make_luid(6, 50, 3)}
    finally:
        handle.cancel()


def test_veth_peers_are_no_stack(backend: LinuxBackend, namespace: Namespace) -> None:
    """The two ends of a veth, which name each other, are beside each other."""
    namespace.ip("link add near type veth peer far")
    with pytest.raises(IpHelperError) as caught:
        backend.stack_table()
    assert caught.value.winerror == 1168


def test_lost_notifications_are_made_good(
    backend: LinuxBackend, namespace: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After an overrun the callback is called once for each interface that differs."""
    monkeypatch.setattr("exporter.notify.linux.RECEIVE_BUFFER_BYTES", 4096)
    blocked, entered = threading.Event(), threading.Event()

    def block(_call: object) -> None:
        entered.set()
        blocked.wait(DEADLINE)

    calls = Calls(block)
    handle = NotificationHandle(backend.register(Family.IPV4), calls, None, initial=True)
    handle.start()
    assert entered.wait(DEADLINE)
    namespace.batch(f"link add if{n} type bridge" for n in range(50))
    blocked.set()
    wait_until(lambda: len({c.row.ifindex for c in calls.all if c.row}) == 50)
    handle.cancel()
    assert [call.type for call in calls.all[1:]] == [NotificationType.ADD] * 50
