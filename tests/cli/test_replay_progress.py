"""The command replay shows how far it is."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from commands import PROGRAM, Terminal
from support.agent import PROJECT, Agent
from support.waiting import DEADLINE, wait_until

from exporter.cli import replay_progress as module
from exporter.model import (
    Family,
    Interface,
    InterfaceRow,
    Link,
    Notification,
    NotificationType,
)
from exporter.sources.recording import encode, encode_start
from exporter.sources.replay import ReplaySource

REPLAY = [*PROGRAM, "replay", "--web.listen-address=127.0.0.1:0"]
LINES = 5000


def recorded_flaps(lines: int) -> list[str]:
    """A recording of an interface that changes each minute."""
    link = Link("eth0", type=6)
    changes = (
        Notification(
            NotificationType.PARAMETER,
            *(Family.IPV4, 3, 3, 1.7e9 + 60 * n, 60.0 * n),
            Interface(Family.IPV4, 3, 3, link, InterfaceRow(connected=n % 2 == 0)),
        )
        for n in range(1, lines)
    )
    return [encode_start(1.7e9, 0.0), *map(encode, changes)]


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """A recording of some seconds at full speed on a slow machine."""
    path = tmp_path / "recording.jsonl"
    path.write_text("".join(recorded_flaps(LINES)))
    return path


def test_a_terminal_shows_a_bar(recording: Path) -> None:
    """Percents, lines and the time in the recording; then the cursor is back."""
    with Terminal(*REPLAY, str(recording), columns=120) as terminal:
        output = terminal.wait_for(b"msg=Replayed")
        assert b"%" in output
        assert b" lines, recorded 2023-11-1" in output
        assert output.count(b"\x1b[?25l") == output.count(b"\x1b[?25h") == 1
        assert f"msg=Replayed lines={LINES} seconds=".encode() in output
        terminal.process.send_signal(signal.SIGINT)
        code, output = terminal.end()
    assert code == 0
    assert b"Traceback" not in output


def test_ctrl_c_gives_the_cursor_back(recording: Path) -> None:
    """The bar of a replay that has not ended vanishes, and what is logged stays whole."""
    with Terminal(*REPLAY, "--replay.pace=recorded", str(recording), columns=60) as terminal:
        terminal.wait_for(b" lines, recorded")
        terminal.resize(120)
        terminal.press_ctrl_c()
        code, output = terminal.end()
    assert code == 0
    assert output.count(b"\x1b[?25l") == output.count(b"\x1b[?25h") == 1
    assert b"msg=Replayed" not in output
    assert b"msg=Stopping reason=SIGINT" in output
    assert b'msg="TLS is disabled" http2=false address=127.0.0.1:' in output, "a line is whole"


@pytest.mark.parametrize("terminal", ["none", "dumb"])
def test_otherwise_the_log_tells_the_end(recording: Path, terminal: str) -> None:
    """A pipe, or a terminal without a cursor to move, gets a log line and no escape sequence."""
    if terminal == "dumb":
        with Terminal(*REPLAY, str(recording), environment={"TERM": "dumb"}) as dumb:
            output = dumb.wait_for(b"msg=Replayed")
    else:
        with Agent("replay", str(recording)) as agent:
            agent.wait_for("ip_interface_exporter_replay_finished", 1)
            wait_until(lambda: any("msg=Replayed" in line for line in agent.log))
            output = "".join(agent.log).encode()
    assert b"\x1b" not in output


def test_a_long_replay_is_logged_now_and_then(
    recording: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Each line says how far it is; the last of a replay that is stopped is none of its end."""
    monkeypatch.setattr(module, "_LOG_SECONDS", 0.01)
    caplog.set_level(logging.INFO, "exporter")
    source = ReplaySource(str(recording), recorded_pace=True)
    source.open()

    def logged() -> list[logging.LogRecord]:
        return [record for record in caplog.records if record.name == module.__name__]

    with module.replay_progress(source):
        source.receive(0)
        wait_until(lambda: len(logged()) >= 3)
        source.close()
    record = logged()[-1]
    assert record.message == "Replay in progress"
    fields = record.fields  # type: ignore[attr-defined]
    assert 0 <= float(fields["percent"]) < 100
    assert 2 <= fields["lines"] < LINES
    assert fields["recorded"].startswith("2023-11-14T")


def test_a_pipe_has_no_size(tmp_path: Path) -> None:
    """What is left of a recording from a pipe is not known; it is replayed all the same."""
    command = [*PROGRAM, "watch", "/dev/stdin"]
    recording = "".join(recorded_flaps(10))
    result = subprocess.run(
        command, cwd=PROJECT, input=recording, capture_output=True, text=True, timeout=DEADLINE
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert ReplaySource("/dev/null").progress().percent == 0.0


def test_a_replay_without_a_bar_does_not_load_the_terminal_library() -> None:
    """Only a terminal pays for it."""
    code = "import sys; import exporter.cli.replay_progress; sys.exit('rich' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=False).returncode == 0
