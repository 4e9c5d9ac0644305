"""Counts how often links reuse an index, so that a LUID names one of them.

The kernel gives the index of a deleted link to another that asks for it: a veth that is moved
between network namespaces keeps its index where that is free. A LUID made of type and index
alone would name both. A number tells them apart: 0 for the first link of a type and index, 1
for the one that takes them over, and so on (see `model.make_luid`).
"""

from __future__ import annotations

import threading

#: Deleted links that are remembered one by one, at some 200 bytes each.
_REMEMBERED = 4096

#: A link's type (an IANA ifType) and index.
_Key = tuple[int, int]


class IndexReuse:
    """Counts the links of one network namespace by type and index. Thread: any.

    `shared` knows what other observers of the same namespace have seen; it is told, too.
    """

    def __init__(self, shared: IndexReuse | None = None) -> None:
        self._shared = shared
        self._lock = threading.Lock()
        #: The number of the next link, oldest deletion first.
        self._next: dict[_Key, int] = {}
        # Of those that are no longer remembered: none had a larger index, and none of their
        # successors has a larger number.
        self._forgotten_index = -1
        self._forgotten_number = 0

    def current(self, type_: int, index: int) -> int:
        """Return the number of the link that has this type and index now, or gets it next."""
        with self._lock:
            number = self._next.get((type_, index))
            if number is None and index <= self._forgotten_index:
                number = self._forgotten_number
        if number is not None:
            return number
        return 0 if self._shared is None else self._shared.current(type_, index)

    def end(self, type_: int, index: int, number: int) -> None:
        """Note that the link with this number is deleted."""
        if self._shared is not None:
            self._shared.end(type_, index, number)
        with self._lock:
            following = max(number + 1, self._next.pop((type_, index), 0))
            self._next[type_, index] = following
            if len(self._next) > _REMEMBERED:
                oldest = next(iter(self._next))
                self._forgotten_index = max(self._forgotten_index, oldest[1])
                self._forgotten_number = max(self._forgotten_number, self._next.pop(oldest))

    def catch_up(self, type_: int, index: int) -> None:
        """Take over the number that `shared` has: this one may have missed deletions."""
        if self._shared is not None:
            number = self._shared.current(type_, index)
            if number > self.current(type_, index):
                with self._lock:
                    self._next[type_, index] = number


_namespaces: dict[int, IndexReuse] = {}


def index_reuse_of(namespace: int) -> IndexReuse:
    """Return what this process knows of a network namespace (`namespace_id`)."""
    return _namespaces.setdefault(namespace, IndexReuse())
