"""The page for a person at the machine."""

import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.model import (
    Family,
    Interface,
    InterfaceRow,
    Link,
    Notification,
    NotificationType,
)
from exporter.monitor.history import DisplayState, StateChange
from exporter.site.landing import HEADERS, render_page
from exporter.site.landing_data import FamilyCount, InterfaceLine, LandingData

VOID = {"meta", "link", "br"}
LatestChange = tuple[Notification, str, StateChange]


class Page(HTMLParser):
    """A page, read the way a browser would: strictly nested, or the test fails."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[list[str]] = []
        self.text = ""
        self.feed(page.decode())
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take note."""
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        """Only the innermost element may end."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Text belongs to the page, and to a cell if in one."""
        self.text += data
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data


def landing_data(
    *lines: InterfaceLine, confirmed: bool = True, overruns: int | None = 0
) -> LandingData:
    """Return the data of a landing page."""
    counts = [FamilyCount("ipv4", 12, 7), FamilyCount("ipv6", 3, 2)]
    return LandingData(
        1.7e9, "1.2.3", "rtnetlink", "net:[1]", confirmed, overruns, counts, lines, "host-1"
    )


def read(*lines: InterfaceLine, **health: bool | int | None) -> Page:
    """The page, parsed."""
    return Page(render_page(landing_data(*lines, **health), "/metrics"))  # type: ignore[arg-type]


def line(device: str = "eth0", connected: bool | None = True, **facts: object) -> InterfaceLine:
    """An interface."""
    known: dict[str, object] = {
        "family": "ipv4",
        "index": "2",
        "luid": "0x0006000002000000",
        "switched_off": False,
        "reason": "",
        "notifications": 1234567,
        "transitions": 14,
        "state_seconds": 3725.0,
    }
    return InterfaceLine(device=device, connected=connected, **known | facts)  # type: ignore[arg-type]


def test_the_page_says_what_it_is_about() -> None:
    """Host, version, backend, namespace, moment and the numbers by family are all there."""
    text = read(line()).text
    for fact in ("host-1", "1.2.3", "rtnetlink", "net:[1]", "2023-11-14 22:13:20 UTC"):
        assert fact in text
    assert re.search(r"IPv4 interfaces\s*12\s*7 connected", text)
    assert re.search(r"IPv6 interfaces\s*3\s*2 connected", text)


def test_each_interface_is_a_row() -> None:
    """An interface's facts stand in its row, in the order of the columns."""
    page = read(line("eth0"), line("eth0", family="ipv6"), line("wlan0", False, state_seconds=42.9))
    head, *rows = page.rows
    assert head[:6] == ["Interface", "Family", "State", "For", "Transitions", "Notifications"]
    assert [row[:3] for row in rows] == [
        ["eth0", "IPv4", "connected"],
        ["eth0", "IPv6", "connected"],
        ["wlan0", "IPv4", "disconnected"],
    ]
    plain = [cell.replace("\u202f", " ") for cell in rows[0][3:]]
    assert plain == ["1 h 2 min", "14", "1 234 567", "2", "0x0006000002000000"]
    assert rows[2][3] == "42\u202fs"


def test_switched_off_is_not_disconnected() -> None:
    """The page tells apart what somebody switched off and what lost the network, and how."""
    page = read(
        line("a", False, switched_off=True, reason="down"),
        line("b", False, reason="no carrier"),
        line("c", False),
        line("d", True, reason="down"),
    )
    states = [row[2] for row in page.rows[1:]]
    assert states == ["switched off", "disconnected no carrier", "disconnected", "connected"]


