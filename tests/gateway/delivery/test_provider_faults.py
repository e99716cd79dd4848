"""Every provider with every fault: (provider, fault) -> final state, channel, receipts, sends over both channels.

The whole way from intake to receipt, with the real channel, adapter and simulator of each provider, on one clock.
"""

from __future__ import annotations

import pytest
import pytest_twisted

from gateway.store.valkey import Store
from tests.bridge.simulated import OURS, WITHOUT_LOOKUP
from tests.gateway.delivery.provider_house import ProviderHouse, Row

APIS = tuple(OURS)
ZAP = Row("DELIVERED", "zap", ("DELIVERED",), 1, 0)
SMS = Row("DELIVERED", "operator", ("DELIVERED",), 1, 1)  # WhatsApp was tried, and the SMS brought it
ONLY_SMS = Row("DELIVERED", "operator", ("DELIVERED",), 0, 1)  # nothing went over WhatsApp
AGAIN = Row("DELIVERED", "zap", ("DELIVERED",), 2, 0)  # by WhatsApp, with the second try
META = WITHOUT_LOOKUP
KNOWN_BY_US = (*META, "waha")

# fault -> what becomes of it, and where that differs
FAULTS: dict[str, tuple[Row, dict[str, Row]]] = {
    "delivered": (ZAP, {}),
    "read": (ZAP, {}),
    "read_only": (ZAP, {}),
    "sent_only": (SMS, {}),
    "never": (SMS, {}),
    "delivered+twice": (ZAP, {}),
    "read+shuffle": (ZAP, {}),
    "delivered+early": (ZAP, {}),
    "read+shuffle+early+twice": (ZAP, {}),
    "fails": (SMS, {}),
    "fails+twice": (SMS, {}),
    "fails+early+twice": (SMS, {}),
    "fails_at_once": (SMS, {}),
    "refuses": (SMS, {}),
    "http:503": (SMS, {}),
    "http:502+times:1": (SMS, {}),
    "429:1": (AGAIN, {}),
    # Only who gives our own id back, or takes an id of ours, can tell what became of a send whose answer was lost.
    "hang": (SMS, dict.fromkeys(KNOWN_BY_US, ZAP)),
    "reset": (SMS, dict.fromkeys(KNOWN_BY_US, ZAP)),
    "hang+never": (SMS, {}),
    "hang+fails": (SMS, {}),
    "lost": (SMS, {}),
    "lookup_error": (ONLY_SMS, dict.fromkeys(META, ZAP)),
    "lookup_hang": (ONLY_SMS, dict.fromkeys(META, ZAP)),
    "lookup_no": (ONLY_SMS, dict.fromkeys(META, ZAP)),
    "": (ONLY_SMS, dict.fromkeys(META, SMS)),  # nobody has an account: a failed status says so
}
# Meta's numbers, at once (refuses) and by a status (fails_with).
CODES: dict[str, Row] = {
    "refuses:131026": SMS,
    "fails_with:131026": SMS,
    "fails_with:131049": SMS,
    "refuses:131056+times:1": AGAIN,
    "refuses:131000+times:1": AGAIN,
    "fails_with:131000+times:1": AGAIN,
    "refuses:132001": SMS,
    "refuses:100": SMS,
    "fails_with:132015": SMS,
    "refuses:999999": SMS,  # a number that is in no table
    "fails_with:999999": SMS,
}


def number_of(index: int) -> str:
    """Of area codes whose older accounts lack the ninth digit, and of others."""
    return f"55{(11, 31, 21, 51)[index % 4]}98{index:07d}"


async def rows(store: Store, api: str, faults: list[str]) -> dict[str, Row]:
    """What becomes of one message per fault, all of them under way at the same time."""
    house = await ProviderHouse(store, api).open()
    numbers = {fault: number_of(index) for index, fault in enumerate(faults)}
    for fault, number in numbers.items():
        house.acts(number, fault, account=bool(fault))
    apart = [fault for fault in faults if fault.startswith("lookup_")]  # whoever shares a lookup shares its fault
    together = [fault for fault in faults if fault not in apart]
    ids = dict(zip(together, await house.send(*(numbers[fault] for fault in together)), strict=True))
    for fault in apart:
        await house.flows(1.0)
        [ids[fault]] = await house.send(numbers[fault])
    await house.ends(*ids.values())
    assert set(house.hooks) == {200}
    return {fault: await house.row(ids[fault]) for fault in faults}


