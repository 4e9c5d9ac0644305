"""Fixtures of these tests."""

from pathlib import Path

import pytest
from support import certificates


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the certificates of `certificates.write_all`."""
    certificates.write_all(tmp_path)
    return tmp_path
