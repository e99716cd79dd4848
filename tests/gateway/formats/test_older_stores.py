"""This version over the store of each format there ever was: whatever state a message was in, it ends as it should."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
import valkey
from twisted.internet.task import Clock

from bridge import presence
from gateway.delivery.membership import LEASE_S
from gateway.messages import message
from gateway.messages.message import Mo
from gateway.messages.outcome import Accepted, Inbound, Status
from gateway.messages.states import State
from gateway.store import formats, keys
from gateway.store.embedded import EmbeddedServer
from gateway.store.evidence import Evidence
from gateway.store.unmatched import Unmatched
from gateway.store.valkey import Store
from tests.gateway.delivery.house import PARTS_S, PATIENCE_S, House
from tests.gateway.formats.every_state import BY_SMS, COUNTED, PERSON, ROUTES, SHAPE
from tests.gateway.samples import DAY_S
from tools import store_dump
from tools.store_dump import Dump, load, write

HERE = Path(__file__).parent
DUMPS = {int(path.stem.rpartition("-")[2]): path for path in HERE.glob("format-*.dump")}

# case -> how it ends, by which channel
ENDS = {
    "delivered, receipt answered": (State.DELIVERED, "zap"),
    "delivered, receipt waits": (State.DELIVERED, "zap"),
    "said once": (State.DELIVERED, "operator"),
    "sent by WhatsApp": (State.DELIVERED, "zap"),
    "acknowledged by WhatsApp": (State.DELIVERED, "zap"),
    "sent by SMS": (State.DELIVERED, "operator"),
    "never reported": (State.EXPIRED, "operator"),
    "reported in hex": (State.DELIVERED, "operator"),
    "fell back and sent": (State.DELIVERED, "operator"),
    "WhatsApp silent": (State.DELIVERED, "operator"),
    "operator silent": (State.DELIVERED, "operator"),
    "scheduled": (State.DELIVERED, "zap"),
    "to be tried again": (State.DELIVERED, "zap"),
    "alone 1": (State.DELIVERED, "operator"),
    "joined 1": (State.DELIVERED, "zap"),
    "joined 2": (State.DELIVERED, "zap"),
    "released 1": (State.DELIVERED, "operator"),
    "released 2": (State.DELIVERED, "operator"),
    "in hand of WhatsApp, written": (State.DELIVERED, "operator"),
    "in hand of WhatsApp, not written": (State.DELIVERED, "zap"),
    "in hand of the operator, written": (State.DELIVERED, "operator"),
    "in hand of the operator, not written": (State.DELIVERED, "operator"),
    "reported before it was answered": (State.DELIVERED, "operator"),
    "in the hand of another node": (State.DELIVERED, "operator"),
    "waits for WhatsApp": (State.DELIVERED, "zap"),
    "waits for the operator": (State.DELIVERED, "operator"),
    "cancelled": (State.DELETED, "zap"),
}
HELD = ("operator silent", "in hand of the operator, written", "in the hand of another node")


class Successor:
    """The gateway that is started over a dump, and what its surroundings do from there on."""

    def __init__(self, store: Store, dump: Dump, incarnation: int) -> None:
        clock = Clock()
        clock.advance(dump.about["at"])
        self.cases: dict[str, str] = dump.about["cases"]
        self.house = House(
            store, *ROUTES, shared=True, clock=clock, incarnation=incarnation,
            was_written=frozenset(dump.about["written"]).__contains__, receipts_kept=30 * DAY_S,
        )  # fmt: skip
        for channel in (self.house.zap, self.house.operator):
            channel.script = lambda m: Accepted(f"new-{m.id}")
        self._reported: set[str] = set()

    async def run(self) -> dict[str, list[Any]]:
        """Until everything has ended. What its ESMEs got."""
        house = self.house
        await house.start()
        binds = {account: house.esmes.bind(account) for account in ("billing", BY_SMS)}
        await house.passes(1)
        for channel, old in (
            (house.zap, ("z-sent", "z-acked", "z-joined")),
            (house.operator, ("o-sent", "16", "o-fell")),
        ):
            for remote_id in old:
                await self._report(channel, remote_id)
        await house.passes(2 * LEASE_S)  # the other node is dead
        await house.passes(2)
        for case in HELD:
            found = await house.read(self.cases[case])
            house.operator.report(f"held-{found.id}", Status.DELIVERED, source="28940", dest=found.msisdn)
            await house.settle()
        for seconds in (PARTS_S, PATIENCE_S, PATIENCE_S, 3600.0, 60.0, DAY_S, 5.0, 5.0):
            await self._report_new()
            await house.passes(seconds)
        await house.passes(1)
        return {account: bind.got for account, bind in binds.items()}

    async def _report(self, channel: Any, remote_id: str) -> None:
        numbers = {"16": "reported in hex", "o-sent": "sent by SMS", "o-fell": "fell back and sent"}
        dest = (await self.house.read(self.cases[numbers[remote_id]])).msisdn if remote_id in numbers else ""
        channel.report(remote_id, Status.DELIVERED, dest=dest)
        await self.house.settle()

    async def _report_new(self) -> None:
        for channel in (self.house.zap, self.house.operator):
            for taken in channel.taken:
                if (key := f"{channel.name} {taken.id}") not in self._reported:
                    self._reported.add(key)
                    channel.report(f"new-{taken.id}", Status.DELIVERED, dest=taken.msisdn)
        await self.house.settle()


async def successor(server: EmbeddedServer, store: Store, number: int) -> Successor:
    dump = load(DUMPS[number])
    write(valkey.Valkey(unix_socket_path=server.socket), dump.rows)
    await formats.agree(store)
    return Successor(store, dump, await store.command("INCR", keys.INCARNATIONS))


@pytest.mark.parametrize("number", sorted(DUMPS))
@pytest_twisted.ensureDeferred
async def test_every_message_of_an_older_store_ends_as_it_should(
    server: EmbeddedServer, store: Store, number: int
) -> None:
    after = await successor(server, store, number)
    got = await after.run()
    house, cases = after.house, after.cases
    found = {case: await house.read(message_id) for case, message_id in cases.items()}
    assert {case: (m.state, m.decided_by) for case, m in found.items()} == ENDS
    told = sorted(item.message_id for items in got.values() for item in items if not isinstance(item, Mo))
    assert told == sorted(one for case, one in cases.items() if case != "delivered, receipt answered")
    assert [bytes(item.user_data) for item in got["billing"] if isinstance(item, Mo)] == [b"Obrigado"]
    taken = {channel.name: [m.id for m in channel.taken] for channel in (house.zap, house.operator)}
    for ids in taken.values():
        assert len(set(ids)) == len(ids), "nothing is given to a channel twice"
    for case in ("in hand of WhatsApp, written", "WhatsApp silent"):
        assert cases[case] not in taken["zap"]
    for case in (*HELD, "reported before it was answered"):
        assert cases[case] not in taken["operator"]
    assert await store.command("ZCARD", keys.DUE) == 0
    for pattern in ("q:*", "hand:*"):
        assert await store.command("KEYS", pattern) == []
    assert [await store.command("XLEN", keys.receipts(account)) for account in got] == [0, 0]


@pytest.mark.parametrize("number", sorted(DUMPS))
@pytest_twisted.ensureDeferred
async def test_what_an_older_store_knows_beside_its_messages_is_known(
    server: EmbeddedServer, store: Store, number: int
) -> None:
    after = await successor(server, store, number)
    house, cases = after.house, after.cases
    await house.start()
    assert "receipt_answered" in await house.story(cases["delivered, receipt answered"])
    house.intake.dedupe = {"billing": DAY_S}
    said = await house.read(cases["said once"])
    again = house.message(msisdn=said.msisdn, dest=said.dest)
    assert await house.submit(again) == [said.id]
    person = (await house.read(cases["sent by SMS"])).msisdn
    before = await store.command("XLEN", keys.receipts("billing"))
    for remote_id, number_of in (("mo-1", said.msisdn), ("mo-2", person)):
        assert await house.inbound("zap", Inbound("zap", number_of, "", remote_id=remote_id, text="ola")) == [True]
    assert await store.command("XLEN", keys.receipts("billing")) == before, "it was taken before"
    (reply,) = [item for item in await house.receipts(BY_SMS) if isinstance(item, Mo)]
    assert (reply.source, reply.dest) == (f"+{person}", "28940")
    (known,) = await Evidence(store, house.later).read([PERSON])
    assert presence.unpack(known).delivered_at > 0
    assert await Unmatched(store, house.clock.callLater).commonest(["zap"], 9) == [("zap", SHAPE, 1)]
    assert await store.command("GET", keys.INCARNATIONS) == b"%d" % (COUNTED + 1), "the number of this process"
    assert await store.command("INCR", keys.NUMBERS) == COUNTED + 1


def test_each_format_has_its_dump() -> None:
    assert sorted(DUMPS) == [one.number for one in formats.FORMATS], (
        "a new format wants a dump: python -m tests.gateway.formats.every_state tests/gateway/formats/format-N.dump"
    )
    assert formats.FORMATS[-1].record == message.FORMAT, "a new format of the records is a new format of the store"


def test_the_newest_dump_has_every_kind_of_key_there_is() -> None:
    dump = load(DUMPS[formats.NEWEST])
    rows = re.findall(r"^(\S+:?\S*) +(?:string|list|set|zset|hash|stream|integer) ", keys.__doc__ or "", re.MULTILINE)
    rows += re.findall(r"^(stray\S+) ", keys.__doc__ or "", re.MULTILINE)
    assert len(rows) > 20
    names = [row.key.decode() for row in dump.rows]
    missing = [one for one in rows if not any(re.fullmatch(re.sub(r"\{[^}]*\}", ".+", one), name) for name in names)]
    assert missing == []


@pytest_twisted.ensureDeferred
async def test_a_store_of_a_newer_version_is_refused_and_left_as_it_is(store: Store) -> None:
    await store.command("SET", keys.FORMAT, "99 7.1.0")
    before = await store.command("DBSIZE")
    with pytest.raises(formats.NewerStore, match=r"format 99, written by Pombo 7\.1\.0.*start 7\.1\.0 or later"):
        await formats.agree(store)
    assert await store.command("GET", keys.FORMAT) == b"99 7.1.0"
    assert await store.command("DBSIZE") == before


@pytest.mark.parametrize("before", [None, "1 0.0.9", f"{formats.NEWEST} 0.0.9"])
@pytest_twisted.ensureDeferred
async def test_a_store_says_which_version_has_brought_it_to_its_format(store: Store, before: str | None) -> None:
    if before:
        await store.command("SET", keys.FORMAT, before)
    await formats.agree(store)
    assert await store.command("GET", keys.FORMAT) == f"{formats.NEWEST} {formats.this_version()}".encode()


@pytest_twisted.ensureDeferred
async def test_a_dump_brings_back_what_was_saved(
    server: EmbeddedServer, store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await successor(server, store, formats.NEWEST)
    url, first, second = f"unix://{server.socket}", tmp_path / "first", tmp_path / "second"
    assert store_dump.main(["save", url, str(first)]) == 0
    assert store_dump.main(["load", url, str(first)]) == 1, "into a store that is not empty"
    await store.command("FLUSHALL", "SYNC")
    assert store_dump.main(["load", url, str(first)]) == 0
    assert store_dump.main(["save", url, str(second)]) == 0
    saved, again = (
        {row.key: (row.kind, row.value, row.left_ms >= 0) for row in load(path).rows} for path in (first, second)
    )
    again.pop(b"alive:gw1", None)
    saved.pop(b"alive:gw1", None)
    assert again == saved and len(saved) > 50
    assert "keys saved" in capsys.readouterr().out
