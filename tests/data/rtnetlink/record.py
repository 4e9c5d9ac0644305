"""Records what the kernel says into ``datagrams.json`` beside this file.

Run as root, from anywhere: ``python tests/data/rtnetlink/record.py``. Everything happens in
a throwaway network namespace.
"""

import base64
import json
import platform
import socket
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE.parents[2])]

from support.namespace import Namespace  # noqa: E402
from support.waiting import wait_until  # noqa: E402

from exporter.bindings import rtnetlink as nl  # noqa: E402
from exporter.bindings.rtnetlink_socket import DATAGRAM_BYTES, subscribe  # noqa: E402
from exporter.sources.linux.source import GROUPS  # noqa: E402

#: What happens, the command, and how many datagrams of it are worth keeping.
STEPS = (
    ("veth pair added", "link add name west type veth peer name east", 6),
    ("veth up without carrier", "link set west up", 1),
    ("alias given", "link set west alias west-end", 1),
    ("carrier", "link set east up", 6),
    ("bridge added", "link add name bridge type bridge", 3),
    ("port joined", "link set west master bridge", 4),
    ("tap added", "tuntap add name tap mode tap", 3),
    ("ifb added", "link add name ifb type ifb", 3),
    ("renamed", "link set ifb name ifbx", 5),
    ("too small for IPv6", "link set ifbx mtu 1279", 2),
    ("veth deleted", "link del west", 14),
)

#: The name of the step, the request, and how many datagrams of the reply are kept.
DUMPS = (
    ("links", nl.link_request(1), 2),
    ("neighbor tables", nl.neighbor_table_request(1), 2),
    ("no such link", nl.link_request(1, 999), 1),
)


def received(listener: socket.socket) -> Iterator[bytes]:
    """Yield the datagrams that are queued now."""
    while True:
        try:
            yield listener.recv(DATAGRAM_BYTES)
        except BlockingIOError:
            return


def replies(request: bytes) -> Iterator[bytes]:
    """Yield the datagrams of the reply to a request, to the last."""
    with closing(socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)) as asker:
        asker.send(request)
        while True:
            data = asker.recv(DATAGRAM_BYTES)
            yield data
            if any(
                message.type in (nl.NLMSG_DONE, nl.NLMSG_ERROR)
                for message in nl.messages(data, len(data))
            ):
                return


def record() -> list[dict[str, str]]:
    """Every datagram of the steps and of the dumps, with what it belongs to."""
    kept: list[dict[str, str]] = []

    def keep(what: str, data: bytes) -> None:
        kept.append({"what": what, "base64": base64.b64encode(data).decode()})

    with Namespace() as namespace, namespace.enter():
        listener, _ = subscribe(GROUPS, 1 << 20)
        with closing(listener):
            for what, command, count in STEPS:
                list(received(listener))
                namespace.ip(command)
                found: list[bytes] = []

                def complete(found: list[bytes] = found, count: int = count) -> bool:
                    found.extend(received(listener))
                    return len(found) >= count

                wait_until(complete, message=what)
                for data in found[:count]:
                    keep(what, data)
                if what == "carrier":
                    namespace.sysctl("ipv4/conf/west/forwarding", 1)
                    namespace.sysctl("ipv6/conf/west/forwarding", 1)
                    for data in received(listener):
                        keep("forwarding changed", data)
                    for what_asked, request, most in DUMPS:
                        for data in list(replies(request))[:most]:
                            keep(what_asked, data)
    return kept


if __name__ == "__main__":
    datagrams = record()
    document = {
        "system": "Linux " + ".".join(platform.release().split(".")[:2]),
        "byteorder": sys.byteorder,
        "datagrams": datagrams,
    }
    (HERE / "datagrams.json").write_text(json.dumps(document, indent=0) + "\n")
    print(f"{len(datagrams)} datagrams")
