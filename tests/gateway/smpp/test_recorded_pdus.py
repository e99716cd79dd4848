"""What each recorded PDU leads to: the value it is read as, the answer the session gives, the event it reports."""

from collections.abc import Callable
from typing import Any

import pytest

from gateway.smpp import pdu as pdus
from gateway.smpp.errors import BadPdu
from gateway.smpp.events import Answered, BindRequested, Bound, Event, Over, Received, Rejected
from gateway.smpp.pdu import decode, encode
from gateway.smpp.session import Role, Session, SessionSettings

from .pairs import START, bound_pair
from .recorded_pdus import PDUS

PHONE = "5511987654321"
SHORT_CODE = "28940"


def smsc() -> Session:
    return bound_pair()[0]


def esme() -> Session:
    return bound_pair()[1]


def unbound_smsc() -> Session:
    return Session(Role.SMSC, SessionSettings(), START)


def asking(request: pdus.Pdu, session: Callable[[], Session]) -> Callable[[], Session]:
    """A session that waits for the answer to `request`, which has sequence_number 7."""

    def make() -> Session:
        made = session()
        assert made.request(request, START, context="ours") == 7
        made.output()
        return made

    return make


def binding_esme() -> Session:
    made = Session(Role.ESME, SessionSettings(), START, first_sequence_number=7)
    made.request(pdus.BindTransceiver(system_id="e", password="p", interface_version=0x34), START)
    made.output()
    return made


submitting = asking(pdus.SubmitSm(destination_addr=PHONE), esme)
delivering = asking(pdus.DeliverSm(source_addr=PHONE), smsc)
sending_data = asking(pdus.DataSm(destination_addr=PHONE), esme)
querying = asking(pdus.QuerySm(message_id="1"), esme)
submitting_multi = asking(pdus.SubmitMulti(dest_addresses=(pdus.SmeAddress(1, 1, PHONE),)), esme)


def header(command_id: int, status: int, sequence_number: int = 7) -> bytes:
    """A PDU without a body."""
    return b"".join(number.to_bytes(4) for number in (16, command_id, status, sequence_number))


