"""Which settings flags, file and environment give, and the errors when they are wrong."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.verdict import fails_in_one_line_or_not

from exporter.agent.check_config import check_file, load
from exporter.errors import SettingsError
from exporter.model import Family, Link
from exporter.settings.options import Option, Text
from exporter.settings.regex import Regex
from exporter.settings.schema import (
    OPTIONS,
    RELOADABLE,
    CollectorSettings,
    EpisodeSettings,
    LogSettings,
    OtlpSettings,
    Settings,
    WebSettings,
    changed_flags,
)

DATA = Path(__file__).parent / "data"
VARIABLE = "IP_INTERFACE_EXPORTER_CONFIG_FILE"


def test_the_defaults_are_those_of_the_table() -> None:
    """Without flags, file and environment every option has its documented default."""
    assert load({}, {}) == Settings(
        config_file="",
        web=WebSettings(
            listen_addresses=(":10190",),
            telemetry_path="/metrics",
            config_file="",
            systemd_socket=False,
            max_requests=40,
            disable_exporter_metrics=False,
        ),
        collector=CollectorSettings(
            include=None,
            exclude=None,
            exclude_kinds=(),
            max_interfaces=1000,
            retention_seconds=600.0,
            all_parameters=False,
            receive_buffer_bytes=32 << 20,
            family=Family.UNSPEC,
            groups=(),
        ),
        otlp=OtlpSettings(endpoint="", protocol="", events="spans", metrics_interval_seconds=None),
        episode=EpisodeSettings(quiet_seconds=5.0, max_duration_seconds=60.0),
        log=LogSettings(level="info", format="logfmt"),
    )
    assert load({}, {}) == Settings()


#: A value of each option that is not the default.
EXAMPLES = {
    "web.listen-address": "127.0.0.1:1",
    "web.telemetry-path": "/",
    "web.config.file": str(DATA / "empty.good.yml"),
    "web.systemd-socket": "true",
    "web.max-requests": "7",
    "web.disable-exporter-metrics": "true",
    "collector.include": "eth.*",
    "collector.exclude": "eth9",
    "collector.exclude-kinds": "veth, bridge",
    "collector.max-interfaces": "5",
    "collector.retention": "1h30m",
    "collector.parameters": "all",
    "collector.receive-buffer": "4MB",
    "collector.family": "inet6",
    "otlp.endpoint": "https://collector:4318/base",
    "otlp.protocol": "grpc",
    "otlp.events": "both",
    "otlp.metrics-interval": "10s",
    "otlp.max-retry-time": "1h",
    "episode.quiet": "2s",
    "episode.max-duration": "10m",
    "log.level": "warn",
    "log.format": "json",
}


@pytest.mark.parametrize("option", [o for o in OPTIONS.values() if o.in_file], ids=lambda o: o.flag)
def test_an_option_is_the_same_by_flag_and_by_file(option: Option, tmp_path: Path) -> None:
    """A value means the same, and something else than the default, wherever it is given."""
    text = EXAMPLES[option.flag]
    *sections, key = option.flag.split(".")
    path = tmp_path / "agent.yml"
    opened = "".join(f"{section}: {{" for section in sections)
    path.write_text(f'{opened}{key}: "{text}"{"}" * len(sections)}')
    by_file, by_flag = check_file(str(path)), load({option.flag: [text]}, {})
    assert by_flag == replace(by_file, config_file="")
    assert (by_flag != Settings()) is (text != option.default)


@pytest.mark.parametrize(
    ("flag", "text", "error"),
    [
        ("web.listen-address", "10190", '"10190" has no port: write for example :10190, '),
        ("web.listen-address", "", '"" has no port: write for example :10190, '),
        ("web.telemetry-path", "", '"" is not a path: write for example /metrics'),
        ("web.telemetry-path", "metrics", '"metrics" is not a path: write for example /metrics'),
        ("web.telemetry-path", "/health", '"/health" is a health endpoint'),
        ("web.telemetry-path", "/-/healthy", '"/-/healthy" is a health endpoint'),
        ("web.telemetry-path", "/a b", '"/a b" is not a path'),
        ("web.telemetry-path", "/a\nb", r'"/a\nb" is not a path'),
        ("web.max-requests", "-1", '"-1": must be 0 or more'),
        ("web.max-requests", "many", '"many" is not a whole number'),
        ("web.max-requests", "", '"" is not a whole number'),
        ("collector.include", "eth(", '"eth(" is not a regular expression of RE2: missing ): eth('),
        ("collector.exclude", "[a", '"[a" is not a regular expression of RE2: missing ]: [a'),
        ("collector.exclude", "(" * 50_000, "is not a regular expression of RE2: "),
        ("collector.exclude", "(?!veth).*", "of RE2: invalid perl operator: (?!"),
        ("collector.exclude", r"(.)\1", r"of RE2: invalid escape sequence: \1"),
        ("collector.exclude-kinds", "veth,", '"veth,": write names separated by commas'),
        ("collector.exclude-kinds", "veth bridge", '"veth bridge": write names separated by'),
        ("collector.max-interfaces", "0", '"0": must be 1 or more'),
        ("collector.max-interfaces", "9" * 5000, '9…" is not a whole number'),
        ("collector.max-interfaces", "1_000", '"1_000" is not a whole number'),
        ("collector.max-interfaces", "٣", '"٣" is not a whole number'),
        ("collector.retention", "10 minutes", '"10 minutes" is not a duration: write for example'),
        ("collector.retention", "8d", '"8d": must be 7d or less'),
        ("collector.parameters", "some", '"some": must be one of core, all'),
        ("collector.receive-buffer", "1kB", '"1kB": must be 4KiB or more'),
        ("collector.receive-buffer", "2GiB", '"2GiB": must be 1GiB or less'),
        ("collector.family", "10", '"10": must be one of unspec, inet, inet6'),
        ("otlp.endpoint", "collector:4318", "is not a URL: write for example http://localhost"),
        ("otlp.endpoint", "http://:1", "is not a URL"),
        ("otlp.endpoint", "http://h:99999", "is not a URL"),
        ("otlp.endpoint", "http://a b", "is not a URL"),
        ("otlp.protocol", "http/json", '"http/json": must be one of http/protobuf, grpc'),
        ("otlp.events", "metrics", '"metrics": must be one of spans, logs, both'),
        ("otlp.metrics-interval", "0", '"0": must be 100ms or more'),
        ("episode.quiet", "2h", '"2h": must be 1h or less'),
        ("episode.max-duration", "1", '"1" is not a duration'),
        ("config.file", "no\nsuch", r"no\nsuch: cannot be read: "),
        ("log.level", "INFO", '"INFO": must be one of debug, info, warn, error'),
        ("log.format", "\x1b[31m", r'"\u001b[31m": must be one of logfmt, json'),
        ("replay.pace", "fast", '"fast": must be one of none, recorded'),
    ],
)
def test_a_wrong_value_is_one_line(flag: str, text: str, error: str) -> None:
    """A wrong value is one line of printable text that names the flag and what would be right."""
    with pytest.raises(SettingsError) as raised:
        load({flag: [text]}, {})
    message = str(raised.value)
    assert flag == "config.file" or message.startswith(f"--{flag}: ")
    assert error in message
    assert message.isprintable()
    assert len(message) < 250


@pytest.mark.parametrize("path", sorted(DATA.glob("*.bad.yml")), ids=lambda p: p.name)
def test_a_bad_file_is_refused(path: Path) -> None:
    """A bad file gives the error that its first line holds, to the letter."""
    with path.open("rb") as file:
        expected = file.readline().decode().removeprefix("# FILE").rstrip("\n")
    with pytest.raises(SettingsError) as raised:
        check_file(str(path))
    assert str(raised.value) == f"{path}{expected}"


@pytest.mark.parametrize("path", sorted(DATA.glob("*.good.yml")), ids=lambda p: p.name)
def test_a_good_file_is_accepted(path: Path) -> None:
    """A good file is accepted, and says something unless it is empty."""
    settings = check_file(str(path))
    assert settings.config_file == str(path)
    says_nothing = path.name.startswith(("empty.", "comments_only."))
    assert (settings == Settings(config_file=str(path))) is says_nothing


def test_every_key_of_a_file_counts() -> None:
    """A file that has every key gives every setting."""
    settings = check_file(str(DATA / "full.good.yml"))
    collector = settings.collector
    assert settings.web == WebSettings(
        ("127.0.0.1:0", "[::1]:10191"), "/probe/metrics", "", True, 0, True
    )
    assert collector == CollectorSettings(
        Regex("eth.*|wl.*"),
        Regex("eth9"),
        ("veth", "bridge"),
        50,
        5400.0,
        True,
        65536,
        Family.IPV6,
        collector.groups,
    )
    assert settings.otlp == OtlpSettings("http://localhost:4317", "grpc", "both", 15.0, 300.0)
    assert settings.episode == EpisodeSettings(2.0, 600.0)
    assert settings.log == LogSettings("debug", "json")
    assert [(g.name, g.match.text) for g in collector.groups] == [
        ("vpn", "wg[0-9]+|tun"),
        ("containers", "veth"),
    ]


def test_filters_and_groups_match_whole_names() -> None:
    """A pattern that fits only a part of a name, or of an alternative, does not match."""
    selection = check_file(str(DATA / "full.good.yml")).collector.selection
    assert [n for n in ("eth0", "eth9", "xeth0", "wlan0", "lo") if selection.includes(Link(n))] == [
        "eth0",
        "wlan0",
    ]
    assert not selection.includes(Link("eth0", kind="veth"))
    groups = {n: selection.group(Link(n)) for n in ("wg0", "wg", "wg0a", "tun", "tun0")}
    assert groups == {"wg0": "vpn", "wg": None, "wg0a": None, "tun": "vpn", "tun0": None}
    assert selection.group(Link("any", kind="veth")) == "containers"


def test_a_flag_overrides_the_file_and_the_file_stands_otherwise(tmp_path: Path) -> None:
    """Precedence is by option: a flag replaces the file's value of that option only."""
    path = tmp_path / "agent.yml"
    path.write_text(
        "collector: {retention: 1m, max-interfaces: 5}\n"
        "web: {listen-address: [':1', ':2'], systemd-socket: true}\n"
    )
    flags = {
        "config.file": [str(path)],
        "collector.retention": ["2m"],
        "web.listen-address": [":3"],
        "web.systemd-socket": ["false"],
    }
    settings = load(flags, {})
    assert settings.collector.retention_seconds == 120
    assert settings.collector.max_interfaces == 5
    assert settings.web.listen_addresses == (":3",)
    assert not settings.web.systemd_socket


