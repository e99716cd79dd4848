"""The session machine: states, windows and timers, with the time given; and both roles joined in memory."""

import math
from typing import cast

import pytest

from gateway.smpp import pdu as pdus
from gateway.smpp.errors import LocalProtocolError
from gateway.smpp.events import (
    Answered,
    AnsweredLate,
    BindRefused,
    BindRequested,
    Event,
    Over,
    Received,
    Rejected,
    Unanswered,
)
from gateway.smpp.events import Bound as BoundEvent
from gateway.smpp.pdu import decode, encode
from gateway.smpp.session import Role, Session, SessionSettings, SessionState
from gateway.smpp.states import DATA_REQUESTS, SENT_BY

from .pairs import START, bound_pair, pump

QUIET = SessionSettings(enquire_link=0.0)
BINDS = [pdus.BindTransmitter, pdus.BindReceiver, pdus.BindTransceiver]
TX, RX, TRX = SessionState.BOUND_TX, SessionState.BOUND_RX, SessionState.BOUND_TRX
SUBMIT = pdus.SubmitSm(source_addr="28940", destination_addr="5511987654321", short_message=b"hi")
DELIVER = pdus.DeliverSm(source_addr="5511987654321", destination_addr="28940", short_message=b"ok")


def numbered(pdu: pdus.Pdu, sequence_number: int) -> bytes:
    return encode(pdu, sequence_number)


def sent(session: Session) -> list[pdus.Pdu]:
    """What the session has to write now, decoded."""
    found, rest = [], session.output()
    while rest:
        length = int.from_bytes(rest[:4])
        found.append(decode(rest[:length]))
        rest = rest[length:]
    return found


def received(events: list[Event]) -> list[pdus.Pdu]:
    return [event.pdu for event in events if isinstance(event, Received)]


# Binding


@pytest.mark.parametrize(("bind", "state"), [*zip(BINDS, [TX, RX, TRX], strict=True)])
def test_both_sides_are_bound_after_an_accepted_bind(bind: type[pdus.Bind], state: SessionState) -> None:
    smsc, esme = bound_pair(bind)
    assert (smsc.state, esme.state) == (state, state)
    assert (smsc.peer_version, esme.peer_version) == (0x34, 0x34)


def test_a_peer_before_3_4_gets_no_tlvs() -> None:
    smsc, _ = bound_pair(interface_version=0x33)
    smsc.request(pdus.DeliverSm(short_message=b"id:1", tlvs=((0x001E, b"1\0"),)), START)
    (deliver,) = sent(smsc)
    assert deliver.tlvs == ()
    with pytest.raises(LocalProtocolError, match="message_payload"):
        smsc.request(pdus.DeliverSm(tlvs=((0x0424, b"text"),)), START)


@pytest.mark.parametrize(
    ("version", "tlvs"), [(0x00, ()), (0x33, ()), (0x34, ((0x0210, b"4"),)), (0x50, ((0x0210, b"4"),))]
)
def test_only_a_peer_of_3_4_is_told_our_version(version: int, tlvs: tuple[tuple[int, bytes], ...]) -> None:
    smsc = Session(Role.SMSC, QUIET, START)
    bind = pdus.BindReceiver(sequence_number=0xFFFFFFFF, system_id="a", interface_version=version)
    (requested,) = smsc.receive(encode(bind), START)
    smsc.accept_bind(cast(BindRequested, requested).pdu, "POMBO", START)
    assert sent(smsc) == [pdus.BindReceiverResp(sequence_number=0xFFFFFFFF, system_id="POMBO", tlvs=tlvs)]


def test_a_refused_bind_is_answered_with_a_header_and_closed_a_second_later() -> None:
    smsc, esme = Session(Role.SMSC, SessionSettings(), START), Session(Role.ESME, SessionSettings(), START)
    esme.request(pdus.BindTransceiver(system_id="a", password="b", interface_version=0x34), START)
    (requested,) = smsc.receive(esme.output(), START)
    smsc.refuse_bind(cast(BindRequested, requested).pdu, 0x0E, START)
    answer = smsc.output()
    assert answer.hex() == "00000010800000090000000e00000001"
    assert esme.receive(answer, START) == [BindRefused(0x0E), Over("bind refused with status 0xe")]
    assert smsc.tick(START + 0.99) == []
    assert smsc.deadline() == START + 1.0
    assert [type(event) for event in smsc.tick(START + 1.0)] == [Over]


