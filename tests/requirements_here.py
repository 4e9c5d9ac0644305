"""What a test needs from the machine: absent, it skips for a newcomer and fails in CI."""

import os

import pytest


def require(condition: object, need: str) -> None:
    """Skip the test, saying what it needs, unless `condition` holds; under ``CI=true`` fail.

    `need` is a noun; after a colon, the command that gets it.
    """
    if condition:
        return
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI must provide this: {need}", pytrace=False)
    pytest.skip(f"needs {need}")
