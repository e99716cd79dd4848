"""A client that keeps eight digits of an id and converts it to decimal, against a real gateway that dies in between."""

from __future__ import annotations

import re

from tests.end_to_end.in_reactor import in_reactor
from tests.end_to_end.stage import Stage

PEOPLE = [f"55119720000{n:02}" for n in range(20)]


async def submit_some(stage: Stage, numbers: list[str]) -> list[str]:
    """The ids of their answers, once each has its receipt under the decimal value."""
    biller = await stage.bind()
    answers = [await biller.submit(number, "Sua fatura vence amanha.") for number in numbers]
    ids = [answer.message_id for answer in answers]
    assert [answer.status for answer in answers] == [0] * len(numbers)
    told = [str(int(one, 16)) for one in ids]
    await stage.until(lambda: len(biller.receipts) == len(numbers), "every receipt arrives")
    assert sorted(receipt.message_id for receipt in biller.receipts) == sorted(told)
    assert {receipt.stat for receipt in biller.receipts} == {"DELIVRD"}
    return ids


@in_reactor
async def test_ids_of_eight_digits_go_the_whole_way_and_never_come_again(stage: Stage) -> None:
    stage.settings["smpp_server"]["accounts"][0]["quirks"] = ["hex_then_decimal"]
    await stage.start()
    before = await submit_some(stage, PEOPLE[:10])
    assert all(re.fullmatch(r"(?=.*[A-F])[0-9A-F]{8}", one) for one in before)
    for written in (before[0], before[0].lower(), str(int(before[0], 16))):
        assert (await stage.message(written))["id"] == before[0]
    stage.gateway.kill()
    stage.gateway.kill_store()
    await stage.start()
    after = await submit_some(stage, PEOPLE[10:])
    assert len({*before, *after}) == 20
    assert (await stage.message(str(int(before[0], 16))))["state"] == "delivered"
