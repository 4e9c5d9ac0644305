"""Enforces the web configuration on every request, before the application sees it.

In this order: reload of the file if it has changed, rate limit, authentication. The configured
headers are added to every response. All paths are covered, those of health included.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from exporter.errors import SettingsError
from exporter.logs import event
from exporter.web.admission import answer
from exporter.web.authentication import (
    GUESS_SECONDS,
    Authenticator,
    BusyError,
    GuessingError,
)
from exporter.web.http_message import Handler, Request, Response, text_response
from exporter.web.live_configuration import LiveWebConfig
from exporter.web.log_limit import LogLimiter
from exporter.web.rate_limit import TokenBucket

_log = logging.getLogger(__name__)

# The share of simultaneous requests that may wait for a password comparison: a quarter, which
# leaves room for the requests whose password is cached.
_WAITING_SHARE = 4
_WAITING_UNLIMITED = 10


class WebConfigMiddleware:
    """A handler in front of the application. Thread: the event loop's."""

    def __init__(
        self,
        application: Handler,
        config: LiveWebConfig,
        max_requests: int,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Set up. `max_requests`: the limit of simultaneous requests; 0: no limit."""
        self._application = application
        self._config = config
        self._log_limiter = LogLimiter()
        waiting = max(1, max_requests // _WAITING_SHARE) if max_requests else _WAITING_UNLIMITED
        self._authenticator = Authenticator(waiting)
        limit = config.last_good.configuration.rate_limit
        self._bucket = TokenBucket(limit, monotonic) if limit else None
        if limit:
            interval = f"{limit.interval_seconds:g}s"
            message = "Rate limiter is enabled"
            event(_log, logging.INFO, message, burst=limit.burst, interval=interval)

    async def __call__(self, request: Request) -> Response:
        """Return the response of the application, or a refusal, with the configured headers."""
        response = await self._respond(request)
        headers = self._config.last_good.configuration.headers
        if not headers:
            return response
        # They override the headers of the application.
        names = {name.lower() for name, _ in headers}
        others = tuple(header for header in response.headers if header[0].lower() not in names)
        return Response(response.status, (*others, *headers), response.body)

    async def _respond(self, request: Request) -> Response:
        try:
            users = (await self._config.current()).users
        except SettingsError:  # logged by `current`
            return text_response(500, "invalid web configuration; see the exporter's log")
        if self._bucket and not self._bucket.try_acquire():
            return text_response(429, "too many requests")
        if users:
            try:
                authorization = request.header("authorization")
                if not await self._authenticator.admits(users, authorization, request.client):
                    return text_response(401, "unauthorized", ("WWW-Authenticate", "Basic"))
            except GuessingError:
                wait = ("Retry-After", f"{GUESS_SECONDS:.0f}")
                return text_response(429, "too many wrong passwords", wait)
            except BusyError:
                reason = "too many passwords are being compared"
                return text_response(503, reason, ("Retry-After", "1"))
        return await answer(self._application, request, self._log_limiter)
