"""Runs a command of the command line. Exit codes: 0 success, 1 failure, 2 usage error."""

from __future__ import annotations

import io
import logging
import os
import sys
from collections.abc import Callable, Sequence

from exporter import logs
from exporter.agent.check_config import check_any_file, load
from exporter.errors import SettingsError, escaped, reason
from exporter.settings.command_line import Invocation, flag_arguments, parse
from exporter.settings.schema import Settings
from exporter.version import NAME

log = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command of `argv` (without the program's name) and return the exit code.

    Raises SystemExit: 2 for a usage error, 0 after help or version.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # prints any file name
    invocation = parse(argv)
    if invocation.command == "check-config":
        return _check(invocation.arguments)
    try:
        settings = load(invocation.flags, os.environ)
    except SettingsError as error:
        print(f"{NAME}: error: {error}", file=sys.stderr)
        return 1
    logs.set_up(settings.log.level, settings.log.format)
    try:
        return _run(invocation, lambda: load(invocation.flags, os.environ))
    except (OSError, SettingsError) as error:
        failed = "Failed" if invocation.command == "service" else "Cannot start"
        logs.event(log, logging.ERROR, failed, error=reason(error))
        return 1
    except KeyboardInterrupt:  # before the agent captures signals
        return 0


def _check(paths: Sequence[str]) -> int:
    failed = 0
    for path in paths:
        try:
            check_any_file(path)
            print(f"{escaped(path)}: ok")
        except SettingsError as error:
            print(error, file=sys.stderr)
            failed = 1
    return failed


def _run(invocation: Invocation, reload: Callable[[], Settings]) -> int:
    from exporter.agent import run  # imported late, so that help and check-config are quick

    arguments, switches = invocation.arguments, invocation.switches

    match invocation.command:
        case "record":
            return run.run_record(reload, arguments[0])
        case "replay":
            from exporter.cli.replay_progress import replay_progress

            return run.run_replay(reload, arguments[0], progress=replay_progress)
        case "list":
            from exporter.cli.list_interfaces import run_list

            return run_list(reload(), arguments, as_json="json" in switches)
        case "watch":
            from exporter.cli.watch_changes import run_watch

            path = arguments[0] if arguments else None
            return run_watch(
                reload(), path, as_json="json" in switches, initial="initial" in switches
            )
        case "service":
            if sys.platform != "win32":
                raise OSError("the service command exists on Windows only; use a systemd unit here")
            from exporter.agent import windows_service

            flags = flag_arguments(invocation.flags)
            return windows_service.command(arguments[0], reload, flags)
        case _:
            return run.run_agent(reload)
