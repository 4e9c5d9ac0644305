"""How many span events a second are accepted and exported to a local receiver.

So many are offered for some seconds, as the collector would, to a receiver in a process of its
own, over each protocol.
"""

import subprocess
import sys
import time
from pathlib import Path

from report import Size, heading, table

TESTS = Path(__file__).parents[1]
sys.path.insert(0, str(TESTS / "otel"))

PER_SECOND = 20_000
INTERFACES = 50
RECEIVER = """
import sys; sys.path[:0] = {path}
from support.otlp_receiver import {kind} as Receiver
receiver = Receiver(); receiver.__enter__()
print(receiver.endpoint, flush=True)
sys.stdin.read()
print(sum(len(s.events) for s in receiver.spans()))
"""


def run(size: Size) -> None:
    """Print the table."""
    seconds = 1 if size == "short" else 5
    heading(f"OTLP: {PER_SECOND:,} span events offered a second for {seconds} s")
    columns = ("", "accepted", "exported", "dropped", "failed", "arrived", "per CPU second")
    table(columns, [(name, *_offer(name, seconds)) for name in ("http/protobuf", "grpc")])


def _offer(protocol: str, seconds: int) -> tuple[object, ...]:
    """Offer, stop, compare."""
    from pushing import LUID, balance, delta, make_push, push_batch, settings

    kind = "GrpcReceiver" if protocol == "grpc" else "HttpReceiver"
    code = RECEIVER.format(path=[str(TESTS.parent), str(TESTS)], kind=kind)
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as receiver:
        assert receiver.stdout is not None
        push = make_push(settings(receiver.stdout.readline().strip(), protocol))
        push.start()
        deltas = [delta(n, luid=LUID + n % INTERFACES) for n in range(PER_SECOND // 100)]
        cpu = time.process_time()
        began = time.monotonic()
        for tick in range(seconds * 100):
            push_batch(push, deltas)
            time.sleep(max(0.0, began + (tick + 1) / 100 - time.monotonic()))
        push.stop()
        cpu = time.process_time() - cpu
        items = balance(push)
        arrived = int(receiver.communicate("")[0])
    counts = [items[name] for name in ("accepted", "exported", "dropped", "failed")]
    return *counts, arrived, items["exported"] / cpu
