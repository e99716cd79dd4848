"""Whatever an operator sends, and whether or not it reads: the shell goes on, within bounds, and says nothing wrong."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from gateway.messages.outcome import Refused
from gateway.smpp import pdu
from gateway.smpp.events import Event, Over, Received
from gateway.smpp.pdu import decode, encode
from gateway.smpp.session import SessionSettings, SessionState
from smsc_client.protocol import CLOSE_S, MAX_PENDING, EsmeProtocol
from tests.gateway.smpp.test_any_session import mutated, pdus_
from tests.smsc_client.stage import Stage, message

BIND = pdu.BindTransceiver(system_id="pombo", interface_version=0x34)
DELIVER = pdu.DeliverSm(source_addr="5511987654321", destination_addr="28940", short_message=b"oi")


class Link:
    """A connection in memory whose operator is the test."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.clock.advance(1000.0)
        self.events: list[Event] = []
        self.waiting: list[pdu.Pdu] = []
        self.gone = 0
        self.protocol = EsmeProtocol(
            SessionSettings(window=10), BIND, "secret", self.clock,
            made=lambda protocol: None, happened=self._happened, gone=self._gone,
        )  # fmt: skip
        string_transport: Any = StringTransport
        self.transport: Any = string_transport()
        self.protocol.makeConnection(self.transport)
        self.written = self.transport.value()
        self.transport.clear()

    def bound(self) -> Link:
        self.protocol.dataReceived(encode(pdu.BindTransceiverResp(system_id="SMSC"), 1))
        assert self.protocol.session.state is SessionState.BOUND_TRX
        return self

    def _happened(self, protocol: EsmeProtocol, events: list[Event]) -> None:
        self.events += events
        self.waiting += [e.pdu for e in events if isinstance(e, Received) and type(e.pdu) in pdu.RESPONSES]

    def _gone(self, protocol: EsmeProtocol) -> None:
        self.gone += 1

    def answer(self, count: int | None = None) -> None:
        for _ in range(len(self.waiting) if count is None else count):
            request = self.waiting.pop(0)
            self.protocol.respond(pdu.RESPONSES[type(request)](sequence_number=request.sequence_number))
        self.protocol.flush()

    @property
    def reading(self) -> bool:
        return bool(self.transport.producerState == "producing")

    @property
    def over(self) -> bool:
        return any(isinstance(event, Over) for event in self.events)


@settings(max_examples=60, deadline=None)
@given(
    st.booleans(),
    st.lists(mutated() | st.binary(max_size=80) | pdus_.map(encode) | st.sampled_from([1.0, 31.0, 61.0]), max_size=12),
)
def test_anything_from_an_operator_is_survived_and_leaves_no_timer(bound: bool, script: list[bytes | float]) -> None:
    link = Link().bound() if bound else Link()
    for step in script:
        if isinstance(step, bytes):
            link.protocol.dataReceived(step)
        else:
            link.clock.advance(step)
            link.answer()
    link.clock.advance(600.0)
    assert link.over and link.transport.disconnecting
    link.protocol.connectionLost()
    assert link.gone == 1
    assert sum(isinstance(event, Over) for event in link.events) == 1
    assert not link.clock.getDelayedCalls()


def test_an_operator_that_sends_more_than_we_can_keep_is_read_no_more_until_half_is_answered() -> None:
    link = Link().bound()
    link.protocol.dataReceived(encode(DELIVER, 5) * MAX_PENDING)
    assert link.reading
    link.protocol.dataReceived(encode(DELIVER, 5))
    assert not link.reading
    link.answer(MAX_PENDING // 2)
    assert not link.reading
    link.answer(2)
    assert link.reading
    link.answer()
    link.clock.advance(20.0)
    assert not link.over


def test_an_operator_that_does_not_read_is_not_read_and_is_left_when_it_stays_so() -> None:
    link = Link().bound()
    link.transport.producer.pauseProducing()  # what TCP says when nothing is taken
    assert not link.reading
    link.transport.producer.resumeProducing()
    assert link.reading
    link.transport.producer.pauseProducing()
    link.clock.advance(30.0)
    link.clock.advance(30.0)
    assert link.over and link.transport.disconnecting
    assert link.transport.producer is None, "a producer would keep the connection open"
    aborted: list[bool] = []
    link.transport.abortConnection = lambda: aborted.append(True)
    link.clock.advance(CLOSE_S)
    assert aborted


def test_a_flood_of_enquire_links_is_answered_one_for_one() -> None:
    link = Link().bound()
    link.protocol.dataReceived(encode(pdu.EnquireLink(), 9) * 4_000)
    written = link.transport.value()
    assert len(written) == 4_000 * 16
    assert decode(written[-16:]) == pdu.EnquireLinkResp(sequence_number=9)


@pytest.mark.parametrize("header", [135, 141, 201, 254])
def test_a_message_whose_header_leaves_no_room_does_not_stop_those_behind_it(header: int) -> None:
    stage = Stage(default_alphabet="latin1")
    udh = bytes((header - 1, 0x70, header - 3)) + bytes(header - 3)
    stage.send(message(1, user_data=udh + b"x" * (255 - header), esm_class=0x40), message(2), message(3))
    stage.run(1.0, 0.1)
    assert sorted(one.id for one, _ in stage.results) == ["m1", "m2", "m3"]
    assert not any(isinstance(result, Refused) for one, result in stage.results if one.id != "m1")


def test_a_message_that_no_pdu_can_be_made_of_is_refused_alone() -> None:
    stage = Stage()
    stage.send(message(1, in_payload=True, user_data=None), message(2))
    stage.run(1.0, 0.1)
    refused, other = sorted(stage.results, key=lambda one: one[0].id)
    assert refused[1] == Refused(reason="invalid", rejected=True)
    assert not isinstance(other[1], Refused)
