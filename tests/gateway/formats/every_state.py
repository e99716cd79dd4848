"""A store with messages in every state, as the gateway of this checkout writes it. A dump of each format is kept here,
so that every later version is started over it:

    python -m tests.gateway.formats.every_state tests/gateway/formats/format-2.dump
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import valkey
from twisted.internet.defer import ensureDeferred
from twisted.internet.task import react

from bridge import presence
from gateway import dry_run
from gateway.messages.outcome import Accepted, Inbound, NoAccount, Status, TryLater, Uncertain
from gateway.routing.routes import Route, When
from gateway.store import formats, people
from gateway.store.embedded import EmbeddedServer
from gateway.store.evidence import Evidence
from gateway.store.unmatched import GATHERED_S, Unmatched
from tests.gateway.conftest import connected, shut_down
from tests.gateway.delivery.house import USUAL, House
from tests.gateway.samples import DAY_S, part
from tools.store_dump import Dump, read, save

BY_SMS = "shop"  # the account whose texts go by SMS alone; those of the other one over both channels
ROUTES = (Route("sms", ("operator",), when=When(account=(BY_SMS,))), USUAL)
PERSON, SHAPE = "zap:5511900000099", "Ola {}, {} vence"
NUMBERS = 5511900000001  # count up from here, one for each message
ERASED = "5511900000098"
COUNTED = 41  # what the counters have come to


class Maker:
    """Brings messages into their states. cases: name -> id; written: ids in the wire log."""

    def __init__(self, house: House, other: House) -> None:
        self.house, self.other = house, other
        self.cases: dict[str, str] = {}
        self.written: list[str] = []
        self._number = NUMBERS

    @property
    def number(self) -> str:
        return str(self._number)

    async def message(self, name: str, *, sms: bool = False, house: House | None = None, **fields: Any) -> str:
        self._number += 1
        if sms:
            fields["account"] = BY_SMS
        one = await (house or self.house).submit_one(msisdn=self.number, dest=f"+{self.number}", **fields)
        self.cases[name] = one
        return one

    async def parts(self, name: str, numbers: tuple[int, ...], reference: int) -> None:
        self._number += 1
        house, until = self.house, self.house.now + DAY_S
        made = [
            part(n, 2, reference=reference, msisdn=self.number, dest=self.number, expires_at=until) for n in numbers
        ]
        self.cases |= {f"{name} {n}": one for n, one in zip(numbers, await house.submit(*made), strict=True)}

    async def answered(self, channel: str, message_id: str, result: Any) -> None:
        getattr(self.house, channel).answer(message_id, result)
        await self.house.settle()

    async def fell_back(self, name: str, **fields: Any) -> str:
        one = await self.message(name, **fields)
        await self.answered("zap", one, NoAccount("provider"))
        return one

    async def make(self) -> None:
        await self.ended()
        await self.sent()
        await self.long_texts()
        await self.in_hand()
        await self.in_queues()
        await self.beside()

    async def ended(self) -> None:
        """Some of whose receipts the ESME has."""
        house, zap = self.house, self.house.zap
        bind = house.esmes.bind()
        await house.passes(1)  # its receipts are this node's to write
        one = await self.message("delivered, receipt answered")
        await self.answered("zap", one, Accepted("z-1"))
        zap.report("z-1", Status.DELIVERED)
        await house.settle()
        assert bind.ids == [one]
        house.esmes.lose(bind)
        await self.answered("zap", await self.message("delivered, receipt waits"), Accepted("z-2"))
        zap.report("z-2", Status.READ)
        await house.settle()
        house.intake.dedupe = {"billing": 30 * DAY_S}
        one = await self.fell_back("said once")
        house.intake.dedupe = {}
        await self.answered("operator", one, Accepted("o-1"))
        house.operator.report("o-1", Status.DELIVERED, dest=self.number)
        await house.settle()
        assert await house.inbound("zap", Inbound("zap", self.number, "", remote_id="mo-1", text="Obrigado")) == [True]

    async def sent(self) -> None:
        house, zap = self.house, self.house.zap
        await self.answered("zap", await self.message("sent by WhatsApp"), Accepted("z-sent"))
        await self.answered("zap", await self.message("acknowledged by WhatsApp"), Accepted("z-acked"))
        zap.report("z-acked", Status.SENT)
        await house.settle()
        for name, remote_id in (("sent by SMS", "o-sent"), ("never reported", "o-silent"), ("reported in hex", "10")):
            await self.answered("operator", await self.message(name, sms=True), Accepted(remote_id))
        await self.answered("operator", await self.fell_back("fell back and sent"), Accepted("o-fell"))
        await self.answered("zap", await self.message("WhatsApp silent"), Uncertain("timeout"))
        await self.answered("operator", await self.fell_back("operator silent"), Uncertain("timeout"))
        await self.message("scheduled", schedule_at=house.now + 3600)
        await self.answered("zap", await self.message("to be tried again"), TryLater(60.0, "busy"))

    async def long_texts(self) -> None:
        zap, operator = self.house.zap, self.house.operator
        await self.parts("alone", (1,), 1)
        await self.parts("joined", (1, 2), 2)
        await self.answered("zap", next(iter(zap.holding)), Accepted("z-joined"))
        await self.parts("released", (1, 2), 3)
        operator.window = 0
        await self.answered("zap", next(iter(zap.holding)), NoAccount("provider"))
        operator.window = 100

    async def in_hand(self) -> None:
        self.written.append(await self.message("in hand of WhatsApp, written"))
        await self.message("in hand of WhatsApp, not written")
        self.written.append(await self.message("in hand of the operator, written", sms=True))
        await self.message("in hand of the operator, not written", sms=True)
        self.written.append(await self.message("reported before it was answered", sms=True))
        self.house.operator.report("early", Status.DELIVERED, source="28940", dest=self.number)
        await self.house.settle()
        await self.message("in the hand of another node", house=self.other, sms=True)

    async def in_queues(self) -> None:
        house = self.house
        for channel in (house.zap, house.operator, self.other.zap, self.other.operator):
            channel.window = 0
        await self.message("waits for WhatsApp")
        await self.message("waits for the operator", sms=True)
        one = await self.message("cancelled")
        cancelling = ensureDeferred(house.operations.cancel("billing", one, "", "", ""))
        await house.settle()
        assert await cancelling == 0

    async def beside(self) -> None:
        """What is kept beside messages."""
        house = self.house
        known = presence.delivered(house.now)(presence.Evidence(identity="5511900000099"))
        Evidence(house.store, house.later).write(PERSON, presence.pack(known), 30 * DAY_S)
        Unmatched(house.store, house.clock.callLater).note("zap", SHAPE)
        await house.passes(GATHERED_S)
        await people.tell_of_erasure(house.store, ERASED, house.now)
        for name in ("nodes", "numbers"):
            await house.store.command("SET", name, str(COUNTED))


async def make(server: EmbeddedServer) -> Dump:
    """The whole store of two nodes, both of which die."""
    store = await connected(server)
    await formats.agree(store)
    await dry_run.claim(store, False)
    house = House(store, *ROUTES, shared=True)
    other = House(store, *ROUTES, node="gw2", shared=True, incarnation=2, clock=house.clock)
    for one in (house, other):
        one.operator.throughput = 50.0
        await one.start()
    await house.passes(5)  # shares of the rate, and who writes whose receipts
    maker = Maker(house, other)
    await maker.make()
    for one in (house, other):
        one.die()
    await store.stop()
    about = {"at": house.now, "cases": maker.cases, "written": maker.written}
    return Dump(read(valkey.Valkey(unix_socket_path=server.socket), (b"alive:",)), about)


async def _main(_: Any) -> None:
    path = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as directory:
        server = EmbeddedServer(directory, "everysec")
        server.lock()
        server.ensure()
        try:
            dump = await make(server)
        finally:
            shut_down(server)
    save(path, dump)
    print(f"{len(dump.rows)} keys, {len(dump.about['cases'])} messages, {path.stat().st_size} octets")


if __name__ == "__main__":
    react(lambda reactor: ensureDeferred(_main(reactor)))
