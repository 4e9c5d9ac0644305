"""Closes a connection so that the client can still read the last response."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

_SECONDS = 1.0
_READS = 64


async def linger(read: Callable[[], Awaitable[bytes]]) -> None:
    """Read and discard what the client still sends, before the connection is closed.

    If a socket is closed with unread input, the system resets the connection, and the client
    can lose the response. Ends at the end of the input, after `_READS` reads, or with a
    TimeoutError after `_SECONDS`.
    """
    async with asyncio.timeout(_SECONDS):
        for _ in range(_READS):
            if not await read():
                break
