"""The fixtures of the contract suite: a world, and registrations that end with the test."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from calls import Calls, Register
from clauses import LIVE
from standin import Standin
from support.namespace import Namespace
from worlds import KernelWorld, StandinWorld, World

from exporter import notify
from exporter.notify import IpHelperError, NotificationHandle

HERE = ("dll",) if sys.platform == "win32" else ("rtnetlink", "so", "replay")
if sys.platform == "win32":
    collect_ignore = [
        f"test_{name}.py" for name in ("windows", "replay", "clause_table", "notify", "mutants")
    ]


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marks of `contract.clauses`."""
    config.addinivalue_line("markers", "clause(*names): the clauses the test proves")
    config.addinivalue_line("markers", "backends(*names): the only backends it runs on")


def backends_of(marks: Iterator[pytest.Mark]) -> tuple[str, ...]:
    """The backends a test runs on, by its marks."""
    return next((mark.args for mark in marks if mark.name == "backends"), LIVE)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that wants a world in each of its own."""
    if "world" in metafunc.fixturenames:
        wanted = backends_of(metafunc.definition.iter_markers())
        here = [
            pytest.param(name, marks=pytest.mark.kernel) if name == "rtnetlink" else name
            for name in wanted
            if name in HERE
        ]
        metafunc.parametrize("world", here or ["none"], indirect=True)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out, without a skip, what is about the other system."""
    elsewhere = [
        item
        for item in items
        if "backends" in item.keywords and not set(backends_of(item.iter_markers())) & set(HERE)
    ]
    config.hook.pytest_deselected(items=elsewhere)
    items[:] = [item for item in items if item not in elsewhere]


@pytest.fixture
def world(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """What notifies; the API is answered by it."""
    made = kernel() if request.param == "rtnetlink" else stand_in()
    for world in made:
        monkeypatch.setattr(notify, "backend", world.backend)
        yield world


def kernel() -> Iterator[World]:
    """A network namespace of its own, entered by this thread."""
    with Namespace() as namespace, namespace.enter():
        yield KernelWorld(namespace)


def stand_in() -> Iterator[World]:
    """The stand-in; at the end nothing is registered or unfreed, and no cancel met a deadlock."""
    standin = Standin()
    yield StandinWorld(standin)
    standin.wait_idle()
    assert (standin.tables, standin.bad_frees) == (0, 0)
    assert (standin.deadlocks, standin.registrations) == (0, 0)
    standin.reset()


@pytest.fixture
def register(world: World) -> Iterator[Register]:
    """Register, as the API does, until the end of the test."""
    handles: list[NotificationHandle] = []

    def register(
        callback: Any, family: Any = 0, context: Any = None, initial: bool = False
    ) -> NotificationHandle:
        handle = notify.notify_ip_interface_change(family, callback, context, initial)
        handles.append(handle)
        return handle

    yield register
    for handle in handles:
        with suppress(IpHelperError):  # the test did
            handle.cancel()


@pytest.fixture
def pass_on(world: World, register: Register) -> Callable[[], None]:
    """Returns when whatever was to be delivered before now has been, or never will be."""

    def pass_on() -> None:
        witness = Calls()
        handle = register(witness)
        index = world.make()
        witness.wait(2, index=index)
        handle.cancel()

    return pass_on
