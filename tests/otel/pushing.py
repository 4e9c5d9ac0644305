"""Runs a push in the process of the test, with notifications that the test makes."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest
from support.waiting import NEVER

from exporter.clock import SYSTEM, Clock
from exporter.metrics.snapshot import BuildInfo, Snapshot
from exporter.model import (
    Change,
    Family,
    Interface,
    InterfaceRow,
    Link,
    Notification,
    NotificationType,
)
from exporter.monitor.state import Delta, State
from exporter.otel.destinations import destinations
from exporter.otel.push import Push
from exporter.settings.schema import EpisodeSettings, OtlpSettings, Settings
from exporter.sources.contract import Health

LUID = 0x0006_0000_0700_0000


def settings(
    endpoint: str,
    protocol: str = "http/protobuf",
    events: str = "spans",
    quiet: float = 60.0,
    retry: float = 0.0,
) -> Settings:
    """Return settings that push everything at the end only, or after `quiet` seconds."""
    otlp = OtlpSettings(endpoint, protocol, events, 3600.0, retry)
    return Settings(otlp=otlp, episode=EpisodeSettings(quiet, 60.0))


def delta(
    number: int = 0,
    *changes: Change,
    type: NotificationType = NotificationType.PARAMETER,
    luid: int = LUID,
    family: Family = Family.IPV4,
    instant: float | None = None,
    inferred: bool = False,
    unobserved: tuple[int, int] = (0, 0),
) -> Delta:
    """Return one notification of eth0 (or of another LUID), whose MTU becomes `number`."""
    at = SYSTEM.monotonic() if instant is None else instant
    row = Interface(family, luid, 7, Link("eth0"), InterfaceRow(True, number))
    n = Notification(
        type, family, luid, 7, 1_700_000_000.0 + number / 1000, at, row, *unobserved, inferred
    )
    return Delta(n, "eth0", changes or (Change("mtu_bytes", number - 1, number),), None)


def push_batch(push: Push, deltas: Sequence[Delta]) -> None:
    """Pass a batch to the push, as the monitor does."""
    push([d.notification for d in deltas], deltas)


def make_push(
    made: Settings,
    state: State | None = None,
    clock: Clock = SYSTEM,
    netns: str | None = "net:[1]",
) -> Push:
    """Return a push of a state that need not agree with the batches passed to it."""
    known = state or State()
    health = Health(messages={})
    build = BuildInfo("1", "r", "3", "test", netns)

    def read() -> Snapshot:
        return Snapshot(known, health, build, SYSTEM.monotonic(), otlp_items=push.items())

    push = Push(made, destinations(made.otlp, os.environ), read, clock, build)
    return push


@contextmanager
def pushing(made: Settings, state: State | None = None) -> Iterator[Push]:
    """Make a push and start it, and stop it at the end of the block when all is sent."""
    with running(make_push(made, state)) as push:
        yield push


@contextmanager
def running(push: Push) -> Iterator[Push]:
    """Start a push, and stop it at the end of the block when all is sent."""
    push.start()
    try:
        yield push
    finally:
        push.stop(NEVER)


def balance(push: Push, signal: str = "traces") -> dict[str, int]:
    """Return the items of a signal by result; they must add up after a stop."""
    return {result: n for (of, result), n in push.items().items() if of == signal}


def assert_balanced(push: Push) -> None:
    """Require that every item of every signal has a result."""
    for signal in {signal for signal, _ in push.items()}:
        items = balance(push, signal)
        assert items["accepted"] == items["exported"] + items["failed"] + items["dropped"], signal


def log_lines(caplog: pytest.LogCaptureFixture, message: str) -> list[str]:
    """Return the signals (and reasons) of the exporter's log lines with a message."""
    return [
        " ".join(str(r.fields[key]) for key in ("signal", "reason") if key in r.fields)  # type: ignore[attr-defined]
        for r in caplog.records
        if r.getMessage() == message
    ]
