"""The command line: its grammar and its help, made from the declared options."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from exporter.settings.options import Option, options_of
from exporter.settings.schema import OPTIONS, SECTIONS
from exporter.version import NAME, version_text

_DESCRIPTION = f"""\
Publishes every change of this computer's IP interfaces as metrics.

commands:
  (none), agent
        Watch the IP interfaces of this computer and serve metrics.
  record FILE
        The same, and write every notification to a new file.
  replay FILE
        Read a recording in place of the computer, and serve what it amounts to.
  check-config FILE...
        Say whether configuration files, or web configuration files, are
        valid, and what is wrong if not.
  service install|remove|start|stop|run
        Windows: be a service, which starts with the flags given to install.

Flags may stand anywhere, as --flag=value or --flag value. Those without a
value are turned off with --no-, for example --no-web.systemd-socket.
Try: {NAME} --web.listen-address=127.0.0.1:10190
"""


SERVICE_ACTIONS = ("install", "remove", "start", "stop", "run")


class Invocation(NamedTuple):
    """What was asked for on the command line; the values of flags are not parsed yet."""

    command: str
    #: Of ``service``, the action.
    files: tuple[str, ...]
    #: Texts by flag, in the order given.
    flags: dict[str, list[str]]


def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line; use `parse`, which knows the commands' rules."""
    parser = argparse.ArgumentParser(
        NAME,
        f"{NAME} [FLAGS] [COMMAND]",
        _DESCRIPTION,
        formatter_class=_Formatter,
        add_help=False,
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
    )
    parser.add_argument("arguments", nargs="*", default=[], help=argparse.SUPPRESS)
    for section in SECTIONS:
        title, _, description = (section.__doc__ or "").partition(": ")
        group = parser.add_argument_group(title.lower(), description.capitalize())
        for option in options_of(section).values():
            _add(group, option)
    group = parser.add_argument_group("other")
    group.add_argument("--version", action=_Version, nargs=0, help="Show what this is, exactly.")
    group.add_argument("-h", "--help", action="help", help="Show this help.")
    return parser


def parse(argv: Sequence[str] | None = None) -> Invocation:
    """What `argv` asks for. Raises SystemExit: 2 after a usage error, 0 after help or version."""
    parser = build_parser()
    flags = vars(parser.parse_intermixed_args(argv))
    command, *files = flags.pop("arguments") or ["agent"]
    match command:
        case "agent":
            if files:
                parser.error(f"agent takes no argument, but got {files[0]}")
        case "record" | "replay":
            if len(files) != 1:
                parser.error(f"{command} takes one FILE, but got {len(files)}")
        case "check-config":
            if not files:
                parser.error("check-config takes one FILE or more, but got none")
            if flags:
                parser.error(f"check-config takes no flags, but got --{next(iter(flags))}")
        case "service":
            if len(files) != 1 or files[0] not in SERVICE_ACTIONS:
                parser.error(f"service takes one of {', '.join(SERVICE_ACTIONS)}")
        case _:
            parser.error(f"unknown command {command}: see --help")
    if "replay.pace" in flags and command != "replay":
        parser.error("--replay.pace goes with the command replay only")
    return Invocation(command, tuple(files), flags)


def flag_arguments(flags: Mapping[str, Sequence[str]]) -> list[str]:
    """The arguments that `parse` would read these flags from."""
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
        group.add_argument(
            flag, action="append", dest=option.flag, metavar=option.metavar, help=help_text
        )
        return
    # An empty list of arguments means the constant: a switch is text like the others.
    for name, text, shown in (
        (flag, "true", help_text),
        (f"--no-{option.flag}", "false", argparse.SUPPRESS),
    ):
        group.add_argument(name, action="append_const", const=text, dest=option.flag, help=shown)


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Help that reads the same in every terminal: 80 columns, each text below its flag."""

    def __init__(self, prog: str, **_: Any) -> None:
        super().__init__(prog, max_help_position=8, width=80)


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print(version_text(), end="")
        parser.exit()
