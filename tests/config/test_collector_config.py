"""The OpenTelemetry Collector's file is whole in itself.

Neither Debian nor PyPI has a Collector with these components to validate it.
"""

from __future__ import annotations

import yaml
from programs import CONFIG

FILE = CONFIG / "otel-collector" / "config.yml"


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
