"""Basic authentication against bcrypt hashes.

A comparison takes some 60 ms at cost 10, by design. So each is made in a thread of its own,
one after another, and its outcome is kept: a scraper that was let in once is let in at once,
also while a crowd tries passwords.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import threading
from collections.abc import Mapping
from contextlib import suppress

import bcrypt

#: Right, and wrong, passwords that are remembered.
REMEMBERED = 100

# bcrypt sees no more of a password: bcrypt 5 refuses longer ones, older ones cut them short.
_LONGEST_PASSWORD = 72

# Salt and digest of nobody's password: an unknown user takes as long as a known one.
_NOBODY = b"QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi"

_Key = tuple[bytes, bytes, bytes]


class BusyError(Exception):
    """Too many passwords wait to be compared."""


class Authenticator:
    """Compares passwords. Thread: that of the event loop."""

    def __init__(self, most_waiting: int) -> None:
        """As many requests may wait for a comparison; those beyond are refused at once."""
        self._most_waiting = most_waiting
        self._waiting = 0
        self._turn = asyncio.Lock()
        # Apart, so that no number of wrong passwords drives out the right ones.
        self._right, self._wrong = _Recent(), _Recent()
        self._secret = os.urandom(32)

    async def admits(self, users: Mapping[bytes, bytes], authorization: str) -> bool:
        """Whether an Authorization header has one of the users, and the password of that one.

        Raises BusyError.
        """
        credentials = parse_basic(authorization)
        if credentials is None or len(credentials[1]) > _LONGEST_PASSWORD:
            return False
        user, password = credentials
        hashed = users.get(user) or _nobody(users)
        # A tuple cannot be taken for another one, whatever its parts hold (CVE-2022-46146);
        # and what is remembered is no password.
        key = user, hashed, hashlib.blake2b(password, key=self._secret).digest()
        outcome = self._remembered(key)
        if outcome is not None:
            return outcome
        if self._waiting >= self._most_waiting:
            raise BusyError
        self._waiting += 1
        try:
            async with self._turn:
                outcome = self._remembered(key)  # another request may have had the same
                if outcome is None:
                    outcome = await _equal(password, hashed) and user in users
                    (self._right if outcome else self._wrong).add(key)
                return outcome
        finally:
            self._waiting -= 1

    def _remembered(self, key: _Key) -> bool | None:
        if key in self._right:
            return True
        return False if key in self._wrong else None


class _Recent:
    """The keys that were added or asked for most recently."""

    def __init__(self) -> None:
        self._keys: dict[_Key, None] = {}

    def __contains__(self, key: _Key) -> bool:
        known = key in self._keys
        if known:
            self.add(key)
        return known

    def add(self, key: _Key) -> None:
        self._keys.pop(key, None)
        if len(self._keys) >= REMEMBERED:
            del self._keys[next(iter(self._keys))]
        self._keys[key] = None


def parse_basic(authorization: str) -> tuple[bytes, bytes] | None:
    """User and password of an Authorization header; ``None`` for one that is not Basic.

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


def _nobody(users: Mapping[bytes, bytes]) -> bytes:
    """A hash that no password has, of the same version and cost as the users'."""
    return next(iter(users.values()))[:7] + _NOBODY


async def _equal(password: bytes, hashed: bytes) -> bool:
    """Whether the hash is the password's, found out in a thread that ends with that."""
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[bool] = loop.create_future()

    def settle(equal: bool) -> None:
        if not outcome.done():
            outcome.set_result(equal)

    def compare() -> None:
        equal = False
        try:
            # A password that this version of bcrypt does not take is a ValueError.
            with suppress(ValueError):
                equal = bcrypt.checkpw(password, hashed)
        finally:
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(settle, equal)

    # A daemon: to stop, nobody has to wait for it, which at cost 14 would be seconds.
    threading.Thread(target=compare, name="bcrypt", daemon=True).start()
    return await outcome
