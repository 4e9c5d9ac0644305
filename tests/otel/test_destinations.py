"""The destinations from flags and OpenTelemetry's environment variables."""

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from exporter.errors import SettingsError
from exporter.otel.destinations import Destination, destinations, metrics_interval
from exporter.otel.exporters import make_exporter
from exporter.settings.schema import OtlpSettings

BASE = "OTEL_EXPORTER_OTLP_ENDPOINT"
HTTP, GRPC = "http/protobuf", "grpc"


def found(settings: OtlpSettings, **environment: str) -> list[Destination]:
    """Return the destinations."""
    return list(destinations(settings, environment))


def test_nothing_is_pushed_without_an_endpoint() -> None:
    """Other variables alone, or an empty endpoint, do not turn the push on."""
    assert found(OtlpSettings()) == []
    assert found(OtlpSettings(protocol="grpc", events="both")) == []
    assert found(OtlpSettings(), OTEL_EXPORTER_OTLP_HEADERS="a=b", OTEL_SERVICE_NAME="x") == []
    assert found(OtlpSettings(), **{BASE: " "}) == []


def test_a_flag_endpoint_gets_the_path_of_each_signal_over_http_only() -> None:
    """Over HTTP each signal has a path below the endpoint; gRPC has none."""
    both = OtlpSettings(endpoint="http://c:4318/base/", events="both")
    assert found(both) == [
        Destination("traces", "http://c:4318/base/v1/traces", HTTP),
        Destination("logs", "http://c:4318/base/v1/logs", HTTP),
        Destination("metrics", "http://c:4318/base/v1/metrics", HTTP),
    ]
    spans = OtlpSettings(endpoint="http://c:4317", protocol="grpc")
    assert found(spans) == [
        Destination("traces", "http://c:4317", GRPC),
        Destination("metrics", "http://c:4317", GRPC),
    ]


def test_the_flag_overrides_every_variable() -> None:
    """Endpoint and protocol of a flag or the file count for all signals."""
    settings = OtlpSettings(endpoint="http://flag", protocol="grpc", events="logs")
    environment = {
        BASE: "http://env",
        "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "http://logs",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json",
    }
    assert found(settings, **environment) == [
        Destination("logs", "http://flag", GRPC),
        Destination("metrics", "http://flag", GRPC),
    ]


def test_a_signals_own_variable_is_taken_as_it_is() -> None:
    """A signal's variable counts before the general one, and gets no path appended."""
    environment = {
        BASE: "http://all:1",
        "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://metrics:2/write",
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "grpc",
    }
    assert found(OtlpSettings(), **environment) == [
        Destination("traces", "http://all:1", GRPC),
        Destination("metrics", "http://metrics:2/write", HTTP),
    ]
    only = {"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://metrics:2/write"}
    assert [d.signal for d in found(OtlpSettings(), **only)] == ["metrics"]


def test_signals_can_be_turned_off() -> None:
    """OTEL_SDK_DISABLED turns all off, OTEL_<SIGNAL>_EXPORTER one."""
    settings = OtlpSettings(endpoint="http://c", events="both")
    assert found(settings, OTEL_SDK_DISABLED="True") == []
    assert len(found(settings, OTEL_SDK_DISABLED="no")) == 3
    off = {"OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "prometheus"}
    assert [d.signal for d in found(settings, **off)] == ["logs"]
    assert len(found(settings, OTEL_LOGS_EXPORTER="console, otlp", OTEL_TRACES_EXPORTER="")) == 3


def test_an_invalid_destination_is_one_line_at_the_start(tmp_path: Path) -> None:
    """The error names a protocol that is not supported, or a file that cannot be read."""
    with pytest.raises(SettingsError, match=r'^\$OTEL_EXPORTER_OTLP_PROTOCOL: "http/json": must'):
        found(OtlpSettings(), **{BASE: "http://c", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"})
    missing = {BASE: "http://c", "OTEL_EXPORTER_OTLP_CERTIFICATE": str(tmp_path / "ca.pem")}
    with pytest.raises(SettingsError, match=r"^\$OTEL_EXPORTER_OTLP_CERTIFICATE: .*ca.pem"):
        found(OtlpSettings(), **missing)


def test_the_shown_endpoint_has_no_secret() -> None:
    """User, password and query are left out."""
    secret = Destination("traces", "https://me:secret@c:4318/v1/traces?key=secret", HTTP)
    assert secret.redacted_endpoint == "https://c:4318/v1/traces"
    assert Destination("traces", "c:4317", GRPC).redacted_endpoint == "c:4317"


def test_the_metrics_interval_is_the_flag_or_the_variable_or_a_minute() -> None:
    """The variable is in milliseconds; a value that is no number is an error."""
    name = "OTEL_METRIC_EXPORT_INTERVAL"
    assert metrics_interval(OtlpSettings(metrics_interval_seconds=2.0), {name: "1"}) == 2.0
    assert metrics_interval(OtlpSettings(), {name: "1500"}) == 1.5
    assert metrics_interval(OtlpSettings(), {}) == 60.0
    for text in ("10s", "-1", "5", "٣٠٠"):
        with pytest.raises(SettingsError, match=r"^\$OTEL_METRIC_EXPORT_INTERVAL: "):
            metrics_interval(OtlpSettings(), {name: text})


def test_a_query_stays_at_the_end() -> None:
    """The path of a signal goes before the query of an endpoint."""
    settings = OtlpSettings(endpoint="http://c:4318/base/?tenant=a")
    assert found(settings)[0].endpoint == "http://c:4318/base/v1/traces?tenant=a"


@pytest.mark.parametrize(
    ("proxy", "error"),
    [("gopher://secret@h:1", 'unknown scheme "gopher"'), ("socks5h://h:1", "PySocks")],
)
def test_a_proxy_that_cannot_be_used_is_named(
    proxy: str, error: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the variable of the proxy, not the endpoint, and no password."""
    monkeypatch.setenv("ALL_PROXY", proxy)
    with pytest.raises(SettingsError, match=error) as raised:
        make_exporter(Destination("traces", "http://receiver:4318/v1/traces", HTTP))
    assert "ALL_PROXY" in str(raised.value)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("missing", ["grpc", "opentelemetry.exporter.otlp.proto.grpc"])
def test_grpc_that_is_not_installed_is_named(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows on ARM64 has no grpcio: HTTP works, and the error of gRPC names the package."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == missing else name)
    make_exporter(Destination("traces", "http://receiver:4318/v1/traces", HTTP))
    with pytest.raises(SettingsError, match="opentelemetry-exporter-otlp-proto-grpc"):
        make_exporter(Destination("traces", "http://receiver:4317", GRPC))


def test_arm64_windows_needs_no_grpc() -> None:
    """No declared dependency installs grpcio there; everywhere else one does."""
    project = Path(__file__).parents[2] / "pyproject.toml"
    wanted = [Requirement(r) for r in tomllib.loads(project.read_text())["project"]["dependencies"]]
    for system, machine, grpc in (
        ("win32", "ARM64", False),
        ("win32", "AMD64", True),
        ("linux", "aarch64", True),
    ):
        here = {"sys_platform": system, "platform_machine": machine}
        names = {r.name for r in wanted if r.marker is None or r.marker.evaluate(here)}
        assert ("opentelemetry-exporter-otlp" in names) is grpc
        assert "opentelemetry-exporter-otlp-proto-http" in names
