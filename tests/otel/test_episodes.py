"""Episodes of churn, from instants alone."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.otel.episodes import Episode, Episodes

QUIET, MAXIMUM = 5.0, 60.0

#: Instants that go up by anything from nothing to more than the maximum.
INSTANTS = st.lists(
    st.sampled_from([0.0, 0.5, 4.5, 5.0, 5.5, 59.0, 60.0, 100.0]) | st.floats(0, 70), max_size=200
).map(lambda gaps: [sum(gaps[: i + 1]) for i in range(len(gaps))])


def placed(instants: list[float]) -> list[tuple[Episode, list[float]]]:
    """The episodes in the order of their beginning, each with its instants."""
    episodes = Episodes(QUIET, MAXIMUM)
    found: list[tuple[Episode, list[float]]] = []
    for instant in instants:
        episode = episodes.assign(instant)
        if not found or found[-1][0] is not episode:
            found.append((episode, []))
        found[-1][1].append(instant)
    return found


@given(INSTANTS)
def test_every_notification_belongs_to_one_episode_in_order(instants: list[float]) -> None:
    """Episodes partition the notifications, and none continues after the next began."""
    found = placed(instants)
    assert [instant for _, members in found for instant in members] == instants
    assert len({id(episode) for episode, _ in found}) == len(found)
    for episode, members in found:
        assert (episode.began, episode.last) == (members[0], members[-1])


@given(INSTANTS)
def test_no_episode_exceeds_its_maximum_or_contains_quiet(instants: list[float]) -> None:
    """An episode contains no gap of the quiet period, and is shorter than its maximum."""
    for episode, members in placed(instants):
        assert episode.last - episode.began < MAXIMUM
        assert all(after < before + QUIET for before, after in pairwise(members))


@given(INSTANTS)
def test_an_episode_ends_only_after_quiet_or_its_maximum(
    instants: list[float],
) -> None:
    """The next episode begins after quiet, or continues one that reached its maximum."""
    found = placed(instants)
    assert not found or not found[0][0].continues
    for (before, _), (after, _) in pairwise(found):
        assert after.continues is (after.began < before.last + QUIET)
        assert not after.continues or after.began >= before.began + MAXIMUM


@given(INSTANTS)
def test_expiring_in_between_changes_nothing(instants: list[float]) -> None:
    """A timer that ends episodes when they are due does not change them."""
    episodes = Episodes(QUIET, MAXIMUM)
    timed: list[Episode] = []
    for instant in instants:
        end = episodes.end
        if end is not None and end <= instant:
            assert episodes.expire(end)
            assert episodes.end is None
        episode = episodes.assign(instant)
        if not timed or timed[-1] is not episode:
            timed.append(episode)
    as_tuples = [(e.began, e.last, e.continues) for e in timed]
    assert as_tuples == [(e.began, e.last, e.continues) for e, _ in placed(instants)]


def test_due_is_when_quiet_or_the_maximum_is_reached() -> None:
    """Whichever comes first; without an open episode nothing is due."""
    episodes = Episodes(QUIET, MAXIMUM)
    assert episodes.end is None
    assert episodes.expire(0.0)
    episodes.assign(10.0)
    assert episodes.end == 15.0
    for second in range(11, 69):
        episodes.assign(float(second))
    assert episodes.end == 70.0
    assert not episodes.expire(69.9)


def test_time_that_goes_back_stays_in_the_episode() -> None:
    """A notification that is older than the one before begins no new episode."""
    episodes = Episodes(QUIET, MAXIMUM)
    first = episodes.assign(100.0)
    assert episodes.assign(1.0) is first
    assert first.last == pytest.approx(100.0)
