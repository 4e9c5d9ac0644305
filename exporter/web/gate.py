"""What every request has to pass before the application: the web configuration.

In this order: the file is read again if it has changed, the rate limit, the configured
headers, authentication. It holds for every path, those of health included.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from exporter.errors import SettingsError
from exporter.logs import event
from exporter.web.authentication import Authenticator, BusyError
from exporter.web.live_configuration import Policy
from exporter.web.log_limit import FailureLog
from exporter.web.message import Handler, Request, Response, text_response
from exporter.web.rate_limit import TokenBucket

_log = logging.getLogger(__name__)

# Of the requests that are served at the same time, so many may wait for their password to be
# compared: a quarter, so that those whose password is known always find a place.
_WAITING_SHARE = 4
_WAITING_UNLIMITED = 10


class Gate:
    """A handler in front of another one. Thread: that of the event loop."""

    def __init__(
        self,
        application: Handler,
        policy: Policy,
        max_requests: int,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`max_requests`: how many are served at the same time; 0: no limit."""
        self._application = application
        self._policy = policy
        self._failures = FailureLog()
        waiting = max(1, max_requests // _WAITING_SHARE) if max_requests else _WAITING_UNLIMITED
        self._authenticator = Authenticator(waiting)
        limit = policy.last.configuration.rate_limit
        self._bucket = TokenBucket(limit, monotonic) if limit else None
        if limit:
            interval = f"{limit.interval_seconds:g}s"
            message = "Rate limiter is enabled"
            event(_log, logging.INFO, message, burst=limit.burst, interval=interval)

    async def __call__(self, request: Request) -> Response:
        """The application's response, or why there is none; with the configured headers."""
        response = await self._respond(request)
        headers = self._policy.last.configuration.headers
        if not headers:
            return response
        # What was configured is what is sent, whatever the application would say.
        names = {name.lower() for name, _ in headers}
        others = tuple(header for header in response.headers if header[0].lower() not in names)
        return Response(response.status, (*others, *headers), response.body)

    async def _respond(self, request: Request) -> Response:
        try:
            users = self._policy.current().users
        except SettingsError:  # logged there
            return text_response(500, "the web configuration is bad; the exporter's log says more")
        if self._bucket and not self._bucket.take():
            return text_response(429, "too many requests")
        if users:
            try:
                if not await self._authenticator.admits(users, request.header("authorization")):
                    return text_response(401, "unauthorized", ("WWW-Authenticate", "Basic"))
            except BusyError:
                reason = "too many passwords are being compared"
                return text_response(503, reason, ("Retry-After", "1"))
        try:
            answer = self._application(request)
            return answer if isinstance(answer, Response) else await answer
        except Exception as error:  # noqa: BLE001 (logged there, with its traceback)
            self._failures.report("answering a request", error)
            return text_response(500, "internal error; the log of the exporter says more")
