"""TLS as a web configuration asks for it: versions, suites, curves, client certificates."""

import logging
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
import trustme
from configured import TLS, Site, configured, replace
from cryptography import x509
from hypothesis import given, settings
from hypothesis import strategies as st
from serving import GET
from support import certificates
from support.waiting import DEADLINE, NEVER, wait_until, without_waiting

from exporter.errors import SettingsError
from exporter.web.admission import Limits
from exporter.web.http_message import Request, Response

V = ssl.TLSVersion
CLIENT_AUTH = ", client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca.pem"
ECDSA_128, ECDSA_256 = "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384"
#: Their names in Go.
GO_128 = "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"
GO_256 = "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"


def secured(site: Site, context: ssl.SSLContext) -> ssl.SSLSocket:
    """A connection with its handshake done. Raises OSError."""
    plain = socket.create_connection(("127.0.0.1", site.port), timeout=DEADLINE)
    try:
        return context.wrap_socket(plain, server_hostname="localhost")
    except BaseException:
        plain.close()
        raise


def refusal(site: Site, context: ssl.SSLContext) -> str:
    """Return the TLS alert that a refused client gets, lower case; empty if it is served.

    With TLS 1.3 a client learns only after its handshake that it was not let in.
    """
    try:
        with secured(site, context) as client:
            client.sendall(GET)
            return "" if client.recv(100) else "closed"
    except ssl.SSLError as error:
        return (error.reason or str(error)).lower().replace("_", " ")


# -- versions, suites, curves ------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
@pytest.mark.parametrize(
    ("options", "version", "served"),
    [
        ("", V.TLSv1_3, True),
        ("", V.TLSv1_2, True),
        ("", V.TLSv1_1, False),
        (", min_version: TLS13", V.TLSv1_3, True),
        (", min_version: TLS13", V.TLSv1_2, False),
        (", max_version: TLS12", V.TLSv1_2, True),
        (", max_version: TLS12", V.TLSv1_3, False),
        (", min_version: TLS11", V.TLSv1_1, True),
        (", min_version: TLS11", V.TLSv1, False),
        (", min_version: TLS10, max_version: TLS10", V.TLSv1, True),
        # Suites of TLS 1.3 alone leave older versions without any, as in Go.
        (", cipher_suites: [TLS_AES_128_GCM_SHA256]", V.TLSv1_3, True),
        (", cipher_suites: [TLS_AES_128_GCM_SHA256]", V.TLSv1_2, False),
    ],
)
def test_only_the_versions_allowed_are_spoken(
    options: str, version: ssl.TLSVersion, served: bool, folder: Path
) -> None:
    """A client of a version outside min_version to max_version gets an alert, others are served."""
    with configured(folder, TLS % options) as site:
        context = site.client(minimum_version=V.TLSv1, maximum_version=version)
        context.minimum_version = version
        if version < V.TLSv1_2:
            context.set_ciphers("@SECLEVEL=0:ALL")
        alert = refusal(site, context)
        assert alert == ("" if served else "tlsv1 alert protocol version")


@pytest.mark.parametrize(
    ("options", "offered", "chosen"),
    [
        (f"cipher_suites: [{GO_128}, {GO_256}]", (ECDSA_256, ECDSA_128), ECDSA_128),
        (f"cipher_suites: [{GO_256}, {GO_128}]", (ECDSA_128, ECDSA_256), ECDSA_256),
        (
            f"cipher_suites: [{GO_256}, {GO_128}], prefer_server_cipher_suites: false",
            (ECDSA_128, ECDSA_256),
            ECDSA_128,
        ),
        (f"cipher_suites: [TLS_AES_128_GCM_SHA256, {GO_128}]", (ECDSA_128,), ECDSA_128),
        (f"cipher_suites: [{GO_256}]", (ECDSA_128,), None),
    ],
)
def test_suites_are_those_listed_in_the_order_asked_for(
    options: str, offered: tuple[str, ...], chosen: str | None, folder: Path
) -> None:
    """Up to TLS 1.2 a suite is taken from the list, by the server's order or the client's."""
    with configured(folder, TLS % f", {options}") as site:
        context = site.client(maximum_version=V.TLSv1_2)
        context.set_ciphers(":".join(offered))
        if chosen is None:
            assert refusal(site, context) == "sslv3 alert handshake failure"
            return
        with secured(site, context) as client:
            cipher = client.cipher()
        assert cipher is not None
        assert cipher[0] == chosen


