"""Short message ids: each given once, over restarts and nodes, and good for everything that an id is good for."""

from __future__ import annotations

import re

import pytest
import pytest_twisted

from config.schema import AccountSettings, Config, SmppServerSettings
from gateway.configured import short_ids_of
from gateway.delivery.numbering import Numbering
from gateway.messages.message import Receipt
from gateway.messages.outcome import Status
from gateway.messages.states import State
from gateway.smpp.constants import CommandStatus
from gateway.store import keys
from gateway.store.valkey import Store
from tests.gateway.delivery.house import SMS_ONLY, House
from tests.gateway.delivery.test_operations import asked, cancel, replace

QUEUE_FULL = CommandStatus.ESME_RMSGQFUL
NUMBERS = ("5511987654321", "5521987654321")


async def numbered_house(store: Store, form: str, **settings: int) -> House:
    house = await House(store, SMS_ONLY, **settings).start()  # type: ignore[arg-type]
    house.intake.numbering.use({"billing": form})
    await house.settle()
    return house


def test_the_settings_say_who_has_them() -> None:
    def account(name: str, *quirks: str) -> AccountSettings:
        return AccountSettings.model_validate({"system_id": name, "password": "secret", "quirks": quirks})

    accounts = (account("a"), account("b", "smpp33"), account("c", "decimal_ids"), account("d", "data_sm"))
    assert short_ids_of(Config(smpp_server=SmppServerSettings(accounts=accounts))) == {"b": "hex", "c": "decimal"}


@pytest.mark.parametrize(("form", "like"), [("hex", "[0-9A-F]{8}"), ("decimal", "[1-9][0-9]{0,9}")])
@pytest_twisted.ensureDeferred
async def test_ids_are_short_and_those_of_other_accounts_as_ever(store: Store, form: str, like: str) -> None:
    house = await numbered_house(store, form)
    ids = await house.submit(*(house.message() for _ in range(50)))
    assert all(re.fullmatch(like, one) for one in ids) and len(set(ids)) == 50
    assert len(await house.submit_one(account="shop")) == 18


@pytest_twisted.ensureDeferred
async def test_restarts_and_other_nodes_never_give_an_id_again(store: Store) -> None:
    seen: list[str] = []
    for life in range(4):
        house = await numbered_house(store, "decimal", incarnation=life + 1)
        other = await House(store, SMS_ONLY, node="gw2", incarnation=life + 11).start()
        other.intake.numbering.use({"billing": "hex"})
        await other.settle()
        for node in (house, other):
            seen += await node.submit(*(node.message() for _ in range(20)))
        house.die()
        other.die()
    assert len(set(seen)) == len(seen) == 160


@pytest_twisted.ensureDeferred
async def test_a_machine_that_forgot_its_last_second_gives_no_id_again(store: Store) -> None:
    numbering = Numbering(store, block=100)
    numbering.use({"billing": "decimal"})
    await store.command("PING")
    before = await store.command("GET", keys.NUMBERS)
    given = {numbering.next("billing") for _ in range(100)}
    await store.command("PING")
    assert await store.command("GET", keys.NUMBERS) != before, "the next block was taken, and is used"
    given |= {numbering.next("billing") for _ in range(50)}
    await store.command("SET", keys.NUMBERS, before)
    again = Numbering(store, block=100)
    again.use({"billing": "decimal"})
    await store.command("PING")
    assert not given & {again.next("billing") for _ in range(100)}


@pytest_twisted.ensureDeferred
async def test_blocks_follow_each_other_without_a_gap_in_service(store: Store) -> None:
    numbering = Numbering(store, block=400)
    numbering.use({"billing": "hex", "shop": "decimal"})
    assert numbering.next("billing") == "", "not before the store has given some"
    await store.command("PING")
    ids: list[str] = []
    for turn in range(60):
        ids += [numbering.next("billing" if turn % 2 else "shop") for _ in range(10)]
        await store.command("PING")
    assert "" not in ids and len(set(ids)) == 600


@pytest_twisted.ensureDeferred
async def test_with_no_number_at_hand_a_submit_is_refused_for_now(store: Store) -> None:
    house = await House(store, SMS_ONLY).start()
    house.intake.numbering.use({"billing": "decimal"})
    answers = house.submit_at_once(house.message())
    assert answers == [(QUEUE_FULL, "")]
    house.intake.submit_multi([house.message()], lambda message_id, statuses: answers.append((statuses[0], message_id)))
    assert answers[1] == (QUEUE_FULL, "")
    await house.settle()
    assert await house.submit_one()


@pytest_twisted.ensureDeferred
async def test_a_store_that_gives_none_is_asked_again(store: Store) -> None:
    numbering = Numbering(store)
    await store.command("SET", keys.NUMBERS, "no number")
    numbering.use({"billing": "decimal"})
    await store.command("PING")
    assert numbering.next("billing") == ""
    await store.command("DEL", keys.NUMBERS)
    assert numbering.next("billing") == ""
    await store.command("PING")
    assert numbering.next("billing").isdecimal()


@pytest.mark.parametrize("form", ["hex", "decimal"])
@pytest_twisted.ensureDeferred
async def test_a_short_id_goes_the_whole_way(store: Store, form: str) -> None:
    house = await numbered_house(store, form)
    bind = house.esmes.bind()
    delivered, cancelled = await house.submit(house.message(), house.message(schedule_at=house.now + 60))
    house.operator.accept("77")
    house.operator.report("77", Status.DELIVERED)
    await house.settle()
    assert (await asked(house, house.operations.query("billing", delivered, "28940"))).message_state == 2
    assert await replace(house, cancelled) == 0 and await cancel(house, cancelled) == 0
    assert [(one.message_id, one.state) for one in bind.got if isinstance(one, Receipt)] == [
        (delivered, State.DELIVERED),
        (cancelled, State.DELETED),
    ]
    assert (await house.story(delivered))[-1] == "receipt_answered"


@pytest_twisted.ensureDeferred
async def test_a_submit_multi_has_one_short_id(store: Store) -> None:
    house = await numbered_house(store, "decimal")
    answers: list[str] = []
    messages = [house.message(msisdn=number, dest=number) for number in NUMBERS]
    house.intake.submit_multi(messages, lambda message_id, statuses: answers.append(message_id))
    await house.settle()
    (message_id,) = answers
    assert message_id.isdecimal()
    assert [one.id for one in await house.read_all([message_id, f"{message_id}.2"])] == [message_id, f"{message_id}.2"]


@pytest_twisted.ensureDeferred
async def test_parts_with_short_ids_are_joined(store: Store) -> None:
    house = await House(store).start()
    house.intake.numbering.use({"billing": "hex"})
    await house.settle()
    first, second = await house.submit(house.part(1, 2), house.part(2, 2))
    (text,) = house.zap.taken
    assert text.parts == (first, second) and len(first) == len(second) == 8
