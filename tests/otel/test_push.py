"""The data that a real receiver gets, over HTTP and over gRPC."""

import platform
from collections import Counter
from collections.abc import Iterator

import pytest
from pushing import (
    LUID,
    assert_balanced,
    balance,
    delta,
    make_push,
    push_batch,
    pushing,
    running,
    settings,
)
from support.otlp_receiver import GrpcReceiver, HttpReceiver, plain
from support.waiting import wait_until

from exporter import __version__
from exporter.clock import SYSTEM
from exporter.model import (
    Change,
    Family,
    Interface,
    InterfaceRow,
    Link,
    LinkStatus,
    Notification,
    NotificationType,
    OperStatus,
)
from exporter.monitor.state import Delta, State

Receiver = HttpReceiver | GrpcReceiver


@pytest.fixture(params=["http/protobuf", "grpc"])
def protocol(request: pytest.FixtureRequest) -> str:
    """Both protocols."""
    return str(request.param)


@pytest.fixture
def receiver(protocol: str) -> Iterator[Receiver]:
    """A receiver of the protocol."""
    with GrpcReceiver() if protocol == "grpc" else HttpReceiver() as made:
        yield made


def test_an_episode_is_a_trace(receiver: Receiver, protocol: str) -> None:
    """A root span for the host, a child for each IP interface, an event for each notification."""
    at = SYSTEM.monotonic()
    with pushing(settings(receiver.endpoint, protocol, quiet=0.2)) as push:
        push_batch(
            push,
            [
                delta(1, instant=at),
                delta(2, family=Family.IPV6, instant=at),
                delta(3, instant=at),
                delta(4, type=NotificationType.DELETE, instant=at),
            ],
        )
        wait_until(lambda: len(receiver.spans()) == 3, message="the episode ends by itself")
    (root,) = (s for s in receiver.spans() if not s.parent_span_id)
    children = [s for s in receiver.spans() if s.parent_span_id]
    assert root.name == "ip_interface.episode"
    assert plain(root.attributes) == {"ip_interface.episode.notifications": 4}
    assert {(c.name, c.parent_span_id, c.trace_id) for c in children} == {
        (name, root.span_id, root.trace_id)
        for name in ("ip_interface.delete", "ip_interface.change")
    }
    by_family = {plain(c.attributes)["network.type"]: c for c in children}
    assert [len(by_family[family].events) for family in ("ipv4", "ipv6")] == [3, 1]
    assert plain(by_family["ipv4"].attributes) == {
        "network.interface.name": "eth0",
        "network.type": "ipv4",
        "ip_interface.luid": "0x0006000007000000",
        "ip_interface.index": 7,
    }
    begin, end = 1_700_000_000_001_000_000, 1_700_000_000_004_000_000
    for span, ends in ((root, end), (by_family["ipv4"], end), (by_family["ipv6"], begin + 10**6)):
        assert span.end_time_unix_nano == pytest.approx(ends, abs=1000)
    assert root.start_time_unix_nano == pytest.approx(begin, abs=1000)
    assert_balanced(push)
    assert balance(push) == {"accepted": 4, "exported": 4, "failed": 0, "dropped": 0}


def test_an_event_has_every_attribute(receiver: Receiver, protocol: str) -> None:
    """Time and attributes of an event are the notification's; what is unknown is left out."""
    changes = (
        Change("connected", False, True),
        Change("metric", None, 25),
        Change("zone_indices", (1, 2), (3,)),
        Change("retransmit_time_seconds", 1.5, None),
    )
    with pushing(settings(receiver.endpoint, protocol, "both")) as push:
        push_batch(push, [delta(5, *changes, inferred=True, unobserved=(2, 3))])
    assert_balanced(push)
    expected = {
        "network.interface.name": "eth0",
        "network.type": "ipv4",
        "ip_interface.luid": "0x0006000007000000",
        "ip_interface.index": 7,
        "ip_interface.change": "parameter",
        "ip_interface.parameter.connected.before": False,
        "ip_interface.parameter.connected.after": True,
        "ip_interface.parameter.metric.after": 25,
        "ip_interface.parameter.zone_indices.before": [1, 2],
        "ip_interface.parameter.zone_indices.after": [3],
        "ip_interface.parameter.retransmit_time_seconds.before": 1.5,
        "ip_interface.unobserved.connected": 2,
        "ip_interface.unobserved.disconnected": 3,
        "ip_interface.inferred": True,
    }
    (event,) = receiver.events()
    assert event.pop("time") == pytest.approx(1_700_000_000_005_000_000, abs=1000)
    assert event.pop("name") == "ip_interface.notification"
    assert event == expected
    (record,) = receiver.records()
    assert record.event_name == "ip_interface.notification"
    assert record.time_unix_nano == pytest.approx(1_700_000_000_005_000_000, abs=1000)
    assert record.observed_time_unix_nano > record.time_unix_nano
    assert plain(record.attributes) == expected


