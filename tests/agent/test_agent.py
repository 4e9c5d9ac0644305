"""The whole agent against the real kernel, in network namespaces, scraped over HTTP."""

import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import product
from pathlib import Path

import pytest
from requirements_here import require
from support.agent import PROJECT, Agent, Metrics
from support.consistency import uncounted_flaps
from support.namespace import Namespace
from support.waiting import DEADLINE, NEVER, wait_until

from exporter.model import (
    Family,
    Interface,
    InterfaceRow,
    Link,
    Notification,
    NotificationType,
    make_luid,
)
from exporter.sources.recording import encode

BOTH = ("ipv4", "ipv6")


@pytest.fixture
def lively(namespace: Namespace) -> Namespace:
    """A namespace whose loopback is up, so that the agent in it can be reached."""
    namespace.ip("link set lo up")
    return namespace


@contextmanager
def scraping(agent: Agent, every: float = 0.1) -> Iterator[list[Metrics]]:
    """Scrape during the block, as several Prometheus servers would. Yields the pages."""
    pages: list[Metrics] = []
    done = threading.Event()
    failed: list[BaseException] = []

    def scrape() -> None:
        try:
            while not done.wait(every):
                pages.append(agent.scrape())
        except BaseException as error:  # noqa: BLE001 - shown by the test's own thread
            failed.append(error)

    thread = threading.Thread(target=scrape)
    thread.start()
    try:
        yield pages
    finally:
        done.set()
        thread.join()
    assert not failed, failed


def make_pairs(namespace: Namespace, count: int) -> None:
    """Make veth pairs l0-r0, l1-r1, …, all up, and wait until no notification is pending."""
    namespace.batch(f"link add l{i} type veth peer name r{i}" for i in range(count))
    names = [f"{side}{i}" for side in "lr" for i in range(count)]
    namespace.batch(f"link set {name} up" for name in names)
    namespace.wait_up(*names)


def wait_connected(agent: Agent, count: int) -> Metrics:
    """Wait until `count` IP interfaces of each family are connected. Returns the page."""
    agent.wait_for("ip_interfaces_connected", count, family="ipv4")
    return agent.wait_for("ip_interfaces_connected", count, family="ipv6")


def all_flaps_counted(
    agent: Agent, before: Metrics, namespace: Namespace, carriers: dict[str, tuple[int, int]]
) -> Metrics:
    """Wait until the transitions since `before` equal the kernel's counters. Returns the page.

    The agent may still have to read notifications, and the kernel to send them.
    """
    uncounted: list[str] = []

    def counted() -> Metrics | None:
        page = agent.scrape()
        uncounted[:] = uncounted_flaps(before, page, carriers, namespace)
        return None if uncounted else page

    return wait_until(counted, message=lambda: f"all is counted: {uncounted[:9]}", pause=0.05)


def test_the_first_page_shows_what_exists_and_counts_nothing(lively: Namespace) -> None:
    """At the start every interface is there with its counters at 0, and the agent is ready."""
    make_pairs(lively, 2)
    with Agent(namespace=lively) as agent:
        page = wait_connected(agent, 5)
        assert page.devices() == {"lo", "l0", "r0", "l1", "r1"}
        assert page.sum("ip_interface_churn_total") == 0
        assert len(page.samples["ip_interface_notifications_total"]) == len(lively.netconf()) * 3
        assert page.sum("ip_interface_mtu_bytes", device="l0", family="ipv6") == 1500
        assert page.sum("ip_interface_exporter_source_up") == 1
        assert agent.get("/-/ready").status == 200
        assert agent.stop() == 0


