"""Fixtures of these tests."""

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture
def restored() -> Iterator[None]:
    """Restore logging after the test."""
    root, ours = logging.getLogger(), logging.getLogger("exporter")
    handlers, levels = list(root.handlers), (root.level, ours.level)
    yield
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    ours.setLevel(levels[1])
