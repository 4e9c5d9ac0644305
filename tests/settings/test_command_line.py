"""The command line: what it accepts, what its help says, and the exit codes."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support.waiting import DEADLINE

from exporter import __version__, cli
from exporter.settings.command_line import SWITCHES, build_parser, parse
from exporter.settings.schema import OPTIONS, Settings

DATA = Path(__file__).parent / "data"
ROOT = Path(__file__).parents[2]
VARIABLE = "IP_INTERFACE_EXPORTER_CONFIG_FILE"


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The program in a process of its own."""
    inherited = {name: value for name, value in os.environ.items() if name != VARIABLE}
    return subprocess.run(
        [sys.executable, "-m", "exporter", *arguments],
        cwd=ROOT,
        env=inherited | environment,
        capture_output=True,
        encoding="utf-8",
        timeout=DEADLINE,
        check=False,
    )


# -- grammar ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "command", "files", "flags"),
    [
        ("", "agent", (), {}),
        ("agent", "agent", (), {}),
        ("--log.level=debug", "agent", (), {"log.level": ["debug"]}),
        ("--log.level debug agent", "agent", (), {"log.level": ["debug"]}),
        ("record f", "record", ("f",), {}),
        ("--log.level debug replay --replay.pace=recorded f", "replay", ("f",),
         {"log.level": ["debug"], "replay.pace": ["recorded"]}),
        ("--web.listen-address=:1 replay f --web.listen-address=:2", "replay", ("f",),
         {"web.listen-address": [":1", ":2"]}),
        ("--web.systemd-socket record f", "record", ("f",), {"web.systemd-socket": ["true"]}),
        ("--web.systemd-socket --no-web.systemd-socket", "agent", (),
         {"web.systemd-socket": ["true", "false"]}),
        ("--collector.max-interfaces -1", "agent", (), {"collector.max-interfaces": ["-1"]}),
        ("--collector.include=", "agent", (), {"collector.include": [""]}),
        ("--collector.include=--help", "agent", (), {"collector.include": ["--help"]}),
        ("check-config a b", "check-config", ("a", "b"), {}),
        ("record -- -f", "record", ("-f",), {}),
        ("list eth0 veth.*", "list", ("eth0", "veth.*"), {}),
        ("watch", "watch", (), {}),
        ("watch f --replay.pace=recorded", "watch", ("f",), {"replay.pace": ["recorded"]}),
    ],
)  # fmt: skip
def test_lines_that_are_understood(
    line: str, command: str, files: tuple[str, ...], flags: dict[str, list[str]]
) -> None:
    """Flags may stand before and after the command, in both spellings, and all are kept."""
    assert parse(line.split()) == (command, files, flags, frozenset())


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("--log.lev=debug", "unrecognized arguments: --log.lev=debug"),
        ("--web.systemd-socket=true", "ignored explicit argument 'true'"),
        ("--log.level", "expected one argument"),
        ("-x", "unrecognized arguments: -x"),
        ("recrod f", "unknown command recrod: see --help"),
        ("agent f", "agent takes no argument, but got f"),
        ("record", "record takes one FILE, but got 0"),
        ("replay a b", "replay takes one FILE, but got 2"),
        ("check-config", "check-config takes one FILE or more, but got none"),
        ("check-config f --log.level=debug", "check-config takes no flags, but got --log.level"),
        ("record f --replay.pace=none", "--replay.pace requires the command replay or watch"),
        ("watch a b", "watch takes one FILE at most, but got 2"),
        ("--json", "--json requires the command list or watch"),
        ("list --initial", "--initial requires the command watch"),
    ],
)
def test_usage_errors(line: str, error: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What is not a valid command line exits with 2 and says why; no flag is abbreviated."""
    with pytest.raises(SystemExit) as raised:
        parse(line.split())
    assert raised.value.code == 2
    assert error in capsys.readouterr().err


def test_switches_of_list_and_watch() -> None:
    """They are no settings, and kept apart."""
    assert parse(["watch", "--json", "--initial"]).switches == {"json", "initial"}
    assert parse(["list", "--json"]).flags == {}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("ip-interface-exporter wa", {"watch"}),
        ("ip-interface-exporter service st", {"start", "stop"}),
        ("ip-interface-exporter --collector.exclude-k", {"--collector.exclude-kinds"}),
    ],
)
def test_shells_complete_the_line(line: str, words: set[str], tmp_path: Path) -> None:
    """Commands, their arguments and flags, as argcomplete asks for them."""
    output = tmp_path / "completions"
    environment = {
        "_ARGCOMPLETE": "1",
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
        "COMP_TYPE": "9",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(output),
    }
    command = [sys.executable, "-c", "from exporter.cli import main; main()"]
    subprocess.run(command, cwd=ROOT, env=os.environ | environment, check=True)
    assert {word.strip() for word in output.read_text().split("\013")} == words


# -- help and version ---------------------------------------------------------------------


def test_help_is_the_golden_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """The help reads as agreed on, in a terminal of any width."""
    monkeypatch.setenv("COLUMNS", "200")
    assert build_parser().format_help() == (DATA / "help.txt").read_text(encoding="utf-8")


def test_help_lists_every_flag_in_80_columns() -> None:
    """Every flag is in the help with its default, no line is wider than 80 columns."""
    text = build_parser().format_help()
    assert max(len(line) for line in text.splitlines()) <= 80
    shown = re.findall(r"^  --([a-z.-]+)", text, re.MULTILINE)
    assert shown == [*OPTIONS, *SWITCHES, "version"]
    flat = " ".join(text.split())
    for option in OPTIONS.values():
        if option.metavar and option.default:
            assert f"{option.help} Default: {option.default}" in flat


def test_help_needs_no_docstrings() -> None:
    """An interpreter that drops docstrings (-OO) shows the same help."""
    command = [sys.executable, "-OO", "-m", "exporter", "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", check=True)
    assert done.stdout == (DATA / "help.txt").read_text(encoding="utf-8")


def test_help_and_version_exit_with_0() -> None:
    """Help and version go to standard output, whatever else the environment says."""
    done = run("--help", **{VARIABLE: "missing.yml"})
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: ip-interface-exporter [FLAGS] [COMMAND]\n")
    done = run("--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"ip-interface-exporter, version {__version__} (revision: ")
    assert "python: " in done.stdout
    assert "platform: " in done.stdout


def test_help_and_check_config_do_not_build_the_agent() -> None:
    """What needs no agent does not load it: the answer is there at once."""
    code = (
        "import sys; from exporter.cli import main; code = main(['check-config', sys.argv[1]]);"
        "unwanted = {'exporter.agent.agent', 'exporter.web', 'asyncio'};"
        "sys.exit(code or bool(sys.modules.keys() & unwanted))"
    )
    path = str(DATA / "full.good.yml")
    subprocess.run([sys.executable, "-c", code, path], cwd=ROOT, check=True, capture_output=True)


# -- exit codes ---------------------------------------------------------------------------


def test_check_config_exits_with_0_for_good_files() -> None:
    """Each good file is reported; nothing is started, no socket needed."""
    paths = sorted(map(str, DATA.glob("*.good.yml")))
    done = run("check-config", *paths)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [f"{path}: ok" for path in paths]


def test_check_config_tells_web_configurations_apart(tmp_path: Path) -> None:
    """A web configuration is checked as one, also when misspelled or named by a configuration."""
    web, typo, agent = tmp_path / "web.yml", tmp_path / "typo.yml", tmp_path / "agent.yml"
    web.write_text("rate_limit: {interval: 10, burst: 1}\n")
    typo.write_text("rate_limits: {interval: 10s, burst: 1}\n")
    agent.write_text("log: {level: info}\nweb:\n  config: {file: web.yml}\n")
    done = run("check-config", str(web), str(typo), str(agent))
    assert (done.returncode, done.stdout) == (1, "")
    problem = f'{web}:1: rate_limit.interval: "10" is not a duration: write for example '
    first, second, third = done.stderr.splitlines()
    assert first.startswith(problem)
    assert second == f"{typo}:1: rate_limits: unknown key: did you mean rate_limit?"
    assert third.startswith(f"{agent}:3: web.config.file: {problem}")
    web.write_text("rate_limit: {interval: 10s, burst: 1}\n")
    assert run("check-config", str(web), str(agent)).returncode == 0


def test_check_config_exits_with_1_for_any_bad_file() -> None:
    """Each file has its line: the good ones their verdict, the others their error."""
    good, bad = str(DATA / "full.good.yml"), str(DATA / "duration.bad.yml")
    done = run("check-config", bad, good, "missing\n.yml")
    assert done.returncode == 1
    assert done.stdout == f"{good}: ok\n"
    first, second = done.stderr.splitlines()
    assert first.startswith(f'{bad}:2: collector.retention: "10 minutes" is not a duration')
    assert second.startswith(r"missing\n.yml: cannot be read: ")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--collector.retention=soon"], '--collector.retention: "soon" is not a duration: write '),
        (["--web.config.file=missing.yml"], "--web.config.file: missing.yml: cannot be read: "),
        (["--config.file=missing.yml"], "missing.yml: cannot be read: "),
        (["replay", "f", "--replay.pace=x"], '--replay.pace: "x": must be one of none, recorded'),
    ],
)
def test_a_wrong_value_exits_with_1(arguments: list[str], error: str) -> None:
    """A value that cannot be is one clear line on standard error, and the exit code is 1."""
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"ip-interface-exporter: error: {error}")
    assert done.stderr.count("\n") == 1


def test_a_wrong_file_of_the_environment_exits_with_1() -> None:
    """A file that the environment names is as binding as one that a flag names."""
    done = run(**{VARIABLE: str(DATA / "word.bad.yml")})
    assert done.returncode == 1
    assert 'word.bad.yml:2: log.level: "verbose": must be one of' in done.stderr


def test_a_usage_error_exits_with_2() -> None:
    """An unknown flag exits with 2, as every Prometheus exporter's does."""
    done = run("--web.listen-adress=:1")
    assert (done.returncode, done.stdout) == (2, "")
    assert "unrecognized arguments: --web.listen-adress=:1" in done.stderr


def test_what_cannot_start_exits_with_1() -> None:
    """A recording that is not there is one line in the log format that was asked for."""
    arguments = ("--web.listen-address=127.0.0.1:0", "--log.format=json", "replay", "missing.jsonl")
    done = run(*arguments)
    assert done.returncode == 1
    line = json.loads(done.stderr.splitlines()[-1])
    assert line["level"] == "error"
    assert line["msg"] == "Cannot start"
    assert line["error"].startswith("missing.jsonl: ")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("error", "logged"),
    [
        (FileExistsError(17, "File exists", "f.jsonl"), '"f.jsonl: File exists"'),
        (PermissionError(13, "Permission denied"), '"Permission denied"'),
        (OSError("cannot listen on :80: why"), '"cannot listen on :80: why"'),
        (OSError(), "OSError"),
    ],
)
def test_an_error_of_the_system_is_named_by_what_it_is_about(
    error: OSError,
    logged: str,
    restored: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The line has the file where there is one, and not Python's number of the error."""

    def fail(*_: object) -> int:
        raise error

    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr("exporter.agent.run.run_agent", fail)
    assert cli.main([]) == 1
    assert f'level=error msg="Cannot start" error={logged}\n' in capsys.readouterr().err


def test_the_exit_code_and_arguments_are_the_commands_own(
    restored: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each command gets its settings and file, and what it returns is the exit code."""
    seen: list[tuple[str, ...]] = []

    def take(load: Callable[[], Settings], *files: str, **_: object) -> int:
        seen.append((load().log.level, load().replay.pace, *files))
        return 7

    monkeypatch.delenv(VARIABLE, raising=False)
    for name in ("run_agent", "run_record", "run_replay"):
        monkeypatch.setattr(f"exporter.agent.run.{name}", take)
    for line in ("", "--log.level=warn record a", "replay b --replay.pace=recorded"):
        assert cli.main(line.split()) == 7
    assert seen == [("info", "none"), ("warn", "none", "a"), ("info", "recorded", "b")]


def test_ctrl_c_before_the_agent_runs_is_a_stop(
    restored: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An interrupt in the middle of the start is a stop like any other, without a traceback."""

    def interrupt(*_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr("exporter.agent.run.run_agent", interrupt)
    assert cli.main([]) == 0
