"""The metrics in another program's registry."""

import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from requirements_here import require
from support.agent import Metrics
from support.namespace import Namespace
from support.waiting import DEADLINE, wait_until

import exporter
from exporter.metrics.watch import settings_of
from exporter.model import Interface
from exporter.settings.schema import CollectorSettings
from exporter.sources.contract import SourceClosed

ROOT = Path(__file__).parents[2]


def test_an_object_shows_its_state_in_a_debugger() -> None:
    """What a program gets, and what it holds, names its state in place of an address."""
    watch = exporter.watch()
    for thing in (watch, watch.collector, watch._monitor, watch._source):
        assert re.fullmatch(r"<\w+ .+>", repr(thing))
        assert "0x" not in repr(thing)


def test_a_change_is_counted_in_another_programs_registry(
    namespace: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A registered collector has the interfaces from the start, and each change from then on."""
    monkeypatch.setattr("exporter.sources.linux.source.OPEN_SECONDS", DEADLINE)
    namespace.ip("link add l0 type veth peer name r0")
    registry = CollectorRegistry()

    def page() -> Metrics:
        return Metrics(generate_latest(registry).decode())

    with namespace.enter(), exporter.watch(exclude="r.*", all_parameters=True) as watch:
        registry.register(watch.collector)
        assert watch.wait_ready(DEADLINE)
        assert page().devices() == {"lo", "l0"}
        assert page().sum("ip_interface_dad_transmits", device="l0") > 0
        namespace.ip("link set l0 mtu 1400")
        changes = {"device": "l0", "family": "ipv4", "parameter": "mtu_bytes"}
        wait_until(lambda: page().sum("ip_interface_parameter_changes_total", **changes) == 1)
        assert page().sum("ip_interface_exporter_source_up") == 1
    assert page().sum("ip_interface_parameter_changes_total", **changes) == 1


def test_the_threads_end_with_the_block() -> None:
    """After the block as many threads run as before it, and descriptors are closed."""
    require(sys.platform in ("linux", "win32"), "Linux or Windows")
    before = set(threading.enumerate())
    watch = exporter.watch()
    assert set(threading.enumerate()) <= before
    with watch:
        assert len(set(threading.enumerate()) - before) == 1
    assert set(threading.enumerate()) <= before


def test_an_entry_that_fails_leaves_nothing_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """If the interfaces cannot be listed, the source is closed and no thread runs."""
    require(sys.platform in ("linux", "win32"), "Linux or Windows")
    before = set(threading.enumerate())
    watch = exporter.watch()

    def refuse(*_: object) -> list[Interface]:
        raise OSError("refused")

    monkeypatch.setattr(watch._source, "interfaces", refuse)
    with pytest.raises(OSError, match="refused"), watch:
        pytest.fail("entered")
    assert set(threading.enumerate()) <= before
    with pytest.raises(SourceClosed):
        watch._source.receive(0)


def test_the_arguments_are_the_flags() -> None:
    """No argument is the default of its flag, and each reaches its setting."""
    assert settings_of(None, None, (), {}, None, None, all_parameters=False) == CollectorSettings()
    settings = settings_of(
        "e.*", "eth9", ("veth", "bridge"), {"vpn": "wg.*"}, 5, 90.5, all_parameters=True
    )
    assert (settings.include and settings.include.text) == "e.*"
    assert (settings.exclude and settings.exclude.text) == "eth9"
    assert settings.exclude_kinds == ("veth", "bridge")
    assert [(group.name, group.match.text) for group in settings.groups] == [("vpn", "wg.*")]
    assert (settings.max_interfaces, settings.retention_seconds) == (5, 90.5)
    assert settings.all_parameters


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"exclude": "("}, r"^--collector\.exclude: \"\(\" is not a regular expression"),
        ({"max_interfaces": 0}, r"^--collector\.max-interfaces: \"0\": must be 1 or more"),
        ({"retention_seconds": -1}, r"^--collector\.retention: .* must be 0 or more"),
        ({"groups": {"other": "x"}}, r"^group 'other': \"other\" is reserved"),
        ({"groups": {"vpn": ""}}, r"^group 'vpn': must not be empty"),
    ],
)
def test_an_invalid_argument_is_a_value_error(arguments: dict[str, object], error: str) -> None:
    """An argument is checked like its flag, before anything is opened."""
    with pytest.raises(ValueError, match=error):
        exporter.watch(**arguments)  # type: ignore[arg-type]


def test_importing_the_package_is_cheap() -> None:
    """``import exporter`` imports its version only, not the agent or prometheus_client."""
    code = (
        "import sys; import exporter\n"
        "loaded = {name for name in sys.modules if name.startswith('exporter')}\n"
        "assert loaded == {'exporter', 'exporter.version'}, loaded\n"
        "assert not sys.modules.keys() & {'prometheus_client', 'logging', 'asyncio'}\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
