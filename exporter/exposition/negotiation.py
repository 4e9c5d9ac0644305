"""Chooses the format and the coding of a response: `Accept` and `Accept-Encoding`, with q-values.

Parsed here because prometheus_client takes the first match whatever its q, echoes any
version it is asked for, and raises TypeError on ``version=abc``. Nothing here ever raises:
an element that cannot be parsed is ignored.

Source: https://www.rfc-editor.org/rfc/rfc9110#section-12.5
"""

from __future__ import annotations

import re
from enum import Enum
from functools import lru_cache
from typing import NamedTuple


class Format(Enum):
    """A format of the scrape page."""

    TEXT = "text/plain; version=0.0.4; charset=utf-8"
    OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"

    @property
    def content_type(self) -> str:
        """The value of the header `Content-Type`."""
        return self.value


# Separators inside quotes separate nothing.
_ELEMENT = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*"?)+', re.DOTALL)
_PARAMETER = re.compile(r'(?:[^;"]|"(?:[^"\\]|\\.)*"?)+', re.DOTALL)
_QVALUE = re.compile(r"[01](\.[0-9]*)?")


class _Element(NamedTuple):
    """One element of a list header: ``text/plain;version=0.0.4;q=0.3``."""

    name: str
    parameters: dict[str, str]
    quality: float


class _Preference(NamedTuple):
    """How much a client wants something. Compares: higher q first, then what it said itself."""

    quality: float
    #: How exactly it was named: 0 not at all, 1 ``*/*``, 2 the type, 3 also the subtype, 4
    #: also the version.
    exactness: int


@lru_cache(maxsize=16)  # a scraper says the same thing every time
def negotiate(accept: str) -> Format:
    """Choose between OpenMetrics 1.0.0 and text 0.0.4.

    Text is the default, also where both are equally welcome and where neither is: a scrape
    in the wrong format is of more use than a 406.
    """
    elements = _parse(accept)
    text = _media_preference(elements, "text/plain", "0.0.4")
    openmetrics = _media_preference(elements, "application/openmetrics-text", "1.0.0")
    if openmetrics.quality > 0 and openmetrics > text:
        return Format.OPENMETRICS
    return Format.TEXT


@lru_cache(maxsize=16)
def accepts_gzip(accept_encoding: str) -> bool:
    """Return whether to compress: the client takes gzip, and does not prefer identity."""
    wanted = {element.name: element.quality for element in _parse(accept_encoding)}
    other = wanted.get("*", 0.0)
    gzip = wanted.get("gzip", wanted.get("x-gzip", other))
    return gzip > 0 and gzip >= wanted.get("identity", other)


def _media_preference(elements: list[_Element], media_type: str, version: str) -> _Preference:
    """Return the preference for one format: the most exact range counts, not the highest q."""
    exactness = {"*/*": 1, media_type.partition("/")[0] + "/*": 2, media_type: 3}
    found = _Preference(0.0, 0)
    for element in elements:
        exact = exactness.get(element.name, 0)
        if exact and "version" in element.parameters:
            exact = exact + 1 if element.parameters["version"] == version else 0
        if exact > found.exactness:
            found = _Preference(element.quality, exact)
    return found


def _parse(header: str) -> list[_Element]:
    elements = []
    for text in _ELEMENT.findall(header):
        name, *rest = _PARAMETER.findall(text) or [""]
        parameters = {}
        for parameter in rest:
            key, _, value = parameter.partition("=")
            parameters[key.strip().lower()] = _unquoted(value.strip())
        quality = parameters.pop("q", "1")
        if _QVALUE.fullmatch(quality):
            elements.append(_Element(name.strip().lower(), parameters, min(1.0, float(quality))))
    return elements


def _unquoted(value: str) -> str:
    if len(value) > 1 and value[0] == value[-1] == '"':
        return re.sub(r"\\(.)", r"\1", value[1:-1], flags=re.DOTALL)
    return value
