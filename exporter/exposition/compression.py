"""gzip out of chunks that were compressed before: only what changed is compressed again.

Each chunk is compressed on its own and ends on a byte (Z_SYNC_FLUSH), so that one deflate
stream can be put together from any of them. A member for each chunk would spare the checksum
over everything, but browsers and curl stop after the first member.

isal does it with the processor's vector instructions: it compresses a MB in 0.9 ms instead of
3.8, no larger, and checks it in 0.03 instead of 0.3. Without an isal wheel, zlib is used.

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


class GzipChunk:
    """A part of the page, and its compressed form once it was asked for."""

    __slots__ = ("_deflated", "body")

    def __init__(self, body: bytes = b"") -> None:
        self.body = body
        self._deflated: bytes | None = None

    def replace(self, body: bytes) -> None:
        """Set another body."""
        self.body = body
        self._deflated = None

    def deflated(self) -> bytes:
        """Return the body as part of a deflate stream."""
        if self._deflated is None:
            # Level 1: zlib's default, 6, takes three times as long. Negative: no header.
            deflate = compressobj(1, DEFLATED, -MAX_WBITS)
            self._deflated = deflate.compress(self.body) + deflate.flush(Z_SYNC_FLUSH)
        return self._deflated


def gzipped(chunks: Iterable[GzipChunk]) -> list[bytes]:
    """Return all the bodies, one after the other, as the parts of one gzip member."""
    out = [_HEADER]
    checksum = size = 0
    for chunk in chunks:
        out.append(chunk.deflated())
        checksum = crc32(chunk.body, checksum)
        size += len(chunk.body)
    out += (_END, struct.pack("<LL", checksum, size & 0xFFFFFFFF))
    return out
