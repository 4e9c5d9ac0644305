"""Reads a file that the settings name, in bounded time and memory."""

from __future__ import annotations

import errno
import os
import stat

#: For configuration files: enough for 15,000 users of basic authentication.
MAX_BYTES = 1 << 20
#: For certificates: a system's bundle of authorities has 0.3 MiB.
MAX_PEM_BYTES = 16 << 20


def read_file(path: str, max_bytes: int = MAX_BYTES) -> bytes:
    """Return the content of a regular file of at most `max_bytes`.

    Raises OSError, whose `strerror` is the reason. Other kinds of files are refused: opening a
    FIFO or reading a device can block forever.
    """
    try:
        status = os.stat(path)
    except ValueError as error:  # a NUL in the path
        raise OSError(errno.EINVAL, str(error), path) from None
    if not stat.S_ISREG(status.st_mode):
        raise _not_regular(path, status.st_mode)
    # Another file can be there by now. With O_NONBLOCK a FIFO opens without a writer.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    with open(os.open(path, flags), "rb") as file:
        mode = os.fstat(file.fileno()).st_mode
        if not stat.S_ISREG(mode):
            raise _not_regular(path, mode)
        content = file.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise OSError(errno.EFBIG, f"larger than {max_bytes >> 20} MiB", path)
    return content


def _not_regular(path: str, mode: int) -> OSError:
    if stat.S_ISDIR(mode):
        return OSError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    return OSError(errno.EINVAL, "not a regular file", path)
