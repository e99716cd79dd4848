"""A channel with several senders, from intake to receipt: who writes to whom, and what a lost sender costs (R22)."""

from __future__ import annotations

import pytest
import pytest_twisted

from gateway.messages.address import same_person
from gateway.store.valkey import Store
from tests.bridge.simulated import OURS
from tests.gateway.delivery.provider_house import Row
from tests.gateway.delivery.senders_house import SendersHouse
from tests.gateway.delivery.test_provider_faults import ONLY_SMS, ZAP
from tools.people import person_of
from tools.scripts import WHATSAPP_WORDS, WhatsAppScript, read_script

APIS = tuple(OURS)


def numbers(count: int, start: int = 0) -> list[str]:
    return [f"5511987{start + index:06d}" for index in range(count)]


@pytest.mark.parametrize("api", APIS)
@pytest_twisted.ensureDeferred
async def test_everybody_hears_from_one_sender_and_the_senders_share_the_work(store: Store, api: str) -> None:
    house = SendersHouse(store, api, "sales", "support")
    await house.open()
    people = numbers(12)
    for number in people:
        house.acts(number, "")
    ids = [*await house.went(*people), *await house.went(*people)]
    assert {(await house.row(one)).sms for one in ids} == {0}
    assert [len(house.who(number)) for number in people] == [1] * len(people)
    assert min(len(house.sent_by(name)) for name in ("sales", "support")) >= 4


@pytest.mark.parametrize("api", APIS)
@pytest_twisted.ensureDeferred
async def test_whom_a_person_wrote_to_is_who_writes_to_them(store: Store, api: str) -> None:
    house = SendersHouse(store, api, "sales", "support")
    await house.open()
    people = numbers(6)
    for number in people:
        house.acts(number, "")
        house.spawned(house.at["support"].says(number, "oi"), "a text", house.sender.log)
    await house.flows(2.0)
    await house.went(*people)
    assert [house.who(number) for number in people] == [{"support"}] * len(people)


@pytest.mark.parametrize("api", [api for api in APIS if api != "360dialog"])  # of which nobody can ask anything
@pytest_twisted.ensureDeferred
async def test_a_ban_in_mid_campaign_moves_everybody_to_the_other_sender(store: Store, api: str) -> None:
    """Nothing is lost, nobody gets a text twice, nothing goes by SMS, and the others have the people in seconds."""
    house = SendersHouse(store, api, "sales", "support", throughput="10/s")
    await house.open()
    people = numbers(40)
    for number in people:
        house.acts(number, "")
    ids = await house.send(*people)
    await house.flows(1.0)
    before = {name: set(house.sent_by(name)) for name in house.at}
    assert before["sales"] and before["support"]
    house.spawned(house.at["sales"].connect(False, banned=True), "a ban", house.sender.log)
    banned_at = house.clock.seconds()
    await house.flows(1.0)
    assert [(one["name"], one["up"], one["quarantined"]) for one in house.sender.sender_status()] == [
        ("sales", False, True), ("support", True, False),
    ]  # fmt: skip
    assert house.sender.up and not house.sender.quarantined
    await house.ends(*ids)
    rows = [await house.row(one) for one in ids]
    unheard = sum(row.channel == "operator" for row in rows)  # taken before the ban, and never told of
    assert unheard <= 10 and [row.state for row in rows] == ["DELIVERED"] * 40
    assert [len(house.who(number)) for number in people] == [1] * 40
    assert {sent.person for sent in house.at["sales"].sends if sent.at > banned_at} <= before["sales"]
    moves = house.metric(
        "pombo_sender_moves_total", channel="zap", from_sender="sales", to_sender="support", reason="logged_out"
    )
    moved = [one for one in ids if any("support takes it" in step[3] for step in (await house.read(one)).trace)]
    assert len(moved) == moves > 0, "the cut-over is in the metrics and in the traces"


@pytest_twisted.ensureDeferred
async def test_when_no_sender_is_left_the_next_channel_has_everything_at_once(store: Store) -> None:
    house = SendersHouse(store, "evolution", "sales", "support", throughput="5/s")
    await house.open()
    people = numbers(30)
    for number in people:
        house.acts(number, "")
    ids = await house.send(*people)
    await house.flows(1.0)
    for name in house.at:
        house.spawned(house.at[name].connect(False), "a log-out", house.sender.log)
    await house.flows(1.0)
    assert not house.sender.up and house.sender.quarantined
    left = [one for one in ids if (await house.read(one)).attempts[-1].channel == "operator"]
    assert len(left) >= 15, "they did not wait for fallback_after"
    await house.ends(*ids)
    rows = [await house.row(one) for one in ids]
    assert {row.state for row in rows} == {"DELIVERED"}
    assert {await house.row(one) == ONLY_SMS for one in left} == {True}


