"""The gzip member that is put together from chunks."""

import gzip
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from isal import isal_zlib

from exporter.exposition import compression
from exporter.exposition.compression import GzipChunk, gzipped

bodies = st.lists(
    st.binary(max_size=200) | st.binary(min_size=1, max_size=9).map(lambda b: b * 999)
)


@pytest.mark.parametrize("library", [isal_zlib, zlib])
@given(bodies=bodies)
def test_chunks_make_one_member(library: Any, bodies: list[bytes]) -> None:
    """Whichever library compresses, chunks make one whole gzip member and nothing else."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compression, "compressobj", library.compressobj)
        patch.setattr(compression, "crc32", library.crc32)
        packed = b"".join(gzipped(map(GzipChunk, bodies)))
    whole = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    assert whole.decompress(packed) == b"".join(bodies)
    assert whole.eof
    assert whole.unused_data == b""
    assert gzip.decompress(packed) == b"".join(bodies)


def test_what_was_replaced_is_compressed_anew() -> None:
    """A chunk with another body is sent with that body."""
    chunk = GzipChunk(b"before")
    gzipped([chunk])
    chunk.replace(b"after")
    assert gzip.decompress(b"".join(gzipped([chunk]))) == b"after"
