"""Status codes of the IP Helper functions (winerror.h), and the exception made of them.

These functions return their status and do not set the last error. The codes are the same on
every system: the backend of Linux raises the same errors as iphlpapi.dll.

Source: https://learn.microsoft.com/windows/win32/debug/system-error-codes
"""

from __future__ import annotations

import ctypes
import errno
import sys

NO_ERROR = 0
ERROR_FILE_NOT_FOUND = 2
ERROR_ACCESS_DENIED = 5
ERROR_INVALID_HANDLE = 6
ERROR_NOT_ENOUGH_MEMORY = 8
ERROR_NOT_SUPPORTED = 50
ERROR_INVALID_PARAMETER = 87
ERROR_INSUFFICIENT_BUFFER = 122
ERROR_PROC_NOT_FOUND = 127
ERROR_POSSIBLE_DEADLOCK = 1131
ERROR_NOT_FOUND = 1168
ERROR_NO_SYSTEM_RESOURCES = 1450

#: The texts of FormatMessage, which exists on Windows only.
_TEXTS = {
    NO_ERROR: "The operation completed successfully.",
    ERROR_FILE_NOT_FOUND: "The system cannot find the file specified.",
    ERROR_ACCESS_DENIED: "Access is denied.",
    ERROR_INVALID_HANDLE: "The handle is invalid.",
    ERROR_NOT_ENOUGH_MEMORY: "Not enough memory resources are available to process this command.",
    ERROR_NOT_SUPPORTED: "The request is not supported.",
    ERROR_INVALID_PARAMETER: "The parameter is incorrect.",
    ERROR_INSUFFICIENT_BUFFER: "The data area passed to a system call is too small.",
    ERROR_PROC_NOT_FOUND: "The specified procedure could not be found.",
    ERROR_POSSIBLE_DEADLOCK: "A potential deadlock condition has been detected.",
    ERROR_NOT_FOUND: "Element not found.",
    ERROR_NO_SYSTEM_RESOURCES: (
        "Insufficient system resources exist to complete the requested service."
    ),
}

#: The `errno` of these codes in Python on Windows; the other codes have EINVAL.
_ERRNOS = {
    ERROR_FILE_NOT_FOUND: errno.ENOENT,
    ERROR_ACCESS_DENIED: errno.EACCES,
    ERROR_INVALID_HANDLE: errno.EBADF,
    ERROR_NOT_ENOUGH_MEMORY: errno.ENOMEM,
}


class IpHelperError(OSError):
    """An error that a function returned. `winerror` is its status, on every system.

    `errno` follows from it as in Python on Windows; `strerror` is the system's text, on Windows
    in the system's language; `function` is the name of the function.
    """

    winerror: int
    function: str

    def __init__(self, status: int, function: str) -> None:
        text = format_message(status)
        if sys.platform == "win32":
            super().__init__(0, text, None, status)  # which sets winerror, and errno by it
        else:
            super().__init__(_ERRNOS.get(status, errno.EINVAL), text)
            self.winerror = status
        self.function = function

    def __str__(self) -> str:
        return f"{self.function} failed: {self.winerror}, {self.strerror}"

    def __reduce__(self) -> tuple[type[IpHelperError], tuple[int, str]]:
        return type(self), (self.winerror, self.function)


def format_message(status: int) -> str:
    """Return the text of a status: FormatMessage's on Windows, the documented one elsewhere.

    Source: https://learn.microsoft.com/windows/win32/api/winbase/nf-winbase-formatmessage
    """
    if sys.platform == "win32":
        return ctypes.FormatError(status).strip()
    return _TEXTS.get(status, "Unknown error.")


def check(status: int, function: str) -> None:
    """Raise `IpHelperError` unless `status` is NO_ERROR."""
    if status != NO_ERROR:
        raise IpHelperError(status, function)
