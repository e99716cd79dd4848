"""Changes of messages: against the revision that was read, once, and told to the feed."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest_twisted
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from gateway.messages.message import Message
from gateway.messages.states import State
from gateway.store import keys, records
from gateway.store.batch import MOST_WORDS
from gateway.store.ledger import AT_MOST, ENOUGH, IN_FLIGHT, Ledger
from gateway.store.turn import LONGEST_TRACE, Turn
from gateway.store.valkey import Keep, Store
from tests.gateway.samples import START, accepted, attempt

ACCEPTED = [(START, "accepted", "", "")]


def sealed(message: Message, events: Any = ACCEPTED, commands: Any = (), again: Any = None, **slots: Any) -> Turn:
    """A sealed change; slots: what else of a Turn is to be set."""
    made = Turn(message, START)
    made.events += events
    made.commands += commands
    for slot, value in slots.items():
        setattr(made, slot, value)
    return made.change(again)


class Desk:
    """A ledger whose turns the test takes."""

    def __init__(self, store: Store, feed_length: int = 1000, node: str = "gw1") -> None:
        self.store, self.clock = store, Clock()
        self.ledger = Ledger(store, node, feed_length, lambda call: self.clock.callLater(0, call), Keep.ALWAYS)

    async def settle(self) -> None:
        """Until the store has answered everything."""
        while self.ledger.busy:
            self.clock.advance(0)
            await self.store.command("PING", keep=Keep.ALWAYS)

    async def write(self, message: Message, commands: Any = (), **more: Any) -> Any:
        """One change; ("done", answers) or ("again", message as it is now)."""
        told: Deferred[Any] = Deferred()
        change = sealed(
            message,
            more.pop("events", ACCEPTED),
            commands,
            lambda fresh: told.callback(("again", fresh)),
            kept=[lambda answers: told.callback(("done", answers))],
            **more,
        )
        self.ledger.commit(change)
        await self.settle()
        return await told

    async def read(self, message_id: str) -> Message:
        return records.unpack(await self.store.command("GET", keys.message(message_id)))

    async def feed(self) -> list[list[dict[str, Any]]]:
        """The entries of the feed, each the events it holds."""
        entries = await self.store.command("XRANGE", keys.FEED, "-", "+")
        assert all(fields[0] == b"b" and len(fields) == 2 for _, fields in entries)
        return [msgspec.msgpack.decode(fields[1]) for _, fields in entries]


@pytest_twisted.ensureDeferred
async def test_a_new_message_is_kept_and_every_change_has_a_revision_of_its_own(store: Store) -> None:
    desk = Desk(store)
    message = accepted()
    assert await desk.write(message) == ("done", ())
    assert (await desk.read("m1")).rev == message.rev == 1
    message.state = State.ENROUTE
    assert await desk.write(message) == ("done", ())
    read = await desk.read("m1")
    assert (read.rev, read.state) == (message.rev, State.ENROUTE)
    assert read.rev not in (0, 1, sealed(accepted(rev=1)).message.rev)


@pytest_twisted.ensureDeferred
async def test_who_was_slower_gets_the_message_as_it_is_now_and_changes_nothing(store: Store) -> None:
    desk, other = Desk(store), Desk(store)
    await desk.write(accepted())
    mine, theirs = await desk.read("m1"), await other.read("m1")
    theirs.cost = "0.08"
    await other.write(theirs)
    mine.cost = "9.99"
    what, fresh = await desk.write(mine, [("SET", "side-effect", "1")], events=[(START, "sent", "zap", "")])
    assert (what, fresh) == ("again", theirs)
    assert await store.command("GET", "side-effect") is None
    assert [step[1] for step in fresh.trace] == ["accepted", "accepted"]
    assert all(told["event"] != "sent" for entry in await desk.feed() for told in entry)


@pytest_twisted.ensureDeferred
async def test_a_message_that_is_gone_is_nobody(store: Store) -> None:
    desk = Desk(store)
    message = accepted(rev=3)
    assert await desk.write(message) == ("again", None)


@pytest_twisted.ensureDeferred
async def test_a_new_message_never_overwrites_one(store: Store) -> None:
    desk = Desk(store)
    await desk.write(accepted(cost="1"))
    what, fresh = await desk.write(accepted(cost="2"))
    assert (what, fresh.cost) == ("again", "1")


@pytest_twisted.ensureDeferred
async def test_the_same_change_made_again_after_a_lost_link_is_known_and_does_nothing_twice(store: Store) -> None:
    desk = Desk(store)
    stream = keys.receipts("billing")
    push = [("XADD", stream, "*", "b", "receipt")]
    what, answers = await desk.write(accepted(), push)
    assert what == "done"
    assert len(answers) == 1
    assert await desk.write(accepted(), push) == ("done", None), "the same record at the same revision"
    assert await store.command("XLEN", stream) == 1
    assert len(await desk.feed()) == 1


@pytest_twisted.ensureDeferred
async def test_answers_come_in_the_order_of_their_commands_and_only_those_that_are_wanted(store: Store) -> None:
    desk = Desk(store)
    await store.command("SET", "parked", "report")
    _, answers = await desk.write(
        accepted(),
        [
            ("SET", "u:zap:w1", "m1", "EX", "60"),
            ("GETDEL", "parked"),
            ("GETDEL", "nothing"),
            ("ZADD", keys.DUE, "1.5", "m1"),
            ("XADD", "r:billing", "7-1", "b", records.octets(b"\xff\x00octets")),
        ],
    )
    assert answers == (b"report", None, b"7-1")
    assert await store.command("XRANGE", "r:billing", "-", "+") == [[b"7-1", [b"b", b"\xff\x00octets"]]]


@pytest_twisted.ensureDeferred
async def test_a_final_message_lives_as_long_as_it_is_told_to(store: Store) -> None:
    desk = Desk(store)
    message = accepted()
    await desk.write(message)
    assert await store.command("TTL", keys.message("m1")) == -1
    message.state = State.DELIVERED
    await desk.write(message, ttl=3600)
    assert 3590 <= await store.command("TTL", keys.message("m1")) <= 3600


@pytest_twisted.ensureDeferred
async def test_the_feed_is_an_array_of_maps_with_the_keys_of_the_contract_and_never_the_text(store: Store) -> None:
    desk = Desk(store, node="gw7")
    message = accepted(
        user_data=b"a very secret text", state=State.ENROUTE, attempts=[attempt("operator")], cost="0.16", segments=2
    )
    await desk.write(message, events=[(START, "decided", "operator", "timeout"), (START + 1, "sent", "operator", "")])
    common = {
        "id": "m1",
        "account": "billing",
        "to": "+55 11 98765-4321",
        "node": "gw7",
        "state": "enroute",
        "channel": "operator",
        "segments": 2,
        "price": "0.16",
    }
    assert await desk.feed() == [
        [
            {**common, "at": START, "event": "decided", "detail": "timeout"},
            {**common, "at": START + 1, "event": "sent"},
        ]
    ]
    (_, fields), *_ = await store.command("XRANGE", keys.FEED, "-", "+")
    assert b"secret" not in fields[1]


@pytest_twisted.ensureDeferred
async def test_a_batch_is_one_entry_however_many_events_it_has(store: Store) -> None:
    desk = Desk(store)
    for number in range(40):
        desk.ledger.commit(sealed(accepted(f"m{number}"), ACCEPTED))
    await desk.settle()
    entries = await desk.feed()
    assert [event["id"] for entry in entries for event in entry] == [f"m{number}" for number in range(40)]
    assert len(entries) == 1


@pytest_twisted.ensureDeferred
async def test_a_change_without_events_leaves_no_entry(store: Store) -> None:
    desk = Desk(store)
    assert await desk.write(accepted(), events=[]) == ("done", ())
    assert await desk.feed() == []


@pytest_twisted.ensureDeferred
async def test_the_feed_is_trimmed_to_about_its_length(store: Store) -> None:
    desk = Desk(store, feed_length=2000)
    for number in range(4000):
        desk.ledger.commit(sealed(accepted(f"m{number}"), ACCEPTED))
        if number % 20 == 19:  # small batches, so that there are many entries
            await desk.settle()
    kept = [event for entry in await desk.feed() for event in entry]
    assert 2000 <= len(kept) < 4000, "trimmed, and never shorter than asked for"
    assert kept[-1]["id"] == "m3999"


@pytest_twisted.ensureDeferred
async def test_a_message_remembers_its_steps(store: Store) -> None:
    desk = Desk(store)
    message = accepted()
    await desk.write(message)
    await desk.write(message, events=[(START + 1, "sent", "zap", ""), (START + 2, "ack", "zap", "")])
    assert (await desk.read("m1")).trace == [
        (START, "accepted", "", ""),
        (START + 1, "sent", "zap", ""),
        (START + 2, "ack", "zap", ""),
    ]


@pytest_twisted.ensureDeferred
async def test_a_trace_that_never_ends_keeps_its_beginning_and_its_end(store: Store) -> None:
    desk = Desk(store)
    message = accepted()
    for number in range(2 * LONGEST_TRACE):
        desk.ledger.commit(sealed(message, [(START + number, "retry", "zap", str(number))]))
    await desk.settle()
    trace = (await desk.read("m1")).trace
    assert len(trace) <= LONGEST_TRACE
    assert (trace[0][3], trace[-1][3]) == ("0", str(2 * LONGEST_TRACE - 1))


@pytest_twisted.ensureDeferred
async def test_the_feed_tells_the_steps_of_a_joined_text_of_its_parts(store: Store) -> None:
    desk = Desk(store)
    await desk.write(accepted("j1", parts=("m1", "m2")), events=[(START, "joined", "", "2 parts")])
    assert [(event["id"], event["detail"]) for entry in await desk.feed() for event in entry] == [
        ("m1", "2 parts"),
        ("m2", "2 parts"),
    ]


@pytest_twisted.ensureDeferred
async def test_what_follows_from_a_change_that_loses_its_race_is_not_made(store: Store) -> None:
    desk = Desk(store)
    for one in ("text", "part", "other"):
        await desk.write(accepted(one))
    mine = {one: await desk.read(one) for one in ("text", "part", "other")}
    theirs = await desk.read("text")
    await desk.write(theirs)
    told: list[str] = []
    first = sealed(mine["text"], again=lambda fresh: told.append("again"))
    follows = sealed(mine["part"], follows_from=first, kept=[lambda _: told.append("part kept")])
    other = sealed(mine["other"], kept=[lambda _: told.append("other kept")])
    desk.ledger.together([first, follows, other])
    await desk.settle()
    assert sorted(told) == ["again", "other kept"]
    assert (await desk.read("part")).rev == 1


@pytest_twisted.ensureDeferred
async def test_changes_given_together_go_in_one_call_even_past_the_usual_size(store: Store) -> None:
    desk = Desk(store)
    desk.ledger.commit(sealed(accepted("first"), ACCEPTED))
    desk.ledger.together([sealed(accepted(f"m{number}"), ACCEPTED) for number in range(AT_MOST)])
    await desk.settle()
    assert [len(entry) for entry in await desk.feed()] == [1, AT_MOST]


@pytest_twisted.ensureDeferred
async def test_a_sequel_that_fails_harms_no_other_change(store: Store) -> None:
    desk = Desk(store)
    told: list[str] = []
    desk.ledger.commit(sealed(accepted("m1"), ACCEPTED, kept=[lambda _: [][0]]))
    desk.ledger.commit(sealed(accepted("m2"), ACCEPTED, kept=[lambda _: told.append("m2")]))
    await desk.settle()
    assert told == ["m2"]


@pytest_twisted.ensureDeferred
async def test_the_ledger_says_when_nothing_is_left_to_write(store: Store) -> None:
    desk = Desk(store)
    idle: list[bool] = []
    desk.ledger.idle = lambda: idle.append(True)
    desk.ledger.commit(sealed(accepted("m1"), ACCEPTED))
    assert desk.ledger.busy
    assert not idle
    await desk.settle()
    assert not desk.ledger.busy
    assert idle == [True]


@pytest_twisted.ensureDeferred
async def test_the_feed_tells_of_a_batch_what_was_done_and_nothing_else(store: Store) -> None:
    desk = Desk(store)
    await desk.write(accepted("old"))
    stale = accepted("old", rev=7)
    changes = [
        sealed(accepted("m1"), [(START, "accepted", "", ""), (START + 0.5, "decided", "zap", "first choice")]),
        sealed(stale, [(START, "sent", "zap", ""), (START, "ack", "zap", "")]),
        sealed(accepted("m2"), [(START + 1.25, "accepted", "", "")]),
    ]
    for change in changes:
        desk.ledger.commit(change)
    await desk.settle()
    *_, entry = await desk.feed()
    assert [(event["id"], event["event"], event["at"]) for event in entry] == [
        ("m1", "accepted", START),
        ("m1", "decided", START + 0.5),
        ("m2", "accepted", START + 1.25),
    ]


@pytest_twisted.ensureDeferred
async def test_a_batch_of_which_nothing_was_done_leaves_no_entry(store: Store) -> None:
    desk = Desk(store)
    desk.ledger.commit(sealed(accepted("gone", rev=3)))
    await desk.settle()
    assert await desk.feed() == []


@pytest_twisted.ensureDeferred
async def test_enough_changes_for_a_call_do_not_wait_for_the_end_of_the_turn(store: Store) -> None:
    desk = Desk(store)
    for number in range(ENOUGH - 1):
        desk.ledger.commit(sealed(accepted(f"m{number}")))
    assert not store._pending
    desk.ledger.commit(sealed(accepted("the last of enough")))
    assert len(store._pending) == 1
    await desk.settle()
    assert desk.ledger.concerned == set()


@pytest_twisted.ensureDeferred
async def test_new_messages_take_the_store_one_call_at_a_time_while_others_wait_for_it(store: Store) -> None:
    desk = Desk(store)
    new = Ledger(store, "gw1", 1000, lambda call: desk.clock.callLater(0, call), Keep.OVER_LINKS, desk.ledger)
    for number in range(AT_MOST * (IN_FLIGHT + 1)):
        desk.ledger.commit(sealed(accepted(f"m{number}")))
    for number in range(AT_MOST * 2):
        new.commit(sealed(accepted(f"n{number}")))
    assert len(store._pending) == IN_FLIGHT + 1, "all that may be there at a time, and one of what is new"
    await desk.settle()
    while new.busy:
        desk.clock.advance(0)
        await store.command("PING", keep=Keep.ALWAYS)
    assert await store.command("EXISTS", *(keys.message(f"n{number}") for number in range(AT_MOST * 2))) == AT_MOST * 2


@pytest_twisted.ensureDeferred
async def test_what_stands_in_the_way_keeps_none_of_the_others_from_being_made_once(store: Store) -> None:
    desk, told = Desk(store), []
    await desk.write(accepted("old"))
    for one in (accepted("m1"), accepted("old", rev=7), accepted("m2")):
        change = sealed(
            one,
            commands=[("INCR", f"made:{one.id}")],
            again=lambda fresh: told.append(("again", fresh and fresh.id)),
            kept=[lambda _, name=one.id: told.append(("done", name))],
        )
        desk.ledger.commit(change)
    await desk.settle()
    assert sorted(told) == [("again", "old"), ("done", "m1"), ("done", "m2")]
    assert await store.command("MGET", "made:m1", "made:old", "made:m2") == [b"1", None, b"1"]


@pytest_twisted.ensureDeferred
async def test_of_two_with_the_same_text_in_one_call_the_first_is_kept_and_only_then_the_other_is_told_of_it(
    store: Store,
) -> None:
    desk, told = Desk(store), []
    for name in ("m1", "m2"):
        change = sealed(
            accepted(name),
            unless=("once:text", 60),
            instead=lambda first, name=name: told.append((name, "instead", first)),
            kept=[lambda _, name=name: told.append((name, "done"))],
        )
        desk.ledger.commit(change)
    await desk.settle()
    assert told == [("m1", "done"), ("m2", "instead", "m1")]
    assert await store.command("EXISTS", keys.message("m2")) == 0


@pytest_twisted.ensureDeferred
async def test_more_words_than_one_command_takes_are_said_in_several(store: Store) -> None:
    desk = Desk(store)
    remote_ids = [f"w{number}" for number in range(MOST_WORDS)]
    await desk.write(accepted("m1"), [("REMOTE", "ids:zap:1", 600, one, "zap") for one in remote_ids])
    assert await store.command("HLEN", "ids:zap:1") == MOST_WORDS
    assert await store.command("HGET", "ids:zap:1", remote_ids[-1]) == b"m1"
    assert 590 <= await store.command("TTL", "ids:zap:1") <= 600


@pytest_twisted.ensureDeferred
async def test_the_place_of_the_receipt_is_the_last_answer_whatever_else_is_answered(store: Store) -> None:
    desk = Desk(store)
    await store.command("SET", "parked", "1")
    await store.command("SET", keys.parked("operator", "o1"), b"\x80a report")
    commands = [
        ("REMOTE", "ids:operator:1", 600, "o1", "operator"),
        ("XADD", "r:billing", "7-1", "b", "on its way"),
    ]
    what, answers = await desk.write(accepted(), commands, stream="r:billing", receipt=b"the receipt")
    assert (what, answers[:2]) == ("done", (b"\x80a report", b"7-1"))
    (entry, _), *_ = await store.command("XREVRANGE", "r:billing", "+", "-", "COUNT", "1")
    assert answers[2:] == (entry,)
