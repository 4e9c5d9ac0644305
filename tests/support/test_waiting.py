"""Waiting: one factor stretches every deadline of the suite."""

import pytest

from support import waiting


def test_one_factor_stretches_every_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a factor of 0 nothing is waited for, whatever the deadline."""
    monkeypatch.setattr(waiting, "FACTOR", 0)
    assert waiting.deadline(30) == 0
    with pytest.raises(AssertionError, match=r"not within 0.* s: rain"):
        waiting.wait_until(lambda: False, 3600, "rain")
