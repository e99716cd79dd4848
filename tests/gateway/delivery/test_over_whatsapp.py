"""What becomes of messages between a WhatsApp provider that stalls, repeats itself and speaks out of turn, and SMS: the
real channel, the real store, time and HTTP in memory."""

from __future__ import annotations

import random
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import ensureDeferred

from gateway.messages.address import parse_destination
from gateway.messages.outcome import Report, Status
from gateway.messages.states import State
from gateway.routing.routes import Route
from gateway.smpp.constants import CommandStatus
from gateway.store import keys
from gateway.store.valkey import Store
from tests.bridge.fakes import people
from tests.gateway.delivery.house import PATIENCE_S, USUAL
from tests.gateway.delivery.zap_house import CLOUD_API, EVOLUTION, ZapHouse

QUARANTINE_S = 300.0


def numbers(count: int) -> list[str]:
    return people(count)


async def submit_to(house: ZapHouse, *msisdns: str, **fields: Any) -> list[str]:
    return await house.submit(*(house.message(msisdn=one, dest=one, **fields) for one in msisdns))


@pytest_twisted.ensureDeferred
async def test_no_answer_waits_for_a_lookup(store: Store) -> None:
    """R5: accepted while the provider has answered no question at all, and time stands still."""
    house = await ZapHouse(store, provider={**EVOLUTION, "health": {"min_acks": 0}}).start()
    house.http.answers["whatsappNumbers"] = None
    house.unanswered = 10_000  # lookups under way are not waited for here
    began = house.clock.seconds()
    answers = house.submit_at_once(*(house.message(msisdn=one, dest=one) for one in numbers(500)))
    await house.settle()
    assert [status for status, _ in answers] == [0] * 500 and house.clock.seconds() == began
    assert house.http.waiting and house.sent == []
    house.unanswered = 0
    house.http.answers["whatsappNumbers"] = house.accounts
    while house.http.waiting:
        asked = house.http.to("whatsappNumbers")[-len(house.http.waiting)]
        house.http.answer_next("whatsappNumbers", house.accounts(asked))
        for _ in range(4):
            house.clock.advance(0)
    await house.passes(1.0)
    await house.passes(2.0)
    taken = len(house.sent) + len(house.operator.taken)
    assert taken == 500, "and all of them went on when it answered"


@pytest_twisted.ensureDeferred
async def test_a_provider_that_takes_everything_and_acknowledges_nothing_costs_twenty_messages_their_patience(
    store: Store,
) -> None:
    """R21: put aside within 60 s or 20 messages; what it holds falls back at its time, the rest at once."""
    house = await ZapHouse(store).start()
    ids = await submit_to(house, *numbers(100), expires_at=house.now + 3600.0)
    assert len(house.sent) == 20, "a sender that has never answered gets twenty"
    for _ in range(60):
        await house.passes(0.8)
        if house.zap.quarantined:
            break
    assert house.zap.quarantined and not house.zap.up and house.zap.capacity() == 0
    assert house.clock.seconds() - (await house.read(ids[0])).accepted_at <= 60.0
    await house.passes(1.0)
    assert len(house.operator.taken) == 80 and len(house.sent) == 20, "the others went on in seconds"
    for _ in range(12):
        await house.passes(PATIENCE_S / 12)
    await house.passes(1.0)
    # One went out on trial when the quarantine was over, or more: none of them is left behind.
    assert {one.id for one in house.operator.taken} == set(ids) and len(house.operator.taken) == 100
    for _ in range(8):
        await house.passes(450.0)
    states = {(await house.ends(one)).state for one in ids}
    assert states == {State.EXPIRED}, "the operator never told: nothing is open beyond its validity"
    assert len(await house.receipts()) == 100


@pytest_twisted.ensureDeferred
async def test_one_good_probe_and_one_acknowledged_message_bring_a_silent_sender_back(store: Store) -> None:
    """R21: the quarantine ends by itself, and nothing waits for it."""
    house = await ZapHouse(store).start()
    await submit_to(house, *numbers(20))
    for _ in range(20):
        await house.passes(1.0)
    assert house.zap.quarantined
    for _ in range(31):
        await house.passes(QUARANTINE_S / 30)
    (trial,) = await submit_to(house, numbers(21)[20])
    assert len(house.sent) == 21 and house.zap.capacity() == 0, "one message is out on trial"
    (other,) = await submit_to(house, numbers(22)[21])
    assert [one.id for one in house.operator.taken if one.id in (trial, other)] == [other], "meanwhile SMS, at once"
    house.webhook("W20", Status.SENT)
    house.webhook("W20", Status.DELIVERED)
    await house.settle()
    assert house.zap.up and not house.zap.quarantined
    assert (await house.ends(trial)).decided_by == "zap"
    await submit_to(house, numbers(23)[22])
    assert len(house.sent) == 22


