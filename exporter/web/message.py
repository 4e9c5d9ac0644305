"""A request and a response, as plain values: all that passes between server and application."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asked for. Its body, if any, was read and forgotten."""

    method: str
    #: Percent-decoded, without the query.
    path: str
    query: str = ""
    #: By lower-case name; a header given more than once is joined with commas.
    headers: Mapping[str, str] = field(default_factory=dict)
    #: The client's address, without its port.
    client: str = ""

    def header(self, name: str) -> str:
        """The value of a header (its name in lower case), empty when absent."""
        return self.headers.get(name, "")


@dataclass(frozen=True, slots=True)
class Response:
    """An answer; the connection adds what frames it (length, date, keep-alive)."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    #: A large one may come in pieces, so that nobody has to make a copy of it.
    body: bytes | Sequence[bytes] = b""

    @property
    def pieces(self) -> Sequence[bytes]:
        """The body, whichever way it came."""
        return (self.body,) if isinstance(self.body, bytes) else self.body


#: Anything that answers requests. One that has to wait (for a password hash, say) returns an
#: awaitable instead, so that nobody else waits with it.
Handler = Callable[[Request], Response | Awaitable[Response]]


def text_response(status: int, text: str, *headers: tuple[str, str]) -> Response:
    """A short answer for people, one line."""
    plain = ("Content-Type", "text/plain; charset=utf-8")
    return Response(status, (plain, *headers), f"{text}\n".encode())


def split_target(target: str) -> tuple[str, str]:
    """Path (percent-decoded) and query of a request target, whichever of its forms it has.

    Source: https://www.rfc-editor.org/rfc/rfc9112#section-3.2
    """
    if not target.startswith("/") and "://" in target:  # as a proxy would be asked
        target = "/" + target.partition("://")[2].partition("/")[2]
    path, _, query = target.partition("?")
    return unquote(path), query