def test_a_generic_nack_refuses_a_bind_too() -> None:
    esme = Session(Role.ESME, QUIET, START)
    number = esme.request(pdus.BindTransceiver(system_id="a"), START)
    events = esme.receive(numbered(pdus.GenericNack(command_status=3), number), START)
    assert events[0] == BindRefused(3)
    assert isinstance(events[1], Over)


def test_what_comes_behind_a_bind_waits_until_it_is_answered() -> None:
    smsc = Session(Role.SMSC, SessionSettings(), START)
    stream = encode(pdus.BindTransceiver(sequence_number=1, system_id="a", interface_version=0x34))
    stream += numbered(pdus.EnquireLink(), 2) + numbered(SUBMIT, 3)
    (requested,) = smsc.receive(stream, START)
    assert smsc.receive(numbered(SUBMIT, 4), START) == []
    assert sent(smsc) == []
    smsc.accept_bind(cast(BindRequested, requested).pdu, "POMBO", START)
    assert smsc.deadline() <= START
    events = smsc.tick(START)
    assert [pdu.sequence_number for pdu in received(events)] == [3, 4]
    assert [type(pdu) for pdu in sent(smsc)] == [pdus.BindTransceiverResp, pdus.EnquireLinkResp]


def test_what_an_smsc_sends_before_it_has_answered_our_bind_waits_for_the_answer() -> None:
    esme = Session(Role.ESME, SessionSettings(), START)
    esme.request(pdus.BindTransceiver(system_id="a", interface_version=0x34), START)
    esme.output()
    assert esme.receive(numbered(pdus.EnquireLink(), 7) + numbered(DELIVER, 8), START) == []
    assert [type(pdu) for pdu in sent(esme)] == [pdus.EnquireLinkResp]
    assert esme.receive(numbered(DELIVER, 9), START) == []
    assert esme.deadline() > START
    (bound,) = esme.receive(encode(pdus.BindTransceiverResp(sequence_number=1, system_id="smsc")), START)
    assert isinstance(bound, BoundEvent)
    assert esme.deadline() <= START
    assert [pdu.sequence_number for pdu in received(esme.tick(START))] == [8, 9]
    assert esme.pending == 2


def test_what_an_smsc_sends_before_it_refuses_our_bind_goes_with_the_session() -> None:
    esme = Session(Role.ESME, SessionSettings(), START)
    esme.request(pdus.BindReceiver(system_id="a"), START)
    refusal = encode(pdus.BindReceiverResp(sequence_number=1, command_status=0x0D))
    events = esme.receive(numbered(DELIVER, 8) + refusal, START)
    assert [type(event) for event in events] == [BindRefused, Over]


def test_a_flood_behind_an_unanswered_bind_ends_the_session() -> None:
    smsc = Session(Role.SMSC, SessionSettings(), START)
    smsc.receive(encode(pdus.BindTransceiver(sequence_number=1, system_id="a")), START)
    events = smsc.receive(numbered(SUBMIT, 3) * 6000, START)
    assert [type(event) for event in events] == [Over]


def test_a_second_bind_on_a_link_is_refused_and_the_link_stays() -> None:
    smsc, _ = bound_pair()
    events = smsc.receive(numbered(pdus.BindReceiver(system_id="a"), 9), START)
    assert events == [Rejected(0x01, 0x05)]
    assert smsc.output().hex() == "00000010800000010000000500000009"
    assert smsc.state is TRX


def test_a_bind_that_is_answered_after_the_link_is_gone_changes_nothing() -> None:
    smsc = Session(Role.SMSC, SessionSettings(), START)
    (requested,) = smsc.receive(encode(pdus.BindTransceiver(sequence_number=1, system_id="a")), START)
    assert smsc.lost(START) == [Over("connection lost")]
    smsc.accept_bind(cast(BindRequested, requested).pdu, "POMBO", START)
    assert (smsc.state, smsc.output()) == (SessionState.CLOSED, b"")


def test_an_outbind_is_reported_before_a_bind_and_ignored_after() -> None:
    smsc, esme = Session(Role.SMSC, QUIET, START), Session(Role.ESME, QUIET, START)
    smsc.request(pdus.Outbind(system_id="smsc", password="pw"), START)
    octets = smsc.output()
    assert [type(pdu) for pdu in received(esme.receive(octets, START))] == [pdus.Outbind]
    _, bound = bound_pair()
    assert bound.receive(octets, START) == [Rejected(0x0B, 0)]
    assert bound.output() == b""


# What is legal in which state