@pytest.mark.parametrize("provider", [EVOLUTION, CLOUD_API], ids=["evolution", "cloud_api"])
@pytest_twisted.ensureDeferred
async def test_ten_copies_of_a_failure_at_once_are_one_sms(store: Store, provider: dict[str, Any]) -> None:
    """R23: every webhook is answered, the fallback happens once, before and after the SMS has gone."""
    house = await ZapHouse(store, provider=provider).start()
    (message_id,) = await submit_to(house, numbers(1)[0])
    told = [house.webhook("W0", Status.FAILED, 131026) for _ in range(10)]
    await house.settle()
    told += [house.webhook("W0", Status.FAILED, 131026) for _ in range(10)]
    await house.settle()
    assert [one.result.status for one in told] == [200] * 20  # type: ignore[union-attr]
    assert [one.id for one in house.operator.taken] == [message_id]
    assert (await house.story(message_id)).count("fallback") == 1
    house.operator.report("operator-1", Status.DELIVERED, State.DELIVERED)
    await house.settle()
    assert (await house.ends(message_id)).decided_by == "operator" and len(await house.receipts()) == 1


# -- shuffled, repeated, early

STORIES: tuple[tuple[Status, ...], ...] = (
    (Status.SENT, Status.DELIVERED, Status.READ),
    (Status.SENT, Status.READ),
    (Status.SENT, Status.DELIVERED),
    (Status.DELIVERED,),
    (Status.SENT, Status.FAILED),
    (Status.FAILED,),
    (Status.SENT,),
    (),
)
MESSAGES = 40


async def told(store: Store, provider: dict[str, Any], route: Route, chance: random.Random | None) -> list[object]:
    """Send, tell every story, let time pass until all is over: what an ESME and a bill see of each message. chance:
    shuffles the statuses of all messages, repeats some, and lets some come before their send was answered."""
    await store.command("FLUSHALL", "SYNC")
    house = await ZapHouse(store, route, provider=provider).start()
    house.late = chance is not None
    ids = await submit_to(house, *numbers(MESSAGES), expires_at=house.now + 3600.0)
    await house.passes(1.0)
    assert len(house.sent) == MESSAGES
    place = {number.partition("@")[0].lstrip("+"): index for index, number in enumerate(house.sent)}
    statuses = [
        (f"W{place[msisdn]}", status)
        for index, msisdn in enumerate(numbers(MESSAGES))
        for status in STORIES[index % len(STORIES)]
    ]
    early = 0
    if chance is not None:
        statuses += chance.choices(statuses, k=len(statuses))
        chance.shuffle(statuses)
        early = chance.randrange(len(statuses))
    for number, (remote_id, status) in enumerate(statuses):
        if number == early:
            await house.settle()
            house.late = False
            house.answer_sends()
            await house.settle()
        house.webhook(remote_id, status, 131026 if status is Status.FAILED else 0)
        if chance is None or chance.random() < 0.3:
            await house.settle()
    await house.passes(1.0)
    for _ in range(3):
        await house.passes(PATIENCE_S / 2)
    for one in house.operator.taken:
        remote_id = (await house.read(one.id)).attempts[-1].remote_id
        house.hub.reported("operator", [Report("operator", remote_id, Status.DELIVERED)], lambda _: None)
    await house.settle()
    ended = [await house.ends(one) for one in ids]
    receipts = [(one.message_id, one.state) for one in await house.receipts()]
    assert sorted(receipts) == sorted((one.id, one.state) for one in ended), "one receipt each, and the right one"
    house.die()
    return [(one.state, one.err, one.decided_by, one.cost, [a.channel for a in one.attempts]) for one in ended]


