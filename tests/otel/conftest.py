"""Keeps the environment of the machine out of these tests."""

import os
import threading
from collections.abc import Iterator

import pytest
from support.waiting import DEADLINE


@pytest.fixture(autouse=True)
def quiet_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unset every OTEL_* variable, and set a timeout longer than any answer takes."""
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", str(DEADLINE))


@pytest.fixture(autouse=True)
def no_push_goes_on() -> Iterator[None]:
    """Let each push end before the next test reads the log: a stop does not wait for it."""
    yield
    for thread in threading.enumerate():
        if thread.name.startswith("otlp-"):
            thread.join(DEADLINE)