def test_every_change_is_counted_once_and_per_family(lively: Namespace) -> None:
    """A script of changes gives exactly the counts of the mapping."""
    with Agent(namespace=lively) as agent:
        agent.wait_for("ip_interface_exporter_source_up", 1)
        lively.ip("link add a0 type veth peer name b0")
        agent.wait_for("ip_interface_churn_total", 4, type="add")
        lively.ip("link set a0 name eth7")
        lively.ip("link set b0 up")
        lively.ip("link set eth7 up")
        agent.wait_for("ip_interface_transitions_total", 4, state="connected")
        agent.wait_for(
            "ip_interface_notifications_total", 1, family="ipv4", device="eth7", type="add"
        )
        lively.ip("link set eth7 mtu 1400")
        lively.ip("link set eth7 mtu 1279")
        page = agent.wait_for("ip_interface_churn_total", 1, family="ipv6", type="delete")
        assert not page.all("ip_interface_connected", device="eth7", family="ipv6")
        assert page.sum("ip_interface_mtu_bytes", device="eth7", family="ipv4") == 1279
        lively.ip("link set eth7 mtu 1500")
        lively.sysctl("ipv4/conf/eth7/forwarding", 1)
        page = agent.wait_for("ip_interface_forwarding_enabled", 1, device="eth7", family="ipv4")
        of_eth7 = {
            (family, kind): page.sum(
                "ip_interface_notifications_total", device="eth7", family=family, type=kind
            )
            for family in BOTH
            for kind in ("add", "delete", "parameter")
        }
        assert of_eth7 == {
            # connected, three MTUs, forwarding
            ("ipv4", "parameter"): 5,
            ("ipv4", "add"): 1,
            ("ipv4", "delete"): 0,
            # connected, one MTU; below 1280 the family goes, and comes back
            ("ipv6", "parameter"): 2,
            ("ipv6", "add"): 2,
            ("ipv6", "delete"): 1,
        }
        changes = page.all("ip_interface_parameter_changes_total", device="eth7", family="ipv4")
        assert {labels["parameter"]: value for labels, value in changes} == {
            "connected": 1,
            "mtu_bytes": 3,
            "forwarding_enabled": 1,
        }
        assert "a0" not in page.devices(), "the old name has gone with the rename"


def test_no_flap_is_lost_in_a_storm(lively: Namespace) -> None:
    """50 pairs × 200 flaps, with scrapes: every flap is counted, on either end."""
    pairs, flaps = 50, 200
    make_pairs(lively, pairs)
    # The buffer holds all messages, so that none is lost if the agent has no CPU for seconds.
    with Agent("--collector.receive-buffer=512MiB", namespace=lively) as agent:
        before = wait_connected(agent, 2 * pairs + 1)
        carriers = lively.carrier_counts()
        with scraping(agent) as pages:
            for _ in range(flaps):
                lively.batch(f"link set l{i} down" for i in range(pairs))
                lively.batch(f"link set l{i} up" for i in range(pairs))
        after = all_flaps_counted(agent, before, lively, carriers)

        assert pages
        assert after.sum("ip_interface_exporter_source_overruns_total") == 0
        assert after.sum("ip_interface_exporter_inferred_notifications_total") == 0
        observed = unobserved = 0.0
        for i, family, state in product(range(pairs), BOTH, ("connected", "disconnected")):
            who = {"device": f"l{i}", "family": family, "state": state}
            seen = after.grown(before, "ip_interface_transitions_total", **who)
            proven = after.grown(before, "ip_interface_unobserved_transitions_total", **who)
            assert seen + proven == flaps, who
            observed, unobserved = observed + seen, unobserved + proven
        # On a busy machine the kernel merges flaps whose carrier it has not updated in time.
        assert unobserved <= observed / 4
        for page in pages:
            assert page.sum("ip_interface_notifications_total") == page.sum(
                "ip_interface_churn_total"
            )


def test_an_overrun_is_reported_and_repaired(lively: Namespace) -> None:
    """Stopped while the buffer overflows: an overrun and a resync count, the state is right."""
    make_pairs(lively, 20)
    with Agent("--collector.receive-buffer=64KiB", namespace=lively) as agent:
        wait_connected(agent, 41)
        agent.process.send_signal(signal.SIGSTOP)
        for _ in range(20):
            lively.batch(f"link set l{i} down" for i in range(20))
            lively.batch(f"link set l{i} up" for i in range(20))
        lively.batch(["link del l1", "link set l2 mtu 1400", "link add x0 type veth peer name x1"])
        lively.batch(["link set l3 down", "link set r4 down", "link set r4 name new4"])
        agent.process.send_signal(signal.SIGCONT)

        def repaired() -> Metrics | None:
            page = agent.scrape()
            resynced = page.sum("ip_interface_exporter_source_resyncs_total") >= 1
            return page if resynced and agrees(page, lively) else None

        page = wait_until(repaired, message="a resync, and the state equals ip's")
        assert page.sum("ip_interface_exporter_dropped_notifications_total") > 0
        assert page.sum("ip_interface_exporter_inferred_notifications_total") > 0
        wait_until(lambda: any("overflowed" in line for line in agent.log))
        # Later notifications may overflow the small buffer again on a busy machine.
        overruns = page.sum("ip_interface_exporter_source_overruns_total")
        assert 1 <= page.sum("ip_interface_exporter_source_resyncs_total") <= overruns


