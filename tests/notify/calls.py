"""A callback that notes how it was called."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

from standin import TIMEOUT

from exporter.notify import InterfaceKey, NotificationHandle, NotificationType

#: `notify_ip_interface_change`, canceled after the test.
Register = Callable[..., NotificationHandle]


class Call(NamedTuple):
    """One call of the callback."""

    context: Any
    row: InterfaceKey | None
    type: NotificationType
    thread: threading.Thread


class Calls:
    """The calls so far, as a callback; `action` is what it does then."""

    def __init__(self, action: Callable[[Call], object] = lambda _call: None) -> None:
        self.all: list[Call] = []
        self._action = action
        self._came = threading.Condition()

    def __call__(self, context: Any, row: InterfaceKey | None, type: NotificationType) -> object:
        """Note a call; what is returned must not matter."""
        call = Call(context, row, type, threading.current_thread())
        with self._came:
            self.all.append(call)
            self._came.notify_all()
        self._action(call)
        return object()

    def wait(
        self, wanted: int = 1, *, index: int = 0, type: NotificationType | None = None
    ) -> list[Call]:
        """The calls about `index`, of `type` (any by default), once there are `wanted`."""
        found: list[Call] = []

        def enough() -> bool:
            found[:] = [
                call
                for call in self.all
                if type in (None, call.type) and (not index or (call.row and call.row[2] == index))
            ]
            return len(found) >= wanted

        with self._came:
            assert self._came.wait_for(enough, TIMEOUT), f"{len(found)} of {wanted}: {self.all}"
        return found

    def about(self, index: int) -> list[tuple[NotificationType, int]]:
        """What was told of an interface so far: types and families, in order."""
        return [(c.type, c.row.family) for c in self.all if c.row and c.row.ifindex == index]


def is_inside(thread: threading.Thread, function: str) -> bool:
    """Whether a thread is executing a function of that name."""
    frame = sys._current_frames().get(thread.ident or 0)
    while frame is not None and frame.f_code.co_name != function:
        frame = frame.f_back
    return frame is not None


def threads() -> set[threading.Thread]:
    """The threads that handles own."""
    return {t for t in threading.enumerate() if t.name.startswith("ip-interface-notify-")}
