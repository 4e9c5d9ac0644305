"""Renders the landing page, and keeps each form of it for a moment.

Rendering takes milliseconds, in which nothing else is answered. So who asks for the page again and
again gets the same one, and keeps no scraper waiting.
"""

from __future__ import annotations

import gzip
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from exporter.site.landing import render_page
from exporter.site.landing_data import LandingData

#: How long a page is kept: half as long as the script of a page waits between two requests, so
#: that it always gets a new one; longer if the page is large, for so many times its rendering; and
#: never for longer than somebody who looks at it would wait, however slow the machine is.
KEPT_SECONDS, KEPT_TIMES, MOST_SECONDS = 0.5, 20, 10.0


class Landing(Protocol):
    """The data of the landing page."""

    def version(self, range_seconds: float) -> str:
        """Return what changes with the content of the page."""

    def data(self, range_seconds: float, *, everything: bool) -> LandingData:
        """Return the data now."""


@dataclass(frozen=True)
class LandingPage:
    """The page as it was rendered."""

    etag: str
    body: bytes
    #: The monotonic time until which it is kept.
    kept_until: float

    @cached_property
    def compressed(self) -> bytes:
        """The body in gzip."""
        # Level 1: the default, 6, blocks the event loop three times as long.
        return gzip.compress(self.body, 1, mtime=0)


class LandingCache:
    """The landing page in each of its forms. Thread: one at a time."""

    def __init__(
        self,
        landing: Landing,
        telemetry_path: str,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._landing = landing
        self._telemetry_path = telemetry_path
        self._monotonic = monotonic
        #: By range and whether it has everything; a page is removed by the first request after
        #: its time.
        self._kept: dict[tuple[float, bool], LandingPage] = {}

    def get(self, range_seconds: float, *, everything: bool, known: str) -> LandingPage | None:
        """Return the page. ``None``: the client has it, as the ETag `known` says."""
        now, form = self._monotonic(), (range_seconds, everything)
        self._kept = {form: page for form, page in self._kept.items() if now < page.kept_until}
        page = self._kept.get(form)
        if page is None:
            etag = f'"{self._landing.version(range_seconds)}"'
            if etag == known:
                return None
            data = self._landing.data(range_seconds, everything=everything)
            body = render_page(data, self._telemetry_path, etag)
            kept_seconds = max(KEPT_SECONDS, KEPT_TIMES * (self._monotonic() - now))
            page = LandingPage(etag, body, now + min(kept_seconds, MOST_SECONDS))
            self._kept[form] = page
        return None if page.etag == known else page