# Read and handed on as they are: name -> (session, fields that matter).
RECEIVED: dict[str, tuple[Callable[[], Session], dict[str, Any]]] = {
    "K03": (smsc, {"short_message": b"Hello \x1b(euro\x1b)", "registered_delivery": 0x11, "esm_class": 3}),
    "K04": (smsc, {"esm_class": 0x43, "registered_delivery": 0x11, "data_coding": 8, "tlvs": ((0x0426, b"\x01"),)}),
    "K05": (smsc, {"esm_class": 0x43, "registered_delivery": 0, "data_coding": 8, "tlvs": ()}),
    "K06": (
        smsc,
        {
            "source_addr_ton": 5,
            "source_addr": "Empresa",
            "data_coding": 0xF0,
            "validity_period": "261121212311000+",
            "short_message": b"flash",
        },
    ),
    "K07": (smsc, {"short_message": "Olá ç €".encode("utf-16-be"), "tlvs": ((0x0204, b"\x00\x07"),)}),
    "K08": (smsc, {"short_message": b"Ola \x1b(\x1be\x1b)", "source_addr": SHORT_CODE, "destination_addr": PHONE}),
    "K09": (smsc, {"short_message": b"hi \x00"}),
    "K11": (
        esme,
        {
            "esm_class": 4,
            "source_addr": PHONE,
            "destination_addr": SHORT_CODE,
            "tlvs": ((0x001E, b"1001\x00"), (0x0427, b"\x02")),
        },
    ),
    "K12": (
        smsc,
        {"short_message": b"Prezado ", "tlvs": ((0x020C, b"\xf6\x51"), (0x020E, b"\x03"), (0x020F, b"\x01"))},
    ),
    "K13": (smsc, {"short_message": b"", "tlvs": ((0x0424, b"Prezado cliente"),)}),
    "Q01": (smsc, {"dest_addresses": (pdus.SmeAddress(1, 1, PHONE),), "short_message": b"hi"}),
    "Q02": (smsc, {"dest_addresses": (pdus.SmeAddress(1, 1, PHONE), pdus.DistributionList("clientes"))}),
    "Q03": (smsc, {"message_id": "1", "source_addr": SHORT_CODE, "registered_delivery": 1, "short_message": b"hi"}),
    "Q04": (smsc, {"registered_delivery": 3}),
    "Q05": (smsc, {"registered_delivery": 0xE1}),
    "Q06": (smsc, {"source_addr_ton": 7}),
    "Q07": (smsc, {"dest_addr_npi": 2}),
    "Q08": (smsc, {"priority_flag": 5}),
    "Q12": (esme, {"esm_class": 0x24, "short_message": b"id:1 stat:ENROUTE err:000"}),
    "Q13": (esme, {"schedule_delivery_time": "240229120000000+", "short_message": b"hi"}),
    "Q14": (smsc, {"validity_period": "240229120000"}),
    "Q15": (smsc, {"validity_period": "000000001000100R"}),
    "Q16": (smsc, {"short_message": b"x" * 255}),
    "Q17": (smsc, {"tlvs": ((0x130C, b""),)}),
    "Q18": (smsc, {"tlvs": ((0x130C, b"\x01"),)}),
    "Q19": (smsc, {"tlvs": ((0x1204, b"\x01"),)}),
    "Q20": (smsc, {"tlvs": ((0x0501, b"\x02"), (0x1383, b"\x00\x01"))}),
    "Q21": (smsc, {"tlvs": ((0x0010, b"\x01"), (0x0424, b"hi"))}),
    "Q22": (smsc, {"tlvs": ((0x0381, b"\x01\x01\x01111"), (0x0381, b"\x01\x01\x01222"))}),
    "Q23": (smsc, {"short_message": b"hi", "tlvs": ()}),
    "Q24": (smsc, {"short_message": b"hi", "tlvs": ()}),
    "Q25": (smsc, {"tlvs": ((0x0204, b"\x05"),)}),
    "Q26": (smsc, {"data_coding": 0xF8}),
    "Q27": (smsc, {"tlvs": ((0x020D, b"\x06"),)}),
    "D01": (esme, {"tlvs": ((0x001E, b"abc123"),), "esm_class": 4, "short_message": b""}),
    "D02": (esme, {"tlvs": ((0x001E, b"abc123"), (0x0427, b"\x02"))}),
    "D03": (esme, {"tlvs": ((0x001E, b""),)}),
    "D04": (esme, {"tlvs": ((0x001E, b"abc123\x00\x00"),)}),
    "D05": (esme, {"tlvs": ((0x001E, b"a" * 65 + b"\x00"),)}),
    "D06": (esme, {"tlvs": ((0x0427, b"\x00"),)}),
    "D07": (esme, {"tlvs": ((0x0427, b"\x09"),)}),
    "D08": (esme, {"tlvs": ((0x1403, b"72405"),)}),
    "D09": (esme, {"tlvs": ((0x0428, b"\x01"),)}),
    "D10": (esme, {"tlvs": ((0x0011, b"\x01"),)}),
    "D11": (esme, {"tlvs": ((0x0017, b"\x00\x00\x01\x00"),)}),
    "D12": (esme, {"tlvs": ((0x0210, b"4"),)}),
    "D13": (esme, {"tlvs": ((0x0005, b"\x01"),)}),
    "D14": (esme, {"tlvs": ((0x0381, b"q1234"),)}),
    # An impossible date, an impossible UDH, a UDH in the payload, "part 0 of 0": judged by those who read these fields.
    "M17": (smsc, {"validity_period": "230229120000000+"}),
    "M18": (smsc, {"esm_class": 0x40, "short_message": b"\x40\x00\x03hi"}),
    "M19": (smsc, {"esm_class": 0x40, "short_message": b"", "tlvs": ((0x0424, b"\x05\x00\x03\x01\x02\x01hello"),)}),
    "M20": (smsc, {"short_message": b"\x05\x00\x03\x2a\x00\x00hi"}),
}

# Matched with our request 7: name -> (session, fields that matter).
ANSWERED: dict[str, tuple[Callable[[], Session], dict[str, Any]]] = {
    "R01": (submitting, {"command_status": 0, "message_id": ""}),
    "R02": (submitting, {"command_status": 0x401}),
    "R03": (submitting, {"command_status": 0x35}),
    "R04": (submitting, {"command_status": 0x58}),
    "R05": (submitting, {"command_status": 0, "message_id": "abc", "tlvs": ((0x0428, b"\x50"),)}),
    "R06": (submitting, {"command_status": 0, "message_id": "abc"}),
    "R07": (delivering, {"command_status": 0, "message_id": ""}),
    "R08": (delivering, {"command_status": 0x64}),
    "R09": (delivering, {"command_status": 0, "message_id": "42"}),
    "R10": (sending_data, {"command_status": 0xFE}),
    "R11": (querying, {"command_status": 0x67}),
    "R12": (querying, {"message_id": "1", "final_date": "", "message_state": 0, "error_code": 0}),
    "R15": (submitting_multi, {"message_id": "1", "unsuccess_smes": ()}),
    "R16": (submitting_multi, {"unsuccess_smes": (pdus.UnsuccessSme(1, 1, PHONE, 0x0B),)}),
}

