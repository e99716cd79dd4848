"""The journey of a message over both channels, to one final state and one receipt."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted

from gateway.messages.message import Attempted
from gateway.messages.outcome import (
    Accepted,
    AttemptResult,
    ChannelDown,
    Lookup,
    NoAccount,
    Refused,
    Report,
    Status,
    TryLater,
    Uncertain,
    Unwritten,
)
from gateway.messages.states import State
from gateway.routing.routes import Route
from gateway.store import keys
from gateway.store.turn import Turn
from gateway.store.valkey import Store
from tests.gateway.delivery.house import PATIENCE_S, SMS_ONLY, ZAP_ONLY, House, ids_of
from tests.gateway.samples import DAY_S


def fallbacks(house: House, reason: str) -> float:
    return house.metric("pombo_fallback_total", from_channel="zap", to_channel="operator", reason=reason)


async def by_whatsapp(house: House, **fields: Any) -> str:
    """A message that WhatsApp has taken as zap-1."""
    message_id = await house.submit_one(**fields)
    house.zap.accept("zap-1")
    await house.settle()
    return message_id


async def ended(house: House, message_id: str, state: State, channel: str, receipts: int = 1) -> None:
    message = await house.read(message_id)
    assert (message.state, message.decided_by) == (state, channel)
    of_it = [one for one in await house.receipts() if one.message_id == message_id]
    assert len(of_it) == receipts
    assert all((one.state, one.channel, one.err) == (state, channel, message.err) for one in of_it)
    assert await store_due(house, message_id) is None, "nobody looks at it again"


async def store_due(house: House, message_id: str) -> float | None:
    score = await house.store.command("ZSCORE", keys.DUE, message_id)
    return float(score) if score is not None else None


# -- the usual ways


@pytest_twisted.ensureDeferred
async def test_delivered_by_whatsapp_is_one_receipt_and_no_sms(store: Store) -> None:
    house = await House(store).start()
    message_id = await by_whatsapp(house)
    house.zap.report("zap-1", Status.SENT)
    await house.settle()
    assert (await house.read(message_id)).state is State.ENROUTE
    house.zap.report("zap-1", Status.DELIVERED)
    await house.settle()
    house.zap.report("zap-1", Status.READ)
    await house.settle()
    await house.passes(2 * PATIENCE_S)
    await ended(house, message_id, State.DELIVERED, "zap")
    assert house.operator.taken == []
    assert await house.story(message_id) == [
        "accepted", "decided", "sent", "ack", "delivered", "receipt_queued", "read",
    ]  # fmt: skip
    message = await house.read(message_id)
    assert (message.user_data, message.cost, message.err) == (b"", "0.03", 0)
    assert house.metric("pombo_final_total", channel="zap", state="delivered") == 1
    assert house.metric("pombo_saved_total") == pytest.approx(0.05)
    assert house.metric("pombo_cost_total", channel="zap") == pytest.approx(0.03)
    assert house.metric("pombo_delivery_seconds_count", channel="zap") == 1


@pytest_twisted.ensureDeferred
async def test_a_receipt_has_swapped_addresses_as_the_esme_wrote_them(store: Store) -> None:
    house = await House(store).start()
    began = house.now
    await by_whatsapp(house, dest="011 98765 4321", dest_ton=2, service_type="CMT", tlvs=((0x0204, b"\0\7"),))
    house.clock.advance(7)
    house.zap.report("zap-1", Status.DELIVERED)
    await house.settle()
    (receipt,) = await house.receipts()
    assert (receipt.source, receipt.source_ton, receipt.source_npi) == ("011 98765 4321", 2, 1)
    assert (receipt.dest, receipt.dest_ton, receipt.dest_npi) == ("28940", 0, 1)
    assert (receipt.service_type, receipt.user_message_reference, receipt.channel) == ("CMT", b"\0\7", "zap")
    assert receipt.submitted_at == pytest.approx(began, abs=0.01)
    assert receipt.done_at == pytest.approx(began + 7, abs=0.01)


@pytest_twisted.ensureDeferred
async def test_no_account_is_an_sms_at_once(store: Store) -> None:
    house = await House(store).start()
    house.zap.script = lambda _: NoAccount("provider")
    message_id = await house.submit_one()
    assert ids_of(house.operator.taken) == [message_id]
    assert [attempt.reason for attempt in (await house.read(message_id)).attempts] == ["no_account", ""]
    assert fallbacks(house, "no_account") == 1
    house.operator.accept("77")
    house.operator.report("77", Status.DELIVERED)
    await house.settle()
    await ended(house, message_id, State.DELIVERED, "operator")
    assert (await house.read(message_id)).cost == "0.08"
    assert house.metric("pombo_saved_total") == 0


@pytest.mark.parametrize(
    "result",
    [ChannelDown("provider_down"), Refused("blocked", "403"), ChannelDown("HTTP 503")],
    ids=["down", "refused", "5xx"],
)
@pytest_twisted.ensureDeferred
async def test_a_failure_of_whatsapp_is_an_sms_at_once(store: Store, result: AttemptResult) -> None:
    house = await House(store).start()
    house.zap.script = lambda _: result
    message_id = await house.submit_one()
    assert ids_of(house.operator.taken) == [message_id]


@pytest_twisted.ensureDeferred
async def test_a_failed_status_ten_times_in_parallel_is_one_sms(store: Store) -> None:
    """R23."""
    house = await House(store).start()
    message_id = await by_whatsapp(house)
    told = [house.zap.report("zap-1", Status.FAILED, err="131026") for _ in range(10)]
    await house.settle()
    told += [house.zap.report("zap-1", Status.FAILED, err="131026") for _ in range(3)]
    await house.settle()
    await house.passes(2 * PATIENCE_S)
    assert ids_of(house.operator.taken) == [message_id]
    assert told == [[True]] * 13, "every webhook is answered"
    assert (await house.story(message_id)).count("fallback") == 1
    assert fallbacks(house, "failed") == 1, "and counted once"


@pytest_twisted.ensureDeferred
async def test_ten_failed_statuses_in_one_webhook_are_one_sms(store: Store) -> None:
    """R23."""
    house = await House(store).start()
    message_id = await by_whatsapp(house)
    told: list[bool] = []
    house.hub.reported("zap", [Report("zap", "zap-1", Status.FAILED)] * 10, told.append)
    await house.settle()
    assert ids_of(house.operator.taken) == [message_id]
    assert told == [True]


@pytest_twisted.ensureDeferred
async def test_no_word_in_time_is_an_sms(store: Store) -> None:
    house = await House(store).start()
    message_id = await by_whatsapp(house)
    await house.passes(PATIENCE_S - 1)
    assert house.operator.taken == []
    await house.passes(1)
    assert ids_of(house.operator.taken) == [message_id]
    assert fallbacks(house, "timeout") == 1


@pytest_twisted.ensureDeferred
async def test_an_unanswered_send_waits_for_word_and_is_never_repeated_there(store: Store) -> None:
    house = await House(store).start()
    message_id = await house.submit_one()
    house.zap.answer(message_id, Uncertain("timeout"))
    await house.passes(PATIENCE_S - 1)
    assert house.operator.taken == []
    await house.passes(2)
    assert len(house.zap.taken) == 1
    assert ids_of(house.operator.taken) == [message_id]


@pytest_twisted.ensureDeferred
async def test_what_waits_in_the_whatsapp_queue_too_long_goes_by_sms_and_leaves_the_queue(store: Store) -> None:
    house = await House(store).start()
    house.zap.window = 0
    message_id = await house.submit_one()
    await house.passes(PATIENCE_S)
    assert ids_of(house.operator.taken) == [message_id]
    house.zap.window = 10
    house.hub.capacity_changed("zap")
    await house.settle()
    assert house.zap.taken == []


@pytest_twisted.ensureDeferred
async def test_what_comes_out_of_a_queue_when_its_time_is_nearly_over_goes_by_sms_alone(store: Store) -> None:
    house = await House(store).start()
    house.zap.window = 0
    message_id = await house.submit_one()
    await house.passes(PATIENCE_S - 1)
    house.zap.window = 10
    house.hub.capacity_changed("zap")
    await house.settle()
    assert house.zap.taken == [], "a second later it would have gone by SMS as well"
    assert ids_of(house.operator.taken) == [message_id]
    assert fallbacks(house, "timeout") == 1


@pytest_twisted.ensureDeferred
async def test_a_queue_of_a_channel_that_goes_down_moves_on_at_once(store: Store) -> None:
    house = await House(store).start()
    house.zap.window = 1
    ids = await house.submit(*(house.message() for _ in range(5)))
    house.zap.up = False
    house.zap.answer(ids[0], ChannelDown("logged out"))
    await house.settle()
    assert sorted(ids_of(house.operator.taken)) == ids
    assert len(house.zap.taken) == 1


@pytest_twisted.ensureDeferred
async def test_an_operator_that_is_down_keeps_its_queue_in_order(store: Store) -> None:
    house = await House(store, SMS_ONLY).start()
    house.operator.up = False
    ids = await house.submit(*(house.message() for _ in range(5)))
    await house.passes(3600)
    assert house.operator.taken == []
    house.operator.up = True
    house.hub.capacity_changed("operator")
    await house.settle()
    assert ids_of(house.operator.taken) == ids


# -- late, early, crossing


@pytest_twisted.ensureDeferred
async def test_delivered_while_the_sms_still_waits_stops_it(store: Store) -> None:
    house = await House(store).start()
    house.operator.up = False
    message_id = await by_whatsapp(house)
    await house.passes(PATIENCE_S)
    assert (await house.read(message_id)).attempts[-1].channel == "operator"
    house.zap.report("zap-1", Status.DELIVERED)
    await house.settle()
    house.operator.up = True
    house.hub.capacity_changed("operator")
    await house.settle()
    assert house.operator.taken == []
    await ended(house, message_id, State.DELIVERED, "zap")
    assert house.metric("pombo_late_acks_total", channel="zap") == 0


@pytest_twisted.ensureDeferred
async def test_delivered_while_the_sms_waits_for_another_try_stops_it(store: Store) -> None:
    house = await House(store).start()
    message_id = await by_whatsapp(house)
    await house.passes(PATIENCE_S)
    house.operator.answer(message_id, TryLater(30.0, "throttled"))
    await house.settle()
    house.zap.report("zap-1", Status.DELIVERED)
    await house.settle()
    await house.passes(60)
    assert len(house.operator.taken) == 1
    await ended(house, message_id, State.DELIVERED, "zap")


@pytest.mark.parametrize("in_hand", [True, False], ids=["in the operator's hands", "sent"])
@pytest_twisted.ensureDeferred
async def test_a_late_acknowledgement_is_recorded_and_changes_no_receipt(store: Store, in_hand: bool) -> None:
    house = await House(store).start()
    message_id = await by_whatsapp(house)
    await house.passes(PATIENCE_S)
    if not in_hand:
        house.operator.accept("77")
        await house.settle()
    for status in (Status.DELIVERED, Status.DELIVERED, Status.READ):
        house.zap.report("zap-1", status)
        await house.settle()
    assert await house.receipts() == []
    if in_hand:
        house.operator.accept("77")
    house.operator.report("77", Status.DELIVERED)
    await house.settle()
    await ended(house, message_id, State.DELIVERED, "operator")
    assert (await house.story(message_id)).count("late") == 2
    assert house.metric("pombo_late_acks_total", channel="zap") == 2


@pytest.mark.parametrize("in_hand", [True, False], ids=["in the second one's hands", "sent by the second one, too"])
@pytest_twisted.ensureDeferred
async def test_what_one_whatsapp_channel_delivers_late_is_not_sent_by_sms_for_the_other_ones_silence(
    store: Store, in_hand: bool
) -> None:
    house = House(store, Route("two", ("zap", "zap2", "operator"), fallback_after=PATIENCE_S))
    second = house.add_channel("zap2", "whatsapp", "0.03")
    await house.start()
    message_id = await by_whatsapp(house)
    await house.passes(PATIENCE_S)
    if not in_hand:
        second.accept("z2")
        await house.settle()
    house.zap.report("zap-1", Status.DELIVERED)
    await house.settle()
    await ended(house, message_id, State.DELIVERED, "zap")
    if in_hand:
        assert second.holding[message_id].final, "the channel looks at this before it writes"
        second.accept("z2")
    second.report("z2", Status.DELIVERED)
    await house.passes(2 * PATIENCE_S)
    await ended(house, message_id, State.DELIVERED, "zap")
    assert house.operator.taken == []
    assert await store.command("SCARD", keys.hand("gw1", "zap2")) == 0


@pytest_twisted.ensureDeferred
async def test_a_late_acknowledgement_after_the_end_only_makes_the_trace_longer(store: Store) -> None:
    house = await House(store).start()
    message_id = await by_whatsapp(house)
    await house.passes(PATIENCE_S)
    house.operator.accept("77")
    house.operator.report("77", Status.DELIVERED)
    await house.settle()
    before = await house.read(message_id)
    house.zap.report("zap-1", Status.DELIVERED)
    await house.settle()
    after = await house.read(message_id)
    assert (after.state, after.decided_by, after.final_at, after.cost) == (
        before.state, before.decided_by, before.final_at, before.cost,
    )  # fmt: skip
    assert len(await house.receipts()) == 1
    assert (await house.story(message_id))[-1] == "late"
    assert await store.command("TTL", keys.message(message_id)) > 0


@pytest_twisted.ensureDeferred
async def test_a_status_that_overtakes_the_answer_of_its_send_is_not_lost(store: Store) -> None:
    house = await House(store).start()
    message_id = await house.submit_one()
    told = house.zap.report("zap-1", Status.DELIVERED)
    await house.settle()
    assert told == [True], "it is kept, so the webhook may be acknowledged"
    house.zap.accept("zap-1")
    await house.settle()
    await ended(house, message_id, State.DELIVERED, "zap")


@pytest_twisted.ensureDeferred
async def test_result_and_status_in_the_same_turn_find_each_other(store: Store) -> None:
    house = await House(store).start()
    message_id = await house.submit_one()
    house.zap.accept("zap-1")
    house.zap.report("zap-1", Status.SENT)
    house.zap.report("zap-1", Status.DELIVERED)
    await house.settle()
    await ended(house, message_id, State.DELIVERED, "zap")


# -- trying again


@pytest_twisted.ensureDeferred
async def test_a_failure_that_may_pass_is_tried_again_on_the_same_channel(store: Store) -> None:
    house = await House(store).start()
    message_id = await house.submit_one()
    for _ in range(3):
        house.zap.answer(message_id, TryLater(30.0, "rate limited", "429"))
        await house.settle()
        await house.passes(29)
        assert house.zap.holding == {}
        await house.passes(1)
    assert len(house.zap.taken) == 4
    assert (await house.read(message_id)).attempts[-1].tries == 3
    house.zap.accept("zap-1")
    house.zap.report("zap-1", Status.DELIVERED)
    await house.settle()
    await ended(house, message_id, State.DELIVERED, "zap")
    assert (await house.story(message_id)).count("decided") == 1


@pytest_twisted.ensureDeferred
async def test_tries_end_with_the_patience_of_the_route(store: Store) -> None:
    house = await House(store).start()
    house.zap.script = lambda _: TryLater(250.0, "rate limited", "429")
    message_id = await house.submit_one()
    for _ in range(13):
        await house.passes(50)
    assert len(house.zap.taken) == 3
    assert ids_of(house.operator.taken) == [message_id]
    assert fallbacks(house, "rate limited") == 1


@pytest_twisted.ensureDeferred
async def test_a_try_of_which_no_word_could_come_in_time_is_not_made_and_the_sms_does_not_wait(store: Store) -> None:
    house = await House(store).start()
    house.zap.script = lambda _: TryLater(PATIENCE_S - 4.0, "throttled", "429")
    message_id = await house.submit_one()
    assert len(house.zap.taken) == 1
    assert ids_of(house.operator.taken) == [message_id], "at once: there is nothing to wait for"
    assert fallbacks(house, "throttled") == 1


@pytest.mark.parametrize("throttles", range(1, 6))
@pytest_twisted.ensureDeferred
async def test_throttled_and_then_taken_is_one_receipt(store: Store, throttles: int) -> None:
    house = await House(store, SMS_ONLY).start()
    message_id = await house.submit_one()
    for _ in range(throttles):
        house.operator.answer(message_id, TryLater(1.0, "throttled", "88", counted=False))
        await house.settle()
        await house.passes(1)
    house.operator.accept("77")
    house.operator.report("77", Status.DELIVERED)
    await house.settle()
    await ended(house, message_id, State.DELIVERED, "operator")
    assert (await house.read(message_id)).cost == "0.08"


@pytest_twisted.ensureDeferred
async def test_what_was_never_written_goes_back_to_the_front_of_the_queue(store: Store) -> None:
    house = await House(store, SMS_ONLY).start()
    house.operator.window = 2
    ids = await house.submit(*(house.message() for _ in range(4)))
    house.operator.up = False
    held = [house.operator.holding.pop(one) for one in ids[:2]]
    house.hub.attempted("operator", [(message, Unwritten("link lost")) for message in reversed(held)])
    await house.settle()
    house.operator.up, house.operator.window = True, 10
    house.hub.capacity_changed("operator")
    await house.settle()
    assert ids_of(house.operator.taken) == [*ids[:2], *ids]


@pytest_twisted.ensureDeferred
async def test_the_only_channel_being_down_is_waited_for(store: Store) -> None:
    house = await House(store, ZAP_ONLY).start()
    message_id = await house.submit_one()
    house.zap.answer(message_id, ChannelDown("provider_down"))
    await house.settle()
    await house.passes(15)
    assert len(house.zap.taken) == 2
    house.zap.accept("zap-1")
    house.zap.report("zap-1", Status.DELIVERED)
    await house.settle()
    await ended(house, message_id, State.DELIVERED, "zap")


# -- ends


@pytest.mark.parametrize(
    ("result", "state", "err"),
    [
        (Refused("invalid destination", "11"), State.REJECTED, 11),
        (Refused("unroutable", "0", rejected=False), State.UNDELIVERABLE, 1),
    ],
)
@pytest_twisted.ensureDeferred
async def test_a_refusal_by_the_last_channel_ends_the_message(
    store: Store, result: AttemptResult, state: State, err: int
) -> None:
    house = await House(store, SMS_ONLY).start()
    house.operator.script = lambda _: result
    message_id = await house.submit_one()
    await ended(house, message_id, state, "operator")
    assert (await house.read(message_id)).err == err
    assert (await house.read(message_id)).cost == "0", "what was refused costs nothing"


@pytest.mark.parametrize("state", [State.UNDELIVERABLE, State.EXPIRED, State.REJECTED, State.DELETED])
@pytest_twisted.ensureDeferred
async def test_a_failure_reported_by_the_network_ends_the_message_as_it_says(store: Store, state: State) -> None:
    house = await House(store, SMS_ONLY).start()
    message_id = await house.submit_one()
    house.operator.accept("77")
    house.operator.report("77", Status.FAILED, state, err="034")
    await house.settle()
    await ended(house, message_id, state, "operator")
    assert (await house.read(message_id)).err == 34


@pytest.mark.parametrize("taken", [True, False], ids=["accepted and never reported", "never taken"])
@pytest_twisted.ensureDeferred
async def test_the_end_of_validity_gives_one_expired_receipt(store: Store, taken: bool) -> None:
    house = await House(store, SMS_ONLY).start()
    house.operator.window = 10 if taken else 0
    message_id = await house.submit_one(expires_at=house.now + 3600)
    if taken:
        house.operator.accept("77")
    await house.passes(3599)
    assert await house.receipts() == []
    await house.passes(1)
    await ended(house, message_id, State.EXPIRED, "operator")
    house.operator.report("77", Status.DELIVERED)
    await house.passes(DAY_S)
    await ended(house, message_id, State.EXPIRED, "operator")
    assert (await house.story(message_id)).count("expired") == 1


@pytest_twisted.ensureDeferred
async def test_a_message_that_expires_in_a_channels_hands_ends_and_is_not_written_any_more(store: Store) -> None:
    house = await House(store, SMS_ONLY).start()
    message_id = await house.submit_one(expires_at=house.now + 60)
    await house.passes(60)
    await ended(house, message_id, State.EXPIRED, "operator")
    assert house.operator.holding[message_id].state is State.EXPIRED, "the channel looks at this before it writes"
    house.operator.answer(message_id, Accepted("77"))
    await house.settle()
    await house.passes(5)
    await ended(house, message_id, State.EXPIRED, "operator")
    assert await store.command("SCARD", keys.hand("gw1", "operator")) == 0
    assert len(house.operator.taken) == 1


@pytest.mark.parametrize("result", [Accepted("77"), Uncertain("timeout")])
@pytest_twisted.ensureDeferred
async def test_a_message_that_has_expired_when_its_channel_answers_is_counted_once(
    store: Store, result: Accepted | Uncertain
) -> None:
    house = await House(store).start()
    message_id = await house.submit_one(expires_at=house.now + 60)
    await house.passes(60)
    house.zap.answer(message_id, result)
    await house.settle()
    await ended(house, message_id, State.EXPIRED, "zap")
    assert house.metric("pombo_final_total", channel="zap", state="expired") == 1


@pytest_twisted.ensureDeferred
async def test_a_message_whose_end_in_a_channels_hands_comes_to_nothing_goes_on(store: Store) -> None:
    """The channel's answer was written first: who wanted to cancel it is told no, and nothing of it may stay."""
    house = await House(store).start()
    message_id = await house.submit_one()
    held = house.zap.holding[message_id]
    house.delivery.ends_in_hand(held, State.DELETED)
    house.delivery.attempted("zap", [(held, NoAccount("provider"))])
    await house.settle()
    assert ids_of(house.operator.taken) == [message_id] and await house.receipts() == []


