"""The landing page under people who ask for it again and again, counted in renderings."""

import itertools
from collections.abc import Iterator

import pytest
from support.landing import FixedLanding

from exporter.site import landing_cache
from exporter.site.landing_cache import KEPT_SECONDS, KEPT_TIMES, MOST_SECONDS, LandingCache
from exporter.site.landing_data import LandingData

DATA = LandingData(1.7e9, "1.2.3", "rtnetlink", "net:[1]", True, 0)
HOUR = 3600.0


class Desk:
    """The pages of a landing whose clock stands, unless rendering takes its time."""

    def __init__(self) -> None:
        self.landing = FixedLanding(DATA)
        self.now = 100.0
        self.pages = LandingCache(self.landing, "/metrics", lambda: self.now)

    def ask(self, *, known: str = "", seconds: float = HOUR, everything: bool = False) -> str:
        """The ETag of what is answered; empty: the client has it."""
        page = self.pages.get(seconds, everything=everything, known=known)
        return "" if page is None else page.etag


@pytest.fixture
def desk() -> Desk:
    """A new one."""
    return Desk()


@pytest.mark.parametrize("changing", [False, True])
def test_who_asks_again_and_again_gets_the_same_page(desk: Desk, changing: bool) -> None:
    """A thousand requests at once are one rendering, whether or not something changes meanwhile."""
    for _ in range(1000):
        desk.landing.changes += changing
        assert desk.ask()
    assert desk.landing.reads == 1


def test_a_page_is_as_new_as_the_clock_on_it(desk: Desk) -> None:
    """After its time a page is rendered anew though nothing changed: it has durations in it."""
    first = desk.ask()
    desk.now += KEPT_SECONDS
    assert desk.ask() == first
    assert desk.landing.reads == 2


def test_who_asks_once_a_second_gets_what_changed(desk: Desk) -> None:
    """The script of a page sees a change with its next request, also beside other people."""
    etag = desk.ask()
    for _ in range(10):
        desk.landing.changes += 1
        desk.now += 1.0
        desk.ask()
        latest = desk.ask(known=etag)
        assert latest not in ("", etag)
        etag = latest


def test_nothing_is_rendered_for_who_has_it(desk: Desk) -> None:
    """While nothing changes, no page that is updated costs a rendering, however long it is open."""
    etag = desk.ask()
    for _ in range(100):
        desk.now += 1.0
        assert desk.ask(known=etag) == ""
    assert desk.landing.reads == 1


def test_a_page_that_is_kept_is_not_sent_again(desk: Desk) -> None:
    """Who has the page that is kept for a moment is not sent it, though something changed."""
    etag = desk.ask()
    desk.landing.changes += 1
    assert desk.ask(known=etag) == ""
    desk.now += KEPT_SECONDS
    assert desk.ask(known=etag) not in ("", etag)


def test_each_form_of_the_page_is_its_own(desk: Desk) -> None:
    """Ranges, and the page with everything, are not taken for each other."""
    forms = list(itertools.product((900.0, HOUR, 21600.0), (False, True)))
    for _ in range(10):
        for seconds, everything in forms:
            assert desk.ask(seconds=seconds, everything=everything) == f'"v{seconds:g}-0"'
    assert desk.landing.reads == len(forms)


def test_a_large_page_takes_a_bounded_share_of_the_time(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page of 10,000 links is kept for longer, so that it leaves most of the time to others."""
    spent: list[float] = []

    def slowly(*_: object) -> bytes:
        desk.now += 0.4
        spent.append(0.4)
        return b"page"

    monkeypatch.setattr(landing_cache, "render_page", slowly)
    end = desk.now + 100.0
    while desk.now < end:
        assert desk.ask(everything=True)
        desk.now += 0.01
    assert sum(spent) <= 100.0 / KEPT_TIMES + 0.4


def test_a_slow_machine_shows_no_old_page(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page whose rendering took 3 seconds is rendered again when it is 10 seconds old."""

    def slowly(*_: object) -> bytes:
        desk.now += 3.0
        return b"page"

    monkeypatch.setattr(landing_cache, "render_page", slowly)
    began = desk.now
    desk.ask()
    for age, reads in ((MOST_SECONDS - 0.1, 1), (MOST_SECONDS, 2)):
        desk.now = began + age
        desk.ask()
        assert desk.landing.reads == reads


def test_pages_are_not_kept_for_longer_than_they_are_of_use(desk: Desk) -> None:
    """The next request of any form removes the pages whose time is over, which can be large."""
    for seconds in (900.0, HOUR, 21600.0):
        desk.ask(seconds=seconds, everything=True)
    desk.now += KEPT_SECONDS
    assert desk.ask(known='"v3600-0"') == ""
    assert not desk.pages._kept


def test_compressing_is_done_once(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that is kept is kept compressed, too."""
    packed: Iterator[bytes] = iter([b"packed"])
    monkeypatch.setattr(landing_cache.gzip, "compress", lambda *_, **__: next(packed))
    for _ in range(10):
        page = desk.pages.get(HOUR, everything=False, known="")
        assert page is not None
        assert page.compressed == b"packed"
