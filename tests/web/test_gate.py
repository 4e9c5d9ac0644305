"""What every request passes: the file as it is now, rate limit, headers, authentication."""

import logging
from pathlib import Path

import pytest
from configured import ALICE, HASH_4, Site, configured, replace
from hypothesis import given
from hypothesis import strategies as st
from serving import PAGE

from exporter.errors import SettingsError
from exporter.site.application import Application
from exporter.site.landing import LandingData
from exporter.web.configuration import RateLimit
from exporter.web.live_configuration import Policy
from exporter.web.log_limit import Occasionally
from exporter.web.message import Request, Response
from exporter.web.rate_limit import TokenBucket

USERS = f"basic_auth_users: {{alice: {HASH_4}}}\n"
HEADERS = (
    "http_server_config: {headers: {X-Frame-Options: deny, Strict-Transport-Security: max-age=1,"
    " Content-Security-Policy: default-src 'self'}}\n"
)
SENT = {
    "X-Frame-Options": "deny",
    "Strict-Transport-Security": "max-age=1",
    "Content-Security-Policy": "default-src 'self'",
}


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Its time."""
        return self.now


def statuses(site: Site, times: int = 1, **headers: str) -> list[int]:
    """Those of several requests."""
    return [site.get(**headers)[0] for _ in range(times)]


# -- authentication and headers ----------------------------------------------------------


def agent() -> Application:
    """The routes of the agent."""
    return Application(
        lambda *_: b"page\n", lambda: (True, "ready"), lambda: LandingData(0, "1", "x", "", True, 0)
    )


@pytest.mark.parametrize("path", ["/metrics", "/", "/-/healthy", "/-/ready", "/health", "/x", "*"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS"])
def test_nothing_is_served_without_a_password(path: str, method: str, tmp_path: Path) -> None:
    """Every path and method asks for it in the same way, and tells nothing else."""
    with configured(tmp_path, USERS, agent()) as site:
        status, headers, body = site.get(path, method)
        assert (status, headers["WWW-Authenticate"]) == (401, "Basic")
        assert body == (b"" if method == "HEAD" else b"unauthorized\n")
        assert site.get(path, method, **ALICE)[0] in (200, 404, 405)


def test_every_answer_has_the_headers(tmp_path: Path) -> None:
    """200, 401, 404, 429 and both kinds of 500 carry what was configured, once."""

    def application(request: Request) -> Response:
        if request.path == "/fails":
            raise RuntimeError("on purpose")
        own = ("content-security-policy", "default-src *"), ("X-Own", "y")
        return Response(404 if request.path == "/x" else 200, own, b"")

    limited = f"{USERS}{HEADERS}rate_limit: {{interval: 1h, burst: 5}}"
    with configured(tmp_path, limited, application) as site:
        answers = [
            site.get(**ALICE),
            site.get(),
            site.get("/x", **ALICE),
            site.get("/fails", **ALICE),
            site.get("/x", **ALICE),
            site.get(**ALICE),
        ]
        site.rewrite("nonsense")
        answers.append(site.get(**ALICE))
    assert [status for status, _, _ in answers] == [200, 401, 404, 500, 404, 429, 500]
    for _, headers, _ in answers:
        assert headers.items() >= SENT.items()
        assert sum(name.lower() == "content-security-policy" for name in headers) == 1
    assert answers[0][1]["X-Own"] == "y"


def test_an_application_that_fails_is_logged_and_answered(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its traceback is in the log, and nothing of it in the answer."""

    async def application(_: Request) -> Response:
        raise RuntimeError("on purpose")

    with configured(tmp_path, "{}", application) as site:
        status, _, body = site.get()
    assert (status, b"purpose" in body) == (500, False)
    assert "on purpose" in caplog.text


def test_an_empty_file_changes_nothing(tmp_path: Path) -> None:
    """Without anything configured, requests reach the application and answers the client."""
    with configured(tmp_path, "") as site:
        status, headers, body = site.get()
    assert (status, body) == (200, PAGE.body)
    assert headers.keys() == {"Content-Type", "Content-Length", "Date"}


# -- rate limit --------------------------------------------------------------------------


def test_the_rate_limit_comes_before_authentication(tmp_path: Path) -> None:
    """Requests that are refused count, too; beyond the burst it is 429 for everybody."""
    with configured(tmp_path, f"{USERS}rate_limit: {{interval: 1h, burst: 3}}") as site:
        assert statuses(site, 2) == [401, 401]
        assert statuses(site, 2, **ALICE) == [200, 429]
        assert statuses(site, 2) == [429, 429]


def test_a_rate_limit_changes_with_a_restart_only(tmp_path: Path) -> None:
    """As with other exporters; the rest of the file counts at once."""
    with configured(tmp_path, "rate_limit: {interval: 1h, burst: 2}") as site:
        assert statuses(site) == [200]
        site.rewrite(f"{USERS}rate_limit: {{interval: 1ms, burst: 1000}}")
        assert statuses(site, 2) == [401, 429]
        site.rewrite("{}")
        assert statuses(site) == [429]


