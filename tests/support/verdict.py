"""Checks the error for a file that may be invalid."""

from collections.abc import Callable
from pathlib import Path

from exporter.errors import SettingsError


def fails_in_one_line_or_not(check: Callable[[str], object], file: Path, content: str) -> None:
    """Require that content is accepted, or refused in a printable line with the file's name."""
    file.write_text(content)
    message = str(file)
    try:
        check(str(file))
    except SettingsError as error:
        message = str(error)
    assert message.startswith(str(file))
    assert message.isprintable()
