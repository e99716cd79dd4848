"""schedule_delivery_time and validity_period in every form, from the submit_sm to every channel (SMPP 3.4, 7.1.1)."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted

from gateway.messages.message import Message
from gateway.messages.outcome import Accepted, NoAccount, Status, Uncertain
from gateway.messages.states import State
from gateway.server import translate
from gateway.smpp.pdu import DataSm
from gateway.smpp.times import absolute, relative
from gateway.store.valkey import Store
from tests.gateway.delivery.house import PATIENCE_S, SMS_ONLY, USUAL, ZAP_ONLY, House
from tests.gateway.samples import DAY_S
from tests.gateway.server.house import NUMBER, account, submit

HOUR = 3600.0
FORMS = {
    "relative": lambda seconds, now: relative(seconds),
    "absolute UTC": lambda seconds, now: absolute(now + seconds),
    "absolute Brasilia": lambda seconds, now: absolute(now + seconds, -3 * 3600),
    "absolute India": lambda seconds, now: absolute(now + seconds, 19_800),
}
ROUTES = {"whatsapp": ZAP_ONLY, "sms": SMS_ONLY, "whatsapp, then sms": USUAL}


def read(house: House, **fields: Any) -> Message:
    pdu = submit(registered_delivery=1, **fields)
    message = translate.submit_sm(pdu, account(), now=house.now, country="BR", default_validity=DAY_S)
    assert isinstance(message, Message), message
    return message


def sent(house: House) -> list[str]:
    """Who has been given the message."""
    return ["zap"] * len(house.zap.taken) + ["operator"] * len(house.operator.taken)


async def ended_expired(house: House, message_id: str) -> None:
    message = await house.read(message_id)
    assert message.state is State.EXPIRED
    assert [(one.message_id, one.state) for one in await house.receipts()] == [(message_id, State.EXPIRED)]


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("form", FORMS)
@pytest_twisted.ensureDeferred
async def test_a_message_goes_at_its_moment_and_not_before(store: Store, form: str, route: str) -> None:
    house = await House(store, ROUTES[route]).start()
    (message_id,) = await house.submit(read(house, schedule_delivery_time=FORMS[form](HOUR, house.now)))
    assert (await house.read(message_id)).state is State.SCHEDULED
    await house.passes(HOUR - 2)
    assert sent(house) == []
    await house.passes(2)
    assert sent(house) == ["operator" if route == "sms" else "zap"]


@pytest.mark.parametrize("form", FORMS)
@pytest_twisted.ensureDeferred
async def test_both_in_one_message_count_from_their_own_moments(store: Store, form: str) -> None:
    house = await House(store, SMS_ONLY).start()
    house.operator.window = 0
    fields = {
        "schedule_delivery_time": FORMS[form](HOUR, house.now),
        "validity_period": FORMS[form](2 * HOUR, house.now),
    }
    (message_id,) = await house.submit(read(house, **fields))
    await house.passes(2 * HOUR - 2)
    assert (await house.read(message_id)).state is not State.EXPIRED
    await house.passes(2)
    await ended_expired(house, message_id)


@pytest.mark.parametrize("where", ["queue of whatsapp", "queue of sms", "whatsapp without a word", "sms unanswered"])
@pytest.mark.parametrize("form", FORMS)
@pytest_twisted.ensureDeferred
async def test_what_expires_says_so_once_and_goes_nowhere_any_more(store: Store, form: str, where: str) -> None:
    house = await House(store, SMS_ONLY if "sms" in where else USUAL).start()
    if where.startswith("queue"):
        house.zap.window = house.operator.window = 0
    validity = PATIENCE_S / 2
    (message_id,) = await house.submit(read(house, validity_period=FORMS[form](validity, house.now)))
    if where == "whatsapp without a word":
        house.zap.accept("z1")
    elif where == "sms unanswered":
        house.operator.answer(message_id, Uncertain("timeout"))
    before = sent(house)
    await house.passes(validity - 2)
    assert await house.receipts() == []
    await house.passes(2)
    await ended_expired(house, message_id)
    house.zap.window = house.operator.window = 100
    house.hub.capacity_changed("zap")
    house.hub.capacity_changed("operator")
    await house.passes(PATIENCE_S)
    await house.passes(DAY_S)
    assert sent(house) == before, "no fallback, no retry"
    await ended_expired(house, message_id)


@pytest_twisted.ensureDeferred
async def test_validity_ends_while_it_is_scheduled(store: Store) -> None:
    house = await House(store).start()
    (message_id,) = await house.submit(read(house, schedule_delivery_time=relative(HOUR)))
    house.operator.window = house.zap.window = 0
    await house.passes(HOUR + DAY_S)
    await ended_expired(house, message_id)


@pytest_twisted.ensureDeferred
async def test_the_operator_is_told_what_is_left_of_the_validity(store: Store) -> None:
    house = await House(store).start()
    (message_id,) = await house.submit(read(house, validity_period=relative(HOUR)))
    house.zap.answer(message_id, NoAccount("lookup"))
    await house.settle()
    assert house.operator.taken[0].expires_at == pytest.approx(house.now + HOUR)


@pytest_twisted.ensureDeferred
async def test_data_sm_lives_as_long_as_it_says(store: Store) -> None:
    house = await House(store, SMS_ONLY).start()
    house.operator.window = 0
    tlvs = ((0x0424, b"oi"), (0x0017, (90).to_bytes(4, "big")))
    pdu = DataSm(destination_addr=NUMBER, source_addr="28940", registered_delivery=1, tlvs=tlvs)
    message = translate.data_sm(pdu, account(), now=house.now, country="BR", default_validity=DAY_S)
    assert isinstance(message, Message)
    (message_id,) = await house.submit(message)
    await house.passes(88)
    assert await house.receipts() == []
    await house.passes(2)
    await ended_expired(house, message_id)


@pytest.mark.parametrize("form", FORMS)
@pytest_twisted.ensureDeferred
async def test_parts_that_are_scheduled_are_joined_and_go_at_their_moment(store: Store, form: str) -> None:
    house = await House(store).start()
    when = FORMS[form](HOUR, house.now)
    parts = [
        read(house, schedule_delivery_time=when, esm_class=0x40, text=bytes((5, 0, 3, 7, 2, number)) + b"parte ")
        for number in (1, 2)
    ]
    await house.submit(*parts)
    await house.passes(HOUR - 2)
    assert sent(house) == []
    await house.passes(2)
    assert sent(house) == ["zap"]
    house.zap.accept("z1")
    house.zap.report("z1", Status.DELIVERED)
    await house.settle()
    assert [one.state for one in await house.receipts()] == [State.DELIVERED] * 2


@pytest_twisted.ensureDeferred
async def test_parts_of_an_incomplete_set_that_are_scheduled_go_by_sms_at_their_moment(store: Store) -> None:
    house = await House(store).start()
    house.operator.script = lambda message: Accepted(f"r{message.id}")
    part = read(
        house, schedule_delivery_time=relative(HOUR), esm_class=0x40, text=bytes((5, 0, 3, 7, 2, 1)) + b"parte 1"
    )
    await house.submit(part)
    await house.passes(120)
    assert sent(house) == [], "not when its sisters are given up"
    await house.passes(HOUR - 122)
    assert sent(house) == []
    await house.passes(2)
    assert sent(house) == ["operator"]


@pytest_twisted.ensureDeferred
async def test_scheduled_parts_on_a_route_of_sms_go_at_their_moment(store: Store) -> None:
    house = await House(store, SMS_ONLY).start()
    parts = [
        read(house, schedule_delivery_time=relative(HOUR), esm_class=0x40, text=bytes((5, 0, 3, 7, 2, n)) + b"parte ")
        for n in (1, 2)
    ]
    await house.submit(*parts)
    await house.passes(HOUR - 2)
    assert sent(house) == []
    await house.passes(2)
    assert sent(house) == ["operator", "operator"]