@pytest.mark.parametrize("version", [V.TLSv1_2, V.TLSv1_3])
def test_only_the_first_curve_is_used_and_said_to_be(
    version: ssl.TLSVersion, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A client without the first curve is refused; the log says that the others do not count."""
    # RSA: the curve of an ECDSA certificate would have a say, too.
    authority = trustme.CA(key_type=trustme.KeyType.RSA)
    authority.cert_pem.write_to_path(folder / "ca.pem")
    issued = authority.issue_cert("localhost", key_type=trustme.KeyType.RSA)
    certificates.write_pair(folder, "server", issued)
    with configured(folder, TLS % ", curve_preferences: [CurveP384, CurveP521]") as site:
        for curve, served in (("secp384r1", True), ("secp521r1", False), ("prime256v1", False)):
            context = site.client(maximum_version=version)
            context.set_ecdh_curve(curve)
            context.set_ciphers("ECDHE")  # a key exchange without any curve would do, too
            alert = refusal(site, context)
            assert alert == ("" if served else "sslv3 alert handshake failure")
    assert [r.levelname for r in caplog.records if "curve" in r.getMessage()] == ["WARNING"]


def test_a_curve_that_python_cannot_use_gives_way_to_the_next(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CPython 3.11.2 has no X25519: the next that was asked for is used, and one must be."""
    choose = ssl.SSLContext.set_ecdh_curve

    def set_ecdh_curve(self: ssl.SSLContext, name: str) -> None:
        if name == "X25519":
            raise ssl.SSLError("unknown group")
        choose(self, name)

    monkeypatch.setattr(ssl.SSLContext, "set_ecdh_curve", set_ecdh_curve)
    with configured(folder, TLS % ", curve_preferences: [X25519, CurveP384]") as site:
        context = site.client()
        choose(context, "secp384r1")
        assert refusal(site, context) == ""
    with (
        pytest.raises(SettingsError, match="none of the curve_preferences: add CurveP256"),
        configured(folder, TLS % ", curve_preferences: [X25519]"),
    ):
        pass


# -- client certificates -----------------------------------------------------------------

REQUIRED, UNKNOWN = "tlsv13 alert certificate required", "tlsv1 alert unknown ca"


@pytest.mark.parametrize(
    ("policy", "certificate", "alert"),
    [
        ("NoClientCert", "", ""),
        ("NoClientCert", "stranger", ""),
        ("VerifyClientCertIfGiven", "", ""),
        ("VerifyClientCertIfGiven", "client", ""),
        ("VerifyClientCertIfGiven", "stranger", UNKNOWN),
        ("RequireAndVerifyClientCert", "", REQUIRED),
        ("RequireAndVerifyClientCert", "client", ""),
        ("RequireAndVerifyClientCert", "stranger", UNKNOWN),
    ],
)
def test_clients_are_let_in_by_their_certificate(
    policy: str, certificate: str, alert: str, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Each policy serves whom it should; the others get an alert, and the log has it."""
    authority = "" if policy == "NoClientCert" else ", client_ca_file: ca.pem"
    with configured(folder, TLS % f", client_auth_type: {policy}{authority}") as site:
        assert refusal(site, site.client(certificate)) == alert
        if alert:
            wait_until(lambda: "TLS handshake failed" in caplog.text, message="a line in the log")
    assert "Traceback" not in caplog.text


def test_without_authorities_the_system_s_own_verify(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in Go: a certificate is good if its authority is one of those that the system knows."""
    asks = TLS % ", client_auth_type: RequireAndVerifyClientCert"
    with configured(folder, asks) as site:
        assert refusal(site, site.client("client")) == UNKNOWN
    monkeypatch.setenv("SSL_CERT_FILE", str(folder / "ca.pem"))  # that is where they are
    with configured(folder, asks) as site:
        assert refusal(site, site.client("client")) == ""
        assert refusal(site, site.client("stranger")) == UNKNOWN


def test_any_certificate_can_be_an_authority(folder: Path) -> None:
    """As in Go: what is in client_ca_file is trusted, be it an intermediate or a client's own."""
    child = trustme.CA().create_child_ca()
    child.cert_pem.write_to_path(folder / "child.pem")
    certificates.write_pair(folder, "grandchild", child.issue_cert("scraper.example"))
    certificates.write_self_signed(folder, "lonely", x509.DNSName("scraper.example"))
    for authority, certificate in (("child", "grandchild"), ("lonely", "lonely")):
        options = CLIENT_AUTH.replace("ca.pem", f"{authority}.pem")
        with configured(folder, TLS % options) as site:
            assert refusal(site, site.client(certificate)) == ""
            assert refusal(site, site.client("client")) == UNKNOWN


@pytest.mark.parametrize(
    ("allowed", "served"),
    [
        ("scraper.example", True),
        ("other.example, scraper.example", True),
        ("scraper@example.org", True),
        ("10.1.2.3", True),
        ("'2001:db8::1'", True),
        ("spiffe://example.org/scraper", True),
        ("'2001:0db8:0:0:0:0:0:1'", False),
        ("SCRAPER.example", False),
        ("'*.example'", False),
        ("example", False),
        ("client", False),  # the common name
        ("''", False),
        ("", False),
    ],
)
@pytest.mark.parametrize("version", [V.TLSv1_2, V.TLSv1_3])
def test_only_allowed_names_are_let_in(
    allowed: str, served: bool, version: ssl.TLSVersion, folder: Path
) -> None:
    """One of the client's alternative names must be listed, to the letter."""
    certificates.write_self_signed(
        folder,
        "client",
        x509.DNSName("scraper.example"),
        x509.RFC822Name("scraper@example.org"),
        x509.IPAddress(certificates.address("10.1.2.3")),
        x509.IPAddress(certificates.address("2001:db8::1")),
        x509.UniformResourceIdentifier("spiffe://example.org/scraper"),
    )
    options = CLIENT_AUTH.replace("ca.pem", "client.pem")
    with configured(folder, TLS % f"{options}, client_allowed_sans: [{allowed}]") as site:
        alert = refusal(site, site.client("client", maximum_version=version))
        assert (alert == "") is served, alert


def test_a_resumed_session_opens_no_more_than_a_new_one(folder: Path) -> None:
    """A session is resumed only with the certificates that it was begun with."""
    stranger = trustme.CA()
    with configured(folder, TLS % f"{CLIENT_AUTH}, client_allowed_sans: [10.1.2.3]") as site:
        context = site.client("client", maximum_version=V.TLSv1_2)
        with secured(site, context) as client:
            session = client.session
        for reused in (True, False):
            plain = socket.create_connection(("127.0.0.1", site.port), timeout=DEADLINE)
            with context.wrap_socket(plain, server_hostname="localhost", session=session) as again:
                assert again.session_reused is reused
                again.sendall(GET)
                assert again.recv(100).startswith(b"HTTP/1.1 200")
            os.utime(folder / "ca.pem")
        replace(folder / "ca.pem", stranger.cert_pem.bytes())
        plain = socket.create_connection(("127.0.0.1", site.port), timeout=DEADLINE)
        with plain, pytest.raises(ssl.SSLError, match="unknown ca"):
            context.wrap_socket(plain, server_hostname="localhost", session=session)


# -- what is sent ------------------------------------------------------------------------


def test_a_large_page_reaches_a_slow_reader(folder: Path) -> None:
    """Nothing is cut off when the connection ends before the client has read all."""
    body = os.urandom(1 << 20) * 8

    def large(_: Request) -> Response:
        return Response(200, (), body)

    with configured(folder, TLS % "", large) as site, socket.socket() as plain:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        plain.settimeout(DEADLINE)
        plain.connect(("127.0.0.1", site.port))
        with site.client().wrap_socket(plain, server_hostname="localhost") as client:
            client.sendall(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
            received = bytearray()
            while len(received) < len(body) and (data := client.recv(65536)):
                received += data
                if b"\r\n\r\n" in received[:1000]:
                    del received[: received.index(b"\r\n\r\n") + 4]
    assert bytes(received) == body


def test_many_requests_share_a_connection(folder: Path) -> None:
    """A connection is kept, and requests sent at once are answered in order."""
    with configured(folder, TLS % "", lambda r: Response(200, (), r.path.encode())) as site:
        with secured(site, site.client()) as client:
            client.sendall(b"".join(GET.replace(b"/metrics", b"/%d" % i) for i in range(50)))
            received = b""
            while b"/49" not in received:
                received += client.recv(65536)
        places = [received.index(b"\r\n\r\n/%d" % i) for i in range(50)]
        assert places == sorted(places)


@pytest.mark.parametrize("version", [V.TLSv1_2, V.TLSv1_3])
def test_a_bad_request_is_answered_and_ended_properly(
    version: ssl.TLSVersion, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A refusal can be read to its end, which is marked as such; what comes later is ignored."""
    with configured(folder, TLS % "") as site:
        with secured(site, site.client(maximum_version=version)) as client:
            client.sendall(b"nonsense\r\n\r\n")
            received = client.recv(65536)
            while data := client.recv(65536):  # no SSLEOFError
                received += data
            # The server waits for a second for the client to close, then it resets.
            with suppress(ConnectionError):
                client.sendall(b"more nonsense" * 1000)
                os.write(client.fileno(), b"and not even TLS")
        assert received.startswith(b"HTTP/1.1 400 ")
        assert site.get(context=site.client())[0] == 200
    assert caplog.text == ""


# -- clients that mean no good -----------------------------------------------------------


def test_plain_http_is_told_what_it_lacks(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A client without TLS reads what Go's servers say, and the log has it once."""
    with configured(folder, TLS % "") as site:
        for _ in range(3):
            status, _, body = site.get()
            assert status == 400
            assert body == b"Client sent an HTTP request to an HTTPS server.\n"
    lines = [r for r in caplog.records if r.getMessage() == "TLS handshake failed"]
    assert len(lines) == 1


def hello() -> bytes:
    """The first message of a real client."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def test_no_bytes_stop_the_server(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """After any bytes at all the next client is served, and no traceback was logged."""
    begins = [b"", b"GET / HTTP/1.1\r\n", b"\x16\x03\x01", hello(), hello()[:100], hello() * 2]
    with configured(folder, TLS % "") as site:

        @settings(max_examples=60)
        @given(st.sampled_from(begins), st.binary(max_size=200))
        def survive(begin: bytes, data: bytes) -> None:
            with socket.create_connection(("127.0.0.1", site.port), timeout=DEADLINE) as client:
                try:
                    client.sendall(begin + data)
                    client.shutdown(socket.SHUT_WR)
                    while client.recv(65536):
                        pass
                except ConnectionError:
                    pass

        survive()
        assert site.get(context=site.client())[0] == 200
    assert all(record.levelno < logging.ERROR for record in caplog.records)
    assert all(record.exc_info is None for record in caplog.records)


@pytest.fixture
def slow(folder: Path) -> Iterator[Callable[[Site], list[socket.socket]]]:
    """Three hundred clients that connect, and stop at one of three places of a handshake."""
    with ExitStack() as held:

        def connect(site: Site) -> list[socket.socket]:
            start = hello()
            clients = []
            for number in range(300):
                client = socket.create_connection(("127.0.0.1", site.port), timeout=DEADLINE)
                clients.append(held.enter_context(client))
                with suppress(ConnectionError):  # the time for a request may be over already
                    client.sendall((b"", start[:50], start)[number % 3])
            return clients

        yield connect


def test_slow_handshakes_keep_no_scraper_waiting(
    folder: Path, slow: Callable[[Site], list[socket.socket]]
) -> None:
    """A scrape is served while hundreds of clients are, and stay, in the middle of a handshake."""
    limits = Limits(request_seconds=NEVER)
    with configured(folder, TLS % "", limits=limits) as site:
        clients = slow(site)
        with without_waiting():
            assert site.get(context=site.client())[0] == 200
        for client in clients:
            client.setblocking(False)
            with suppress(BlockingIOError):
                assert client.recv(65536), "the server has not closed it"


def test_a_handshake_may_take_no_longer_than_a_request(
    folder: Path, slow: Callable[[Site], list[socket.socket]]
) -> None:
    """Those who stop in the middle of it are sent away, though not before the time is over."""
    limits = Limits(request_seconds=0.5)
    with configured(folder, TLS % "", limits=limits) as site:
        began = time.monotonic()
        for client in slow(site):
            with suppress(ConnectionError):
                while client.recv(65536):
                    pass
        assert time.monotonic() - began >= 0.5


def test_a_drop_at_a_time_is_no_way_around_the_deadline(folder: Path) -> None:
    """Sending the handshake byte by byte does not make it last longer."""
    limits = Limits(request_seconds=0.5)
    with configured(folder, TLS % "", limits=limits) as site:
        sent = 0
        # At this pace the whole of it would take fifty seconds and more.
        with socket.create_connection(("127.0.0.1", site.port), timeout=DEADLINE) as client:
            client.settimeout(0.1)
            for byte in hello():
                try:
                    client.send(bytes([byte]))
                    assert client.recv(1) == b""
                    break
                except TimeoutError:
                    sent += 1
                except ConnectionError:
                    break
        assert sent < len(hello()) / 2


def test_nothing_is_left_of_refused_clients(folder: Path) -> None:
    """After refusals of each kind, and a stop in their middle, descriptors and threads are gone."""
    before = len(os.listdir("/proc/self/fd"))
    limits = Limits(request_seconds=NEVER)
    with configured(folder, TLS % CLIENT_AUTH, limits=limits) as site:
        for _ in range(5):
            refusal(site, site.client())
            refusal(site, site.client("stranger"))
            site.get()
            socket.create_connection(("127.0.0.1", site.port)).close()
        waiting = socket.create_connection(("127.0.0.1", site.port))
        waiting.sendall(hello()[:100])
        with without_waiting():
            site.server.stop(DEADLINE)
    waiting.close()
    assert "web" not in [thread.name for thread in threading.enumerate()]
    wait_until(lambda: len(os.listdir("/proc/self/fd")) <= before, message="descriptors closed")


# -- rotation ----------------------------------------------------------------------------


def rename(path: Path, data: bytes) -> None:
    """As most programs replace a file."""
    replace(path, data)


def overwrite(path: Path, data: bytes) -> None:
    """In place."""
    path.write_bytes(data)


def relink(path: Path, data: bytes) -> None:
    """As Kubernetes does: another file behind a symbolic link."""
    target = path.with_name(f"{path.name}.{time.monotonic_ns()}")
    target.write_bytes(data)
    link = path.with_suffix(".link")
    link.symlink_to(target)
    os.replace(link, path)


@pytest.mark.parametrize("put", [rename, overwrite, relink])
def test_a_new_certificate_is_used_from_the_next_connection_on(
    put: Callable[[Path, bytes], None], folder: Path
) -> None:
    """Certificate and key can be replaced while it runs; open connections go on as they are."""
    with configured(folder, TLS % "") as site:
        context = site.client()
        old = site.connect(context)
        old.request("GET", "/")
        old.getresponse().read()
        first = old.sock.getpeercert(binary_form=True)
        put(folder / "server.pem", (folder / "other.pem").read_bytes())
        put(folder / "server.key", (folder / "other.key").read_bytes())
        with secured(site, context) as client:
            assert client.getpeercert(binary_form=True) != first
        old.request("GET", "/")
        assert old.getresponse().status == 200
        old.close()


def test_while_certificate_and_key_do_not_match_everybody_is_told(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Half a rotation is answered 500 over the old certificate, and the rest of it repairs it."""
    with configured(folder, TLS % "") as site:
        context = site.client()
        assert site.get(context=context)[0] == 200
        replace(folder / "server.pem", (folder / "other.pem").read_bytes())
        for _ in range(3):
            assert site.get(context=context)[0] == 500
        replace(folder / "server.key", (folder / "other.key").read_bytes())
        assert site.get(context=context)[0] == 200
    lines = [r for r in caplog.records if "Invalid web configuration" in r.getMessage()]
    assert len(lines) == 1
    assert "private key does not match" in str(lines[0].__dict__["fields"]["error"])


def test_a_stricter_section_counts_from_the_next_connection_on(folder: Path) -> None:
    """The whole section is read again, and never replaced by something weaker."""
    with configured(folder, TLS % "") as site:
        assert refusal(site, site.client()) == ""
        site.rewrite(TLS % CLIENT_AUTH)
        assert refusal(site, site.client()) == REQUIRED
        assert refusal(site, site.client("client")) == ""
        site.rewrite(TLS % CLIENT_AUTH.replace("ca.pem", "missing.pem"))
        assert refusal(site, site.client()) == REQUIRED
        assert site.get(context=site.client("client"))[0] == 500
        site.rewrite("")
        assert site.get(context=site.client("client"))[0] == 500
        site.rewrite("{}")
        assert site.get(context=site.client("client"))[0] == 500
        site.rewrite(TLS % ", min_version: TLS13")
        assert refusal(site, site.client()) == ""