ALL_REQUESTS = sorted({*SENT_BY[Role.ESME], *SENT_BY[Role.SMSC]}, key=lambda cls: cls.command_id)
DATA_STATES = {
    (Role.ESME, pdus.SubmitSm): {TX, TRX},
    (Role.ESME, pdus.SubmitMulti): {TX, TRX},
    (Role.ESME, pdus.QuerySm): {TX, TRX},
    (Role.ESME, pdus.CancelSm): {TX, TRX},
    (Role.ESME, pdus.ReplaceSm): {TX, TRX},
    (Role.ESME, pdus.DataSm): {TX, TRX},
    (Role.SMSC, pdus.DataSm): {RX, TRX},
    (Role.SMSC, pdus.DeliverSm): {RX, TRX},
}


def filled(cls: type[pdus.Pdu]) -> pdus.Pdu:
    if cls is pdus.SubmitSm:
        return SUBMIT
    return pdus.SubmitMulti(dest_addresses=(pdus.SmeAddress(),)) if cls is pdus.SubmitMulti else cls()


@pytest.mark.parametrize("cls", DATA_REQUESTS, ids=lambda cls: cls.__name__)
@pytest.mark.parametrize("bind", BINDS, ids=lambda cls: cls.__name__)
@pytest.mark.parametrize("sender", Role)
def test_each_request_is_handed_on_or_refused_with_its_own_response(
    cls: type[pdus.Pdu], bind: type[pdus.Bind], sender: Role
) -> None:
    smsc, esme = bound_pair(bind)
    ours, theirs = (esme, smsc) if sender is Role.ESME else (smsc, esme)
    legal = theirs.state in DATA_STATES.get((sender, cls), set())
    events = theirs.receive(numbered(filled(cls), 42), START)
    if legal:
        assert [type(pdu) for pdu in received(events)] == [cls]
        assert ours.request(filled(cls), START)
    else:
        assert events == [Rejected(cls.command_id, 0x04)]
        (answer,) = sent(theirs)
        assert (answer.command_id, answer.command_status, answer.sequence_number) == (
            cls.command_id | 0x80000000,
            0x04,
            42,
        )
        with pytest.raises(LocalProtocolError):
            ours.request(filled(cls), START)
    assert theirs.state is not SessionState.CLOSED


@pytest.mark.parametrize("cls", DATA_REQUESTS, ids=lambda cls: cls.__name__)
@pytest.mark.parametrize("role", Role)
def test_any_request_before_a_bind_is_refused_and_ends_the_session(cls: type[pdus.Pdu], role: Role) -> None:
    session = Session(role, QUIET, START)
    events = session.receive(numbered(filled(cls), 42), START)
    assert [type(event) for event in events] == [Rejected, Over]
    assert sent(session)[0].command_status == 0x04
    assert session.receive(numbered(pdus.EnquireLink(), 43), START) == []


def test_an_alert_reaches_a_receiver_and_nobody_else() -> None:
    octets = numbered(pdus.AlertNotification(), 1)
    _, receiver = bound_pair(pdus.BindReceiver)
    _, transmitter = bound_pair(pdus.BindTransmitter)
    smsc, _ = bound_pair()
    assert [type(event) for event in receiver.receive(octets, START)] == [Received]
    assert receiver.pending == 0
    assert transmitter.receive(octets, START) == smsc.receive(octets, START) == [Rejected(0x102, 0)]
    assert smsc.output() == b""


# Requests, responses, the window


def test_responses_find_their_requests_in_any_order() -> None:
    smsc, esme = bound_pair()
    for context in "abc":
        esme.request(SUBMIT, START, context)
    requests = received(smsc.receive(esme.output(), START))
    assert smsc.pending == 3
    for request in reversed(requests):
        smsc.respond(pdus.SubmitSmResp(sequence_number=request.sequence_number, message_id="1"))
    events = esme.receive(smsc.output(), START)
    assert [event.context for event in events if isinstance(event, Answered)] == ["c", "b", "a"]
    assert (esme.outstanding, smsc.pending) == (0, 0)


@pytest.mark.parametrize("window", [1, 100])
def test_no_more_than_a_window_of_data_requests_is_unanswered(window: int) -> None:
    _, esme = bound_pair(settings=SessionSettings(window=window))
    assert esme.free == window
    numbers = [esme.request(SUBMIT, START) for _ in range(window)]
    assert (esme.free, esme.outstanding) == (0, window)
    with pytest.raises(LocalProtocolError, match="window"):
        esme.request(SUBMIT, START)
    esme.request(pdus.EnquireLink(), START)
    esme.receive(numbered(pdus.SubmitSmResp(), numbers[0]), START)
    assert esme.free == 1