@pytest_twisted.ensureDeferred
async def test_success_sent_ends_with_the_operators_word_that_it_was_taken(store: Store) -> None:
    house = await House(store, Route("quick", ("operator",), success="sent")).start()
    message_id = await house.submit_one()
    house.operator.accept("77")
    await house.settle()
    await ended(house, message_id, State.DELIVERED, "operator")
    house.operator.report("77", Status.FAILED, State.UNDELIVERABLE)
    await house.settle()
    await ended(house, message_id, State.DELIVERED, "operator")


@pytest_twisted.ensureDeferred
async def test_success_sent_on_whatsapp_needs_its_one_tick(store: Store) -> None:
    house = await House(store, Route("quick", ("zap", "operator"), fallback_after=PATIENCE_S, success="sent")).start()
    message_id = await by_whatsapp(house)
    assert (await house.read(message_id)).state is State.ENROUTE
    house.zap.report("zap-1", Status.SENT)
    await house.settle()
    await ended(house, message_id, State.DELIVERED, "zap")
    await house.passes(2 * PATIENCE_S)
    assert house.operator.taken == []


@pytest.mark.parametrize(("asked", "failure", "success"), [(0, 0, 0), (1, 1, 1), (2, 1, 0), (3, 0, 1)])
@pytest_twisted.ensureDeferred
async def test_a_receipt_is_written_only_when_it_was_asked_for(
    store: Store, asked: int, failure: int, success: int
) -> None:
    house = await House(store, SMS_ONLY).start()
    house.operator.script = lambda message: Accepted("77") if message.source == "ok" else Refused("no", "11")
    good = await house.submit_one(source="ok", registered_delivery=asked)
    bad = await house.submit_one(source="bad", registered_delivery=asked)
    house.operator.report("77", Status.DELIVERED)
    await house.settle()
    await ended(house, good, State.DELIVERED, "operator", receipts=success)
    await ended(house, bad, State.REJECTED, "operator", receipts=failure)


