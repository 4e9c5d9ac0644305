"""Compares two states of an interface: what the reducer counts, and what people are shown."""

from __future__ import annotations

from dataclasses import dataclass

from exporter.model import Cause, Change, Interface, changes
from exporter.monitor.history import StateChange, display_state


@dataclass(slots=True)
class Difference:
    """What changed between two states of an interface."""

    changes: tuple[Change, ...]
    #: Names of the members that changed.
    parameters: tuple[str, ...]
    #: The new value of Connected if it changed.
    transition: bool | None
    #: Why the second is not connected; ``None`` if it is.
    cause: Cause | None
    #: What people are shown of it; ``None``: nothing.
    shown: StateChange | None
    #: Whether they are shown another state.
    shows_other_state: bool
    # Both are kept alive, so that no other object gets the same id.
    before: Interface
    after: Interface


def compare(before: Interface, after: Interface) -> Difference:
    """Compare two states of an interface."""
    connected = after.parameters.connected
    changed = changes(before.parameters, after.parameters)
    shown = StateChange(display_state(before), display_state(after), changed)
    other_state = shown.before is not shown.after
    return Difference(
        changes=changed,
        parameters=tuple([change.parameter for change in changed]),
        transition=None if connected is before.parameters.connected else connected,
        cause=None if connected else after.status.cause,
        shown=shown if other_state or changed else None,
        shows_other_state=other_state,
        before=before,
        after=after,
    )
