"""The names of a host's interfaces, and queries about each of them."""

from __future__ import annotations

from collections.abc import Callable

from parts.frame import THIS_DEVICE
from parts.promql import (
    CONNECTED,
    DISCONNECTED,
    DISCONNECTIONS,
    HOST,
    INTERFACE,
    LOST,
    RANGE,
    RATE,
    SWITCHED_OFF,
    TRANSITIONS,
    UNOBSERVED,
    by,
)

#: One IP interface for a person: its luid and index change when it is made anew.
OF_INTERFACE = "device, family"
#: What is counted: devices, or each family of them. "Count by" chooses.
COUNTED = "$by"
NAME = "{{device}} {{family}}"
NAMES = {"device": "Device", "family": "Family"}

#: The same in each row.
OF_THIS_HOST = {"instance": "", "job": "", "cluster": ""}
TO_THIS_DEVICE = {"device": ("Only this device", THIS_DEVICE)}

NOTIFICATIONS = "ip_interface_notifications_total"


def most(expression: str) -> str:
    """Return the larger family's value for a device: one cable, one event."""
    return f"max by ({COUNTED}) ({expression})"


def larger_family(labels: str, expression: str) -> str:
    """Return the sums by these labels, of the family with more."""
    return f"max by ({labels}) ({by(f'{labels}, family', expression)})"


def one(metric: str) -> str:
    """Return the value of a gauge."""
    return most(HOST.select(metric, INTERFACE))


def grown(metric: str, window: str, *matchers: str) -> str:
    """Return how much a counter grew between the samples of each window."""
    return most(by(OF_INTERFACE, HOST.growth(metric, window, *matchers, INTERFACE)))


def fallen() -> str:
    """Return disconnections in the range, meant or not, and those that no notification showed."""
    shown, proven = (
        HOST.increase(metric, RANGE, DISCONNECTED, INTERFACE)
        for metric in (TRANSITIONS, UNOBSERVED)
    )
    return most(by(OF_INTERFACE, f"{shown} + {proven}"))


def _lost(grown: Callable[..., str], window: str) -> str:
    shown = by(OF_INTERFACE, grown(DISCONNECTIONS, window, LOST, INTERFACE))
    proven = by(OF_INTERFACE, grown(UNOBSERVED, window, DISCONNECTED, INTERFACE))
    return most(f"{shown} + {proven}")


def disconnections() -> str:
    """Return disconnections in the range, by loss of carrier or another cause.

    Those included that no notification showed; not those that somebody meant.
    """
    return _lost(HOST.increase, RANGE)


def disconnections_over_time() -> str:
    """Return the same between the samples of each window."""
    return _lost(HOST.growth, RATE)


def switched_off() -> str:
    """Return how often in the range somebody switched an interface off."""
    return most(by(OF_INTERFACE, HOST.increase(DISCONNECTIONS, RANGE, SWITCHED_OFF, INTERFACE)))


def state() -> str:
    """Return 1 for connected, 2 for switched off, 0 for disconnected otherwise."""
    connected, enabled = one("ip_interface_connected"), one("ip_interface_enabled")
    return f"{connected} == 1 or 2 * ({enabled} == bool 0) or {connected}"


def polled(window: str) -> str:
    """Return the disconnections that the polled gauge shows: how often it fell.

    `changes` would have one more in VictoriaMetrics for each series that begins in the window.
    """
    falls = f"resets({HOST.select('ip_interface_connected', INTERFACE)}[{window}])"
    return most(by(OF_INTERFACE, falls))


def seconds(window: str, *matchers: str) -> str:
    """Return time in state by family; in both states without a matcher for one."""
    return by(
        OF_INTERFACE,
        HOST.increase("ip_interface_state_seconds_total", window, *matchers, INTERFACE),
    )


def disconnected_for(window: str) -> str:
    """Return the time in which no family was connected."""
    return f"min by ({COUNTED}) ({seconds(window, DISCONNECTED)})"


def availability(window: str) -> str:
    """Return connected time as a part of all time that the interface existed and was seen."""
    return most(f"{seconds(window, CONNECTED)} / {seconds(window)}")
