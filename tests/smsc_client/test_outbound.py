"""A message as submit_sm: addresses, user data, validity."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.messages.message import Message, Part
from gateway.smpp.pdu import SubmitSm, encode
from smsc_client.outbound import Outbound
from smsc_client.references import References
from tests.smsc_client.stage import message, settings


def outbound(**over: Any) -> Outbound:
    return Outbound(settings(**over), References(lambda: 0.0))


def pdu_of(one: Message, now: float = 0.0, **over: Any) -> SubmitSm:
    built = outbound(**over).submit_sm(one, now)
    assert isinstance(built, SubmitSm)
    return built


@pytest.mark.parametrize(
    ("over", "expected"),
    [
        ({"source": "28940"}, ("28940", 0, 1)),
        ({"source": "28940", "source_ton": 3, "source_npi": 0}, ("28940", 3, 0)),
        ({"source": "LOJA"}, ("LOJA", 5, 0)),
        ({"source": "LOJA", "source_ton": 0, "source_npi": 0}, ("LOJA", 0, 0)),
        ({"source": None}, ("POMBO", 5, 0)),
        ({"source": None, "source_ton": 1}, ("POMBO", 1, 0)),
    ],
)
def test_the_source_is_the_channels_or_else_as_submitted(over: dict[str, Any], expected: tuple[str, int, int]) -> None:
    pdu = pdu_of(message(1), **over)
    assert (pdu.source_addr, pdu.source_addr_ton, pdu.source_addr_npi) == expected


def test_the_destination_is_the_number_with_the_channels_ton_and_npi() -> None:
    pdu = pdu_of(message(1, msisdn="5511987654321"), dest_ton=2, dest_npi=8)
    assert (pdu.destination_addr, pdu.dest_addr_ton, pdu.dest_addr_npi) == ("5511987654321", 2, 8)


@pytest.mark.parametrize("asked", [0, 1, 2, 3, 0x11])
def test_a_receipt_is_always_asked_for(asked: int) -> None:
    assert pdu_of(message(1, registered_delivery=asked)).registered_delivery == 1


@pytest.mark.parametrize(
    ("left", "expected"),
    [
        (86_400.0, "000001000000000R"),
        (60.4, "000000000100000R"),
        (0.2, "000000000001000R"),
        (3723.0, "000000010203000R"),
    ],
)
def test_the_validity_sent_is_what_is_left_of_it(left: float, expected: str) -> None:
    assert pdu_of(message(1, expires_at=1000.0 + left), now=1000.0).validity_period == expected


def test_everything_else_goes_as_it_came() -> None:
    one = message(
        1, esm_class=0x43, protocol_id=0x41, priority_flag=3, service_type="CMT", data_coding=4,
        user_data=b"\x05\x00\x03\x07\x02\x01\x00\xff\x1b", tlvs=((0x0204, b"\x00\x07"), (0x1400, b"x")),
    )  # fmt: skip
    pdu = pdu_of(one)
    assert (pdu.esm_class, pdu.protocol_id, pdu.priority_flag, pdu.service_type, pdu.data_coding) == (
        0x43, 0x41, 3, "CMT", 4,
    )  # fmt: skip
    assert (pdu.short_message, pdu.tlvs) == (one.user_data, one.tlvs)
    assert pdu.schedule_delivery_time == ""


@pytest.mark.parametrize(
    ("pass_tlvs", "expected"),
    [
        (None, [0x0204, 0x1400, 0x1403, 0x4001]),
        ((), [0x0204, 0x4001]),
        ((0x1403,), [0x0204, 0x1403, 0x4001]),
        ((0x1400, 0x1403, 0x3FFF), [0x0204, 0x1400, 0x1403, 0x4001]),
    ],
)
@pytest.mark.parametrize(
    "how",
    [
        {},
        {"user_data": b"\x05\x00\x03\x07\x02\x01hi", "esm_class": 0x40, "part": Part("set", 2, 1)},
        {"user_data": b"hi", "in_payload": True},
        {"user_data": b"a" * 400, "in_payload": True, "segments": 3},
    ],
    ids=["plain", "part", "payload", "split"],
)
def test_of_vendor_tlvs_only_the_listed_ones_leave(
    pass_tlvs: tuple[int, ...] | None, expected: list[int], how: dict[str, Any]
) -> None:
    tlvs = ((0x0204, b"\x00\x07"), (0x1400, b"x"), (0x1403, b"72405"), (0x4001, b"y"))
    built = outbound(pass_tlvs=pass_tlvs).submit_sm(message(1, tlvs=tlvs, **how), 0.0)
    for pdu in built if isinstance(built, list) else [built]:
        assert [tag for tag, _ in pdu.tlvs] == expected


@pytest.mark.parametrize(
    ("transliterate", "data_coding", "text"),
    [(True, 0, b"Acao ate amanha"), (False, 8, "Ação até amanhã".encode("utf-16-be"))],
)
def test_a_transliterating_channel_saves_ucs2_and_another_leaves_it(
    transliterate: bool, data_coding: int, text: bytes
) -> None:
    one = message(1, data_coding=8, user_data="Ação até amanhã".encode("utf-16-be"))
    pdu = pdu_of(one, transliterate=transliterate)
    assert (pdu.data_coding, pdu.short_message) == (data_coding, text)


@given(user_data=st.binary(max_size=140), data_coding=st.integers(1, 255))
def test_coded_user_data_leaves_octet_for_octet(user_data: bytes, data_coding: int) -> None:
    one = message(1, user_data=user_data, data_coding=data_coding, alphabet="latin1")
    assert pdu_of(one).short_message == user_data


def test_another_default_alphabet_is_reencoded() -> None:
    one = message(1, user_data="Olá @".encode("latin-1"), alphabet="latin1")
    pdu = pdu_of(one)
    assert pdu.data_coding == 8
    assert pdu.short_message.decode("utf-16-be") == "Olá @"


@pytest.mark.parametrize(("how", "pdus"), [("udh", 3), ("sar", 3), ("payload", 1)])
def test_a_long_payload_is_split_as_the_channel_wants(how: str, pdus: int) -> None:
    one = message(1, user_data=b"a" * 400, in_payload=True, segments=3)
    built = outbound(long_messages=how).submit_sm(one, 0.0)
    if pdus == 1:
        assert isinstance(built, SubmitSm)
        assert built.short_message == b"" and built.tlvs == ((0x0424, b"a" * 400),)
        return
    assert isinstance(built, list)
    texts = [part.short_message[6:] if how == "udh" else part.short_message for part in built]
    assert b"".join(texts) == b"a" * 400
    assert {part.registered_delivery for part in built} == {1}


def part_of(key: str, number: int, ref: int = 7) -> Message:
    user_data = bytes((5, 0, 3, ref, 2, number)) + b"text"
    return message(1, esm_class=0x40, user_data=user_data, part=Part(key, 2, number))


def test_parts_keep_their_reference_unless_another_set_has_it_at_that_number() -> None:
    out = outbound()
    first = [out.submit_sm(part_of("a", n), 0.0) for n in (1, 2)]
    assert [pdu.short_message[3] for pdu in first] == [7, 7]
    other = [out.submit_sm(part_of("b", n), 1.0) for n in (1, 2)]
    assert other[0].short_message[3] == other[1].short_message[3] != 7
    assert [pdu.short_message[:3] + pdu.short_message[4:] for pdu in other] == [
        b"\x05\x00\x03\x02\x01text", b"\x05\x00\x03\x02\x02text",
    ]  # fmt: skip
    assert out.submit_sm(part_of("a", 2), 2.0).short_message[3] == 7
    assert out.submit_sm(part_of("c", 1), 700.0).short_message[3] == 7


def test_texts_we_split_for_one_number_have_references_of_their_own() -> None:
    out = outbound()
    long = message(1, user_data=b"a" * 400, in_payload=True, segments=3)
    references = [out.submit_sm(long, 0.0)[0].short_message[3] for _ in range(100)]
    assert len(set(references)) == 100


def test_what_is_built_can_be_encoded() -> None:
    assert len(encode(pdu_of(message(1)), 1)) > 40