ENQUIRE_LINK_BEHIND = header(0x80000015, 0, 8)
# Answered by the session itself: name -> (session, the octets that answer, events).
REFUSED: dict[str, tuple[Callable[[], Session], bytes, list[Event]]] = {
    "Q09": (smsc, header(0x80000004, 0x54), [Rejected(0x04, 0x54)]),
    "Q28": (smsc, header(0x80000000, 0x03), [Rejected(0x0111, 0x03)]),
    "Q29": (smsc, header(0x80000015, 0), []),
    "Q30": (smsc, header(0x80000015, 0), []),
    "Q31": (smsc, header(0x80000015, 0, 0), []),
    "Q32": (smsc, header(0x80000015, 0, 0xFFFFFFFF), []),
    "M01": (smsc, header(0x80000000, 0x02, 0), [Over("impossible command_length")]),
    "M02": (smsc, header(0x80000000, 0x02, 0), [Over("impossible command_length")]),
    "M03": (smsc, header(0x80000000, 0x02, 7), [Over("impossible command_length")]),
    "M04": (
        smsc,
        # The boundaries are lost: the next "header" is text of the submit_sm, its sequence_number too.
        header(0x80000004, 0x02) + header(0x80000000, 0x02, int.from_bytes(PDUS["M04"][42:46])),
        [Rejected(0x04, 0x02), Over("impossible command_length")],
    ),
    "M05": (unbound_smsc, header(0x80000009, 0x02) + ENQUIRE_LINK_BEHIND, [Rejected(0x09, 0x02)]),
    "M06": (smsc, header(0x80000004, 0x01), [Rejected(0x04, 0x01)]),
    "M07": (smsc, header(0x80000004, 0xC0), [Rejected(0x04, 0xC0)]),
    "M09": (unbound_smsc, header(0x80000009, 0x0F), [Rejected(0x09, 0x0F)]),
    "M10": (unbound_smsc, header(0x80000009, 0x0F), [Rejected(0x09, 0x0F)]),
    "M11": (smsc, header(0x80000004, 0x0A), [Rejected(0x04, 0x0A)]),
    "M12": (smsc, header(0x80000004, 0x0B), [Rejected(0x04, 0x0B)]),
    "M13": (smsc, header(0x80000004, 0x15), [Rejected(0x04, 0x15)]),
    "M14": (smsc, header(0x80000004, 0x0B), [Rejected(0x04, 0x0B)]),
    "M15": (smsc, header(0x80000004, 0x61), [Rejected(0x04, 0x61)]),
    "M16": (smsc, header(0x80000004, 0x62), [Rejected(0x04, 0x62)]),
    "M21": (smsc, bytes.fromhex("000000128000002100000040000000070000"), [Rejected(0x21, 0x40)]),
    "M22": (smsc, header(0x80000000, 0x03), [Rejected(0x010200, 0x03)]),
    "M23": (smsc, b"", [Rejected(0x80000111, 0)]),
    "M24": (unbound_smsc, header(0x80000004, 0x04), [Rejected(0x04, 0x04), Over("a request before any bind")]),
}

# name -> (session, event class)
BINDS: dict[str, tuple[Callable[[], Session], type[Event]]] = {
    "K01": (unbound_smsc, BindRequested),
    "K02": (unbound_smsc, BindRequested),
    "M08": (unbound_smsc, BindRequested),  # longer than SMPP 3.4 allows, and somebody's all the same
    "Q10": (unbound_smsc, BindRequested),
    "Q11": (unbound_smsc, BindRequested),
    "R13": (binding_esme, Bound),
    "R14": (binding_esme, Bound),
}

# The two sides number independently: K10 answers request 101, which is not ours here.
LATE: dict[str, tuple[Callable[[], Session], list[Event]]] = {"K10": (delivering, [Rejected(0x80000005, 0)])}

SESSIONS: dict[str, Callable[[], Session]] = {
    name: case[0] for table in (RECEIVED, ANSWERED, REFUSED, BINDS, LATE) for name, case in table.items()
}
# Not the same octets again: lenient reading, a body that is not sent, or nothing readable at all.
NOT_CANONICAL = {"K12", "K13", "R01", "R06", "R07", "R08", "R10", "R11", "R13", "Q11", "Q23", "Q24", "Q29", "Q30"}


