"""The exporter's own two example files say what is true."""

from __future__ import annotations

import dataclasses
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml
from programs import CONFIG, NAME, run, settings_of
from support.prometheus import needed

from exporter import cli
from exporter.agent.check_config import check_file
from exporter.settings.command_line import SERVICE_ACTIONS, parse
from exporter.settings.schema import OPTIONS, Settings

AGENT = CONFIG / "ip-interface-exporter.yml"


def keys(level: dict[str, Any], prefix: str = "") -> set[str]:
    """The flags that a file's keys stand for."""
    found: set[str] = set()
    for key, value in level.items():
        name = f"{prefix}{key}"
        found |= keys(value, f"{name}.") if isinstance(value, dict) else {name}
    return found


def test_every_key_is_there() -> None:
    """The example has each option that a file can have, and groups, and nothing else."""
    declared = {flag for flag, option in OPTIONS.items() if option.in_file}
    assert keys(yaml.safe_load(AGENT.read_text())) == declared | {"groups"}


def test_every_value_is_the_default() -> None:
    """Read by the agent, the example means what no file means."""
    assert dataclasses.replace(check_file(str(AGENT)), config_file="") == Settings()


def test_every_key_is_documented() -> None:
    """Above each key, or above the ones it stands with, a comment says what it is for."""
    documented = False
    for line in AGENT.read_text().splitlines():
        text = line.strip()
        if not text:
            documented = False
        elif text.startswith("#"):
            documented = True
        elif not text.endswith(":") or text.startswith("-"):
            assert documented, line


def test_check_config_accepts_it(capsys: pytest.CaptureFixture[str]) -> None:
    """``check-config`` says ok."""
    assert cli.main(["check-config", str(AGENT)]) == 0
    assert capsys.readouterr().out == f"{AGENT}: ok\n"


@pytest.fixture
def web(tmp_path: Path) -> Path:
    """The web configuration file, beside a certificate as it names it."""
    certificate = trustme.CA().issue_cert("exporter.test")
    certificate.private_key_pem.write_to_path(tmp_path / "server.key")
    for blob in certificate.cert_chain_pems:
        blob.write_to_path(tmp_path / "server.crt", append=True)
    return Path(shutil.copy(CONFIG / "web.yml", tmp_path))


@pytest.mark.parametrize("package", ["prometheus-2", "promtool-3"])
def test_promtool_accepts_the_web_configuration(web: Path, package: str) -> None:
    """The file is in the format that all exporters share."""
    done = run(needed(package, "promtool"), "check", "web-config", web)
    assert done.returncode == 0, done.stdout + done.stderr


def test_we_accept_the_web_configuration(web: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """So does the exporter itself, with the flag and with check-config."""
    settings = settings_of([f"--web.config.file={web}"], {str(web): web})
    assert settings.web.config_file == str(web)
    assert cli.main(["check-config", str(web)]) == 0, capsys.readouterr().err


def test_the_command_lines_in_the_examples_are_real(web: Path) -> None:
    """Each command that the two files show is one that the agent has."""
    for file in (AGENT, CONFIG / "web.yml"):
        shown = [line for line in file.read_text().splitlines() if line.startswith(f"#   {NAME} ")]
        assert shown
        for line in shown:
            words = line.split()[2:]
            if words[0] != "check-config":
                settings_of(words, {AGENT.name: AGENT, web.name: web})


def test_the_commands_for_windows_are_real() -> None:
    """Each one on the page about Windows is one that the command line has."""
    page = (CONFIG / "windows" / "README.md").read_text()
    commands = re.findall(rf"{NAME} (service .*)", page)
    actions = {parse(command.split()).arguments[0] for command in commands}
    named = set(re.findall(r"`service (\w+)", page))
    assert actions == {"install", "start"}
    assert named == set(SERVICE_ACTIONS)
