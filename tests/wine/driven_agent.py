"""The agent with the stand-in for iphlpapi.dll, driven by lines on standard input.

Run by Windows CPython: ``driven_agent.py [flags of the agent]``. A line is a JSON list, the
name of a `Standin` method and its arguments: ``["add", 5, 23]``; with an object as the last
item, that holds keyword arguments. The answer is a line ``done``, or the result's repr. All
but the library's name is as in production, the main thread included.
"""

import json
import sys
import threading
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

from standin import Standin  # noqa: E402 - the path first

from exporter.bindings import iphlpapi  # noqa: E402
from exporter.cli import main  # noqa: E402


def obey(standin: Standin) -> None:
    """Do what standard input says, until it ends."""
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        keywords = arguments.pop() if arguments and isinstance(arguments[-1], dict) else {}
        member = getattr(standin, name)
        result = member(*arguments, **keywords) if callable(member) else member
        print("done" if result is None else repr(result), flush=True)


if __name__ == "__main__":
    standin = Standin()
    load = iphlpapi.load
    iphlpapi.load = lambda path=None: load(path or standin.path)
    threading.Thread(target=obey, args=(standin,), name="driver", daemon=True).start()
    sys.exit(main())
