"""One person is erased: nothing in the store names them any more, and everything that was counted still counts."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

import msgspec
import pytest
from pytest_twisted import ensureDeferred as in_reactor
from twisted.internet import defer

from bridge.aliases import Aliases
from bridge.presence import Evidence as Known
from bridge.presence import PresenceMemory, delivered, pack
from gateway.delivery.erasing import AGAIN_S, LISTEN_S, Erased, People, UnderWay, names
from gateway.delivery.resend import ON_ITS_WAY_S, Resending
from gateway.messages.message import Mo, Receipt
from gateway.messages.outcome import Inbound, Status
from gateway.messages.states import State
from gateway.store import keys
from gateway.store.embedded import EmbeddedServer
from gateway.store.evidence import Evidence
from gateway.store.valkey import Store, StoreAway
from tests.gateway.conftest import connected
from tests.gateway.delivery.house import RETENTION_S, SMS_ONLY, ZAP_ONLY, House
from tests.gateway.samples import DAY_S, NUMBER

T = TypeVar("T")
OTHER, OTHERS_DEST = "5521998887766", "5521998887766"
HIDDEN = "8812345@lid"
WITHOUT_NINTH = "551187654321"


def people_of(house: House, own_disk: bool = False) -> People:
    return People(
        house.store, house.delivery, clock=house.tick, accounts=lambda: ["billing", "shop"], normalize=house.normalize,
        withdraw=house.operations.withdraw, days=lambda: 30, call_later=house.clock.callLater, spawn=house.spawn,
        own_disk=own_disk,
    )  # fmt: skip


async def done(house: House, work: Coroutine[Any, Any, T]) -> T:
    answer = defer.ensureDeferred(work)
    await house.settle()
    while not answer.called:
        await house.settle()
    return await answer


async def erased(house: House, number: str = NUMBER, **how: Any) -> Erased:
    came = await done(house, people_of(house).erase(number, **how))
    assert isinstance(came, Erased)
    return came


async def everything(store: Store) -> dict[bytes, str]:
    """Key -> whatever is in it, as text."""
    read = {b"string": ("GET",), b"hash": ("HGETALL",), b"set": ("SMEMBERS",), b"list": ("LRANGE", "0", "-1"),
            b"zset": ("ZRANGE", "0", "-1"), b"stream": ("XRANGE", "-", "+")}  # fmt: skip
    found = {}
    for key in await store.command("KEYS", "*"):
        command, *rest = read[await store.command("TYPE", key)]
        found[key] = repr((key, await store.command(command, key, *rest)))
    return found


async def naming(store: Store, *words: str) -> list[str]:
    """The keys that name a person, or hold one of the words."""
    digits = ("87654321", "8765-4321", *words)
    return sorted(key.decode() for key, held in (await everything(store)).items() if any(d in held for d in digits))


async def two_people(store: Store) -> tuple[House, list[str]]:
    """By WhatsApp, by SMS and in parts to one person, who wrote back; one message to another. All of it has ended."""
    house = await House(store).start()
    house.esmes.bind()
    evidence = Evidence(store, house.later)
    evidence.write(f"zap:{NUMBER}", pack(Known(identity=WITHOUT_NINTH, delivered_at=house.now)), 3600)
    evidence.write(f"gone:{NUMBER}", pack(Known(yes_at=house.now)), 3600)
    evidence.write(f"zap:{OTHER}", pack(Known(yes_at=house.now)), 3600)
    aliases = Aliases("zap", evidence, 3600)
    aliases.learn(HIDDEN, WITHOUT_NINTH)
    aliases.learn("77@lid", OTHER)
    ids = [await house.submit_one(user_data=b"Ola Ana", tlvs=((0x0204, b"\0\7"),))]
    house.zap.accept(f"true_{WITHOUT_NINTH}@c.us_3EB0")
    house.zap.report(f"true_{WITHOUT_NINTH}@c.us_3EB0", Status.DELIVERED)
    await house.settle()
    ids += await house.submit(house.part(1, 2), house.part(2, 2))
    house.zap.accept("3EB0AAAA")
    house.zap.report("3EB0AAAA", Status.DELIVERED)
    await house.settle()
    house.intake.use((SMS_ONLY,))
    ids.append(await house.submit_one(user_data=b"Ola Ana, de novo"))
    house.operator.accept("1001")
    house.operator.report("1001", Status.FAILED, State.UNDELIVERABLE, dest=NUMBER, source="28940", err="Ana away")
    await house.settle()
    ids.append(await house.submit_one(msisdn=OTHER, dest=OTHERS_DEST, user_data=b"Ola Bia"))
    house.operator.accept("1002")
    house.operator.report("1002", Status.DELIVERED, State.DELIVERED, dest=OTHER, source="28940")
    await house.settle()
    return house, ids


@in_reactor
async def test_nothing_in_the_store_names_the_person_any_more(store: Store) -> None:
    house, _ = await two_people(store)
    before = await naming(store)
    assert {key.partition(":")[0] for key in before} >= {"m", "writers", "p", "ids", "pombo", "parts"}
    came = await erased(house, WITHOUT_NINTH)  # either form
    assert (came.messages, came.evidence, came.identities, came.waiting) == (4, 2, 1, [])
    assert came.events > 10
    left = await naming(store, HIDDEN, "Ana")
    assert left == [keys.ERASURES, *[key for key in left if key.endswith(":done")]]  # for minutes
    house.clock.advance(AGAIN_S)
    await house.settle()
    assert [key for key in await naming(store) if not key.endswith(":done")] == []


@in_reactor
async def test_what_was_counted_and_answered_stays(store: Store) -> None:
    house, ids = await two_people(store)
    kept = ("account", "source", "state", "segments", "cost", "decided_by", "accepted_at", "final_at", "err", "route")
    before = [[getattr(one, field) for field in kept] for one in await house.read_all(ids)]
    stories = [await house.story(one) for one in ids]
    lived_s = [await store.command("TTL", keys.message(one)) for one in ids]
    house.clock.advance(3600.0)
    await erased(house)
    assert [[getattr(one, field) for field in kept] for one in await house.read_all(ids)] == before
    assert [await house.story(one) for one in ids] == stories
    for message_id, lived in zip(ids[:4], lived_s, strict=False):
        assert (
            lived - 3610 < await store.command("TTL", keys.message(message_id)) <= lived - 3590
        )  # no longer than before
    assert {step.detail for step in await house.trace(ids[3])} == {""}


@in_reactor
async def test_others_keep_everything(store: Store) -> None:
    house, ids = await two_people(store)
    before = await everything(store)
    await erased(house)
    after = await everything(store)
    others = [keys.message(ids[4]), keys.person(f"zap:{OTHER}"), keys.person("zap:@77@lid")]
    assert all(after[key.encode()] == before[key.encode()] for key in others)
    events = await feed(store)
    assert [event["event"] for event in events if event["to"] == OTHERS_DEST] == (await house.story(ids[4]))
    assert {event["id"] for event in events if event["to"] == ""} >= set(ids[:4])
    writers = await store.command("ZRANGE", keys.writers(int(house.now // DAY_S)), "0", "-1")
    assert len(writers) == len(ids)  # so that receipts can be told again


async def feed(store: Store) -> list[dict[str, Any]]:
    rows = await store.command("XRANGE", keys.FEED, "-", "+")
    found = [event for _, fields in rows for event in msgspec.msgpack.decode(fields[1])]
    return sorted(found, key=lambda event: float(event["at"]))


@in_reactor
async def test_receipts_of_an_erased_message_can_be_told_again_without_the_number(store: Store) -> None:
    house, ids = await two_people(store)
    house.clock.advance(ON_ITS_WAY_S + 1)
    await erased(house)
    resending = Resending(store, house.desk, house.tick, lambda: RETENTION_S)
    assert await done(house, resending.again("billing", 0.0)) == len(ids)
    again = [item for item in house.esmes.binds[0].got if item.message_id == ids[3]]
    assert [(item.state, item.err) for item in again] == [(again[0].state, again[0].err)] * 2
    assert [item.source for item in again] == ["+55 11 98765-4321", ""]


@in_reactor
async def test_a_message_under_way_is_finished_first(store: Store) -> None:
    house = await House(store, SMS_ONLY).start()
    house.esmes.bind()
    ended = await house.submit_one()
    house.operator.accept("1")
    house.operator.report("1", Status.DELIVERED, State.DELIVERED, dest=NUMBER)
    await house.settle()
    going = await house.submit_one(expires_at=house.now + 7200)
    before = await everything(store)
    came = await done(house, people_of(house).erase(NUMBER))
    assert isinstance(came, UnderWay)
    assert came.messages == 1
    assert abs(came.until - house.now - 7200) < 1
    assert await everything(store) == before
    house.operator.accept("2")
    house.operator.report("2", Status.DELIVERED, State.DELIVERED, dest=NUMBER)
    await house.settle()
    assert [receipt.message_id for receipt in house.esmes.binds[0].got] == [ended, going]
    assert (await erased(house)).messages == 2


@in_reactor
async def test_what_waits_in_a_queue_is_cancelled_where_that_is_asked_for(store: Store) -> None:
    house = await House(store, SMS_ONLY).start()
    house.esmes.bind()
    house.operator.window = 1
    with_operator, waiting = await house.submit(house.message(), house.message())
    came = await done(house, people_of(house).erase(NUMBER, cancel=True))
    assert isinstance(came, UnderWay)
    assert came.messages == 1  # the operator has it
    assert (await house.read(waiting)).state is State.DELETED
    assert [receipt.message_id for receipt in house.esmes.binds[0].got] == [waiting]
    house.operator.accept("1")
    house.operator.report("1", Status.DELIVERED, State.DELIVERED, dest=NUMBER)
    await house.settle()
    assert (await erased(house)).messages == 2
    assert (await house.read(with_operator)).state is State.DELIVERED


@in_reactor
async def test_receipts_and_replies_that_wait_for_an_account_reach_it(store: Store) -> None:
    house = await House(store, ZAP_ONLY).start()
    await house.submit_one()
    house.zap.accept("3EB0")
    house.zap.report("3EB0", Status.DELIVERED)
    await house.settle()
    await house.inbound("zap", Inbound("zap", NUMBER, "", "in-1", text="pago!"))
    came = await erased(house)
    assert [type(one.item) for one in came.waiting] == [Receipt, Mo]
    bind = house.esmes.bind()
    await house.settle()
    assert [item.source for item in bind.got] == ["+55 11 98765-4321"] * 2
    assert await house.receipts() == []
    assert await naming(store) == [keys.ERASURES, keys.FEED]  # which tells that they were acknowledged
    assert (await erased(house)).events == 2  # receipt_sent, receipt_answered
    house.clock.advance(AGAIN_S)
    await house.settle()
    assert await naming(store, "pago") == []


@in_reactor
async def test_an_old_message_teaches_nothing_about_somebody_erased(store: Store) -> None:
    house, ids = await two_people(store)
    await erased(house)
    house.zap.learned.clear()
    house.zap.report("3EB0AAAA", Status.READ)  # an id that names nobody is still known
    house.operator.report("1001", Status.DELIVERED, State.DELIVERED, dest=NUMBER, source="28940")
    await house.settle()
    assert house.zap.learned == []
    assert "late" in await house.story(ids[3])
    assert (await house.read(ids[3])).msisdn == ""


class Remembering:
    """Of a channel, what knows people."""

    def __init__(self, house: House, store: Store) -> None:
        evidence = Evidence(store, house.later)
        self.memory = PresenceMemory(
            evidence, clock=house.clock, spawn=lambda work, what, logger: house.spawn(work, what), active_for=DAY_S,
            inactive_for=DAY_S, channel="zap",
        )  # fmt: skip

    def forget(self, forms: tuple[str, ...]) -> None:
        self.memory.forget(forms[0])


@in_reactor
async def test_another_process_on_the_store_forgets_and_brings_nothing_back(
    store: Store, server: EmbeddedServer
) -> None:
    house = await House(store).start()
    other = House(await connected(server, "gw2"), node="gw2", clock=house.clock)
    channel: Any = Remembering(house, other.store)
    other.delivery.channels["zap"] = channel
    listening = people_of(other)
    listening.start(house.clock)
    channel.memory.learn(NUMBER, delivered(house.now))
    await house.settle()
    key = keys.person(f"zap:{NUMBER}").encode()
    assert key in await everything(store)
    await erased(house)
    assert key not in await everything(store)
    channel.memory.learn(NUMBER, delivered(house.now + 1))  # it has not heard of it yet
    await house.settle()
    assert key in await everything(store)
    house.clock.advance(LISTEN_S)
    await other.settle()
    assert channel.memory.recall(NUMBER) is None
    house.clock.advance(AGAIN_S)
    await house.settle()
    assert await naming(store) == []
    listening.stop()
    await other.store.stop()


@in_reactor
async def test_the_files_of_an_embedded_store_are_written_anew(store: Store, server: EmbeddedServer) -> None:
    house, _ = await two_people(store)
    files = server.directory

    def on_disk() -> bool:
        return any(b"87654321" in path.read_bytes() for path in files.rglob("*.aof") if path.is_file())

    assert on_disk()
    await done(house, people_of(house, own_disk=True).erase(NUMBER))
    for key in await store.command("KEYS", "*:done"):
        await store.command("DEL", key)
    assert on_disk()
    house.clock.advance(AGAIN_S)
    await house.settle()
    for _ in range(500):  # the server takes its time
        if not on_disk():
            return
        await pause(0.02)
    pytest.fail("the number is in the store's files still")


async def pause(seconds: float) -> None:
    from twisted.internet import reactor, task

    await task.deferLater(reactor, seconds, lambda: None)  # type: ignore[arg-type]


@in_reactor
async def test_all_that_is_known_of_a_person_is_found(store: Store) -> None:
    house, ids = await two_people(store)
    going = await house.submit_one(user_data=b"Ola Ana, outra vez")
    found = await done(house, people_of(house).find(NUMBER))
    assert found.forms == (NUMBER, WITHOUT_NINTH)
    assert {one.id for one in found.messages if not one.parts} == {*ids[:4], going}
    assert [one.writer.id for one in found.written] == [*ids[:4], going]
    assert {(one.channel, one.identity) for one in found.known} == {("zap", ""), ("gone", ""), ("zap", HIDDEN)}
    assert {event["to"] for event in found.events} == {"+55 11 98765-4321"}
    assert {event["id"] for event in found.events} == {*ids[:4], going}


def test_ids_of_services_that_hold_the_number_are_known() -> None:
    forms = (NUMBER, WITHOUT_NINTH)
    assert names("true_551187654321@c.us_3EB0C767D26A", forms)
    assert names("wamid.HBgNNTUxMTk4NzY1NDMyMRUCABEYEjdFRkYyNEYzMDA0QTAyQkI3AA==", forms)
    assert not names("wamid.HBgNNTUyMTk5ODg4Nzc2NhUCABEYEjdFRkYyNEYzMDA0QTAyQkI3AA==", forms)
    assert not names("3EB0C767D26A1B2C", forms)
    assert not names("wamid.not base64 at all", forms)


@in_reactor
async def test_it_is_noted_for_as_long_as_is_asked_who_wrote_to_a_number(store: Store) -> None:
    house = await House(store).start()
    house.intake.keep_writers(2)
    await house.submit_one()
    key = keys.writers(int(house.now // DAY_S))
    assert 2 * DAY_S < await store.command("TTL", key) <= 3 * DAY_S


@in_reactor
async def test_who_wrote_to_a_number_is_noted_under_the_day_of_each_message(store: Store) -> None:
    house = await House(store).start()
    for _ in range(2):
        await house.submit_one()
        house.clock.advance(DAY_S)
    today = int(house.now // DAY_S)
    counts = [await store.command("ZCARD", keys.writers(today - back)) for back in (2, 1, 0)]
    assert counts == [1, 1, 0]


@in_reactor
async def test_an_erasure_that_the_store_does_not_keep_fails_and_can_be_ordered_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    house, _ = await two_people(store)
    people = people_of(house)
    with monkeypatch.context() as broken:
        broken.setattr(people, "_forgotten_by_channels", lambda *_: [("LREM", "one word too few")])
        with pytest.raises(StoreAway):
            await done(house, people.erase(NUMBER))
    assert isinstance(await done(house, people.erase(NUMBER)), Erased)
