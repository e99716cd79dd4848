"""What fuzzing has found: one row each, so that it stays mended."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from gateway.server import translate
from gateway.smpp import charset, pdu, receipt_text, relay, segments
from gateway.smpp.errors import LocalProtocolError
from gateway.smpp.events import BindRequested
from gateway.smpp.session import Role, Session, SessionSettings
from gateway.smpp.states import SessionState
from smsc_client.remote_ids import id_forms
from tests.gateway.server.house import account
from tools.fuzz_targets import TARGETS
from tools.watched_session import weight

from .pairs import START, bound_pair


def element(octets: int) -> bytes:
    """A UDH of one element that nobody knows, so many octets long in all."""
    return bytes((octets - 1, 0x70, octets - 3)) + bytes(octets - 3)


# A header that leaves no room for text was cut into pieces of nothing, without end.
@pytest.mark.parametrize("data_coding", [0x00, 0x01, 0x04, 0x08])
@pytest.mark.parametrize("header", [129, 134, 135, 136, 139, 140, 141, 200, 250])
@pytest.mark.parametrize("alphabet", ["gsm7", "utf8"])
def test_a_header_that_fills_the_message_is_counted_in_finite_time(
    header: int, data_coding: int, alphabet: str
) -> None:
    user_data = element(header) + b"\0x" * ((254 - header) // 2)
    assert 1 <= segments.count_segments(user_data, data_coding, 0x40, alphabet) <= 64


@pytest.mark.parametrize("long_messages", ["udh", "sar", "payload"])
@pytest.mark.parametrize("header", [100, 135, 140, 200, 250, 256])
@pytest.mark.parametrize("text", [b"x", b"\xe1x" * 20, b"x" * 300])
def test_a_text_that_its_header_leaves_no_room_for_leaves_as_a_payload(
    header: int, text: bytes, long_messages: str
) -> None:
    sent = relay.outgoing_parts(
        element(header) + text, 0x40, 0, "latin1", "gsm7", in_payload=True, long_messages=long_messages,
        tlvs=((segments.SAR_REF, b"\0\7"),),
    )  # fmt: skip
    for one in sent:
        assert len(one.short_message) <= 254
        pdu.encode(pdu.SubmitSm(destination_addr="1", short_message=one.short_message, tlvs=one.tlvs))
    if header >= 140:
        assert len(sent) == 1


# U+FFFE, which stands for "no character" in Python's tables, was written as the octet 0xFF.
@pytest.mark.parametrize("text", ["\ufffe", "ol\ufffe", "é\ufffe€"])
def test_a_character_that_is_none_is_not_in_the_gsm_alphabet(text: str) -> None:
    with pytest.raises(UnicodeEncodeError):
        charset.gsm7_encode(text)
    assert charset.gsm7_encode(text, "replace") == charset.gsm7_encode(text.replace("\ufffe", "?"))
    assert charset.choose(text) == (charset.UCS2, text.encode("utf-16-be"))


# A number written with a no-break space was accepted, and its receipt could not be written.
@pytest.mark.parametrize("written", ["55\xa011987654321", "55\xad11987654321", "\x80\x9f", "Farmácia"])
def test_every_address_that_may_be_accepted_can_be_repeated(written: str) -> None:
    receipt = pdu.DeliverSm(source_addr=written, destination_addr=written)
    assert pdu.decode(pdu.encode(receipt)) == receipt
    failed = pdu.SubmitMultiResp(unsuccess_smes=(pdu.UnsuccessSme(1, 1, written, 0x0B),))
    assert pdu.decode(pdu.encode(failed)) == failed


@pytest.mark.parametrize("control", [*map(chr, range(32)), "\x7f"])
def test_control_characters_are_still_not_written(control: str) -> None:
    with pytest.raises(LocalProtocolError):
        pdu.encode(pdu.DeliverSm(source_addr=f"1{control}2"))


# Each malformed PDU behind our own unbind was remembered.
def test_malformed_pdus_without_end_are_not_remembered() -> None:
    session, _ = bound_pair()
    session.request(pdu.DeliverSm(), START)
    before = weight(session)
    for _ in range(50):
        session.receive(bytes.fromhex("00000011000000040000000000000007") * 1 + b"x", START)
    session.output()
    assert session.state is SessionState.UNBINDING
    for _ in range(10):
        session.receive((bytes.fromhex("00000011000000040000000000000007") + b"x") * 1_000, START)
        session.output()
    assert weight(session) <= before + 500


# Of two unbinds behind an unanswered request, the first had no answer.
def test_each_of_two_unbinds_is_answered_once() -> None:
    session, _ = bound_pair()
    session.receive(pdu.encode(pdu.SubmitSm(destination_addr="1", sequence_number=3)), START)
    session.receive(pdu.encode(pdu.Unbind(sequence_number=4)) + pdu.encode(pdu.Unbind(sequence_number=5)), START)
    session.respond(pdu.SubmitSmResp(sequence_number=3))
    out = session.output()
    answers = [pdu.decode(out[at : at + 16]) for at in range(0, 16, 16)]
    assert [(one.sequence_number, one.command_status) for one in answers] == [(5, 0x04)]
    assert pdu.decode(out[-16:]) == pdu.UnbindResp(sequence_number=4)


# All that waited behind a bind was counted again at every read.
def test_what_waits_behind_a_bind_is_bounded_over_many_reads() -> None:
    session = Session(Role.SMSC, SessionSettings(), START)
    (requested,) = session.receive(pdu.encode(pdu.BindTransceiver(sequence_number=1, system_id="a")), START)
    assert isinstance(requested, BindRequested)
    frame = pdu.encode(pdu.EnquireLink(sequence_number=2))
    reads = 0
    while session.state is not SessionState.CLOSED:
        session.receive(frame * 100, START)
        reads += 1
    assert reads == 256 * 1024 // (16 * 100) + 1


# One PDU of 64 KiB kept the process busy for seconds, or for minutes: each octet led back to all before it.
def payload(octets: bytes, header: int, data_coding: int, alphabet: str) -> Callable[[], object]:
    user_data = (element(header) if header else b"") + octets
    return lambda: segments.count_segments(user_data[:65_000], data_coding, 0x40 if header else 0, alphabet)


def with_tlvs(octets: bytes) -> Callable[[], object]:
    frame = pdu.encode(pdu.BindReceiver(system_id="a"), 1) + octets
    return lambda: pdu.decode(len(frame).to_bytes(4) + frame[4:])


def to_254_numbers(octets: bytes) -> Callable[[], object]:
    request = pdu.SubmitMulti(
        dest_addresses=tuple(pdu.SmeAddress(1, 1, f"55119876{n:05}") for n in range(254)),
        tlvs=((segments.MESSAGE_PAYLOAD, octets),),
    )
    return lambda: translate.submit_multi(request, account(), now=START, country="BR", default_validity=60.0)


MARKS = "\u0301" * 32_000
PILES = {
    "escapes": payload(b"\x1b" * 65_000, 0, 0, "gsm7"),
    "escapes behind a long header": payload(b"\x1b" * 65_000, 130, 0, "gsm7"),
    "marks behind a long header": payload(MARKS.encode("utf-16-be"), 130, 8, "gsm7"),
    "marks in UTF-8 behind a long header": payload(MARKS.encode(), 130, 0, "utf8"),
    "TLVs of tag 0": with_tlvs(bytes(60_000) + b"\0\1\0\1x"),
    "letters and dashes in a receipt": lambda: receipt_text.parse(b"id:" + b"a-" * 32_000 + b"stat:" * 5_000),
    "zeros in an id": lambda: id_forms("0" * 65_000),
    "a payload to 254 numbers": to_254_numbers(MARKS.encode()[:57_000]),
}


@pytest.mark.parametrize("pile", PILES.values(), ids=PILES)
def test_the_largest_pdu_costs_less_than_a_second(pile: Callable[[], object]) -> None:
    begin = time.process_time()
    pile()
    assert time.process_time() - begin < 1.0  # some hundredths; it was 2 to 80


# A payload of which each piece would hold four octets stood for 65,000 segments of everybody's rate.
@pytest.mark.parametrize("header", [0, 130, 135, 250])
@pytest.mark.parametrize(("data_coding", "alphabet"), [(0, "gsm7"), (0, "latin1"), (4, "gsm7"), (8, "gsm7")])
def test_no_payload_counts_for_more_segments_than_its_octets_make(header: int, data_coding: int, alphabet: str) -> None:
    count = payload(b"\0x" * 32_500, header, data_coding, alphabet)()
    assert isinstance(count, int) and 400 < count <= 486


@pytest.mark.parametrize(
    ("target", "octets"),
    [
        ("segments", b"\x40\x04\0\1" + element(201) + b"x" * 54),
        ("segments", b"\x40\x08\x80\xff" + element(255) + b"\xd8\0" * 40),
        ("segments", b"\x40\0\x81\0\0\7\2\1" + element(254) + b"\xe1" * 200),
        ("charset", bytes.fromhex("e1f121fefffffe")),
        ("session_server", b"\xd8" * 45 + bytes.fromhex("02011b0101019e0105060b19000008")),
    ],
)
def test_an_input_that_broke_a_promise_does_so_no_more(target: str, octets: bytes) -> None:
    TARGETS[target](octets)
