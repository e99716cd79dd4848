"""Long texts for clients that know no TLVs: in parts, whole or later, and answered as one."""

from __future__ import annotations

import pytest

from gateway.messages.message import Mo
from gateway.server.in_parts import Together, is_long, parts_of
from gateway.smpp.pdu import DeliverSm, DeliverSmResp
from gateway.smpp.segments import RawPart, concat_of, join
from tests.gateway.server.house import House, account, mo, receipt

TEXT = "Bom dia! Não recebi a fatura de março 📄. " * 20


def long_text() -> Mo:
    return mo(TEXT.encode("utf-16-be"), data_coding=8)


def read(pdus: list[DeliverSm]) -> str:
    return join(RawPart(pdu.esm_class, pdu.data_coding, pdu.short_message) for pdu in pdus)


def delivered(house: House, item: Mo) -> list[int | None]:
    answers: list[int | None] = []
    assert house.deliver(item, answers.append)
    return answers


@pytest.mark.parametrize(
    ("text", "long"),
    [(mo(b"x" * 254), False), (mo(b"x" * 255), True), (receipt(), False)],
)
def test_what_fits_short_message_is_not_long(text: object, long: bool) -> None:
    assert is_long(text) is long


def test_the_parts_say_the_whole_in_order() -> None:
    for text, expected in ((long_text(), TEXT), (mo(b"Bom dia! \x1be " * 60), "Bom dia! € " * 60)):
        pdus = parts_of(text, 0x33, 0x1FF)
        places = [concat_of(pdu.esm_class, pdu.short_message) for pdu in pdus]
        assert [(p.ref, p.total, p.number) for p in places if p] == [(0xFF, len(pdus), n + 1) for n in range(len(pdus))]
        assert read(pdus) == expected and max(len(pdu.short_message) for pdu in pdus) <= 160
        assert {(pdu.source_addr, pdu.destination_addr, pdu.tlvs) for pdu in pdus} == {(text.source, text.dest, ())}


@pytest.mark.parametrize(
    ("answers", "expected"),
    [((0, 0, 0), 0), ((0, 0x64, 0), 0x64), ((0x64, None, 0), None), ((None, 0, 0x65), None), ((0,), 0)],
)
def test_the_answers_count_as_one(answers: tuple[int | None, ...], expected: int | None) -> None:
    told: list[int | None] = []
    together = Together(len(answers), told.append)
    for answer in answers:
        assert told == []
        together(answer)
    assert told == [expected]


@pytest.mark.parametrize("how", ["version 3.3", "the quirk"])
def test_a_client_without_tlvs_gets_a_long_text_in_parts(how: str) -> None:
    house = House(account(quirks=("no_tlvs",) if how == "the quirk" else ()))
    esme = house.bind(version=0x33 if how == "version 3.3" else 0x34)
    answers = delivered(house, long_text())
    pdus = [pdu for pdu in esme.take() if isinstance(pdu, DeliverSm)]
    assert len(pdus) > 3 and read(pdus) == TEXT
    esme.send(*(DeliverSmResp(pdu.sequence_number) for pdu in pdus[:-1]))
    assert answers == []
    esme.send(DeliverSmResp(pdus[-1].sequence_number))
    assert answers == [0]
    second = delivered(house, long_text())
    again = [pdu for pdu in esme.take() if isinstance(pdu, DeliverSm)]
    assert again[0].short_message[3] != pdus[0].short_message[3], "another reference"
    esme.lose()
    assert second == [None]


def test_a_text_that_does_not_fit_the_window_now_is_asked_for_later() -> None:
    house = House(account(quirks=("no_tlvs",), window=len(parts_of(long_text(), 0x33, 1))))
    esme = house.bind()
    short = delivered(house, mo(b"oi"))
    answers = delivered(house, long_text())
    assert [pdu.short_message for pdu in esme.take() if isinstance(pdu, DeliverSm)] == [b"oi"]
    assert answers == [0x64] and short == []
    esme.send(DeliverSmResp(1))
    delivered(house, long_text())
    assert read([pdu for pdu in esme.take() if isinstance(pdu, DeliverSm)]) == TEXT


def test_what_the_parts_leave_no_room_for_comes_after_them_and_is_not_lost() -> None:
    """What waits is handed over by the window's count, in which a text in parts is one."""
    count = len(parts_of(long_text(), 0x33, 1))
    house = House(account(quirks=("no_tlvs",), window=count + 1))
    esme = house.bind()
    told: dict[str, list[int | None]] = {name: [] for name in ("text", "1", "2", "3")}
    waiting = [(long_text(), told["text"].append), *((receipt(n), told[n].append) for n in ("1", "2", "3"))]
    house.bound.deliver("billing", iter(waiting))
    got = [pdu for pdu in esme.take() if isinstance(pdu, DeliverSm)]
    assert read(got[:count]) == TEXT and [pdu.short_message[:5] for pdu in got[count:]] == [b"id:1 "]
    assert told == {"text": [], "1": [], "2": [None], "3": [None]}, "again, as soon as there is room"


def test_a_window_that_is_too_small_for_it_has_its_beginning() -> None:
    house = House(account(quirks=("no_tlvs",), window=2))
    esme = house.bind()
    answers = delivered(house, long_text())
    got = [pdu for pdu in esme.take() if isinstance(pdu, DeliverSm)]
    assert len(got) == 2 and TEXT.startswith(read(got))
    esme.send(*(DeliverSmResp(pdu.sequence_number) for pdu in got))
    assert answers == [0]


def test_with_tlvs_it_is_one_payload() -> None:
    house = House()
    esme = house.bind()
    delivered(house, long_text())
    (pdu,) = esme.take()
    assert pdu.tlvs == ((0x0424, TEXT.encode("utf-16-be")),)
