"""Basic authentication with bcrypt hashes.

A comparison takes about 60 ms at cost 10, by design. So comparisons run in a thread, one at a
time, and their results are cached: a scraper that was admitted once is admitted without a wait,
also while others try passwords.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import ipaddress
import os
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping

import bcrypt

from exporter.web.addresses import parse_address
from exporter.web.daemon_thread import run_in_daemon_thread

#: Clients whose guesses are counted.
_MAX_CLIENTS = 1000

#: Size of each cache: of right and of wrong passwords.
CACHE_SIZE = 100

# bcrypt's limit of a password in bytes. Version 5 refuses longer ones, older ones truncate them.
_MAX_PASSWORD_BYTES = 72

# Salt and digest of a dummy hash: an unknown user costs the same bcrypt time as a known one, so
# that timing does not reveal the users.
_DUMMY = b"QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi"

_Key = tuple[bytes, bytes, bytes]


#: Wrong passwords that a client may have compared in so many seconds.
MAX_GUESSES, GUESS_SECONDS = 5, 60.0

#: A host has all the addresses of its IPv6 network of this length.
_IPV6_PREFIX = 64


class BusyError(Exception):
    """Too many requests wait for a password comparison."""


class GuessingError(Exception):
    """The client has sent too many wrong passwords."""


class Authenticator:
    """Compares passwords. Thread: the event loop's."""

    def __init__(self, max_waiting: int, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Set up. `max_waiting`: the limit of requests that wait for a comparison."""
        self._max_waiting = max_waiting
        self._guesses = _Guesses(monotonic)
        #: Requests that wait for a comparison, by client.
        self._waiting: Counter[str] = Counter()
        self._lock = asyncio.Lock()
        # Two caches, so that wrong passwords cannot evict the right ones.
        self._right, self._wrong = _RecentKeys(), _RecentKeys()
        self._secret = os.urandom(32)

    async def admits(
        self, users: Mapping[bytes, bytes], authorization: str, client: str = ""
    ) -> bool:
        """Return whether an Authorization header has a user and the password of that user.

        `client` is the address of the client. Raises BusyError and GuessingError.
        """
        credentials = parse_basic(authorization)
        if credentials is None or len(credentials[1]) > _MAX_PASSWORD_BYTES:
            return False
        user, password = credentials
        hashed = users.get(user) or _dummy_hash(users)
        # A tuple is unambiguous, whatever its parts contain (CVE-2022-46146), and the cache
        # contains no password.
        key = user, hashed, hashlib.blake2b(password, key=self._secret).digest()
        admitted = self._cached(key)
        if admitted is not None:
            return admitted
        client = counted_as(client)
        guesses = self._guesses.count(client)
        if guesses >= MAX_GUESSES:
            raise GuessingError
        # What waits may be wrong, too.
        crowding = client != "" and guesses + self._waiting[client] >= MAX_GUESSES
        if crowding or self._waiting.total() >= self._max_waiting:
            raise BusyError
        self._waiting[client] += 1
        try:
            async with self._lock:
                admitted = self._cached(key)  # cached by a request that waited before this one
                if admitted is None:
                    admitted = await _matches(password, hashed) and user in users
                    (self._right if admitted else self._wrong).add(key)
                    if not admitted:
                        self._guesses.add(client)
                return admitted
        finally:
            self._waiting[client] -= 1
            self._waiting = +self._waiting  # keeps those above 0

    def _cached(self, key: _Key) -> bool | None:
        if key in self._right:
            return True
        return False if key in self._wrong else None


def counted_as(client: str) -> str:
    """Return what guesses from an address are counted by: the address, or its IPv6 network.

    A host chooses its IPv6 addresses freely within a /64: RFC 4291, section 2.5.1. An IPv4
    address that is written as an IPv6 one is counted as itself.
    """
    address = parse_address(client)
    if address is None:  # not known
        return client
    if address.version == 4:
        return str(address)
    return str(ipaddress.ip_network((int(address), _IPV6_PREFIX), strict=False))


class _Guesses:
    """Counts wrong passwords by client, so that a guesser cannot occupy the comparisons."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        #: By client: when its count began, and the count; the oldest first.
        self._counts: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def count(self, client: str) -> int:
        return self._count(client)[1]

    def add(self, client: str) -> None:
        if not client:  # its address is not known
            return
        since, count = self._count(client)
        self._counts[client] = since, count + 1
        if len(self._counts) > _MAX_CLIENTS:
            self._counts.popitem(last=False)

    def _count(self, client: str) -> tuple[float, int]:
        now = self._monotonic()
        since, count = self._counts.get(client, (now, 0))
        return (since, count) if now - since < GUESS_SECONDS else (now, 0)


class _RecentKeys:
    """The keys that were added or looked up most recently."""

    def __init__(self) -> None:
        self._keys: OrderedDict[_Key, None] = OrderedDict()

    def __contains__(self, key: _Key) -> bool:
        if key not in self._keys:
            return False
        self._keys.move_to_end(key)
        return True

    def add(self, key: _Key) -> None:
        self._keys[key] = None
        if len(self._keys) > CACHE_SIZE:
            self._keys.popitem(last=False)


def parse_basic(authorization: str) -> tuple[bytes, bytes] | None:
    """Return user and password of an Authorization header; ``None`` if it is not Basic.

    Source: https://www.rfc-editor.org/rfc/rfc7617
    """
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        decoded = base64.b64decode(encoded, validate=True)
    except ValueError:
        return None
    user, colon, password = decoded.partition(b":")
    return (user, password) if colon else None


def _dummy_hash(users: Mapping[bytes, bytes]) -> bytes:
    """Return a hash of no password, with the version and cost of the users' hashes."""
    return next(iter(users.values()))[:7] + _DUMMY


async def _matches(password: bytes, hashed: bytes) -> bool:
    """Return whether the hash is that of the password. The comparison runs in a thread."""

    def compare() -> bool:
        try:
            return bcrypt.checkpw(password, hashed)
        except ValueError:  # a password that this version of bcrypt does not accept
            return False

    return await run_in_daemon_thread(compare, "bcrypt")