def test_sequence_numbers_wrap_and_skip_those_still_unanswered() -> None:
    _, esme = bound_pair(first_sequence_number=0x7FFFFFFE)
    assert [esme.request(SUBMIT, START, n) for n in range(3)] == [0x7FFFFFFE, 0x7FFFFFFF, 1]
    esme.receive(numbered(pdus.SubmitSmResp(), 0x7FFFFFFF), START)
    esme._next_sequence_number = 0x7FFFFFFE
    assert [esme.request(SUBMIT, START) for _ in range(2)] == [0x7FFFFFFF, 2]


def test_a_request_that_cannot_be_encoded_uses_neither_window_nor_number() -> None:
    _, esme = bound_pair()
    with pytest.raises(LocalProtocolError):
        esme.request(pdus.SubmitSm(destination_addr="1" * 30), START)
    assert (esme.outstanding, esme.output()) == (0, b"")
    assert esme.request(SUBMIT, START) == 7


def test_a_peer_that_reuses_a_number_gets_both_answers() -> None:
    smsc, _ = bound_pair()
    events = smsc.receive(numbered(SUBMIT, 5) * 2, START)
    assert len(received(events)) == 2
    for message_id in "12":
        smsc.respond(pdus.SubmitSmResp(sequence_number=5, message_id=message_id))
    assert [cast(pdus.SubmitSmResp, pdu).message_id for pdu in sent(smsc)] == ["1", "2"]
    assert smsc.pending == 0


def test_a_response_of_the_wrong_type_fails_its_request_for_now_and_a_second_ends_the_session() -> None:
    _, esme = bound_pair()
    first, second = esme.request(SUBMIT, START, "a"), esme.request(SUBMIT, START, "b")
    assert esme.receive(numbered(pdus.QuerySmResp(), first), START) == [
        Answered("a", pdus.SubmitSmResp(sequence_number=first, command_status=0x08))
    ]
    events = esme.receive(numbered(pdus.EnquireLinkResp(), second), START)
    assert [type(event) for event in events] == [Answered, Over]


def test_a_generic_nack_answers_the_request_it_names() -> None:
    _, esme = bound_pair()
    number = esme.request(SUBMIT, START, "a")
    nack = pdus.GenericNack(command_status=0x03, sequence_number=number)
    assert esme.receive(encode(nack), START) == [Answered("a", nack)]
    assert esme.state is TRX


@pytest.mark.parametrize("sequence_number", [0, 4711])
def test_a_generic_nack_for_nothing_ends_the_session(sequence_number: int) -> None:
    _, esme = bound_pair()
    esme.request(SUBMIT, START, "a")
    events = esme.receive(numbered(pdus.GenericNack(command_status=2), sequence_number), START)
    assert [type(event) for event in events] == [Unanswered, Over]


def test_late_and_unknown_responses_are_counted_and_nothing_else() -> None:
    _, esme = bound_pair()
    unknown = bytes.fromhex("00000010800001110000000000000007")
    events = esme.receive(numbered(pdus.SubmitSmResp(), 99) + numbered(pdus.UnbindResp(), 98) + unknown, START)
    assert events == [Rejected(0x80000004, 0), Rejected(0x80000006, 0), Rejected(0x80000111, 0)]
    assert esme.output() == b""


def test_an_enquire_link_of_the_adapter_is_answered_to_it() -> None:
    smsc, esme = bound_pair()
    esme.request(pdus.EnquireLink(), START, "mine")
    _, events = pump(smsc, esme, START)
    assert [event.context for event in events if isinstance(event, Answered)] == ["mine"]


def test_answers_after_the_end_are_dropped() -> None:
    smsc, _ = bound_pair()
    smsc.receive(numbered(SUBMIT, 5), START)
    smsc.lost(START)
    smsc.respond(pdus.SubmitSmResp(sequence_number=5))
    assert smsc.output() == b""
    with pytest.raises(LocalProtocolError):
        smsc.request(DELIVER, START)


# Timers


def test_a_silent_client_is_closed_when_the_bind_does_not_come() -> None:
    smsc = Session(Role.SMSC, SessionSettings(session_init_timeout=10.0), START)
    assert smsc.deadline() == START + 10.0
    assert smsc.receive(numbered(pdus.EnquireLink(), 1), START + 9.0) == []
    assert len(sent(smsc)) == 1
    assert smsc.tick(START + 9.9) == []
    assert smsc.tick(START + 10.0) == [Over("no bind in time")]
    assert (smsc.deadline(), smsc.state) == (math.inf, SessionState.CLOSED)


