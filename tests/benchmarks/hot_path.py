"""The SMS path of one gateway in this process: billing systems and an operator of octets, and a real store. Messages go
from submit_sm to the acknowledged receipt, in steps that are always the same."""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import cycle
from operator import attrgetter
from typing import Any

import msgspec
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, ensureDeferred, succeed
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from gateway.delivery.dispatch import Dispatcher
from gateway.server.bound import FEW, RIDE_S, Bound
from gateway.server.factory import SmppServer
from gateway.smpp import pdu, receipt_text
from gateway.smpp.constants import EsmClass, Tag
from gateway.smpp.framing import Framer
from gateway.wiring import Door
from smsc_client.channel import SmscChannel
from tests.benchmarks.direct_store import DirectStore
from tests.gateway.delivery.house import SMS_ONLY, House
from tests.gateway.server.house import account, server_settings
from tests.smsc_client.stage import settings

SESSIONS, WINDOW = 4, 100
UNLIMITED = 1e6
TURN_S = 0.0005
STAGES = ("submit", "answer", "receipt", "acknowledgement")
_StringTransport: Any = StringTransport


class Counts(msgspec.Struct):
    """Calls of functions, ours and built-in ones."""

    python: int = 0
    builtin: int = 0


class SteadyClock(Clock):
    """Stands at the present. Sorts what waits without a function of Python for each: the timers of the sessions, which
    never fire here, would be most of what is counted. No call may be reset to a later time."""

    _due = attrgetter("time")

    def __init__(self) -> None:
        super().__init__()
        self.rightNow = float(int(time.time()))

    def _sortCalls(self) -> None:
        self.calls.sort(key=self._due)


class Peer:
    """One end of a connection that this test plays. `got`: what the gateway wrote since."""

    def __init__(self, protocol: Any) -> None:
        self.protocol = protocol
        self.transport = _StringTransport(peerAddress=IPv4Address("TCP", "127.0.0.1", 40_000))
        self._framer = Framer(70_000)
        self._next = 1
        protocol.makeConnection(self.transport)

    def got(self) -> list[Any]:
        octets = self.transport.value()
        self.transport.clear()
        return [pdu.decode(frame) for frame in self._framer.feed(octets)]

    def number(self) -> int:
        self._next += 1
        return self._next


class _Endpoint:
    """The operator's address: the peer is `bound` once the channel has connected."""

    peer: Peer

    def connect(self, factory: Any) -> Deferred[Any]:
        self.peer = Peer(factory.buildProtocol(None))
        return succeed(self.peer.protocol)


