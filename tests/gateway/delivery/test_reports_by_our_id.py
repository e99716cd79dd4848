"""Reports that carry our own id: they find messages whose send was never answered, or is answered later."""

from __future__ import annotations

import pytest
import pytest_twisted

from gateway.messages.message import Attempted
from gateway.messages.outcome import Accepted, NoAccount, Status, Uncertain
from gateway.messages.states import State
from gateway.store.valkey import Store
from tests.gateway.delivery.house import PATIENCE_S, House, ids_of


async def unanswered(house: House) -> str:
    message_id = await house.submit_one()
    house.zap.answer(message_id, Uncertain("timeout"))
    await house.settle()
    assert (await house.read(message_id)).attempts[-1].state is Attempted.UNCERTAIN
    return message_id


@pytest_twisted.ensureDeferred
async def test_a_status_settles_what_was_never_answered(store: Store) -> None:
    house = await House(store).start()
    message_id = await unanswered(house)
    told = house.zap.report("wamid.1", Status.DELIVERED, message_id=message_id)
    await house.settle()
    message = await house.read(message_id)
    assert (message.state, message.decided_by, told) == (State.DELIVERED, "zap", [True])
    assert len(await house.receipts()) == 1 and house.operator.taken == []


@pytest.mark.parametrize("no_account", [True, False])
@pytest_twisted.ensureDeferred
async def test_a_failure_of_what_was_never_answered_takes_the_next_channel(store: Store, no_account: bool) -> None:
    house = await House(store).start()
    message_id = await unanswered(house)
    house.zap.report("wamid.1", Status.FAILED, message_id=message_id, no_account=no_account, err="131026")
    await house.settle()
    assert ids_of(house.operator.taken) == [message_id]
    assert house.zap.learned == [("5511987654321", Status.FAILED, no_account)]


@pytest_twisted.ensureDeferred
async def test_a_delivery_that_overtakes_its_answer_counts_at_once(store: Store) -> None:
    house = await House(store).start()
    message_id = await house.submit_one()
    for status in (Status.SENT, Status.DELIVERED):
        house.zap.report("wamid.1", status, message_id=message_id)
        await house.settle()
    assert (await house.read(message_id)).state is State.DELIVERED
    house.zap.answer(message_id, Accepted("wamid.1"))
    await house.settle()
    house.zap.report("wamid.1", Status.READ, message_id=message_id)
    await house.settle()
    assert len(await house.receipts()) == 1 and house.operator.taken == []
    assert (await house.story(message_id))[-1] == "read"


@pytest.mark.parametrize("answer", [Accepted("wamid.1"), Uncertain("timeout"), NoAccount("send")])
@pytest_twisted.ensureDeferred
async def test_a_failure_that_overtakes_its_answer_moves_the_message_on_once(
    store: Store, answer: Accepted | Uncertain | NoAccount
) -> None:
    house = await House(store).start()
    message_id = await house.submit_one()
    house.zap.report("wamid.1", Status.FAILED, message_id=message_id, err="131049")
    await house.settle()
    assert ids_of(house.operator.taken) == [message_id]
    house.zap.answer(message_id, answer)
    await house.settle()
    message = await house.read(message_id)
    assert [(one.channel, one.state) for one in message.attempts] == [
        ("zap", Attempted.FAILED),
        ("operator", Attempted.WAITING),
    ]
    house.operator.accept("77")
    await house.settle()
    house.operator.report("77", Status.DELIVERED)
    await house.settle()
    await house.passes(2 * PATIENCE_S)
    message = await house.read(message_id)
    assert (message.state, message.decided_by) == (State.DELIVERED, "operator")
    assert len(await house.receipts()) == 1 and len(house.operator.taken) == 1


@pytest_twisted.ensureDeferred
async def test_a_failure_that_may_be_mended_goes_to_the_same_channel_once_more(store: Store) -> None:
    house = await House(store).start()
    message_id = await house.submit_one()
    house.zap.accept("wamid.1")
    await house.settle()
    for _ in range(3):  # webhooks come in copies
        house.zap.report("wamid.1", Status.FAILED, message_id=message_id, err="131047", again_s=0.0)
        await house.settle()
    assert len(house.zap.taken) == 2 and house.operator.taken == []
    house.zap.accept("wamid.2")
    await house.settle()
    house.zap.report("wamid.1", Status.FAILED, message_id=message_id, err="131047", again_s=0.0)
    house.zap.report("wamid.2", Status.DELIVERED, message_id=message_id)
    await house.settle()
    message = await house.read(message_id)
    assert (message.state, message.decided_by) == (State.DELIVERED, "zap")
    assert len(house.zap.taken) == 2 and len(await house.receipts()) == 1 and house.operator.taken == []


@pytest.mark.parametrize("named", ["nobody", "another channel's"])
@pytest_twisted.ensureDeferred
async def test_an_id_that_was_not_this_channels_changes_nothing(store: Store, named: str) -> None:
    house = await House(store).start()
    message_id = await house.submit_one()
    house.zap.accept("wamid.1")
    await house.settle()
    known = message_id if named != "nobody" else "gw9-nobody"
    told = house.operator.report("wamid.9", Status.DELIVERED, message_id=known)
    await house.settle()
    assert (await house.read(message_id)).state is State.ENROUTE and told == [True]
    assert house.metric("pombo_unknown_receipts_total", channel="operator") == 1


@pytest_twisted.ensureDeferred
async def test_what_is_given_up_in_silence_is_not_waited_for(store: Store) -> None:
    house = await House(store).start()
    message_id = await house.submit_one()
    house.zap.answer(message_id, Accepted("wamid.1", lives_s=30.0))
    await house.settle()
    await house.passes(29.0)
    assert house.operator.taken == []
    await house.passes(2.0)
    assert ids_of(house.operator.taken) == [message_id]
