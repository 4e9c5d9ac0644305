"""The gzip member that is put together from pieces."""

import gzip
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from isal import isal_zlib

from exporter.exposition import compression
from exporter.exposition.compression import Piece, gzipped

bodies = st.lists(
    st.binary(max_size=200) | st.binary(min_size=1, max_size=9).map(lambda b: b * 999)
)


@pytest.mark.parametrize("library", [isal_zlib, zlib])
@given(bodies=bodies)
def test_pieces_make_one_member(library: Any, bodies: list[bytes]) -> None:
    """Whichever library compresses, pieces make one whole gzip member and nothing else."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compression, "compressobj", library.compressobj)
        patch.setattr(compression, "crc32", library.crc32)
        packed = b"".join(gzipped(map(Piece, bodies)))
    whole = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    assert whole.decompress(packed) == b"".join(bodies)
    assert whole.eof
    assert whole.unused_data == b""
    assert gzip.decompress(packed) == b"".join(bodies)


def test_what_was_replaced_is_compressed_anew() -> None:
    """A piece with another body is sent with that body."""
    piece = Piece(b"before")
    gzipped([piece])
    piece.replace(b"after")
    assert gzip.decompress(b"".join(gzipped([piece]))) == b"after"
