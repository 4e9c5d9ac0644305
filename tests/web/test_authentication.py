"""Basic authentication: who is let in, at what price, and beside which crowd."""

import asyncio
import base64
import http.client
import threading
from collections.abc import Awaitable
from contextlib import suppress
from pathlib import Path

import bcrypt
import pytest
from configured import ALICE, HASH_4, HASH_10, configured
from hypothesis import given
from hypothesis import strategies as st
from support.waiting import NEVER, wait_until, without_waiting

from exporter.web.authentication import (
    CACHE_SIZE,
    GUESS_SECONDS,
    MAX_GUESSES,
    Authenticator,
    BusyError,
    GuessingError,
    counted_as,
    parse_basic,
)

USERS = {b"alice": HASH_4.encode()}
#: The password of the hash that unknown users are compared with in the exporter-toolkit.
FAKE_PASSWORD = b"fakepassword"


def basic(user: bytes, password: bytes) -> str:
    """An Authorization header."""
    return "Basic " + base64.b64encode(user + b":" + password).decode()


RIGHT = basic(b"alice", b"wonderland")


@pytest.fixture
def authenticator() -> Authenticator:
    """One that lets ten wait."""
    return Authenticator(10)


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The hashes that bcrypt was asked to compare with, in order."""
    hashes: list[bytes] = []
    really = bcrypt.checkpw

    def checkpw(password: bytes, hashed: bytes) -> bool:
        hashes.append(hashed)
        return really(password, hashed)

    monkeypatch.setattr(bcrypt, "checkpw", checkpw)
    return hashes


@pytest.mark.parametrize(
    ("header", "admitted"),
    [
        (RIGHT, True),
        (RIGHT.replace("Basic", "bAsIc"), True),
        (basic(b"alice", b"Wonderland"), False),
        (basic(b"alice", b""), False),
        (basic(b"ALICE", b"wonderland"), False),
        (basic(b"bob", b"wonderland"), False),
        (basic(b"", b""), False),
        (basic(b"bob", FAKE_PASSWORD), False),
        (basic(b"alice", FAKE_PASSWORD), False),
        (basic(b"alice", b"wonderland\0"), False),
        (basic(b"alice", b"x" * 72), False),
        (basic(b"alice", b"x" * 73), False),
        (basic(b"alice", b"x" * 10_000), False),
        ("", False),
        ("Basic", False),
        ("Basic ", False),
        ("Basic !!!!", False),
        ("Basic YWxpY2U", False),
        ("Basic YWxpY2U=", False),  # no colon
        (RIGHT.replace("Basic", "Bearer"), False),
        (f"{RIGHT}, {RIGHT}", False),
        (f"{RIGHT} ", False),
        ("Basic \u00e9\u00e9\u00e9\u00e9", False),
    ],
)
def test_only_user_and_password_together_admit(
    header: str, admitted: bool, authenticator: Authenticator
) -> None:
    """The right password of a user admits, whether it was seen before or not; nothing else."""

    async def twice() -> list[bool]:
        return [await authenticator.admits(USERS, header) for _ in range(2)]

    assert asyncio.run(twice()) == [admitted, admitted]


def test_a_password_of_72_bytes_is_compared_whole(
    authenticator: Authenticator, compared: list[bytes]
) -> None:
    """72 bytes are the most that bcrypt sees; with one more it is refused, and not even asked."""
    password = b"x" * 72
    users = {b"alice": bcrypt.hashpw(password, bcrypt.gensalt(4))}
    assert asyncio.run(authenticator.admits(users, basic(b"alice", password)))
    assert not asyncio.run(authenticator.admits(users, basic(b"alice", password + b"x")))
    assert len(compared) == 1


def test_an_unknown_user_is_refused_whatever_the_password(authenticator: Authenticator) -> None:
    """Even the one that fits the hash which unknown users are compared with."""
    users = {b"alice": HASH_10.encode()}
    for _ in range(2):
        assert not asyncio.run(authenticator.admits(users, basic(b"bob", FAKE_PASSWORD)))


_TEXTS = st.text(max_size=20) | st.sampled_from(["alice", "wonderland", "wonderland:", ":", ""])


@given(user=_TEXTS, password=_TEXTS)
def test_what_is_remembered_is_not_confused(user: str, password: str) -> None:
    """After the right password was remembered, no other pair is taken for it (CVE-2022-46146)."""

    async def right_then_other() -> tuple[bool, bool]:
        authenticator = Authenticator(10)
        return (
            await authenticator.admits(USERS, RIGHT),
            await authenticator.admits(USERS, basic(user.encode(), password.encode())),
        )

    expected = (user, password) == ("alice", "wonderland")
    assert asyncio.run(right_then_other()) == (True, expected)


@given(st.text() | st.binary().map(lambda b: "Basic " + base64.b64encode(b).decode()))
def test_any_header_is_understood_or_refused(header: str) -> None:
    """Parsing raises nothing, and finds only what is there."""
    credentials = parse_basic(header)
    if credentials is not None:
        assert header.lower() == basic(*credentials).lower() or header != header.lower()
        assert b":" not in credentials[0]


def test_a_password_of_before_admits_nobody(authenticator: Authenticator) -> None:
    """A password that is remembered counts only with the hash that it was compared with."""
    changed = {b"alice": bcrypt.hashpw(b"other", bcrypt.gensalt(4))}

    async def both() -> list[bool]:
        return [await authenticator.admits(users, RIGHT) for users in (USERS, changed)]

    assert asyncio.run(both()) == [True, False]


def test_an_unknown_user_costs_what_a_known_one_does(
    authenticator: Authenticator, compared: list[bytes]
) -> None:
    """Both are compared once, with a hash of the same cost: time does not tell who exists."""
    users = {b"alice": bcrypt.hashpw(b"wonderland", bcrypt.gensalt(5))}
    for user in (b"alice", b"bob"):
        assert not asyncio.run(authenticator.admits(users, basic(user, b"wrong")))
    assert len(compared) == 2
    assert compared[0][:7] == compared[1][:7] == b"$2b$05$"


def test_each_password_is_compared_once(
    authenticator: Authenticator, compared: list[bytes]
) -> None:
    """Right or wrong, alone or at the same time: an outcome is remembered."""
    headers = [RIGHT, basic(b"alice", b"wrong"), basic(b"bob", b"wonderland")]

    async def all_at_once() -> list[bool]:
        return await asyncio.gather(*(authenticator.admits(USERS, h) for h in headers * 3))

    assert asyncio.run(all_at_once()) == [True, False, False] * 3
    assert len(compared) == 3


def test_wrong_passwords_do_not_drive_out_right_ones(
    authenticator: Authenticator, compared: list[bytes]
) -> None:
    """What is remembered is bounded, and the two kinds do not share the room."""
    wrong = [basic(b"alice", b"%d" % i) for i in range(CACHE_SIZE + 1)]

    async def crowd() -> None:
        assert await authenticator.admits(USERS, RIGHT)
        for header in wrong:
            assert not await authenticator.admits(USERS, header)
        del compared[:]
        assert await authenticator.admits(USERS, RIGHT)
        assert not await authenticator.admits(USERS, wrong[-1])
        assert compared == []
        assert not await authenticator.admits(USERS, wrong[0])
        assert len(compared) == 1

    asyncio.run(crowd())


def test_those_beyond_the_limit_are_refused_at_once(authenticator: Authenticator) -> None:
    """Only so many wait; an outcome that is remembered needs no waiting, and room comes back."""

    async def crowd() -> None:
        assert await authenticator.admits(USERS, RIGHT)
        headers = [basic(b"alice", b"%d" % i) for i in range(15)]
        tasks = [asyncio.create_task(_tried(authenticator.admits(USERS, h))) for h in headers]
        await asyncio.sleep(0)
        assert await authenticator.admits(USERS, RIGHT)
        outcomes = await asyncio.gather(*tasks)
        assert outcomes == [False] * 10 + ["busy"] * 5
        assert not await authenticator.admits(USERS, headers[-1])

    asyncio.run(crowd())


def test_guesses_of_a_client_are_bounded(compared: list[bytes]) -> None:
    """Who sends wrong passwords has no more compared for a minute; others go on, known or not."""
    now = [0.0]
    authenticator = Authenticator(10, lambda: now[0])
    guesses = [basic(b"alice", b"%d" % i) for i in range(100)]

    async def attack() -> None:
        for guess in guesses[:MAX_GUESSES]:
            assert not await authenticator.admits(USERS, guess, "192.0.2.1")
        for guess in guesses[MAX_GUESSES:]:
            with pytest.raises(GuessingError):
                await authenticator.admits(USERS, guess, "192.0.2.1")
        assert len(compared) == MAX_GUESSES
        with pytest.raises(GuessingError):
            await authenticator.admits(USERS, RIGHT, "192.0.2.1")
        assert await authenticator.admits(USERS, RIGHT, "192.0.2.2")
        assert await authenticator.admits(USERS, RIGHT, "192.0.2.1"), "it is known by now"
        now[0] = GUESS_SECONDS
        assert not await authenticator.admits(USERS, guesses[-1], "192.0.2.1")

    asyncio.run(attack())


@pytest.mark.parametrize(
    ("client", "counted"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        ("", ""),
        ("@socket", "@socket"),
    ],
)
def test_guesses_are_counted_by_what_a_host_cannot_choose(client: str, counted: str) -> None:
    """Guesses count for an IPv4 address, or for the /64 of an IPv6 address."""
    assert counted_as(client) == counted


def test_another_address_of_the_same_network_gives_no_more_guesses(compared: list[bytes]) -> None:
    """Who takes a new IPv6 address for each guess is refused like who keeps one."""
    authenticator = Authenticator(10)

    async def attack() -> None:
        for number in range(MAX_GUESSES):
            guess = basic(b"alice", b"%d" % number)
            assert not await authenticator.admits(USERS, guess, f"2001:db8::{number:x}")
        with pytest.raises(GuessingError):
            await authenticator.admits(USERS, RIGHT, "2001:db8::ffff:1")
        assert await authenticator.admits(USERS, RIGHT, "2001:db8:0:1::1")

    asyncio.run(attack())
    assert len(compared) == MAX_GUESSES + 1


def test_guesses_at_once_are_bounded_like_guesses_one_by_one(compared: list[bytes]) -> None:
    """Who sends many passwords at once leaves room for the comparisons of others."""
    authenticator = Authenticator(10)

    async def attack() -> None:
        guesses = [basic(b"alice", b"%d" % i) for i in range(100)]
        tasks = [
            asyncio.create_task(_tried(authenticator.admits(USERS, guess, "192.0.2.1")))
            for guess in guesses
        ]
        await asyncio.sleep(0)
        assert await authenticator.admits(USERS, RIGHT, "192.0.2.2")
        assert await asyncio.gather(*tasks) == [False] * MAX_GUESSES + ["busy"] * 95
        with pytest.raises(GuessingError):
            await authenticator.admits(USERS, guesses[-1], "192.0.2.1")
        assert len(compared) == MAX_GUESSES + 1

    asyncio.run(attack())


def test_the_guesses_of_many_clients_take_little_memory(compared: list[bytes]) -> None:
    """A crowd with more addresses than are remembered is counted as far as there is room."""
    authenticator = Authenticator(10)

    async def attack() -> None:
        wrong = basic(b"alice", b"wrong")
        for number in range(3000):
            await authenticator.admits(USERS, wrong, f"192.0.2.{number}")
            authenticator._guesses.add(f"192.0.2.{number}")

    asyncio.run(attack())
    assert len(authenticator._guesses._counts) == 1000
    assert len(compared) == 1


async def _tried(outcome: Awaitable[bool]) -> bool | str:
    try:
        return await outcome
    except BusyError:
        return "busy"


def test_a_crowd_does_not_keep_a_known_scraper_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the passwords of a crowd are compared, known ones are served, every time.

    So comparing is done elsewhere than answering, and the crowd does not take every place.
    """
    really, allowed = bcrypt.checkpw, threading.Event()
    tried: list[int] = []

    def attack(number: int) -> None:
        tried.append(site.get(Authorization=basic(b"alice", b"%d" % number))[0])

    def checkpw(password: bytes, hashed: bytes) -> bool:
        assert allowed.wait(NEVER)
        return really(password, hashed)

    with configured(tmp_path, f"basic_auth_users: {{alice: {HASH_10}}}") as site:
        assert site.get(**ALICE)[0] == 200
        monkeypatch.setattr(bcrypt, "checkpw", checkpw)
        crowd = [threading.Thread(target=attack, args=(n,), name="crowd") for n in range(30)]
        for attacker in crowd:
            attacker.start()
        sent_away = 30 - MAX_GUESSES
        wait_until(lambda: len(tried) == sent_away, message="five wait, the others are sent away")
        assert [site.get(**ALICE)[0] for _ in range(50)] == [200] * 50
        allowed.set()
        for attacker in crowd:
            attacker.join()
    assert tried == [503] * sent_away + [401] * MAX_GUESSES


