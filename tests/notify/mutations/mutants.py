"""For each clause of the contract a change of the code that breaks it, and nothing much besides."""

from typing import NamedTuple

_API = "exporter/notify/__init__.py"
_HANDLE = "exporter/notify/handle.py"
_WINERROR = "exporter/bindings/winerror.py"
_REGISTRATION = "exporter/sources/windows/registration.py"
_SOURCE = "exporter/sources/windows/source.py"


class Mutant(NamedTuple):
    """A clause, what is broken, and where: (text, text in its place) in a file."""

    clause: str
    what: str
    file: str
    edits: tuple[tuple[str, str], ...]

    def apply(self, source: str) -> str:
        """The file, broken. Raises ValueError when the text is not there, or not once."""
        for text, replacement in self.edits:
            if source.count(text) != 1:
                raise ValueError(f"{self.clause}: {self.file} has {source.count(text)} of {text!r}")
            source = source.replace(text, replacement)
        return source


def _api(clause: str, what: str, *edits: tuple[str, str]) -> Mutant:
    return Mutant(clause, what, _API, edits)


def _handle(clause: str, what: str, *edits: tuple[str, str]) -> Mutant:
    return Mutant(clause, what, _HANDLE, edits)


_CALL = "callback(context, None if n.type is NotificationType.INITIAL else key, n.type)"
_KEY = "InterfaceKey(n.family, n.luid, n.ifindex)"
_DELIVER = "for batch in receive_forever(self._source, self._canceled):\n"
_RAISE_IN_CALLBACK = (
    'raise IpHelperError(ERROR_POSSIBLE_DEADLOCK, "CancelMibChangeNotify2 in its callback")'
)
_REGISTER = "backend.register(wanted)"
_START = "    handle.start()\n    return handle"

