"""Selects the interfaces to publish, and groups those that share one series set."""

from __future__ import annotations

from dataclasses import dataclass

from exporter.errors import cited
from exporter.model import Link
from exporter.settings.regex import Regex

#: Device name of the series set that interfaces over the limit share; no group can have it.
OVERFLOW_DEVICE = "other"


def parse_group_name(text: str) -> str:
    """Return the name of a group. Raises ValueError if it is invalid or reserved."""
    if not text.isprintable() or not text.strip():
        raise ValueError(f"{cited(text)} is not a name: write for example vpn")
    if text == OVERFLOW_DEVICE:
        raise ValueError(f"{cited(text)} is reserved for interfaces over the limit")
    return text


@dataclass(frozen=True, slots=True)
class Group:
    """Interfaces whose name or kind matches are published as one device, called `name`."""

    name: str
    match: Regex


@dataclass(frozen=True, slots=True)
class Selection:
    """The filters and groups of the configuration. Each expression must match the whole name."""

    include: Regex | None = None
    exclude: Regex | None = None
    exclude_kinds: frozenset[str] = frozenset()
    groups: tuple[Group, ...] = ()

    def includes(self, link: Link) -> bool:
        """Return whether the interfaces on a link are published."""
        return (
            (self.include is None or self.include.fullmatch(link.name))
            and (self.exclude is None or not self.exclude.fullmatch(link.name))
            and link.kind not in self.exclude_kinds
        )

    def group(self, link: Link) -> str | None:
        """Return the name of the first group that matches a link, or ``None``."""
        for group in self.groups:
            if group.match.fullmatch(link.name) or (link.kind and group.match.fullmatch(link.kind)):
                return group.name
        return None