# -- what else is told


@pytest_twisted.ensureDeferred
async def test_a_lookup_is_a_step_of_the_message(store: Store) -> None:
    house = await House(store).start()
    message_id = await house.submit_one()
    house.hub.looked_up(house.zap.holding[message_id], "zap", Lookup("inactive", "provider", 0.2))
    house.zap.answer(message_id, NoAccount("provider"))
    await house.settle()
    trace = [(event.event, event.channel, event.detail) for event in await house.trace(message_id)]
    assert ("lookup", "zap", "inactive (provider)") in trace
    assert house.metric("pombo_lookup_total", channel="zap", result="inactive", origin="provider") == 1
    assert house.metric("pombo_lookup_seconds_count", channel="zap") == 1


@pytest_twisted.ensureDeferred
async def test_a_report_teaches_the_channel_once(store: Store) -> None:
    house = await House(store).start()
    await by_whatsapp(house)
    house.zap.report("zap-1", Status.SENT)
    house.zap.report("zap-1", Status.DELIVERED)
    await house.settle()
    assert [(status, no_account) for _, status, no_account in house.zap.learned] == [
        (Status.SENT, False),
        (Status.DELIVERED, False),
    ]


@pytest_twisted.ensureDeferred
async def test_a_failure_of_what_was_delivered_teaches_nothing(store: Store) -> None:
    house = await House(store).start()
    await by_whatsapp(house)
    house.zap.report("zap-1", Status.DELIVERED)
    await house.settle()
    house.zap.report("zap-1", Status.FAILED, no_account=True)
    await house.settle()
    assert [status for _, status, _ in house.zap.learned] == [Status.DELIVERED]


