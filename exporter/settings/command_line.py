"""Parses the command line, and makes its help from the declared options."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from exporter.settings.options import Option, options_of
from exporter.settings.schema import OPTIONS, SECTIONS
from exporter.version import NAME, version_text

_DESCRIPTION = f"""\
Publishes every change of this computer's IP interfaces as metrics.

commands:
  (none), agent
        Watch the IP interfaces of this computer and serve their metrics.
  record FILE
        Do the same, and write every notification to a new file.
  replay FILE
        Serve the metrics of a recording instead of this computer's.
  list [DEVICE...]
        Show the IP interfaces of this computer. A DEVICE is a name or a regular
        expression; the exit code is 1 if nothing matches.
  watch [FILE]
        Show every change of this computer, or of a recording, as it happens.
  check-config FILE...
        Validate configuration files and web configuration files.
  service install|remove|start|stop|run
        Manage the Windows service. It starts with the flags given to install.

A flag is written as --flag=value or --flag value, before or after the command.
A flag without a value is turned off by --no-, as in --no-web.systemd-socket.
A DURATION is written as in Prometheus or Go: 500ms, 90s, 1h30m, 2d.
Example: {NAME} --web.listen-address=127.0.0.1:10190
"""

#: Switches of the commands list and watch, which are not settings of the agent.
SWITCHES = {
    "json": "Print JSON: a list of interfaces, or the lines of a recording.",
    "initial": "Only watch: begin with the interfaces that exist.",
}
COMMANDS = ("agent", "record", "replay", "list", "watch", "check-config", "service")
SERVICE_ACTIONS = ("install", "remove", "start", "stop", "run")


class Invocation(NamedTuple):
    """A parsed command line. The values of the flags are still text."""

    command: str
    #: The arguments of the command: files, or the action of ``service``.
    arguments: tuple[str, ...]
    #: Texts by flag, in the order of the command line.
    flags: dict[str, list[str]]
    #: Switches of the commands list and watch: ``json``, ``initial``.
    switches: frozenset[str] = frozenset()


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of all flags; `parse` adds the rules of the commands."""
    parser = argparse.ArgumentParser(
        NAME,
        f"{NAME} [FLAGS] [COMMAND]",
        _DESCRIPTION,
        formatter_class=_Formatter,
        add_help=False,
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
    )
    arguments = parser.add_argument("arguments", nargs="*", default=[], help=argparse.SUPPRESS)
    arguments.completer = _complete  # type: ignore[attr-defined]  # read by argcomplete
    for section in SECTIONS:
        group = parser.add_argument_group(section.title, section.description)
        for option in options_of(section).values():
            _add(group, option)
    group = parser.add_argument_group("list and watch", "Only with these commands.")
    for name, help_ in SWITCHES.items():
        group.add_argument(f"--{name}", action="store_true", help=help_)
    group = parser.add_argument_group("other")
    group.add_argument(
        "--version", action=_Version, nargs=0, help="Show version, revision, Python and platform."
    )
    group.add_argument("-h", "--help", action="help", help="Show this help.")
    return parser


def parse(argv: Sequence[str] | None = None) -> Invocation:
    """Parse a command line. Raises SystemExit: 2 for a usage error, 0 after help or version."""
    parser = build_parser()
    if "_ARGCOMPLETE" in os.environ:  # the shell asks for completions
        import argcomplete

        argcomplete.autocomplete(parser, always_complete_options=False)
    flags = vars(parser.parse_intermixed_args(argv))
    command, *arguments = flags.pop("arguments") or ["agent"]
    switches = frozenset(name for name in SWITCHES if flags.pop(name, False))
    match command:
        case "agent":
            if arguments:
                parser.error(f"agent takes no argument, but got {arguments[0]}")
        case "record" | "replay":
            if len(arguments) != 1:
                parser.error(f"{command} takes one FILE, but got {len(arguments)}")
        case "list":
            pass
        case "watch":
            if len(arguments) > 1:
                parser.error(f"watch takes one FILE at most, but got {len(arguments)}")
        case "check-config":
            if not arguments:
                parser.error("check-config takes one FILE or more, but got none")
            if flags:
                parser.error(f"check-config takes no flags, but got --{next(iter(flags))}")
        case "service":
            if len(arguments) != 1 or arguments[0] not in SERVICE_ACTIONS:
                parser.error(f"service takes one of {', '.join(SERVICE_ACTIONS)}")
        case _:
            parser.error(f"unknown command {command}: see --help")
    if "replay.pace" in flags and command not in ("replay", "watch"):
        parser.error("--replay.pace requires the command replay or watch")
    if "json" in switches and command not in ("list", "watch"):
        parser.error("--json requires the command list or watch")
    if "initial" in switches and command != "watch":
        parser.error("--initial requires the command watch")
    return Invocation(command, tuple(arguments), flags, switches)


def _complete(prefix: str, parsed_args: argparse.Namespace, **_: object) -> list[str]:
    """Return the commands, or what may follow one, that begin with `prefix`."""
    words: tuple[str, ...]
    match getattr(parsed_args, "arguments", []):
        case []:
            words = COMMANDS
        case ["service"]:
            words = SERVICE_ACTIONS
        case _:
            from argcomplete.completers import FilesCompleter

            return list(FilesCompleter()(prefix))
    return [word for word in words if word.startswith(prefix)]


def flag_arguments(flags: Mapping[str, Sequence[str]]) -> list[str]:
    """Return command-line arguments that `parse` turns into these flags."""
    arguments = []
    for flag, texts in flags.items():
        if OPTIONS[flag].metavar:
            arguments += [f"--{flag}={text}" for text in texts]
        else:
            arguments.append(f"--{flag}" if texts[-1] == "true" else f"--no-{flag}")
    return arguments


def _add(group: argparse._ArgumentGroup, option: Option) -> None:
    flag, help_text = f"--{option.flag}", option.help
    if option.metavar:
        if option.default:
            help_text += f" Default: {option.default}"
        if option.environment:
            help_text += f" Environment: {option.environment}"
        help_text = help_text.replace("%", "%%")
        argument = group.add_argument(
            flag, action="append", dest=option.flag, metavar=option.metavar, help=help_text
        )
        words = option.metavar.split("|")
        if len(words) > 1:  # read by argcomplete; other values are completed as files
            argument.completer = lambda **_: words  # type: ignore[attr-defined]
        return
    # A switch is stored as the text "true" or "false", like every other value.
    for name, text, help_ in (
        (flag, "true", help_text),
        (f"--no-{option.flag}", "false", argparse.SUPPRESS),
    ):
        group.add_argument(name, action="append_const", const=text, dest=option.flag, help=help_)


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Formats the help in 80 columns, each text below its flag, in every terminal."""

    def __init__(self, prog: str, **_: Any) -> None:
        super().__init__(prog, max_help_position=8, width=80)


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print(version_text(), end="")
        parser.exit()
