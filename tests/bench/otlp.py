"""How many span events a second are accepted and exported to a local receiver.

``python tests/bench/otlp.py [PER_SECOND]`` offers so many (default 20000) for five seconds,
as the collector would, to a receiver in a process of its own, over each protocol.
"""

import subprocess
import sys
import time
from pathlib import Path

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS.parent), str(TESTS), str(TESTS / "otel")]

SECONDS = 5
INTERFACES = 50
RECEIVER = """
import sys; sys.path[:0] = {path}
from otlp_receiver import {kind} as Receiver
receiver = Receiver(); receiver.__enter__()
print(receiver.endpoint, flush=True)
sys.stdin.read()
print(sum(len(s.events) for s in receiver.spans()))
"""


def run(protocol: str, per_second: int) -> None:
    """Offer, stop, compare."""
    from pushing import LUID, balance, delta, make_push, settings, told

    kind = "GrpcReceiver" if protocol == "grpc" else "HttpReceiver"
    code = RECEIVER.format(path=sys.path[:3], kind=kind)
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as receiver:
        assert receiver.stdout is not None
        push = make_push(settings(receiver.stdout.readline().strip(), protocol))
        push.start()
        deltas = [delta(n, luid=LUID + n % INTERFACES) for n in range(per_second // 100)]
        cpu = time.process_time()
        began = time.monotonic()
        for tick in range(SECONDS * 100):
            told(push, deltas)
            time.sleep(max(0.0, began + (tick + 1) / 100 - time.monotonic()))
        push.stop()
        took = time.monotonic() - began
        cpu = time.process_time() - cpu
        items = balance(push)
        arrived = receiver.communicate("")[0].strip()
    per_core = items["exported"] / cpu
    print(f"{protocol:<14} {items} arrived {arrived}, {took:.1f} s, {per_core:.0f} per CPU second")


if __name__ == "__main__":
    for each in ("http/protobuf", "grpc"):
        run(each, int(sys.argv[1]) if len(sys.argv) > 1 else 20_000)
