"""The OpenTelemetry Collector's file: whole in itself, and validated where there is a Collector.

No package registry has a Collector with these components, so CI cannot require one.
"""

from __future__ import annotations

import shutil

import pytest
import yaml
from programs import CONFIG, run

FILE = CONFIG / "otel-collector" / "config.yml"
COLLECTORS = ("otelcol", "otelcol-contrib")


def test_every_part_is_declared_and_used() -> None:
    """Each pipeline names components that are there, and none stands idle."""
    config = yaml.safe_load(FILE.read_text())
    pipelines = config.pop("service")["pipelines"]
    assert set(pipelines) == {"traces", "logs", "metrics"}
    for kind, components in config.items():
        used = {name for pipeline in pipelines.values() for name in pipeline[kind]}
        assert used == set(components), kind
    for pipeline in pipelines.values():
        assert pipeline["processors"][0] == "memory_limiter", "it must be first"


def test_it_hands_metrics_to_the_prometheus_beside_it() -> None:
    """The address is that of the data source, which is Prometheus' own."""
    exporter = yaml.safe_load(FILE.read_text())["exporters"]["otlphttp/prometheus"]
    source = CONFIG / "grafana" / "provisioning" / "datasources" / "prometheus.yml"
    (prometheus,) = yaml.safe_load(source.read_text())["datasources"]
    assert exporter["endpoint"] == f"{prometheus['url']}/api/v1/otlp"


def test_a_collector_accepts_it() -> None:
    """``otelcol validate``."""
    found = next(filter(None, map(shutil.which, COLLECTORS)), None)
    if found is None:
        pytest.skip("a Collector: neither otelcol nor otelcol-contrib is in PATH")
    done = run(found, "validate", f"--config={FILE}")
    assert done.returncode == 0, done.stdout + done.stderr
