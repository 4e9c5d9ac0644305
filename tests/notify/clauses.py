"""The clauses of the contract, the backends, and which clause cannot be put to which of them.

C1…C40 number the statements of NotifyIpInterfaceChange's documentation; S1…S14 are our
answers where it is silent.

Source: https://learn.microsoft.com/windows/win32/api/netioapi/nf-netioapi-notifyipinterfacechange
"""

from collections.abc import Callable
from typing import Any

import pytest

#: Name, and how a reader of the table would call it.
BACKENDS = {
    "rtnetlink": "Linux kernel",
    "so": "stand-in, Linux Python",
    "dll": "stand-in, Windows Python",
    "replay": "replay",
}

#: Backends a test runs on unless it says otherwise: those one can register with.
LIVE = ("rtnetlink", "so", "dll")

CLAUSES = {
    "C1": "registers for the changes of all IP interfaces, or of one family's",
    "C2": "family 0: both",
    "C3": "family 2: IPv4 only",
    "C4": "family 23: IPv6 only",
    "C5": "any other family fails with ERROR_INVALID_PARAMETER",
    "C6": "the callback is called for each notification",
    "C7": "the caller's context is handed on unchanged",
    "C8": "an initial notification comes if asked for, once registered",
    "C9": "it says that nothing changed",
    "C10": "success gives a handle to deregister with",
    "C11": "an error gives none",
    "C12": "success is NO_ERROR",
    "C13": "6: an invalid handle was met",
    "C14": "87: an invalid parameter",
    "C15": "8: not enough memory",
    "C16": "any other code, with the system's text",
    "C17": "Windows Vista and later",
    "C18": "callbacks are serialized",
    "C19": "the callback takes context, row and type, and returns nothing",
    "C20": "the row names the interface that changed",
    "C21": "the row is NULL in the initial notification",
    "C22": "and only if one was asked for",
    "C23": "the type is a MIB_NOTIFICATION_TYPE",
    "C24": "the callback lives in the caller's process",
    "C25": "the code of the callback is loaded for as long as it can be called",
    "C26": "the row is incomplete",
    "C27": "it suffices for GetIpInterfaceEntry",
    "C28": "whose entry is the caller's own",
    "C29": "the row's memory is the system's",
    "C30": "and is never freed by the application",
    "C31": "CancelMibChangeNotify2 deregisters",
    "C32": "not from the thread that executes the callback",
    "C33": "so never in the callback",
    "C34": "nor by the owner of what the callback waits for",
    "C35": "but from another thread",
    "C36": "notifications go on until then",
    "C37": "or until the end of the program, which deregisters",
    "C38": "deregistering before the end is better",
    "C39": "a registration does not survive a reboot",
    "C40": "the related functions",
    "S1": "all callbacks of a handle come on one daemon thread of its own",
    "S2": "in the system's order, none merged",
    "S3": "registering does not wait for the initial callback",
    "S4": "canceling waits for a running callback; what is still queued is not delivered",
    "S5": "a callback that cannot be called: 87",
    "S6": "canceling NULL: 87; what is no handle: 6",
    "S7": "canceling twice: 87; of several threads, one succeeds",
    "S8": "canceling in the callback: 1131 at once, and the registration stays",
    "S9": "a callback's exception is logged and counted, and the next callback comes",
    "S10": "a handle that is dropped goes on; canceled, it lets go of the callback",
    "S11": "a handle is a context manager",
    "S12": "registrations are independent of each other",
    "S13": "a rename is no change of an IP interface",
    "S14": "a forked child has no registration, and does not end its parent's",
}

_NOT_APPLICABLE: tuple[tuple[str, str, str], ...] = (
    ("rtnetlink", "C16", "other codes are Windows'; other errors of the kernel keep their errno"),
    ("rtnetlink so", "C17", "about Windows"),
    ("rtnetlink", "C30", "there is no memory of the system's to free"),
    (
        "rtnetlink so dll",
        "C39",
        "no test reboots; it is memory of a process, and C37 shows what is left of that: nothing",
    ),
    ("so dll", "S13", "what changes is the system's to say"),
    ("so dll", "S14", "Windows has no fork"),
    (
        "replay",
        "C1 C2 C3 C4 C5 C10 C11 C12 C13 C14 C15 C16 S5 S6",
        "nothing registers with a recording",
    ),
    ("replay", "C17", "about Windows"),
    ("replay", "C29 C30", "a recording has no memory of the system's"),
    ("replay", "C27 C28 C40", "nothing can be read from the past"),
    ("replay", "S3 S12 S13 S14", "about a system that notifies"),
    (
        "replay",
        "C24 C25 C34 C35 C36 C37 C38 S7 S10 S11",
        "the handle's own doing, proven with the others",
    ),
    ("replay", "C39", "nothing is registered"),
)
NOT_APPLICABLE = {
    (name, backend): reason
    for backends, names, reason in _NOT_APPLICABLE
    for backend in backends.split()
    for name in names.split()
}

Decorator = Callable[[Any], Any]


def clause(*names: str) -> Decorator:
    """The test proves these clauses."""
    assert set(names) <= CLAUSES.keys(), names
    return pytest.mark.clause(*names)


def only(*backends: str) -> Decorator:
    """The test runs on these backends, instead of all that are live."""
    assert set(backends) <= BACKENDS.keys(), backends
    return pytest.mark.backends(*backends)