@pytest.mark.parametrize(
    ("health", "says", "mood"),
    [
        ({}, "No notification was lost", "good"),
        ({"overruns": None}, "The system reports every change.", "good"),
        ({"overruns": 1}, "lost once", "warn"),
        ({"overruns": 3}, "lost 3 times", "warn"),
        ({"confirmed": False}, "not confirmed", "bad"),
        ({"confirmed": False, "overruns": 3}, "not confirmed", "bad"),
    ],
)
def test_health_comes_first(health: dict[str, int | None], says: str, mood: str) -> None:
    """The page says whether the system confirmed, and whether anything was lost."""
    page = read(line(), **health)
    assert says in page.text
    assert ("p", {"class": f"health {mood}"}) in page.tags
    assert page.text.index(says) < page.text.index("eth0")


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (None, "–"),
        (0.0, "< 1 s"),
        (59.9, "59 s"),
        (60.0, "1 min"),
        (3599.0, "59 min 59 s"),
        (3600.0, "1 h"),
        (90061.0, "1 d 1 h"),
        (86400.0 * 400, "400 d"),
    ],
)
def test_durations_are_short(seconds: float | None, shown: str) -> None:
    """Time in state has at most two units, the largest first; what is unknown is a dash."""
    assert read(line(state_seconds=seconds)).rows[1][3].replace("\u202f", " ") == shown


def test_what_is_gone_or_shared_says_so() -> None:
    """A departed interface is gone; a row that stands for several has no identity to show."""
    page = read(line("a", None), line("b", None, luid="", index="", state_seconds=None))
    assert page.rows[1][2] == "gone"
    assert page.rows[2][2:4] == ["several", "–"]
    assert page.rows[2][-2:] == ["–", "–"]


def test_without_interfaces_there_is_a_sentence() -> None:
    """An empty table is a sentence instead."""
    page = read()
    assert "There is no IP interface." in page.text
    assert "table" not in dict(page.tags)


def test_the_table_can_be_read_aloud() -> None:
    """Columns and rows have headers with a scope, the table a caption, the page a language."""
    tags = read(line()).tags
    scopes = [attributes["scope"] for tag, attributes in tags if tag == "th"]
    assert scopes == ["col"] * 8 + ["row"]
    names = [tag for tag, _ in tags]
    assert {"caption", "h1", "main", "header", "footer", "nav"} <= set(names)
    assert ("html", {"lang": "en"}) in tags


def test_nothing_comes_from_elsewhere() -> None:
    """No image, no address of another server: the page is one file, with a script of its own."""
    tags = read(line()).tags
    assert not {"img", "link", "iframe", "object"} & {tag for tag, _ in tags}
    assert [attributes for tag, attributes in tags if tag == "script"] == [{}]
    links = [attributes["href"] for tag, attributes in tags if tag == "a"]
    assert links == ["?range=15m", "?range=6h", "./metrics", "./-/healthy", "./-/ready"]
    allowed = {"href", "class", "scope", "lang", "charset", "name", "content", "datetime", "id"}
    allowed |= {"tabindex", "role", "aria-label", "aria-labelledby", "hidden"}
    allowed |= {"data-live", "data-etag", "data-time", "data-since"}
    allowed |= {"aria-hidden", "x", "x1", "x2", "y", "y2", "d", "width", "height", "patternunits"}
    assert {name for _, attributes in tags for name in attributes} <= allowed


