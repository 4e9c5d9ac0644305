"""One round: a network namespace, an agent in it, random operations, and what must hold then."""

import fcntl
import os
import random
import shutil
import signal
import struct
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from checks import Kernel, Page, Truth, failures, pending_carriers
from expected import Expected
from listener import Interrupted, Listener, Message, listing
from operations import AWAY, HERE, Attach, Draft, Ip, Pause, Step, Sysctl
from setups import RELOADS, Setup
from support.agent import Agent, Metrics
from support.consistency import contradictions, contradictions_between
from support.namespace import Namespace
from support.netlink import subscribers
from support.waiting import wait_until
from witness import Witness

_TUNSETIFF, _TAP_WITHOUT_HEADER = 0x400454CA, 0x1002
#: Seconds in which the counts may still become right when all messages were taken: some
#: messages make the agent ask the kernel, and one page is several requests. Less than a minute,
#: in which a comparison would make up for what was missed.
PATIENCE = min(55.0, 30.0 * float(os.environ.get("DEADLINE_FACTOR") or 1))


class ComparingAgent(Agent):
    """An agent that compares everything with the kernel all the time."""

    _PROGRAM = """
from exporter.cli import main
from exporter.sources.linux import source
source.RECONCILE_SECONDS = 0.1
raise SystemExit(main())
"""

    def __init__(self, *arguments: str) -> None:
        super().__init__(*arguments)
        place = self.command.index("-m")
        self.command[place : place + 2] = ["-c", self._PROGRAM]


@dataclass
class Outcome:
    """What became of a round."""

    seed: int
    setup: Setup
    messages: int = 0
    overruns: int = 0
    failures: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        line = f"seed {self.seed}: {self.messages} messages, {self.overruns} overruns, {self.setup}"
        return "\n".join([line, *(f"  FAILED: {failure}" for failure in self.failures)])


def play(seed: int, kinds: tuple[str, ...], keep: Path | None = None) -> Outcome:
    """Play the round of a seed, with the link kinds that there are.

    What a failing round needs to be understood is put into the folder `keep`.
    """
    drawn = random.Random(seed)
    setup = Setup.draw(drawn)
    outcome = Outcome(seed, setup)
    with (
        Namespace() as here,
        Namespace() as away,
        tempfile.TemporaryDirectory() as folder,
        here.enter(),
        Listener() as listener,
    ):
        here.ip("link set lo up")
        with _Round(drawn, setup, outcome, kinds, here, away, Path(folder), listener) as played:
            try:
                played.play(always_record=keep is not None)
            except Exception as error:  # noqa: BLE001 - the next round can be played all the same
                outcome.failures.append(f"{error!r}")
            if outcome.failures and keep is not None:
                played.save(keep / str(seed))
        outcome.messages = len(listener.messages)
        if listener.failure is not None:
            outcome.failures.append(f"the listener itself failed: {listener.failure!r}")
    return outcome