def test_the_file_is_checked_even_where_a_flag_overrides_it(tmp_path: Path) -> None:
    """An unknown key of the file is an error whatever the flags say."""
    path = tmp_path / "agent.yml"
    path.write_text("log: {levle: debug}")
    with pytest.raises(SettingsError, match=r"log\.levle: unknown key: did you mean level"):
        load({"config.file": [str(path)], "log.level": ["debug"]}, {})


def test_each_change_between_two_settings_is_named(tmp_path: Path) -> None:
    """The flags that differ are named, nothing else is, and each that a reload applies exists."""
    full = check_file(str(DATA / "full.good.yml"))
    assert changed_flags(full, check_file(str(DATA / "full.good.yml"))) == set()
    in_file = {flag for flag, option in OPTIONS.items() if option.in_file}
    same = {"web.config.file"}  # empty in both
    assert changed_flags(Settings(), full) == (in_file - same) | {"config.file", "groups"}
    assert changed_flags(Settings(), full) >= RELOADABLE
    path = tmp_path / "agent.yml"
    path.write_text("groups: [{name: a, match: b}]")
    other = check_file(str(path))
    path.write_text("groups: [{name: a, match: c}]")
    assert changed_flags(other, check_file(str(path))) == {"groups"}


def test_the_environment_names_the_file_unless_a_flag_does(tmp_path: Path) -> None:
    """The variable stands in for --config.file; the flag, also when empty, overrides it."""
    one, two = tmp_path / "one.yml", tmp_path / "two.yml"
    one.write_text("log: {level: debug}")
    two.write_text("log: {level: warn}")
    environment = {VARIABLE: str(one), "LOG_LEVEL": "error"}
    assert load({}, environment).log.level == "debug"
    assert load({}, environment).config_file == str(one)
    assert load({"config.file": [str(two)]}, environment).log.level == "warn"
    assert load({"config.file": [""]}, environment) == Settings()
    assert load({}, {VARIABLE: ""}) == Settings()


