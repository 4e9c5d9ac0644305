"""Validates configuration files, and loads settings with the web configuration validated.

The package `settings` does not import `web`, so its check is passed in from here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches

from exporter.settings import loader
from exporter.settings.schema import OPTIONS, Settings


def load(flags: Mapping[str, Sequence[str]], environment: Mapping[str, str]) -> Settings:
    """Return the settings of flags (name to texts), file and environment. Raises SettingsError."""
    return loader.load(flags, environment, _check_web_configuration)


def check_file(path: str) -> Settings:
    """Return the settings of a file alone. Raises SettingsError."""
    return load({"config.file": [path]}, {})


def check_any_file(path: str) -> None:
    """Check a configuration file or a web configuration file. Raises SettingsError.

    The top-level keys tell the two apart, also misspelled ones.
    """
    known = {option.flag.partition(".")[0] for option in OPTIONS.values()} | {"groups"}
    from exporter.settings.strict_yaml import read_yaml

    unknown = read_yaml(path).mapping().keys() - known
    if unknown:
        from exporter.web.configuration_reader import KEYS

        if any(get_close_matches(key, KEYS, 1) for key in unknown):
            _check_web_configuration(path)
            return
    check_file(path)


def _check_web_configuration(path: str) -> None:
    # Imported late: bcrypt and ssl take a while to load.
    from exporter.web.live_configuration import check_web_configuration

    check_web_configuration(path)
