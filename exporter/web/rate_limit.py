"""A limit on how many requests are answered, whoever sends them."""

from __future__ import annotations

import time
from collections.abc import Callable

from exporter.web.configuration import RateLimit


class TokenBucket:
    """Full at first; a request takes a token, and each interval adds one, up to the burst.

    The same as Go's rate.Limiter with rate.Every(interval), which the exporter-toolkit uses.
    Thread: one at a time. Source: https://pkg.go.dev/golang.org/x/time/rate
    """

    def __init__(self, limit: RateLimit, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._monotonic = monotonic
        self._tokens = float(limit.burst)
        self._counted = monotonic()

    def take(self) -> bool:
        """Whether there was a token."""
        now = self._monotonic()
        added = (now - self._counted) / self._limit.interval_seconds
        self._tokens = min(self._tokens + added, self._limit.burst)
        self._counted = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
