"""Image and compose file: linted, resolved by Docker Compose, and true to the agent's flags."""

from __future__ import annotations

import importlib.util
import json
import shlex
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from programs import CONFIG, run, settings_of
from requirements_here import require
from support.agent import PROJECT, Agent
from support.prometheus import needed

from exporter import __version__
from exporter.settings.schema import Settings

DOCKERFILE = CONFIG / "docker" / "Dockerfile"
COMPOSE = CONFIG / "docker" / "compose.yml"


def instructions() -> list[tuple[str, str]]:
    """Each instruction of the Dockerfile with its argument, continued lines joined."""
    text = DOCKERFILE.read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(line.split(None, 1)[0], line.split(None, 1)[1]) for line in lines]


def argument(name: str) -> str:
    """The argument of the last instruction of a kind."""
    return [text for instruction, text in instructions() if instruction == name][-1]


def test_hadolint_has_nothing_to_say() -> None:
    """The Dockerfile keeps the rules that others keep."""
    hadolint = shutil.which("hadolint", path=str(Path(sys.executable).parent))
    require(hadolint, "hadolint: pip install -e '.[test]'")
    done = run(str(hadolint), DOCKERFILE)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_image_is_of_this_version_and_runs_as_nobody() -> None:
    """Version label, tag in compose file and manifest, port, and a numeric user."""
    assert f"ARG VERSION={__version__}" in DOCKERFILE.read_text()
    tag = f"ip-interface-exporter:{__version__}"
    assert f"image: {tag}\n" in COMPOSE.read_text()
    assert f"image: {tag}\n" in (CONFIG / "kubernetes" / "daemonset.yml").read_text()
    assert f"--tag={tag} " in DOCKERFILE.read_text()
    assert argument("EXPOSE") == Settings().web.listen_addresses[0].removeprefix(":")
    user, _, group = argument("USER").partition(":")
    assert int(user) >= 1000
    assert int(group) >= 1000


def test_the_image_gets_what_a_build_needs_and_no_more(tmp_path: Path) -> None:
    """From the files that are copied, and that .dockerignore lets through, the agent is built."""
    require(importlib.util.find_spec("hatchling"), "hatchling: pip install -e '.[test]'")
    allowed = {
        line.removeprefix("!")
        for line in (PROJECT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    copied = [
        shlex.split(text)[:-1]
        for name, text in instructions()
        if name == "COPY" and not text.startswith("--from")
    ]
    names = {name for sources in copied for name in sources}
    assert names == allowed
    source = tmp_path / "source"
    source.mkdir()
    for name in names:
        copy = shutil.copytree if (PROJECT / name).is_dir() else shutil.copy
        copy(PROJECT / name, source / name)
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    built = set(zipfile.ZipFile(wheel).namelist())
    package = PROJECT / "exporter"
    assert {str(file.relative_to(PROJECT)) for file in package.rglob("*.py")} <= built
    (entry,) = (name for name in built if name.endswith("entry_points.txt"))
    (program,) = json.loads(argument("ENTRYPOINT"))
    assert f"{program} = exporter.cli:main" in zipfile.ZipFile(wheel).read(entry).decode()


def test_the_health_check_tells_health() -> None:
    """The image's own command says yes to a running agent, and no to none."""
    command = json.loads(argument("HEALTHCHECK").partition("CMD ")[2])
    assert command[0] == "python"
    with Agent() as agent:
        here = [sys.executable, *(w.replace(":10190", f":{agent.port}") for w in command[1:])]
        assert here[1:] != command[1:]
        assert run(*here).returncode == 0
        agent.stop()
        assert run(*here).returncode != 0


@pytest.fixture(scope="module")
def stack() -> dict[str, Any]:
    """The compose file as Docker Compose understands it."""
    compose = needed("docker-compose", "docker-compose")
    done = run(compose, f"--file={COMPOSE}", "config", "--format=json")
    assert (done.returncode, done.stderr) == (0, "")
    return dict(json.loads(done.stdout))


def mounted(service: dict[str, Any]) -> dict[str, Path]:
    """What stands in this repository for the paths that a container sees."""
    binds = [volume for volume in service["volumes"] if volume["type"] == "bind"]
    assert all(volume["read_only"] for volume in binds)
    return {volume["target"]: Path(volume["source"]) for volume in binds}


def test_every_file_that_is_mounted_exists(stack: dict[str, Any]) -> None:
    """Docker would make an empty folder of each one that does not."""
    for service in stack["services"].values():
        for path in mounted(service).values():
            if path.name in ("alerts", "dashboards") and not path.exists():
                continue  # not in this branch yet
            assert path.exists(), path


def test_every_service_is_confined(stack: dict[str, Any]) -> None:
    """No capability, no way to get one, nothing to write but its own volume; pinned images."""
    for name, service in stack["services"].items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["read_only"], name
        assert service["network_mode"] == "host", name
        tag = service["image"].rpartition(":")[2]
        assert tag[-1].isdigit(), f"{name}: {tag} is not exact"


def test_the_exporters_flags_are_real(stack: dict[str, Any]) -> None:
    """The agent understands its command, and reads its file, as the container would."""
    service = stack["services"]["exporter"]
    settings = settings_of(service["command"], mounted(service))
    assert settings.otlp.endpoint == "http://127.0.0.1:4318"
    receiver = yaml.safe_load((CONFIG / "otel-collector" / "config.yml").read_text())
    http = receiver["receivers"]["otlp"]["protocols"]["http"]["endpoint"]
    assert settings.otlp.endpoint == f"http://{http}"


@pytest.mark.parametrize(
    ("service", "package", "program", "unknown"),
    [
        # Debian builds Prometheus without the receiver of OTLP.
        ("prometheus", "prometheus-3", "prometheus", {"--web.enable-otlp-receiver"}),
        ("alertmanager", "alertmanager", "prometheus-alertmanager", set()),
    ],
)
def test_the_others_flags_are_real(
    stack: dict[str, Any], service: str, package: str, program: str, unknown: set[str]
) -> None:
    """Each flag in the compose file is in the help of the real program."""
    done = run(needed(package, program), "--help")
    shown = done.stdout + done.stderr
    for flag in stack["services"][service]["command"]:
        name = flag.partition("=")[0]
        assert f"{name}=" in shown or name in unknown, flag


def test_grafanas_dashboards_are_where_it_looks(stack: dict[str, Any]) -> None:
    """The provider's folder is the one that is mounted."""
    file = CONFIG / "grafana" / "provisioning" / "dashboards" / "ip-interfaces.yml"
    (provider,) = yaml.safe_load(file.read_text())["providers"]
    seen = mounted(stack["services"]["grafana"])
    assert seen[provider["options"]["path"]] == PROJECT / "dashboards"
    assert seen["/etc/grafana/provisioning"] == CONFIG / "grafana" / "provisioning"
