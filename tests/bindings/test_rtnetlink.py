"""The rtnetlink parser: exact on what the kernel said, unmoved by what it never would."""

import os
import struct
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pyroute2.netlink import nlmsg
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
from pyroute2.netlink.rtnl.ndtmsg import ndtmsg
from support import messages as build
from support import recorded
from support.namespace import Namespace

from exporter.bindings import rtnetlink as nl
from exporter.bindings import rtnetlink_socket
from exporter.bindings.rtnetlink_socket import (
    Requester,
    namespace_id,
    subscribe,
)

# -- agreement with another implementation ----------------------------------------------------


class Inet6Link(nlmsg):
    """The link message of AF_INET6, which pyroute2 lacks, of the parts that it has."""

    fields = ifinfmsg.fields
    nla_map = ((nl.IFLA_PROTINFO, "IFLA_PROTINFO", "inet6"),)
    inet6 = ifinfmsg.af_spec_inet.inet6


class Netconf(nlmsg):
    """struct netconfmsg and its attributes, which pyroute2 lacks."""

    fields = (("family", "B"), ("__pad", "3x"))
    nla_map = (
        ("NETCONFA_UNSPEC", "none"),
        ("NETCONFA_IFINDEX", "int32"),
        ("NETCONFA_FORWARDING", "int32"),
        *((f"NETCONFA_{number}", "int32") for number in range(3, 10)),
    )


def decoded(form: type[nlmsg], message: recorded.Recorded) -> nlmsg:
    """The message as pyroute2 reads it."""
    oracle = form(message.with_header)
    oracle.decode()
    return oracle


def attribute(node: Any, *path: str) -> Any:
    """A nested attribute's value, or ``None``."""
    for name in path:
        node = node.get_attr(name) if node is not None else None
    return node


def text(value: str | None) -> bytes:
    """The bytes of a string attribute; none is empty."""
    return (value or "").encode()


#: pyroute2's names of IF_OPER_x (linux/if.h), by number.
OPERSTATES = ("UNKNOWN", "NOTPRESENT", "DOWN", "LOWERLAYERDOWN", "TESTING", "DORMANT", "UP")


def hardware(address: str | None) -> bytes:
    """The bytes of a link-layer address; none is empty."""
    return bytes.fromhex((address or "").replace(":", ""))


LINKS = recorded.messages(nl.RTM_NEWLINK, nl.RTM_DELLINK)
NETCONFS = recorded.messages(nl.RTM_NEWNETCONF, nl.RTM_DELNETCONF)
ADDRESSES = recorded.messages(nl.RTM_NEWADDR, nl.RTM_DELADDR)
NEIGHBOR_TABLES = recorded.messages(nl.RTM_NEWNEIGHTBL)


def by_what(messages: tuple[recorded.Recorded, ...]) -> Any:
    """A test for each message, named after what happened."""
    return pytest.mark.parametrize("message", messages, ids=lambda m: m.what.replace(" ", "_"))


@by_what(tuple(m for m in LINKS if m.datagram[m.message.start] == nl.AF_UNSPEC))
def test_link_messages_say_what_pyroute2_reads(message: recorded.Recorded) -> None:
    """Every attribute that is kept of a link has the value that pyroute2 decodes."""
    link, oracle = nl.parse_link(*message.place), decoded(ifinfmsg, message)
    assert link is not None
    families = oracle.get_attr("IFLA_AF_SPEC")
    inet, inet6 = attribute(families, "AF_INET"), attribute(families, "AF_INET6")
    assert link._replace(inet_conf=None, inet6_conf=None) == nl.LinkMessage(
        family=oracle["family"],
        hardware_type=oracle["ifi_type"],
        ifindex=oracle["index"],
        flags=oracle["flags"],
        name=text(oracle.get_attr("IFLA_IFNAME")),
        mtu=oracle.get_attr("IFLA_MTU"),
        address=hardware(oracle.get_attr("IFLA_ADDRESS")),
        alias=text(oracle.get_attr("IFLA_IFALIAS")),
        kind=text(attribute(oracle, "IFLA_LINKINFO", "IFLA_INFO_KIND")),
        slave_kind=text(attribute(oracle, "IFLA_LINKINFO", "IFLA_INFO_SLAVE_KIND")),
        permanent_address=hardware(oracle.get_attr("IFLA_PERM_ADDRESS")),
        master=oracle.get_attr("IFLA_MASTER"),
        lower=oracle.get_attr("IFLA_LINK"),
        lower_netns=oracle.get_attr("IFLA_LINK_NETNSID") is not None,
        operstate=OPERSTATES.index(oracle.get_attr("IFLA_OPERSTATE")),
        carrier_up=oracle.get_attr("IFLA_CARRIER_UP_COUNT"),
        carrier_down=oracle.get_attr("IFLA_CARRIER_DOWN_COUNT"),
        inet6_flags=attribute(inet6, "IFLA_INET6_FLAGS"),
        inet6_timers=inet6_timers(inet6),
        addr_gen_mode=attribute(inet6, "IFLA_INET6_ADDR_GEN_MODE"),
    )
    assert (link.inet_conf is None) == (inet is None)
    if inet is not None:
        assert nl.conf_value(link.inet_conf, nl.IPV4_FORWARDING) == inet["forwarding"]
    agree_on_conf(link, inet6)