@pytest_twisted.ensureDeferred
async def test_operators_charge_every_segment_and_whatsapp_the_text(store: Store) -> None:
    house = await House(store).start()
    first = await by_whatsapp(house, segments=3)
    house.zap.report("zap-1", Status.DELIVERED)
    await house.settle()
    house.zap.script = lambda _: NoAccount("cache")
    second = await house.submit_one(segments=3)
    house.operator.accept("77")
    await house.settle()
    assert [(await house.read(one)).cost for one in (first, second)] == ["0.03", "0.24"]
    assert house.metric("pombo_saved_total") == pytest.approx(0.21)
    assert house.metric("pombo_cost_total", channel="operator") == pytest.approx(0.24)


# -- two nodes over one store


@pytest_twisted.ensureDeferred
async def test_two_nodes_that_look_at_the_same_moment_send_one_sms(store: Store) -> None:
    house = await House(store).start()
    other = await House(store, node="gw2", clock=house.clock, incarnation=2).start()
    message_id = await by_whatsapp(house)
    message = await house.read(message_id)
    house.clockwork.stop()
    other.clockwork.stop()
    house.clock.advance(PATIENCE_S)
    house.delivery.moment(message)
    other.delivery.moment(await house.read(message_id))
    await house.settle()
    await other.settle()
    await house.settle()
    assert len(house.operator.taken) + len(other.operator.taken) == 1
    assert (await house.story(message_id)).count("fallback") == 1
    assert fallbacks(house, "timeout") + fallbacks(other, "timeout") == 1


