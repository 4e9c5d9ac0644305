"""Shows how far a replay is: a bar on a terminal, otherwise a log line now and then."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from exporter.logs import event
from exporter.sources.replay import ReplaySource

log = logging.getLogger(__name__)

#: Seconds between two drawings of the bar, and between two log lines.
_BAR_SECONDS, _LOG_SECONDS = 0.1, 10.0


@contextmanager
def replay_progress(source: ReplaySource) -> Iterator[None]:
    """Show the progress of `source` until it has ended. The block must close it."""
    show = _draw_bar if _can_draw() else _log_lines

    def run() -> None:
        began = time.monotonic()
        show(source)
        if source.health.replay_finished:
            seconds = round(time.monotonic() - began, 1)
            event(log, logging.INFO, "Replayed", lines=source.progress().lines, seconds=seconds)

    thread = threading.Thread(target=run, name="replay progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def _can_draw() -> bool:
    """Return whether the log goes to a terminal whose cursor can be moved."""
    terminal = sys.stderr is not None and sys.stderr.isatty()
    return terminal and os.environ.get("TERM") not in ("dumb", "unknown")


def _moment(time: float) -> str:
    """Format a time of the recording, in UTC as the log."""
    return f"{datetime.fromtimestamp(time, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _log_lines(source: ReplaySource) -> None:
    while not source.ended.wait(_LOG_SECONDS):
        done = source.progress()
        event(
            log,
            logging.INFO,
            "Replay in progress",
            percent=f"{done.percent:.0f}",
            lines=done.lines,
            recorded=_moment(done.time),
        )


def _draw_bar(source: ReplaySource) -> None:
    # Loaded here: a replay that logs does not need it.
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    # rich prints what is logged meanwhile above the bar; soft_wrap leaves those lines whole.
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    columns = (
        BarColumn(bar_width=30),
        TaskProgressColumn(),
        TextColumn("{task.fields[lines]:,} lines, recorded {task.fields[recorded]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, auto_refresh=False, transient=True) as bar:
        task = bar.add_task("", total=None, visible=False, lines=0, recorded="")
        while True:
            done = source.progress()
            bar.update(
                task,
                completed=done.position,
                total=done.size or None,
                visible=True,
                lines=done.lines,
                recorded=_moment(done.time),
                refresh=True,
            )
            if source.ended.wait(_BAR_SECONDS):
                return