def test_a_bind_nobody_answers_is_given_up() -> None:
    esme = Session(Role.ESME, SessionSettings(session_init_timeout=15.0), START)
    esme.request(pdus.BindTransceiver(system_id="a"), START + 5.0)
    assert esme.tick(START + 19.9) == []
    assert esme.tick(START + 20.0) == [Over("no bind in time")]


def test_enquire_link_is_sent_when_nothing_was_received_and_one_at_a_time() -> None:
    smsc, _ = bound_pair(settings=SessionSettings(enquire_link=30.0, response_timeout=30.0))
    smsc.receive(numbered(pdus.EnquireLink(), 1), START + 20.0)
    smsc.output()
    assert smsc.deadline() == START + 50.0
    assert smsc.tick(START + 49.0) == []
    assert sent(smsc) == []
    assert smsc.tick(START + 50.0) == []
    (probe,) = sent(smsc)
    assert isinstance(probe, pdus.EnquireLink)
    assert smsc.tick(START + 60.0) == []
    assert sent(smsc) == []
    assert smsc.receive(numbered(pdus.EnquireLinkResp(), probe.sequence_number), START + 61.0) == []
    assert smsc.deadline() == START + 91.0


def test_what_we_send_does_not_put_off_enquire_link() -> None:
    smsc, _ = bound_pair()
    smsc.request(DELIVER, START + 29.0)
    assert smsc.deadline() == START + 30.0


def test_a_peer_that_does_not_answer_enquire_link_is_left() -> None:
    _, esme = bound_pair(settings=SessionSettings(enquire_link=30.0, response_timeout=10.0))
    esme.tick(START + 30.0)
    esme.request(SUBMIT, START + 35.0, "a")
    assert esme.deadline() == START + 40.0
    assert esme.tick(START + 40.0) == [Unanswered("a"), Over("enquire_link unanswered")]


def test_a_peer_that_answers_no_enquire_link_and_sends_is_kept_until_it_is_silent() -> None:
    smsc, _ = bound_pair(settings=SessionSettings(enquire_link=30.0, response_timeout=10.0))
    smsc.tick(START + 30.0)
    assert received(smsc.receive(numbered(SUBMIT, 9), START + 35.0))
    smsc.output()
    assert smsc.tick(START + 40.0) == []
    assert (sent(smsc), smsc.deadline()) == ([], START + 65.0)
    smsc.tick(START + 65.0)
    assert [type(pdu) for pdu in sent(smsc)] == [pdus.EnquireLink]
    assert smsc.tick(START + 75.0) == [Over("enquire_link unanswered")]


def test_a_peer_that_is_never_heard_of_is_dead() -> None:
    smsc = Session(Role.SMSC, SessionSettings(enquire_link=30.0, response_timeout=10.0), START)
    smsc.receive(encode(pdus.BindTransceiver(sequence_number=1, system_id="a")), START)
    assert smsc.deadline() == START + 70.0
    assert smsc.tick(START + 70.0) == [Over("nothing received")]


def test_a_data_request_without_answer_is_given_up_and_the_link_stays() -> None:
    _, esme = bound_pair(settings=SessionSettings(enquire_link=0.0, response_timeout=30.0))
    first = esme.request(SUBMIT, START, "a")
    esme.request(SUBMIT, START + 1.0, "b")
    assert esme.deadline() == START + 30.0
    assert esme.tick(START + 30.0) == [Unanswered("a")]
    assert (esme.outstanding, esme.state) == (1, TRX)
    late = numbered(pdus.SubmitSmResp(message_id="1"), first)
    (told,) = esme.receive(late, START + 30.5)
    assert isinstance(told, AnsweredLate)
    assert (told.context, told.response.message_id) == ("a", "1")  # type: ignore[attr-defined]
    assert esme.receive(late, START + 30.5) == [Rejected(0x80000004, 0)]
    assert esme.tick(START + 31.0) == [Unanswered("b")]
    assert esme.deadline() == math.inf


