"""Loads the settings: flags override the configuration file, the file the environment.

The keys of the file are the names of the flags; only `groups` has no flag.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from exporter.errors import cited
from exporter.settings.options import Option, Text, options_of, regex
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
from exporter.settings.selection import Group, parse_group_name

if TYPE_CHECKING:
    from exporter.settings.strict_yaml import Node


def load(
    flags: Mapping[str, Sequence[str]],
    environment: Mapping[str, str],
    check_web_configuration: Callable[[str], object],
) -> Settings:
    """Return the settings of flags (name to texts), file and environment. Raises SettingsError.

    `check_web_configuration` checks the file at a path. Raises SettingsError if it is invalid.
    """
    texts = {
        o.flag: [Text(f"${o.environment}", environment[o.environment])]
        for o in OPTIONS.values()
        if o.environment in environment
    }
    from_flags = {flag: [Text(f"--{flag}", t) for t in texts] for flag, texts in flags.items()}
    path = (texts | from_flags).get("config.file", [Text("", "")])[-1].text
    from_file, groups = _read(path) if path else ({}, ())
    texts |= from_file | from_flags
    settings = Settings(
        **_values(Settings, texts),
        web=WebSettings(**_values(WebSettings, texts)),
        collector=CollectorSettings(**_values(CollectorSettings, texts), groups=groups),
        otlp=OtlpSettings(**_values(OtlpSettings, texts)),
        episode=EpisodeSettings(**_values(EpisodeSettings, texts)),
        log=LogSettings(**_values(LogSettings, texts)),
        replay=ReplaySettings(**_values(ReplaySettings, texts)),
    )
    if settings.web.config_file:
        texts["web.config.file"][-1].read(check_web_configuration)
    return settings


def _values(settings: type[Any], texts: Mapping[str, Sequence[Text]]) -> dict[str, Any]:
    options = options_of(settings).items()
    return {name: o.value(texts[o.flag]) for name, o in options if o.flag in texts}


def _read(path: str) -> tuple[dict[str, list[Text]], tuple[Group, ...]]:
    """Return the texts of a file, by flag, and its groups."""
    schema: dict[str, Any] = {}
    for option in OPTIONS.values():
        if option.in_file:
            *sections, key = option.flag.split(".")
            level = schema
            for section in sections:
                level = level.setdefault(section, {})
            level[key] = option
    from exporter.settings.strict_yaml import read_yaml  # PyYAML takes 15 ms to import

    root = read_yaml(path).mapping([*schema, "groups"])
    groups = _groups(root.pop("groups", None))
    texts: dict[str, list[Text]] = {}
    _collect(root, schema, texts)
    for where, name in texts.get("web.config.file", ()):
        # In the file, the path is relative to the file.
        texts["web.config.file"] = [Text(where, name and os.path.join(os.path.dirname(path), name))]
    return texts, groups


def _collect(
    nodes: Mapping[str, Node], schema: Mapping[str, Any], texts: dict[str, list[Text]]
) -> None:
    """Add the texts of `nodes` to `texts`; `schema` has an `Option` or a mapping for each key."""
    for key, node in nodes.items():
        if isinstance(schema[key], Option):
            texts[schema[key].flag] = _texts(node, schema[key])
        else:
            _collect(node.mapping(schema[key]), schema[key], texts)


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
        group = Group(name.read(parse_group_name), match.read(regex))
        if group.name in groups:
            raise members["name"].error(f"{cited(group.name)} is the name of another group")
        groups[group.name] = group
    return tuple(groups.values())
