"""The real datagrams that tests/data/rtnetlink/record.py recorded."""

import base64
import json
import sys
from functools import cache
from pathlib import Path
from typing import NamedTuple

from requirements_here import require

from exporter.bindings import rtnetlink as nl

_FILE = Path(__file__).parents[1] / "data" / "rtnetlink" / "datagrams.json"


class Recorded(NamedTuple):
    """One message of a recorded datagram."""

    #: The step or the dump that the message belongs to.
    what: str
    message: nl.Message
    datagram: bytes

    @property
    def place(self) -> tuple[bytes, int, int]:
        """The arguments of every parser: the datagram, and where the body is in it."""
        return self.datagram, self.message.start, self.message.end

    @property
    def with_header(self) -> bytes:
        """The message alone, from its header to its end."""
        return self.datagram[self.message.start - 16 : self.message.end]


@cache
def datagrams() -> tuple[tuple[str, bytes], ...]:
    """(what happened, datagram), in the order in which they came."""
    document = json.loads(_FILE.read_text())
    require(document["byteorder"] == sys.byteorder, f"a {document['byteorder']}-endian machine")
    return tuple((d["what"], base64.b64decode(d["base64"])) for d in document["datagrams"])


@cache
def messages(*types: int) -> tuple[Recorded, ...]:
    """Every recorded message, or those of these types."""
    return tuple(
        Recorded(what, message, data)
        for what, data in datagrams()
        for message in nl.messages(data, len(data))
        if not types or message.type in types
    )