@by_what(tuple(m for m in LINKS if m.datagram[m.message.start] == nl.AF_INET6))
def test_ipv6_link_messages_say_what_pyroute2_reads(message: recorded.Recorded) -> None:
    """RTNLGRP_IPV6_IFINFO puts into IFLA_PROTINFO what link messages nest in IFLA_AF_SPEC."""
    link, oracle = nl.parse_link(*message.place), decoded(Inet6Link, message)
    assert link is not None
    inet6 = oracle.get_attr("IFLA_PROTINFO")
    assert (link.ifindex, link.flags) == (oracle["index"], oracle["flags"])
    assert link.inet6_flags == attribute(inet6, "IFLA_INET6_FLAGS")
    assert link.inet6_timers == inet6_timers(inet6)
    agree_on_conf(link, inet6)


def inet6_timers(inet6: Any) -> tuple[int, int] | None:
    """What pyroute2 reads in IFLA_INET6_CACHEINFO."""
    cache = attribute(inet6, "IFLA_INET6_CACHEINFO")
    return None if cache is None else (cache["reachable_time"], cache["retrans_time"])


def agree_on_conf(link: nl.LinkMessage, inet6: Any) -> None:
    """The IPv6 settings that matter have the values that pyroute2 reads."""
    conf = attribute(inet6, "IFLA_INET6_CONF")
    assert (link.inet6_conf is None) == (conf is None)
    for position, name in (
        (nl.IPV6_FORWARDING, "forwarding"),
        (nl.IPV6_MTU6, "mtu"),
        (nl.IPV6_ACCEPT_RA, "accept_ra"),
        (nl.IPV6_DAD_TRANSMITS, "dad_transmits"),
        (nl.IPV6_DISABLE_IPV6, "disable_ipv6"),
        (nl.IPV6_ACCEPT_DAD, "accept_dad"),
    ):
        value = nl.conf_value(link.inet6_conf, position)
        # pyroute2 reads the signed numbers as unsigned.
        assert (value if value is None else value % 2**32) == (conf and conf[name]), name


@by_what(NETCONFS)
def test_netconf_messages_say_what_pyroute2_reads(message: recorded.Recorded) -> None:
    """Family, index, forwarding and the number of attributes are those of the message."""
    netconf, oracle = nl.parse_netconf(*message.place), decoded(Netconf, message)
    assert netconf == nl.NetconfMessage(
        oracle["family"],
        oracle.get_attr("NETCONFA_IFINDEX"),
        oracle.get_attr("NETCONFA_FORWARDING"),
        len(oracle["attrs"]) - 1,
    )


@by_what(ADDRESSES)
def test_address_messages_say_what_pyroute2_reads(message: recorded.Recorded) -> None:
    """Family and index are those of the message."""
    oracle = decoded(ifaddrmsg, message)
    assert nl.parse_address(*message.place) == (oracle["family"], oracle["index"])


@by_what(NEIGHBOR_TABLES)
def test_neighbor_tables_say_what_pyroute2_reads(message: recorded.Recorded) -> None:
    """The three timers and the index they belong to are those of the message."""
    parms = decoded(ndtmsg, message).get_attr("NDTA_PARMS")
    assert nl.parse_neighbor_table(*message.place) == nl.NeighborParameters(
        message.datagram[message.message.start],
        parms.get_attr("NDTPA_IFINDEX") or 0,
        parms.get_attr("NDTPA_REACHABLE_TIME"),
        parms.get_attr("NDTPA_BASE_REACHABLE_TIME"),
        parms.get_attr("NDTPA_RETRANS_TIME"),
    )


def test_the_recording_covers_every_kind_of_message() -> None:
    """Each message type that counts is in the recording, so that it is compared above."""
    assert {m.message.type for m in recorded.messages()} >= {*nl.MESSAGE_NAMES, nl.RTM_NEWNEIGHTBL}
    kinds = {nl.parse_link(*m.place).kind for m in LINKS}  # type: ignore[union-attr]
    assert kinds >= {b"", b"veth", b"bridge", b"tun", b"ifb"}


