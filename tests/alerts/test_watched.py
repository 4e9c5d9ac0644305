"""Which devices are watched, by the names that systems and programs give them."""

import json
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from rulebook import CONFIG
from support.prometheus import needed

DEVICES = yaml.safe_load((Path(__file__).parent / "devices.yml").read_text())
GUID = "{3F2A9C81-D7E0-4B1C-9A57-0C2D4E6F8A10}"


class Device(NamedTuple):
    """A device as its facts name it; Windows' have a GUID."""

    name: str
    kind: str = ""
    type: int = 6
    guid: str = ""

    def series(self) -> str:
        """Its facts on one host."""
        labels = {**TARGET, "device": self.name, "family": "ipv4", "kind": self.kind}
        labels |= {"type": str(self.type), "guid": self.guid, "luid": "0x1", "index": "2"}
        return "ip_interface_info" + selector(labels)


TARGET = {"job": "ip-interfaces", "instance": "h1"}


def selector(labels: dict[str, str]) -> str:
    """Labels as a series has them."""
    return "{" + ", ".join(f"{name}={json.dumps(value)}" for name, value in labels.items()) + "}"


def devices(verdict: str, owner: str) -> list[Device]:
    """The devices of one system or program."""
    guid = GUID if "Windows" in owner else ""
    return [Device(*facts)._replace(guid=guid) for facts in DEVICES[verdict][owner]]


@pytest.mark.parametrize(
    ("verdict", "owner"), [(verdict, owner) for verdict in DEVICES for owner in DEVICES[verdict]]
)
def test_what_is_watched(verdict: str, owner: str, tmp_path: Path) -> None:
    """A host's own devices are; what containers, virtual machines and VPNs make is not."""
    name = "instance_device:ip_interface_watched:max"
    expected: list[dict[str, Any]] = [
        {"labels": name + selector({**TARGET, "device": device.name}), "value": 1}
        for device in devices(verdict, owner)
        if verdict == "watched"
    ]
    test = {
        "interval": "1m",
        "input_series": [
            {"series": device.series(), "values": "1x5"} for device in devices(verdict, owner)
        ],
        "promql_expr_test": [{"expr": name, "eval_time": "3m", "exp_samples": expected}],
    }
    file = tmp_path / "watched.yml"
    rules = [str(CONFIG / "alerts" / "recording.yml")]
    file.write_text(json.dumps({"rule_files": rules, "tests": [test]}))
    command = [needed("promtool-3", "promtool"), "test", "rules", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
