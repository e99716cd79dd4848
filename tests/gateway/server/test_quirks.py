"""What old clients ask for, as they see it: one switch after the other, on the wire."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from gateway.messages.states import State
from gateway.server import translate
from gateway.server.dialect import Dialect, deliver, dialect_of, kept_id, read
from gateway.smpp.constants import Tag
from gateway.smpp.fields import SmeAddress
from gateway.smpp.pdu import (
    BindTransceiver,
    CancelSm,
    DataSm,
    DataSmResp,
    DeliverSm,
    QuerySm,
    QuerySmResp,
    ReplaceSm,
    SubmitMulti,
    SubmitSm,
    tlv,
)
from tests.gateway.server.house import NUMBER, START, House, account, mo, receipt, server_settings, submit

PAYLOAD = int(Tag.MESSAGE_PAYLOAD)


def house_of(*quirks: str, **settings: Any) -> House:
    return House(account(quirks=quirks, **settings), automatic=True)


@pytest.fixture
def utc() -> Iterator[None]:
    """This machine stands in Greenwich."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


def test_an_account_without_quirks_has_no_dialect() -> None:
    assert dialect_of(account()) is None
    spoken = dialect_of(account(quirks=["smpp33"]))
    assert spoken is not None and spoken.no_tlvs and spoken.ids == "hex" and spoken.date is None


# nul_terminated_text


@pytest.mark.parametrize(
    ("data_coding", "sent", "kept"),
    [
        (0, b"ola\0", b"ola"),
        (0, b"ola", b"ola"),
        (0, b"ola\0\0", b"ola\0"),  # an @ of GSM 03.38, and the NUL that ends it
        (3, b"a\xe7\xe3o\0", b"a\xe7\xe3o"),
        (8, "ol\u0100".encode("utf-16-be"), "ol\u0100".encode("utf-16-be")),
        (8, "ol\u0100".encode("utf-16-be") + b"\0\0", "ol\u0100".encode("utf-16-be")),
        (8, "ola".encode("utf-16-be") + b"\0", "ola".encode("utf-16-be")),
        (4, b"\x01\0", b"\x01\0"),
        (0xF5, b"\x01\0", b"\x01\0"),
    ],
)
@pytest.mark.parametrize("carrier", ["short_message", "message_payload", "data_sm", "submit_multi"])
def test_the_nul_that_ends_a_text_is_taken_off(carrier: str, data_coding: int, sent: bytes, kept: bytes) -> None:
    house = house_of("nul_terminated_text")
    esme = house.bind()
    pdus = {
        "short_message": submit(text=sent, data_coding=data_coding),
        "message_payload": submit(text=b"", data_coding=data_coding, tlvs=((PAYLOAD, sent),)),
        "data_sm": DataSm(destination_addr=NUMBER, data_coding=data_coding, tlvs=((PAYLOAD, sent),)),
        "submit_multi": SubmitMulti(
            dest_addresses=(SmeAddress(destination_addr=NUMBER),), data_coding=data_coding, short_message=sent
        ),
    }
    esme.send(pdus[carrier])
    messages = house.intake.submitted or house.intake.together[0][0]
    assert [message.user_data for message in messages] == [kept]


def test_a_text_of_nothing_but_its_nul_is_empty() -> None:
    esme = house_of("nul_terminated_text").bind()
    esme.submit(text=b"\0")
    assert esme.statuses() == [0x01]


def test_the_nul_of_a_replacement_is_taken_off() -> None:
    house = house_of("nul_terminated_text")
    esme = house.bind()
    esme.send(ReplaceSm(message_id="7", short_message=b"novo\0"), ReplaceSm(message_id="7", short_message=b"\0n\0\0"))
    assert [asked[-1] for asked in house.intake.asked] == [b"novo", b"\0n"]


def test_without_the_switch_a_nul_is_kept() -> None:
    house = house_of("receipt_seconds")
    house.bind().submit(text=b"ola\0")
    assert house.intake.submitted[0].user_data == b"ola\0"


# no_tlvs


def test_who_must_get_no_tlvs_gets_none_whatever_it_binds_with() -> None:
    house = house_of("no_tlvs")
    esme = house.connect()
    esme.send(BindTransceiver(system_id="billing", password="secret", interface_version=0x34))
    assert esme.only().tlvs == ()
    assert house.deliver(receipt(), lambda status: None)
    (delivered,) = esme.take()
    assert delivered.tlvs == () and delivered.short_message.startswith(b"id:17 ")  # type: ignore[attr-defined]


