"""A program that registers and ends: ``program.py BACKEND WAY``. Run by test_ends.py.

Its last words say what is left of the registration when everything else has ended.
"""

import atexit
import os
import sys
import threading
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

from standin import TIMEOUT, Standin  # noqa: E402 - the path first

backend, way = sys.argv[1:]
standin = None if backend == "rtnetlink" else Standin()


def last_words() -> None:
    """Registrations and threads that are left."""
    threads = [t for t in threading.enumerate() if t.name.startswith("ip-interface-notify-")]
    registrations = 0 if standin is None else standin.registrations
    print(f"{registrations} registrations, {len(threads)} threads", flush=True)


atexit.register(last_words)  # registered before the API, so it runs after

from calls import Calls  # noqa: E402

from exporter import notify  # noqa: E402
from exporter.notify import handle as notify_handle  # noqa: E402
from exporter.notify.windows import IpHelperBackend  # noqa: E402

if standin is not None:
    notify.backend = IpHelperBackend(standin.path)

ending, never = threading.Event(), threading.Event()


def behave(_call: object) -> None:
    """What the callback does in this way of ending."""
    if way == "running":
        ending.wait(TIMEOUT)
        print("callback ended", flush=True)
    elif way == "stuck":
        never.wait()


def fork(handle: notify.NotificationHandle, calls: Calls) -> None:
    """A child that ends on its own, then a change for the parent."""
    child = os.fork()
    if not child:
        try:
            handle.cancel()
        except notify.IpHelperError as error:
            print(f"child: {error.winerror}", flush=True)
        sys.exit(4)
    print(f"child ended: {os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}", flush=True)
    os.system("ip link set lo mtu 60000")  # in the namespace we were started in
    calls.wait(type=notify.NotificationType.PARAMETER)
    print("parent: notified", flush=True)


calls = Calls(behave)
handle = notify.notify_ip_interface_change(0, calls, initial_notification=True)
calls.wait()
atexit.register(ending.set)  # runs before the API's own
notify_handle.EXIT_SECONDS = 0.1 if way == "stuck" else TIMEOUT
if way == "exit":
    sys.exit(3)
elif way == "raise":
    raise ZeroDivisionError
elif way == "fork":
    fork(handle, calls)