def test_of_answers_that_come_after_it_has_given_up_a_session_tells() -> None:
    """One for each request, the youngest thousand of them; a late generic_nack is no lost boundary."""
    settings = SessionSettings(enquire_link=0.0, response_timeout=30.0, window=1002)
    smsc, _ = bound_pair(settings=settings)
    numbers = [smsc.request(DELIVER, START, number) for number in range(1002)]
    assert smsc.tick(START + 30.0) == [Unanswered(number) for number in range(1002)]
    (told,) = smsc.receive(numbered(pdus.DeliverSmResp(), numbers[1001]), START + 31.0)
    assert isinstance(told, AnsweredLate)
    assert (told.context, told.response.sequence_number) == (1001, numbers[1001])
    for number in (numbers[1001], numbers[0], numbers[1]):
        assert smsc.receive(numbered(pdus.DeliverSmResp(), number), START + 31.0) == [Rejected(0x80000005, 0)]
    nack = numbered(pdus.GenericNack(command_status=3), numbers[2])
    assert smsc.receive(nack, START + 31.0) == [Rejected(0x80000000, 0)]
    assert smsc.state is TRX


def test_inactivity_counts_messages_and_not_enquire_link() -> None:
    settings = SessionSettings(enquire_link=30.0, inactivity_timeout=100.0)
    smsc, _ = bound_pair(settings=settings)
    smsc.receive(numbered(SUBMIT, 1), START + 40.0)
    smsc.respond(pdus.SubmitSmResp(sequence_number=1, message_id="1"))
    for seconds in (60.0, 80.0, 100.0, 120.0, 139.0):
        smsc.receive(numbered(pdus.EnquireLink(), 2), START + seconds)
        assert smsc.tick(START + seconds) == []
    smsc.output()
    assert smsc.deadline() == START + 140.0
    smsc.tick(START + 140.0)
    assert [type(pdu) for pdu in sent(smsc)] == [pdus.Unbind]


def test_a_pdu_that_stays_incomplete_ends_the_session() -> None:
    smsc, _ = bound_pair(settings=SessionSettings(enquire_link=0.0, pdu_read_timeout=15.0))
    octets = numbered(SUBMIT, 0x99)
    smsc.receive(octets + octets[:20], START)
    smsc.receive(octets[20:25], START + 14.0)
    assert smsc.deadline() == START + 15.0
    assert smsc.tick(START + 15.0) == [Over("a PDU stayed incomplete")]
    (nack,) = sent(smsc)
    assert (type(nack), nack.command_status, nack.sequence_number) == (pdus.GenericNack, 0x02, 0x99)


def test_a_slow_stream_of_complete_pdus_is_no_incomplete_pdu() -> None:
    smsc, _ = bound_pair(settings=SessionSettings(enquire_link=0.0, pdu_read_timeout=15.0))
    octets = numbered(SUBMIT, 1)
    smsc.receive(octets[:20], START)
    smsc.receive(octets[20:] + octets[:20], START + 10.0)
    assert smsc.deadline() == START + 25.0
    smsc.receive(octets[20:], START + 24.0)
    assert smsc.deadline() == math.inf


def test_more_than_twenty_malformed_pdus_in_a_minute_lead_to_unbind() -> None:
    bad = bytes.fromhex("00000011000000040000000000000007") + b"x"
    smsc, _ = bound_pair()
    for count in range(20):
        assert smsc.receive(bad, START + count) == [Rejected(0x04, 0x02)]
    slow, _ = bound_pair()
    for count in range(40):
        slow.receive(bad, START + 3.0 * count)
    assert slow.state is TRX
    assert {type(pdu) for pdu in sent(smsc)} == {pdus.SubmitSmResp}
    smsc.receive(bad, START + 20.0)
    assert [type(pdu) for pdu in sent(smsc)] == [pdus.SubmitSmResp, pdus.Unbind]


# The end


def test_an_idle_session_unbinds_at_once() -> None:
    smsc, esme = bound_pair()
    esme.unbind(START)
    at_smsc, at_esme = pump(smsc, esme, START)
    assert at_smsc == [Over("the peer unbound")]
    assert at_esme == [Over("unbound")]


def test_unbind_waits_for_the_answers_on_both_sides() -> None:
    smsc, _ = bound_pair()
    smsc.request(DELIVER, START, "receipt")
    smsc.receive(numbered(SUBMIT, 50), START)
    smsc.output()
    smsc.unbind(START)
    assert (smsc.state, smsc.free, sent(smsc)) == (SessionState.UNBINDING, 0, [])
    with pytest.raises(LocalProtocolError):
        smsc.request(DELIVER, START)
    assert [type(e) for e in smsc.receive(numbered(pdus.DeliverSmResp(), 7), START + 1.0)] == [Answered]
    assert sent(smsc) == []
    smsc.respond(pdus.SubmitSmResp(sequence_number=50, message_id="1"))
    assert smsc.deadline() <= START + 1.0
    assert smsc.tick(START + 1.0) == []
    assert [type(pdu) for pdu in sent(smsc)] == [pdus.SubmitSmResp, pdus.Unbind]
    assert smsc.receive(numbered(SUBMIT, 51), START + 2.0) == [Rejected(0x04, 0x04)]
    assert sent(smsc)[0].command_status == 0x04
    assert smsc.receive(numbered(pdus.UnbindResp(), 8), START + 2.0) == [Over("unbound")]


