"""Checks of any page of an agent: its numbers agree, and no flap is missing."""

from collections.abc import Callable

from support.agent import Metrics
from support.namespace import Namespace

# From one page to the next of the same client.
_GROWING = ("_total", "_count", "_sum", "_bucket")

Key = tuple[str, str]


def contradictions(page: Metrics) -> list[str]:
    """Return the contradictions on a page. Needs: no filter, and nothing past its retention."""
    found = []
    for labels, value in page.samples["ip_interface_churn_total"]:
        shown = page.sum("ip_interface_notifications_total", **labels)
        if shown != value:
            found.append(f"{shown} notifications, but churn {value} of {labels}")
    for family in ("ipv4", "ipv6"):
        connected = [value for _, value in page.all("ip_interface_connected", family=family)]
        counts = float(len(connected)), sum(connected)
        counted = tuple(
            page.sum(f"ip_interfaces{what}", family=family) for what in ("", "_connected")
        )
        if counted != counts:
            found.append(f"{counts} {family} interfaces shown (connected), but {counted} counted")
    return found


def contradictions_between(
    before: Metrics,
    after: Metrics,
    restarts: Callable[[dict[str, str]], bool] | None = None,
) -> list[str]:
    """Return the contradictions between two pages; `after` was requested after `before` came.

    `restarts` decides by the labels which counters a reload, or a limit, may have reset in
    between. Then no interface is followed from one page to the next.
    """
    found = []
    for name, samples in after.samples.items():
        if name.endswith(_GROWING) and name in before.samples:
            then = {tuple(sorted(labels.items())): value for labels, value in before.samples[name]}
            for labels, value in samples:
                if restarts is not None and restarts(labels):
                    continue
                if value < then.get(tuple(sorted(labels.items())), value):
                    found.append(f"{name}{labels} fell to {value}")
    if restarts is not None:
        return found
    ages = set()
    for key in _gauge(before).keys() & _gauge(after).keys():
        if _count(after, key, "notifications", type="delete") != _count(
            before, key, "notifications", type="delete"
        ):
            continue  # it was gone for a while: that time is not counted
        seconds = [_count(page, key, "state_seconds") for page in (before, after)]
        ages.add(round(seconds[1] - seconds[0], 6))
        turns = {
            state: sum(
                _count(after, key, name, state=state) - _count(before, key, name, state=state)
                for name in ("transitions", "unobserved_transitions")
            )
            for state in ("connected", "disconnected")
        }
        if _gauge(after)[key] - _gauge(before)[key] != turns["connected"] - turns["disconnected"]:
            found.append(f"{key} is {_gauge(after)[key]} after {turns}")
    if ages and max(ages) - min(ages) > 2e-6:
        found.append(f"the interfaces aged differently between two pages: {sorted(ages)}")
    return found


def _gauge(page: Metrics) -> dict[Key, float]:
    """Connected or not, by interface."""
    samples = page.samples["ip_interface_connected"]
    return {(labels["family"], labels["luid"]): value for labels, value in samples}


def _count(page: Metrics, key: Key, name: str, **labels: str) -> float:
    family, luid = key
    return page.sum(f"ip_interface_{name}_total", family=family, luid=luid, **labels)


def uncounted_flaps(
    before: Metrics, after: Metrics, carriers: dict[str, tuple[int, int]], namespace: Namespace
) -> list[str]:
    """Return the interfaces whose transitions, seen or proven, differ from the kernel's counters.

    `carriers` are its counters as of the page `before`; links deleted since do not matter.
    """
    wrong = []
    for name, counts in namespace.carrier_counts().items():
        for family in ("ipv4", "ipv6"):
            states = zip(("connected", "disconnected"), counts, carriers[name], strict=True)
            for state, now, was in states:
                labels = {"device": name, "family": family, "state": state}
                seen = after.grown(before, "ip_interface_transitions_total", **labels)
                seen += after.grown(before, "ip_interface_unobserved_transitions_total", **labels)
                if seen != now - was:
                    wrong.append(f"{labels}: {seen} counted, {now - was} in the kernel")
    return wrong
