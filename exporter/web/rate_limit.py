"""Limits the rate of requests, of all clients together."""

from __future__ import annotations

import time
from collections.abc import Callable

from exporter.web.configuration import RateLimit


class TokenBucket:
    """A token bucket: full at first, each request takes a token, each interval adds one.

    It is Go's rate.Limiter with rate.Every(interval), as in Prometheus' exporter-toolkit.
    Thread: one at a time. Source: https://pkg.go.dev/golang.org/x/time/rate
    """

    def __init__(self, limit: RateLimit, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._monotonic = monotonic
        self._tokens = float(limit.burst)
        self._updated = monotonic()

    def try_acquire(self) -> bool:
        """Take a token. Return false if there is none."""
        now = self._monotonic()
        added = (now - self._updated) / self._limit.interval_seconds
        self._tokens = min(self._tokens + added, self._limit.burst)
        self._updated = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