def test_unbind_is_sent_after_the_response_timeout_and_given_up_five_seconds_later() -> None:
    _, esme = bound_pair(settings=SessionSettings(enquire_link=0.0, response_timeout=30.0))
    esme.request(SUBMIT, START - 1.0, "a")
    esme.request(SUBMIT, START + 10.0, "b")
    esme.output()
    esme.unbind(START)
    assert esme.tick(START + 29.0) == [Unanswered("a")]
    assert esme.tick(START + 30.0) == []
    assert [type(pdu) for pdu in sent(esme)] == [pdus.Unbind]
    assert esme.deadline() == START + 35.0
    events = esme.tick(START + 35.0)
    assert events[0] == Unanswered("b")
    assert isinstance(events[1], Over)


def test_the_peers_unbind_is_answered_once_its_requests_are() -> None:
    smsc, _ = bound_pair()
    smsc.request(DELIVER, START, "receipt")
    smsc.output()
    smsc.receive(numbered(SUBMIT, 50) * 50 + numbered(pdus.Unbind(), 51), START)
    assert smsc.state is SessionState.UNBINDING
    assert smsc.receive(numbered(SUBMIT, 52), START) == [Rejected(0x04, 0x04)]
    smsc.output()
    for _ in range(50):
        assert smsc.deadline() > START
        smsc.respond(pdus.SubmitSmResp(sequence_number=50, message_id="1"))
    assert [type(pdu) for pdu in sent(smsc)] == [pdus.SubmitSmResp] * 50 + [pdus.UnbindResp]
    assert smsc.deadline() <= START
    assert smsc.tick(START) == [Unanswered("receipt"), Over("the peer unbound")]


def test_the_peers_unbind_is_answered_after_five_seconds_in_any_case() -> None:
    smsc, _ = bound_pair()
    smsc.receive(numbered(SUBMIT, 50) + numbered(pdus.Unbind(), 51), START)
    assert smsc.deadline() == START + 5.0
    assert smsc.tick(START + 5.0) == [Over("the peer unbound")]
    assert [type(pdu) for pdu in sent(smsc)] == [pdus.UnbindResp]


def test_an_smscs_unbind_waits_for_its_answers_to_our_requests() -> None:
    """They may come behind the unbind in the same read, or a moment later."""
    _, esme = bound_pair()
    for context in "abc":
        esme.request(SUBMIT, START, context)
    esme.output()
    behind = numbered(pdus.Unbind(), 51) + numbered(pdus.SubmitSmResp(message_id="1"), 7)
    answered = esme.receive(behind, START)
    assert [type(event) for event in answered] == [Answered]
    assert (esme.state, esme.free, sent(esme)) == (SessionState.UNBINDING, 0, [])
    assert [type(event) for event in esme.receive(numbered(pdus.SubmitSmResp(message_id="2"), 8), START + 1)] == [
        Answered
    ]
    events = esme.receive(numbered(pdus.SubmitSmResp(message_id="3"), 9), START + 2)
    assert [type(event) for event in events] == [Answered, Over]
    assert sent(esme) == [pdus.UnbindResp(sequence_number=51)]


def test_an_smsc_that_unbinds_and_answers_nothing_more_is_let_go_after_five_seconds() -> None:
    _, esme = bound_pair()
    esme.request(SUBMIT, START, "a")
    esme.output()
    assert esme.receive(numbered(pdus.Unbind(), 51), START) == []
    assert esme.deadline() == START + 5.0
    assert esme.tick(START + 5.0) == [Unanswered("a"), Over("the peer unbound")]
    assert sent(esme) == [pdus.UnbindResp(sequence_number=51)]


