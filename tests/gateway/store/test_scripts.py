"""The scripts that run inside the store: leases, due moments, reports and their messages, sets of parts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
import pytest_twisted

from bridge import limits
from gateway.messages.message import Attempted, Message
from gateway.messages.outcome import Report, Status
from gateway.messages.states import State
from gateway.store import keys, records
from gateway.store.evidence import Evidence
from gateway.store.lookups import story_of
from gateway.store.valkey import Store
from tests.gateway.samples import NUMBER, START, accepted, attempt
from tests.gateway.store.test_ledger import Desk

HAND = keys.hand("gw1", "operator")
TODAY = int(START // keys.DAY_S)


async def queue(store: Store, *messages: Message, channel: str = "operator") -> None:
    """Keep messages, each waiting in its queue under its present ordinal."""
    desk = Desk(store)
    for message in messages:
        entry = f"{message.id} {len(message.attempts)}"
        await desk.write(message, [("RPUSH", keys.queue(channel, message.priority), entry)], events=[])


def waiting(message_id: str, priority: int = 1, **fields: Any) -> Message:
    return accepted(message_id, **{"priority": priority, "attempts": [attempt("operator")], **fields})


async def lease(store: Store, most: int, hand: str = HAND) -> tuple[int, list[Message]]:
    left, *found = await store.call("lease", "operator", str(most), hand)
    return left, [records.unpack(record) for record in found]


def ids(messages: Sequence[Message]) -> list[str]:
    return [message.id for message in messages]


# -- lease


@pytest_twisted.ensureDeferred
async def test_the_higher_priority_is_taken_first_and_the_older_before_the_younger(store: Store) -> None:
    await queue(store, waiting("low1", 2), waiting("n1"), waiting("high1", 0), waiting("n2"), waiting("high2", 0))
    assert [(left, ids(taken)) for left, taken in [await lease(store, 3), await lease(store, 10)]] == [
        (2, ["high1", "high2", "n1"]),
        (0, ["n2", "low1"]),
    ]
    assert await lease(store, 10) == (0, [])


@pytest_twisted.ensureDeferred
async def test_what_is_taken_is_marked_as_in_hand_at_a_new_revision(store: Store) -> None:
    await queue(store, waiting("m1"))
    _, (taken,) = await lease(store, 1)
    assert (taken.in_hand, taken.rev) == (True, 2)
    assert await store.command("SMEMBERS", HAND) == [b"m1"]
    kept = records.unpack(await store.command("GET", keys.message("m1")))
    assert kept == taken


@pytest_twisted.ensureDeferred
async def test_an_entry_of_an_earlier_attempt_is_dropped(store: Store) -> None:
    moved = waiting("m1", attempts=[attempt("operator", Attempted.FAILED), attempt("zap")])
    await queue(store, waiting("m2"))
    await Desk(store).write(moved, [("LPUSH", keys.queue("operator", 1), "m1 1")], events=[])
    left, taken = await lease(store, 1)
    assert (left, ids(taken)) == (0, ["m2"])


@pytest.mark.parametrize(
    "fields",
    [{"in_hand": True}, {"state": State.DELIVERED}, {"state": State.EXPIRED}],
    ids=["in hand", "delivered", "expired"],
)
@pytest_twisted.ensureDeferred
async def test_what_is_in_hand_or_final_is_not_taken(store: Store, fields: dict[str, Any]) -> None:
    await queue(store, waiting("m1", **fields), waiting("m2"))
    assert ids((await lease(store, 5))[1]) == ["m2"]
    assert await store.command("SMEMBERS", HAND) == [b"m2"]


@pytest_twisted.ensureDeferred
async def test_entries_without_a_message_or_a_meaning_are_dropped(store: Store) -> None:
    await queue(store, waiting("m1"))
    await store.command("LPUSH", keys.queue("operator", 1), "gone 1", "nonsense", "")
    assert ids((await lease(store, 1))[1]) == ["m1"]


@pytest_twisted.ensureDeferred
async def test_a_message_with_two_entries_is_taken_once(store: Store) -> None:
    await queue(store, waiting("m1"))
    await store.command("LPUSH", keys.queue("operator", 1), "m1 1")
    assert ids((await lease(store, 5))[1]) == ["m1"]


@pytest_twisted.ensureDeferred
async def test_two_nodes_never_take_the_same_message(store: Store) -> None:
    await queue(store, *(waiting(f"m{number}") for number in range(10)))
    first = await lease(store, 5, keys.hand("gw1", "operator"))
    second = await lease(store, 10, keys.hand("gw2", "operator"))
    assert ids(first[1]) + ids(second[1]) == [f"m{number}" for number in range(10)]
    assert await store.command("SCARD", keys.hand("gw2", "operator")) == 5


# -- due


async def due(store: Store, now: float, most: int = 10, again_at: float = 0.0) -> list[str]:
    found = await store.call("due", f"{now:.3f}", str(most), f"{again_at or now + 30:.3f}")
    return ids([records.unpack(record) for record in found])


@pytest_twisted.ensureDeferred
async def test_what_is_due_comes_oldest_first_and_not_again_before_its_time(store: Store) -> None:
    desk = Desk(store)
    for message_id, at in (("late", 3.0), ("early", 1.0), ("middle", 2.0), ("future", 99.0)):
        await desk.write(accepted(message_id), [("ZADD", keys.DUE, str(at), message_id)])
    assert await due(store, 10.0, most=2) == ["early", "middle"]
    assert await due(store, 10.0) == ["late"]
    assert await due(store, 39.9) == []
    assert sorted(await due(store, 40.0)) == ["early", "late", "middle"]


@pytest_twisted.ensureDeferred
async def test_a_due_entry_without_a_message_goes_away(store: Store) -> None:
    await store.command("ZADD", keys.DUE, "1", "gone")
    assert await due(store, 10.0) == []
    assert await store.command("ZCARD", keys.DUE) == 0


# -- find


def asked(
    remote_id: str,
    *forms: str,
    dest: str = "",
    hold: str = "",
    park: bool = False,
    stray: str = "",
    anyway: int = 1,
) -> Any:
    return (
        [remote_id, *forms],
        dest,
        [hold] if hold else [],
        keys.parked("operator", remote_id) if park else "",
        [stray] if stray else [],
        remote_id,
        records.octets(b"\x91report " + remote_id.encode()),
        600,
        "",
        anyway,
    )


async def find(store: Store, *items: Any) -> list[tuple[str, int] | None]:
    """For each: (message id, 1 exact 2 other form 3 held), or None."""
    answers = await store.call("find", msgspec.msgpack.encode(items), "operator", str(TODAY), "3")
    return [(records.unpack(answer[0]).id, answer[1]) if answer else None for answer in answers]


HELD = keys.held("operator", "28940", NUMBER)


@pytest_twisted.ensureDeferred
async def test_the_exact_id_comes_before_its_other_forms(store: Store) -> None:
    desk = Desk(store)
    await desk.write(accepted("m1"), [("HSET", keys.remote_ids("operator", TODAY), "0E99", "m1")])
    await desk.write(accepted("m2"), [("HSET", keys.remote_ids("operator", TODAY), "3737", "m2")])
    assert await find(store, asked("0E99", "3737"), asked("E99", "0E99"), asked("E98", "e98")) == [
        ("m1", 1),
        ("m1", 2),
        None,
    ]


@pytest_twisted.ensureDeferred
async def test_an_other_form_counts_only_for_the_message_of_the_same_number(store: Store) -> None:
    await Desk(store).write(accepted("m1"), [("HSET", keys.remote_ids("operator", TODAY), "e99", "m1")])
    assert await find(store, asked("E99", "e99", dest=NUMBER[-8:])) == [("m1", 2)]
    assert await find(store, asked("E99", "e99", dest="99999999")) == [None]
    assert await find(store, asked("e99", dest="99999999")) == [("m1", 1)], "the exact id needs no number"
    assert await find(store, asked("e99", dest="99999999", anyway=0)) == [None], "unless its answer may come yet"


@pytest_twisted.ensureDeferred
async def test_the_number_tells_an_exact_id_from_another_messages_form(store: Store) -> None:
    desk = Desk(store)
    other = accepted("m1", msisdn="5521900000000")
    await desk.write(other, [("HSET", keys.remote_ids("operator", TODAY), "1001", "m1")])
    await desk.write(accepted("m2"), [("HSET", keys.remote_ids("operator", TODAY), "3e9", "m2")])
    assert await find(
        store,
        asked("1001", "3e9", dest=NUMBER[-8:]),
        asked("1001", "3e9", dest=other.msisdn[-8:]),
        asked("1001", "3e9", dest="12345678"),
        asked("1001", "3e9"),
    ) == [("m2", 2), ("m1", 1), ("m1", 1), ("m1", 1)]


@pytest_twisted.ensureDeferred
async def test_an_id_whose_message_is_gone_names_nobody(store: Store) -> None:
    await store.command("HSET", keys.remote_ids("operator", TODAY), "77", "gone")
    assert await find(store, asked("77")) == [None]


@pytest_twisted.ensureDeferred
async def test_an_unclaimed_report_settles_the_oldest_message_that_is_held_and_not_final(store: Store) -> None:
    desk = Desk(store)
    await desk.write(accepted("done", state=State.EXPIRED), [("RPUSH", HELD, "done")])
    await desk.write(accepted("m1"), [("RPUSH", HELD, "m1")])
    await desk.write(accepted("m2"), [("RPUSH", HELD, "m2")])
    await store.command("LPUSH", HELD, "gone")
    one, other, third = (asked(remote_id, hold=HELD, park=True) for remote_id in ("77", "78", "79"))
    assert await find(store, one, other, third) == [("m1", 3), ("m2", 3), None]
    assert await find(store, other, one) == [("m2", 1), ("m1", 1)], "they have these ids from now on"
    assert await store.command("GET", keys.parked("operator", "77")) == b"\x91report 77"
    assert 0 < await store.command("TTL", keys.remote_ids("operator", TODAY)) <= 4 * keys.DAY_S


@pytest_twisted.ensureDeferred
async def test_reports_without_an_id_settle_what_is_held_in_turn_and_take_nothing_away(store: Store) -> None:
    desk = Desk(store)
    for one in ("m1", "m2"):
        await desk.write(accepted(one), [("RPUSH", HELD, one)])
    nameless = asked("", hold=HELD)
    assert await find(store, nameless, nameless, nameless) == [("m1", 3), ("m2", 3), ("m1", 3)]
    assert await store.command("KEYS", "ids:*") == []


@pytest_twisted.ensureDeferred
async def test_what_a_report_without_an_id_settles_is_not_held_for_ever(store: Store) -> None:
    await Desk(store).write(accepted("m1"), [("RPUSH", HELD, "m1"), ("EXPIRE", HELD, "90000")])
    assert await find(store, asked("", hold=HELD)) == [("m1", 3)]
    assert await store.command("TTL", HELD) > 0


@pytest_twisted.ensureDeferred
async def test_a_report_that_names_nobody_is_parked_for_a_while(store: Store) -> None:
    stray = keys.stray("operator", "28940", NUMBER)
    assert await find(store, asked("77", park=True, stray=stray)) == [None]
    parked = keys.parked("operator", "77")
    assert await store.command("GET", parked) == b"\x91report 77"
    assert 0 < await store.command("TTL", parked) <= 600
    assert await store.command("LRANGE", stray, "0", "-1") == [b"77"]
    assert 0 < await store.command("TTL", stray) <= 600


@pytest_twisted.ensureDeferred
async def test_of_a_number_that_is_reported_without_end_the_last_parked_reports_are_noted(store: Store) -> None:
    stray = keys.stray("operator", "28940", NUMBER)
    for number in range(250):
        await find(store, asked(str(number), park=True, stray=stray))
    noted = await store.command("LRANGE", stray, "0", "-1")
    assert noted == [b"%d" % number for number in range(150, 250)]


@pytest.mark.parametrize(
    ("statuses", "kept"),
    [
        ((Status.DELIVERED, Status.SENT), Status.DELIVERED),
        ((Status.SENT, Status.DELIVERED), Status.DELIVERED),
        ((Status.READ, Status.DELIVERED, Status.SENT), Status.READ),
        ((Status.FAILED, Status.SENT), Status.FAILED),
        ((Status.FAILED, Status.DELIVERED), Status.DELIVERED),
        ((Status.SENT, Status.SENT), Status.SENT),
    ],
)
@pytest_twisted.ensureDeferred
async def test_of_several_early_reports_the_one_that_decides_waits(
    store: Store, statuses: tuple[Status, ...], kept: Status
) -> None:
    """R24."""
    for status in statuses:
        report = Report("operator", "77", status, dest=NUMBER, at=START)
        item = (*asked("77", park=True)[:6], records.octets(msgspec.msgpack.encode(report)), 600)
        assert await find(store, item) == [None]
    parked = await store.command("GET", keys.parked("operator", "77"))
    assert msgspec.msgpack.decode(parked, type=Report).status is kept
    assert 0 < await store.command("TTL", keys.parked("operator", "77")) <= 600


@pytest_twisted.ensureDeferred
async def test_a_report_that_is_not_to_be_parked_leaves_nothing(store: Store) -> None:
    assert await find(store, asked("77")) == [None]
    assert await store.command("DBSIZE") == 0


@pytest_twisted.ensureDeferred
async def test_exact_ids_are_read_many_at_a_time(store: Store) -> None:
    await Desk(store).write(accepted("m1"), [("HSET", keys.remote_ids("zap", TODAY), "w1", "m1")])
    await store.command("HSET", keys.remote_ids("zap", TODAY), "w2", "gone")
    answers = await store.call("exact", "zap", str(TODAY), "3", "w0", "w1", "w2")
    assert [records.unpack(one).id if one else None for one in answers] == [None, "m1", None]


# -- parts

KEY = keys.part_set("billing:28940:7:3")


async def arrive(
    store: Store, number: int, message_id: str, digest: str = "d", total: int = 3, at: float = 60.0
) -> Any:
    """A part is kept; the members of its set when that is complete, as {number: [ids]}."""
    _, (members,) = await Desk(store).write(
        accepted(message_id),
        [("PART", KEY, total, number, message_id, f"{digest}{number}".rjust(8, "0"), f"{at:.3f}", 240)],
    )
    if not members:
        return None
    values = [value.decode().split()[1:] for value in members[1::2]]
    return dict(sorted(zip(map(int, members[::2]), values, strict=True)))


@pytest_twisted.ensureDeferred
async def test_a_set_is_complete_with_its_last_part_in_whatever_order(store: Store) -> None:
    assert await arrive(store, 3, "c") is None
    assert await arrive(store, 1, "a") is None
    assert await arrive(store, 2, "b") == {1: ["a"], 2: ["b"], 3: ["c"]}


@pytest_twisted.ensureDeferred
async def test_a_duplicate_stands_beside_its_twin(store: Store) -> None:
    await arrive(store, 1, "a")
    assert await arrive(store, 1, "a2") is None
    await arrive(store, 2, "b")
    assert await arrive(store, 3, "c") == {1: ["a", "a2"], 2: ["b"], 3: ["c"]}


@pytest_twisted.ensureDeferred
async def test_a_reference_used_again_begins_a_new_set(store: Store) -> None:
    await arrive(store, 1, "a")
    await arrive(store, 2, "b")
    assert await arrive(store, 2, "other", digest="x") is None
    assert await arrive(store, 3, "c", digest="x") is None, "the older parts are not of this text"
    assert await arrive(store, 1, "first", digest="x") == {1: ["first"], 2: ["other"], 3: ["c"]}


@pytest_twisted.ensureDeferred
async def test_every_part_moves_the_moment_of_the_whole_set(store: Store) -> None:
    await arrive(store, 1, "a", at=60.0)
    await arrive(store, 2, "b", at=75.0)
    assert await store.command("ZRANGE", keys.DUE, "0", "-1", "WITHSCORES") == [b"a", b"75", b"b", b"75"]


@pytest_twisted.ensureDeferred
async def test_a_set_that_nobody_completes_does_not_live_for_ever(store: Store) -> None:
    await arrive(store, 1, "a")
    assert 0 < await store.command("TTL", KEY) <= 240


# -- the small ones


@pytest_twisted.ensureDeferred
async def test_an_inbound_text_is_taken_once(store: Store) -> None:
    seen = keys.inbound("zap", "w1")
    first = await store.call("receive", seen, "60", "r:billing", b"\x91text")
    assert first
    assert await store.call("receive", seen, "60", "r:billing", b"\x91text") is None
    assert await store.call("receive", "", "60", "r:billing", b"\x91text"), "without an id every one is new"
    assert await store.command("XLEN", "r:billing") == 2


@pytest_twisted.ensureDeferred
async def test_an_acknowledged_receipt_leaves_the_stream_and_its_steps_are_kept_for_a_while(store: Store) -> None:
    await store.command("XADD", "r:billing", "7-1", "b", "receipt")
    await store.command("XADD", "r:billing", "7-2", "b", "reply")
    steps = records.pack_events([(START, "receipt_sent", "", ""), (START + 1, "receipt_answered", "", "")])
    feed = msgspec.msgpack.encode([{"id": "m1"}])
    gone, told = [["r:billing", "7-1", "7-2"]], ["m1", len(steps)]
    day = keys.told(TODAY)
    await store.call("answered", records.encode(gone), records.encode(told), steps, day, "3600", feed, "100")
    assert await store.command("XLEN", "r:billing") == 0
    _, trace = await story_of(store, "m1", START + 86400, 3600)
    assert [event.event for event in trace] == ["receipt_sent", "receipt_answered"]
    assert 3590 <= await store.command("TTL", day) <= 3600
    assert await store.command("XLEN", keys.FEED) == 1


@pytest_twisted.ensureDeferred
async def test_only_what_nobody_has_touched_can_be_taken_back(store: Store) -> None:
    desk = Desk(store)
    touched = accepted("touched")
    await desk.write(accepted("new"), [("ZADD", keys.DUE, "1", "new"), ("SADD", HAND, "new", "other")])
    await desk.write(touched)
    await desk.write(touched)
    await store.command("SET", "dup:new", "new")
    await store.command("SET", "dup:touched", "touched")
    assert await store.call("revoke", "new", "dup:new", HAND) == 1
    assert await store.call("revoke", "touched", "dup:touched", HAND) == 0
    assert await store.call("revoke", "gone", "", "") == 0
    assert await store.command("EXISTS", keys.message("new"), "dup:new") == 0
    assert await store.command("EXISTS", keys.message("touched"), "dup:touched") == 2
    assert await store.command("ZCARD", keys.DUE) == 0
    assert await store.command("SMEMBERS", HAND) == [b"other"]


@pytest_twisted.ensureDeferred
async def test_the_overview_counts_what_waits_where(store: Store) -> None:
    await queue(store, waiting("m1", 0), waiting("m2"), waiting("m3"), waiting("m4"))
    await store.command("ZADD", keys.DUE, "1", "m1", "2", "m2")
    await store.command("XADD", "r:billing", "*", "b", "x")
    unfinished, operator, zap, billing, shop = await store.call("overview", "2", "operator", "zap", "billing", "shop")
    assert (unfinished, billing, shop) == (2, 1, 0)
    assert (operator[0], operator[2], operator[4]) == (1, 3, 0)
    assert [records.unpack(one).id for one in operator[1::2] if one] == ["m1", "m2"]
    assert zap == [0, None, 0, None, 0, None]


@pytest_twisted.ensureDeferred
async def test_the_overview_counts_nothing_that_waits_no_more_and_drops_its_entries(store: Store) -> None:
    gone = waiting("m1"), waiting("m3", state=State.DELETED), waiting("m5", attempts=[*[attempt("zap")] * 2])
    await queue(store, gone[0], waiting("m2"), gone[1], waiting("m4"), gone[2])
    await store.command("DEL", keys.message("m1"))
    key = keys.queue("operator", 1)
    await store.command("RPUSH", key, "m5 1", "m6 1")
    _, operator = await store.call("overview", "1", "operator")
    assert (operator[2], records.unpack(operator[3]).id) == (3, "m2")
    assert await store.command("LRANGE", key, "0", "-1") == [b"m2 1", b"m4 1", b"m5 2"]
    await store.command("DEL", *map(keys.message, ("m2", "m4", "m5")))
    assert (await store.call("overview", "1", "operator"))[1] == [0, None] * 3


@pytest_twisted.ensureDeferred
async def test_a_long_queue_is_looked_through_from_its_front_a_piece_at_a_time(store: Store) -> None:
    key = keys.queue("operator", 1)
    await store.command("RPUSH", key, *(f"gone{n} 1" for n in range(9000)))
    await queue(store, waiting("m1"))
    told = [(await store.call("overview", "1", "operator"))[1] for _ in range(3)]
    assert [row[2] for row in told] == [9001 - 4096, 9001 - 8192, 1]
    assert [row[3] and records.unpack(row[3]).id for row in told] == [None, None, "m1"]


@pytest_twisted.ensureDeferred
async def test_values_are_kept_for_as_long_as_they_are_told_to(store: Store) -> None:
    await store.call("keep", "p:1", "60", b"\xffone", "p:2", "90", "two")
    assert await store.command("MGET", "p:1", "p:2") == [b"\xffone", b"two"]
    assert 60 < await store.command("TTL", "p:2") <= 90


# -- use


@pytest_twisted.ensureDeferred
async def test_uses_of_a_day_add_up_over_processes_and_begin_anew_with_the_next(store: Store) -> None:
    async def use(day: int, count: int) -> tuple[int, int, int]:
        first, second = await store.call("use", "p:zap:#sends", "1000", str(day), str(count), "p:other", "9", "1", "1")
        assert limits.unpack(second).day == 1
        tally = limits.unpack(first)
        assert limits.pack(tally) == first == await store.command("GET", "p:zap:#sends")
        return tally.first_day, tally.day, tally.used

    assert await use(TODAY, 3) == (TODAY, TODAY, 3)
    assert await use(TODAY, -1) == (TODAY, TODAY, 2)
    assert await use(TODAY, -9) == (TODAY, TODAY, 0)
    assert await use(TODAY + 1, 2) == (TODAY, TODAY + 1, 2)
    assert await use(TODAY, 5) == (TODAY, TODAY + 1, 2), "a clock that is a day behind"
    assert 0 < await store.command("TTL", "p:zap:#sends") <= 1000
    await store.command("SET", "p:zap:#sends", b"rubbish")
    assert await use(TODAY, 1) == (TODAY, TODAY, 1)


@pytest_twisted.ensureDeferred
async def test_what_one_process_used_of_a_day_the_other_hears_with_its_own_use(store: Store) -> None:
    turns: list[Any] = []
    mine, yours = Evidence(store, turns.append), Evidence(store, turns.append)
    heard: dict[str, int] = {}

    def use(evidence: Evidence, name: str, count: int) -> None:
        evidence.use("zap:#sends", TODAY, count, 60.0, lambda packed: heard.update({name: limits.unpack(packed).used}))

    use(mine, "mine", 2)
    use(mine, "again", 1)
    use(yours, "yours", 4)
    for turn in turns:
        turn()
    await store.command("PING")
    assert heard == {"mine": 3, "again": 3, "yours": 7}


# -- spend


@pytest_twisted.ensureDeferred
async def test_of_a_shared_budget_no_window_has_more_than_there_is(store: Store) -> None:
    spent: list[tuple[float, int]] = []

    async def spend(now: float, wanted: int, most: int = 10) -> tuple[int, float]:
        granted, closed = await store.call("spend", str(now), "p:zap:#budget", "60", str(most), str(wanted))
        spent.append((now, granted))
        assert sum(n for at, n in spent if at > now - 60) <= 10
        return granted, float(closed)

    assert await spend(1000.5, 4) == (4, 0.0)
    assert await spend(1000.7, 4) == (4, 0.0)
    assert await spend(1030.0, 9) == (2, 31.0), "it is counted until the end of its second"
    assert await spend(1060.9, 1) == (0, 0.1)
    assert await spend(1061.0, 5, most=7) == (5, 29.0), "a reload may have changed it"
    assert await spend(1061.0, 5) == (3, 29.0)
    assert await spend(1090.0, 5) == (2, 31.0)
    assert 60 < await store.command("TTL", "p:zap:#budget") <= 61


@pytest_twisted.ensureDeferred
async def test_a_shared_budget_survives_rubbish_and_a_clock_that_was_set_back(store: Store) -> None:
    async def spend(now: float, wanted: int) -> list[object]:
        answer: list[object] = await store.call("spend", str(now), "p:b", "60", "10", str(wanted))
        return answer

    await store.command("SET", "p:b", b"rubbish")
    assert await spend(9000.0, 10) == [10, b"60.000"]
    assert await spend(1000.0, 1) == [0, b"60.000"], "what was spent in the future was spent just now"
    assert await spend(1060.0, 4) == [4, b"0.000"]


@pytest_twisted.ensureDeferred
async def test_two_processes_spend_one_budget(store: Store) -> None:
    mine, yours = Evidence(store, lambda _: None), Evidence(store, lambda _: None)
    assert await mine.spend("zap:#budget", 60.0, 5, 3) == (3, 0.0)
    granted, closed_s = await yours.spend("zap:#budget", 60.0, 5, 3)
    assert granted == 2
    assert 58 < closed_s <= 61
    assert (await mine.spend("zap:#budget", 60.0, 5, 3))[0] == 0