# ids


@pytest.mark.parametrize(
    ("ids", "written", "kept"),
    [
        ("hex", "0000A1B2", "0000A1B2"),
        ("hex", "0000a1b2", "0000A1B2"),
        ("hex", "A1B2", "0000A1B2"),
        ("hex", "41394", "0000A1B2"),
        ("hex", "0000041394", "0000A1B2"),
        ("hex", "123456789ABC", "123456789ABC"),
        ("hex", "0tq3k1000100000001", "0tq3k1000100000001"),  # from before the account had short ids
        ("decimal", "41394", "41394"),
        ("decimal", "0000041394", "41394"),
        ("decimal", "0tq3k1000100000001", "0tq3k1000100000001"),
        ("hex", "", ""),
        ("decimal", "", ""),
        ("decimal", "0", "0"),  # never the empty id, which would cancel everything
        ("decimal", "000", "000"),
        ("", "00A1b2", "00A1b2"),
    ],
)
def test_a_message_is_found_by_the_id_as_its_client_writes_it(ids: str, written: str, kept: str) -> None:
    assert kept_id(written, Dialect(ids=ids)) == kept


def test_query_cancel_and_replace_ask_for_the_id_that_is_kept() -> None:
    house = house_of("hex_then_decimal")
    esme = house.bind()
    esme.send(
        QuerySm(message_id="a1b2", source_addr="28940"),
        CancelSm(message_id="41394", source_addr="28940"),
        ReplaceSm(message_id="0000a1b2", source_addr="28940", short_message=b"novo"),
        CancelSm(source_addr="28940", destination_addr=NUMBER),
    )
    assert [asked[:3] for asked in house.intake.asked] == [
        ("query", "billing", "0000A1B2"),
        ("cancel", "billing", "0000A1B2"),
        ("replace", "billing", "0000A1B2"),
        ("cancel", "billing", ""),
    ]
    answer = esme.take()[0]
    assert isinstance(answer, QuerySmResp) and answer.message_id == "a1b2", "as it was asked"


def test_the_id_of_a_receipt_is_the_decimal_value_of_the_one_that_was_answered() -> None:
    house = house_of("hex_then_decimal")
    esme = house.bind()
    house.deliver(receipt("0A00B1FF"), lambda status: None)
    (delivered,) = esme.take()
    assert delivered.short_message.startswith(b"id:167817727 sub:001 ")  # type: ignore[attr-defined]
    assert tlv(delivered, Tag.RECEIPTED_MESSAGE_ID) == b"167817727\0"
    plain = deliver(receipt("0tq3k1000100000001"), 0x34, Dialect(ids="hex", decimal_receipt_ids=True))
    assert tlv(plain, Tag.RECEIPTED_MESSAGE_ID) == b"0tq3k1000100000001\0"


# dates


@pytest.mark.parametrize(
    ("settings", "dates"),
    [
        ({}, (b"2609211413", b"2609211514")),
        ({"quirks": ("receipt_seconds",)}, (b"260921141320", b"260921151421")),
        ({"time_zone": "America/Sao_Paulo"}, (b"2609211113", b"2609211214")),
        ({"time_zone": "America/Sao_Paulo", "quirks": ("receipt_seconds",)}, (b"260921111320", b"260921121421")),
        ({"time_zone": "UTC"}, (b"2609211413", b"2609211514")),
    ],
)
def test_the_dates_of_a_receipt_are_as_the_account_wants_them(
    utc: None, settings: dict[str, Any], dates: tuple[bytes, bytes]
) -> None:
    house = House(account(**settings))
    esme = house.bind()
    house.deliver(receipt(submitted_at=START - 0.4 + 1, done_at=START + 3661.9), lambda status: None)
    (delivered,) = esme.take()
    assert isinstance(delivered, DeliverSm)
    assert delivered.short_message == (
        b"id:17 sub:001 dlvrd:001 submit date:%s done date:%s stat:DELIVRD err:000 text:" % dates
    )


