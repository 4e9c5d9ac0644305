"""The command watch: a line for each change, of this computer or of a recording."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from datetime import datetime

from rich.console import Console
from rich.text import Text

from exporter.agent.signals import SignalQueue
from exporter.clock import SYSTEM, Clock
from exporter.errors import escaped
from exporter.model import Interface, Notification, NotificationType
from exporter.monitor import describe
from exporter.monitor.state import Delta, State
from exporter.monitor.thread import Monitor
from exporter.settings.schema import Settings
from exporter.sources import system_source
from exporter.sources.contract import Source
from exporter.sources.recording import encode, encode_present
from exporter.sources.replay import ReplaySource

#: Widths of the columns device and event; Linux device names have 15 characters at most.
_DEVICE_WIDTH, _EVENT_WIDTH = 15, 12
_STYLES = {
    "added": "cyan",
    "deleted": "magenta",
    "connected": "green",
    "disconnected": "red",
    "lost": "yellow",
}
_CLOSED = "output closed"
_ENDED = "end of the recording"


def run_watch(settings: Settings, path: str | None, *, as_json: bool, initial: bool) -> int:
    """Print every change until a signal, the end of the file, or a closed output; return 0.

    `path` names a recording; ``None`` is this computer. `initial` begins with the interfaces
    that exist. Raises OSError.
    """
    requests = SignalQueue()
    source, clock = _source(settings, path)
    with closing(requests), requests.capture():
        printer = Printer(source, requests, as_json=as_json)
        # Groups and the limit are about series; here each interface speaks for itself.
        selection = replace(settings.collector.selection, groups=())
        state = State(selection, sys.maxsize, settings.collector.retention_seconds)
        monitor = Monitor(source, state, (printer,), clock)
        try:
            monitor.open()
            if initial:
                printer.begin(state.interfaces(), clock)
            monitor.start()
            if isinstance(source, ReplaySource):
                _stop_at_end(source, requests)
            request = requests.get()
        finally:
            monitor.stop()
    if request == _CLOSED:
        _forget_output()
    return 0


def _source(settings: Settings, path: str | None) -> tuple[Source, Clock]:
    if path is None:
        collector = settings.collector
        return system_source(collector.family, collector.receive_buffer_bytes), SYSTEM
    replay = ReplaySource(path, recorded_pace=settings.replay.pace == "recorded")
    return replay, replay.clock


def _stop_at_end(source: ReplaySource, requests: SignalQueue) -> None:
    """Request a stop once the whole recording has been printed."""

    def wait() -> None:
        source.ended.wait()
        requests.put(_ENDED)

    threading.Thread(target=wait, name="end of file", daemon=True).start()


def _forget_output() -> None:
    """Let the interpreter flush into nothing: whoever read the output is gone."""
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _can_print(text: str) -> bool:
    try:
        text.encode(sys.stdout.encoding)
    except UnicodeEncodeError:
        return False
    return True


class Printer:
    """Prints what a monitor observes. Thread: the monitor's, after `begin`."""

    def __init__(self, source: Source, requests: SignalQueue, *, as_json: bool) -> None:
        self._health = source.health
        self._requests = requests
        self._as_json = as_json
        self._console = Console(file=sys.stdout, highlight=False, soft_wrap=True)
        #: Windows' encoding of a pipe has no arrow.
        self._arrow = "→" if _can_print("→") else "->"
        self._overruns = source.health.overruns or 0
        self._closed = False

    def __repr__(self) -> str:
        return f"<Printer {'json' if self._as_json else 'text'}>"

    def begin(self, interfaces: Sequence[Interface], clock: Clock) -> None:
        """Print the interfaces that exist."""
        time, instant = clock.wall(), clock.monotonic()
        with self._output():
            for i in interfaces:
                if self._as_json:
                    self._console.out(encode_present(i, time, instant), end="")
                else:
                    self._line(time, i.family.label, i.link.name, "exists", describe.state(i))

    def __call__(self, batch: Sequence[Notification], deltas: Sequence[Delta]) -> None:
        """Print a batch."""
        with self._output():
            self._report_losses(batch[0].time)
            for delta in deltas:
                self._change(delta)

    @contextmanager
    def _output(self) -> Iterator[None]:
        """Write what the block prints; request a stop once the output is closed.

        Not `Console`'s own writing, which ends the thread when the output is closed.
        """
        with self._console.capture() as printed:
            yield
        if self._closed:
            return
        try:
            sys.stdout.write(printed.get())
            sys.stdout.flush()
        except BrokenPipeError:
            self._closed = True
            self._requests.put(_CLOSED)

    def _change(self, delta: Delta) -> None:
        n = delta.notification
        if self._as_json:
            self._console.out(encode(n), end="")
        elif n.type is not NotificationType.REFRESH or n.unobserved_connects:
            what, details = describe.event(delta), describe.details(delta)
            self._line(n.time, n.family.label, delta.device, what, details)

    def _report_losses(self, time: float) -> None:
        overruns, self._overruns = self._overruns, self._health.overruns or 0
        if self._overruns == overruns:
            return
        details = "the receive buffer was full; differences that are found follow"
        if self._as_json:
            print(f"Notifications were lost: {details}", file=sys.stderr)
        else:
            self._line(time, "", "", "lost", details)

    def _line(self, time: float, family: str, device: str, what: str, details: str) -> None:
        moment = datetime.fromtimestamp(time).isoformat(" ", "milliseconds")
        line = Text(f"{moment} {family:4} {escaped(device):<{_DEVICE_WIDTH}} ")
        line.append(f"{what:<{_EVENT_WIDTH}}", _STYLES.get(what, ""))
        line.append(" " + details.replace("→", self._arrow))
        self._console.print(line)