# -- requests ---------------------------------------------------------------------------------


def parsed(request: bytes) -> tuple[nl.Message, tuple[bytes, int, int]]:
    """The only message of a request, and where its body is."""
    (message,) = nl.messages(request, len(request))
    assert message.end == len(request)
    return message, (request, message.start, message.end)


@given(st.integers(0, 2**32 - 1), st.integers(1, 2**31 - 1))
def test_requests_round_trip(sequence: int, index: int) -> None:
    """A request reads back as the one message that it was built to be."""
    message, place = parsed(nl.link_request(sequence, index))
    assert (message.type, message.flags, message.sequence) == (nl.RTM_GETLINK, 1, sequence)
    link = nl.parse_link(*place)
    assert link is not None
    assert (link.family, link.ifindex) == (nl.AF_UNSPEC, index)


@pytest.mark.parametrize(("request_", "kind", "family"), [
    (nl.link_request(7), nl.RTM_GETLINK, nl.AF_UNSPEC),
    (nl.neighbor_table_request(7), nl.RTM_GETNEIGHTBL, nl.AF_UNSPEC),
    (nl.neighbor_table_request(7, nl.AF_INET6), nl.RTM_GETNEIGHTBL, nl.AF_INET6),
])  # fmt: skip
def test_requests_without_an_index_are_dumps(request_: bytes, kind: int, family: int) -> None:
    """What names no interface asks for all of them."""
    message, (data, start, _) = parsed(request_)
    assert (message.type, message.flags) == (kind, nl.NLM_F_REQUEST | nl.NLM_F_DUMP)
    assert data[start] == family


@given(st.lists(st.tuples(st.integers(0, 90), st.binary(max_size=9)), max_size=6))
def test_the_end_of_an_answer_is_its_last_message(answer: list[tuple[int, bytes]]) -> None:
    """A datagram ends an answer if its last message is NLMSG_DONE or NLMSG_ERROR."""
    data = build.datagram(*answer)
    last = answer[-1][0] if answer else 0
    assert nl.ends(data, len(data)) == (last in (nl.NLMSG_DONE, nl.NLMSG_ERROR))


def test_a_replaced_setting_is_the_only_one_replaced() -> None:
    """`with_conf_value` changes one entry of a devconf array and keeps the others."""
    conf = build.inet6_conf(MTU6=1500, ACCEPT_RA=2)
    changed = nl.with_conf_value(conf, nl.IPV6_MTU6, 1400)
    assert changed == build.inet6_conf(MTU6=1400, ACCEPT_RA=2)
    assert nl.conf_value(changed, 60) is None
    assert nl.with_conf_value(b"", nl.IPV6_MTU6, 1400) == b""


def test_who_caused_a_message_is_in_its_header() -> None:
    """Sequence and port of the request stand before the body."""
    data = build.datagram((nl.RTM_NEWLINK, build.link(2)), sequence=7, port=4711)
    (message,) = nl.messages(data, len(data))
    assert (message.sequence, message.port) == nl.reply_to(data) == (7, 4711)


# -- what the kernel would never say ----------------------------------------------------------

PARSERS: tuple[Callable[[bytes, int, int], object], ...] = (
    nl.parse_link,
    nl.parse_netconf,
    nl.parse_address,
    nl.parse_neighbor_table,
    nl.error_code,
)


def kept(result: object) -> Iterator[bytes]:
    """The parts of the datagram that a parser copied."""
    if isinstance(result, tuple):
        yield from (field for field in result if isinstance(field, bytes))


def survives(data: bytes) -> None:
    """Nothing raises, nothing runs longer than the datagram has room for, nothing grows."""
    found = list(nl.messages(data, len(data)))
    assert len(found) <= len(data) // 16
    everywhere = [(0, len(data)), *((message.start, message.end) for message in found)]
    for start, end in everywhere:
        assert 0 <= start <= end <= len(data)
        assert len(list(nl.attributes(data, start, end))) <= (end - start) // 4 + 1
        for parse in PARSERS:
            assert sum(map(len, kept(parse(data, start, end)))) <= end - start


@given(st.binary(max_size=400))
@example(b"")
@example(bytes(15))
@example(bytes(16))
@example(b"\xff" * 64)
@example(struct.pack("=IHHII", 0, nl.RTM_NEWLINK, 0, 0, 0) * 4)
@example(struct.pack("=IHHII", 17, nl.RTM_NEWLINK, 0, 0, 0) + b"\0")
def test_random_bytes_do_no_harm(data: bytes) -> None:
    """Any bytes at all are parsed to something short, or to nothing."""
    survives(data)


