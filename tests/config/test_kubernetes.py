"""The manifests: valid by Kubernetes' own schemas, and true to the agent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from programs import CONFIG, settings_of

from exporter.settings.schema import Settings
from exporter.site.routes import Routes
from exporter.web.message import Request

FOLDER = CONFIG / "kubernetes"
DOCUMENTS = {
    document["kind"]: document
    for file in FOLDER.glob("*.yml")
    for document in yaml.safe_load_all(file.read_text())
}
POD = DOCUMENTS["DaemonSet"]["spec"]["template"]
(CONTAINER,) = POD["spec"]["containers"]


@pytest.mark.parametrize("kind", ["ConfigMap", "DaemonSet"])
@pytest.mark.parametrize("version", ["1.29", kubernetes_validate.latest_version()])
def test_kubernetes_accepts_it(kind: str, version: str) -> None:
    """The schema of the API, old and new, with no unknown field."""
    kubernetes_validate.validate(DOCUMENTS[kind], version, strict=True)


def test_the_flags_and_the_configuration_are_real(tmp_path: Path) -> None:
    """The agent understands the container's arguments, and the file in the ConfigMap."""
    (mount,) = CONTAINER["volumeMounts"]
    (volume,) = POD["spec"]["volumes"]
    assert mount["name"] == volume["name"]
    assert volume["configMap"]["name"] == DOCUMENTS["ConfigMap"]["metadata"]["name"]
    files: dict[str, Path] = {}
    for name, text in DOCUMENTS["ConfigMap"]["data"].items():
        (tmp_path / name).write_text(text)
        files[f"{mount['mountPath']}/{name}"] = tmp_path / name
    settings = settings_of(CONTAINER["args"], files)
    assert [group.name for group in settings.collector.groups] == ["pods"]
    assert settings.web == Settings().web


def test_the_probes_ask_what_is_served() -> None:
    """Port and paths are the agent's."""
    (port,) = CONTAINER["ports"]
    assert f":{port['containerPort']}" in Settings().web.listen_addresses
    application = Routes(lambda *_: b"", lambda: "", lambda: None, "/metrics")  # type: ignore[arg-type,return-value]
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        asked: dict[str, Any] = CONTAINER[probe]["httpGet"]
        assert asked["port"] == port["name"]
        assert application(Request("GET", asked["path"])).status == 200


def test_it_is_confined() -> None:
    """Its only privilege is to see the node's network."""
    assert POD["spec"]["hostNetwork"]
    assert not POD["spec"]["automountServiceAccountToken"]
    assert POD["spec"]["securityContext"]["runAsNonRoot"]
    assert POD["spec"]["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert CONTAINER["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert not {"hostPID", "hostIPC"} & POD["spec"].keys()


def test_the_monitor_finds_the_pods() -> None:
    """Selector, port and path fit the DaemonSet; the job is the one that the alerts expect."""
    spec = DOCUMENTS["PodMonitor"]["spec"]
    wanted = spec["selector"]["matchLabels"]
    assert wanted.items() <= POD["metadata"]["labels"].items()
    assert wanted == DOCUMENTS["DaemonSet"]["spec"]["selector"]["matchLabels"]
    (endpoint,) = spec["podMetricsEndpoints"]
    assert endpoint["port"] == CONTAINER["ports"][0]["name"]
    assert endpoint["path"] == Settings().web.telemetry_path
    prometheus = yaml.safe_load((CONFIG / "prometheus" / "prometheus.yml").read_text())
    job = {"targetLabel": "job", "replacement": prometheus["scrape_configs"][0]["job_name"]}
    assert job in endpoint["relabelings"]
