"""Long texts in parts: one text on WhatsApp, octet for octet the same parts on SMS."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from gateway.smpp.segments import Part, split
from tests.end_to_end.in_reactor import in_reactor
from tests.end_to_end.stage import Stage
from tools.scripts import OperatorScript

LONG = (
    "Prezada Ana, nao ha debitos em atraso na sua instalacao. A proxima fatura, de R$ 184,90, vence em 10/12. "
    "Atencao: a leitura do relogio sera as 9h de sexta-feira, [A] ou {B}, total 10 €. Obrigado pela atencao, e ate la! "
    "Em caso de duvida ligue para a central de atendimento, todos os dias, das 8h as 20h. Este e o fim do aviso. "
)
LONG_UCS2 = (
    "Prezado João, não há débitos em atraso na sua instalação. 😀 A próxima fatura, de R$ 184,90, vence em 10/12. "
    "Atenção: a leitura do relógio será às 9h de sexta-feira. ⚡ Obrigado!"
)
numbers = itertools.count(11977001000)


def number() -> str:
    return f"55{next(numbers)}"


async def ids_of(answers: list[Any]) -> list[str]:
    """The ids of submits that were all taken."""
    got = [await answer for answer in answers]
    assert [answer.status for answer in got] == [0] * len(got)
    return [answer.message_id for answer in got]


@pytest.mark.parametrize("how", ["udh8", "udh16", "sar"])
@pytest.mark.parametrize("text", [LONG, LONG_UCS2], ids=["gsm7", "ucs2"])
@in_reactor
async def test_parts_in_any_order_reach_whatsapp_once_as_one_text(running: Stage, how: str, text: str) -> None:
    to = number()
    running.provider.people.add(to)
    biller = await running.bind()
    ids = await ids_of(biller.submit_parts(to, text, how, order=lambda parts: [parts[-1], parts[0], *parts[1:-1]]))
    assert len(ids) == 3 == len(set(ids))
    await running.until(lambda: len(biller.receipts) == 3, "a receipt for every part")
    assert {r.message_id: (r.stat, r.channel) for r in biller.receipts} == dict.fromkeys(ids, ("DELIVRD", "zap"))
    assert [sent.text for sent in running.provider.sends if sent.person == to] == [text]
    assert not [submit for submit in running.operator.submits if submit.dest == to]
    biller.leave()


@in_reactor
async def test_a_part_that_came_twice_does_not_double_the_text(running: Stage) -> None:
    to = number()
    running.provider.people.add(to)
    biller = await running.bind()
    ids = await ids_of(biller.submit_parts(to, LONG, order=lambda parts: [parts[0], parts[0], *parts[1:]]))
    assert len(set(ids)) == 4
    await running.until(lambda: len(biller.receipts) == 4, "a receipt for every submit")
    assert [sent.text for sent in running.provider.sends if sent.person == to] == [LONG]
    biller.leave()


@in_reactor
async def test_a_set_with_a_missing_part_goes_as_plain_sms_parts_after_the_parts_timeout(running: Stage) -> None:
    to = number()
    running.provider.people.add(to)
    biller = await running.bind()
    given: list[Part] = []

    def without_the_second(parts: list[Part]) -> list[Part]:
        given.extend([parts[2], parts[0]])
        return given

    began = running.reactor.seconds()
    ids = await ids_of(biller.submit_parts(to, LONG, order=without_the_second))
    await running.until(lambda: len(biller.receipts) == 2, "a receipt for every part")
    assert {r.message_id: (r.stat, r.channel) for r in biller.receipts} == dict.fromkeys(ids, ("DELIVRD", "operator"))
    submits = [submit for submit in running.operator.submits if submit.dest == to]
    assert [submit.user_data for submit in submits] == [given[1].short_message, given[0].short_message]
    assert 0.9 <= submits[0].at - began <= 3.0
    assert not [sent for sent in running.provider.sends if sent.person == to]
    biller.leave()


@pytest.mark.parametrize("how", ["udh8", "udh16"])
@pytest.mark.parametrize("text", [LONG, LONG_UCS2], ids=["gsm7", "ucs2"])
@in_reactor
async def test_parts_to_somebody_without_an_account_leave_octet_for_octet(running: Stage, how: str, text: str) -> None:
    to = number()
    biller = await running.bind()
    given: list[Part] = []

    def as_they_are(parts: list[Part]) -> list[Part]:
        given.extend(parts)
        return parts

    ids = await ids_of(biller.submit_parts(to, text, how, order=as_they_are))
    await running.until(lambda: len(biller.receipts) == 3, "a receipt for every part")
    assert {r.message_id: (r.stat, r.channel) for r in biller.receipts} == dict.fromkeys(ids, ("DELIVRD", "operator"))
    submits = [submit for submit in running.operator.submits if submit.dest == to]
    assert [submit.user_data for submit in submits] == [part.short_message for part in given]
    assert {submit.esm_class & 0x40 for submit in submits} == {0x40}
    assert "".join(submit.text for submit in submits) == text
    biller.leave()


@in_reactor
async def test_a_part_that_the_operator_refuses_has_a_result_of_its_own(running: Stage) -> None:
    to = number()
    running.operator.scripts.set(to, OperatorScript(status=0x0B, refusals=1))
    biller = await running.bind()
    ids = await ids_of(biller.submit_parts(to, LONG))
    await running.until(lambda: len(biller.receipts) == 3, "a receipt for every part")
    assert {r.message_id: r.stat for r in biller.receipts} == dict(
        zip(ids, ("REJECTD", "DELIVRD", "DELIVRD"), strict=True)
    )
    biller.leave()


def test_the_texts_of_these_tests_are_three_parts_long() -> None:
    from gateway.smpp import charset

    for text in (LONG, LONG_UCS2):
        for how in ("udh8", "udh16", "sar"):
            data_coding, octets = charset.choose(text)
            assert len(split(octets, data_coding, how, 1)) == 3