BODIES = st.recursive(
    st.binary(max_size=16),
    lambda inner: st.lists(
        st.tuples(st.integers(0, 0xFFFF), st.one_of(st.none(), st.integers(0, 0xFFFF)), inner).map(
            lambda a: struct.pack("=HH", 4 + len(a[2]) if a[1] is None else a[1], a[0]) + a[2]
        ),
        max_size=4,
    ).map(b"".join),
    max_leaves=20,
)


@given(st.sampled_from([16, 17, 20, 64, 80, 81]), st.binary(min_size=16, max_size=16), BODIES)
def test_nested_attributes_with_wrong_lengths_do_no_harm(
    kind: int, header: bytes, body: bytes
) -> None:
    """Attributes nested at will, with lengths that are true, too short or too long."""
    survives(build.datagram((kind, header + body)))


EDITS = st.lists(st.tuples(st.integers(0, 2**16), st.integers(0, 255)), max_size=8)
DATAGRAMS = st.sampled_from(sorted({data for _, data in recorded.datagrams()}))


@given(DATAGRAMS, EDITS, st.integers(0, 2**16))
@settings(max_examples=3 * settings.default.max_examples)
def test_mutated_real_datagrams_do_no_harm(
    data: bytes, edits: list[tuple[int, int]], cut: int
) -> None:
    """Real messages with bytes overwritten, and cut off anywhere."""
    mutated = bytearray(data)
    for position, value in edits:
        mutated[position % len(mutated)] = value
    survives(bytes(mutated[: len(mutated) - cut % len(mutated)]))


@pytest.mark.parametrize("width", [2, 4])
def test_the_other_byte_order_does_no_harm(width: int) -> None:
    """Every recorded datagram with its bytes swapped."""
    for _, data in recorded.datagrams():
        whole = len(data) - len(data) % width
        survives(b"".join(data[i : i + width][::-1] for i in range(0, whole, width)))


def test_every_truncation_of_a_link_message_is_a_prefix_of_its_facts() -> None:
    """What is cut off is absent; what is left is as it was."""
    message = max(LINKS, key=lambda m: m.message.end - m.message.start)
    data, start, end = message.place
    whole = nl.parse_link(data, start, end)
    assert whole is not None
    absent = nl.LinkMessage(
        whole.family, whole.ifindex, whole.flags, hardware_type=whole.hardware_type
    )
    for stop in range(start, end):
        link = nl.parse_link(data, start, stop)
        assert (link is None) == (stop - start < 16)
        for value, true, none in zip(link or (), whole, absent, strict=False):
            assert value in (true, none)


@pytest.mark.parametrize(
    "name", [b"a b", b'"', b"\\", b"\n", b"\xff\xfe", b"\xc3\xa4" * 7, b"x" * 15]
)
def test_names_are_kept_as_they_are(name: bytes) -> None:
    """A name is any bytes but NUL and slash, and is not interpreted."""
    body = build.link(2, name)
    link = nl.parse_link(body, 0, len(body))
    assert link is not None
    assert link.name == name


# -- the sockets ------------------------------------------------------------------------------


@pytest.fixture
def requester(namespace: Namespace) -> Iterator[Requester]:
    """A requester inside an empty namespace."""
    with namespace.enter(), closing(Requester()) as made:
        yield made


def test_lists_are_what_exists(namespace: Namespace, requester: Requester) -> None:
    """Links, the families on them, and their absence, as the kernel has them."""
    namespace.ip("link add name west mtu 1279 type veth peer name east")
    indices = {name: link["ifindex"] for name, link in namespace.links().items()}
    links = {(link.name or b"").decode(): link for link in requester.links()}
    assert {name: link.ifindex for name, link in links.items()} == indices
    having = {("inet", name) for name, link in links.items() if link.inet_conf is not None}
    having |= {("inet6", name) for name, link in links.items() if link.inet6_conf is not None}
    assert having == namespace.netconf().keys()
    assert requester.link(4711) is None
    west = requester.link(indices["west"])
    assert west is not None
    assert (west.name, west.mtu, west.inet6_conf) == (b"west", 1279, None)


def test_timers_are_those_of_all_interfaces(namespace: Namespace, requester: Requester) -> None:
    """Each IP interface and the default set have some, in each family."""
    numbers = {"inet": nl.AF_INET, "inet6": nl.AF_INET6}
    there = {(numbers[family], namespace.index(name)) for family, name in namespace.netconf()}
    everything = {(n.family, n.ifindex) for n in requester.neighbor_parameters()}
    assert everything >= there | {(family, 0) for family in numbers.values()}


