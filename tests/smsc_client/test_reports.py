"""Receipts and texts from the operator: what they are, what they say, and when they are answered."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.messages.outcome import Inbound, Report, Status
from gateway.messages.states import State
from gateway.smpp.pdu import AlertNotification, DataSm, DataSmResp, DeliverSm, DeliverSmResp, decode
from smsc_client.reports import read
from tests.fakes.smsc import Reply
from tests.smsc_client.stage import Stage, message

TEXT = b"id:1001 sub:001 dlvrd:001 submit date:2402292100 done date:2402292100 stat:%s err:%s text:"
ID, STATE, ERROR, PAYLOAD = 0x001E, 0x0427, 0x0423, 0x0424


def receipt(stat: bytes = b"DELIVRD", err: bytes = b"000", **over: Any) -> DeliverSm:
    fields: dict[str, Any] = {
        "source_addr": "5511987654321",
        "destination_addr": "28940",
        "esm_class": 0x04,
        "short_message": TEXT % (stat, err),
        **over,
    }
    return DeliverSm(**fields)


def report(pdu: DeliverSm | DataSm) -> Report:
    news = read(pdu, "operator", 5.0)
    assert isinstance(news, Report)
    return news


def test_a_receipt_speaks_of_the_message_it_names_with_its_addresses_the_right_way_round() -> None:
    assert report(receipt()) == Report(
        "operator", "1001", Status.DELIVERED, State.DELIVERED, "000", "28940", "5511987654321", 5.0
    )


@pytest.mark.parametrize("source", ["+5511987654321", "005511987654321", "55 (11) 98765-4321"])
def test_the_number_of_a_receipt_is_digits(source: str) -> None:
    assert report(receipt(source_addr=source)).dest == "5511987654321"


@pytest.mark.parametrize(
    ("esm_class", "tlvs", "expected"),
    [
        (0x04, (), Report),
        (0x20, (), Report),
        (0x24, (), Report),
        (0x84, (), Report),
        (0x00, ((ID, b"1001"),), Report),
        (0x00, (), Inbound),
        (0x00, ((STATE, b"\x02"),), Inbound),
        (0x40, (), Inbound),
        (0x08, (), Inbound),
        (0x10, (), Inbound),
        (0x80, (), Inbound),
    ],
)
def test_esm_class_and_tlvs_say_what_a_receipt_is_never_the_text(
    esm_class: int, tlvs: tuple[tuple[int, bytes], ...], expected: type
) -> None:
    assert type(read(receipt(esm_class=esm_class, tlvs=tlvs), "operator", 0.0)) is expected


@pytest.mark.parametrize(
    ("stat", "status", "state"),
    [
        (b"DELIVRD", Status.DELIVERED, State.DELIVERED),
        (b"delivered", Status.DELIVERED, State.DELIVERED),
        (b"ENROUTE", Status.SENT, State.ENROUTE),
        (b"BUFFERED", Status.SENT, State.ENROUTE),
        (b"ACCEPTD", Status.SENT, State.ACCEPTED),
        (b"SCHEDLD", Status.SENT, State.SCHEDULED),
        (b"EXPIRED", Status.FAILED, State.EXPIRED),
        (b"DELETED", Status.FAILED, State.DELETED),
        (b"UNDELIV", Status.FAILED, State.UNDELIVERABLE),
        (b"FAILED", Status.FAILED, State.UNDELIVERABLE),
        (b"REJECTD", Status.FAILED, State.REJECTED),
        (b"SKIPPED", Status.FAILED, State.REJECTED),
        (b"UNKNOWN", Status.FAILED, State.UNKNOWN),
        (b"NONSENSE", Status.FAILED, State.UNKNOWN),
    ],
)
def test_the_stat_decides(stat: bytes, status: Status, state: State) -> None:
    news = report(receipt(stat))
    assert (news.status, news.state) == (status, state)


@pytest.mark.parametrize(
    ("text", "tlvs", "expected"),
    [
        (TEXT % (b"DELIVRD", b"000"), ((STATE, b"\x05"),), State.DELIVERED),  # the text wins
        (TEXT % (b"WHATEVER", b"000"), ((STATE, b"\x02"),), State.DELIVERED),
        (b"", ((ID, b"abc\x00"), (STATE, b"\x05")), State.UNDELIVERABLE),
        (b"", ((ID, b"abc\x00"), (STATE, b"\x09")), State.REJECTED),
        (b"", ((ID, b"abc\x00"), (STATE, b"\x63")), State.UNKNOWN),
        (b"", ((ID, b"abc\x00"), (STATE, b"")), State.UNKNOWN),
        (b"", ((ID, b"abc\x00"),), State.UNKNOWN),
    ],
)
def test_message_state_counts_where_the_text_says_nothing(
    text: bytes, tlvs: tuple[tuple[int, bytes], ...], expected: State
) -> None:
    assert report(receipt(short_message=text, tlvs=tlvs)).state is expected


@pytest.mark.parametrize("esm_class", [0x20, 0x24])
def test_an_intermediate_notification_never_ends_a_message(esm_class: int) -> None:
    assert report(receipt(b"UNDELIV", esm_class=esm_class)).status is Status.SENT


@pytest.mark.parametrize(
    ("tlv", "remote_id", "others"),
    [
        (b"1001", "1001", ()),
        (b"1001\x00", "1001", ()),
        (b"1001\x00\x00", "1001", ()),
        (b"", "1001", ()),
        (b"3E9", "3E9", ("1001",)),
        (b"a" * 65 + b"\x00", "a" * 65, ("1001",)),
    ],
)
def test_the_id_is_the_tlvs_and_the_texts_too_where_they_differ(
    tlv: bytes, remote_id: str, others: tuple[str, ...]
) -> None:
    news = report(receipt(tlvs=((ID, tlv),)))
    assert (news.remote_id, news.other_ids) == (remote_id, others)


@pytest.mark.parametrize(
    ("text_err", "tlvs", "expected"),
    [
        (b"045", (), "045"),
        (b"045", ((ERROR, b"\x03\x00\x22"),), "045"),
        (b"", ((ERROR, b"\x03\x00\x22"),), "34"),
        (b"", ((ERROR, b"\x03"),), ""),
        (b"1F", (), "1F"),
    ],
)
def test_the_error_is_the_operators_own_code(
    text_err: bytes, tlvs: tuple[tuple[int, bytes], ...], expected: str
) -> None:
    assert report(receipt(b"UNDELIV", text_err, tlvs=tlvs)).err == expected


def test_receipts_come_in_message_payload_in_data_sm_behind_a_udh_and_in_ucs2_as_well() -> None:
    text = TEXT % (b"DELIVRD", b"000")
    header = b"\x05\x00\x03\x01\x02\x01"
    for pdu in (
        receipt(short_message=b"", tlvs=((PAYLOAD, text),)),
        DataSm(esm_class=0x04, source_addr="5511987654321", destination_addr="28940", tlvs=((PAYLOAD, text),)),
        receipt(esm_class=0x44, short_message=header + text),
        receipt(data_coding=8, short_message=text.decode().encode("utf-16-be")),
    ):
        news = report(pdu)
        assert (news.remote_id, news.status) == ("1001", Status.DELIVERED)


RECORDED = {
    "D01": (
        "0000003d0000000500000000000000070003003238393430000101353531313938373635343332310004000000000000000000001e00066162"
        "63313233"
    ),
    "D02": (
        "000000420000000500000000000000070003003238393430000101353531313938373635343332310004000000000000000000001e00066162"
        "633132330427000102"
    ),
    "D03": (
        "000000370000000500000000000000070003003238393430000101353531313938373635343332310004000000000000000000001e0000"
    ),
}


@pytest.mark.parametrize(("name", "remote_id"), [("D01", "abc123"), ("D02", "abc123"), ("D03", "")])
def test_recorded_receipts_are_read(name: str, remote_id: str) -> None:
    pdu = decode(bytes.fromhex(RECORDED[name]))
    assert isinstance(pdu, DeliverSm)
    assert report(pdu).remote_id == remote_id


@given(
    body=st.binary(max_size=200),
    esm_class=st.integers(0, 255),
    tlvs=st.lists(st.tuples(st.sampled_from([ID, STATE, ERROR, PAYLOAD, 0x1400]), st.binary(max_size=70)), max_size=4),
)
def test_nothing_an_operator_sends_raises(body: bytes, esm_class: int, tlvs: list[tuple[int, bytes]]) -> None:
    read(receipt(short_message=body, esm_class=esm_class, tlvs=tuple(tlvs)), "operator", 0.0)


def test_a_text_keeps_its_octets_and_names_the_person() -> None:
    text = "Olá".encode("utf-16-be")
    news = read(
        DeliverSm(
            source_addr="+55 11 98765-4321", destination_addr="28940", data_coding=8, esm_class=0x40, short_message=text
        ),
        "operator",
        5.0,
    )
    assert news == Inbound("operator", "5511987654321", "28940", user_data=text, data_coding=8, esm_class=0x40, at=5.0)


VENDOR, CARRIER, CALLBACK = 0x1400, 0x1403, 0x0381


@pytest.mark.parametrize(
    ("passes", "expected"),
    [
        ((), ()),
        ((CARRIER,), ((CARRIER, b"72405"),)),
        ((VENDOR, CALLBACK, CARRIER), ((VENDOR, b"x"), (CARRIER, b"72405"), (CALLBACK, b"1"), (CALLBACK, b"2"))),
    ],
)
def test_the_listed_tlvs_of_receipts_and_texts_come_along_in_their_order(
    passes: tuple[int, ...], expected: tuple[tuple[int, bytes], ...]
) -> None:
    tlvs = ((ID, b"1001"), (VENDOR, b"x"), (CARRIER, b"72405"), (CALLBACK, b"1"), (CALLBACK, b"2"), (STATE, b"\x02"))
    assert read(receipt(tlvs=tlvs), "operator", 5.0, frozenset(passes)).tlvs == expected
    assert read(receipt(esm_class=0, tlvs=tlvs[1:]), "operator", 5.0, frozenset(passes)).tlvs == expected


def test_the_operators_own_code_always_comes_along_with_a_receipt() -> None:
    """SMPP 3.4, 5.3.2.31."""
    code = (0x0423, b"\x03\x00\x1b")
    both = (code, (VENDOR, b"x"))
    assert read(receipt(tlvs=both), "operator", 5.0).tlvs == (code,)
    assert read(receipt(tlvs=both), "operator", 5.0, frozenset((VENDOR,))).tlvs == both
    assert read(receipt(esm_class=0, tlvs=(code,)), "operator", 5.0).tlvs == ()


@pytest.mark.parametrize("value", [b"", b"\x1b", b"\x03\x1b", b"\x03\x00\x00\x1b"])
def test_a_code_that_is_none_stays_here_unless_it_was_asked_for(value: bytes) -> None:
    """SMPP 3.4, 5.3.2.31: three octets. An ESME may refuse a receipt for it, over and over."""
    code = (0x0423, value)
    assert read(receipt(tlvs=(code,)), "operator", 5.0).tlvs == ()
    assert read(receipt(tlvs=(code,)), "operator", 5.0, frozenset((0x0423,))).tlvs == (code,)


def test_what_places_a_text_always_comes_along() -> None:
    placing = (
        (0x020C, b"\x00\x07"),
        (0x020E, b"\x02"),
        (0x020F, b"\x01"),
        (0x020A, b"\x00\x01"),
        (0x020B, b"\x00\x02"),
    )
    text = DeliverSm(source_addr="5511987654321", destination_addr="28940", short_message=b"oi", tlvs=placing)
    assert read(text, "operator", 5.0).tlvs == placing
    assert read(receipt(tlvs=placing), "operator", 5.0).tlvs == ()


def test_a_channel_passes_on_what_its_settings_list_and_after_a_change_what_they_list_then() -> None:
    stage = Stage(pass_tlvs=(CARRIER,))
    pdus = (receipt(tlvs=((VENDOR, b"x"), (CARRIER, b"72405"))), DeliverSm(short_message=b"oi", tlvs=((VENDOR, b"x"),)))
    stage.smsc.deliver(*pdus)
    stage.clock.advance(0)
    assert (stage.reports[0].tlvs, stage.texts[0].tlvs) == (((CARRIER, b"72405"),), ())
    assert stage.channel.reconfigure(stage.channel.settings.model_copy(update={"pass_tlvs": (VENDOR,)}))
    stage.smsc.deliver(*pdus)
    stage.clock.advance(0)
    assert (stage.reports[1].tlvs, stage.texts[1].tlvs) == (((VENDOR, b"x"),), ((VENDOR, b"x"),))


def test_reports_of_one_read_go_in_together_and_are_answered_once_they_are_kept() -> None:
    stage = Stage()
    stage.smsc.deliver(receipt(), receipt(b"UNDELIV"), AlertNotification(), DeliverSm(short_message=b"oi"))
    stage.clock.advance(0)
    assert (len(stage.reports), len(stage.texts), len(stage.dones)) == (2, 1, 2)
    assert stage.smsc.answers == []
    stage.dones[0](True)
    stage.clock.advance(0)
    assert [(type(one), one.command_status) for one in stage.smsc.answers] == [(DeliverSmResp, 0)] * 2
    stage.dones[1](False)
    stage.clock.advance(0)
    assert stage.smsc.answers[2].command_status == 0x14


def test_data_sm_is_answered_with_its_own_response() -> None:
    stage = Stage()
    stage.smsc.deliver(DataSm(esm_class=0x04, tlvs=((ID, b"7"),)))
    stage.clock.advance(0)
    stage.dones[0](True)
    stage.clock.advance(0)
    assert [type(one) for one in stage.smsc.answers] == [DataSmResp]


def test_a_report_kept_after_its_link_is_gone_is_answered_nowhere() -> None:
    stage = Stage()
    stage.smsc.deliver(receipt())
    stage.clock.advance(0)
    stage.smsc.drop()
    stage.dones[0](True)
    stage.run(2, step=0.1)
    assert stage.channel.up
    assert stage.smsc.answers == []


def test_receipts_arrive_on_the_receiver_of_a_pair() -> None:
    stage = Stage(bind="transmitter_receiver")
    stage.smsc.deliver(receipt())
    stage.clock.advance(0)
    assert stage.reports[0].remote_id == "1001"


def test_a_receipt_in_the_same_segment_as_its_answer_comes_through() -> None:
    stage = Stage()
    server = stage.smsc.sessions[0]

    def answer_and_report(pdu: Any, now: float) -> Reply:
        server.session.request(receipt(), now)
        return Reply(message_id="1001")

    stage.smsc.script = answer_and_report
    stage.send(message(1))
    assert (stage.reports[0].remote_id, stage.outcomes[0].remote_id) == ("1001", "1001")
