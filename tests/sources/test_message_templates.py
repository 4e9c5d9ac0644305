"""Templates: two messages that match one differ in nothing but the numbers that it reads."""

import struct
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import messages as build
from support import recorded
from support.messages import RUNNING

from exporter.bindings import rtnetlink as nl
from exporter.sources.linux import message_templates as templates

ROOM = bytes(65536)  # what follows a datagram in the receive buffer

LINKS = [
    data
    for _, data in recorded.datagrams()
    if len(list(nl.messages(data, len(data)))) == 1 and templates.template(data, len(data))
]


def link_of(data: bytes) -> nl.LinkMessage:
    """Return the link as the plain parser reads it."""
    (message,) = nl.messages(data, len(data))
    link = nl.parse_link(data, message.start, message.end)
    assert link is not None
    return link


def numbers(link: nl.LinkMessage) -> tuple[object, ...]:
    """Return the numbers that a template reads, as the plain parser reads them."""
    counters = () if link.carrier_up is None else (link.carrier_up, link.carrier_down)
    timers = link.inet6_timers and struct.pack("=II", *link.inet6_timers)
    found = (link.flags, link.operstate, *counters, link.inet6_flags, timers)
    return tuple(b"" if number is None else number for number in found)


def rest(link: nl.LinkMessage) -> nl.LinkMessage:
    """Return the link without these numbers."""
    numbers = ("operstate", "carrier_up", "carrier_down", "inet6_flags", "inet6_timers")
    return link._replace(flags=0, **dict.fromkeys(numbers))


@cache
def template_of(data: bytes) -> templates.Template:
    """Return the template of a datagram that has one."""
    template = templates.template(data, len(data))
    assert template is not None
    return template


def agree(data: bytes, other: bytes) -> bool:
    """Return whether `other` matches the template of `data`, and require that it reads right."""
    template = template_of(data)
    if templates.read_key(other + ROOM) != templates.read_key(data) or len(other) != len(data):
        return False
    if template.fixed_parts(other + ROOM) != template.expected:
        return False
    walked = link_of(other)
    assert rest(walked) == rest(link_of(data))
    assert template.values(other + ROOM) == numbers(walked)
    return True


def test_the_recording_has_templates_of_both_kinds() -> None:
    """Recorded link messages of both families have templates, which the other tests need."""
    links = [data for data in LINKS if data[4] == nl.RTM_NEWLINK]
    assert {data[16] for data in links} == {nl.AF_UNSPEC, nl.AF_INET6}
    assert len(links) > 20
    assert {data[4] for data in LINKS} >= {nl.RTM_NEWADDR, nl.RTM_DELADDR}


@pytest.mark.parametrize("data", [data for data in LINKS if data[4] == nl.RTM_NEWLINK])
def test_a_message_matches_itself(data: bytes) -> None:
    """The first repetition of any recorded message is recognized, and read right."""
    assert agree(data, data)


def edited(data: bytes, edits: list[tuple[int, int]]) -> bytes:
    """Return the datagram with bytes overwritten."""
    out = bytearray(data)
    for position, value in edits:
        out[position % len(out)] = value
    return bytes(out)


EDITS = st.lists(st.tuples(st.integers(0, 2**16), st.integers(0, 255)), max_size=3)


@given(st.sampled_from([d for d in LINKS if d[4] == nl.RTM_NEWLINK]), EDITS, st.integers(0, 7))
@settings(max_examples=500)
def test_a_match_reads_what_the_parser_reads(
    data: bytes, edits: list[tuple[int, int]], cut: int
) -> None:
    """With any bytes overwritten or cut off, it does not match, or the parser reads the same."""
    other = edited(data, edits)
    agree(data, other[: len(other) - cut])


@pytest.mark.parametrize("data", [d for d in LINKS if d[4] == nl.RTM_NEWLINK])
def test_every_byte_is_compared_or_irrelevant(data: bytes) -> None:
    """With any single byte changed, it does not match, or the parser reads the same."""
    matching = sum(
        agree(data, edited(data, [(place, data[place] ^ 0xFF)])) for place in range(len(data))
    )
    # Flags and their mask, counters, statistics: more than a third of a veth's message.
    assert matching >= 8


@given(
    st.integers(0, 2**32 - 1),
    st.integers(0, 255),
    st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**32 - 1),
)
def test_what_a_flap_changes_matches(
    flags: int, operstate: int, counts: tuple[int, int], flags6: int, reachable_ms: int
) -> None:
    """Any flags, operstate, carrier counters, IPv6 flags and timers match the same template."""
    numbers = {
        "flags": flags,
        "operstate": operstate,
        "counts": counts,
        "flags6": flags6,
        "reachable_ms": reachable_ms,
    }
    data, other = (
        build.datagram((nl.RTM_NEWLINK, build.link(3, **facts))) for facts in ({}, numbers)
    )
    assert agree(data, other)


@given(st.binary(max_size=400))
def test_random_bytes_have_no_template_or_a_harmless_one(data: bytes) -> None:
    """Nothing raises, whatever comes."""
    templates.template(data, len(data))
    for kind in (nl.RTM_NEWLINK, nl.RTM_DELADDR):
        whole = build.datagram((kind, data))
        made = templates.template(whole, len(whole))
        if made is not None:
            assert made.fixed_parts(whole + ROOM) == made.expected


def test_messages_without_counters_have_templates() -> None:
    """Kernels before 4.16 have none."""
    first, second = (
        build.datagram((nl.RTM_NEWLINK, build.link(3, flags=flags, counts=None)))
        for flags in (0, RUNNING)
    )
    assert agree(first, second)
    assert not template_of(first).counted


@pytest.mark.parametrize("odd", [
    build.datagram((nl.RTM_NEWLINK, build.link(3)), (nl.RTM_NEWLINK, build.link(4))),
    build.datagram((nl.RTM_DELLINK, build.link(3))),
    build.datagram((nl.RTM_NEWLINK, build.link(3, family=nl.AF_BRIDGE))),
    build.datagram((nl.RTM_NEWLINK, build.link(3) + build.u32(nl.IFLA_CARRIER_UP_COUNT, 1)[:6])),
    build.datagram((nl.RTM_NEWNETCONF, build.netconf(nl.AF_INET, 3))),
    build.datagram((nl.RTM_NEWADDR, build.address(nl.AF_INET, 3)), sequence=7, port=4711),
    b"",
])  # fmt: skip
def test_an_unusual_layout_has_no_template(odd: bytes) -> None:
    """Several messages, other types or families, broken counters, replies: no template."""
    assert templates.template(odd, len(odd)) is None
