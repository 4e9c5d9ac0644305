"""The words for a state, the same on the page and in the commands list and watch."""

import pytest

from exporter.model import Family, Interface, InterfaceRow, Link, LinkStatus, OperStatus
from exporter.monitor import describe


@pytest.mark.parametrize(
    ("status", "reason", "state"),
    [
        (LinkStatus(False, OperStatus.DOWN), "down", "switched off"),
        (LinkStatus(True, OperStatus.DOWN, carrier=False), "no carrier", None),
        (LinkStatus(True, OperStatus.LOWER_LAYER_DOWN), "lower layer down", None),
        (LinkStatus(True, OperStatus.NOT_PRESENT), "not present", None),
        (LinkStatus(True, OperStatus.DORMANT, carrier=True), "dormant", None),
        (LinkStatus(True, OperStatus.UP, carrier=True), "", "disconnected (unknown)"),
        (LinkStatus(), "", "disconnected (unknown)"),
    ],
)
def test_a_disconnected_interface_has_a_reason(
    status: LinkStatus, reason: str, state: str | None
) -> None:
    """The state has the reason that the page shows, or says that it is unknown."""
    interface = Interface(Family.IPV4, 1, 1, Link("eth0"), InterfaceRow(), status)
    assert describe.reason(status) == reason
    assert describe.state(interface) == (state or f"disconnected ({reason})")