@pytest.mark.parametrize("provider", [EVOLUTION, CLOUD_API], ids=["evolution", "cloud_api"])
@pytest.mark.parametrize("success", ["delivered", "sent"])
@pytest_twisted.ensureDeferred
async def test_statuses_in_any_order_any_number_and_too_early_end_like_the_run_in_order(
    store: Store, provider: dict[str, Any], success: str
) -> None:
    """R24, scaled down, over the real scripts of the store."""
    # Where the one tick is success, a failure after it finds the message ended: those stories depend on the order.
    provider = {**provider, "health": {"min_acks": 0}}
    route = Route("default", USUAL.channels, fallback_after=PATIENCE_S, success=success)
    in_order = await told(store, provider, route, None)
    assert {decided for _, _, decided, _, _ in in_order} == {"zap", "operator"}  # type: ignore[misc, has-type]
    for seed in range(3):
        shuffled = await told(store, provider, route, random.Random(seed))
        for index, (one, other) in enumerate(zip(in_order, shuffled, strict=True)):
            story = STORIES[index % len(STORIES)]
            if success == "sent" and story == (Status.SENT, Status.FAILED):
                continue
            assert one == other, f"seed {seed}, {[status.value for status in story]}"


# -- the ninth digit

AREAS = (
    *(11, 12, 13, 14, 15, 16, 17, 18, 19, 21, 22, 24, 27, 28, 31, 32, 33, 34, 35, 37, 38, 41, 42, 43, 44, 45, 46, 47),
    *(48, 49, 51, 53, 54, 55, 61, 62, 63, 64, 65, 66, 67, 68, 69, 71, 73, 74, 75, 77, 79, 81, 82, 83, 84, 85, 86, 87),
    *(88, 89, 91, 92, 93, 94, 95, 96, 97, 98, 99),
)


@pytest.mark.parametrize("registered_with_it", [True, False], ids=["with", "without"])
@pytest_twisted.ensureDeferred
async def test_both_forms_of_a_number_are_one_person_in_every_area(store: Store, registered_with_it: bool) -> None:
    """R20: one record, the send to the form that the service knows, the receipt with the number as it was written."""
    house = ZapHouse(store)

    def identity(number: str) -> str:
        return f"{number if registered_with_it else number[:4] + number[5:]}@s.whatsapp.net"

    house.identity = identity
    await house.start()
    written = [form for area in AREAS for form in (f"{area}98765{area}01", f"{area}8765{area}01")]
    for dest in written:
        msisdn = parse_destination(dest, "BR")
        assert msisdn == f"55{dest[:2]}98765{dest[:2]}01"
        await submit_to(house, msisdn)
        (message_id,) = await house.submit(house.message(msisdn=msisdn, dest=dest, source=f"s{len(house.sent)}"))
        house.webhook(f"W{len(house.sent) - 2}", Status.DELIVERED)
        house.webhook(f"W{len(house.sent) - 1}", Status.DELIVERED)
        await house.settle()
        assert house.sent[-1] == house.sent[-2] == identity(msisdn)
        receipt = (await house.receipts())[-1]
        assert {one.source for one in (await house.receipts())[-2:]} == {msisdn, dest}
        assert receipt.state is State.DELIVERED and (await house.ends(message_id)).dest == dest
    records = await store.command("KEYS", "p:zap:*")
    assert len(records) == len(AREAS), "one record for both forms"
    asked = [number for body in house.http.bodies("whatsappNumbers") for number in body["numbers"]]
    assert len(asked) == len(AREAS), "and one question"


@pytest.mark.parametrize("area", sorted(set(range(11, 100)) - set(AREAS)))
def test_area_codes_that_do_not_exist_are_unreadable(area: int) -> None:
    """R20: 0x0B at the door, no record of anybody."""
    assert parse_destination(f"{area}987654321", "BR") is None and parse_destination(f"55{area}87654321", "BR") is None


# -- what is known of a person