def test_the_last_of_several_flags_counts_and_lists_add_up() -> None:
    """A flag that was given twice has its last value; one that takes many has all."""
    flags = {
        "log.level": ["debug", "warn"],
        "web.listen-address": [":1", ":2"],
        "collector.exclude-kinds": ["veth", "bridge,dummy"],
    }
    settings = load(flags, {})
    assert settings.log.level == "warn"
    assert settings.web.listen_addresses == (":1", ":2")
    assert settings.collector.selection.exclude_kinds == {"veth", "bridge", "dummy"}


def test_each_wrong_one_of_several_is_found() -> None:
    """Of a flag given several times, a wrong value is an error even if a later one counts."""
    with pytest.raises(SettingsError, match=r'^--log\.level: "loud": must be one of'):
        load({"log.level": ["loud", "warn"]}, {})


@given(st.sampled_from(list(OPTIONS.values())), st.text())
@example(OPTIONS["collector.include"], "(?P<a>x)(?P<a>y)")
@example(OPTIONS["collector.include"], "(?i")
def test_any_text_gives_a_value_or_a_settings_error(option: Option, text: str) -> None:
    """No value of any option fails in another way, or says more than one line."""
    message = "here: "
    try:
        option.value([Text("here", text)])
    except SettingsError as error:
        message = str(error)
    assert message.startswith("here: ")
    assert message.isprintable()


_SCALARS = st.sampled_from(
    ["", "1", "-1", "~", "'eth('", "':1'", "10m", "true", "yes", "[]", "{}", "*a", "[[1]]"]
)
_KEYS = st.sampled_from(
    [
        "web",
        "collector",
        "log",
        "groups",
        "name",
        "match",
        "config",
        "file",
        "retention",
        "listen-address",
        "max-interfaces",
        "include",
        "exclude-kinds",
        "level",
        "''",
        "~",
        "web.a",
    ]
)
_TREES = st.recursive(
    _SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]")
        | st.lists(st.tuples(_KEYS, inner), max_size=3).map(
            lambda items: "{" + ", ".join(f"{key}: {value}" for key, value in items) + "}"
        )
    ),
    max_leaves=12,
)


@given(text=_TREES)
@example(text="groups: [{name: [], match: {}}]")
def test_any_tree_gives_settings_or_a_settings_error(
    text: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """No shape of file fails in another way; known keys at the wrong place included."""
    fails_in_one_line_or_not(check_file, tmp_path_factory.getbasetemp() / "any.yml", text)
