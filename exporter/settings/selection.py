"""Which interfaces are published, and which of them share one series set."""

from __future__ import annotations

from dataclasses import dataclass
from re import Pattern

from exporter.model import Link

#: Device name of the series set that interfaces over the limit share; no group can have it.
OVERFLOW_DEVICE = "other"


@dataclass(frozen=True, slots=True)
class Group:
    """Interfaces whose name or kind matches are published as one device, called `name`."""

    name: str
    match: Pattern[str]


@dataclass(frozen=True, slots=True)
class Selection:
    """The filters and groups of the configuration. All patterns match whole names."""

    include: Pattern[str] | None = None
    exclude: Pattern[str] | None = None
    exclude_kinds: frozenset[str] = frozenset()
    groups: tuple[Group, ...] = ()

    def includes(self, link: Link) -> bool:
        """Whether anything is published about the interfaces on a link."""
        return (
            (self.include is None or self.include.fullmatch(link.name) is not None)
            and (self.exclude is None or self.exclude.fullmatch(link.name) is None)
            and link.kind not in self.exclude_kinds
        )

    def group(self, link: Link) -> str | None:
        """The name of the first group that a link belongs to, ``None`` for its own series."""
        for group in self.groups:
            if group.match.fullmatch(link.name) or (link.kind and group.match.fullmatch(link.kind)):
                return group.name
        return None