def agrees(page: Metrics, namespace: Namespace) -> bool:
    """The page shows what ``ip`` shows: the devices, their MTU, and whether they run."""
    links = namespace.links()
    shown = {
        labels["device"]: value
        for labels, value in page.all("ip_interface_connected", family="ipv4")
    }
    mtus = {
        labels["device"]: value
        for labels, value in page.all("ip_interface_mtu_bytes", family="ipv4")
    }
    return shown == {
        name: float({"UP", "LOWER_UP"} <= set(link["flags"]) and link["operstate"] != "DOWN")
        for name, link in links.items()
    } and mtus == {name: link["mtu"] for name, link in links.items()}


def memory(agent: Agent) -> int:
    """Resident memory in KiB. Below ``ip netns exec`` the pid is the agent's own."""
    status = Path(f"/proc/{agent.process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


def test_deleted_interfaces_leave_nothing_but_their_count(lively: Namespace) -> None:
    """2,000 veths in waves: after the retention page, series and memory are as before."""
    flags = ("--collector.retention=300ms", "--collector.max-interfaces=2000")
    with Agent(*flags, namespace=lively) as agent:
        agent.wait_for("ip_interface_exporter_source_up", 1)

        def wave(number: int) -> Metrics:
            names = range(250)
            lively.batch(f"link add a{i} group 7 type veth peer name b{i}" for i in names)
            lively.ip("link del group 7")  # one after the other takes the kernel seconds
            for kind in ("add", "delete"):
                agent.wait_for("ip_interface_churn_total", number * 500 * 2, type=kind)
            wait_until(lambda: agent.scrape().devices() == {"lo"}, message="the retention is over")
            return agent.scrape()

        wave(1)  # also grows what stays: caches, the interpreter's arenas
        size, sizes = len(agent.get().body), [memory(agent)]
        # How far the arenas grow depends on how many messages wait at once on a busy machine. What
        # is kept of each interface would grow without an end.
        for number in range(2, 13):
            page = wave(number)
            sizes.append(memory(agent))
            if number >= 4 and sizes[-1] - sizes[-2] < 256:
                break
        else:
            pytest.fail(f"the memory grows with each wave: {sizes} KiB")
        assert page.sum("ip_interface_exporter_source_overruns_total") == 0
        assert abs(len(agent.get().body) - size) < 400, "only digits have grown"


def test_hostile_names_make_a_valid_page(lively: Namespace) -> None:
    """Names of quotes, backslashes, control and non-UTF-8 bytes are plain label values."""
    names = [
        b'q"uote',
        b"back\\slash",
        b"\x01\x7f\x1b[31m",
        b"\xff\xfe\x80",
        b"a{b}=,#",
        b"fifteen-bytes!!",
    ]
    with lively.enter():
        for number, name in enumerate(names):
            subprocess.run(
                ["ip", "link", "add", name, "type", "veth", "peer", "name", f"p{number}"],
                check=True,
            )
    with Agent(namespace=lively) as agent:
        shown = {name.decode("utf-8", "replace") for name in names}
        wait_until(lambda: shown <= agent.scrape().devices())
        landing = agent.get("/")
        assert landing.status == 200
        assert b'q"uote' not in landing.body, "escaped in HTML"


def test_no_privileges_are_needed(lively: Namespace) -> None:
    """Without any capability the agent starts and counts, with the buffer anyone may have."""
    unprivileged = Agent(namespace=lively)
    place = unprivileged.command.index(sys.executable)
    # Root without capabilities may still read the interpreter, wherever that is installed.
    unprivileged.command[place:place] = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]
    with unprivileged as agent:
        status = Path(f"/proc/{agent.process.pid}/status").read_text()
        assert "CapEff:\t0000000000000000" in status
        lively.ip("link add a0 type veth peer name b0")
        page = agent.wait_for("ip_interface_churn_total", 4, type="add")
        limit = int(Path("/proc/sys/net/core/rmem_max").read_text())
        assert 0 < page.sum("ip_interface_exporter_receive_buffer_bytes") <= 2 * limit


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_also_in_a_storm(lively: Namespace, number: signal.Signals) -> None:
    """SIGTERM and SIGINT end the agent with exit code 0 during a storm of notifications."""
    make_pairs(lively, 20)
    stop = threading.Event()

    def storm() -> None:
        while not stop.is_set():
            lively.batch(f"link set l{i} {way}" for i in range(20) for way in ("down", "up"))

    with Agent(namespace=lively) as agent:
        wait_connected(agent, 41)
        thread = threading.Thread(target=storm)
        thread.start()
        try:
            wait_until(lambda: agent.scrape().sum("ip_interface_churn_total") > 500)
            assert agent.stop(number) == 0
        finally:
            stop.set()
            thread.join()