def test_a_comparison_delays_no_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its thread bears a name and is gone when it is done; nobody waits for it to stop."""
    allowed = threading.Event()

    def named() -> list[str]:
        return [thread.name for thread in threading.enumerate() if thread.name == "bcrypt"]

    def checkpw(*_: bytes) -> bool:
        return allowed.wait(NEVER)

    def ask() -> None:
        with suppress(OSError, http.client.HTTPException):
            site.get(**ALICE)

    monkeypatch.setattr(bcrypt, "checkpw", checkpw)
    with configured(tmp_path, f"basic_auth_users: {{alice: {HASH_4}}}") as site:
        assert site.get()[0] == 401
        wait_until(lambda: not named(), message="the threads of other tests have ended")
        client = threading.Thread(target=ask, name="client")
        client.start()
        wait_until(named, message="the thread")
        with without_waiting():
            site.server.stop()
    client.join()
    allowed.set()
    wait_until(lambda: not named(), message="the thread has ended")


def test_a_comparison_that_fails_admits_nobody(
    authenticator: Authenticator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever bcrypt raises, it is a wrong password, and nobody waits for ever."""

    def checkpw(*_: bytes) -> bool:
        raise ValueError("on purpose")

    monkeypatch.setattr(bcrypt, "checkpw", checkpw)
    assert not asyncio.run(authenticator.admits(USERS, RIGHT))
