"""Where notifications come from: this system, or a recording.

`contract` is what a source has to do. `linux` and `windows` are the systems' sources, `replay`
is that of a recording, in the format of `recording`. Internal.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress

from exporter.model import Family
from exporter.sources.contract import Source


def system_source(family: Family, receive_buffer_bytes: int) -> Source:
    """Return the source of this system. Raises OSError where there is none."""
    if sys.platform == "linux":
        from exporter.sources.linux.source import LinuxSource

        return LinuxSource(family, receive_buffer_bytes)
    if sys.platform == "win32":
        from exporter.sources.windows.source import WindowsSource

        return WindowsSource(family, receive_buffer_bytes)
    raise OSError(
        f"{sys.platform} is not supported: "
        "IP-interface notifications exist on Linux and Windows only"
    )


#: Where ``ip netns add NAME`` gives a namespace its name.
#: Source: https://man7.org/linux/man-pages/man8/ip-netns.8.html
_NAMED = "/run/netns"
_OWN = "/proc/self/ns/net"


def namespace() -> str | None:
    """Return the network namespace of this process: its name, or ``net:[inode]`` without one.

    ``None`` where there are no namespaces.
    """
    try:
        return _name_of(os.stat(_OWN)) or os.readlink(_OWN)
    except OSError:
        return None


def _name_of(own: os.stat_result) -> str | None:
    try:
        names = sorted(os.listdir(_NAMED))
    except OSError:
        return None
    for name in names:
        with suppress(OSError):  # deleted meanwhile
            if os.path.samestat(os.stat(f"{_NAMED}/{name}"), own):
                return name
    return None
