"""The soak in short: everything at once, and nothing left of it. `python tests/soak.py` is long."""

from soak import soak


def test_an_agent_in_everything_at_once_stays_flat() -> None:
    """After storms, reloads and hostile clients all is counted and pushed, and nothing grew."""
    figures = soak(12)
    print(f"\n{figures}")
    assert not figures.wrong, figures
