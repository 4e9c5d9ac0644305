"""The layout of our structures is that of the C headers, on every system."""

from __future__ import annotations

import ctypes
import json
from pathlib import Path

import pytest

from exporter.bindings import netioapi, winerror

ABI = json.loads((Path(__file__).parents[1] / "data" / "abi.json").read_text())

pytestmark = pytest.mark.skipif(
    ctypes.alignment(ctypes.c_uint64) != 8,
    reason="on this system 64-bit integers are aligned otherwise than on any Windows",
)


@pytest.mark.parametrize("name", ABI["structures"])
def test_structure(name: str) -> None:
    """A structure has the size, alignment, member order, offsets and member sizes of C."""
    expected = ABI["structures"][name]
    structure = getattr(netioapi, name)
    assert ctypes.sizeof(structure) == expected["sizeof"]
    assert ctypes.alignment(structure) == expected["align"]
    for member, place in expected["members"].items():
        field = getattr(structure, member)
        assert [field.offset, field.size] == place, member


def test_every_member_is_checked() -> None:
    """No structure of ours has a member that the table above leaves out, bit fields excepted."""
    without_offsets = {"NL_INTERFACE_OFFLOAD_ROD"}
    for name in ABI["structures"].keys() - without_offsets:
        ours = {field[0] for field in getattr(netioapi, name)._fields_}
        assert ours - {"Info"} == ABI["structures"][name]["members"].keys()


@pytest.mark.parametrize("name", ABI["enumerations"])
def test_enumeration(name: str) -> None:
    """An enumeration has the names and numbers of C."""
    ours = {member.name: int(member) for member in getattr(netioapi, name)}
    assert ours == ABI["enumerations"][name]


@pytest.mark.parametrize("name", ABI["constants"])
def test_constant(name: str) -> None:
    """A constant has the value of C."""
    module = netioapi if hasattr(netioapi, name) else winerror
    assert getattr(module, name) == ABI["constants"][name]


def test_enumerated_members_have_the_size_of_an_enumeration() -> None:
    """Members that hold an enumeration are as wide as one in C."""
    enumerated = {
        netioapi.MIB_IPINTERFACE_ROW: ["RouterDiscoveryBehavior", "LinkLocalAddressBehavior"],
        netioapi.MIB_IF_ROW2: ["TunnelType", "OperStatus", "AdminStatus", "ConnectionType"],
    }
    for structure, members in enumerated.items():
        for member in members:
            assert getattr(structure, member).size == ABI["enumeration_size"]


def test_luid_parts() -> None:
    """A LUID's type and index lie where the documentation says: bits 48 to 63 and 24 to 47."""
    luid = netioapi.NET_LUID(Value=0x0006_000003_000000)
    assert (luid.Info.IfType, luid.Info.NetLuidIndex, luid.Info.Reserved) == (6, 3, 0)


def test_flag_bits_count_from_the_lowest() -> None:
    """The first flag of a byte of flags is bit 0, as every Windows compiler has it."""
    offload = netioapi.NL_INTERFACE_OFFLOAD_ROD(NlChecksumSupported=1, FastPathCompatible=1)
    assert bytes(offload) == bytes([0b0010_0001])
    flags = netioapi.INTERFACE_AND_OPER_STATUS_FLAGS(HardwareInterface=1, EndPointInterface=1)
    assert bytes(flags) == bytes([0b1000_0001])


def test_guid_is_written_as_windows_writes_it() -> None:
    """A GUID's text is upper case, in braces, its first three parts in native byte order."""
    guid = netioapi.GUID(0x4D36E972, 0xE325, 0x11CE, (0xBF, 0xC1, 8, 0, 0x2B, 0xE1, 3, 0x18))
    assert str(guid) == "{4D36E972-E325-11CE-BFC1-08002BE10318}"


@pytest.mark.parametrize(
    ("encoded", "text"),
    [
        ("Ethernet 2\0garbage".encode("utf-16-le"), "Ethernet 2"),
        ("以太网 😀".encode("utf-16-le"), "以太网 😀"),
        (b"\x3d\xd8A\0", "\ufffdA"),  # half a surrogate pair
        ("x".encode("utf-16-le") * 257, "x" * 257),  # no zero at all
    ],
)
def test_decode_string(encoded: bytes, text: str) -> None:
    """A string ends at its zero or at the end of the array, and is always valid text."""
    array = (ctypes.c_uint16 * 257)()
    ctypes.memmove(array, encoded, len(encoded))
    assert netioapi.decode_string(array) == text
