"""TLS between a connection and its socket.

asyncio's own TLS has three drawbacks: its buffer does not tell when a large page has left, it
closes a failed handshake without the alert that has the reason, and it needs 256 KiB for a
client that sends nothing.
"""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from typing import Any

from exporter.web.linger import linger
from exporter.web.tls import Tls, alternative_names

_READ_BYTES = 16 * 1024
#: The first byte of TLS: a handshake record.
_HANDSHAKE = b"\x16"
#: The response of Go's servers.
_NOT_HTTPS = b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"


class HandshakeError(OSError):
    """A client that was refused; the text has the reason."""


class TlsStream:
    """Reader and writer of a connection, over those of its socket."""

    def __init__(
        self, tls: Tls, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._allowed_sans = tls.allowed_sans
        #: Nothing more can be sent.
        self._ended = False
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = tls.context.wrap_bio(self._incoming, self._outgoing, server_side=True)

    @property
    def transport(self) -> asyncio.WriteTransport:
        """The transport of the socket, whose buffer holds what has not been sent yet."""
        return self._writer.transport

    async def open(self, timeout_seconds: float) -> None:
        """Complete the handshake.

        Raises HandshakeError if the client was refused, and another OSError if it is gone or too
        slow; the connection is closed then.
        """
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._shake_hands()
        except HandshakeError:
            await self._close()
            raise
        except BaseException:
            self.transport.abort()
            raise

    async def read(self, n: int) -> bytes:
        """Return up to `n` decrypted bytes; none if the client has closed. Raises OSError."""
        while True:
            try:
                return self._tls.read(n)
            except ssl.SSLWantReadError:
                if not await self._receive():
                    return b""
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                return b""
            finally:
                self._flush()  # an alert, for example

    def write(self, data: bytes) -> None:
        """Encrypt and send bytes. Raises OSError."""
        rest = memoryview(data)
        while rest:
            rest = rest[self._tls.write(rest) :]  # it can write a part
        self._flush()

    async def drain(self) -> None:
        """Wait until the data has left; see `asyncio.StreamWriter.drain`."""
        await self._writer.drain()

    def write_eof(self) -> None:
        """Tell the client that nothing more will be sent."""
        with suppress(ssl.SSLError):
            self._tls.unwrap()  # raises, because the client has not closed yet
        self._flush()
        self._ended = True
        self._writer.write_eof()

    def can_write_eof(self) -> bool:
        """Return true: `write_eof` is supported."""
        return True

    def get_extra_info(self, name: str) -> Any:
        """Return information about the socket; see `asyncio.BaseTransport.get_extra_info`."""
        return self._writer.get_extra_info(name)

    async def wait_closed(self) -> None:
        """Wait until the socket is closed."""
        await self._writer.wait_closed()

    async def _shake_hands(self) -> None:
        first = await self._reader.read(_READ_BYTES)
        if not first.startswith(_HANDSHAKE):
            if not first[:1].isalpha():
                raise ConnectionAbortedError("not TLS")
            self._writer.write(_NOT_HTTPS)
            raise HandshakeError("the client sent an HTTP request to an HTTPS server")
        self._incoming.write(first)
        while not self._do_handshake():
            if not await self._receive():
                raise ConnectionResetError("closed during the handshake")
        if self._allowed_sans is not None:
            names = alternative_names(self._tls.getpeercert() or {})
            if not names & self._allowed_sans:
                found = ", ".join(sorted(names)) or "none"
                raise HandshakeError(f"could not find allowed SANs in client cert, found: {found}")
        self._flush()

    def _do_handshake(self) -> bool:
        """Continue the handshake. Return whether it is complete, with output left to flush."""
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return False
        except ssl.SSLError as error:
            self._flush()  # the alert
            reason = getattr(error, "verify_message", None) or error.reason or str(error)
            raise HandshakeError(reason.lower().replace("_", " ")) from None
        return True

    async def _receive(self) -> bool:
        """Wait for more encrypted data. Return false at its end."""
        data = await self._reader.read(_READ_BYTES)
        self._incoming.write(data)
        return bool(data)

    def _flush(self) -> None:
        data = self._outgoing.read()
        if data and not self._ended:
            self._writer.write(data)

    async def _close(self) -> None:
        """Close the connection after the client could read the alert or response."""
        try:
            self._writer.write_eof()
            await linger(lambda: self._reader.read(_READ_BYTES))
        except OSError:
            pass
        finally:
            self.transport.abort()
