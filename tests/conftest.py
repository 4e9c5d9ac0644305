"""Fixtures that more than one test module needs."""

from collections.abc import Iterator

import pytest
from hypothesis import settings
from support.namespace import Namespace

# A shared machine can stall any example for longer than any deadline.
settings.register_profile("shared-machine", deadline=None)
settings.load_profile("shared-machine")
# python -m pytest -m hypothesis --hypothesis-profile=long
settings.register_profile("long", deadline=None, max_examples=5000)


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    """An empty network namespace, removed afterwards; skips without root."""
    with Namespace() as made:
        yield made
