"""From request to response, without a socket."""

from dataclasses import replace
from gzip import compress, decompress

import pytest
from support.landing import FixedLanding

from exporter.exposition.negotiation import Format
from exporter.site.landing_data import LandingData
from exporter.site.routes import Routes
from exporter.web.http_message import Request, Response, path_of

BIG = b"# HELP x y\n" * 1000
OPENMETRICS = "application/openmetrics-text"
LANDING_DATA = LandingData(1.7e9, "1.2.3", "rtnetlink", "net:[1]", True, 0)


def application(body: bytes = BIG, unready: str = "", telemetry_path: str = "/metrics") -> Routes:
    """The routes over fixed answers."""

    def render(format: Format, *, gzip: bool) -> bytes:
        page = body + (b"# EOF\n" if format is Format.OPENMETRICS else b"")
        return compress(page) if gzip else page

    return Routes(
        render,
        lambda: unready,
        FixedLanding(LANDING_DATA),
        telemetry_path,
    )


def header(response: Response, name: str) -> str:
    """The value of a header that may be given at most once."""
    values = [value for key, value in response.headers if key == name]
    assert len(values) <= 1
    return values[0] if values else ""


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("/metrics", 200, b"# HELP"),
        ("/", 200, b"1.2.3"),
        ("/-/healthy", 200, b"healthy"),
        ("/-/ready", 200, b"ready"),
        ("/health", 200, b'"ok"'),
        ("/metrics/", 404, b"/metrics"),
        ("//metrics", 404, b"not found"),
        ("/Metrics", 404, b"not found"),
        ("/../metrics", 404, b"not found"),
        ("", 404, b"not found"),
        ("*", 404, b"not found"),
    ],
)
def test_each_path_has_its_answer(path: str, status: int, says: bytes) -> None:
    """The routes answer as documented; everything else is not found, briefly."""
    response = application()(Request("GET", path))
    assert response.status == status
    assert says in response.body
    if status == 404:
        assert len(response.body) < 100


@pytest.mark.parametrize("path", ["/metrics", "/", "/-/ready", "/nothing"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "get", "X"])
def test_only_reading_is_allowed(method: str, path: str) -> None:
    """Any method but GET and HEAD is refused everywhere, with those that are allowed."""
    response = application()(Request(method, path))
    assert (response.status, header(response, "Allow")) == (405, "GET, HEAD")


def test_head_is_answered_as_get() -> None:
    """A HEAD request has the response of the GET; the connection leaves the body out."""
    assert application()(Request("HEAD", "/metrics")) == application()(Request("GET", "/metrics"))


def test_not_ready_says_why() -> None:
    """An agent that is not ready answers 503 with the reason, and is healthy all the same."""
    app = application(unready="not confirmed")
    response = app(Request("GET", "/-/ready"))
    assert (response.status, response.body) == (503, b"not ready: not confirmed\n")
    assert app(Request("GET", "/-/healthy")).status == 200


def test_the_format_is_said_and_true() -> None:
    """The content type names the format that was rendered, with its one fixed version."""
    app = application()
    text = app(Request("GET", "/metrics", headers={"accept": f"{OPENMETRICS};version=7"}))
    assert header(text, "Content-Type") == "text/plain; version=0.0.4; charset=utf-8"
    assert text.body == BIG
    openmetrics = app(Request("GET", "/metrics", headers={"accept": OPENMETRICS}))
    assert header(openmetrics, "Content-Type") == f"{OPENMETRICS}; version=1.0.0; charset=utf-8"
    assert openmetrics.body == BIG + b"# EOF\n"
    assert header(text, "Vary") == header(openmetrics, "Vary") == "Accept, Accept-Encoding"


@pytest.mark.parametrize("path", ["/metrics", "/"])
def test_compressed_and_plain_are_the_same_page(path: str) -> None:
    """A client that takes gzip gets the same page, compressed; Vary names Accept-Encoding."""
    request = Request("GET", path)
    plain = application()(request)
    packed = application()(replace(request, headers={"accept-encoding": "gzip"}))
    assert header(packed, "Content-Encoding") == "gzip"
    assert header(plain, "Content-Encoding") == ""
    assert len(packed.body) < len(plain.body)
    assert decompress(packed.body) == plain.body
    assert "Accept-Encoding" in header(plain, "Vary")
    assert header(packed, "Vary") == header(plain, "Vary")


def test_the_landing_page_compresses_to_the_same_bytes() -> None:
    """Nothing but the page goes into its compressed form: no time, no name."""
    request = Request("GET", "/", headers={"accept-encoding": "gzip"})
    body = application()(request).body
    assert body[4:8] == bytes(4)
    assert body[3] == 0


@pytest.mark.parametrize("path", ["/", "/health", "/m/e%t?r<i>cs"])
def test_the_telemetry_path_is_free(path: str) -> None:
    """The metrics are wherever they are wanted, even where another page would be."""
    assert application(telemetry_path=path)(Request("GET", path)).body == BIG


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/metrics", "/metrics"),
        ("/metrics?name[]=a&b=%20", "/metrics"),
        ("/m%65trics", "/metrics"),
        ("/a%3Fb?c", "/a?b"),
        ("http://host:1/metrics?x", "/metrics"),
        ("http://host", "/"),
        ("http://[bad/metrics", "/metrics"),
        ("/?u=http://x/y", "/"),
        ("host:443", "host:443"),
        ("*", "*"),
        ("/%ff%zz%", "/\ufffd%zz%"),
        ("", ""),
    ],
)
def test_every_form_of_target_is_understood(target: str, path: str) -> None:
    """The path is found in each of the four forms of a target; nothing raises."""
    assert path_of(target) == path


def test_an_unchanged_page_is_not_sent_again() -> None:
    """Who has the page already, as its ETag says, gets a 304 without a body."""
    routes = application()
    etag = header(routes(Request("GET", "/")), "ETag")
    again = routes(Request("GET", "/", {"if-none-match": etag}))
    assert (again.status, again.body, header(again, "ETag")) == (304, b"", etag)
    other = routes(Request("GET", "/", {"if-none-match": etag}, query="range=6h"))
    assert other.status == 200, "of another range"
    behind_proxy = routes(Request("GET", "/", {"if-none-match": f"W/{etag}"}))
    assert behind_proxy.status == 304, "a proxy that compresses makes the ETag a weak one"


@pytest.mark.parametrize("query", ["range=6h", "range=x", "", "all", "&&&=;%", "range=15m&all"])
def test_any_query_has_a_page(query: str) -> None:
    """A range that does not exist is the usual one."""
    assert application()(Request("GET", "/", query=query)).status == 200