@pytest.mark.parametrize("events", ["spans", "logs", "both"])
def test_notifications_go_to_the_configured_signals(
    receiver: Receiver, protocol: str, events: str
) -> None:
    """As spans, as logs or as both, each notification once, and in order."""
    with pushing(settings(receiver.endpoint, protocol, events)) as push:
        push_batch(push, [delta(number) for number in range(300)])
    names = [
        plain(r.attributes)["ip_interface.parameter.mtu_bytes.after"] for r in receiver.records()
    ]
    assert names == ([] if events == "spans" else list(range(300)))
    after = [e["ip_interface.parameter.mtu_bytes.after"] for e in receiver.events()]
    assert after == ([] if events == "logs" else list(range(300)))
    assert {signal for signal, _ in push.items()} == {
        "spans": {"traces", "metrics"},
        "logs": {"logs", "metrics"},
        "both": {"traces", "logs", "metrics"},
    }[events]
    assert_balanced(push)


@pytest.mark.parametrize("inferred", [False, True])
def test_a_disconnection_has_its_cause(receiver: Receiver, protocol: str, inferred: bool) -> None:
    """The event has the cause in a word of RFC 2863, unless the disconnection is inferred."""
    row = Interface(Family.IPV4, LUID, 7, Link("eth0"), InterfaceRow(connected=True))
    status = LinkStatus(True, OperStatus.LOWER_LAYER_DOWN)
    lost = row._replace(parameters=InterfaceRow(connected=False), status=status)
    state = State()
    state.load([row], 0.0)
    with pushing(settings(receiver.endpoint, protocol, "both")) as push:
        for at, one in enumerate((lost, row)):
            n = Notification(
                NotificationType.PARAMETER, *row[:3], 1.7e9, float(at), one, inferred=inferred
            )
            push_batch(push, state.apply([n]))
    attribute = "ip_interface.disconnection.cause"
    expected = [None if inferred else "lowerLayerDown", None]
    assert [event.get(attribute) for event in receiver.events()] == expected
    assert [plain(r.attributes).get(attribute) for r in receiver.records()] == expected


def test_a_refresh_is_no_notification(receiver: Receiver, protocol: str) -> None:
    """A refresh is not counted, and not pushed."""
    with pushing(settings(receiver.endpoint, protocol, "both")) as push:
        push_batch(push, [delta(1, type=NotificationType.REFRESH)])
    assert (receiver.spans(), receiver.records()) == ([], [])
    assert balance(push)["accepted"] == 0


