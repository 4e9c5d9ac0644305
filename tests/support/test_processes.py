"""A test run leaves nothing behind, however it ends."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from support.agent import PROJECT, Agent
from support.namespace import Namespace
from support.waiting import DEADLINE, wait_until

WAITS = """
import threading
from pathlib import Path
from support.agent import Agent

def test_waits(namespace):
    namespace.ip("link set lo up")
    with Agent(namespace=namespace) as agent:
        Path("running.partial").write_text(f"{agent.process.pid} {namespace.name}")
        Path("running.partial").rename("running")
        threading.Event().wait()
"""


def heed_signals() -> None:
    """Undo what nohup, or a shell's background job, has the child process inherit."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


class Silent(Agent):
    """An agent whose log never contains the port, and whose start does not wait."""

    start_timeout = 0.0


def test_an_agent_that_does_not_start_is_ended() -> None:
    """When no port is logged in time the start fails, and the process ends."""
    agent = Silent("--log.level=error")
    with pytest.raises(AssertionError, match="the log has the port"), agent:
        pass
    assert agent.process.returncode == -signal.SIGKILL


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_an_interrupted_run_leaves_nothing_behind(
    name: str, namespace: Namespace, tmp_path: Path
) -> None:
    """The agent that a test was running, and its namespace, are gone when the run has ended."""
    del namespace  # skips the test where there can be none
    (tmp_path / "test_waits.py").write_text(WAITS)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:cloudcoil",
        "-p",
        "conftest",
    ]
    path = os.pathsep.join([str(PROJECT / "tests"), str(PROJECT)])
    run = subprocess.Popen(
        [*command, "test_waits.py"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": path},
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=heed_signals,
    )
    with run:
        try:
            running = tmp_path / "running"
            wait_until(lambda: running.exists() or run.poll() is not None)
            pid, other = running.read_text().split()
            assert Path(f"/proc/{pid}").exists()
            run.send_signal(getattr(signal, name))
            output, _ = run.communicate(timeout=DEADLINE)
        finally:
            run.kill()
    assert run.returncode == pytest.ExitCode.INTERRUPTED, output
    assert not Path(f"/proc/{pid}").exists()
    assert not Path(f"/run/netns/{other}").exists()
