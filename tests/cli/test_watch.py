"""The command watch shows each change as it happens."""

import json
import re
import signal
import subprocess
import sys
from itertools import cycle
from pathlib import Path

import pytest
from commands import PROGRAM, Terminal, Watch, inside, run
from support.agent import PROJECT
from support.namespace import Namespace
from support.waiting import wait_until

RECORDING = PROJECT / "tests" / "data" / "golden" / "recording.jsonl"


def started(namespace: Namespace, *arguments: str) -> Watch:
    """A watch that receives changes, and has shown what exists, loopback among it."""
    watch = Watch("--initial", *arguments, namespace=namespace)
    watch.wait_for(lambda lines: any("lo" in line for line in lines))
    return watch


def test_each_change_is_a_line(namespace: Namespace) -> None:
    """An addition, a connection, a lost carrier, a setting, a deletion, for each family."""
    with started(namespace) as watch:

        def of_west() -> str:
            return "\n".join(line for line in watch.lines if " ipv4 west " in line)

        namespace.ip("link add west type veth peer name east")
        namespace.ip("link set west up")
        namespace.ip("link set east up")
        watch.wait_for(lambda _: " connected " in of_west())
        namespace.ip("link set east down")
        watch.wait_for(lambda _: "disconnected " in of_west())
        namespace.ip("link set west mtu 1400")
        namespace.ip("link del west")
        watch.wait_for(lambda _: "deleted" in of_west())
        lines = of_west().splitlines()
        code, errors = watch.stop()
    assert (code, errors) == (0, "")
    events = [line.split()[4] for line in lines]
    assert events[:3] == ["added", "connected", "disconnected"]
    assert events[-1] == "deleted"
    assert "connected → disconnected" in lines[2]
    assert "cause " in lines[2]
    assert any("mtu 1500 → 1400" in line for line in lines)
    assert len({line.index(events[0][0], 40) for line in lines[:1]}) == 1


def test_json_lines_are_a_recording(namespace: Namespace, tmp_path: Path) -> None:
    """What --json prints can be replayed, and shows the same changes again."""
    with started(namespace, "--json") as watch:
        namespace.ip("link add west type veth peer name east")
        watch.wait_for(lambda lines: [s for s in lines if '"west"' in s and '"add"' in s])
        assert watch.stop()[0] == 0
    recording = tmp_path / "changes.jsonl"
    recording.write_text("\n".join(watch.lines) + "\n")
    again = run("watch", "--json", str(recording)).stdout.splitlines()
    added = [json.loads(line) for line in watch.lines if '"add"' in line]
    assert [line for line in map(json.loads, again) if line["event"] == "add"] == added


def test_a_recording_is_shown_to_its_end() -> None:
    """A file is shown line by line, and the command ends with it."""
    result = run("watch", str(RECORDING))
    assert result.returncode == 0
    assert result.stdout.count("disconnected") > 0


def test_a_recording_is_shown_at_its_pace(tmp_path: Path) -> None:
    """With --replay.pace=recorded the next line comes when it came; else all come at once."""
    lines = RECORDING.read_text().splitlines()
    first, last = (json.loads(line) for line in (lines[0], lines[-1]))
    later = {key: last[key] + 10_000.0 for key in ("time", "instant") if key in last}
    recording = tmp_path / "recording.jsonl"
    recording.write_text("\n".join([*lines, json.dumps(last | later)]) + "\n")
    shown = run("watch", "--json", str(recording)).stdout.splitlines()
    assert json.loads(shown[-1])["time"] == later["time"] > first["time"]
    paced = ["--json", "--replay.pace=recorded", str(recording)]
    with Watch(*paced) as watch:
        watch.wait_for(lambda seen: len(seen) == len(shown) - 1)
        assert watch.process.poll() is None, "it waits for the last"
        assert watch.stop()[0] == 0
    assert watch.lines == shown[:-1]


def test_the_filters_of_the_agent_count(namespace: Namespace) -> None:
    """What is excluded is not shown."""
    with started(namespace, "--collector.exclude=we.*") as watch:
        namespace.ip("link add west type veth peer name east")
        watch.wait_for(lambda lines: [s for s in lines if " east " in s])
        assert not [line for line in watch.lines if " west " in line]


def test_a_storm_on_a_terminal_that_is_resized(namespace: Namespace) -> None:
    """Each line is whole, for the terminal to wrap; Ctrl-C ends the command in the middle of it."""
    command = [*inside(namespace), *PROGRAM, "watch", "--initial"]
    with Terminal(*command, columns=40, environment={"NO_COLOR": "1"}) as terminal:
        terminal.wait_for(b" lo ")
        namespace.ip("link add west type veth peer name east")
        namespace.ip("link set west up")
        for columns in (120, 20, 80):
            terminal.resize(columns)
            namespace.batch(f"link set east {state}" for state in ("up", "down") * 50)
        namespace.ip("link set west mtu 1400")
        terminal.wait_for(b"mtu 1500 \xe2\x86\x92 1400\r\n")
        # The kernel may merge flaps of the storm, but none that is shown before the next change.
        shown = len(terminal.output)
        for state, text in (
            ("up", "disconnected → connected"),
            ("down", "connected → disconnected"),
        ):
            namespace.ip(f"link set east {state}")
            wait_until(lambda: terminal.output[shown:].count(text.encode()) >= 2)  # noqa: B023
        terminal.press_ctrl_c()
        code, output = terminal.end()
    assert code == 0
    lines = output.removesuffix(b"^C").decode().splitlines()
    assert not [line for line in lines if not re.match(r"20..-..-.. ..:..:..\.... ipv[46] ", line)]
    assert sum("connected → disconnected, cause " in line for line in lines) >= 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_without_a_word(namespace: Namespace, number: signal.Signals) -> None:
    """Ctrl-C is how a person stops watching: no traceback, exit code 0."""
    with started(namespace) as watch:
        assert watch.stop(number) == (0, "")


def test_a_closed_pipe_ends_it(namespace: Namespace) -> None:
    """``watch | head -1`` ends with the next change after head has ended."""
    command = [*inside(namespace), *PROGRAM, "watch", "--initial"]
    with subprocess.Popen(
        command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as watch:
        assert watch.stdout is not None
        assert "lo" in watch.stdout.readline()
        watch.stdout.close()
        mtus = cycle((60000, 61000))

        def ended() -> bool:
            namespace.ip(f"link set lo mtu {next(mtus)}")
            return watch.poll() is not None

        try:
            wait_until(ended, message="watch has ended")
        finally:
            watch.kill()
        assert watch.stderr is not None
        assert watch.stderr.read() == ""
        assert watch.returncode == 0


def test_colors_are_for_terminals_that_want_them() -> None:
    """A terminal gets colors, NO_COLOR and a pipe do not."""
    command = [*PROGRAM, "watch", str(RECORDING)]
    shown = {}
    for no_color in ("", "1"):
        environment = {"NO_COLOR": no_color} if no_color else {}
        with Terminal(*command, environment=environment) as terminal:
            code, shown[no_color] = terminal.end()
        assert code == 0
    assert b"\x1b[31m" in shown[""]
    assert b"\x1b[3" not in shown["1"]
    assert b"\x1b" not in subprocess.run(command, cwd=PROJECT, capture_output=True).stdout


def test_the_agent_does_not_load_the_terminal_library() -> None:
    """Only list and watch pay for it."""
    code = (
        "import sys; import exporter.agent.run; from exporter.cli import main;"
        "sys.exit('rich' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=False).returncode == 0