@pytest_twisted.ensureDeferred
async def test_a_report_at_one_node_and_the_timeout_at_the_other_end_in_one_receipt(store: Store) -> None:
    house = await House(store).start()
    other = await House(store, node="gw2", clock=house.clock, incarnation=2).start()
    message_id = await by_whatsapp(house)
    house.operator.up = other.operator.up = False
    message = await house.read(message_id)
    house.clockwork.stop()
    other.clockwork.stop()
    house.clock.advance(PATIENCE_S)
    other.delivery.moment(message)
    house.zap.report("zap-1", Status.DELIVERED)
    for node in (house, other, house, other):
        await node.settle()
    await ended(house, message_id, State.DELIVERED, "zap")
    house.operator.up = other.operator.up = True
    house.hub.capacity_changed("operator")
    other.hub.capacity_changed("operator")
    await house.settle()
    await other.settle()
    assert house.operator.taken == other.operator.taken == []


@pytest_twisted.ensureDeferred
async def test_a_change_meanwhile_does_not_lose_what_the_channel_did(store: Store) -> None:
    house = await House(store, SMS_ONLY).start()
    message_id = await house.submit_one()
    fresh = await house.read(message_id)  # somebody else writes: the revision in the channel's hands is old now
    fresh.cost = "0"
    house.ledger.commit(Turn(fresh, house.now).change())
    await house.settle()
    house.operator.accept("77")
    await house.settle()
    message = await house.read(message_id)
    assert (message.state, message.attempts[-1].state, message.attempts[-1].remote_id) == (
        State.ENROUTE, Attempted.SENT, "77",
    )  # fmt: skip
    assert message.cost == "0.08"
    assert house.metric("pombo_cost_total", channel="operator") == pytest.approx(0.08), "charged once"
    assert house.metric("pombo_sent_total", channel="operator") == 1


