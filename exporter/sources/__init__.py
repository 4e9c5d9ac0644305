"""Where notifications come from: this system, or a recording."""

from __future__ import annotations

import os
import sys

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


def namespace() -> str | None:
    """Return the network namespace of this process, as ``net:[inode]``; elsewhere ``None``."""
    try:
        return os.readlink("/proc/self/ns/net")
    except OSError:
        return None