def test_the_policy_allows_this_style_and_nothing_else() -> None:
    """The hash in the content security policy is that of the page's own style element."""
    page = render_page(landing_data(), "/metrics").decode()
    style = page.partition("<style>")[2].partition("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    headers = dict(HEADERS)
    policy = headers["Content-Security-Policy"].split("; ")
    assert policy[:2] == ["default-src 'none'", f"style-src 'sha256-{digest}'"]
    script = page.partition("<script>")[2].partition("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy[2:4] == [f"script-src 'sha256-{digest}'", "connect-src 'self'"]
    assert "frame-ancestors 'none'" in policy
    assert headers["X-Content-Type-Options"] == "nosniff"


HOSTILE = ['<script>alert("1")</script>', "</table>", "<!--", "&lt;", "'\"><a href=//x>", "]]>"]


@given(
    st.sampled_from(HOSTILE) | st.text(min_size=1) | st.text("<>&\"'/=!-abc", min_size=1),
    st.sampled_from(["device", "family", "index", "luid"]),
)
def test_no_name_escapes_its_cell(name: str, where: str) -> None:
    """Whatever an interface is called, the page has the same elements, and the name as text."""
    expected = [(tag, set(attributes)) for tag, attributes in read(line()).tags]
    page = read(line(**{where: name}))
    assert [(tag, set(attributes)) for tag, attributes in page.tags] == expected
    if where == "device" and name.isprintable():
        assert page.rows[1][0] == name


@given(st.text(), st.text())
def test_no_other_text_escapes_either(host: str, namespace: str) -> None:
    """Host name and namespace are escaped like any name."""
    data = LandingData(1.7e9, host, host, namespace, True, 0, host=host)
    tags = [tag for tag, _ in Page(render_page(data, "/metrics")).tags]
    counts = [tag for tag, _ in read().tags]
    begin, end = counts.index("dl"), counts.index("section")
    assert tags == counts[:begin] + counts[end:]


@pytest.mark.parametrize("path", ["/metrics", "/a b", '/"><script>', "/javascript:x", "/ü?#"])
def test_the_link_leads_to_the_metrics(path: str) -> None:
    """The link is relative (a proxy may add a prefix) and quotes what a path may contain."""
    page = Page(render_page(landing_data(), path))
    links = [attributes["href"] for tag, attributes in page.tags if tag == "a"]
    link = links[2]  # after those of the range
    assert re.fullmatch(r"\./[A-Za-z0-9%/._-]*", link or "")


def test_invisible_characters_can_be_seen() -> None:
    """Control and direction marks are shown, so that no name passes for another."""
    page = read(line("eth0\n\x00\x7f"), line("eth0\u202e"), line("eth0\u200b"))
    names = [row[0] for row in page.rows[1:]]
    assert sorted(names) == sorted(["eth0␊␀␡", "eth0\ufffd", "eth0\ufffd"])


def test_what_is_quiet_and_virtual_folds_away() -> None:
    """It is one click away, and says how much more there is."""
    data = replace(landing_data(line("eth0")), quiet=[line("veth1")], more_quiet=3999)
    page = Page(render_page(data, "/metrics"))
    assert "4\u202f000 interfaces that are quiet and virtual" in page.text
    assert [row[0] for row in page.rows if row[0] in ("eth0", "veth1")] == ["eth0", "veth1"]
    assert "3\u202f999 more" in page.text
    assert "details" in [tag for tag, _ in page.tags]


def change(of: Interface, device: str, time: float, *, connected: bool = False) -> LatestChange:
    """A disconnection, or a connection."""
    states = (DisplayState.CONNECTED, DisplayState.DISCONNECTED)
    change = StateChange(*(reversed(states) if connected else states))
    n = Notification(NotificationType.PARAMETER, of.family, 3, 3, time, time, of)
    return n, device, change


def test_a_change_of_both_families_is_one_row() -> None:
    """The kernel notifies a change of a link for each family; flaps are shown separately."""
    four, six = (
        Interface(family, 3, 3, Link("eth0"), InterfaceRow(connected=False))
        for family in (Family.IPV4, Family.IPV6)
    )
    now = 1.7e9
    latest = [
        change(four, "eth0", now - 86400.0),
        change(four, "eth0", now - 2.0),
        change(four, "eth1", now - 2.0),
        change(six, "eth0", now - 1.999),
        change(six, "eth1", now - 1.999),
        change(four, "eth0", now - 1.5, connected=True),
        change(four, "eth0", now - 1.0),
    ]
    page = Page(render_page(replace(landing_data(), latest=latest), "/metrics"))
    assert [row[:4] for row in page.rows[1:]] == [
        ["22:13:19.000", "eth0", "IPv4", "disconnected"],
        ["22:13:18.500", "eth0", "IPv4", "connected"],
        ["22:13:18.001", "eth1", "IPv4, IPv6", "disconnected"],
        ["22:13:18.001", "eth0", "IPv4, IPv6", "disconnected"],
        ["2023-11-13 22:13:20.000", "eth0", "IPv4", "disconnected"],
    ]