MUTANTS = (
    _api(
        "C1", "registers for both families always", (_REGISTER, "backend.register(Family.UNSPEC)")
    ),
    _api("C2", "registers for IPv4 always", (_REGISTER, "backend.register(Family.IPV4)")),
    _api(
        "C3",
        "receives IPv6 in place of IPv4",
        (_REGISTER, "backend.register(Family.IPV6 if wanted is Family.IPV4 else wanted)"),
    ),
    _api(
        "C4",
        "receives IPv4 in place of IPv6",
        (_REGISTER, "backend.register(Family.IPV4 if wanted is Family.IPV6 else wanted)"),
    ),
    _api(
        "C5",
        "accepts Linux' number for IPv6",
        (
            "    if not _is_integer(family) or family not in list(Family):",
            "    if family == 10:\n        return Family.IPV6\n"
            "    if not _is_integer(family) or family not in list(Family):",
        ),
    ),
    _handle("C6", "leaves out additions", (_CALL, f"n.type is NotificationType.ADD or {_CALL}")),
    _handle("C7", "loses the context", (_CALL, _CALL.replace("context", "None", 1))),
    _handle(
        "C8",
        "confirms without the system",
        (
            _DELIVER,
            f"initial and callback(context, None, NotificationType.INITIAL)\n        {_DELIVER}",
        ),
    ),
    _handle(
        "C8",
        "never confirms",
        (
            "n.type is NotificationType.INITIAL and not initial",
            "n.type is NotificationType.INITIAL",
        ),
    ),
    _handle(
        "C9",
        "tells of what exists at the beginning",
        (
            _DELIVER,
            "for i in self._source.interfaces():\n"
            "            callback(context, InterfaceKey(*i[:3]), NotificationType.ADD)\n"
            f"        {_DELIVER}",
        ),
    ),
    _api("C10", "returns nothing", (_START, "    handle.start()\n    return None")),
    _handle(
        "C11",
        "gives a handle that never calls",
        (
            'raise IpHelperError(ERROR_NOT_ENOUGH_MEMORY, "NotifyIpInterfaceChange") from None',
            "return",
        ),
    ),
    _api(
        "C12",
        "fails after success",
        (_START, "    handle.start()\n    raise IpHelperError(0, function)"),
    ),
    _api(
        "C13",
        "87 for what is no handle",
        (
            'raise IpHelperError(ERROR_INVALID_HANDLE, "CancelMibChangeNotify2")',
            'raise IpHelperError(ERROR_INVALID_PARAMETER, "CancelMibChangeNotify2")',
        ),
    ),
    _api(
        "C14",
        "6 for a bad argument of a read",
        (
            "    if not (0 <= luid < 1 << 64 and 0 <= index < 1 << 32 and (luid or index)):\n"
            "        raise IpHelperError(ERROR_INVALID_PARAMETER, function)",
            "    if not (0 <= luid < 1 << 64 and 0 <= index < 1 << 32 and (luid or index)):\n"
            "        raise IpHelperError(ERROR_INVALID_HANDLE, function)",
        ),
    ),
    _handle(
        "C15",
        "87 without threads",
        (
            'IpHelperError(ERROR_NOT_ENOUGH_MEMORY, "Notify',
            'IpHelperError(ERROR_INVALID_PARAMETER, "Notify',
        ),
    ),
    Mutant(
        "C16",
        "has one text for all codes",
        _WINERROR,
        (('return _TEXTS.get(status, "Unknown error.")', "return _TEXTS[NO_ERROR]"),),
    ),
    _handle(
        "C18",
        "calls back on a new thread each time",
        (_CALL, f"threading.Thread(target=callback, args=({_CALL[9:-1]})).start()"),
    ),
    _handle("C19", "passes the type before the row", (_CALL, "callback(context, n.type, key)")),
    _handle("C20", "names another LUID", (_KEY, _KEY.replace("n.luid", "n.luid + (1 << 24)"))),
    _handle("C21", "gives the confirmation a row", (_CALL, "callback(context, key, n.type)")),
    _handle(
        "C22", "confirms unasked", ("n.type is NotificationType.INITIAL and not initial", "False")
    ),
    _handle("C23", "passes the type's name", (_CALL, _CALL.replace("n.type)", "n.type.label)"))),
    _handle(
        "C24",
        "calls back in a child process",
        (_CALL, f"os.fork() or ({_CALL}, os._exit(0))"),
    ),
    _handle(
        "C25",
        "does not keep the callback alive",
        ("args=(callback, context)", 'args=(__import__("weakref").proxy(callback), context)'),
    ),
    _handle("C26", "passes a complete row", (_KEY, f"n.interface or {_KEY}")),
    _handle("C27", "passes a row without its keys", (_KEY, "InterfaceKey(n.family, 0, 0)")),
    _api(
        "C28",
        "reads another family's entry",
        (
            "return backend.interface_entry(wanted, *_key(luid, index, function))",
            "return backend.interface_entry(Family.IPV4, *_key(luid, index, function))",
        ),
    ),
    Mutant(
        "C29",
        "reads the row after the callback",
        _REGISTRATION,
        (
            (
                "put((notification_type, family, luid, index, time, instant))",
                "put((notification_type, row and entry, 0, 0, time, instant))",
            ),
            (
                "[record for record in records if record is not None]",
                "[\n"
                "            (t, e.Family, e.InterfaceLuid.Value, e.InterfaceIndex, *times)\n"
                "            if e\n"
                "            else (t, 0, 0, 0, *times)\n"
                "            for t, e, _, _, *times in filter(None, records)\n"
                "        ]",
            ),
        ),
    ),
    Mutant(
        "C30",
        "frees the row",
        _REGISTRATION,
        (
            (
                "index = entry.InterfaceIndex\n",
                "index = entry.InterfaceIndex\n                self._api.FreeMibTable(row)\n",
            ),
        ),
    ),
    Mutant("C31", "leaves the registration", _SOURCE, (("self._registration.cancel()", "pass"),)),
    _handle(
        "C32",
        "87 in the callback",
        (_RAISE_IN_CALLBACK, _RAISE_IN_CALLBACK.replace("POSSIBLE_DEADLOCK", "INVALID_PARAMETER")),
    ),
    _handle("C33", "does not refuse in the callback", (_RAISE_IN_CALLBACK, "return")),
    _handle(
        "C34",
        "holds a lock while it calls back, and while it cancels",
        ("_serial = itertools", "_lock = threading.RLock()\n_serial = itertools"),
        (_CALL, f"_lock.acquire() and ({_CALL}, _lock.release())"),
        ("            self._end(None)", "            with _lock:\n                self._end(None)"),
    ),
    _handle(
        "C35",
        "refuses other threads than the main one",
        (
            "if threading.current_thread() is self._thread:",
            "if threading.current_thread() is not threading.main_thread():",
        ),
    ),
    _handle("C36", "calls back once", (_CALL, f"{_CALL}\n                    return")),
    _handle(
        "C37",
        "does nothing at the end of the program",
        ("        handle._end(EXIT_SECONDS)", "        pass"),
    ),
    _handle(
        "C38",
        "does not cancel after the block",
        ("        if self in _registered:\n            self.cancel()", "        return"),
    ),
    _api(
        "C40",
        "lets the index win over the LUID",
        ("    return luid, index\n", "    return (0, index) if index else (luid, 0)\n"),
    ),
    _handle("S1", "has a thread that is no daemon", ("daemon=True", "daemon=False")),
    _handle("S2", "delivers each batch backward", ("for n in batch:", "for n in reversed(batch):")),
    _api(
        "S3",
        "returns when the registration has ended",
        (_START, "    handle.start()\n    handle._ended.wait(20)\n    return handle"),
    ),
    _handle(
        "S4",
        "does not wait for a running callback",
        ("self._ended.wait(timeout)", "self._ended.wait(0)"),
    ),
    _api("S5", "accepts what cannot be called", ("if not callable(callback):", "if False:")),
    _api(
        "S6",
        "6 for NULL",
        (
            'raise IpHelperError(ERROR_INVALID_PARAMETER, "CancelMibChangeNotify2")',
            'raise IpHelperError(ERROR_INVALID_HANDLE, "CancelMibChangeNotify2")',
        ),
    ),
    _handle(
        "S7",
        "succeeds twice",
        (
            'raise IpHelperError(ERROR_INVALID_PARAMETER, "CancelMibChangeNotify2") from None',
            "pass",
        ),
    ),
    _handle(
        "S8",
        "drops the registration that it refuses to cancel",
        (_RAISE_IN_CALLBACK, f"_registered.discard(self)\n            {_RAISE_IN_CALLBACK}"),
    ),
    _handle(
        "S9",
        "ends with the callback's failure",
        ("except BaseException:", "except ZeroDivisionError:"),
    ),
    _handle(
        "S10",
        "keeps the callback",
        (
            "self.callback_errors = 0\n",
            "self.callback_errors = 0\n        self._callback = callback\n",
        ),
    ),
    _handle("S11", "gives the block no handle", ("        return self\n", "        return None\n")),
    _handle(
        "S12",
        "cancels every registration",
        (
            "            self._end(None)",
            "            for handle in list(_registered):\n                handle._end(None)",
        ),
    ),
    _handle("S13", "calls back for a rename", ("n.type is NotificationType.REFRESH or (", "(")),
    _handle(
        "S14", "leaves the registrations to a forked child", ("after_in_child=", "after_in_parent=")
    ),
)

#: Clauses that nothing of this project can break, and why.
BEYOND = {
    "C17": "about Windows",
    "C39": "no test reboots",
}
