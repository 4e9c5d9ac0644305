"""Fixtures that more than one test module needs."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings
from support import processes
from support.namespace import Namespace, remove_leftovers

# A shared machine can stall any example, and the making of any, for longer than any limit.
SLOW = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("shared-machine", **SLOW)
settings.load_profile("shared-machine")
# python -m pytest -m hypothesis --hypothesis-profile=long
settings.register_profile("long", **SLOW, max_examples=5000)


processes.unwind_when_interrupted()
processes.heed_ctrl_c()
processes.adopt_orphans()


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark what is about the kernel."""
    if "namespace" in getattr(item, "fixturenames", ()):
        item.add_marker("kernel")


@pytest.fixture(scope="session", autouse=True)
def nothing_is_left_behind() -> Iterator[None]:
    """When the last test has ended, no process and no network namespace of the tests' is left."""
    yield
    assert processes.end_leftovers() == []
    assert remove_leftovers() == []


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    """An empty network namespace, removed at the end; skips without root."""
    with Namespace() as made:
        yield made