@pytest.mark.parametrize("limit", [None, 5])
def test_a_span_rolls_over_before_its_limit(
    receiver: Receiver, protocol: str, limit: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The SDK drops no event: a new span continues, linked to the one before."""
    if limit:
        monkeypatch.setenv("OTEL_SPAN_EVENT_COUNT_LIMIT", str(limit))
    room = limit or 128
    with pushing(settings(receiver.endpoint, protocol)) as push:
        push_batch(push, [delta(number) for number in range(2 * room + 1)])
    children = [s for s in receiver.spans() if s.parent_span_id]
    assert [len(s.events) for s in children] == [room, room, 1]
    assert [s.dropped_events_count for s in children] == [0, 0, 0]
    assert [[link.span_id for link in s.links] for s in children] == [
        [],
        [children[0].span_id],
        [children[1].span_id],
    ]
    assert len({s.trace_id for s in receiver.spans()}) == 1
    assert balance(push)["exported"] == 2 * room + 1


def test_many_interfaces_do_not_fill_the_memory(receiver: Receiver, protocol: str) -> None:
    """When open spans hold too much they all end early, and linked spans continue."""
    with pushing(settings(receiver.endpoint, protocol)) as push:
        push_batch(push, [delta(n, luid=LUID + n % 4500) for n in range(9_000)])
    spans = [s for s in receiver.spans() if s.parent_span_id]
    assert sum(len(s.events) for s in spans) == 9_000
    known = {s.span_id for s in spans}
    links = [link.span_id for s in spans for link in s.links]
    assert len(spans) == 4500 + len(links)
    assert set(links) <= known
    assert balance(push)["exported"] == 9_000


def test_long_churn_continues_in_a_linked_trace(receiver: Receiver, protocol: str) -> None:
    """After the maximum a linked trace begins; after quiet one without a link."""
    with pushing(settings(receiver.endpoint, protocol)) as push:
        at = SYSTEM.monotonic() + 1000  # not due for this process's clock
        instants = [at + tenth / 10 for tenth in range(605)] + [at + 500]
        push_batch(push, [delta(i, instant=instant) for i, instant in enumerate(instants)])
    roots = [s for s in receiver.spans() if not s.parent_span_id]
    assert len(roots) == 3
    assert [plain(r.attributes)["ip_interface.episode.notifications"] for r in roots] == [600, 5, 1]
    links = [[(link.trace_id, link.span_id) for link in r.links] for r in roots]
    assert links == [[], [(roots[0].trace_id, roots[0].span_id)], []]


def test_every_signal_has_the_resource(
    receiver: Receiver, protocol: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The resource follows the semantic conventions; the environment overrides it."""
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "host.name=mine,team=net%20ops")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "my-agent")
    with pushing(settings(receiver.endpoint, protocol, "both")) as push:
        push_batch(push, [delta()])
    assert_balanced(push)
    for signal in ("traces", "logs", "metrics"):
        (found,) = receiver.resources(signal)
        assert found["service.name"] == "my-agent"
        assert found["service.version"] == __version__
        assert len(found["service.instance.id"]) == 36
        assert found["host.name"] == "mine"
        assert found["os.type"] == platform.system().lower()
        assert found["team"] == "net ops"
        assert found["telemetry.sdk.language"] == "python"


def test_headers_and_compression_come_from_the_environment(
    receiver: Receiver, protocol: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The libraries apply them, to all signals or one."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20abc")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "x-scope=m")
    with pushing(settings(receiver.endpoint, protocol)) as push:
        push_batch(push, [delta()])
    seen = Counter((h.get("authorization"), h.get("x-scope")) for h in receiver.headers)
    assert seen == {("Bearer abc", None): 1, (None, "m"): 1}


def test_metrics_are_those_of_the_catalog(receiver: Receiver, protocol: str) -> None:
    """Counters are cumulative sums, gauges gauges, histograms histograms; nothing is renamed."""
    state = State()
    row = Interface(Family.IPV4, LUID, 7, Link("eth0"), InterfaceRow(True, 1500, None, False))
    state.load([row], 0.0)
    with pushing(settings(receiver.endpoint, protocol), state) as push:
        assert balance(push, "metrics")["accepted"] == 0
    metrics = {metric.name: metric for metric in receiver.metrics()}
    churn = metrics["ip_interface_churn_total"].sum
    assert (churn.is_monotonic, churn.aggregation_temporality) == (True, 2)
    assert [p.as_int for p in churn.data_points] == [0] * 6
    assert {tuple(plain(p.attributes)) for p in churn.data_points} == {("family", "type")}
    (mtu,) = metrics["ip_interface_mtu_bytes"].gauge.data_points
    assert mtu.as_int == 1500
    assert plain(mtu.attributes) == {
        "device": "eth0",
        "family": "ipv4",
        "index": "7",
        "luid": "0x0006000007000000",
    }
    assert "ip_interface_metric" not in metrics
    assert metrics["ip_interface_connected"].gauge.data_points[0].as_int == 1
    outages = metrics["ip_interface_outage_duration_seconds"].histogram
    assert [(len(p.bucket_counts), len(p.explicit_bounds)) for p in outages.data_points] == [
        (15, 14),
        (15, 14),
    ]
    assert not outages.data_points[0].HasField("min")
    assert not outages.data_points[0].exemplars
    assert {m.unit for m in metrics.values()} == {"", "s", "By"}
    points = sum(len(getattr(m, m.WhichOneof("data")).data_points) for m in metrics.values())
    assert points == balance(push, "metrics")["exported"]


