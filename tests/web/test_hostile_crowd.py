"""The agent under five hundred clients that mean no good: every scrape is served.

``python tests/bench promises`` measures how long a scrape then takes.
"""

import time
from pathlib import Path

import pytest
from support.agent import Agent
from support.crowd import Crowd
from support.waiting import wait_until

from exporter.model import Family, Interface, InterfaceRow, Link, make_luid
from exporter.sources.recording import encode_present

CLIENTS = 500
INTERFACES = 900


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """So many interfaces that their page does not fit into the system's buffers."""
    path = tmp_path / "present.jsonl"
    with path.open("w") as out:
        for i in range(1, INTERFACES + 1):
            link = Link(f"veth{i}", kind="veth")
            veth = Interface(Family.IPV4, make_luid(6, i), i, link, InterfaceRow(connected=True))
            out.write(encode_present(veth, 1.0, 1.0))
    return path


def rss(agent: Agent) -> int:
    """Resident memory in MiB."""
    status = Path(f"/proc/{agent.process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) // 1024


def scrape(agent: Agent) -> None:
    """Scrape once: it is served whole."""
    answer = agent.get()
    assert answer.status == 200, answer
    assert answer.body.count(b"ip_interface_connected{") == INTERFACES


def test_five_hundred_slow_clients_keep_no_scraper_out(recording: Path) -> None:
    """Every scrape is served, and memory has a bound, however long they stay."""
    with Agent("replay", str(recording)) as agent:
        agent.wait_for("ip_interfaces", INTERFACES, family="ipv4")
        for _ in range(10):
            scrape(agent)
        before = rss(agent)
        with Crowd(("127.0.0.1", agent.port), CLIENTS) as crowd:
            # At first a third of the crowd asks for more at once than can be made in a second.
            wait_until(lambda: agent.get().status == 200)
            # Memory grows until the forty pages that may be in flight are, and then no more.
            peaks, replaced = [before], 0
            while len(peaks) < 3 or peaks[-1] > max(peaks[:-1]) + 4:
                size = 0
                for _ in range(30):
                    scrape(agent)
                    size = max(size, rss(agent))
                    replaced += crowd.harass()
                    time.sleep(0.05)  # the pace of the load: twenty times that of a scraper
                peaks.append(size)
                assert size < before + 150, "a few copies of those pages"
        print(
            f"\n{replaced} of {CLIENTS} slow clients given up and back; "
            f"RSS, MiB: {before} before, {max(peaks)} at most, {rss(agent)} after"
        )
        assert not [line for line in agent.log if "Traceback" in line or "level=error" in line]
        assert agent.stop() == 0
