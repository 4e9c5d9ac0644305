"""Which format and coding a client gets, given its headers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.exposition.negotiation import Format, accepts_gzip, negotiate

OM = "application/openmetrics-text"
PROTOBUF = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily"

# As the servers send them (scrape/scrape.go, config/config.go of each release).
PROMETHEUS_2_42 = (
    f"{OM};version=1.0.0,{OM};version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_2_53 = (
    f"{OM};version=1.0.0;q=0.5,{OM};version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
PROMETHEUS_3_5 = (
    f"{OM};version=1.0.0;escaping=allow-utf-8;q=0.5,{OM};version=0.0.1;q=0.4,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
)
PROMETHEUS_3_NATIVE = f"{PROTOBUF};encoding=delimited;q=0.6,{PROMETHEUS_3_5}"


@pytest.mark.parametrize(
    "accept",
    [
        PROMETHEUS_2_42,
        PROMETHEUS_2_53,
        PROMETHEUS_3_5,
        PROMETHEUS_3_NATIVE,
        OM,
        OM.upper(),
        f"{OM}; version=1.0.0; charset=utf-8",
        f'{OM};version="1.0.0"',
        f'{OM};version="1.0\\.0"',
        f"{OM}, */*",
        f"{OM};version=1.0.0, text/plain",
        f"text/plain;q=0.1, {OM}",
        "application/*, text/plain;q=0.5",
        "text/plain;q=0, */*;q=0.1",
        f"text/plain;version=1.0.0, {OM};q=0.1",
        f'x/y;a="b, text/plain;q=1", {OM};q=0.5',
    ],
)
def test_openmetrics_for_those_who_like_it_better(accept: str) -> None:
    """OpenMetrics 1.0.0 is chosen where its q is higher, or equal and it was named itself."""
    assert negotiate(accept) is Format.OPENMETRICS


@pytest.mark.parametrize(
    "accept",
    [
        "",
        "*/*",
        "text/plain",
        "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
        "text/plain;version=0.0.4;q=1,*/*;q=0.1",
        f"{OM};version=abc",
        f"{OM};version=2.0.0",
        f"{OM};version=0.0.1",
        f"{OM};version",
        f"{OM};q=0, */*",
        f"{OM};q=0.000, {OM};q=0",
        f"{OM};q=abc",
        f"{OM};q=-1",
        f"{OM};q=1e9",
        f"{OM};q=nan",
        f"{OM};q=",
        f"{OM};version=1.0.0;q=0, {OM}",
        f"{OM};q=0.1, text/plain",
        f"text/*;q=0.9, {OM};q=0.8",
        f'"{OM}"',
        ",;q=,;;=,",
        "image/png",
    ],
)
def test_text_for_everyone_else(accept: str) -> None:
    """Text is the default: for silence, ties, unknown versions, q=0 and what makes no sense."""
    assert negotiate(accept) is Format.TEXT


def test_a_q_above_one_counts_as_one() -> None:
    """A q above 1 counts as 1: q=1.9 ties with 1, and a tie means text."""
    assert negotiate(f"{OM};q=1.9, text/plain;q=1") is Format.TEXT


@given(
    st.integers(0, 1000),
    st.integers(0, 1000),
    st.permutations(["om", "text", "audio/*;q=1", PROTOBUF, "*/*;q=0.001", ""]),
)
def test_the_higher_q_wins_in_any_order(om: int, text: int, order: list[str]) -> None:
    """Of two formats that were both named, the higher q decides, wherever it stands."""
    spellings = {
        "om": f"{OM};version=1.0.0;q={om / 1000:.3f}",
        "text": f"text/plain;version=0.0.4;q={text / 1000:.3f}",
    }
    accept = ",".join(spellings.get(element, element) for element in order)
    assert negotiate(accept) is (Format.OPENMETRICS if om > text else Format.TEXT)


@pytest.mark.parametrize(
    ("accept_encoding", "compressed"),
    [
        ("gzip", True),
        ("GZip;q=0.5", True),
        ("x-gzip", True),
        ("deflate, gzip;q=1.0, *;q=0.5", True),
        ("br, *", True),
        ("gzip, identity", True),
        ("identity;q=0, gzip;q=0.1", True),
        ("", False),
        ("br, deflate", False),
        ("identity", False),
        ("gzip;q=0", False),
        ("gzip;q=0.0, *", False),
        ("*;q=0", False),
        ("gzip;q=0.2, identity;q=0.9", False),
        ("gzip;q=x", False),
        ("gzipped", False),
        ("identity;q=0", False),
    ],
)
def test_gzip_for_those_who_take_it(accept_encoding: str, compressed: bool) -> None:
    """The coding follows the q-values; silence means identity, and so does a choice of neither."""
    assert accepts_gzip(accept_encoding) is compressed


HEADERS = st.text(max_size=80) | st.text('aplicton/xmresvu;,=q.10*" \\\t\n', max_size=120)


@given(HEADERS)
def test_no_header_breaks_the_choice(header: str) -> None:
    """Whatever a client sends, there is a choice and no exception."""
    assert negotiate(header) in Format
    assert accepts_gzip(header) in (True, False)


@given(HEADERS)
def test_garbage_does_not_hide_what_follows(garbage: str) -> None:
    """An element that makes no sense is skipped, and the next one still counts."""
    garbage = garbage.replace('"', "").replace("text", "").replace("*", "")
    assert negotiate(f"{garbage}, {OM};version=1.0.0;q=0.3") is Format.OPENMETRICS
