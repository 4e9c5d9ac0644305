"""A limit on what is logged about what others do."""

from __future__ import annotations

import time
from collections.abc import Callable

#: Things told apart; beyond them, the one told longest ago is forgotten.
_MOST = 100


class Occasionally:
    """Says whether something is worth a log line: each thing once every `seconds`.

    Thread: one at a time.
    """

    def __init__(
        self, seconds: float = 60.0, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._seconds = seconds
        self._monotonic = monotonic
        self._told: dict[str, float] = {}

    def due(self, thing: str) -> bool:
        """Whether it was not due within the last `seconds`; from now on, it was."""
        now = self._monotonic()
        if now - self._told.get(thing, now - self._seconds) < self._seconds:
            return False
        self._told.pop(thing, None)
        if len(self._told) >= _MOST:
            del self._told[next(iter(self._told))]
        self._told[thing] = now
        return True
