"""The texts of the codes, as the documentation of the system's error codes has them.

Source: https://learn.microsoft.com/windows/win32/debug/system-error-codes
"""

import ctypes
import sys

_DOCUMENTED = {
    0: "The operation completed successfully.",
    2: "The system cannot find the file specified.",
    5: "Access is denied.",
    6: "The handle is invalid.",
    8: "Not enough memory resources are available to process this command.",
    50: "The request is not supported.",
    87: "The parameter is incorrect.",
    1131: "A potential deadlock condition has been detected.",
    1168: "Element not found.",
}


def text_of(status: int) -> str:
    """The text of a code: on Windows its own, elsewhere the documented one where there is one."""
    if sys.platform == "win32":
        return ctypes.FormatError(status).strip()
    return _DOCUMENTED.get(status, "Unknown error.")