def test_an_smscs_unbind_is_answered_when_our_last_request_is_given_up() -> None:
    _, esme = bound_pair(settings=SessionSettings(enquire_link=0.0, response_timeout=2.0))
    esme.request(SUBMIT, START, "a")
    esme.output()
    assert esme.receive(numbered(pdus.Unbind(), 51), START + 1.0) == []
    assert esme.deadline() == START + 2.0
    assert esme.tick(START + 2.0) == [Unanswered("a"), Over("the peer unbound")]
    assert sent(esme) == [pdus.UnbindResp(sequence_number=51)]


def test_nothing_is_read_after_the_peers_unbind_was_answered() -> None:
    smsc, _ = bound_pair()
    smsc.receive(numbered(SUBMIT, 50) + numbered(pdus.Unbind(), 51), START)
    smsc.respond(pdus.SubmitSmResp(sequence_number=50, message_id="1"))
    smsc.output()
    assert smsc.receive(numbered(pdus.EnquireLink(), 52), START) == [Over("the peer unbound")]
    assert smsc.output() == b""


@pytest.mark.parametrize("role", Role)
def test_unbind_before_a_bind_is_answered_and_ends_the_session(role: Role) -> None:
    session = Session(role, QUIET, START)
    assert session.receive(numbered(pdus.Unbind(), 3), START) == [Over("the peer unbound")]
    assert sent(session) == [pdus.UnbindResp(sequence_number=3)]


def test_two_unbinds_that_cross_end_both_sessions() -> None:
    smsc, esme = bound_pair()
    smsc.unbind(START)
    esme.unbind(START)
    crossing = smsc.output()
    assert smsc.receive(esme.output(), START) == [Over("the peer unbound")]
    assert esme.receive(crossing, START) == [Over("the peer unbound")]


def test_unbinding_before_a_bind_is_just_the_end() -> None:
    session = Session(Role.ESME, QUIET, START)
    session.unbind(START)
    assert session.deadline() <= START
    assert session.tick(START) == [Over("ended before a bind")]
    assert session.output() == b""


def test_a_lost_link_reports_everything_unanswered_once() -> None:
    _, esme = bound_pair()
    for context in "ab":
        esme.request(SUBMIT, START, context)
    assert esme.lost(START) == [Unanswered("a"), Unanswered("b"), Over("connection lost")]
    assert esme.lost(START) == []
    assert esme.tick(START + 99.0) == []
    assert (esme.state, esme.outstanding, esme.free) == (SessionState.CLOSED, 0, 0)


# Both roles together


def test_a_message_and_its_receipt_travel_between_the_two_roles() -> None:
    smsc, esme = bound_pair()
    esme.request(SUBMIT, START, "message")
    ((submit,), _) = pump(smsc, esme, START)
    assert isinstance(submit, Received)
    # The receipt overtakes nothing, but shares a segment with the response.
    smsc.respond(pdus.SubmitSmResp(sequence_number=submit.pdu.sequence_number, message_id="1001"))
    smsc.request(DELIVER, START, "receipt")
    _, (answered, deliver) = pump(smsc, esme, START)
    assert isinstance(answered, Answered)
    assert cast(pdus.SubmitSmResp, answered.response).message_id == "1001"
    assert isinstance(deliver, Received)
    esme.respond(pdus.DeliverSmResp(sequence_number=deliver.pdu.sequence_number))
    at_smsc, _ = pump(smsc, esme, START)
    assert [event.context for event in at_smsc if isinstance(event, Answered)] == ["receipt"]


@pytest.mark.parametrize("piece", [1, 3, 7, 50, 1000])
def test_a_busy_pair_says_the_same_whichever_way_tcp_cuts(piece: int) -> None:
    smsc, esme = bound_pair(settings=SessionSettings(window=1000))
    answered = 0
    for round_number in range(5):
        for count in range(40):
            esme.request(SUBMIT, START, (round_number, count))
        stream = esme.output()
        for start in range(0, len(stream), piece):
            for request in received(smsc.receive(stream[start : start + piece], START)):
                smsc.respond(pdus.SubmitSmResp(sequence_number=request.sequence_number, message_id="1"))
        stream = smsc.output()
        for start in range(0, len(stream), piece):
            answered += len(esme.receive(stream[start : start + piece], START))
    assert (answered, esme.outstanding, smsc.pending) == (200, 0, 0)


def test_an_idle_pair_stays_bound_for_a_day() -> None:
    smsc, esme = bound_pair()
    now = START
    while now < START + 86_400.0:
        now = min(smsc.deadline(), esme.deadline())
        assert smsc.tick(now) == esme.tick(now) == []
        assert pump(smsc, esme, now) == ([], [])
    assert (smsc.state, esme.state) == (TRX, TRX)
