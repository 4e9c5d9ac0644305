"""A request and a response as plain values, which server and handlers exchange."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote


@dataclass(frozen=True, slots=True)
class Request:
    """The request of a client. Its body, if any, was read and discarded."""

    method: str
    #: Percent-decoded, without the query.
    path: str
    #: By lower-case name; the values of a repeated header are joined with commas.
    headers: Mapping[str, str] = field(default_factory=dict)
    #: The address of the client.
    client: str = ""
    #: What follows the ? of the target, not decoded.
    query: str = ""

    def header(self, name: str) -> str:
        """Return the value of a header (`name` in lower case), or ""."""
        return self.headers.get(name, "")


@dataclass(frozen=True, slots=True)
class Response:
    """A response. The connection adds the headers for length, date and keep-alive."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    #: A large body can be a sequence of chunks, which are sent without a copy of all.
    body: bytes | Sequence[bytes] = b""

    @property
    def chunks(self) -> Sequence[bytes]:
        """The body as a sequence of chunks."""
        return (self.body,) if isinstance(self.body, bytes) else self.body


#: Answers requests. A handler that has to wait, for a password hash for example, returns an
#: awaitable, so that no other request waits with it.
Handler = Callable[[Request], Response | Awaitable[Response]]


def text_response(status: int, text: str, *headers: tuple[str, str]) -> Response:
    """Make a response of one line of text."""
    plain = ("Content-Type", "text/plain; charset=utf-8")
    return Response(status, (plain, *headers), f"{text}\n".encode())


def path_of(target: str) -> str:
    """Return the path of a request target in any of its forms, percent-decoded.

    Source: https://www.rfc-editor.org/rfc/rfc9112#section-3.2
    """
    if not target.startswith("/") and "://" in target:  # absolute form, as sent to a proxy
        target = "/" + target.partition("://")[2].partition("/")[2]
    return unquote(target.partition("?")[0])
