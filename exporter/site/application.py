"""What is served where: from a request to its response, with no thought of sockets."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Sequence
from typing import Protocol

from exporter.exposition.negotiation import Format, accepts_gzip, negotiate
from exporter.site.landing import HEADERS as LANDING_HEADERS
from exporter.site.landing import LandingData, render_page
from exporter.web.message import Request, Response, text_response

#: A body that fits one packet arrives no sooner for being smaller.
_WORTH_COMPRESSING = 1400

_GZIPPED = (("Content-Encoding", "gzip"),)


class Render(Protocol):
    """Renders the scrape page."""

    def __call__(self, format: Format, *, gzip: bool) -> bytes | Sequence[bytes]:
        """Return the page, or its parts."""


class Application:
    """The routes of the agent. Thread: any; what it is given is called where it is called.

    Exceptions of the given callables pass through: whoever serves turns them into a 500.
    """

    def __init__(
        self,
        render: Render,
        is_ready: Callable[[], tuple[bool, str]],
        overview: Callable[[], LandingData],
        telemetry_path: str = "/metrics",
    ) -> None:
        """`is_ready` also says why not.

        Raises ValueError for a telemetry path that does not begin with a slash.
        """
        if not telemetry_path.startswith("/"):
            raise ValueError(f'"{telemetry_path}" is not a path: expected /metrics, for example')
        self._render = render
        self._is_ready = is_ready
        self._overview = overview
        self._telemetry_path = telemetry_path
        self._routes: dict[str, Callable[[Request], Response]] = {
            "/": self._landing,
            "/-/healthy": self._healthy,
            "/-/ready": self._ready,
            "/health": self._health,  # where windows_exporter has it
            telemetry_path: self._metrics,  # last: it may be any of those above
        }

    def __call__(self, request: Request) -> Response:
        """The response to a request; to a HEAD request, that of the GET."""
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
        headers = (*LANDING_HEADERS, ("Vary", "Accept-Encoding"))
        body = render_page(self._overview(), self._telemetry_path)
        if len(body) < _WORTH_COMPRESSING or not accepts_gzip(request.header("accept-encoding")):
            return Response(200, headers, body)
        # Level 1: the default, 6, takes three times as long while nobody else is answered.
        return Response(200, (*headers, *_GZIPPED), gzip.compress(body, 1, mtime=0))

    def _healthy(self, _: Request) -> Response:
        return text_response(200, "healthy")

    def _health(self, _: Request) -> Response:
        return Response(200, (("Content-Type", "application/json"),), b'{"status":"ok"}\n')

    def _ready(self, _: Request) -> Response:
        ready, reason = self._is_ready()
        return text_response(200, "ready") if ready else text_response(503, f"not ready: {reason}")
