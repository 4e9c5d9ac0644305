"""Escapes text for the page, and makes what would be invisible visible."""

from __future__ import annotations

from html import escape

# Invisible characters are shown as their symbol (␀, ␊, …) or U+FFFD: control characters, and
# marks of direction or joining, which can make two names look the same.
_VISIBLE = {code: 0x2400 + code for code in range(0x20)} | {0x7F: 0x2421}
_VISIBLE |= dict.fromkeys(
    (*range(0x80, 0xA0), *range(0x200B, 0x2010), *range(0x2028, 0x202F), *range(0x2060, 0x2070)),
    0xFFFD,
)


def visible(text: str) -> str:
    """Return `text` as HTML."""
    return escape(text.translate(_VISIBLE))
