"""A program of another kind in the same round: it registers with `exporter.notify`, and counts."""

from collections import Counter
from collections.abc import Iterator
from typing import Self

from expected import FAMILIES, Expected

from exporter.notify import (
    Family,
    InterfaceKey,
    NotificationHandle,
    NotificationType,
    notify_ip_interface_change,
)


class Witness:
    """Counts callbacks, for the network namespace of the thread that enters it."""

    def __init__(self) -> None:
        #: By family (label value), index and type.
        self.counts: Counter[tuple[str, int, NotificationType]] = Counter()

    def __enter__(self) -> Self:
        self._handle: NotificationHandle = notify_ip_interface_change(Family.UNSPEC, self._count)
        return self

    def __exit__(self, *_: object) -> None:
        self._handle.cancel()

    def _count(self, _context: object, row: InterfaceKey, type_: NotificationType) -> None:
        self.counts[row.family.label, row.ifindex, type_] += 1

    def failures(self, expected: Expected) -> Iterator[str]:
        """Say where the callbacks are not those that the messages tell."""
        if self._handle.callback_errors:
            yield f"{self._handle.callback_errors} callbacks failed"
        true: Counter[tuple[str, int, NotificationType]] = Counter()
        most: Counter[tuple[str, int]] = Counter()
        for life in expected.lives:
            for family, account in life.accounts.items():
                key = FAMILIES[family], life.index
                true[*key, NotificationType.ADD] += account.adds
                true[*key, NotificationType.DELETE] += account.deletes
                most[key] += account.messages
        for family, index, type_ in sorted(true.keys() | self.counts.keys()):
            count = self.counts[family, index, type_]
            who = f"callbacks: {count} {type_.label} of {family} (index {index})"
            if type_ is NotificationType.PARAMETER:
                if count > most[family, index]:
                    yield f"{who}, of {most[family, index]} messages"
            elif count != true[family, index, type_]:
                yield f"{who}, messages showed {true[family, index, type_]}"