@pytest_twisted.ensureDeferred
async def test_an_acknowledgement_outranks_the_no_of_a_lookup_and_a_younger_no_does_not_undo_it(store: Store) -> None:
    """R19: over a restart, too; the no itself expires."""
    house = await ZapHouse(store, provider={**EVOLUTION, "lookup": {"inactive_for": "4h", "active_for": "2d"}}).start()
    person = numbers(1)[0]
    await submit_to(house, person)
    assert house.sent == [f"{person}@s.whatsapp.net"]
    house.identity = lambda _: None
    await house.passes(3 * 86_400.0)  # the yes has expired
    (by_sms,) = await submit_to(house, person)
    assert [one.id for one in house.operator.taken] == [by_sms] and len(house.sent) == 1
    house.webhook("W0", Status.READ)  # of the first one, days late
    await house.settle()
    asked = len(house.http.to("whatsappNumbers"))
    await submit_to(house, person)
    assert len(house.sent) == 2 and len(house.http.to("whatsappNumbers")) == asked, "nobody had to be asked"
    house.die()
    again = ZapHouse(store, clock=house.clock, incarnation=2)
    again.identity = lambda _: None
    await again.start()
    await again.passes(29 * 86_400.0)
    await submit_to(again, person)
    assert len(again.sent) == 1 and again.http.to("whatsappNumbers") == [], "younger than active_for: not overruled"


@pytest_twisted.ensureDeferred
async def test_a_no_is_believed_for_a_while_only(store: Store) -> None:
    """R19."""
    house = ZapHouse(store, provider={**EVOLUTION, "lookup": {"inactive_for": "4h"}})
    house.identity = lambda _: None
    await house.start()
    person = numbers(1)[0]
    await submit_to(house, person)
    await submit_to(house, person)
    assert (house.sent, len(house.operator.taken), len(house.http.to("whatsappNumbers"))) == ([], 2, 1)
    house.identity = lambda number: f"{number}@s.whatsapp.net"
    await house.passes(4 * 3600.0)
    await submit_to(house, person)
    assert len(house.sent) == 1


@pytest_twisted.ensureDeferred
async def test_a_failure_that_is_told_again_days_later_says_nothing_of_today(store: Store) -> None:
    """R19: Meta repeats a webhook for up to seven days; a delivery since then counts."""
    house = await ZapHouse(store, provider=CLOUD_API).start()
    person = numbers(1)[0]

    def status(remote_id: str, said: str, **more: object) -> None:
        house.webhook_of({"id": remote_id, "status": said, **more})

    failed_at = int(house.now)
    await submit_to(house, person)
    status("W0", "failed", errors=[{"code": 131026}], timestamp=str(failed_at))
    await house.settle()
    assert len(house.operator.taken) == 1
    await house.passes(86_401.0)
    await submit_to(house, person)
    status("W1", "delivered", timestamp=str(int(house.now)))
    await house.passes(3600.0)
    for _ in range(3):
        status("W0", "failed", errors=[{"code": 131026}], timestamp=str(failed_at))
    await house.settle()
    await submit_to(house, person)
    assert len(house.sent) == 3 and len(house.operator.taken) == 1


@pytest.mark.parametrize("held_by", ["the rate", "its lookup", "the send under way"])
@pytest_twisted.ensureDeferred
async def test_a_text_may_be_cancelled_until_it_is_written(store: Store, held_by: str) -> None:
    slow = {**EVOLUTION, "throughput": "1/s", "health": {"min_acks": 0}}
    house = await ZapHouse(store, provider=slow if held_by == "the rate" else EVOLUTION).start()
    house.late = held_by == "the send under way"
    if held_by == "its lookup":
        house.http.answers["whatsappNumbers"], house.unanswered = None, 10_000  # it is not waited for
    *_, message_id = await submit_to(house, *numbers(3 if held_by == "the rate" else 1))
    cancelling = ensureDeferred(house.operations.cancel("billing", message_id, "28940", "", ""))
    await house.settle()
    cancelled = await cancelling == CommandStatus.ESME_ROK
    assert cancelled == (held_by != "the send under way")
    house.late = False
    house.answer_sends()
    while house.http.waiting:
        house.http.answer_next("whatsappNumbers", house.accounts(house.http.to("whatsappNumbers")[-1]))
    for _ in range(5):
        await house.passes(1.0)
    assert len(house.sent) == {"the rate": 2, "its lookup": 0, "the send under way": 1}[held_by]
    if cancelled:
        assert (await house.ends(message_id)).state is State.DELETED
        assert [one.state for one in await house.receipts() if one.message_id == message_id] == [State.DELETED]
        assert house.metric("pombo_final_total", channel="zap", state="deleted") == 1
    assert house.operator.taken == [] and house.zap.inflight == 0
    assert await store.command("SCARD", keys.hand("gw1", "zap")) == 0