# -- from one channel's hands into the next one's


@pytest_twisted.ensureDeferred
async def test_a_fallback_goes_straight_to_an_operator_that_has_room_and_else_waits_in_the_queue(store: Store) -> None:
    house = await House(store).start()
    ids = await house.submit(house.message(), house.message(dest="5511987650002", msisdn="5511987650002"))
    house.operator.window = 1
    for message_id in ids:
        house.zap.answer(message_id, NoAccount("lookup"))
    await house.settle()
    assert ids_of(house.operator.taken) == ids[:1]
    assert await store.command("SMEMBERS", keys.hand("gw1", "operator")) == [ids[0].encode()]
    assert await store.command("SMEMBERS", keys.hand("gw1", "zap")) == []
    waiting = (await house.read(ids[1])).priority
    assert await store.command("LLEN", keys.queue("operator", waiting)) == 1
    house.operator.window = 100
    house.operator.accept()
    await house.settle()
    assert ids_of(house.operator.taken) == ids
    house.operator.accept()
    await house.settle()
    assert house.delivery.dispatchers["operator"]._reserved == 0
    assert (await house.story(ids[0]))[1:] == (await house.story(ids[1]))[1:]


@pytest_twisted.ensureDeferred
async def test_a_fallback_that_comes_too_late_or_is_refused_by_the_store_gives_its_room_back(store: Store) -> None:
    house = await House(store).start()
    dispatcher, ledger = house.delivery.dispatchers["operator"], house.delivery.ledger
    message_id = await house.submit_one()
    house.zap.answer(message_id, NoAccount("lookup"))
    (turn,) = ledger._waiting
    assert isinstance(turn, Turn) and dispatcher._reserved == 1
    ledger._waiting.clear()  # as if the call had failed
    assert not turn.not_kept() and dispatcher._reserved == 0
    other = await by_whatsapp(house, dest="5511987650002", msisdn="5511987650002")
    for _ in range(3):
        house.zap.report("zap-1", Status.FAILED)
    await house.settle()
    assert ids_of(house.operator.taken) == [other] and dispatcher._reserved == 0


@pytest_twisted.ensureDeferred
async def test_no_fallback_overtakes_one_on_its_way_into_the_operators_queue(store: Store) -> None:
    house = await House(store).start()
    ids = await house.submit(house.message(), house.message(), house.message())
    house.operator.window = 0
    house.zap.answer(ids[0], NoAccount("lookup"))
    house.clock.advance(0)  # on its way into the queue; the next turn begins
    house.operator.window = 100
    house.zap.answer(ids[1], NoAccount("lookup"))
    await house.settle()
    assert ids_of(house.operator.taken) == ids[:2]
    house.operator.accept()
    await house.settle()
    house.zap.answer(ids[2], NoAccount("lookup"))
    await house.settle()
    assert ids_of(house.operator.taken) == ids
    assert house.delivery.dispatchers["operator"].coming == 0
