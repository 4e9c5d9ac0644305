"""Makes settings: flags over the configuration file over the environment.

The keys of the file mirror the flags; only `groups` is its own.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from exporter.errors import cited
from exporter.settings.options import Option, Text, options_of, pattern
from exporter.settings.schema import (
    OPTIONS,
    CollectorSettings,
    EpisodeSettings,
    LogSettings,
    OtlpSettings,
    ReplaySettings,
    Settings,
    WebSettings,
)
from exporter.settings.selection import OVERFLOW_DEVICE, Group

if TYPE_CHECKING:
    from exporter.settings.strict_yaml import Node


def load(
    flags: Mapping[str, Sequence[str]],
    environment: Mapping[str, str],
    check_web_configuration: Callable[[str], object],
) -> Settings:
    """Return the settings of flags (name to texts), file and environment. Raises SettingsError.

    `check_web_configuration` raises SettingsError for the path of an invalid file.
    """
    given = {
        o.flag: [Text(f"${o.environment}", environment[o.environment])]
        for o in OPTIONS.values()
        if o.environment in environment
    }
    from_flags = {flag: [Text(f"--{flag}", t) for t in texts] for flag, texts in flags.items()}
    path = (given | from_flags).get("config.file", [Text("", "")])[-1].text
    from_file, groups = _read(path) if path else ({}, ())
    given |= from_file | from_flags
    settings = Settings(
        **_values(Settings, given),
        web=WebSettings(**_values(WebSettings, given)),
        collector=CollectorSettings(**_values(CollectorSettings, given), groups=groups),
        otlp=OtlpSettings(**_values(OtlpSettings, given)),
        episode=EpisodeSettings(**_values(EpisodeSettings, given)),
        log=LogSettings(**_values(LogSettings, given)),
        replay=ReplaySettings(**_values(ReplaySettings, given)),
    )
    if settings.web.config_file:
        given["web.config.file"][-1].read(check_web_configuration)
    return settings


def _values(settings: type[Any], given: Mapping[str, Sequence[Text]]) -> dict[str, Any]:
    declared = options_of(settings).items()
    return {name: o.value(given[o.flag]) for name, o in declared if o.flag in given}


def _read(path: str) -> tuple[dict[str, list[Text]], tuple[Group, ...]]:
    """What a file says: texts by the flag that they stand for, and the groups."""
    known: dict[str, Any] = {}
    for option in OPTIONS.values():
        if option.in_file:
            *sections, key = option.flag.split(".")
            level = known
            for section in sections:
                level = level.setdefault(section, {})
            level[key] = option
    from exporter.settings.strict_yaml import read_yaml  # PyYAML: 15 ms for those who have a file

    root = read_yaml(path).mapping([*known, "groups"])
    groups = _groups(root.pop("groups", None))
    texts: dict[str, list[Text]] = {}
    _collect(root, known, texts)
    for where, name in texts.get("web.config.file", ()):
        # Unlike a flag's, it is relative to the file that it stands in.
        texts["web.config.file"] = [Text(where, name and os.path.join(os.path.dirname(path), name))]
    return texts, groups


def _collect(
    nodes: Mapping[str, Node], known: Mapping[str, Any], texts: dict[str, list[Text]]
) -> None:
    for key, node in nodes.items():
        if isinstance(known[key], Option):
            texts[known[key].flag] = _texts(node, known[key])
        else:
            _collect(node.mapping(known[key]), known[key], texts)


def _texts(node: Node, option: Option) -> list[Text]:
    if not option.many or not isinstance(node.value, list):
        return [Text(node.where, node.text())]
    if option.default and not node.value:
        raise node.error(f"must not be empty: write for example ['{option.default}']")
    return [Text(item.where, item.text()) for item in node.value]


def _groups(node: Node | None) -> tuple[Group, ...]:
    groups: dict[str, Group] = {}
    for item in node.sequence() if node else ():
        members = item.mapping(("name", "match"))
        for key in ("name", "match"):
            if key not in members:
                raise item.error(f"has no {key}: write for example {{name: vpn, match: wg.*}}")
        name, match = (Text(members[key].where, members[key].text()) for key in ("name", "match"))
        group = Group(name.read(_group_name), match.read(pattern))
        if group.name in groups:
            raise members["name"].error(f"{cited(group.name)} is the name of another group, too")
        groups[group.name] = group
    return tuple(groups.values())


def _group_name(text: str) -> str:
    if not text.isprintable() or not text.strip():
        raise ValueError(f"{cited(text)} is not a name: write for example vpn")
    if text == OVERFLOW_DEVICE:
        raise ValueError(f"{cited(text)} is taken: it stands for interfaces beyond the limit")
    return text
