"""The environment of this machine has no say in these tests."""

import os
import threading
from collections.abc import Iterator

import pytest
from support.waiting import DEADLINE


@pytest.fixture(autouse=True)
def quiet_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No OTEL_* variable but a timeout that no endpoint that answers needs."""
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", str(DEADLINE))


@pytest.fixture(autouse=True)
def no_push_goes_on() -> Iterator[None]:
    """A stop does not wait for an endpoint: let its push end before the next test reads the log."""
    yield
    for thread in threading.enumerate():
        if thread.name.startswith("otlp-"):
            thread.join(DEADLINE)