def test_sighup_reloads_what_can_change_and_a_bad_file_changes_nothing(
    lively: Namespace, tmp_path: Path
) -> None:
    """A good file takes effect at once; a bad one changes nothing and is logged."""
    make_pairs(lively, 1)
    file = tmp_path / "agent.yml"
    file.write_text("collector: {exclude: 'r.*'}\n")
    with Agent(f"--config.file={file}", namespace=lively) as agent:
        wait_until(lambda: agent.scrape().devices() == {"lo", "l0"})
        file.write_text("groups: [{name: pairs, match: veth}]\nweb: {max-requests: 9}\n")
        agent.process.send_signal(signal.SIGHUP)
        wait_until(lambda: agent.scrape().devices() == {"lo", "pairs"})
        reloaded = 'msg="Configuration reloaded" '
        reloaded += "changed=collector.exclude,groups,web.max-requests "
        reloaded += "restart_needed=web.max-requests"
        wait_until(lambda: any(reloaded in line for line in agent.log))
        file.write_text("groups: [{name: pairs, match: '('}]\n")
        agent.process.send_signal(signal.SIGHUP)
        page = agent.wait_for("ip_interface_exporter_config_last_reload_successful", 0)
        assert page.devices() == {"lo", "pairs"}
        place = f"{file}:1"
        wait_until(lambda: any("level=error" in line and place in line for line in agent.log))
        file.write_text("")
        agent.process.send_signal(signal.SIGHUP)
        page = agent.wait_for("ip_interface_exporter_config_last_reload_successful", 1)
        assert page.sum("ip_interfaces", family="ipv4") == len(lively.links())


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the agent with arguments that end it at once."""
    return subprocess.run(
        [sys.executable, "-m", "exporter", *arguments],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )


def test_a_busy_port_is_one_clear_line() -> None:
    """A port in use ends start-up with code 1 and a line that names address and flag."""
    with Agent() as agent:
        done = run(f"--web.listen-address=127.0.0.1:{agent.port}")
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if "level=error" in line]
    assert f"127.0.0.1:{agent.port}" in line
    assert "--web.listen-address" in line
    assert "Traceback" not in done.stderr


def recorded(file: Path) -> int:
    """Return the number of notifications in a recording that the system sent."""
    whole, _, _ = file.read_text().rpartition("\n")
    events = [json.loads(line) for line in whole.splitlines()]
    return sum(event["event"] in ("add", "delete", "parameter") for event in events)


def test_a_recording_survives_a_kill_and_replays_to_the_same_counts(
    lively: Namespace, tmp_path: Path
) -> None:
    """A recording up to a kill -9 replays to the last page of the agent."""
    file = tmp_path / "recording.jsonl"
    make_pairs(lively, 2)
    with Agent("record", str(file), namespace=lively) as agent:
        before = wait_connected(agent, 5)
        carriers = lively.carrier_counts()
        lively.batch(f"link set l0 {way}" for way in ("down", "up") * 10)
        lively.ip("link set l1 mtu 1400")
        lively.ip("link del l1")
        agent.wait_for("ip_interface_churn_total", 4, type="delete")
        live = all_flaps_counted(agent, before, lively, carriers)
        # A notification is counted first, and written to the file after that.
        counted = live.sum("ip_interface_churn_total")
        wait_until(lambda: recorded(file) >= counted, message="all is recorded")
        agent.process.kill()
        agent.process.wait()
    with Agent("replay", str(file)) as agent:
        wait_until(lambda: agent.scrape().sum("ip_interface_churn_total") > 0)
        replayed = agent.wait_for("ip_interface_churn_total", live.sum("ip_interface_churn_total"))
    for name in (
        "ip_interface_churn_total",
        "ip_interface_transitions_total",
        "ip_interface_unobserved_transitions_total",
        "ip_interface_parameter_changes_total",
        "ip_interface_mtu_bytes",
        "ip_interface_connected",
        "ip_interface_outage_duration_seconds_bucket",
        "ip_interface_outage_duration_seconds_sum",
    ):
        assert replayed.samples[name] == live.samples[name], name


def test_no_filter_freezes_the_agent(tmp_path: Path) -> None:
    """A filter that takes a backtracking matcher years does not block scrapes or the stop.

    Python's `re` takes 2^n steps for a name of n letters.
    """
    file, name = tmp_path / "recording.jsonl", "a" * 60
    interface = Interface(Family.IPV4, make_luid(6, 1), 1, Link(name), InterfaceRow())
    added = Notification(NotificationType.ADD, Family.IPV4, interface.luid, 1, 1.0, 1.0, interface)
    file.write_text(encode(added))
    with Agent("replay", str(file), "--collector.exclude=(([a-z0-9]+[-_]?)+)+!") as agent:
        page = agent.wait_for("ip_interface_notifications_total", 1, type="add")
        assert page.devices() == {name}
        assert agent.stop() == 0


def test_a_replay_of_a_hundred_thousand_interfaces_ends_with_a_small_page(tmp_path: Path) -> None:
    """100,000 veths created and deleted: each is counted, and the last few are on the page."""
    count, file = 100_000, tmp_path / "waves.jsonl"
    with file.open("w") as out:
        for i in range(1, count + 1):
            veth = Interface(
                Family.IPV4, make_luid(6, i), i, Link(f"veth{i}", kind="veth"), InterfaceRow()
            )
            for kind, at in ((NotificationType.ADD, float(i)), (NotificationType.DELETE, i + 0.5)):
                out.write(encode(Notification(kind, veth.family, veth.luid, i, at, at, veth)))
    with Agent("replay", str(file), "--collector.retention=10s") as agent:
        deleted = partial(Metrics.sum, name="ip_interface_churn_total", type="delete")
        wait_until(lambda: deleted(agent.scrape()) == count, NEVER, "all is replayed")
        page = agent.scrape()
        assert page.sum("ip_interface_churn_total", type="add") == count
        assert page.devices() == {f"veth{i}" for i in range(count - 9, count + 1)}
        assert len(agent.get().body) < 40_000
        assert memory(agent) < 80_000


def test_the_agent_of_this_machine_starts_without_any_flag_but_a_port() -> None:
    """On the machine's real interfaces, as the README says, loopback is on the page."""
    with Agent() as agent:
        wait_until(lambda: "lo" in agent.scrape().devices())
        assert agent.scrape().sum("process_open_fds") > 0
        assert agent.get("/nothing").status == 404
        assert os.getpid() != agent.process.pid


