"""Endpoints that are down, slow or silent, or fail: each item is counted, and a stop works."""

import ssl
import time
from itertools import pairwise
from pathlib import Path

import grpc
import pytest
import trustme
from pushing import (
    assert_balanced,
    balance,
    delta,
    log_lines,
    make_push,
    push_batch,
    pushing,
    settings,
)
from support.otlp_receiver import GrpcReceiver, HttpReceiver, SilentListener, reserved_port
from support.waiting import NEVER, wait_until, without_waiting

from exporter.errors import SettingsError
from exporter.otel.library_log import describe
from exporter.otel.workers import QUEUE_LIMIT
from exporter.settings.schema import OtlpSettings, Settings

DOWN = "http://127.0.0.1:1"
FAILS, WORKS = "OTLP push failed", "OTLP push succeeded"


def impatient(monkeypatch: pytest.MonkeyPatch, tries: int = 1) -> None:
    """Let the library give up a batch after `tries` tries, however long each of them takes."""
    monkeypatch.setattr("opentelemetry.exporter.otlp.common.http._MAX_RETRIES", tries)
    monkeypatch.setattr("opentelemetry.exporter.otlp.proto.grpc.exporter._MAX_RETRYS", tries)


def spans_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Push traces alone, where the other signals would behave alike."""
    monkeypatch.setenv("OTEL_METRICS_EXPORTER", "none")


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
@pytest.mark.parametrize("silent", [False, True])
def test_it_stops_whatever_the_endpoint_does(
    protocol: str, silent: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stop does not wait for the timeout of an endpoint that refuses or never answers."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", str(NEVER))
    with SilentListener() as listener:
        endpoint = listener.endpoint if silent else DOWN
        push = make_push(settings(endpoint, protocol, "both"))
        push.start()
        push_batch(push, [delta(n) for n in range(5000)])
        wait_until(lambda: not push._event_workers[0]._queue, message="it is being sent")
        with without_waiting():
            push.stop()
    assert_balanced(push)
    assert balance(push)["accepted"] == 5000
    assert balance(push)["exported"] == 0


@pytest.mark.parametrize(
    ("status", "protocol", "reason"),
    [
        (503, "http/protobuf", "HTTP 503"),
        (429, "http/protobuf", "HTTP 429"),
        (400, "http/protobuf", "HTTP 400"),
        (401, "http/protobuf", "HTTP 401"),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "grpc", "RESOURCE_EXHAUSTED"),
        (grpc.StatusCode.UNAUTHENTICATED, "grpc", "UNAUTHENTICATED"),
    ],
)
def test_refusals_are_counted_and_logged_once(
    status: int | grpc.StatusCode,
    protocol: str,
    reason: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Each refused batch counts as failed, but the log has one line, with the status."""
    spans_only(monkeypatch)
    impatient(monkeypatch)
    caplog.set_level("INFO", "exporter")
    with GrpcReceiver() if protocol == "grpc" else HttpReceiver() as receiver:
        if isinstance(receiver, HttpReceiver):
            assert isinstance(status, int)
            receiver.answer = lambda: (int(str(status)), {"Retry-After": "30"})
        else:
            assert isinstance(status, grpc.StatusCode)
            receiver.status = status
        with pushing(settings(receiver.endpoint, protocol, quiet=0.2)) as push:
            for number in range(2):
                push_batch(push, [delta(number)])
                wait_until(lambda: balance(push)["failed"] == number + 1, message="it failed")  # noqa: B023
    assert receiver.tries >= 2
    assert log_lines(caplog, FAILS) == [f"traces {reason}"]
    assert_balanced(push)


