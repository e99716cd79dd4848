"""Any PDU in any state and any order, from any peer: what a session promises holds (see tools.watched_session)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from gateway.smpp import pdu as pdus
from gateway.smpp.events import BindRequested, Event
from gateway.smpp.pdu import PDU_CLASSES, Bind, Pdu, encode
from gateway.smpp.session import Role, Session, SessionSettings
from tools.watched_session import WatchedSession

from .pairs import START, bound_pair
from .test_pdu import any_pdu

WINDOW, MAX_PDU = 4, 2_000
SETTINGS = SessionSettings(window=WINDOW, max_pdu=MAX_PDU)
BINDS: list[type[Bind]] = [pdus.BindTransmitter, pdus.BindReceiver, pdus.BindTransceiver]
REQUESTS = [
    pdus.SubmitSm(destination_addr="5511987654321", short_message=b"hi"), pdus.DeliverSm(short_message=b"ok"),
    pdus.DataSm(tlvs=((0x0424, b"hi"),)), pdus.QuerySm(message_id="1"), pdus.CancelSm(), pdus.ReplaceSm(),
    pdus.SubmitMulti(dest_addresses=(pdus.SmeAddress(1, 1, "5511987654321"),)), pdus.AlertNotification(),
    pdus.Outbind(), pdus.EnquireLink(), pdus.BindTransceiver(system_id="pombo"),
]  # fmt: skip
LENGTHS = [*range(21), *range(MAX_PDU - 2, MAX_PDU + 3), 1 << 31, (1 << 31) + 16, (1 << 32) - 1]

roles = st.sampled_from(list(Role))
pdus_ = st.sampled_from(PDU_CLASSES).flatmap(any_pdu)
numbers = st.integers(0, 8) | st.sampled_from([0x7FFFFFFF, 0x80000000, 0xFFFFFFFF])


def header(length: int, command_id: int, number: int = 5, status: int = 0) -> bytes:
    return b"".join(value.to_bytes(4) for value in (length, command_id, status, number))


@st.composite
def mutated(draw: Any) -> bytes:
    """A valid PDU of which some octets were changed, left out or repeated; its length is right more often than not."""
    octets = bytearray(encode(draw(pdus_), draw(numbers)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(4, len(octets)))
        match draw(st.integers(0, 2)):
            case 0:
                octets[at : at + 1] = draw(st.binary(max_size=3))
            case 1:
                del octets[at : at + draw(st.integers(1, 30))]
            case _:
                octets[at:at] = octets[at : at + 20]
    octets += bytes(max(0, 16 - len(octets)))
    if draw(st.integers(0, 7)):
        octets[:4] = len(octets).to_bytes(4)
    return bytes(octets)


def bound(role: Role, bind: type[Bind] = pdus.BindTransceiver, version: int = 0x34) -> WatchedSession:
    """A watched session of this role, bound by PDUs."""
    watched = WatchedSession(role, SETTINGS, START)
    if role is Role.SMSC:
        watched.receive(encode(bind(system_id="billing", interface_version=version), 1))
        watched.answer()
    else:
        watched.request(bind(system_id="pombo", interface_version=version))
        watched.receive(encode(pdus.RESPONSES[bind](system_id="SMSC"), 1))
    return watched


class AnyPeer(RuleBasedStateMachine):
    """A session between a peer that sends anything and a shell that does anything."""

    @initialize(role=roles, bind=st.sampled_from([None, *BINDS]), version=st.sampled_from([0, 0x33, 0x34, 0x50]))
    def connect(self, role: Role, bind: type[Bind] | None, version: int) -> None:
        self.watched = bound(role, bind, version) if bind else WatchedSession(role, SETTINGS, START)

    @property
    def alive(self) -> bool:
        return not self.watched.over

    @rule(pdu=pdus_, number=numbers)
    def a_pdu(self, pdu: Pdu, number: int) -> None:
        self.watched.receive(encode(pdu, number))

    @rule(octets=mutated())
    def a_broken_pdu(self, octets: bytes) -> None:
        self.watched.receive(octets)

    @rule(octets=st.binary(max_size=60))
    def soup(self, octets: bytes) -> None:
        self.watched.receive(octets)

    @rule(length=st.sampled_from(LENGTHS), command_id=st.sampled_from([cls.command_id for cls in PDU_CLASSES]))
    def a_length(self, length: int, command_id: int) -> None:
        self.watched.receive(header(length, command_id))

    @rule(request=st.sampled_from(REQUESTS), count=st.integers(1, 40))
    def many_at_once(self, request: Pdu, count: int) -> None:
        self.watched.receive(encode(request, 7) * count)

    @rule(octets=mutated(), at=st.integers(0, 80))
    def in_two_pieces(self, octets: bytes, at: int) -> None:
        self.watched.receive(octets[:at])
        self.watched.receive(octets[at:])

    @precondition(lambda self: self.watched.unanswered)
    @rule(data=st.data(), status=st.sampled_from([0, 0, 8, 0x58]), nack=st.integers(0, 5))
    def an_answer(self, data: st.DataObject, status: int, nack: int) -> None:
        number = data.draw(st.sampled_from(sorted(self.watched.unanswered)))
        request = self.watched.unanswered[number]
        response = pdus.RESPONSES[type(request)] if nack else pdus.GenericNack
        self.watched.receive(encode(response(command_status=status), number))
        self.watched.unanswered.pop(number, None)

    @precondition(lambda self: self.watched.waiting or self.watched.bind)
    @rule(status=st.sampled_from([0, 0, 0, 0x0D]), count=st.integers(1, 50))
    def we_answer(self, status: int, count: int) -> None:
        for _ in range(count):
            self.watched.answer(status)

    @rule(pdu=st.sampled_from(REQUESTS) | pdus_, count=st.integers(1, WINDOW + 2))
    def we_ask(self, pdu: Pdu, count: int) -> None:
        for _ in range(count):
            self.watched.request(pdu)

    @precondition(lambda self: self.alive)
    @rule()
    def we_unbind(self) -> None:
        self.watched.unbind()

    @rule()
    def time_comes(self) -> None:
        self.watched.tick()

    @rule(seconds=st.sampled_from([0.5, 5.0, 20.0, 61.0]))
    def time_passes(self, seconds: float) -> None:
        self.watched.wait(seconds)

    @precondition(lambda self: self.alive)
    @rule(sure=st.integers(0, 9))
    def the_link_breaks(self, sure: int) -> None:
        if not sure:
            self.watched.lose()

    def teardown(self) -> None:
        if not hasattr(self, "watched"):
            return
        assert self.watched.held_octets() <= self.watched.most_octets
        self.watched.wait(3600.0)  # nobody says a word any more
        assert self.watched.over
        self.watched.lose()
        assert self.watched.held_octets() <= MAX_PDU


AnyPeer.TestCase.settings = settings(max_examples=80, stateful_step_count=30, deadline=None)
TestAnyPeer = AnyPeer.TestCase


# However the stream is cut


def told(role: Role, pieces: list[bytes]) -> tuple[list[Event], bytes]:
    """What a bound session reports of these pieces, and what it writes by itself."""
    session = bound_pair()[0 if role is Role.SMSC else 1]
    events = [event for piece in pieces for event in session.receive(piece, START)]
    return events, session.output()


@settings(max_examples=80, deadline=None)
@given(roles, st.lists(mutated() | pdus_.map(encode), max_size=6), st.data())
def test_a_stream_means_the_same_whole_in_octets_and_in_any_pieces(
    role: Role, frames: list[bytes], data: st.DataObject
) -> None:
    stream = b"".join(frames)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    whole, octets, cut = (told(role, one) for one in ([stream], [bytes([one]) for one in stream], pieces))
    assert whole == octets == cut


# Lengths


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("state", ["open", "bound", "bind waits"])
def test_every_length_at_the_edges_ends_the_session_or_waits_for_its_rest(role: Role, state: str) -> None:
    for length in LENGTHS:
        for command_id in (0x04, 0x05, 0x09, 0x15, 0x80000004, 0x80000000, 0xDEAD):
            watched = bound(role) if state == "bound" else WatchedSession(role, SETTINGS, START)
            if state == "bind waits" and role is Role.SMSC:
                watched.receive(encode(pdus.BindReceiver(system_id="billing"), 1))
            watched.receive(header(length, command_id))
            possible = 16 <= length <= MAX_PDU
            assert watched.over or possible, (length, command_id)
            if length > 16 and possible:
                watched.receive(bytes(length - 17))
                watched.receive(b"\0")
            assert watched.held_octets() <= watched.most_octets
            watched.wait(3600.0)
            assert watched.over


# Much


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize(
    "frame",
    [
        header(16, 0x15), header(16, 0x04), header(17, 0x04) + b"x", header(16, 0x06), header(16, 0xBEEF),
        header(16, 0x80000004), header(16, 0x80000015), header(16, 0x80000000, 0), header(16, 0x0B),
        encode(REQUESTS[0], 5), encode(REQUESTS[1], 5), encode(REQUESTS[10], 5),
    ],
    ids=bytes.hex,
)  # fmt: skip
def test_thousands_in_one_segment_and_again_are_answered_or_end_it_and_leave_nothing_behind(
    role: Role, frame: bytes
) -> None:
    watched = bound(role)
    before = watched.held_octets()
    for _ in range(3):
        watched.receive(frame * 2_000)
        while watched.waiting:
            watched.answer(8)
        watched.wait(1.0)
    assert watched.held_octets() <= before + 2_000
    watched.wait(3600.0)
    assert watched.over


def test_octets_behind_a_bind_cost_the_same_however_many_wait_already() -> None:
    """Each read behind a bind that is being checked touches what it brought, not all that waits."""

    class Counted(bytes):
        looks = 0

        def __len__(self) -> int:
            Counted.looks += 1
            return super().__len__()

    session = Session(Role.SMSC, SessionSettings(), START)
    (requested,) = session.receive(encode(pdus.BindTransceiver(system_id="billing"), 1), START)
    assert isinstance(requested, BindRequested)
    session._framer.feed = lambda data: [Counted(data)]  # type: ignore[method-assign]
    for _ in range(1_000):
        session.receive(header(16, 0x15), START)
    assert Counted.looks <= 2_000
