"""What people write to us: to the account that wrote to them last, once, kept until it is taken."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted

from gateway.messages.message import Mo
from gateway.messages.outcome import Inbound
from gateway.store.valkey import Store
from tests.gateway.delivery.house import House
from tests.gateway.samples import NUMBER


def reply(text: str = "Ja paguei", **fields: Any) -> Inbound:
    return Inbound("zap", NUMBER, "", text=text, **fields)


def mobile_originated(user_data: bytes = b"SAIR", **fields: Any) -> Inbound:
    return Inbound("operator", NUMBER, "28940", user_data=user_data, **fields)


async def waiting(house: House, account: str = "billing") -> list[Mo]:
    return [item for item in await house.receipts(account) if isinstance(item, Mo)]


@pytest_twisted.ensureDeferred
async def test_a_reply_goes_to_the_account_that_wrote_last_with_the_number_as_it_wrote_it(store: Store) -> None:
    house = await House(store).start()
    await house.submit_one(account="billing", dest="+55 11 98765-4321")
    await house.submit_one(account="shop", dest="011 98765 4321", dest_ton=2, source="SHOP", source_ton=5, source_npi=0)
    assert await house.inbound("zap", reply()) == [True]
    assert await waiting(house, "billing") == []
    (mo,) = await waiting(house, "shop")
    assert (mo.source, mo.source_ton, mo.source_npi) == ("011 98765 4321", 2, 1)
    assert (mo.dest, mo.dest_ton, mo.dest_npi) == ("SHOP", 5, 0)
    assert (mo.data_coding, mo.user_data, mo.esm_class) == (0, b"Ja paguei", 0)


@pytest.mark.parametrize(
    ("text", "data_coding", "octets"),
    [("Ola", 0, b"Ola"), ("ok 👍", 8, "ok 👍".encode("utf-16-be"))],
)
@pytest_twisted.ensureDeferred
async def test_a_reply_is_written_in_the_smallest_alphabet_that_holds_it(
    store: Store, text: str, data_coding: int, octets: bytes
) -> None:
    house = await House(store).start()
    await house.submit_one()
    await house.inbound("zap", reply(text))
    (mo,) = await waiting(house)
    assert (mo.data_coding, mo.user_data) == (data_coding, octets)


@pytest.mark.parametrize("written", ["551187654321", "5511987654321", "+55 11 8765-4321"])
@pytest_twisted.ensureDeferred
async def test_either_form_of_the_ninth_digit_is_the_same_person(store: Store, written: str) -> None:
    house = await House(store).start()
    await house.submit_one()
    await house.inbound("zap", Inbound("zap", written, "", text="oi"))
    assert len(await waiting(house)) == 1


@pytest_twisted.ensureDeferred
async def test_a_text_from_the_operator_comes_through_byte_by_byte(store: Store) -> None:
    house = await House(store).start()
    await house.submit_one()
    header = bytes((5, 0, 3, 9, 2, 1))
    await house.inbound("operator", mobile_originated(header + b"\xff\x00", data_coding=4, esm_class=0x43))
    (mo,) = await waiting(house)
    assert (mo.user_data, mo.data_coding, mo.esm_class) == (header + b"\xff\x00", 4, 0x40)
    assert (mo.dest, mo.dest_ton, mo.dest_npi) == ("28940", 0, 1)


@pytest_twisted.ensureDeferred
async def test_a_text_that_comes_twice_is_kept_once(store: Store) -> None:
    house = await House(store).start()
    await house.submit_one()
    assert await house.inbound("zap", reply(remote_id="W1"), reply(remote_id="W1")) == [True]
    assert await house.inbound("zap", reply(remote_id="W1")) == [True]
    assert len(await waiting(house)) == 1
    await house.inbound("zap", reply(remote_id="W2"))
    assert len(await waiting(house)) == 2


@pytest_twisted.ensureDeferred
async def test_texts_without_an_id_are_all_different(store: Store) -> None:
    house = await House(store).start()
    await house.submit_one()
    await house.inbound("operator", mobile_originated(), mobile_originated())
    assert len(await waiting(house)) == 2


@pytest_twisted.ensureDeferred
async def test_a_stranger_reaches_the_only_account_that_uses_the_number_he_wrote_to(store: Store) -> None:
    house = await House(store).start()
    house.owners = {"28940": "shop"}
    assert await house.inbound("operator", mobile_originated()) == [True]
    (mo,) = await waiting(house, "shop")
    assert (mo.source, mo.source_ton, mo.dest) == (NUMBER, 1, "28940")


@pytest_twisted.ensureDeferred
async def test_a_stranger_nobody_answers_for_is_dropped_and_acknowledged(store: Store) -> None:
    house = await House(store).start()
    assert await house.inbound("zap", reply()) == [True]
    assert await house.inbound("operator", mobile_originated()) == [True]
    assert await store.command("KEYS", "r:*") == []


@pytest_twisted.ensureDeferred
async def test_a_reply_goes_out_at_once_where_somebody_is_bound(store: Store) -> None:
    house = await House(store).start()
    bind = house.esmes.bind()
    await house.submit_one()
    await house.inbound("zap", reply())
    assert len(bind.got) == 1
    assert await waiting(house) == []


@pytest_twisted.ensureDeferred
async def test_while_the_store_is_away_texts_must_come_again(store: Store) -> None:
    house = await House(store).start()
    await store.stop()
    told: list[bool] = []
    house.hub.inbound("zap", [reply()], told.append)
    assert told == [False]


@pytest_twisted.ensureDeferred
async def test_a_text_that_could_not_be_kept_is_not_acknowledged(store: Store) -> None:
    house = await House(store).start()
    await house.submit_one()
    await store.command("CONFIG", "SET", "min-replicas-to-write", "1")
    try:
        assert await house.inbound("zap", reply(remote_id="W1")) == [False]
    finally:
        await store.command("CONFIG", "SET", "min-replicas-to-write", "0")
    await store.command("SET", "alive", "1")
    assert await house.inbound("zap", reply(remote_id="W1")) == [True]
    assert len(await waiting(house)) == 1