def test_a_bucket_refills_with_time() -> None:
    """A burst at once, then one each interval; unused ones add up to the burst and no more."""
    clock = Clock()
    bucket = TokenBucket(RateLimit(10.0, 3), clock)
    assert [bucket.take() for _ in range(4)] == [True, True, True, False]
    clock.now += 9.9
    assert not bucket.take()
    clock.now += 0.2
    assert [bucket.take(), bucket.take()] == [True, False]
    clock.now += 1e6
    assert [bucket.take() for _ in range(4)] == [True, True, True, False]


@given(
    st.floats(0.001, 100),
    st.integers(1, 10),
    st.lists(st.floats(0, 50), min_size=1, max_size=50),
)
def test_a_bucket_never_gives_more_than_it_may(
    interval: float, burst: int, pauses: list[float]
) -> None:
    """In any sequence no more are let through than the burst and one for each interval."""
    clock = Clock()
    bucket = TokenBucket(RateLimit(interval, burst), clock)
    taken = 0
    for pause in pauses:
        clock.now += pause
        taken += bucket.take()
        assert taken <= burst + (clock.now - 1000.0) / interval + 1e-6


# -- the file, again and again -----------------------------------------------------------


def test_what_the_file_says_counts_at_once(tmp_path: Path) -> None:
    """Users and headers are those of the file as it is when the request comes."""
    with configured(tmp_path, "{}") as site:
        assert statuses(site) == [200]
        site.rewrite(USERS)
        assert statuses(site) + statuses(site, 1, **ALICE) == [401, 200]
        site.rewrite(USERS.replace("alice", "carol"))
        assert statuses(site, 1, **ALICE) == [401]
        site.rewrite(HEADERS)
        assert site.get()[1].items() >= SENT.items()


BROKEN = {
    "not YAML": b"basic_auth_users: {",
    "an unknown key": b"basic_auth_user: {}",
    "a bad hash": b"basic_auth_users: {alice: x}",
    "no text": b"\xff\xfe\x00",
    "empty": b"",
    "only a comment": b"# nothing\n",
    "TLS turned on": b"tls_server_config: {cert_file: server.pem, key_file: server.key}",
    "TLS without a certificate": b"tls_server_config: {key_file: server.key}",
}


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_file_opens_nothing(
    data: bytes, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Until it is repaired everybody is answered 500, a line in the log says why; then 200."""
    with configured(folder, USERS) as site:
        assert statuses(site, 1, **ALICE) == [200]
        replace(site.path, data)
        assert statuses(site, 3) + statuses(site, 3, **ALICE) == [500] * 6
        assert str(site.path).encode() not in site.get()[2]
        site.rewrite(USERS)
        assert statuses(site) + statuses(site, 1, **ALICE) == [401, 200]
    errors = [r for r in caplog.records if r.levelno == logging.ERROR]
    assert len(errors) == 1
    assert str(errors[0].__dict__["fields"]["error"]).startswith(str(site.path))


def test_a_deleted_file_opens_nothing(tmp_path: Path) -> None:
    """A file that is gone is as bad as a broken one, until it is there again."""
    with configured(tmp_path, USERS) as site:
        site.path.unlink()
        assert statuses(site, 2, **ALICE) == [500, 500]
        site.path.write_text(USERS)
        assert statuses(site, 1, **ALICE) == [200]


def test_a_file_is_read_only_when_it_changed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While all is well, nothing is read; a bad file is tried once a second, changed or not."""
    path = folder / "web.yml"
    path.write_text("tls_server_config: {cert_file: server.pem, key_file: server.key}")
    clock = Clock()
    policy = Policy(str(path), clock)
    opened: list[object] = []
    really = open

    def counting(*arguments: object, **options: object) -> object:
        opened.append(arguments[0])
        return really(*arguments, **options)  # type: ignore[call-overload]

    monkeypatch.setattr("builtins.open", counting)
    context = policy.tls().context
    for _ in range(10):
        clock.now += 100
        policy.current()
        assert policy.tls().context is context
    assert opened == []
    (folder / "server.key").rename(folder / "hidden")
    for _ in range(10):
        with pytest.raises(SettingsError, match="failed to read key_file"):
            policy.current()
    once = len(opened)
    assert 0 < once < 5
    clock.now += 1.1
    with pytest.raises(SettingsError):
        policy.current()
    assert len(opened) > once
    (folder / "hidden").rename(folder / "server.key")
    policy.current()
    assert policy.tls().context is not context


def test_what_goes_on_is_logged_again_after_a_while() -> None:
    """Each thing is due once a minute, and there is room for so many things only."""
    clock = Clock()
    occasionally = Occasionally(60, clock)
    assert [occasionally.due("a"), occasionally.due("b"), occasionally.due("a")] == [1, 1, 0]
    clock.now += 60
    assert occasionally.due("a")
    for number in range(100):
        assert occasionally.due(str(number))
    assert occasionally.due("a")
