"""TLS between a connection and its socket.

asyncio has TLS of its own, but there nobody can tell when a large page has left: what the
socket has not taken yet is not counted. It also hangs up on a client whose handshake fails
without the alert that says why, and a client that says nothing costs 256 KiB.
"""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress

from exporter.web.tls import Tls, alternative_names

_READ_BYTES = 16 * 1024
#: The first byte of TLS: a record of its handshake.
_HANDSHAKE = b"\x16"
#: Word for word what Go's servers say.
_NOT_HTTPS = b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"
# A refused client may go on sending for a moment, until it reads why.
_LINGER_SECONDS = 1.0
_LINGER_READS = 64


class HandshakeError(OSError):
    """The client was refused; the text says why."""


class TlsStream(asyncio.StreamWriter):
    """Reader and writer of a connection in one, over those of its socket.

    Its `transport` is the socket's, so its limits and its buffer tell what has really left.
    """

    def __init__(
        self,
        tls: Tls,
        transport: asyncio.WriteTransport,
        protocol: asyncio.StreamReaderProtocol,
        reader: asyncio.StreamReader,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        super().__init__(transport, protocol, reader, loop)
        self._wire = reader
        self._allowed_sans = tls.allowed_sans
        self._ended = False
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = tls.context.wrap_bio(self._incoming, self._outgoing, server_side=True)

    async def open(self, seconds: float) -> None:
        """Complete the handshake within so many seconds.

        Raises HandshakeError for a client that was refused, another OSError for one that is
        gone or too slow; the connection is closed then.
        """
        try:
            async with asyncio.timeout(seconds):
                await self._shake_hands()
        except HandshakeError:
            await self._part()
            raise
        except BaseException:
            self.transport.abort()
            raise

    async def read(self, n: int) -> bytes:
        """At most `n` bytes, in plain; none when the client has closed. Raises OSError."""
        while True:
            try:
                return self._tls.read(n)
            except ssl.SSLWantReadError:
                if not await self._receive():
                    return b""
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                return b""
            finally:
                self._flush()  # an alert, say

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send plain bytes. Raises OSError."""
        left = memoryview(data)
        while left:
            left = left[self._tls.write(left) :]  # it may take a part
        self._flush()

    def write_eof(self) -> None:
        """Tell the client that nothing more will come."""
        with suppress(ssl.SSLError):  # it wants the client's answer, for which nobody waits
            self._tls.unwrap()
        self._flush()
        self._ended = True
        super().write_eof()

    async def _shake_hands(self) -> None:
        first = await self._wire.read(_READ_BYTES)
        if not first.startswith(_HANDSHAKE):
            if not first[:1].isalpha():
                raise ConnectionAbortedError("this is not TLS")
            super().write(_NOT_HTTPS)
            raise HandshakeError("the client sent an HTTP request to an HTTPS server")
        self._incoming.write(first)
        while not self._agreed():
            if not await self._receive():
                raise ConnectionResetError("closed during the handshake")
        if self._allowed_sans is not None:
            names = alternative_names(self._tls.getpeercert() or {})
            if not names & self._allowed_sans:
                found = ", ".join(sorted(names)) or "none"
                raise HandshakeError(f"could not find allowed SANs in client cert, found: {found}")
        self._flush()

    def _agreed(self) -> bool:
        """Whether the handshake is complete. What it has to say then is left to be sent."""
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
        """Wait for more from the wire; false when there will be none."""
        data = await self._wire.read(_READ_BYTES)
        self._incoming.write(data)
        return bool(data)

    def _flush(self) -> None:
        data = self._outgoing.read()
        if data and not self._ended:
            super().write(data)

    async def _part(self) -> None:
        """Close, in a way that lets the client read what was sent to it."""
        try:
            super().write_eof()
            async with asyncio.timeout(_LINGER_SECONDS):
                for _ in range(_LINGER_READS):
                    if not await self._wire.read(_READ_BYTES):
                        break
        except OSError:
            pass
        finally:
            self.transport.abort()
