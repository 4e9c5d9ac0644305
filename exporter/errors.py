"""Errors for a person to act on, and text that cannot break out of its line."""

from __future__ import annotations

import json

#: Enough of a wrong value to recognise it by.
_CITED = 60


class SettingsError(ValueError):
    """One line: where something is wrong, what, and what would be right."""

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
    r"""Whether it can be written anywhere: YAML and JSON make a str of ``"\ud800"`` that cannot."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def escaped(text: str) -> str:
    r"""`text` in one line: characters that do not print become JSON escapes (``\u001b``)."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text)


def quoted(text: str) -> str:
    """`text` as a JSON string: it reads back exactly, and is one line whatever it holds."""
    return escaped(json.dumps(text, ensure_ascii=False))


def cited(text: str) -> str:
    """A wrong value, quoted for an error message and shortened when long."""
    return quoted(text if len(text) <= _CITED else text[: _CITED - 1] + "…")