@pytest.mark.parametrize("api", APIS)
@pytest_twisted.ensureDeferred
async def test_every_fault_ends_in_one_state_one_receipt_and_no_more_sends_than_needed(store: Store, api: str) -> None:
    assert await rows(store, api, list(FAULTS)) == {
        fault: special.get(api, usual) for fault, (usual, special) in FAULTS.items()
    }


@pytest.mark.parametrize("api", META)
@pytest_twisted.ensureDeferred
async def test_metas_numbers_mean_the_same_at_once_and_later(store: Store, api: str) -> None:
    assert await rows(store, api, list(CODES)) == CODES


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("trouble", ["logged_out", "banned", "logged_out+hang"])
@pytest_twisted.ensureDeferred
async def test_a_sender_that_is_lost_mid_run_sends_everybody_to_the_operator(
    store: Store, api: str, trouble: str
) -> None:
    house = await ProviderHouse(store, api).open()
    before, culprit, *after = (number_of(index) for index in range(8))
    for number in (before, *after):
        house.acts(number, "")
    house.acts(culprit, trouble)
    first = await house.send(before)
    await house.ends(*first)
    second = await house.send(culprit)
    await house.flows(1.0)
    assert not house.sender.up and house.sender.quarantined
    others = await house.send(*after)
    await house.ends(*second, *others)
    assert await house.row(first[0]) == ZAP
    assert await house.row(second[0]) == SMS
    assert [await house.row(one) for one in others] == [ONLY_SMS] * len(after)


@pytest.mark.parametrize("api", [api for api in APIS if api != "360dialog"])  # of which nobody can ask anything
@pytest.mark.parametrize("banned", [False, True])
@pytest_twisted.ensureDeferred
async def test_a_loss_that_is_only_told_moves_traffic_before_anything_is_sent(
    store: Store, api: str, banned: bool
) -> None:
    house = await ProviderHouse(store, api).open()
    house.spawned(house.provider.connect(False, banned=banned), "a loss", house.sender.log)
    await house.flows(1.0)
    assert not house.sender.up and house.sender.quarantined
    number = number_of(1)
    house.acts(number, "")
    ids = await house.send(number)
    await house.ends(*ids)
    assert await house.row(ids[0]) == ONLY_SMS


@pytest.mark.parametrize("api", APIS)
@pytest_twisted.ensureDeferred
async def test_a_sender_that_comes_back_is_used_again(store: Store, api: str) -> None:
    house = await ProviderHouse(store, api, health={"min_acks": 0, "quarantine": "30s"}).open()
    culprit, later = number_of(1), number_of(2)
    house.acts(culprit, "logged_out:15s+times:1")
    house.acts(later, "")
    lost = await house.send(culprit)
    await house.ends(*lost)
    await house.flows(40.0)
    assert house.sender.up
    found = await house.send(later)
    await house.ends(*found)
    assert [await house.row(lost[0]), await house.row(found[0])] == [SMS, ZAP]


@pytest.mark.parametrize("api", APIS)
@pytest_twisted.ensureDeferred
async def test_too_many_at_once_wait_and_all_go_by_whatsapp(store: Store, api: str) -> None:
    house = await ProviderHouse(store, api, rate=5).open()
    numbers = [number_of(index) for index in range(12)]
    for number in numbers:
        house.acts(number, "")
    ids = await house.send(*numbers)
    await house.ends(*ids)
    found = [await house.row(one) for one in ids]
    assert {(row.state, row.channel, row.receipts, row.sms) for row in found} == {
        ("DELIVERED", "zap", ("DELIVERED",), 0)
    }
    taken = [sent.person for sent in house.provider.sends if sent.message_id]
    assert sorted(taken) == sorted(numbers)
    assert len(house.provider.sends) > len(taken), "some were refused first"


@pytest.mark.parametrize("api", APIS)
@pytest_twisted.ensureDeferred
async def test_what_a_person_answers_reaches_the_account_that_wrote_last(store: Store, api: str) -> None:
    house = await ProviderHouse(store, api).open()
    number = number_of(1)
    house.acts(number, "")
    ids = await house.send(number)
    await house.ends(*ids)
    for _ in range(2):  # the second time it is the same text once more
        house.spawned(house.provider.says(number, "Já paguei", "AAAA1111BBBB"), "a reply", house.sender.log)
        await house.flows(1.0)
    texts = [one for one in house.bound.got if type(one).__name__ == "Mo"]
    assert len(texts) == 1 and texts[0].source == number
