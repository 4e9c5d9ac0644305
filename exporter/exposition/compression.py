"""gzip out of pieces that were compressed before: only what changed is compressed again.

Each piece is compressed on its own and ends on a byte (Z_SYNC_FLUSH), so that one deflate
stream can be put together from any of them. A member for each piece would spare the checksum
over everything, but browsers and curl stop after the first member.

isal does it with the processor's vector instructions: it compresses a MB in 0.9 ms instead of
3.8, no larger, and checks it in 0.03 instead of 0.3. Where it has no wheel, zlib has to do.

Source: https://python-isal.readthedocs.io, https://www.rfc-editor.org/rfc/rfc1952, https://www.rfc-editor.org/rfc/rfc1951
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from zlib import DEFLATED, MAX_WBITS, Z_SYNC_FLUSH

try:
    from isal.isal_zlib import compressobj, crc32
except ImportError:
    from zlib import compressobj, crc32  # type: ignore[assignment]

# Deflate, no flags, no time, fastest algorithm, unknown system.
_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x04\xff"
#: An empty last block.
_END = b"\x03\x00"


class Piece:
    """Bytes, and their compressed form as soon as somebody wants it."""

    __slots__ = ("_packed", "body")

    def __init__(self, body: bytes = b"") -> None:
        self.body = body
        self._packed: bytes | None = None

    def replace(self, body: bytes) -> None:
        """Take another body."""
        self.body = body
        self._packed = None

    def packed(self) -> bytes:
        """The body as part of a deflate stream."""
        if self._packed is None:
            # Level 1: zlib's default, 6, takes three times as long. Negative: no header.
            deflate = compressobj(1, DEFLATED, -MAX_WBITS)
            self._packed = deflate.compress(self.body) + deflate.flush(Z_SYNC_FLUSH)
        return self._packed


def gzipped(pieces: Iterable[Piece]) -> list[bytes]:
    """All the bodies, one after the other, as one gzip member, not yet put together."""
    out = [_HEADER]
    checksum = size = 0
    for piece in pieces:
        out.append(piece.packed())
        checksum = crc32(piece.body, checksum)
        size += len(piece.body)
    out += (_END, struct.pack("<LL", checksum, size & 0xFFFFFFFF))
    return out
