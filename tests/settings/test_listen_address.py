"""Listen addresses as people write them, and sockets passed by systemd."""

import os
import socket
import subprocess
import sys
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.agent.systemd import passed_sockets
from exporter.errors import SettingsError
from exporter.settings.listen_address import parse_listen_address


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        (":10190", "", 10190),
        (":0", "", 0),
        (":65535", "", 65535),
        ("127.0.0.1:1", "127.0.0.1", 1),
        ("0.0.0.0:80", "0.0.0.0", 80),
        ("[::1]:80", "::1", 80),
        ("[::]:80", "::", 80),
        ("[fe80::1%eth0]:80", "fe80::1%eth0", 80),
        ("localhost:80", "localhost", 80),
        ("host-1.example.com:80", "host-1.example.com", 80),
    ],
)
def test_listen_address_that_people_write(text: str, host: str, port: int) -> None:
    """The usual ways to write a listen address are understood; no host means all addresses."""
    assert parse_listen_address(text) == (host, port)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "has no port"),
        ("10190", "has no port"),
        ("127.0.0.1", "has no port"),
        ("[::1]", "has no port"),
        (":", "the port must be 0 to 65535"),
        (":65536", "the port must be 0 to 65535"),
        (":-1", "the port must be 0 to 65535"),
        (":http", "the port must be 0 to 65535"),
        (":٣", "the port must be 0 to 65535"),
        (":000080", "the port must be 0 to 65535"),
        ("::1:80", "an IPv6 address needs brackets"),
        ("fe80::1", "an IPv6 address needs brackets"),
        ("[::g]:80", "is not an IPv6 address"),
        ("[127.0.0.1]:80", "is not an IPv6 address"),
        ("[]:80", "is not an IPv6 address"),
        ("256.1.1.1:80", "is not an IPv4 address"),
        ("1:80", "is not an IPv4 address"),
        ("http://localhost:80", "is not a host"),
        ("*:80", "is not a host"),
        ("-a:80", "is not a host"),
        ("a b:80", "is not a host"),
        ("a\n:80", "is not a host"),
        ("ü:80", "is not a host"),
    ],
)
def test_what_is_no_listen_address_is_refused(text: str, reason: str) -> None:
    """Each wrong address is an error that says what is wrong and what would be right."""
    with pytest.raises(ValueError, match=r"write for example :10190, ") as raised:
        parse_listen_address(text)
    assert reason in str(raised.value)
    assert str(raised.value).isprintable()


@given(st.ip_addresses(), st.integers(0, 65535))
def test_any_ip_address_and_port_survive(address: object, port: int) -> None:
    """Every IPv4 and IPv6 address with a port reads back as itself."""
    host = str(address)
    text = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    assert parse_listen_address(text) == (host, port)


@given(st.text() | st.text("[]:.%0123456789abf"))
def test_any_text_gives_an_address_or_a_value_error(text: str) -> None:
    """No text makes the parser fail in another way."""
    host, port, message = "", 0, ""
    try:
        host, port = parse_listen_address(text)
    except ValueError as error:
        message = str(error)
    assert 0 <= port <= 65535
    assert (host + message).isprintable()


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"LISTEN_FDS": "1"},
        {"LISTEN_PID": "1", "LISTEN_FDS": "1"},
        {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "0"},
        {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "-1"},
        {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "many"},
    ],
)
@pytest.mark.skipif(sys.platform != "linux", reason="systemd is a matter of Linux")
def test_no_passed_socket_is_an_error(variables: dict[str, str]) -> None:
    """Without sockets meant for this very process there is nothing to serve on: an error."""
    environment = {**variables, "OTHER": "1"}
    with pytest.raises(SettingsError, match=r"^--web\.systemd-socket: systemd passed no socket"):
        passed_sockets(environment)
    assert environment == {"OTHER": "1"}, "children must not believe that it is meant for them"


_RECEIVER = """
import os
from exporter.agent.systemd import passed_sockets
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
try:
    sock, = passed_sockets()
    print(sock.getsockname()[1], os.get_inheritable(sock.fileno()), "LISTEN_FDS" in os.environ)
except ValueError as error:
    print(error)
"""


@pytest.mark.parametrize("listening", [True, False])
@pytest.mark.skipif(sys.platform != "linux", reason="systemd is a matter of Linux")
def test_passed_sockets_are_taken(listening: bool) -> None:
    """A listening socket at descriptor 3 is used and not inherited further; another is refused."""
    with closing(socket.socket()) as sock:
        sock.bind(("127.0.0.1", 0))
        if listening:
            sock.listen()
        shell = f"exec 3<&{sock.fileno()}; exec {sys.executable} -c '{_RECEIVER}'"
        done = subprocess.run(
            ["bash", "-c", shell],
            pass_fds=[sock.fileno()],
            capture_output=True,
            text=True,
            check=True,
        )
        expected = f"{sock.getsockname()[1]} False False"
        refused = "--web.systemd-socket: file descriptor 3 is not a listening TCP socket: "
        assert done.stdout.startswith(expected if listening else refused)