def test_the_debug_log_has_every_batch(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """At level debug, each batch is logged with its items and result; at level info, none is."""
    spans_only(monkeypatch)
    with HttpReceiver() as receiver:
        for level in ("INFO", "DEBUG"):
            caplog.set_level(level, "exporter")
            with pushing(settings(receiver.endpoint)) as push:
                push_batch(push, [delta(n) for n in range(10)])
    batches = [r for r in caplog.records if r.getMessage() == "OTLP batch sent"]
    (fields,) = (r.fields for r in batches)  # type: ignore[attr-defined]
    assert fields.pop("seconds") >= 0
    assert fields == {"signal": "traces", "items": 10, "result": "exported"}


def test_it_waits_as_long_as_retry_after_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A 503 with Retry-After is tried again after that time, and nothing is lost or doubled."""
    spans_only(monkeypatch)
    tries: list[float] = []

    def answer() -> tuple[int, dict[str, str]]:
        tries.append(time.monotonic())
        return (503, {"Retry-After": "0.3"}) if len(tries) < 3 else (200, {})

    with HttpReceiver() as receiver:
        receiver.answer = answer
        with pushing(settings(receiver.endpoint)) as push:
            push_batch(push, [delta(n) for n in range(10)])
    assert len(tries) == 3
    assert all(b - a >= 0.3 for a, b in pairwise(tries))
    assert len(receiver.events()) == 10
    assert balance(push) == {"accepted": 10, "exported": 10, "failed": 0, "dropped": 0}


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_it_recovers_when_the_endpoint_comes_back(
    protocol: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Down, up, down, up: one log line for each change, and each exported item arrives."""
    spans_only(monkeypatch)
    impatient(monkeypatch)
    caplog.set_level("INFO", "exporter")
    kind = GrpcReceiver if protocol == "grpc" else HttpReceiver
    with (
        reserved_port() as port,
        pushing(settings(f"http://127.0.0.1:{port}", protocol, quiet=0.2)) as push,
    ):
        number = 0

        def accounted_for() -> bool:
            items = balance(push)
            return sum(items.values()) == 2 * items["accepted"]

        def until(result: str) -> None:
            nonlocal number
            before = balance(push)[result]
            while balance(push)[result] == before:
                number += 1
                push_batch(push, [delta(number)])
                wait_until(accounted_for, message="it was exported, or failed")

        until("failed")
        with kind(port) as second:
            until("exported")
        until("failed")
        with kind(port) as third:
            until("exported")
    arrived = len(second.events()) + len(third.events())
    assert arrived == balance(push)["exported"] > 1
    told_in_turn = [r.getMessage() for r in caplog.records if r.getMessage() in (FAILS, WORKS)]
    # More often where a machine is so busy that an endpoint seemed to be away.
    assert told_in_turn[:4] == [FAILS, WORKS, FAILS, WORKS]
    assert all(one != other for one, other in pairwise(told_in_turn))
    assert_balanced(push)


def test_items_beyond_the_queue_are_dropped_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """An endpoint that is down fills a bounded queue, and a push of a batch never waits."""
    spans_only(monkeypatch)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", str(NEVER))
    with SilentListener() as listener:
        push = make_push(settings(listener.endpoint))
        push.start()
        batch = [delta(n) for n in range(1000)]
        with without_waiting():
            for _ in range(200):
                push_batch(push, batch)
            assert balance(push)["dropped"] >= 200_000 - 2 * QUEUE_LIMIT
            push.stop()
    items = balance(push)
    assert items["accepted"] == 200_000 == items["dropped"] + items["failed"]


def test_a_certificate_that_is_not_trusted_fails(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """TLS is verified: without the right authority the push fails, and logs why, once."""
    spans_only(monkeypatch)
    authority = trustme.CA()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    impatient(monkeypatch, tries=2)  # it logs the reason of a try before the next one
    with HttpReceiver(tls=tls) as receiver:
        with pushing(settings(receiver.endpoint, quiet=0.2)) as push:
            push_batch(push, [delta()])
            wait_until(lambda: balance(push)["failed"] == 1, message="it failed")
        (line,) = log_lines(caplog, FAILS)
        assert "CERTIFICATE_VERIFY_FAILED" in line
        with authority.cert_pem.tempfile() as path:
            monkeypatch.setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", path)
            with pushing(settings(receiver.endpoint)) as push:
                push_batch(push, [delta()])
        assert len(receiver.events()) == 1


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_plain_text_to_a_tls_port_and_the_reverse_fail(
    protocol: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong scheme is a failure like any other: counted, and it stops without a wait."""
    spans_only(monkeypatch)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", str(NEVER))
    with HttpReceiver() as receiver:
        endpoint = receiver.endpoint.replace("http:", "https:")
        push = make_push(settings(endpoint, protocol))
        push.start()
        push_batch(push, [delta()])
        with without_waiting():
            push.stop()
    assert balance(push)["exported"] == 0
    assert_balanced(push)


def test_a_push_that_never_started_stops() -> None:
    """After a start that failed elsewhere, a stop does not wait."""
    with without_waiting():
        make_push(settings(DOWN)).stop(NEVER)


def test_a_reason_holds_no_secret() -> None:
    """A reason has only statuses, names of errors and texts of the system, no other text."""
    secret = "Bearer abc"
    assert describe(secret) == describe(f"Invalid header {secret}") == ""
    assert describe(ValueError(secret)) == "ValueError"
    assert describe(OSError(secret)) == "OSError"
    assert describe(ConnectionRefusedError(111, "Connection refused")) == (
        "ConnectionRefusedError: Connection refused"
    )
    assert describe("Service Unavailable") == "HTTP 503"
    assert describe(503) == "HTTP 503"
    assert describe(200) == describe(None) == describe(True) == ""


def test_wrong_variables_stop_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that a library cannot read is an error at the start, not a traceback."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "soon")
    with pytest.raises(SettingsError, match="OTLP exporter for traces cannot be created"):
        make_push(Settings(otlp=OtlpSettings(DOWN, "grpc")))
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_TIMEOUT")
    monkeypatch.setenv("OTEL_SPAN_EVENT_COUNT_LIMIT", "many")
    with pytest.raises(SettingsError, match="span limits: OTEL_SPAN_EVENT_COUNT_LIMIT must be"):
        make_push(Settings(otlp=OtlpSettings(DOWN)))


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_an_endpoint_that_is_away_loses_nothing(
    protocol: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Every notification of an outage longer than the library's own retries arrives, once."""
    monkeypatch.setenv("OTEL_METRICS_EXPORTER", "none")
    impatient(monkeypatch)
    caplog.set_level("INFO", "exporter")
    kind = GrpcReceiver if protocol == "grpc" else HttpReceiver
    with (
        reserved_port() as port,
        pushing(
            settings(f"http://127.0.0.1:{port}", protocol, "both", quiet=0.1, retry=NEVER)
        ) as push,
    ):
        sent = 0
        for _ in range(3):
            push_batch(push, [delta(sent + n) for n in range(80)])
            sent += 80
            wait_until(lambda: len(log_lines(caplog, FAILS)) >= 2, message="both signals fail")
        assert balance(push) == {"accepted": 240, "exported": 0, "failed": 0, "dropped": 0}
        with kind(port) as back:
            for signal in ("traces", "logs"):
                wait_until(lambda: balance(push, signal)["exported"] == 240, message=signal)  # noqa: B023
            assert len(back.events()) == 240
            assert len(back.records()) == 240
    assert_balanced(push)


def test_the_oldest_are_dropped_first(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A full queue drops the oldest items first, and the log has their number."""
    spans_only(monkeypatch)
    impatient(monkeypatch)
    caplog.set_level("INFO", "exporter")
    with (
        reserved_port() as port,
        pushing(settings(f"http://127.0.0.1:{port}", quiet=0.1, retry=NEVER)) as push,
    ):
        (worker,) = push._event_workers
        worker._limit = 100
        push_batch(push, [delta(0)])
        wait_until(lambda: worker._requests, message="a retry")
        for number in range(1, 151):
            push_batch(push, [delta(number)])
        assert balance(push)["dropped"] == 50
        with HttpReceiver(port) as back:
            wait_until(lambda: balance(push)["exported"] == 101, message="the rest arrives")
            mtus = [e["ip_interface.parameter.mtu_bytes.after"] for e in back.events()]
    assert mtus == [0, *range(51, 151)]
    (line,) = (r for r in caplog.records if r.getMessage() == WORKS)
    assert line.fields["lost"] == 50  # type: ignore[attr-defined]


def test_items_that_are_too_old_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit of the age holds for items in a request and for those that wait."""
    spans_only(monkeypatch)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.2")
    with pushing(settings(DOWN, quiet=0.1, retry=0.5)) as push:
        push_batch(push, [delta(0)])
        (worker,) = push._event_workers
        # Or given up already, if the test came late.
        wait_until(lambda: worker._requests or balance(push)["failed"], message="a retry")
        push_batch(push, [delta(1)])
        wait_until(lambda: balance(push)["failed"] == 2, message="both are given up")


def test_netrc_does_not_override_the_headers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A password for this host in ~/.netrc is not sent, also not after a redirect."""
    spans_only(monkeypatch)
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20ours")
    with HttpReceiver() as receiver:
        with pushing(settings(receiver.endpoint)) as push:
            push_batch(push, [delta(1)])
        assert [h["authorization"] for h in receiver.headers] == ["Bearer ours"]
        monkeypatch.delenv("OTEL_EXPORTER_OTLP_HEADERS")
        with pushing(settings(receiver.endpoint)) as push:
            push_batch(push, [delta(1)])
        assert "authorization" not in receiver.headers[-1]
