"""Waits for conditions, so that no test has to guess a duration."""

import os
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

#: How many times longer than usual tests wait, on a slow machine: ``DEADLINE_FACTOR=5 pytest``.
FACTOR = float(os.environ.get("DEADLINE_FACTOR") or 1)


def deadline(seconds: float) -> float:
    """How long to wait at most for what usually comes at once. Unit: seconds."""
    return seconds * FACTOR


def wait_until(condition: Callable[[], T], timeout: float = 10.0, message: str = "") -> T:
    """The first true result of `condition`. Fails after `timeout` times `FACTOR` seconds."""
    end = time.monotonic() + deadline(timeout)
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() >= end:
            raise AssertionError(f"not within {deadline(timeout)} s: {message or condition}")
        time.sleep(0.005)