def test_timers_of_one_interface_cost_no_parsing_of_others(
    namespace: Namespace, requester: Requester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first, the last and those between are found by index, and next to no other is parsed."""
    namespace.batch(f"link add name a{i} type veth peer name b{i}" for i in range(150))
    namespace.sysctl("ipv6/neigh/b149/base_reachable_time_ms", 4320)
    namespace.sysctl("ipv4/neigh/lo/base_reachable_time_ms", 1240)
    parsed, parse = [], nl.parse_neighbor_table

    def watched(data: bytes, start: int, end: int) -> nl.NeighborParameters | None:
        parsed.append(parse(data, start, end))
        return parsed[-1]

    monkeypatch.setattr(nl, "parse_neighbor_table", watched)
    for name, family, milliseconds in (
        ("lo", nl.AF_INET, 1240),
        ("lo", nl.AF_INET6, 30000),
        ("a70", nl.AF_INET, 30000),
        ("b149", nl.AF_INET6, 4320),
    ):
        parsed.clear()
        index = namespace.index(name)
        with namespace.enter(), closing(Requester()) as asking:
            found = asking.neighbor_parameters_of(family, index)
        assert found is not None
        assert (found.family, found.ifindex, found.base_reachable_ms) == (
            family,
            index,
            milliseconds,
        )
        assert len(parsed) < 10  # of 302; the bytes of an index may also be those of a timer
    assert requester.neighbor_parameters_of(nl.AF_INET, 4711) is None


def test_a_refused_request_raises_the_kernels_errno(
    requester: Requester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only "no such device" means absence; the rest is an error."""
    monkeypatch.setattr(nl, "RTM_GETLINK", 0x7FFF)
    with pytest.raises(OSError, match="not supported"):
        requester.link(1)


def test_namespaces_are_told_apart(namespace: Namespace, requester: Requester) -> None:
    """Two sockets of one namespace have the same number, those of two have two."""
    with namespace.enter(), closing(Requester()) as second:
        assert second.namespace_id == requester.namespace_id
    with Namespace() as other, other.enter(), closing(Requester()) as elsewhere:
        assert elsewhere.namespace_id != requester.namespace_id


def test_namespaces_are_told_apart_before_linux_5_14(
    namespace: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without SO_NETNS_COOKIE it is the inode of the thread's namespace, as a socket is made."""
    monkeypatch.setattr("exporter.bindings.rtnetlink_socket._SO_NETNS_COOKIE", 0x7FFF)
    inode = os.stat(f"/run/netns/{namespace.name}").st_ino
    with namespace.enter(), subscribe([], 1 << 16)[0] as listener:
        assert namespace_id(listener) == inode
    with namespace.enter():
        requester = Requester()
    with closing(requester), Namespace() as other, other.enter():
        assert requester.namespace_id == inode


def test_a_refused_subscription_leaves_no_socket_open(namespace: Namespace) -> None:
    """A group that the kernel does not have is an error, and the socket is closed again."""
    with namespace.enter():
        before = len(os.listdir("/proc/self/fd"))
        with pytest.raises(OSError, match="Invalid argument"):
            subscribe([nl.RTNLGRP_LINK, 1 << 20], 1 << 16)
        assert len(os.listdir("/proc/self/fd")) == before


def test_a_dump_that_a_change_interrupts_is_repeated(
    namespace: Namespace, requester: Requester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A link that comes or goes in the middle of a dump costs no other link its place.

    However often it happens, there is a result, with all the links that were there throughout.
    """
    # 61 links need three datagrams; the kernel is one ahead of the reader.
    namespace.batch(f"link add name a{i} type veth peer name b{i}" for i in range(30))
    lasting = {name.encode() for name in namespace.links()}
    parse, dumps = nl.parse_link, []

    def interrupt(data: bytes, start: int, end: int) -> nl.LinkMessage | None:
        link = parse(data, start, end)
        assert link is not None
        if link.name == b"lo":
            dumps.append(link)
            namespace.ip("link add name late type ifb")
            namespace.ip("link del late")
        return link

    monkeypatch.setattr(nl, "parse_link", interrupt)
    found = {link.name for link in requester.links()}
    assert len(dumps) == rtnetlink_socket._DUMP_TRIES
    assert lasting <= found <= lasting | {b"late"}
    monkeypatch.setattr(nl, "parse_link", parse)
    assert {link.name for link in requester.links()} == lasting
