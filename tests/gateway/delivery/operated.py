"""A house whose operator is the real channel, bound to an SMSC in memory: from submit to receipt over SMPP, with time
that moves only when the test says so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import ensureDeferred

from gateway.delivery.dispatch import Dispatcher
from gateway.routing.routes import Route
from gateway.smpp.pdu import DeliverSm, SubmitSm
from gateway.store.valkey import Store
from smsc_client.channel import SmscChannel
from tests.fakes.smsc import FakeSmsc, Reply, Script
from tests.gateway.delivery.house import SMS_ONLY, House
from tests.smsc_client.stage import settings

STEP_S = 0.05


def receipt_of(pdu: SubmitSm, remote_id: str, stat: str = "DELIVRD", err: str = "000", **fields: Any) -> DeliverSm:
    """What the operator reports of a submit_sm, as SMPP 3.4, Appendix B has it."""
    dlvrd = "001" if stat == "DELIVRD" else "000"
    text = (
        f"id:{remote_id} sub:001 dlvrd:{dlvrd} submit date:2402292100 done date:2402292101 stat:{stat} err:{err} text:"
    )
    return DeliverSm(
        **{
            "source_addr": pdu.destination_addr,
            "destination_addr": pdu.source_addr,
            "esm_class": 0x04,
            "short_message": text.encode(),
            **fields,
        }
    )


class OperatedHouse(House):
    """`smsc`: the operator. `sent`: what we said was written, in order."""

    def __init__(self, store: Store, *routes: Route, script: Script | None = None, **over: Any) -> None:
        super().__init__(store, *(routes or (SMS_ONLY,)))
        self.smsc = FakeSmsc(self.clock, script)
        self.smsc.insists = True
        self.marked: list[str] = []
        self.channel = SmscChannel(
            settings(**{"throughput": 1000.0, "window": 200, "source": None, **over}),
            results=self.hub,
            mark=self.marked.append,
            reactor=self.clock,
            metrics=self.metrics,
            random=lambda: 0.5,
            endpoint=self.smsc.endpoint,
        )
        channel: Any = self.channel
        self.delivery.channels["operator"] = channel
        self.delivery.dispatchers["operator"] = Dispatcher(
            channel, store, self.node, self.delivery.attempted, self.later, self.clock.seconds
        )

    async def start(self) -> OperatedHouse:
        recovering = ensureDeferred(self.clockwork.recover())
        await self.settle()
        await recovering
        await self.channel.start()
        for dispatcher in self.delivery.dispatchers.values():
            dispatcher.start()
        self.clockwork.start()
        await self.settle()
        return self

    async def run(self, seconds: float, step: float = STEP_S) -> None:
        """Let time pass in steps; what comes due happens in its own step."""
        for _ in range(round(seconds / step)):
            self.clock.advance(step)
            await self.settle()

    async def until(self, question: Callable[[], bool], most_s: float, step: float = STEP_S) -> None:
        for _ in range(round(most_s / step)):
            if question():
                return
            await self.run(step, step)
        assert question()

    def report(self, after_s: float, *pdus: DeliverSm) -> None:
        """The operator sends these then, if somebody is bound to receive."""
        self.clock.callLater(after_s, lambda: self.smsc.deliver(*pdus) if self.smsc.receivers else None)

    @property
    def texts(self) -> list[bytes]:
        """What arrived at the operator, in order."""
        return [pdu.short_message for _, pdu in self.smsc.submits]


def numbered(number: int) -> dict[str, Any]:
    """The fields of a message with a text and a person of its own."""
    return {"msisdn": f"55119{70_000_000 + number}", "user_data": b"ola %d" % number}


def taking(house_of: Callable[[], OperatedHouse], after_s: float = 0.2, **fields: Any) -> Script:
    """Every submit is taken and reported delivered."""

    def script(pdu: SubmitSm, now: float) -> Reply:
        house = house_of()
        remote_id = house.smsc.new_id()
        house.report(after_s, receipt_of(pdu, remote_id, **fields))
        return Reply(message_id=remote_id, after=0.05)

    return script
