"""Memory, for a process that rests for seconds and then has to answer in milliseconds."""

from __future__ import annotations

import ctypes
import gc
import sys

# Of malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3

#: So much freed memory may wait at the end of a heap for the next scrape. What is given back to
#: the system has to be asked for again, page by page, at 3 µs each: a scrape of 1,000 links took
#: 290 pages and 6.0 ms of CPU in place of 4.8.
_KEPT_BYTES = 4 << 20
#: Larger pieces do not come from a heap. A scrape's are at most half as large.
_LARGE_BYTES = 1 << 20


def settle() -> None:
    """What exists now will stay, and what is freed from now on will be needed again.

    Source: https://docs.python.org/3/library/gc.html#gc.freeze,
    https://man7.org/linux/man-pages/man3/mallopt.3.html
    """
    # Each full collection would look through it again while everybody waits: 18 ms instead of 3
    # at 1,000 links, 49 instead of 20 at 4,000.
    gc.freeze()
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
        if mallopt is not None:
            mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
            mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
