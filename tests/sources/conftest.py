"""Fixtures of the tests of the sources."""

import sys

import pytest
from support.waiting import DEADLINE


@pytest.fixture(autouse=True)
def complete_first_list(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the Linux source wait for a complete first list, also on a busy machine."""
    if sys.platform == "linux":
        from exporter.sources.linux import source

        monkeypatch.setattr(source, "OPEN_SECONDS", DEADLINE)
