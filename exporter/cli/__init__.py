"""The commands of the command line; `settings.command_line` parses it.

Read `commands` (runs a command, exit codes), then `list_interfaces` and `watch_changes` (the
commands for people) and `replay_progress`. Only these three import rich. Internal.
"""

from exporter.cli.commands import main

__all__ = ["main"]
