"""Write the rules and dashboards as Kubernetes objects: ``python config/kubernetes/build.py``.

The rules become PrometheusRules of the Prometheus Operator, the dashboards ConfigMaps that the
sidecar of Grafana's Helm chart takes. ``--check`` writes nothing, and fails if a file is not what
it would be. Needs PyYAML.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).resolve().parent
ALERTS = FOLDER.parent / "alerts"
DASHBOARDS = FOLDER.parents[1] / "dashboards"
sys.path.append(str(DASHBOARDS))

from generate import generate  # noqa: E402 - found by the line above

NAME = "ip-interface-exporter"

#: Written as `rules` and `dashboards` say; the thresholds apart, since users change them.
_HEADER = "# Made by build.py beside this file: change {sources} and run it.\n"


class _Dumper(yaml.SafeDumper):
    """Writes text of several lines as such, and shares nothing by anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        """Return whether equal parts are written out each time. Always."""
        return True


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def _yaml(sources: str, objects: Iterable[dict[str, Any]]) -> str:
    documents = yaml.dump_all(objects, Dumper=_Dumper, sort_keys=False, width=1 << 20)
    return _HEADER.format(sources=sources) + documents


def rules(name: str, files: Sequence[str]) -> dict[str, Any]:
    """Return a PrometheusRule with the groups of some rule files."""
    groups = [
        group
        for file in files
        for group in yaml.safe_load((ALERTS / file).read_text(encoding="utf-8"))["groups"]
    ]
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": name, "labels": {"app.kubernetes.io/name": NAME}},
        "spec": {"groups": groups},
    }


def dashboard(file: Path) -> dict[str, Any]:
    """Return a ConfigMap with a dashboard, labeled for the sidecar."""
    content = json.loads(file.read_text(encoding="utf-8"))
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": content["uid"],
            "labels": {"app.kubernetes.io/name": NAME, "grafana_dashboard": "1"},
            "annotations": {"grafana_folder": "IP interfaces"},
        },
        "data": {f"{content['uid']}.json": json.dumps(content, separators=(",", ":"))},
    }


def files() -> dict[Path, str]:
    """Return what each file should hold."""
    return {
        FOLDER / "thresholds.yml": _yaml(
            "../alerts/thresholds.yml", [rules(f"{NAME}-thresholds", ["thresholds.yml"])]
        ),
        FOLDER / "rules.yml": _yaml(
            "../alerts", [rules(NAME, ["recording.yml", "ip-interfaces.yml", "agent.yml"])]
        ),
        FOLDER / "dashboards.yml": _yaml(
            "../../dashboards", map(dashboard, sorted(DASHBOARDS.glob("*.json")))
        ),
    }


if __name__ == "__main__":
    sys.exit(generate("Write the rules and dashboards for Kubernetes.", files()))
