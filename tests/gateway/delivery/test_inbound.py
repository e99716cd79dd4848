"""What people write to us: to the account that wrote to them last, once, kept until it is taken."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted

from gateway.messages.message import Mo
from gateway.messages.outcome import Inbound
from gateway.routing.replies import ReplyRule
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


@pytest.mark.parametrize(
    ("user_data", "esm_class", "expected"),
    [
        (b"\x1f \x7f vista \x1b(sim\x1b)", 0, (0, 0, "É à vista {sim}".encode("latin-1"))),
        (b"\x05\x00\x03\x09\x02\x01\x1f", 0x40, (0, 0x40, b"\x05\x00\x03\x09\x02\x01\xc9")),
        (b"10 \x1be", 0, (8, 0, "10 €".encode("utf-16-be"))),
        (b"SAIR", 0, (0, 0, b"SAIR")),
    ],
)
@pytest_twisted.ensureDeferred
async def test_a_text_from_the_operator_shows_an_account_of_another_alphabet_the_same_characters(
    store: Store, user_data: bytes, esm_class: int, expected: tuple[int, int, bytes]
) -> None:
    house = await House(store).start()
    house.alphabets = {"billing": "latin1"}
    await house.submit_one()
    await house.inbound("operator", mobile_originated(user_data, esm_class=esm_class))
    (mo,) = await waiting(house)
    assert (mo.data_coding, mo.esm_class, mo.user_data) == expected


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


@pytest.mark.parametrize(
    ("rules", "text", "expected"),
    [
        ((ReplyRule("shop", to=("28940",)),), mobile_originated(), "shop"),
        ((ReplyRule("shop", to=("28940",)),), reply(), ""),
        ((ReplyRule("shop", to=("27000",)),), mobile_originated(), ""),
        ((ReplyRule("shop", channels=("zap",), address="SHOP"),), reply(), "shop"),
        ((ReplyRule("shop", channels=("zap",)),), mobile_originated(), ""),
        ((ReplyRule("shop", ("28940",), ("zap",)),), mobile_originated(), ""),
        ((ReplyRule("billing", ("27000",)), ReplyRule("shop")), mobile_originated(), "shop"),
        ((ReplyRule("billing"), ReplyRule("shop", ("28940",))), mobile_originated(), "billing"),
        ((ReplyRule("billing"), ReplyRule("shop", always=True)), reply(), "shop"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_a_stranger_reaches_the_account_that_the_table_names(
    store: Store, rules: tuple[ReplyRule, ...], text: Inbound, expected: str
) -> None:
    house = await House(store).start()
    house.replies.rules = rules
    assert await house.inbound(text.channel, text) == [True]
    told = {account: await waiting(house, account) for account in ("billing", "shop")}
    assert [account for account, texts in told.items() if texts] == ([expected] if expected else [])
    if expected:
        (mo,) = told[expected]
        assert (mo.source, mo.source_ton, mo.source_npi, mo.dest) == (NUMBER, 1, 1, text.to or rules[-1].address)


@pytest.mark.parametrize("text", [mobile_originated(), reply()], ids=["operator", "whatsapp"])
@pytest.mark.parametrize(("always", "expected"), [(False, "billing"), (True, "shop")])
@pytest_twisted.ensureDeferred
async def test_the_last_writer_comes_before_the_table_unless_it_says_always(
    store: Store, always: bool, expected: str, text: Inbound
) -> None:
    house = await House(store).start()
    house.replies.rules = (ReplyRule("shop", always=always),)
    await house.submit_one(account="shop", dest="011 98765 4321", dest_ton=2, source="28940")
    await house.submit_one(account="billing")
    assert await house.inbound(text.channel, text) == [True]
    (mo,) = await waiting(house, expected)
    assert mo.source == ("011 98765 4321" if always else "+55 11 98765-4321"), "as that account last wrote it"
    assert mo.dest == "28940"
    assert await waiting(house, "shop" if expected == "billing" else "billing") == []


@pytest_twisted.ensureDeferred
async def test_the_table_comes_before_the_only_account_that_uses_the_number(store: Store) -> None:
    house = await House(store).start()
    house.owners = {"28940": "shop"}
    house.replies.rules = (ReplyRule("billing", to=("28940",)),)
    await house.inbound("operator", mobile_originated())
    assert (len(await waiting(house, "billing")), await waiting(house, "shop")) == (1, [])


@pytest_twisted.ensureDeferred
async def test_what_the_operator_adds_to_a_text_stays_with_it(store: Store) -> None:
    house = await House(store).start()
    await house.submit_one()
    await house.inbound("operator", mobile_originated(tlvs=((0x1403, b"72405"),)))
    (mo,) = await waiting(house)
    assert mo.tlvs == ((0x1403, b"72405"),)


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