#: A seccomp filter as systemd's RestrictAddressFamilies= makes it: socket(AF_NETLINK, …) fails.
WITHOUT_NETLINK = """
import ctypes, errno, platform, struct, sys
number = {"x86_64": 41, "aarch64": 198}[platform.machine()]
program = b"".join(struct.pack("HBBI", *instruction) for instruction in (
    (0x20, 0, 0, 0),  # load the number of the system call
    (0x15, 0, 3, number),
    (0x20, 0, 0, 16),  # load its first argument
    (0x15, 0, 1, 16),
    (0x06, 0, 0, 0x00050000 | errno.EAFNOSUPPORT),  # SECCOMP_RET_ERRNO
    (0x06, 0, 0, 0x7FFF0000),  # SECCOMP_RET_ALLOW
))
class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p)]
libc = ctypes.CDLL(None)
assert libc.prctl(38, 1, 0, 0, 0) == 0  # PR_SET_NO_NEW_PRIVS
loaded = Program(len(program) // 8, program)
assert libc.prctl(22, 2, ctypes.byref(loaded), 0, 0) == 0  # PR_SET_SECCOMP, a filter
from exporter.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("arguments", [["--web.listen-address=127.0.0.1:0"], ["list"], ["watch"]])
def test_a_unit_without_netlink_gets_an_error_that_names_it(arguments: list[str]) -> None:
    """The error names netlink, and the settings that may forbid it."""
    require(
        platform.machine() in ("x86_64", "aarch64"),
        "an x86-64 or ARM64 machine, whose system calls it names",
    )
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_NETLINK, *arguments],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert "netlink socket: Address family not supported by protocol" in last
    assert "RestrictAddressFamilies=" in last


def test_user_0_of_a_user_namespace_is_not_root() -> None:
    """A rootless container has no warning to use another user; the real root has."""
    code = "from exporter.agent.run import _is_root; print(_is_root())"
    command = [sys.executable, "-c", code]

    def answer(*before: str) -> str:
        done = subprocess.run(
            [*before, *command], cwd=PROJECT, capture_output=True, text=True, check=False
        )
        require(
            not done.returncode,
            f"user namespaces, which the machine allows ({done.stderr.strip()})",
        )
        return done.stdout.strip()

    require(shutil.which("unshare"), "unshare: apt-get install util-linux")
    assert answer("unshare", "--user", "--map-root-user") == "False"
    assert answer() == str(os.geteuid() == 0)
