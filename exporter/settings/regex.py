"""Regular expressions of the settings: RE2, in time linear in the length of the text.

Python's `re` backtracks: ``(([a-z0-9]+[-_]?)+)+!`` takes minutes for a name of 30 letters, in
which neither a scrape nor a signal is handled. RE2 has no such expressions, and is what
Prometheus uses. google-re2 is imported when the first expression is compiled.

Syntax: https://github.com/google/re2/wiki/Syntax
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from exporter.errors import cited, shortened

#: For the compiled program and its cache. A longer expression is refused.
_MAX_BYTES = 1 << 20

_NO_RE2 = (
    "regular expressions need the package google-re2, which is not installed: it has no wheel "
    "for this platform; install RE2, Abseil, pybind11 and a C++ compiler, then pip install "
    "google-re2"
)


@dataclass(frozen=True, slots=True)
class Regex:
    """A compiled regular expression, equal to another of the same text. Thread: any."""

    text: str
    _compiled: Any = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Compile the text. Raises ValueError if RE2 does not support it, or is missing."""
        try:
            import re2  # type: ignore[import-untyped,unused-ignore]
        except ImportError:
            raise ValueError(_NO_RE2) from None
        options = re2.Options()
        options.log_errors = False  # to standard error, beside the exception
        options.never_capture = True
        options.max_mem = _MAX_BYTES
        try:
            compiled = re2.compile(self.text, options=options)
        except re2.error as error:
            reason = shortened(error.args[0].decode("utf-8", "replace"))
            raise ValueError(
                f"{cited(self.text)} is not a regular expression of RE2: {reason}"
            ) from None
        object.__setattr__(self, "_compiled", compiled)

    def fullmatch(self, text: str) -> bool:
        """Return whether the whole of `text` matches."""
        # Bytes take half the time of a str.
        return self._compiled.fullmatch(text.encode("utf-8", "replace")) is not None