def fields(pdu: pdus.Pdu, names: dict[str, Any]) -> dict[str, Any]:
    return {name: getattr(pdu, name) for name in names}


def test_every_recorded_pdu_is_in_one_of_the_tables() -> None:
    assert set(SESSIONS) == set(PDUS)


@pytest.mark.parametrize("name", RECEIVED)
def test_a_legal_request_is_handed_on_with_its_fields(name: str) -> None:
    make, expected = RECEIVED[name]
    session = make()
    (event,) = session.receive(PDUS[name], START)
    assert isinstance(event, Received)
    assert fields(event.pdu, expected) == expected
    assert session.output() == b""
    assert session.pending == 1


@pytest.mark.parametrize("name", ANSWERED)
def test_a_response_finds_its_request(name: str) -> None:
    make, expected = ANSWERED[name]
    session = make()
    (event,) = session.receive(PDUS[name], START)
    assert isinstance(event, Answered)
    assert event.context == "ours"
    assert fields(event.response, expected) == expected
    assert (session.output(), session.outstanding) == (b"", 0)


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_session_answers_by_itself_is_answered_as_the_table_says(name: str) -> None:
    make, answer, events = REFUSED[name]
    session = make()
    assert session.receive(PDUS[name], START) == events
    assert session.output() == answer


@pytest.mark.parametrize("name", LATE)
def test_an_answer_to_nothing_is_only_counted(name: str) -> None:
    make, events = LATE[name]
    session = make()
    assert session.receive(PDUS[name], START) == events
    assert (session.output(), session.outstanding) == (b"", 1)


@pytest.mark.parametrize("name", BINDS)
def test_a_bind_or_its_answer_is_accepted(name: str) -> None:
    make, event_class = BINDS[name]
    session = make()
    (event,) = session.receive(PDUS[name], START)
    assert isinstance(event, event_class)


def test_the_version_in_a_bind_answer_is_the_peers() -> None:
    silent, speaking = binding_esme(), binding_esme()
    silent.receive(PDUS["R13"], START)
    speaking.receive(PDUS["R14"], START)
    assert (silent.peer_version, speaking.peer_version) == (0x34, 0x50)


def test_a_delivery_that_was_answered_as_all_clients_do_is_done() -> None:
    session, _ = bound_pair(first_sequence_number=0x65)
    session.request(pdus.DeliverSm(source_addr=PHONE), START, context="receipt")
    assert session.receive(PDUS["K10"], START) == [Answered("receipt", pdus.DeliverSmResp(sequence_number=0x65))]


@pytest.mark.parametrize("name", PDUS)
def test_octets_survive_decoding_and_encoding(name: str) -> None:
    octets = PDUS[name]
    if name in NOT_CANONICAL or len(octets) != int.from_bytes(octets[:4]):
        return
    try:
        assert encode(decode(octets)) == octets
    except BadPdu:
        assert name in REFUSED


@pytest.mark.parametrize("name", PDUS)
def test_it_does_not_matter_where_tcp_cuts(name: str) -> None:
    octets = PDUS[name]
    whole = SESSIONS[name]()
    expected = whole.receive(octets, START), whole.output()
    for cut in range(1, len(octets)):
        session = SESSIONS[name]()
        events = session.receive(octets[:cut], START) + session.receive(octets[cut:], START)
        assert (events, session.output()) == expected, cut
    session = SESSIONS[name]()
    events = [event for octet in octets for event in session.receive(bytes([octet]), START)]
    assert (events, session.output()) == expected


@pytest.mark.parametrize(
    "name", [*RECEIVED, *(name for name in REFUSED if name in ("Q28", "Q29", "Q30", "Q31", "Q32"))]
)
def test_three_hundred_in_one_segment_lead_to_three_hundred_times_the_same(name: str) -> None:
    session = SESSIONS[name]()
    expected = session.receive(PDUS[name], START), session.output()
    session = SESSIONS[name]()
    events = session.receive(PDUS[name] * 300, START)
    assert events == expected[0] * 300
    assert session.output() == expected[1] * 300


@pytest.mark.parametrize("name", PDUS)
def test_a_recorded_pdu_does_not_show_its_secrets(name: str) -> None:
    try:
        shown = repr(decode(PDUS[name]))
    except BadPdu as bad:
        shown = f"{bad!r} {bad}"
    assert not any(secret in shown for secret in (PHONE, SHORT_CODE, "Hello", "flash", "'hi'", "secret", "stat:"))