def test_exemplars_have_the_device_of_an_outage(receiver: Receiver, protocol: str) -> None:
    """The exemplar of a bucket has the device, length, time and trace of its last outage."""
    state = State(trace_id=lambda _: 0xAB << 64)
    up, down = (
        Interface(Family.IPV4, LUID, 7, Link("eth0"), InterfaceRow(connected))
        for connected in (True, False)
    )
    state.load([up], 0.0)
    for row, at in ((down, 1.0), (up, 1.5)):
        changed = NotificationType.PARAMETER, row.family, row.luid, row.ifindex
        state.apply([Notification(*changed, 1_700_000_000.0 + at, at, row)])
    with pushing(settings(receiver.endpoint, protocol), state):
        pass
    metrics = {metric.name: metric for metric in receiver.metrics()}
    point = metrics["ip_interface_outage_duration_seconds"].histogram.data_points[0]
    (exemplar,) = point.exemplars
    assert plain(exemplar.filtered_attributes) == {"network.interface.name": "eth0"}
    assert exemplar.as_double == 0.5
    assert exemplar.time_unix_nano == 1_700_000_001_500_000_000
    assert int.from_bytes(exemplar.trace_id) == 0xAB << 64
    assert int.from_bytes(exemplar.span_id) == 0xAB, "its first span"


def test_an_exemplar_and_its_trace_have_the_same_id(receiver: Receiver, protocol: str) -> None:
    """The exemplar has the trace ID that is pushed with the notification."""
    made = make_push(settings(receiver.endpoint, protocol, quiet=1.0))
    trace_id = made.trace_ids()
    assert trace_id is not None
    instants = (0.0, 0.5, 10.0, 20.0, 20.9)
    with running(made) as push:
        push_batch(push, deltas := [delta(n, instant=at) for n, at in enumerate(instants)])
    expected = [trace_id(d.notification.instant) for d in deltas]
    events = [
        (event.time_unix_nano, int.from_bytes(span.trace_id))
        for span in receiver.spans()
        for event in span.events
    ]
    assert [trace for _, trace in sorted(events)] == expected
    assert len(set(expected)) == 3
    roots = [span for span in receiver.spans() if not span.parent_span_id]
    assert {int.from_bytes(root.span_id) for root in roots} == {each >> 64 for each in expected}


def test_many_data_points_go_in_several_requests(receiver: Receiver, protocol: str) -> None:
    """No request is larger than a gRPC server takes by default, and no point is lost."""
    state = State(max_interfaces=10_000)
    state.load(
        [
            Interface(Family.IPV4, LUID + n, n, Link(f"veth{n:06}"), InterfaceRow(True, 1500))
            for n in range(3000)
        ],
        0.0,
    )
    with pushing(settings(receiver.endpoint, protocol), state) as push:
        pass
    items = balance(push, "metrics")
    assert items["accepted"] > 3000 * 10
    assert items["accepted"] == items["exported"]
    sizes = [m.ByteSize() for m in receiver.messages["metrics"]]
    assert len(sizes) > 3
    assert max(sizes) < 4 << 20
    mtus = [
        plain(p.attributes)["luid"]
        for m in receiver.metrics()
        if m.name == "ip_interface_mtu_bytes"
        for p in m.gauge.data_points
    ]
    assert len(mtus) == len(set(mtus)) == 3000


