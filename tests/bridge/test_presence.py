"""What evidence means, how it is kept, and how many numbers may be asked about."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from bridge import presence
from bridge.presence import SHARED_S, Budget, Evidence, Presence, PresenceMemory, pack, presence_of, unpack
from tests.bridge.fakes import PERSON, START, FakeStore, Spawned, clock

DAY = 86_400.0
ACTIVE_FOR, INACTIVE_FOR = 30 * DAY, DAY
NOW = START


def ago(days: float) -> float:
    return NOW - days * DAY


@pytest.mark.parametrize(
    ("evidence", "expected"),
    [
        (Evidence(), Presence.UNKNOWN),
        (Evidence(yes_at=ago(29)), Presence.ACTIVE),
        (Evidence(yes_at=ago(31)), Presence.UNKNOWN),
        (Evidence(no_at=ago(0.9)), Presence.INACTIVE),
        (Evidence(no_at=ago(1.1)), Presence.UNKNOWN),
        (Evidence(yes_at=ago(2), no_at=ago(0.5)), Presence.INACTIVE),
        (Evidence(yes_at=ago(0.2), no_at=ago(0.5)), Presence.ACTIVE),
        (Evidence(yes_at=ago(5), no_at=ago(3)), Presence.UNKNOWN),  # the expired "no" still beats the older "yes"
        (Evidence(delivered_at=ago(3), no_at=ago(0.1)), Presence.ACTIVE),  # a "no" never beats a delivery
        (Evidence(inbound_at=ago(3), no_at=ago(0.1)), Presence.ACTIVE),
        (Evidence(delivered_at=ago(31), no_at=ago(0.1)), Presence.INACTIVE),  # ... that is younger than active_for
        (Evidence(delivered_at=ago(31)), Presence.UNKNOWN),
        (Evidence(sent_at=ago(0.1)), Presence.UNKNOWN),  # that the provider took it proves nothing
        (Evidence(sent_at=ago(0.1), no_at=ago(0.5)), Presence.INACTIVE),
        (Evidence(failed_at=ago(0.1)), Presence.UNKNOWN),  # a failure is no "no"
        (Evidence(yes_at=ago(2), failed_at=ago(0.1)), Presence.UNKNOWN),  # ask again
        (Evidence(yes_at=ago(0.1), failed_at=ago(2)), Presence.ACTIVE),
        (Evidence(delivered_at=ago(2), failed_at=ago(0.1)), Presence.ACTIVE),
        (Evidence(missed_at=ago(0.9)), Presence.INACTIVE),  # where nobody can be asked the youngest word counts
        (Evidence(missed_at=ago(1.1)), Presence.UNKNOWN),
        (Evidence(missed_at=ago(0.5), delivered_at=ago(3)), Presence.INACTIVE),
        (Evidence(missed_at=ago(0.5), delivered_at=ago(0.4)), Presence.ACTIVE),
        (Evidence(missed_at=ago(0.5), inbound_at=ago(0.4)), Presence.ACTIVE),
    ],
)
def test_presence_follows_from_the_evidence(evidence: Evidence, expected: Presence) -> None:
    assert presence_of(evidence, NOW, ACTIVE_FOR, INACTIVE_FOR) is expected


@pytest.mark.parametrize(
    ("evidence", "expected"),
    [
        (Evidence(), False),
        (Evidence(inbound_at=NOW), True),
        (Evidence(inbound_at=NOW - 86_400 + 301), True),
        (Evidence(inbound_at=NOW - 86_400 + 300), False),  # five minutes early
        (Evidence(inbound_at=ago(0.5), closed_at=ago(0.4)), False),
        (Evidence(inbound_at=ago(0.5), closed_at=ago(0.6)), True),
        (Evidence(delivered_at=NOW), False),
    ],
)
def test_the_window_is_open_for_a_day_after_the_last_text(evidence: Evidence, expected: bool) -> None:
    assert presence.window_open(evidence, NOW) is expected


def test_a_text_that_comes_late_does_not_move_the_window_back() -> None:
    known = presence.wrote(ago(0.1))(presence.wrote(ago(0.2))(Evidence()))
    assert presence.wrote(ago(3))(known).inbound_at == ago(0.1)


MOMENTS = st.just(0.0) | st.floats(min_value=NOW - 60 * DAY, max_value=NOW)
EVIDENCE = st.builds(
    Evidence,
    yes_at=MOMENTS,
    no_at=MOMENTS,
    sent_at=MOMENTS,
    delivered_at=MOMENTS,
    failed_at=MOMENTS,
    inbound_at=MOMENTS,
)


@given(EVIDENCE)
def test_a_young_delivery_is_never_overruled(evidence: Evidence) -> None:
    """R19."""
    proven = msgspec.structs.replace(evidence, delivered_at=ago(29.9))
    assert presence_of(proven, NOW, ACTIVE_FOR, INACTIVE_FOR) is Presence.ACTIVE


@given(EVIDENCE)
def test_inactive_needs_an_explicit_and_young_no(evidence: Evidence) -> None:
    """R18, R19: never by itself, and not for ever."""
    if presence_of(evidence, NOW, ACTIVE_FOR, INACTIVE_FOR) is Presence.INACTIVE:
        assert NOW - evidence.no_at < INACTIVE_FOR
        assert evidence.no_at > max(evidence.yes_at, evidence.delivered_at, evidence.inbound_at)


@given(EVIDENCE)
def test_an_acknowledgement_after_a_no_makes_active(evidence: Evidence) -> None:
    """R19."""
    for change in (presence.delivered(NOW), presence.wrote(NOW), presence.found("x@c.us", NOW + 1)):
        assert presence_of(change(evidence), NOW + 1, ACTIVE_FOR, INACTIVE_FOR) is Presence.ACTIVE


@given(EVIDENCE, st.text(max_size=20))
def test_a_record_comes_back_as_it_was_kept(evidence: Evidence, identity: str) -> None:
    kept = msgspec.structs.replace(evidence, identity=identity)
    assert unpack(pack(kept)) == kept


@pytest.mark.parametrize("value", [None, b"", b"\x00", b"rubbish", msgspec.msgpack.encode([99, "x", 1.0])])
def test_a_record_that_cannot_be_read_is_no_evidence(value: bytes | None) -> None:
    assert unpack(value) == Evidence()


def test_the_identity_that_worked_is_kept_until_a_no() -> None:
    known = presence.sent("", NOW)(presence.found("a@s.whatsapp.net", NOW)(Evidence()))
    assert known.identity == "a@s.whatsapp.net"
    assert presence.absent(NOW)(known).identity == ""


# -------------------------------------------------------------------------------------------------------------- memory


def memory(store: FakeStore, time: Clock, spawned: Spawned, remembered: int = 100) -> PresenceMemory:
    return PresenceMemory(
        store, clock=time, spawn=spawned, active_for=ACTIVE_FOR, inactive_for=INACTIVE_FOR, remembered=remembered
    )


def test_people_wanted_in_one_turn_are_read_together_and_once() -> None:
    store, time, spawned = FakeStore(), clock(), Spawned()
    mind = memory(store, time, spawned)
    wanted = [Deferred.fromCoroutine(mind.load(person)) for person in ("a", "b", "a")]
    assert store.reads == []
    time.advance(0)
    assert store.reads == [["a", "b"]]
    assert [one.result for one in wanted] == [Evidence()] * 3
    assert mind.recall("a") == Evidence()
    spawned.check()


def test_what_is_learned_survives_in_the_store_and_is_added_to_what_it_holds() -> None:
    store, time, spawned = FakeStore(), clock(), Spawned()
    store.values[PERSON] = pack(Evidence(identity="a@c.us", yes_at=ago(3)))
    mind = memory(store, time, spawned)
    mind.learn(PERSON, presence.delivered(NOW))
    mind.learn(PERSON, presence.failed(NOW))
    time.advance(0)
    expected = Evidence(identity="a@c.us", yes_at=ago(3), delivered_at=NOW, failed_at=NOW)
    assert mind.recall(PERSON) == expected == unpack(store.values[PERSON])
    assert store.writes == [(PERSON, ACTIVE_FOR)]
    assert store.reads == [[PERSON]]
    mind.learn(PERSON, presence.sent("", NOW))
    assert len(store.writes) == 1  # nothing that anybody must remember
    mind.learn(PERSON, presence.sent("b@c.us", NOW))
    assert len(store.writes) == 2
    spawned.check()


def test_two_channels_do_not_share_what_they_know_of_a_person() -> None:
    store, time, spawned = FakeStore(), clock(), Spawned()
    for name, change in (("zap", presence.wrote(NOW)), ("official", presence.missed(NOW))):
        mind = PresenceMemory(
            store, clock=time, spawn=spawned, active_for=ACTIVE_FOR, inactive_for=INACTIVE_FOR, channel=name
        )
        mind.learn(PERSON, change)
        time.advance(0)
    assert {key: unpack(value) for key, value in store.values.items()} == {
        f"zap:{PERSON}": Evidence(inbound_at=NOW),
        f"official:{PERSON}": Evidence(missed_at=NOW),
    }
    spawned.check()


def test_what_another_node_learned_is_known_and_not_written_over() -> None:
    store, time, spawned = FakeStore(), clock(), Spawned()
    mine, other = (
        PresenceMemory(store, clock=time, spawn=spawned, active_for=ACTIVE_FOR, inactive_for=INACTIVE_FOR, shared=True)
        for _ in range(2)
    )

    def known() -> Evidence:
        loaded = Deferred.fromCoroutine(mine.load(PERSON))
        time.advance(0)
        assert isinstance(loaded.result, Evidence)
        return loaded.result

    assert known() == Evidence() and len(store.reads) == 1
    mine.learn(PERSON, presence.sent("", NOW))
    other.learn(PERSON, presence.wrote(NOW))
    time.advance(0)
    assert known() == Evidence(sent_at=NOW), "asked a moment ago"
    time.advance(SHARED_S)
    assert known() == Evidence(inbound_at=NOW, sent_at=NOW)
    time.advance(SHARED_S)
    other.learn(PERSON, presence.closed(NOW + 1))
    time.advance(0)
    mine.learn(PERSON, presence.delivered(NOW + 2))
    time.advance(0)
    assert unpack(store.values[PERSON]) == Evidence(
        inbound_at=NOW, sent_at=NOW, closed_at=NOW + 1, delivered_at=NOW + 2
    )
    store.broken = True
    time.advance(SHARED_S)
    assert known().inbound_at == NOW, "what was known before the store went away"
    spawned.check()


def test_evidence_lives_as_long_as_the_window_at_least() -> None:
    store, time, spawned = FakeStore(), clock(), Spawned()
    mind = PresenceMemory(store, clock=time, spawn=spawned, active_for=60.0, inactive_for=60.0)
    mind.learn(PERSON, presence.wrote(NOW))
    time.advance(0)
    assert store.writes == [(PERSON, DAY)]


@pytest.mark.parametrize("trouble", ["broken", "away"])
def test_a_store_that_cannot_be_read_means_nothing_known_and_nothing_overwritten(trouble: str) -> None:
    store, time, spawned = FakeStore(), clock(), Spawned()
    setattr(store, trouble, True)
    mind = memory(store, time, spawned)
    loaded = Deferred.fromCoroutine(mind.load(PERSON))
    mind.learn(PERSON, presence.absent(NOW))
    time.advance(0)
    assert loaded.result == Evidence() and store.writes == [] and mind.recall(PERSON) is None
    setattr(store, trouble, False)
    assert Deferred.fromCoroutine(mind.load(PERSON)).called is False
    time.advance(0)
    assert mind.recall(PERSON) == Evidence()


def test_only_so_many_people_stay_in_memory() -> None:
    store, time, spawned = FakeStore(), clock(), Spawned()
    mind = memory(store, time, spawned, remembered=3)
    for index in range(10):
        mind.learn(str(index), presence.delivered(NOW))
    time.advance(0)
    assert [person for person in map(str, range(10)) if mind.recall(person)] == ["7", "8", "9"]
    assert len(store.values) == 10


# -------------------------------------------------------------------------------------------------------------- budget


@given(
    st.floats(min_value=0.02, max_value=20),
    st.lists(st.tuples(st.floats(min_value=0, max_value=30), st.integers(min_value=1, max_value=50)), max_size=60),
)
def test_no_minute_ever_holds_more_than_a_minutes_budget(rate: float, asked: list[tuple[float, int]]) -> None:
    """R18."""
    budget, now, taken = Budget(rate), NOW, []
    for gap, wanted in asked:
        now += gap
        count = min(wanted, budget.left(now))
        if count > 0:
            budget.take(count, now)
            taken.append((now, count))
    for begin, _ in taken:
        assert sum(count for at, count in taken if begin <= at < begin + 60) <= max(1, round(rate * 60))


def test_the_budget_comes_back_after_a_minute() -> None:
    budget = Budget(1.0)
    budget.take(60, NOW)
    assert (budget.left(NOW + 59.9), budget.left(NOW + 60)) == (0, 60)
