"""Routes each request to its response. It knows no sockets."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Protocol
from urllib.parse import parse_qs

from exporter.exposition.negotiation import Format, accepts_gzip, negotiate
from exporter.site.landing import DEFAULT_RANGE, RANGES
from exporter.site.landing import HEADERS as LANDING_HEADERS
from exporter.site.landing_cache import Landing, LandingCache
from exporter.web.http_message import Request, Response, text_response

#: The smallest body that is compressed: a smaller one fits one packet anyway. Bytes.
_MIN_COMPRESSED = 1400

_GZIPPED = (("Content-Encoding", "gzip"),)


class Render(Protocol):
    """Renders the scrape page."""

    def __call__(self, format: Format, *, gzip: bool) -> bytes | Sequence[bytes]:
        """Return the page, in one piece or in chunks."""


class Routes:
    """The handler of all requests. Thread: one at a time; it calls its arguments in the same.

    Their exceptions pass through; the server turns them into a 500.
    """

    def __init__(
        self,
        render: Render,
        unready: Callable[[], str],
        landing: Landing,
        telemetry_path: str = "/metrics",
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Set up. `unready` returns why it is not ready, or ""; `telemetry_path` begins with /."""
        self._render = render
        self._unready = unready
        self._landing_cache = LandingCache(landing, telemetry_path, monotonic)
        self._telemetry_path = telemetry_path
        self._routes: dict[str, Callable[[Request], Response]] = {
            "/": self._landing,
            "/-/healthy": self._healthy,
            "/-/ready": self._ready,
            "/health": self._health,  # as in windows_exporter
            telemetry_path: self._metrics,  # last, because it can be one of the above
        }

    def __call__(self, request: Request) -> Response:
        """Return the response to a request; the response to HEAD is that to GET."""
        if request.method not in ("GET", "HEAD"):
            return text_response(405, "only GET and HEAD are allowed", ("Allow", "GET, HEAD"))
        route = self._routes.get(request.path)
        if route is None:
            return text_response(404, f"not found; the metrics are at {self._telemetry_path}")
        return route(request)

    def _metrics(self, request: Request) -> Response:
        format = negotiate(request.header("accept"))
        compress = accepts_gzip(request.header("accept-encoding"))
        headers = (
            ("Content-Type", format.content_type),
            ("Vary", "Accept, Accept-Encoding"),
            *(_GZIPPED if compress else ()),
        )
        return Response(200, headers, self._render(format, gzip=compress))

    def _landing(self, request: Request) -> Response:
        query = parse_qs(request.query, keep_blank_values=True, max_num_fields=10)
        name = query.get("range", [""])[-1]
        seconds = RANGES.get(name, RANGES[DEFAULT_RANGE])
        known = request.header("if-none-match").removeprefix("W/")  # of a proxy that compresses
        everything = "all" in query
        page = self._landing_cache.get(seconds, everything=everything, known=known)
        if page is None:
            return Response(304, (("ETag", known),))
        headers = (*LANDING_HEADERS, ("Vary", "Accept-Encoding"), ("ETag", page.etag))
        if len(page.body) < _MIN_COMPRESSED or not accepts_gzip(request.header("accept-encoding")):
            return Response(200, headers, page.body)
        return Response(200, (*headers, *_GZIPPED), page.compressed)

    def _healthy(self, _: Request) -> Response:
        return text_response(200, "healthy")

    def _health(self, _: Request) -> Response:
        return Response(200, (("Content-Type", "application/json"),), b'{"status":"ok"}\n')

    def _ready(self, _: Request) -> Response:
        reason = self._unready()
        return text_response(503, f"not ready: {reason}") if reason else text_response(200, "ready")
