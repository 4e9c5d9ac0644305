"""The error of wrong settings, and quoting that keeps any text on one line."""

from __future__ import annotations

import json

#: The length of a wrong value in an error message. Characters.
_CITED_LENGTH = 60


class SettingsError(ValueError):
    """One line that says where a setting is wrong, why, and what would be right."""

    def __init__(self, message: str) -> None:
        super().__init__(escaped(message))


def reason(error: Exception) -> str:
    """Return the text of an error: without Python's ``[Errno 2]``, and with the file it is about.

    An error class that has a text of its own, such as `IpHelperError`, keeps it.
    """
    if isinstance(error, OSError) and error.strerror and type(error).__str__ is OSError.__str__:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error) or type(error).__name__


def is_text(value: str) -> bool:
    r"""Return whether `value` can be encoded: ``"\ud800"``, valid YAML and JSON, cannot."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def escaped(text: str) -> str:
    r"""Return `text` with JSON escapes (``\u001b``) for the characters that do not print."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text)


def quoted(text: str) -> str:
    """Return `text` as a JSON string of printable characters, which is one line."""
    return escaped(json.dumps(text, ensure_ascii=False))


def cited(text: str) -> str:
    """Quote a wrong value for an error message, and shorten it if it is long."""
    return quoted(shortened(text))


def shortened(text: str) -> str:
    """Return `text`, or its beginning and ``…`` if it is long."""
    return text if len(text) <= _CITED_LENGTH else text[: _CITED_LENGTH - 1] + "…"
