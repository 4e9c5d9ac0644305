"""The manifests: valid by Kubernetes' own schemas, and true to the agent."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import cloudcoil.models.prometheus_operator.v1 as operator
import kubernetes_validate
import pytest
import yaml
from programs import CONFIG, run, settings_of
from pydantic import BaseModel
from support.agent import PROJECT
from support.prometheus import needed

from exporter.settings.schema import Settings
from exporter.site.routes import Routes
from exporter.web.http_message import Request

FOLDER = CONFIG / "kubernetes"
OBJECTS: list[dict[str, Any]] = [
    document
    for file in sorted(FOLDER.glob("*.yml"))
    if file.name != "kustomization.yml"
    for document in yaml.safe_load_all(file.read_text())
]
#: By kind; the ConfigMap is the exporter's.
DOCUMENTS = {document["kind"]: document for document in OBJECTS} | {
    document["kind"]: document
    for document in yaml.safe_load_all((FOLDER / "daemonset.yml").read_text())
}
POD = DOCUMENTS["DaemonSet"]["spec"]["template"]
(CONTAINER,) = POD["spec"]["containers"]


def name_of(document: dict[str, Any]) -> str:
    """Kind and name, as kubectl prints them."""
    return f"{document['kind']}/{document['metadata']['name']}"


@pytest.mark.parametrize(
    "document", [d for d in OBJECTS if d["kind"] in ("ConfigMap", "DaemonSet")], ids=name_of
)
@pytest.mark.parametrize("version", ["1.29", kubernetes_validate.latest_version()])
def test_kubernetes_accepts_it(document: dict[str, Any], version: str) -> None:
    """The schema of the API, old and new, with no unknown field."""
    kubernetes_validate.validate(document, version, strict=True)


MODELS: dict[str, type[BaseModel]] = {
    "PodMonitor": operator.PodMonitor,
    "PrometheusRule": operator.PrometheusRule,
}


@pytest.mark.parametrize("document", [d for d in OBJECTS if d["kind"] in MODELS], ids=name_of)
def test_the_operator_accepts_it(document: dict[str, Any]) -> None:
    """The schema of the custom resource takes every field, and knows every field."""
    taken = MODELS[document["kind"]].model_validate(document)
    assert taken.model_dump(mode="json", by_alias=True, exclude_unset=True) == document


def test_every_object_is_of_a_known_kind() -> None:
    """None goes unchecked."""
    assert {document["kind"] for document in OBJECTS} == {"ConfigMap", "DaemonSet", *MODELS}


def test_the_kustomization_has_them_all() -> None:
    """It names every file of the folder, and no name is there twice."""
    kustomization = yaml.safe_load((FOLDER / "kustomization.yml").read_text())
    assert kustomization["kind"] == "Kustomization"
    files = {file.name for file in FOLDER.glob("*.yml")} - {"kustomization.yml"}
    assert sorted(kustomization["resources"]) == sorted(files)
    assert len(set(map(name_of, OBJECTS))) == len(OBJECTS)


def kustomized(folder: Path) -> list[dict[str, Any]]:
    """The objects that ``kubectl apply --kustomize`` sends, each one's schema held."""
    done = run(needed("kubectl", "kubectl"), "kustomize", folder)
    assert done.returncode == 0, done.stderr
    assert done.stderr == "", "deprecations are printed there"
    built = list(yaml.safe_load_all(done.stdout))
    for document in built:
        if model := MODELS.get(document["kind"]):
            model.model_validate(document)
        else:
            kubernetes_validate.validate(
                document, kubernetes_validate.latest_version(), strict=True
            )
    return built


def test_kustomize_builds_what_is_there() -> None:
    """The objects are those of the files, in the namespace of the kustomization."""
    namespace = yaml.safe_load((FOLDER / "kustomization.yml").read_text())["namespace"]
    expected = [
        {**document, "metadata": {**document["metadata"], "namespace": namespace}}
        for document in OBJECTS
    ]
    assert sorted(kustomized(FOLDER), key=name_of) == sorted(expected, key=name_of)


def test_the_documented_overlay_changes_what_it_says(tmp_path: Path) -> None:
    """A label on every object, another namespace, one threshold, and nothing else."""
    readme = (CONFIG / "README.md").read_text()
    (overlay,) = re.findall(r"^```yaml\n(apiVersion: kustomize.*?)^```", readme, re.M | re.S)
    checkout = tmp_path / "ip-interface-exporter"
    checkout.mkdir()
    (checkout / "config").symlink_to(CONFIG)
    (tmp_path / "kustomization.yml").write_text(overlay)
    before = {name_of(document): document for document in kustomized(FOLDER)}
    changed: dict[str, Any] = {}
    for document in kustomized(tmp_path):
        was = before.pop(name_of(document))
        assert document["metadata"]["labels"].pop("release") == "kube-prometheus-stack"
        assert document["metadata"].pop("namespace") == "observability"
        del was["metadata"]["namespace"]
        document["metadata"]["labels"] or document["metadata"].pop("labels")
        if document != was:
            changed[name_of(document)] = (was["spec"], document["spec"])
    assert not before
    ((name, (was, now)),) = changed.items()
    assert name == "PrometheusRule/ip-interface-exporter-thresholds"
    flapping = now["groups"][0]["rules"][0]
    assert flapping["labels"] == {"threshold": "flapping_disconnections"}
    assert flapping["expr"] == "vector(10)"
    flapping["expr"] = was["groups"][0]["rules"][0]["expr"]
    assert now == was


def test_what_is_made_is_up_to_date() -> None:
    """Rules and dashboards are those of ../alerts and ../../dashboards."""
    done = run(sys.executable, FOLDER / "build.py", "--check")
    assert done.returncode == 0, done.stderr


def test_the_rules_are_all_there_and_the_thresholds_apart() -> None:
    """Prometheus would load from them what it loads from the files; users patch one object."""
    rules = {d["metadata"]["name"]: d["spec"] for d in OBJECTS if d["kind"] == "PrometheusRule"}
    sources = {
        file.name: yaml.safe_load(file.read_text())["groups"]
        for file in (CONFIG / "alerts").glob("*.yml")
    }
    assert rules.pop("ip-interface-exporter-thresholds")["groups"] == sources.pop("thresholds.yml")
    ((_, rest),) = rules.items()
    groups = [group for groups in sources.values() for group in groups]
    names = [group["name"] for group in groups]
    assert len(set(names)) == len(names), "the API refuses two of one name"
    assert sorted(map(str, rest["groups"])) == sorted(map(str, groups))


def test_the_sidecar_finds_the_dashboards() -> None:
    """Each is in a labeled ConfigMap that can still be applied, and stays what it is."""
    maps = [d for d in OBJECTS if d["metadata"].get("labels", {}).get("grafana_dashboard")]
    content = {name: text for d in maps for name, text in d["data"].items()}
    dashboards = [json.loads(f.read_text()) for f in (PROJECT / "dashboards").glob("*.json")]
    assert len(content) == len(dashboards)
    for dashboard in dashboards:
        assert json.loads(content[f"{dashboard['uid']}.json"]) == dashboard
    # kubectl apply keeps a copy in an annotation, of at most 256 KiB.
    assert all(len(json.dumps(document)) < 1 << 18 for document in maps)


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
    application = Routes(lambda *_: b"", lambda: "", None, "/metrics")  # type: ignore[arg-type,return-value]
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
    # The Operator adds both, and both change with each roll-out.
    assert {"action": "labeldrop", "regex": "container|pod"} in endpoint["relabelings"]
