"""Random operations on every kind of link, and an agent that must have counted them exactly.

``python tests/random --minutes 60`` plays rounds for so long; each prints its seed. ``--seed N``
begins with that one, and ``--rounds 1`` repeats it alone: the same operations in the same
setup, though the kernel's timing is its own. Needs root and iproute2; works in network
namespaces of its own, and loads no kernel module: ``modprobe dummy bonding 8021q`` beforehand
lets it use more kinds of links. The exit code is 1 if anything failed.
"""

import argparse
import platform
import random
import sys
import time
from collections import Counter
from pathlib import Path

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS), str(TESTS.parent)]

from link_kinds import available  # noqa: E402 - the path first
from rounds import Outcome, play  # noqa: E402
from support import processes  # noqa: E402
from support.namespace import Namespace  # noqa: E402


def main() -> int:
    """Play rounds until the time is over."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(prog="python tests/random", description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0, help="default: 1")
    parser.add_argument("--rounds", type=int, help="no more rounds than these")
    parser.add_argument("--seed", type=int, help="of the first round; the next has the next number")
    parser.add_argument(
        "--keep", type=Path, help="a folder for messages, recordings and logs of failing rounds"
    )
    arguments = parser.parse_args()
    seed = random.SystemRandom().randrange(10**9) if arguments.seed is None else arguments.seed
    processes.unwind_when_interrupted()
    with Namespace() as namespace:
        kinds = available(namespace)
    print(f"Linux {platform.release()}, link kinds: {', '.join(kinds)}", flush=True)
    outcomes: list[Outcome] = []
    end = time.monotonic() + arguments.minutes * 60
    while time.monotonic() < end and len(outcomes) != arguments.rounds:
        outcomes.append(play(seed + len(outcomes), kinds, arguments.keep))
        print(outcomes[-1], flush=True)
    print(_summary(outcomes))
    return 1 if any(outcome.failures for outcome in outcomes) else 0


def _summary(outcomes: list[Outcome]) -> str:
    failed = [outcome for outcome in outcomes if outcome.failures]
    lines = [
        f"{len(outcomes)} rounds, {sum(o.messages for o in outcomes):,} messages, "
        f"{sum(o.overruns for o in outcomes)} overruns, {len(failed)} rounds failed"
    ]
    words = Counter(word for o in outcomes for word in str(o.setup).split())
    wrong = Counter(word for o in failed for word in str(o.setup).split())
    lines += [f"  {n} rounds {word}, {wrong[word]} failed" for word, n in words.most_common()]
    lines += [f"again: python tests/random --rounds 1 --seed {o.seed}" for o in failed]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
