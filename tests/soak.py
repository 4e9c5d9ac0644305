"""A soak: everything that may happen to an agent, at once and for long; it must stay flat.

    python tests/soak.py --minutes 5

Needs root and iproute2; works in a network namespace of its own. Prints what was done and what
it did to memory, threads and file descriptors; the exit code is 1 when that is not flat, or
when the agent's counts are not the kernel's.
"""

import argparse
import statistics
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from support.agent import Agent, Metrics
from support.consistency import uncounted_flaps
from support.namespace import Namespace
from support.trouble import OTLP_PORT, PAIRS, WAVE, Trouble
from support.waiting import DEADLINE_FACTOR, wait_until

#: MiB by which the median of the last third may exceed that of the middle one. Pages that
#: clients do not take come and go, and the interpreter keeps some of what it had.
TOLERANCE = 6.0


#: How often memory, threads and descriptors are looked at, at least.
SAMPLES = 60
#: Each signal of OTLP keeps its connection until it needs it again.
SIGNALS = 3
#: How many times longer it may take until nothing grows any more, on a machine that is slow.
PATIENCE = 10 * DEADLINE_FACTOR


@dataclass
class Figures:
    """What a soak found."""

    #: What was counted, and its value.
    rows: list[tuple[str, str]] = field(default_factory=list)
    #: What is not as it must be.
    wrong: list[str] = field(default_factory=list)

    def add(self, what: str, *values: object) -> None:
        """One line of the table."""
        self.rows.append((what, " → ".join(str(value) for value in values)))

    def __str__(self) -> str:
        width = max(len(what) for what, _ in self.rows)
        lines = [f"{what:<{width}}  {value}" for what, value in self.rows]
        return "\n".join([*lines, *(f"NOT AS IT MUST BE: {line}" for line in self.wrong)])


@dataclass
class Use:
    """What a process has of the system's."""

    rss: float
    threads: int
    descriptors: int

    @classmethod
    def of(cls, agent: Agent) -> "Use":
        """As of now."""
        process = Path(f"/proc/{agent.process.pid}")
        status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
        return cls(
            int(status["VmRSS"].split()[0]) / 1024,
            int(status["Threads"]),
            len(list((process / "fd").iterdir())),
        )


def soak(seconds: float) -> Figures:
    """Do everything to an agent for so long, and say what came of it."""
    figures = Figures()
    with Namespace() as namespace, tempfile.TemporaryDirectory() as folder:
        namespace.ip("link set lo up")
        namespace.batch(f"link add l{i} type veth peer name r{i}" for i in range(PAIRS))
        namespace.batch(f"link set {side}{i} up" for side in "lr" for i in range(PAIRS))
        config = Path(folder) / "agent.yml"
        config.write_text("")
        flags = (
            *(f"--config.file={config}", "--collector.retention=3s"),
            *(f"--otlp.endpoint=http://127.0.0.1:{OTLP_PORT}", "--otlp.events=both"),
        )
        with Agent(*flags, namespace=namespace) as agent:
            try:
                _run(agent, namespace, Trouble(agent, namespace, config), seconds, figures)
            except BaseException as error:
                error.add_note(agent.describe())
                raise
            code = agent.stop()
            figures.add("lines of the log", f"{len(agent.log):,}")
            figures.wrong += [line for line in agent.log if "socket.send() raised" in line][:1]
            if code or any("Traceback" in line for line in agent.log):
                figures.wrong.append(f"exit code {code}, or a traceback:\n{''.join(agent.log)}")
    return figures


def _run(
    agent: Agent, namespace: Namespace, trouble: Trouble, seconds: float, figures: Figures
) -> None:
    before = _wait_connected(agent)
    carriers = namespace.carrier_counts()
    quiet = Use.of(agent)
    uses: list[Use] = []
    began = time.monotonic()

    def enough() -> bool:
        passed = time.monotonic() - began
        done = passed >= seconds and len(uses) >= SAMPLES
        return done and (not _grown(uses) or passed >= PATIENCE * seconds)

    with trouble.going_on():
        while not enough() and agent.process.poll() is None:
            uses.append(Use.of(agent))
            time.sleep(min(1.0, seconds / SAMPLES))  # the pace of the samples
    after = _counted(agent, before, carriers, namespace)
    _pushed(agent, namespace, trouble, figures)
    figures.wrong += trouble.wrong
    for what, count in sorted(trouble.counts.items()):
        figures.add(what, f"{count:,}")
    times = sorted(trouble.scrapes)
    if trouble.counts["scrapes too slow for the agent"] > len(times):
        figures.wrong.append("the agent ended most scrapes")
    figures.add(
        "scrape, ms: median, 99 %, maximum",
        ", ".join(f"{times[int(len(times) * q)] * 1e3:.0f}" for q in (0.5, 0.99, 0.999999)),
    )
    figures.wrong += uncounted_flaps(before, after, carriers, namespace)
    _account(before, after, trouble, figures)
    _flat(uses, quiet, agent, figures)


def _wait_connected(agent: Agent) -> Metrics:
    """The page when all has come that was on its way: the waves gone, the links connected."""
    devices = {"lo", *(f"{side}{i}" for side in "lr" for i in range(PAIRS))}

    seen: list[object] = []

    def all_connected() -> Metrics | None:
        page = agent.scrape()
        # A group that is no longer configured keeps its counters.
        seen[:] = [(page.devices() ^ devices) - {"waves"}, page.sum("ip_interfaces_connected")]
        return page if seen == [set(), 2 * len(devices)] else None

    try:
        return wait_until(all_connected, pause=0.5)
    except AssertionError:
        raise AssertionError(f"too many or missing, and connected: {seen}") from None