class HotPath:
    """`cycle` takes messages all the way. `counts`: calls of the gateway by stage, while `counting`."""

    stages: tuple[str, ...] = STAGES
    route = SMS_ONLY

    def __init__(self, store: DirectStore, sessions: int = SESSIONS, accounts: int = 1) -> None:
        """The sessions are shared out among the accounts in turn."""
        self.store: Any = store
        self._accounts = [f"billing{n}" for n in range(accounts)]
        self._sessions = sessions
        self.house = House(self.store, self.route, clock=SteadyClock(), channels=())
        self.clock = self.house.clock
        self.counting = False
        self.counts = {stage: Counts() for stage in self.stages}
        self._stage = self.stages[0]
        self._number = 0
        self._taken: dict[str, pdu.SubmitSm] = {}  # by the operator, under its ids
        self._open_operator()
        self._open_server()

    def _open_operator(self) -> None:
        house, endpoint = self.house, _Endpoint()
        channel: Any = SmscChannel(
            settings(throughput=UNLIMITED, window=2000, source=None), results=house.hub, mark=lambda _: None,
            reactor=self.clock, metrics=house.metrics, random=lambda: 0.5, endpoint=endpoint,
        )  # fmt: skip
        house.delivery.channels["operator"] = channel
        dispatcher = Dispatcher(
            channel, self.store, house.node, house.delivery.attempted, house.later, self.clock.seconds
        )
        house.delivery.dispatchers["operator"] = dispatcher
        house.intake.use((SMS_ONLY,))
        ensureDeferred(channel.start())
        self.run()
        self.operator = endpoint.peer
        [bind] = self.operator.got()
        self.hand(self.operator, [pdu.BindTransceiverResp(sequence_number=bind.sequence_number, system_id="SMSC")])
        dispatcher.start()
        self.run()

    def _open_server(self) -> None:
        house = self.house
        bound = Bound(self.clock)
        bound.on_receiver, house.desk.esmes = house.desk.receiver_ready, bound  # type: ignore[assignment]
        accounts = [
            account(name, throughput=UNLIMITED, window=WINDOW, max_binds=self._sessions) for name in self._accounts
        ]
        self.server = SmppServer(
            self.clock, server_settings(*accounts), "BR", bound=bound,
            intake=Door(house.intake, house.operations, house.replacing), metrics=house.metrics,
            spawn=lambda work: house.spawn(work, "an ESME's request"), in_thread=lambda check: succeed(check()),
        )  # fmt: skip
        address: Any = IPv4Address("TCP", "127.0.0.1", 40_000)
        self.esmes = [Peer(self.server.buildProtocol(address)) for _ in range(self._sessions)]
        for esme, name in zip(self.esmes, cycle(self._accounts), strict=False):
            self.hand(esme, [pdu.BindTransceiver(system_id=name, password="secret", interface_version=0x34)])
            assert [one.command_status for one in esme.got()] == [0]

    # -- steps

    def hand(self, peer: Peer, pdus: Iterable[pdu.Pdu]) -> None:
        """The gateway reads these in one piece, and does all that follows."""
        self._read(peer, pdus)
        self.run()

    def _read(self, peer: Peer, pdus: Iterable[pdu.Pdu]) -> None:
        octets = b"".join(pdu.encode(one, one.sequence_number or peer.number()) for one in pdus)
        self._do(peer.protocol.dataReceived, octets)

    def run(self) -> None:
        """Turns of the reactor, until neither the store nor a call of this moment has anything to do."""
        quiet = 0
        while quiet < 2:
            self._do(self.clock.advance, TURN_S)
            answers = self.store.answers()
            for answered, answer in answers:
                self._do(answered.callback, answer)
            quiet = 0 if answers else quiet + 1

    def _do(self, step: Callable[..., object], *args: object) -> None:
        """Something the gateway does, counted if it is to be."""
        if not self.counting:
            step(*args)
            return
        counts = self.counts[self._stage]

        def count(frame: object, event: str, arg: object) -> None:
            if event == "call":
                counts.python += 1
            elif event == "c_call":
                counts.builtin += 1

        gc.disable()
        sys.setprofile(count)
        try:
            step(*args)
        finally:
            sys.setprofile(None)
            gc.enable()

    def cycle(self, each: int) -> int:
        """So many messages from every session; how many receipts were acknowledged."""
        self.submit(each)
        self.answer()
        self.read_receipts()
        self.run()
        if self._sessions > FEW:  # there is no answer for the receipts to ride with
            self._do(self.clock.advance, RIDE_S)
        return self.acknowledge()

    def read_submits(self, each: int) -> None:
        """Read, and nothing that follows."""
        self._stage = "submit"
        for esme in self.esmes:
            self._read(esme, self._submits(each))

    def submit(self, each: int) -> None:
        self.read_submits(each)
        self.run()
        self.take()

    def take(self) -> None:
        """The billing systems have their answers, and the operator has the messages."""
        for esme in self.esmes:
            assert {one.command_status for one in esme.got()} == {0}
        self._taken = {f"{self._number:08d}{n:04d}": one for n, one in enumerate(self.operator.got())}

    def answer(self) -> None:
        """The operator takes them."""
        self._stage = "answer"
        taken = self._taken.items()
        self.hand(
            self.operator, [pdu.SubmitSmResp(sequence_number=one.sequence_number, message_id=of) for of, one in taken]
        )

    def read_receipts(self) -> None:
        """Read what the operator reports, and nothing that follows."""
        self._stage = "receipt"
        self._read(self.operator, [_receipt(one, of) for of, one in self._taken.items()])

    def acknowledge(self) -> int:
        """The billing systems take their receipts."""
        assert [one.command_status for one in self.operator.got()] == [0] * len(self._taken)
        self._stage = "acknowledgement"
        told = 0
        for esme in self.esmes:
            receipts = [one for one in esme.got() if isinstance(one, pdu.DeliverSm)]
            told += len(receipts)
            self._read(esme, [pdu.DeliverSmResp(sequence_number=one.sequence_number) for one in receipts])
        self.run()
        return told

    def _submits(self, count: int) -> Iterator[pdu.SubmitSm]:
        for _ in range(count):
            self._number += 1
            yield pdu.SubmitSm(
                source_addr="28940", dest_addr_ton=1, dest_addr_npi=1, destination_addr=f"55119{self._number:08d}",
                registered_delivery=1, short_message=b"Sua fatura %09d vence amanha, dia 27. " % self._number * 3,
            )  # fmt: skip


def _receipt(submit: pdu.SubmitSm, remote_id: str) -> pdu.DeliverSm:
    """What the operator reports."""
    text = receipt_text.write(remote_id, "DELIVRD", "000", 1.79e9, 1.79e9, 1)
    return pdu.DeliverSm(
        source_addr=submit.destination_addr, destination_addr=submit.source_addr, esm_class=EsmClass.DELIVERY_RECEIPT,
        short_message=text,
        tlvs=((Tag.RECEIPTED_MESSAGE_ID, remote_id.encode() + b"\0"), (Tag.MESSAGE_STATE, b"\2")),
    )  # fmt: skip
