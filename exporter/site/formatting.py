"""Writes text, numbers and times for the page, as HTML, and makes what is invisible visible."""

from __future__ import annotations

from html import escape

# Invisible characters are shown as their symbol (␀, ␊, …) or U+FFFD: control characters, and
# marks of direction or joining, which can make two names look the same.
_VISIBLE = {code: 0x2400 + code for code in range(0x20)} | {0x7F: 0x2421}
_VISIBLE |= dict.fromkeys(
    (*range(0x80, 0xA0), *range(0x200B, 0x2010), *range(0x2028, 0x202F), *range(0x2060, 0x2070)),
    0xFFFD,
)
_FAMILIES = {"ipv4": "IPv4", "ipv6": "IPv6"}


def visible(text: str) -> str:
    """Return `text` as HTML."""
    return escape(text.translate(_VISIBLE))


def family(label: str) -> str:
    """Return a family as people write it."""
    return _FAMILIES.get(label) or visible(label)


def number(value: int) -> str:
    """Return a number with narrow no-break spaces, as ISO 80000 has it."""
    return f"{value:,}".replace(",", "\u202f")


def times(count: int, one: str, many: str) -> str:
    """Return a number and its noun, in the singular or plural."""
    return f"{number(count)} {one if count == 1 else many}"


def duration(seconds: float) -> str:
    """Format a duration in its two largest units: ``3 d 4 h``, ``12 s``."""
    if seconds < 1:
        return "< 1 s"
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    units = [(days, "d"), (hour, "h"), (minute, "min"), (second, "s")]
    first = next(place for place, (count, _) in enumerate(units) if count)
    return " ".join(f"{count}\u202f{unit}" for count, unit in units[first : first + 2] if count)


def exact_duration(seconds: float) -> str:
    """Format a duration, one below ten seconds in milliseconds: ``230 ms``, ``1.5 s``."""
    if seconds < 1:
        return f"{seconds * 1000:.0f}\u202fms"
    return f"{seconds:.1f}\u202fs" if seconds < 10 else duration(seconds)
