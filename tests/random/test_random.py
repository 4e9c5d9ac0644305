"""Half a minute of the random rounds; `python tests/random` goes on for hours."""

import os
import random
import time

import pytest
from link_kinds import available
from rounds import Outcome, play
from support.namespace import Namespace

SECONDS = 25.0


def test_half_a_minute_of_random_rounds(capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever is done to links, the counts are the kernel's. Each round's seed is printed.

    With CI=true the rounds are the same each time, as hypothesis' examples are.
    """
    with Namespace() as namespace:
        kinds = available(namespace)
    seed = 0 if os.environ.get("CI") else random.SystemRandom().randrange(10**9)
    outcomes: list[Outcome] = []
    end = time.monotonic() + SECONDS
    while not outcomes or time.monotonic() < end:
        outcomes.append(play(seed + len(outcomes), kinds))
        with capsys.disabled():
            print(f"\n{outcomes[-1]}", end="", flush=True)
    failed = [str(outcome) for outcome in outcomes if outcome.failures]
    assert not failed, "\n".join(failed)