def _counted(
    agent: Agent, before: Metrics, carriers: dict[str, tuple[int, int]], namespace: Namespace
) -> Metrics:
    """The page once all is counted; if it never is, as it is then."""
    page = _wait_connected(agent)

    def counted() -> bool:
        nonlocal page
        page = agent.scrape()
        return not uncounted_flaps(before, page, carriers, namespace)

    with suppress(AssertionError):  # the kernel may have told of the last changes later
        wait_until(counted, pause=0.5)
    return page


def _account(before: Metrics, after: Metrics, trouble: Trouble, figures: Figures) -> None:
    """Hold the agent's counts against what was done."""

    def grown(name: str, **labels: str) -> float:
        return after.grown(before, f"ip_interface_{name}", **labels)

    overruns = grown("exporter_source_overruns_total")
    figures.add("notifications", f"{grown('churn_total'):,.0f}")
    figures.add("transitions seen", f"{grown('transitions_total'):,.0f}")
    figures.add("transitions merged by the kernel", f"{grown('unobserved_transitions_total'):,.0f}")
    figures.add("receive buffer overruns", f"{overruns:,.0f}")
    figures.add("read errors", f"{grown('exporter_source_errors_total'):,.0f}")
    if not overruns:
        made = 2 * 2 * WAVE * trouble.counts["waves"]
        perhaps = 2 * 2 * trouble.counts["guests"]
        for kind in ("add", "delete"):
            if not made <= grown("churn_total", type=kind) <= made + perhaps:
                figures.wrong.append(f"{grown('churn_total', type=kind)} of {made} {kind} counted")


def _pushed(agent: Agent, namespace: Namespace, trouble: Trouble, figures: Figures) -> None:
    """Let the push end its work, and hold what it exported against what arrived."""
    results = ("accepted", "exported", "failed", "dropped")

    def done() -> dict[str, list[float]] | None:
        page = agent.scrape()
        name = "ip_interface_exporter_otlp_items_total"
        items = {
            signal: [page.sum(name, signal=signal, result=result) for result in results]
            for signal in ("traces", "logs")
        }
        return items if all(each[0] == sum(each[1:]) for each in items.values()) else None

    with namespace.enter(), trouble.receiver():
        items = wait_until(done, message="nothing of the push is in flight", pause=0.5)
    for signal, counts in items.items():
        arrived = trouble.arrived[signal]
        results_text = ", ".join(
            f"{n:,.0f} {word}" for n, word in zip(counts, results, strict=True)
        )
        figures.add(f"OTLP {signal}", f"{results_text}, {arrived:,} arrived")
        if arrived < counts[1]:  # more: a receiver that goes before its answer gets a batch again
            figures.wrong.append(f"{signal}: {counts[1]} exported, but {arrived} arrived")
        if counts[2]:
            figures.wrong.append(f"{signal}: {counts[2]} failed")


def _thirds(uses: list[Use]) -> tuple[list[Use], list[Use]]:
    """The middle third and the last."""
    third = len(uses) // 3
    return uses[third : 2 * third], uses[2 * third :]


def _memory(uses: list[Use]) -> tuple[float, float]:
    """The median memory of the middle third and of the last. Unit: MiB."""
    middle, last = _thirds(uses)
    return statistics.median(use.rss for use in middle), statistics.median(use.rss for use in last)


def _most_descriptors(uses: list[Use]) -> list[int]:
    """Return the maximum of file descriptors in the middle third and in the last."""
    return [max(use.descriptors for use in part) for part in _thirds(uses)]


def _grown(uses: list[Use]) -> list[str]:
    """Return what grew from the middle third to the last."""
    grown = []
    middle, last = _memory(uses)
    if last - middle > TOLERANCE:
        grown.append("memory grew")
    most_in_middle, most_in_last = _most_descriptors(uses)
    if most_in_last > most_in_middle + 50:
        grown.append("the number of file descriptors grew")
    return grown


def _flat(uses: list[Use], quiet: Use, agent: Agent, figures: Figures) -> None:
    """Compare the middle third with the last, and the end with the beginning."""
    threads = [max(use.threads for use in part) for part in _thirds(uses)]
    kept = quiet.descriptors + SIGNALS
    wait_until(lambda: Use.of(agent).descriptors <= kept, message="descriptors closed")
    end = Use.of(agent)
    figures.add(
        "RSS, MiB: alone, then in the middle and last third",
        *(f"{v:.1f}" for v in (quiet.rss, *_memory(uses))),
    )
    figures.add("RSS, MiB, at the end alone again", f"{end.rss:.1f}")
    figures.add("threads", quiet.threads, *threads, end.threads)
    figures.add("file descriptors", quiet.descriptors, *_most_descriptors(uses), end.descriptors)
    figures.wrong += _grown(uses)
    if {*threads, end.threads} != {quiet.threads}:
        figures.wrong.append("the number of threads changed")


def main() -> int:
    """The command."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=5.0, help="default: 5")
    figures = soak(parser.parse_args().minutes * 60)
    print(figures)
    return 1 if figures.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
