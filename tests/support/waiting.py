"""Waits for conditions, so that no test has to guess a duration."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")

#: Multiplies every deadline, for a slow machine: ``DEADLINE_FACTOR=5 pytest``.
DEADLINE_FACTOR = float(os.environ.get("DEADLINE_FACTOR") or 1)

#: Seconds after which a test that waits fails. It is more than enough on a busy machine.
DEADLINE = 120.0 * DEADLINE_FACTOR

#: Seconds of a time limit that the code under test must not wait out.
NEVER = 10 * DEADLINE


def wait_until(
    condition: Callable[[], T],
    timeout: float = DEADLINE,
    message: str | Callable[[], str] = "",
    pause: float = 0.005,
) -> T:
    """Return the first true result of `condition`, which is asked every `pause` seconds.

    Fails after `timeout` seconds.
    """
    deadline = time.monotonic() + timeout
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() >= deadline:
            text = message() if callable(message) else message
            raise AssertionError(f"not within {timeout} s: {text or condition}")
        time.sleep(pause)


@contextmanager
def without_waiting() -> Iterator[None]:
    """Fail if the block takes so long that it waited for a limit of `NEVER`."""
    began = time.monotonic()
    yield
    assert time.monotonic() - began < NEVER / 2
