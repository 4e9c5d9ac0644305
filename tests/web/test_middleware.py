"""What every request passes: the file as it is now, rate limit, headers, authentication."""

import asyncio
import logging
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from configured import ALICE, HASH_4, Site, configured, replace
from hypothesis import given
from hypothesis import strategies as st
from serving import PAGE
from support.landing import FixedLanding
from support.waiting import DEADLINE, wait_until

from exporter.errors import SettingsError
from exporter.logs import LogfmtFormatter
from exporter.site.landing_data import LandingData
from exporter.site.routes import Routes
from exporter.web.configuration import RateLimit
from exporter.web.http_message import Request, Response
from exporter.web.live_configuration import LiveWebConfig, _read
from exporter.web.log_limit import LogLimiter
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


def agent() -> Routes:
    """The routes of the agent."""
    return Routes(
        lambda *_, **__: b"page\n", lambda: "", FixedLanding(LandingData(0, "1", "x", "", True, 0))
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
    assert [bucket.try_acquire() for _ in range(4)] == [True, True, True, False]
    clock.now += 9.9
    assert not bucket.try_acquire()
    clock.now += 0.2
    assert [bucket.try_acquire(), bucket.try_acquire()] == [True, False]
    clock.now += 1e6
    assert [bucket.try_acquire() for _ in range(4)] == [True, True, True, False]


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
        taken += bucket.try_acquire()
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
    config = LiveWebConfig(str(path), clock)
    reads: list[str] = []

    def counting(path: str) -> object:
        reads.append(path)
        return _read(path)

    monkeypatch.setattr("exporter.web.live_configuration._read", counting)

    async def follow() -> None:
        context = (await config.tls()).context
        for _ in range(10):
            clock.now += 100
            await config.current()
            assert (await config.tls()).context is context
        assert reads == []
        (folder / "server.key").rename(folder / "hidden")
        for _ in range(10):
            with pytest.raises(SettingsError, match="failed to read key_file"):
                await config.current()
        assert len(reads) == 1
        clock.now += 1.1
        with pytest.raises(SettingsError):
            await config.current()
        assert len(reads) == 2
        (folder / "hidden").rename(folder / "server.key")
        await config.current()
        assert (await config.tls()).context is not context

    asyncio.run(follow())


def test_reading_the_file_does_not_stop_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the file is read the event loop goes on; all who wait for it have one reading."""
    begun, finish = threading.Event(), threading.Event()
    reads: list[str] = []

    def slow(path: str) -> object:
        reads.append(path)
        begun.set()
        finish.wait()
        return _read(path)

    with configured(tmp_path, "{}") as site:
        monkeypatch.setattr("exporter.web.live_configuration._read", slow)
        site.rewrite(USERS)
        with ThreadPoolExecutor(3) as pool:
            try:
                answers = [pool.submit(site.get) for _ in range(3)]
                assert begun.wait(DEADLINE)
                assert site.server.answers(DEADLINE)
            finally:
                finish.set()
            assert [answer.result()[0] for answer in answers] == [401] * 3
    assert reads == [str(site.path)]


def test_a_file_that_is_never_read_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Requests wait for a dead file system for a bounded time, and are answered 500."""
    finish = threading.Event()

    def hang(path: str) -> object:
        finish.wait()
        return _read(path)

    with configured(tmp_path, "{}") as site:
        monkeypatch.setattr("exporter.web.live_configuration._read", hang)
        monkeypatch.setattr("exporter.web.live_configuration._READ_SECONDS", 0.1)
        site.rewrite(USERS)
        try:
            assert statuses(site, 2) == [500, 500]
        finally:
            finish.set()
        wait_until(lambda: statuses(site) == [401])
    assert "cannot be read within 0.1 s" in str(caplog.records[0].__dict__["fields"]["error"])


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no FIFO in its file system")
def test_a_file_that_becomes_a_fifo_stops_nothing(tmp_path: Path) -> None:
    """A FIFO in place of the file is answered 500 at once, until there is a file again."""
    with configured(tmp_path, "{}") as site:
        site.path.unlink()
        os.mkfifo(site.path)
        assert statuses(site, 2) == [500, 500]
        site.rewrite(USERS)
        assert statuses(site) == [401]


def test_what_goes_on_is_logged_again_after_a_while() -> None:
    """Each message is allowed once a minute, and the number of remembered messages is limited."""
    clock = Clock()
    limiter = LogLimiter(60, clock)
    assert [limiter.allow("a"), limiter.allow("b"), limiter.allow("a")] == [True, True, False]
    clock.now += 60
    assert limiter.allow("a")
    for number in range(100):
        assert limiter.allow(str(number))
    assert limiter.allow("a")


def test_a_failure_is_logged_with_how_often_it_was_suppressed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Each type of failure is logged once a minute, and the next line counts the others."""
    clock = Clock()
    limiter = LogLimiter(60, clock)
    for error in (OSError("one"), OSError("two"), ValueError("three"), OSError("four")):
        limiter.failure("Serving", error)
    clock.now += 60
    limiter.failure("Serving", OSError("five"))
    logged = [LogfmtFormatter().format(record).partition("msg=")[2] for record in caplog.records]
    assert logged == [
        '"Serving failed" error="OSError: one"',
        '"Serving failed" error="ValueError: three"',
        '"Serving failed" suppressed=2 error="OSError: five"',
    ]
    assert all(record.exc_info for record in caplog.records)
