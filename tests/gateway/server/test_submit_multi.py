"""submit_multi: one text to many, each destination judged alone (SMPP 3.4, 4.5)."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.smpp.pdu import DistributionList, SmeAddress, SubmitMulti, SubmitMultiResp, UnsuccessSme
from tests.gateway.server.house import NUMBER, Esme, House, account

OTHER = "5521987654321"
ONE, TWO = SmeAddress(1, 1, NUMBER), SmeAddress(1, 1, OTHER)
UNREADABLE, LIST = SmeAddress(5, 0, "abc"), DistributionList("clients")
REJECTED = "pombo_rejected_total"


def multi(*to: SmeAddress | DistributionList, text: bytes = b"hello", **fields: Any) -> SubmitMulti:
    return SubmitMulti(**{"source_addr": "28940", "dest_addresses": to, "short_message": text, **fields})


def bound(**settings: Any) -> tuple[House, Esme]:
    house = House(account(**settings))
    return house, house.bind()


def test_every_destination_becomes_a_message_and_the_answer_has_one_id() -> None:
    house, esme = bound()
    esme.send(multi(ONE, TWO, registered_delivery=1, service_type="CMT", priority_flag=2))
    ((messages, answer),) = house.intake.together
    assert [
        (m.msisdn, m.dest, m.user_data, m.registered_delivery, m.service_type, m.priority_flag) for m in messages
    ] == [
        (NUMBER, NUMBER, b"hello", 1, "CMT", 2),
        (OTHER, OTHER, b"hello", 1, "CMT", 2),
    ]
    assert esme.got == [], "answered when all are kept"
    answer("7", [0, 0])
    assert esme.only() == SubmitMultiResp(2, message_id="7")


def test_destinations_that_fail_are_listed_and_the_others_go() -> None:
    house, esme = bound()
    esme.send(multi(UNREADABLE, ONE, LIST, TWO))
    ((messages, answer),) = house.intake.together
    assert [m.msisdn for m in messages] == [NUMBER, OTHER]
    answer("7", [0, 0x0B])
    assert esme.only() == SubmitMultiResp(
        2,
        message_id="7",
        unsuccess_smes=(
            UnsuccessSme(5, 0, "abc", 0x0B),
            UnsuccessSme(0, 0, "clients", 0x34),
            UnsuccessSme(1, 1, OTHER, 0x0B),
        ),
    )
    assert house.metric(REJECTED, account="billing", status="ESME_RINVDSTADR") == 2


def test_when_all_fail_the_list_comes_with_an_error() -> None:
    house, esme = bound()
    esme.send(multi(UNREADABLE, LIST))
    assert esme.only() == SubmitMultiResp(
        2, 0x45, unsuccess_smes=(UnsuccessSme(5, 0, "abc", 0x0B), UnsuccessSme(0, 0, "clients", 0x34))
    )
    esme.send(multi(ONE))
    house.intake.together.pop()[1]("", [0x0B])
    assert esme.only() == SubmitMultiResp(3, 0x45, unsuccess_smes=(UnsuccessSme(1, 1, NUMBER, 0x0B),))


def test_what_a_response_cannot_repeat_is_replaced_in_it() -> None:
    _, esme = bound()
    body = b"\0\0\x0128940\0\1\1\1\0a\x07b\0" + bytes(9) + b"\1x"
    esme.raw((16 + len(body)).to_bytes(4, "big") + bytes.fromhex("000000210000000000000009") + body)
    assert esme.only() == SubmitMultiResp(9, 0x45, unsuccess_smes=(UnsuccessSme(1, 0, "a?b", 0x0B),))


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"text": b""}, 0x01),
        ({"sm_default_msg_id": 1}, 0x63),
        ({"validity_period": "230229020000000+"}, 0x62),
        ({"schedule_delivery_time": "xx"}, 0x61),
        ({"source_addr": "666"}, 0x0A),
    ],
)
def test_what_is_wrong_with_the_text_or_the_times_refuses_the_whole(fields: dict[str, Any], status: int) -> None:
    house, esme = bound(sources=("28940",))
    esme.send(multi(ONE, UNREADABLE, **fields))
    assert esme.only() == SubmitMultiResp(2, status)
    assert house.intake.together == []


def test_the_rate_counts_segments_and_destinations() -> None:
    house, esme = bound(throughput=10.0)
    esme.send(multi(ONE, TWO, text=b"x" * 200), multi(*[ONE] * 4, text=b"x" * 200), multi(ONE, TWO, UNREADABLE))
    assert [len(messages) for messages, _ in house.intake.together] == [2, 2]
    assert esme.only() == SubmitMultiResp(3, 0x58)


def test_an_account_that_wants_delay_is_served_later() -> None:
    house, esme = bound(throughput=10.0, over_rate="delay")
    esme.send(multi(*[ONE] * 8), multi(*[TWO] * 8))
    assert len(house.intake.together) == 1
    house.clock.advance(0.7)
    assert len(house.intake.together) == 2


def test_a_full_store_refuses_the_whole() -> None:
    house, esme = bound()
    esme.send(multi(ONE, UNREADABLE))
    house.intake.together[0][1]("", [0x14])
    assert esme.only() == SubmitMultiResp(2, 0x14)


def test_parts_have_a_set_per_destination() -> None:
    house, esme = bound()
    esme.send(multi(ONE, TWO, esm_class=0x40, text=bytes((5, 0, 3, 7, 2, 1)) + b"first"))
    ((messages, _),) = house.intake.together
    assert [m.part and (m.part.key, m.part.total, m.part.number) for m in messages] == [
        (f"billing|28940|{NUMBER}|udh8|7|2", 2, 1),
        (f"billing|28940|{OTHER}|udh8|7|2", 2, 1),
    ]
