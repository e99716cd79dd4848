"""submit_sm and data_sm into messages; receipts and texts into deliver_sm."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.messages.message import Message
from gateway.messages.states import State
from gateway.server import translate
from gateway.server.answers import STATUS, Refusal
from gateway.smpp.constants import Tag
from gateway.smpp.pdu import DataSm, ReplaceSm, tlv
from tests.gateway.server.house import NUMBER, START, account, mo, receipt, submit

DAY = 86_400.0
PAYLOAD = int(Tag.MESSAGE_PAYLOAD)


def read(account_settings: dict[str, Any] | None = None, **fields: Any) -> Message | Refusal:
    return translate.submit_sm(
        submit(**fields), account(**(account_settings or {})), now=START, country="BR", default_validity=DAY
    )


def message(account_settings: dict[str, Any] | None = None, **fields: Any) -> Message:
    found = read(account_settings, **fields)
    assert isinstance(found, Message), found
    return found


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"destination": "abc"}, 0x0B),
        ({"destination": "28940"}, 0x0B),
        ({"text": b""}, 0x01),
        ({"text": b"", "sm_default_msg_id": 3}, 0x63),
        ({"sm_default_msg_id": 3}, 0x63),
        ({"text": b"a", "tlvs": ((PAYLOAD, b"b"),)}, 0xC1),
        ({"text": b"", "tlvs": ((PAYLOAD, b""),)}, 0x01),
        ({"tlvs": ((int(Tag.PAYLOAD_TYPE), b"\x01"),)}, 0xC4),
        ({"tlvs": ((int(Tag.USSD_SERVICE_OP), b"\x02"),)}, 0xC1),
        ({"validity_period": "240229020000"}, 0x62),
        ({"validity_period": "230229020000000+"}, 0x62),
        ({"schedule_delivery_time": "xx"}, 0x61),
        ({"schedule_delivery_time": "000131000000000R"}, 0x61),
        ({"schedule_delivery_time": "000000020000000R", "validity_period": "000000010000000R"}, 0x62),
        ({"source_addr": "a\x07b"}, 0x0A),
    ],
)
def test_a_request_that_cannot_be_taken_names_its_reason(fields: dict[str, Any], status: int) -> None:
    found = read(**fields)
    assert isinstance(found, Refusal) and STATUS[found] == status


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"text": b"a", "tlvs": ((PAYLOAD, b"a"),)}, (b"a", False)),
        ({"text": b"", "tlvs": ((PAYLOAD, b"long" * 100),)}, (b"long" * 100, True)),
        ({"text": b"a", "tlvs": ((PAYLOAD, b""),)}, (b"a", False)),
        ({"text": b"a", "tlvs": ((int(Tag.PAYLOAD_TYPE), b"\x00"),)}, (b"a", False)),
    ],
)
def test_the_text_is_in_one_place_or_twice_the_same(fields: dict[str, Any], expected: tuple[bytes, bool]) -> None:
    found = message(**fields)
    assert (found.user_data, found.in_payload) == expected


@pytest.mark.parametrize(
    ("settings", "source", "expected"),
    [
        ({}, "28940", ("28940", 0, 1)),
        ({}, "anything", ("anything", 0, 1)),
        ({}, "", ("", 0, 1)),
        ({"default_source": "28940"}, "", ("28940", 0, 1)),
        ({"default_source": "POMBO"}, "", ("POMBO", 5, 0)),
        ({"default_source": "28940", "sources": ("28940",)}, "", ("28940", 0, 1)),
        ({"sources": ("28940", "POMBO")}, "POMBO", ("POMBO", 0, 1)),
        ({"sources": ("551140028922",)}, "+551140028922", ("+551140028922", 0, 1)),
        ({"sources": ("28940",)}, "28941", None),
        ({"sources": ("28940",)}, "", None),
    ],
)
def test_the_source_follows_the_account(
    settings: dict[str, Any], source: str, expected: tuple[str, int, int] | None
) -> None:
    found = read(settings, source_addr=source, source_addr_npi=1)
    if expected is None:
        assert found is Refusal.SOURCE_NOT_ALLOWED
    else:
        assert isinstance(found, Message)
        assert (found.source, found.source_ton, found.source_npi) == expected


def test_the_destination_keeps_its_form_beside_the_number() -> None:
    found = message(destination="(11) 8765-4321", dest_addr_ton=2, dest_addr_npi=8)
    assert (found.dest, found.dest_ton, found.dest_npi, found.msisdn) == ("(11) 8765-4321", 2, 8, NUMBER)


@pytest.mark.parametrize(
    ("schedule", "validity", "expected"),
    [
        ("", "", (0.0, DAY)),
        ("", "000000010000000R", (0.0, 3600.0)),
        ("", "000007000000000R", (0.0, DAY)),
        ("", "000000000000000R", (0.0, DAY)),
        ("000000020000000R", "", (7200.0, 7200.0 + DAY)),
        ("000000020000000R", "000000030000000R", (7200.0, 10_800.0)),
        ("200101000000000+", "000000010000000R", (0.0, 3600.0)),
    ],
)
def test_times_are_moments_and_validity_has_a_ceiling(
    schedule: str, validity: str, expected: tuple[float, float]
) -> None:
    found = message(schedule_delivery_time=schedule, validity_period=validity)
    starts, ends = expected
    assert (found.schedule_at, found.expires_at) == (START + starts if starts else 0.0, START + ends)


@pytest.mark.parametrize(
    ("fields", "key", "total", "number"),
    [
        ({"esm_class": 0x40, "text": b"\x05\x00\x03\x07\x03\x02abc"}, f"billing|28940|{NUMBER}|udh8|7|3", 3, 2),
        ({"esm_class": 0x43, "text": b"\x06\x08\x04\x01\x02\x03\x01a"}, f"billing|28940|{NUMBER}|udh16|258|3", 3, 1),
        (
            {"tlvs": ((0x020C, b"\x00\x09"), (0x020E, b"\x02"), (0x020F, b"\x02"))},
            f"billing|28940|{NUMBER}|sar|9|2",
            2,
            2,
        ),
    ],
)
def test_a_part_names_its_set(fields: dict[str, Any], key: str, total: int, number: int) -> None:
    found = message(**fields)
    assert found.part is not None
    assert (found.part.key, found.part.total, found.part.number, found.segments) == (key, total, number, 1)


def test_a_header_in_the_payload_is_read_too() -> None:
    payload = bytes.fromhex("05000302020168656c6c6f")
    found = message(text=b"", esm_class=0x40, tlvs=((PAYLOAD, payload),))
    assert found.part is not None and (found.part.total, found.part.number) == (2, 1)


def test_a_long_payload_counts_its_segments() -> None:
    assert message(text=b"", tlvs=((PAYLOAD, b"x" * 400),)).segments == 3


def test_tlvs_are_passed_on_in_order_but_for_the_text() -> None:
    kept = ((0x0204, b"\x00\x07"), (0x0426, b"\x01"), (0x1403, b"vendor"), (0x0381, b"1"), (0x0381, b"2"))
    found = message(text=b"", tlvs=(kept[0], (PAYLOAD, b"hello"), *kept[1:]))
    assert found.tlvs == kept


def test_fields_are_kept_as_they_came_and_priority_is_clamped() -> None:
    found = message(
        {"default_alphabet": "latin1"},
        service_type="CMT",
        esm_class=3,
        protocol_id=0x41,
        priority_flag=5,
        registered_delivery=0xE1,
        data_coding=0xF0,
    )
    assert (found.service_type, found.esm_class, found.protocol_id, found.priority_flag) == ("CMT", 3, 0x41, 3)
    assert (found.registered_delivery, found.data_coding, found.alphabet) == (0xE1, 0xF0, "latin1")
    assert found.account == "billing" and found.id == ""


def data_sm(*tlvs: tuple[int, bytes], **fields: Any) -> Message | Refusal:
    pdu = DataSm(source_addr="28940", **{"destination_addr": NUMBER, "tlvs": tlvs, **fields})
    return translate.data_sm(pdu, account(), now=START, country="BR", default_validity=DAY)


def test_data_sm_is_a_submit_with_its_text_in_the_payload() -> None:
    found = data_sm((PAYLOAD, b"hello"), (int(Tag.QOS_TIME_TO_LIVE), (600).to_bytes(4, "big")), registered_delivery=1)
    assert isinstance(found, Message)
    assert (found.user_data, found.in_payload, found.expires_at, found.tlvs) == (b"hello", True, START + 600, ())
    assert found.registered_delivery == 1


@pytest.mark.parametrize(
    ("tlvs", "fields", "status"),
    [
        ((), {}, 0xC3),
        (((PAYLOAD, b""),), {}, 0x01),
        (((PAYLOAD, b"x"),), {"destination_addr": "5511987654321".rjust(21)}, 0x0B),
        (((PAYLOAD, b"x"),), {"source_addr": "s" * 21}, 0x0A),
    ],
)
def test_data_sm_is_refused_for_a_reason(
    tlvs: tuple[tuple[int, bytes], ...], fields: dict[str, Any], status: int
) -> None:
    pdu = DataSm(**{"source_addr": "28940", "destination_addr": NUMBER, "tlvs": tlvs, **fields})
    found = translate.data_sm(pdu, account(), now=START, country="BR", default_validity=DAY)
    assert isinstance(found, Refusal) and STATUS[found] == status


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, (None, None)),
        ({"validity_period": "000000010000000R"}, (None, START + 3600)),
        ({"schedule_delivery_time": "000000010000000R"}, (START + 3600, None)),
        ({"validity_period": "never"}, Refusal.BAD_VALIDITY),
        ({"short_message": b""}, Refusal.EMPTY_TEXT),
        ({"sm_default_msg_id": 1}, Refusal.CANNED_TEXT),
    ],
)
def test_replacement_leaves_alone_what_is_not_given(fields: dict[str, Any], expected: object) -> None:
    pdu = ReplaceSm(**{"message_id": "7", "short_message": b"new", **fields})
    assert translate.replacement(pdu, START, DAY) == expected


STATS = [
    (State.SCHEDULED, "ENROUTE", 1),
    (State.ENROUTE, "ENROUTE", 1),
    (State.DELIVERED, "DELIVRD", 2),
    (State.EXPIRED, "EXPIRED", 3),
    (State.DELETED, "DELETED", 4),
    (State.UNDELIVERABLE, "UNDELIV", 5),
    (State.ACCEPTED, "ACCEPTD", 6),
    (State.UNKNOWN, "UNKNOWN", 7),
    (State.REJECTED, "REJECTD", 8),
]


@pytest.mark.parametrize(("state", "stat", "number"), STATS)
def test_a_receipt_says_its_state_in_text_and_tlv(state: State, stat: str, number: int) -> None:
    pdu = translate.deliver_sm(receipt("17", state=state, err=34), 0x34)
    text = pdu.short_message.decode()
    delivered = state is State.DELIVERED
    assert text.startswith(f"id:17 sub:001 dlvrd:{'001' if delivered else '000'} submit date:")
    assert text.endswith(f" stat:{stat} err:{'000' if delivered else '034'} text:")
    assert tlv(pdu, Tag.MESSAGE_STATE) == bytes((number,))


def test_a_receipt_has_its_own_addresses_class_and_tlvs() -> None:
    pdu = translate.deliver_sm(
        receipt(service_type="CMT", user_message_reference=b"\0\7", tlvs=((0x0423, b"\3\0\1"),)), 0x34
    )
    assert (pdu.source_addr, pdu.source_addr_ton, pdu.source_addr_npi) == (NUMBER, 1, 1)
    assert (pdu.destination_addr, pdu.dest_addr_ton, pdu.dest_addr_npi) == ("28940", 0, 1)
    assert (pdu.esm_class, pdu.data_coding, pdu.registered_delivery, pdu.service_type) == (4, 0, 0, "CMT")
    assert dict(pdu.tlvs) == {
        0x001E: b"17\0",
        0x0427: b"\2",
        0x0204: b"\0\7",
        0x0423: b"\3\0\1",
        0x1401: b"operator",
    }


def test_no_channel_tlv_when_no_channel_decided() -> None:
    assert tlv(translate.deliver_sm(receipt(channel=""), 0x34), 0x1401) is None


def test_an_intermediate_notification_is_marked() -> None:
    assert translate.deliver_sm(receipt(intermediate=True, state=State.ENROUTE), 0x34).esm_class == 0x20


def test_a_peer_before_3_4_gets_no_tlvs() -> None:
    pdu = translate.deliver_sm(receipt(user_message_reference=b"\0\7"), 0x33)
    assert pdu.tlvs == () and b"id:17 " in pdu.short_message


@pytest.mark.parametrize(
    ("octets", "version", "in_message", "in_payload"),
    [(254, 0x34, 254, None), (255, 0x34, 0, 255), (254, 0x33, 254, None), (255, 0x33, 254, None)],
)
def test_a_long_text_goes_as_payload(octets: int, version: int, in_message: int, in_payload: int | None) -> None:
    pdu = translate.deliver_sm(mo(b"x" * octets, data_coding=3), version)
    payload = tlv(pdu, PAYLOAD)
    assert (len(pdu.short_message), payload and len(payload)) == (in_message, in_payload)
    assert (pdu.esm_class, pdu.data_coding, pdu.source_addr) == (0, 3, NUMBER)


OPERATORS_OWN = ((0x1403, b"72405"), (0x0381, b"1"))


def test_a_receipt_carries_the_operators_tlvs_behind_its_own() -> None:
    assert translate.deliver_sm(receipt(tlvs=OPERATORS_OWN), 0x34).tlvs[-3:] == ((0x1401, b"operator"), *OPERATORS_OWN)
    assert translate.deliver_sm(receipt(tlvs=OPERATORS_OWN), 0x33).tlvs == ()


@pytest.mark.parametrize("octets", [10, 300])
def test_a_text_carries_the_operators_tlvs(octets: int) -> None:
    text = mo(b"x" * octets, tlvs=OPERATORS_OWN)
    assert translate.deliver_sm(text, 0x34).tlvs[-2:] == OPERATORS_OWN
    assert translate.deliver_sm(text, 0x33).tlvs == ()