@pytest.mark.parametrize("api", APIS)
@pytest_twisted.ensureDeferred
async def test_a_sender_that_comes_back_has_new_people_again(store: Store, api: str) -> None:
    house = SendersHouse(store, api, "sales", "support")
    await house.open()
    first, later = numbers(10, 100), numbers(10, 200)
    for number in (*first, *later):
        house.acts(number, "")
    house.at["sales"].trouble = "logged_out"  # of which nobody tells
    ids = await house.went(*first)
    assert {(row.channel, row.sms) for row in [await house.row(one) for one in ids]} == {("zap", 0)}
    assert (house.sent_by("sales"), len(house.sent_by("support"))) == ([], 10)
    house.at["sales"].trouble = ""
    await house.flows(40.0)
    ids = await house.went(*later)
    assert [await house.row(one) for one in ids] == [ZAP] * 10
    assert len(house.sent_by("sales")) >= 2
    await house.went(*first)
    assert [house.who(number) for number in first] == [{"support"}] * 10, "whom the other took over stays there"


@pytest_twisted.ensureDeferred
async def test_a_sender_that_falls_silent_loses_its_people_and_the_other_keeps_its_own(store: Store) -> None:
    """R21 for one of two: 20 messages at most are spent on finding out."""
    house = SendersHouse(
        store, "evolution", "sales", "support", health={"min_acks": 0.5, "window": "60s", "quarantine": "5m"}
    )
    await house.open()
    people = numbers(120)
    for number in people:
        house.acts(number, "")
    house.at["sales"].webhooks.url = ""
    ids = await house.went(*people)
    rows = [await house.row(one) for one in ids]
    assert {row.state for row in rows} == {"DELIVERED"} and {row.receipts for row in rows} == {("DELIVERED",)}
    assert len(house.sent_by("sales")) <= 21
    assert sum(row == Row("DELIVERED", "operator", ("DELIVERED",), 1, 1) for row in rows) <= 21
    assert sum(row == ZAP for row in rows) >= 99
    later = await house.went(*people)
    assert {(await house.read(one)).decided_by for one in later} == {"zap"}
    assert len(house.sent_by("sales")) <= 21


@pytest_twisted.ensureDeferred
async def test_what_is_used_up_of_one_senders_day_goes_by_the_other_and_then_by_sms(store: Store) -> None:
    """R22: daily cap and warm-up of each sender."""
    house = SendersHouse(
        store, "evolution", "old", "new", own={"old": {"limits": {"day": 8}}, "new": {"limits": {"warm_up": [3, 100]}}}
    )
    await house.open()
    people = numbers(20)
    for number in people:
        house.acts(number, "")
    ids = await house.went(*people)
    assert (len(house.sent_by("old")), len(house.sent_by("new"))) == (8, 3)
    rows = [await house.row(one) for one in ids]
    assert (rows.count(ZAP), rows.count(ONLY_SMS)) == (11, 9)
    assert [one["left_today"] for one in house.sender.sender_status()] == [0, 0]


@pytest_twisted.ensureDeferred
async def test_what_one_sender_holds_when_its_day_is_over_goes_by_the_other(store: Store) -> None:
    house = SendersHouse(store, "evolution", "old", "new", own={"old": {"limits": {"day": 3}}}, throughput="5/s")
    await house.open()
    people = numbers(20)
    for number in people:
        house.acts(number, "")
    ids = await house.went(*people)
    assert [await house.row(one) for one in ids] == [ZAP] * 20
    assert (len(house.sent_by("old")), len(house.sent_by("new"))) == (3, 17)


async def helped_out(store: Store, api: str, words: str) -> tuple[SendersHouse, str]:
    """A person of sales, to whom support has written once, because the day of sales was over."""
    house = SendersHouse(store, api, "sales", "support", own={"sales": {"limits": {"day": 1}}})
    await house.open()
    [number] = numbers(1)
    house.acts(number, "")
    house.at["support"].scripts.set(person_of(number), read_script(words, WHATSAPP_WORDS, WhatsAppScript()))
    for name in ("support", "sales"):
        house.spawned(house.at[name].says(number, "oi"), "a text", house.sender.log)
        await house.flows(2.0)
    await house.went(number)
    await house.went(number)
    assert (len(house.sent_by("sales")), house.who(number)) == (1, {"sales", "support"})
    return house, number


@pytest_twisted.ensureDeferred
async def test_the_last_word_is_asked_of_the_one_that_helped_out(store: Store) -> None:
    house, _ = await helped_out(store, "waha", "untold")
    asked = {name: sum(f"/api/{name}/chats/" in one.url for one in wire.requests) for name, wire in house.wires.items()}
    assert asked == {"sales": 0, "support": 1}


@pytest_twisted.ensureDeferred
async def test_a_closed_window_is_told_to_the_one_that_helped_out(store: Store) -> None:
    house, number = await helped_out(store, "cloud_api", "fails_with:131047+times:1")
    known = house.sender.memory.recall(same_person(number))
    assert known is not None and known.sender == "sales", "its person is still that of the first"
    closed = {name: thread.closed_at > 0 for name, thread in known.threads.items()}
    assert closed == {"sales": False, "support": True}


@pytest_twisted.ensureDeferred
async def test_the_last_word_is_asked_of_the_sender_that_wrote(store: Store) -> None:
    house = SendersHouse(store, "waha", "sales", "support")
    await house.open()
    people = numbers(8)
    for number in people:
        house.acts(number, "untold")
    ids = await house.went(*people)
    assert [await house.row(one) for one in ids] == [ZAP] * 8
    for name, wire in house.wires.items():
        asked = [request.url for request in wire.requests if "/chats/" in request.url]
        assert len(asked) == len(house.sent_by(name)) > 0
        assert all(f"/api/{name}/chats/" in url for url in asked)