def transition(number: int, *, connected: bool, **more: object) -> Delta:
    """Return a disconnection, or a connection."""
    changed = delta(number, Change("connected", not connected, connected), **more)  # type: ignore[arg-type]
    return changed._replace(transition=connected)


def of(luid: int, one: Delta) -> Delta:
    """Return the same delta of another interface."""
    return one._replace(notification=one.notification._replace(luid=luid))


def test_a_span_is_named_by_what_changed(receiver: Receiver, protocol: str) -> None:
    """There are a few names; the most severe change in the span decides."""
    add, delete = NotificationType.ADD, NotificationType.DELETE
    expected = {
        "flap": [transition(1, connected=False), transition(2, connected=True)],
        "disconnect": [transition(3, connected=False), delta(4)],
        "connect": [delta(5), transition(6, connected=True)],
        "delete": [delta(7, type=add), delta(8, type=delete)],
        "add": [delta(9, type=add)],
        "change": [delta(10)],
    }
    with pushing(settings(receiver.endpoint, protocol)) as push:
        for luid, deltas in enumerate(expected.values(), start=1):
            push_batch(
                push, [d._replace(notification=d.notification._replace(luid=luid)) for d in deltas]
            )
    named = {
        plain(s.attributes)["ip_interface.luid"]: s.name
        for s in receiver.spans()
        if s.parent_span_id
    }
    assert {int(luid, 16): name for luid, name in named.items()} == {
        luid: f"ip_interface.{name}" for luid, name in enumerate(expected, start=1)
    }


def test_log_events_have_a_body_and_a_severity(receiver: Receiver, protocol: str) -> None:
    """The body describes the change, and a disconnection is a warning."""
    deltas = [delta(1, type=NotificationType.ADD), transition(2, connected=False), delta(3)]
    with pushing(settings(receiver.endpoint, protocol, "logs")) as push:
        push_batch(push, deltas)
    assert [(r.body.string_value, r.severity_text) for r in receiver.records()] == [
        ("eth0 ipv4 added", "INFO"),
        ("eth0 ipv4 disconnected", "WARN"),
        ("eth0 ipv4 changed", "INFO"),
    ]
    assert not any(r.trace_id for r in receiver.records()), "there is no trace"
    added = plain(receiver.records()[0].attributes)
    assert added["ip_interface.kind"] == ""
    assert added["ip_interface.parameter.mtu_bytes.after"] == 1


def test_a_log_event_has_the_ids_of_its_span(receiver: Receiver, protocol: str) -> None:
    """Each record has the IDs of its own span, also where full spans follow each other."""
    deltas = [delta(n, luid=1 + n % 3) for n in range(900)]
    with pushing(settings(receiver.endpoint, protocol, "both")) as push:
        for start in range(0, 900, 50):
            push_batch(push, deltas[start : start + 50])
    in_spans = {
        (s.trace_id, s.span_id, e.time_unix_nano) for s in receiver.spans() for e in s.events
    }
    in_records = {(r.trace_id, r.span_id, r.time_unix_nano) for r in receiver.records()}
    assert len(in_records) == 900
    assert in_records == in_spans


def test_metrics_have_their_units(receiver: Receiver, protocol: str) -> None:
    """Seconds and bytes; counts have no unit, because some stores append it to the name."""
    with pushing(settings(receiver.endpoint, protocol)) as push:
        push_batch(push, [delta(1)])
    units = {metric.name: metric.unit for metric in receiver.metrics()}
    assert units["ip_interface_outage_duration_seconds"] == "s"
    assert units["ip_interface_churn_total"] == ""


def test_agents_in_two_namespaces_are_two_instances(receiver: Receiver, protocol: str) -> None:
    """The namespace is part of the identity, and the same one gives the same."""
    found = []
    for netns in ("net:[1]", "net:[2]", "net:[1]"):
        made = settings(receiver.endpoint, protocol)
        with running(make_push(made, netns=netns)) as push:
            push_batch(push, [delta(1)])
        found.append(receiver.resources("traces")[-1])
    ids = [attributes["service.instance.id"] for attributes in found]
    assert ids[0] == ids[2] != ids[1]
    assert found[1]["ip_interface.netns"] == "net:[2]"