def test_times_without_a_zone_are_read_in_the_accounts(utc: None) -> None:
    house = House(account(time_zone="America/Sao_Paulo"), account("other"))
    for name in ("billing", "other"):
        house.bind(system_id=name).submit(schedule_delivery_time="260921150000", validity_period="260921180000")
    local, ours = house.intake.submitted
    assert ours.schedule_at == START + 2800 and ours.expires_at == START + 2800 + 3 * 3600
    assert local.schedule_at - ours.schedule_at == local.expires_at - ours.expires_at == 3 * 3600


def test_a_replacement_is_read_in_the_accounts_zone_too(utc: None) -> None:
    house = House(account(time_zone="America/Sao_Paulo"))
    house.bind().send(ReplaceSm(message_id="7", validity_period="260921150000", short_message=b"novo"))
    assert house.intake.asked[0][5] == START + 2800 + 3 * 3600


# receipt_per_message


def part(number: int, asked: int, way: str) -> SubmitSm:
    if way == "sar":
        tlvs = ((0x020C, b"\0\7"), (0x020E, b"\3"), (0x020F, bytes((number,))))
        return submit(text=b"x", registered_delivery=asked, tlvs=tlvs)
    header = bytes((5, 0, 3, 7, 3, number)) if way == "udh8" else bytes((6, 8, 4, 0, 7, 3, number))
    return submit(text=header + b"x", registered_delivery=asked, esm_class=0x40)


@pytest.mark.parametrize("way", ["udh8", "udh16", "sar"])
def test_a_text_in_parts_has_one_receipt_where_that_is_wanted(way: str) -> None:
    house = house_of("receipt_per_message")
    esme = house.bind()
    esme.send(*(part(number, 0x15, way) for number in (2, 1, 3)), submit(registered_delivery=1))
    assert [message.registered_delivery for message in house.intake.submitted] == [0x04, 0x15, 0x04, 1]


def test_a_submit_that_asked_for_nothing_is_left_alone() -> None:
    pdu = part(2, 0, "udh8")
    assert read(pdu, Dialect(receipt_per_message=True)) is pdu


# already_bound


@pytest.mark.parametrize(("quirks", "status"), [((), 0x0D), (("already_bound",), 0x05)])
def test_past_max_binds_the_status_is_the_one_that_is_expected(quirks: tuple[str, ...], status: int) -> None:
    house = house_of(*quirks, max_binds=1)
    house.bind()
    assert house.connect().bind() == status
    assert house.connect().bind(password="wrong") == 0x0E, "every other refusal is as ever"


# data_sm


def test_receipts_and_texts_come_as_data_sm_and_its_answer_counts() -> None:
    house = house_of("data_sm")
    esme = house.bind()
    answers: list[int | None] = []
    house.deliver(receipt(), answers.append)
    house.deliver(mo("ok€".encode("utf-16-be"), data_coding=8, esm_class=0x40), answers.append)
    told, text = esme.take()
    assert isinstance(told, DataSm) and isinstance(text, DataSm)
    assert (told.esm_class, told.source_addr, told.destination_addr) == (4, NUMBER, "28940")
    plain = translate.deliver_sm(receipt(), 0x34)
    assert tlv(told, PAYLOAD) == plain.short_message and told.tlvs[1:] == plain.tlvs
    assert (text.esm_class, text.data_coding, tlv(text, PAYLOAD)) == (0x40, 8, "ok€".encode("utf-16-be"))
    esme.send(DataSmResp(told.sequence_number), DataSmResp(text.sequence_number, 0x64))
    assert answers == [0, 0x64]


def test_a_long_text_is_in_the_payload_once() -> None:
    sent = deliver(mo(b"x" * 300), 0x34, Dialect(data_sm=True))
    assert isinstance(sent, DataSm) and sent.tlvs == ((PAYLOAD, b"x" * 300),)


def test_a_peer_that_binds_with_an_older_version_gets_deliver_sm_all_the_same() -> None:
    house = house_of("data_sm")
    esme = house.bind(version=0x33)
    house.deliver(receipt(), lambda status: None)
    (told,) = esme.take()
    assert isinstance(told, DeliverSm)


# Changes


def test_a_new_dialect_holds_for_binds_that_are_open() -> None:
    house = house_of()
    esme = house.bind()
    house.server.reload(server_settings(account(quirks=("data_sm", "nul_terminated_text"))), "BR")
    house.deliver(receipt(state=State.EXPIRED), lambda status: None)
    assert isinstance(esme.only(), DataSm)
    esme.submit(text=b"ola\0")
    assert house.intake.submitted[0].user_data == b"ola"
