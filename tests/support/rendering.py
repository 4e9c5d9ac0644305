"""Renders a page in process, as one piece."""

from exporter.exposition.negotiation import Format
from exporter.exposition.page import Page


def rendered(page: Page, format: Format = Format.TEXT, *, gzip: bool = False) -> bytes:
    """Return the whole page."""
    return b"".join(page.chunks(format, gzip=gzip))
