"""What a test needs from the machine: absent, it skips for a newcomer and fails in CI."""

import os

import pytest


def require(condition: object, reason: str) -> None:
    """Skip the test, saying why, unless `condition` holds; under ``CI=true`` fail instead."""
    if condition:
        return
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI must provide this: {reason}", pytrace=False)
    pytest.skip(reason)