class _Round(ExitStack):
    """The parts of a round that is going on; what they hold is released at its end."""

    def __init__(
        self,
        seed: random.Random,
        setup: Setup,
        outcome: Outcome,
        kinds: tuple[str, ...],
        here: Namespace,
        away: Namespace,
        folder: Path,
        listener: Listener,
    ) -> None:
        super().__init__()
        self._seed, self._setup, self._outcome = seed, setup, outcome
        self._here, self._away, self._folder, self._listener = here, away, folder, listener
        self._draft = Draft(seed, kinds)
        self._expected = Expected()
        self._taps: dict[str, int] = {}
        self._marker = 0
        self._witness: Witness | None = None
        self._done: list[Step] = []
        self.callback(self._release_taps)

    def play(self, always_record: bool = False) -> None:
        """Everything."""
        self._do(self._draft.topology())
        self._settle()
        (self._folder / "agent.yml").write_text(self._setup.config)
        recording = ["record", str(self._folder / "recording.jsonl")]
        program = ComparingAgent if self._setup.compared else Agent
        agent = self._agent = program(
            *(recording if self._setup.recorded or always_record else []),
            f"--config.file={self._folder}/agent.yml",
            *self._setup.flags,
        )
        if self._setup.storm:
            storm = self._draft.steps(30)
            doing = threading.Thread(target=self._in_namespace, args=(self._do, storm))
            doing.start()
            try:
                self.enter_context(agent)
            finally:
                doing.join()
            self._settle()
        else:
            self.enter_context(agent)
        agent.wait_for("ip_interface_exporter_source_up", 1)
        if not self._setup.storm:
            self._witness = self.enter_context(Witness())
            self._mark(agent)
            self._expected.read(self._listener.messages, everything=True)
            self._expected.restart()
        with self._hardship(agent):
            for _ in range(self._seed.randint(1, 3)):
                self._disturbed(agent, self._draft.steps(self._seed.randint(3, 25)))
                if not self._check(agent):
                    return
        if self._setup.recorded:
            page = agent.get().body.decode()
            agent.stop()
            self._replay(page)

    def save(self, folder: Path) -> None:
        """Write down the messages of the round, what the agent recorded, and its log."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "messages").write_text("".join(f"{m}\n" for m in self._listener.messages))
        (folder / "steps").write_text("".join(f"{step}\n" for step in self._done))
        (folder / "log").write_text("".join(self._agent.log))
        for recording in self._folder.glob("recording*"):
            shutil.copy(recording, folder)

    # -- doing -----------------------------------------------------------------------------

    def _in_namespace(self, act: Callable[[list[Step]], None], steps: list[Step]) -> None:
        with self._here.enter():
            act(steps)

    def _do(self, steps: list[Step]) -> None:
        for step in steps:
            self._done.append(step)
            if isinstance(step, Ip):
                self._ip(step)
            elif isinstance(step, Sysctl):
                with suppress(OSError):  # the link is gone, or has not this family
                    Path("/proc/sys/net", step.path).write_text(f"{step.value}\n")
            elif isinstance(step, Attach):
                self._attach(step)
            elif isinstance(step, Pause):
                time.sleep(step.seconds)  # the drawn pace of the operations

    def _ip(self, step: Ip) -> None:
        lines = [
            line.replace(HERE, self._here.name).replace(AWAY, self._away.name)
            for line in step.lines
        ]
        command = ["ip", *(["-n", self._away.name] if step.other else []), "-force", "-batch", "-"]
        if self._setup.slow_sender:
            command = ["nice", "-n", "10", "taskset", "-c", str(_LAST_PROCESSOR), *command]
        subprocess.run(
            command, input="\n".join(lines) + "\n", text=True, capture_output=True, check=False
        )

    def _attach(self, step: Attach) -> None:
        if not step.attach:
            if step.name in self._taps:
                os.close(self._taps.pop(step.name))
            return
        if step.name in self._taps:
            return
        tap = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
        try:
            name = struct.pack("16sH22x", step.name.encode(), _TAP_WITHOUT_HEADER)
            fcntl.ioctl(tap, _TUNSETIFF, name)
        except OSError:
            os.close(tap)  # its link is of another kind by now
        else:
            self._taps[step.name] = tap

    def _release_taps(self) -> None:
        for tap in self._taps.values():
            os.close(tap)

    def _disturbed(self, agent: Agent, steps: list[Step]) -> None:
        """Do steps, during some of which the agent stands still."""
        while steps:
            count = self._seed.randint(1, 8)
            some, steps = steps[:count], steps[count:]
            stopped = self._setup.stopped and self._seed.random() < 0.6
            if stopped:
                agent.process.send_signal(signal.SIGSTOP)
            self._do(some)
            if stopped:
                agent.process.send_signal(signal.SIGCONT)
            if self._setup.reloaded:
                (self._folder / "agent.yml").write_text(self._seed.choice(RELOADS))
                agent.process.send_signal(signal.SIGHUP)

    @contextmanager
    def _hardship(self, agent: Agent) -> Iterator[None]:
        """What goes on all the while."""
        with ExitStack() as stack:
            if self._setup.busy or self._setup.slow_sender:
                stack.enter_context(_busy_loops(4))
            if self._setup.busy:
                for thread in Path(f"/proc/{agent.process.pid}/task").iterdir():
                    os.sched_setaffinity(int(thread.name), {_LAST_PROCESSOR})
            if self._setup.scraped:
                stack.enter_context(self._scraping(agent))
            yield

    @contextmanager
    def _scraping(self, agent: Agent) -> Iterator[None]:
        done = threading.Event()
        failed: list[str] = []

        def scrape() -> None:
            before: Metrics | None = None
            with self._here.enter():
                while not done.wait(0.1):
                    try:
                        page = agent.scrape()
                    except OSError:  # it is stopped, or the loopback is down
                        continue
                    if not (self._setup.forgets or self._setup.shares):
                        failed.extend(contradictions(page))
                    if before is not None:
                        restarts = self._setup.restarts if self._setup.forgets else None
                        failed.extend(contradictions_between(before, page, restarts))
                    before = page

        thread = threading.Thread(target=scrape, name="scraper")
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()
        self._outcome.failures += [f"while scraped: {failure}" for failure in failed[:5]]

    # -- seeing ----------------------------------------------------------------------------

    def _settle(self) -> None:
        """Wait until the kernel has told everything. What it never tells is not waited for.

        Then nothing but the second of two markers comes after the first, and no link has a
        carrier that linkwatch is still to tell of.
        """

        def quiet() -> bool:
            self._wait_for_listener()
            before = len(self._listener.messages)
            self._wait_for_listener()
            messages = self._listener.messages
            return len(messages) == before + 1 and not pending_carriers(_listing(), messages)

        with suppress(AssertionError):
            wait_until(quiet, PATIENCE)

    def _wait_for_listener(self) -> str:
        """Wait until the listener has all that was sent before. Returns the alias that says so."""
        self._marker += 1
        alias = f"marker{self._marker}"
        self._ip(Ip((f"link set lo alias {alias}",)))
        wait_until(lambda: self._has_marker(alias), message=f"the listener has {alias}")
        return alias

    def _mark(self, agent: Agent) -> None:
        """Wait until the listener and the agent have taken all that was sent before."""
        alias = self._wait_for_listener()
        wait_until(
            lambda: agent.scrape().all("ip_interface_info", alias=alias),
            message=f"the agent's page has {alias}",
            pause=0.05,
        )

    def _has_marker(self, alias: str) -> bool:
        assert self._listener.failure is None, self._listener.failure
        return any(message.alias == alias for message in self._listener.messages[-2000:])

    def _check(self, agent: Agent) -> bool:
        """Compare, as soon as all is known; once more later, when more may have been counted."""
        if self._setup.reloaded:
            (self._folder / "agent.yml").write_text("")
            agent.process.send_signal(signal.SIGHUP)
        self._settle()
        found: list[str] = []

        def right() -> bool:
            listed = _listing()
            self._expected.read(self._listener.messages, everything=True)
            page = Page(agent.scrape())
            truth = Truth(
                Kernel.now(self._here, listed), self._expected, self._setup,
                self._draft.disabled6, self._draft.silent, not self._setup.storm,
            )  # fmt: skip
            found[:] = failures(page, truth)
            if self._witness is not None:
                found.extend(self._witness.failures(self._expected))
            return not found

        try:
            for _ in range(2):
                self._mark(agent)
                wait_until(right, PATIENCE, pause=0.1)
        except AssertionError as error:
            found = found or [str(error)]
        overruns = agent.scrape().sum("ip_interface_exporter_source_overruns_total")
        self._outcome.overruns = int(overruns)
        drops = {s.port: s.drops for s in subscribers()}.get(agent.process.pid, 0)
        if drops and not overruns:
            found.append(f"the kernel dropped {drops} messages, no overrun was counted")
        if any("Traceback" in line for line in agent.log):
            found.append("".join(agent.log[-30:]))
        self._outcome.failures += found
        return not found

    def _replay(self, live: str) -> None:
        """The recording gives the page that the agent had."""
        wanted = _comparable(live)
        with Agent(
            "replay", str(self._folder / "recording.jsonl"), *_replayable(self._setup)
        ) as agent:
            seen: list[set[str]] = []

            def same() -> bool:
                seen[:] = [_comparable(agent.get().body.decode())]
                return seen[0] == wanted

            try:
                wait_until(same, PATIENCE, pause=0.1)
            except AssertionError:
                lines = sorted(wanted ^ seen[0])
                self._outcome.failures.append(
                    f"the replay's page differs in {len(lines)} lines: {lines[:6]}"
                )


def _listing() -> list[Message]:
    """A listing, as soon as one is possible."""

    def complete() -> list[Message] | None:
        try:
            return listing()
        except Interrupted:
            return None

    found = wait_until(complete)
    assert found is not None
    return found


def _comparable(page: str) -> set[str]:
    """The lines that depend on notifications alone: not on the present time, or the process."""
    return {
        line
        for line in page.splitlines()
        if line.startswith("ip_interface") and not line.startswith("ip_interface_exporter_")
        if not line.startswith("ip_interface_state_seconds_total")
    }


def _replayable(setup: Setup) -> list[str]:
    return [flag for flag in setup.flags if "receive-buffer" not in flag]


_LAST_PROCESSOR = max(os.sched_getaffinity(0))


@contextmanager
def _busy_loops(count: int) -> Iterator[None]:
    """Programs that keep one processor busy; they end by themselves if we are killed."""
    command = ["timeout", "600", "taskset", "-c", str(_LAST_PROCESSOR), "sh", "-c"]
    loops = [subprocess.Popen([*command, "while :; do :; done"]) for _ in range(count)]
    try:
        yield
    finally:
        for loop in loops:
            loop.terminate()  # timeout ends its child
        for loop in loops:
            loop.wait()
