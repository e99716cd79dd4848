"""query_sm, cancel_sm and replace_sm over messages in every stage of their journey."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest
import pytest_twisted
from twisted.internet.defer import ensureDeferred

from gateway.messages.outcome import Accepted, Status, TryLater, Uncertain
from gateway.messages.states import State
from gateway.smpp.constants import CommandStatus
from gateway.store.valkey import Store
from tests.gateway.delivery.house import PATIENCE_S, SMS_ONLY, House, ids_of
from tests.gateway.samples import NUMBER

OK = CommandStatus.ESME_ROK
NO_MESSAGE = CommandStatus.ESME_RINVMSGID
CANNOT_CANCEL = CommandStatus.ESME_RCANCELFAIL
CANNOT_REPLACE = CommandStatus.ESME_RREPLACEFAIL
T = TypeVar("T")


async def asked(house: House, work: Coroutine[Any, Any, T]) -> T:
    answer = ensureDeferred(work)
    await house.settle()
    return await answer


async def cancel(house: House, message_id: str, source: str = "28940", dest: str = "", service_type: str = "") -> int:
    return await asked(house, house.operations.cancel("billing", message_id, source, dest, service_type))


async def replace(
    house: House, message_id: str, schedule_at: float | None = None, expires_at: float | None = None,
    user_data: bytes = b"another text", registered_delivery: int = 1, source: str = "28940",
) -> int:  # fmt: skip
    return await asked(
        house,
        house.operations.replace(
            "billing", message_id, source, schedule_at, expires_at, registered_delivery, user_data
        ),
    )


# -- query


@pytest_twisted.ensureDeferred
async def test_a_query_tells_the_state_and_when_it_was_reached(store: Store) -> None:
    house = await House(store, SMS_ONLY).start()
    message_id = await house.submit_one()
    for _ in range(2):  # before and after the operator has it
        answer = await asked(house, house.operations.query("billing", message_id, "28940"))
        assert tuple(answer) == (OK, message_id, "", State.ENROUTE, 0)
        house.operator.accept("77")
        await house.settle()
    house.operator.report("77", Status.FAILED, State.UNDELIVERABLE, err="034")
    await house.settle()
    answer = await asked(house, house.operations.query("billing", message_id, ""))
    assert (answer.command_status, answer.message_state, answer.error_code) == (OK, State.UNDELIVERABLE, 34)
    assert len(answer.final_date) == 16
    assert answer.final_date.endswith("000+")


@pytest.mark.parametrize(
    ("account", "message_id", "source"),
    [("billing", "unknown", "28940"), ("shop", "", "28940"), ("billing", "", "POMBO")],
    ids=["no such id", "another account's", "another source"],
)
@pytest_twisted.ensureDeferred
async def test_only_the_account_and_the_source_that_sent_it_may_ask(
    store: Store, account: str, message_id: str, source: str
) -> None:
    house = await House(store, SMS_ONLY).start()
    known = await house.submit_one()
    answer = await asked(house, house.operations.query(account, message_id or known, source))
    assert (answer.command_status, answer.message_id) == (NO_MESSAGE, message_id or known)


@pytest_twisted.ensureDeferred
async def test_a_joined_text_has_no_name_for_anybody(store: Store) -> None:
    house = await House(store).start()
    ids = await house.submit(house.part(1, 2), house.part(2, 2))
    text = (await house.read(ids[0])).joined_in
    answer = await asked(house, house.operations.query("billing", text, ""))
    assert answer.command_status == NO_MESSAGE
    assert await cancel(house, text, "") == NO_MESSAGE


# -- cancel


@pytest_twisted.ensureDeferred
async def test_what_no_channel_has_yet_can_be_cancelled(store: Store) -> None:
    house = await House(store, SMS_ONLY).start()
    house.operator.window = 0
    message_id = await house.submit_one()
    assert await cancel(house, message_id) == OK
    house.operator.window = 10
    house.hub.capacity_changed("operator")
    await house.settle()
    assert house.operator.taken == []
    (receipt,) = await house.receipts()
    assert (receipt.message_id, receipt.state) == (message_id, State.DELETED)
    assert (await house.story(message_id))[-2:] == ["cancelled", "receipt_queued"]
    assert await cancel(house, message_id) == CANNOT_CANCEL, "it is over"


@pytest.mark.parametrize("looks", range(6))
@pytest_twisted.ensureDeferred
async def test_a_joined_text_that_a_channel_takes_at_that_moment_is_cancelled_or_sent_and_the_answer_says_which(
    store: Store, looks: int
) -> None:
    """The channel is free again when the store has been asked so many times."""
    house = await House(store).start()
    house.zap.window = 0
    ids = await house.submit(house.part(1, 2), house.part(2, 2))
    answer = ensureDeferred(house.operations.cancel("billing", ids[0], "28940", "", ""))
    for _ in range(looks):
        house.clock.advance(0)
        await store.command("PING")
    house.zap.window = 10
    house.hub.capacity_changed("zap")
    await house.settle()
    status = await answer
    sent = len(house.zap.taken)
    assert (status, sent) in ((OK, 0), (CANNOT_CANCEL, 1))
    state = State.ACCEPTED if sent else State.DELETED
    assert [message.state for message in await house.read_all(ids)] == [state] * 2


@pytest_twisted.ensureDeferred
async def test_a_scheduled_message_can_be_cancelled_and_never_goes(store: Store) -> None:
    house = await House(store).start()
    message_id = await house.submit_one(schedule_at=house.now + 60)
    assert await cancel(house, message_id) == OK
    await house.passes(120)
    assert house.zap.taken == []


@pytest_twisted.ensureDeferred
async def test_a_message_that_waits_for_another_try_can_be_cancelled(store: Store) -> None:
    house = await House(store, SMS_ONLY).start()
    message_id = await house.submit_one()
    house.operator.answer(message_id, TryLater(30, "throttled"))
    await house.settle()
    assert await cancel(house, message_id) == OK
    await house.passes(60)
    assert len(house.operator.taken) == 1


@pytest.mark.parametrize("result", [Accepted("zap-1"), Uncertain("timeout")], ids=["sent", "unanswered"])
@pytest_twisted.ensureDeferred
async def test_a_message_that_waits_for_word_from_whatsapp_can_be_cancelled(store: Store, result: Any) -> None:
    house = await House(store).start()
    message_id = await house.submit_one()
    house.zap.answer(message_id, result)
    await house.settle()
    assert await cancel(house, message_id) == OK
    await house.passes(2 * PATIENCE_S)
    assert house.operator.taken == []


@pytest_twisted.ensureDeferred
async def test_an_sms_that_waits_after_whatsapp_was_silent_can_be_cancelled(store: Store) -> None:
    house = await House(store).start()
    house.operator.window = 0
    message_id = await house.submit_one()
    house.zap.accept("zap-1")
    await house.passes(PATIENCE_S)
    assert await cancel(house, message_id) == OK


@pytest_twisted.ensureDeferred
async def test_what_a_channel_has_in_its_hands_cannot_be_cancelled(store: Store) -> None:
    house = await House(store).start()
    assert await cancel(house, await house.submit_one()) == CANNOT_CANCEL


@pytest_twisted.ensureDeferred
async def test_what_the_operator_has_cannot_be_cancelled(store: Store) -> None:
    house = await House(store, SMS_ONLY).start()
    message_id = await house.submit_one()
    house.operator.accept("77")
    await house.settle()
    assert await cancel(house, message_id) == CANNOT_CANCEL


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"source": "POMBO"}, NO_MESSAGE),
        ({"dest": "21 91234-5678"}, NO_MESSAGE),
        ({"dest": "11 98765 4321"}, OK),
        ({"source": ""}, OK),
    ],
)
@pytest_twisted.ensureDeferred
async def test_source_and_destination_must_be_the_messages_when_they_are_given(
    store: Store, fields: dict[str, str], status: int
) -> None:
    house = await House(store).start()
    house.zap.window = 0
    assert await cancel(house, await house.submit_one(), **fields) == status


@pytest_twisted.ensureDeferred
async def test_an_empty_id_cancels_all_that_waits_from_that_source_to_that_destination(store: Store) -> None:
    house = await House(store).start()
    house.zap.window = 0
    ids = await house.submit(
        house.message(), house.message(source="POMBO"), house.message(), house.message(account="shop")
    )
    others = await house.submit(house.message(msisdn="5521912345678", dest="21 91234-5678"))
    assert await cancel(house, "", dest="011 98765-4321") == OK
    states = [message.state for message in await house.read_all([*ids, *others])]
    assert [state is State.DELETED for state in states] == [True, False, True, False, False]
    assert await cancel(house, "", dest="011 98765-4321") == CANNOT_CANCEL, "nothing is left"


@pytest_twisted.ensureDeferred
async def test_an_empty_id_cancels_what_many_younger_messages_to_the_number_hide(store: Store) -> None:
    house = await House(store).start()
    house.zap.window = 0
    ids = await house.submit(*(house.message() for _ in range(300)))
    await house.submit(*(house.message(source="POMBO") for _ in range(100)))
    assert await cancel(house, "", dest=NUMBER) == OK
    assert {message.state for message in await house.read_all(ids)} == {State.DELETED}


@pytest_twisted.ensureDeferred
async def test_an_empty_id_with_a_service_type_cancels_only_those(store: Store) -> None:
    house = await House(store).start()
    house.zap.window = 0
    first, second = await house.submit(house.message(service_type="CMT"), house.message(service_type="OTP"))
    assert await cancel(house, "", dest=NUMBER, service_type="OTP") == OK
    assert [(await house.read(one)).state for one in (first, second)] == [State.ACCEPTED, State.DELETED]


@pytest_twisted.ensureDeferred
async def test_an_empty_id_and_no_readable_destination_names_nothing(store: Store) -> None:
    house = await House(store).start()
    assert await cancel(house, "", dest="nobody") == NO_MESSAGE
    assert await cancel(house, "", dest=NUMBER) == CANNOT_CANCEL


@pytest_twisted.ensureDeferred
async def test_a_cancel_that_crosses_a_lease_loses_cleanly(store: Store) -> None:
    house = await House(store, SMS_ONLY).start()
    house.operator.window = 0
    message_id = await house.submit_one()
    cancelling = ensureDeferred(house.operations.cancel("billing", message_id, "", "", ""))
    await store.call("lease", "operator", "1", "hand:gw2:operator")  # another node, between the read and the write
    await house.settle()
    assert await cancelling == CANNOT_CANCEL
    assert (await house.read(message_id)).in_hand
    assert await house.receipts() == []


# -- replace


@pytest_twisted.ensureDeferred
async def test_a_waiting_message_gets_another_text(store: Store) -> None:
    house = await House(store, SMS_ONLY).start()
    house.operator.window = 0
    message_id = await house.submit_one()
    assert await replace(house, message_id, registered_delivery=0) == OK
    house.operator.window = 10
    house.hub.capacity_changed("operator")
    await house.settle()
    (taken,) = house.operator.taken
    assert (taken.id, taken.user_data, taken.registered_delivery) == (message_id, b"another text", 0)
    assert "replaced" in await house.story(message_id)


@pytest_twisted.ensureDeferred
async def test_a_longer_text_costs_what_it_is_long(store: Store) -> None:
    house = await House(store, SMS_ONLY).start()
    house.operator.window = 0
    message_id = await house.submit_one()
    assert await replace(house, message_id, user_data=b"x" * 200) == OK
    assert (await house.read(message_id)).segments == 2


@pytest_twisted.ensureDeferred
async def test_a_scheduled_message_can_be_moved(store: Store) -> None:
    house = await House(store).start()
    message_id = await house.submit_one(schedule_at=house.now + 60)
    began = house.now
    assert await replace(house, message_id, schedule_at=began + 600) == OK
    await house.passes(500)
    assert house.zap.taken == []
    await house.passes(100)
    assert ids_of(house.zap.taken) == [message_id]


@pytest_twisted.ensureDeferred
async def test_a_message_in_a_queue_can_be_put_off(store: Store) -> None:
    house = await House(store).start()
    house.zap.window = 0
    message_id = await house.submit_one()
    assert await replace(house, message_id, schedule_at=house.now + 600) == OK
    house.zap.window = 10
    house.hub.capacity_changed("zap")
    await house.passes(500)
    assert house.zap.taken == []
    assert (await house.read(message_id)).state is State.SCHEDULED
    await house.passes(100)
    assert ids_of(house.zap.taken) == [message_id]


@pytest_twisted.ensureDeferred
async def test_a_scheduled_message_can_be_called_forward(store: Store) -> None:
    house = await House(store).start()
    message_id = await house.submit_one(schedule_at=house.now + 600)
    assert await replace(house, message_id, schedule_at=0.0) == OK
    await house.passes(1)
    assert ids_of(house.zap.taken) == [message_id]


@pytest_twisted.ensureDeferred
async def test_what_is_put_off_beyond_its_validity_is_sent_all_the_same(store: Store) -> None:
    house = await House(store).start()
    message_id = await house.submit_one(schedule_at=house.now + 60, expires_at=house.now + 360)
    began = house.now
    assert await replace(house, message_id, schedule_at=began + 600) == OK
    await house.passes(601)
    assert ids_of(house.zap.taken) == [message_id]
    assert (await house.read(message_id)).expires_at == pytest.approx(began + 900)


@pytest_twisted.ensureDeferred
async def test_a_validity_that_ends_before_the_schedule_is_refused(store: Store) -> None:
    house = await House(store).start()
    message_id = await house.submit_one(schedule_at=house.now + 600)
    assert await replace(house, message_id, expires_at=house.now + 60) == CommandStatus.ESME_RINVEXPIRY
    assert (await house.read(message_id)).user_data != b"another text"


@pytest_twisted.ensureDeferred
async def test_a_new_validity_counts_from_now_on(store: Store) -> None:
    house = await House(store, SMS_ONLY).start()
    house.operator.window = 0
    message_id = await house.submit_one()
    assert await replace(house, message_id, expires_at=house.now + 60) == OK
    await house.passes(60)
    assert (await house.read(message_id)).state is State.EXPIRED


@pytest_twisted.ensureDeferred
async def test_what_a_channel_has_or_had_cannot_be_replaced(store: Store) -> None:
    house = await House(store).start()
    in_hand = await house.submit_one()
    assert await replace(house, in_hand) == CANNOT_REPLACE
    house.zap.answer(in_hand, TryLater(30, "429"))
    await house.settle()
    assert await replace(house, in_hand) == CANNOT_REPLACE
    (part,) = await house.submit(house.part(1, 2))
    assert await replace(house, part) == CANNOT_REPLACE
    assert await replace(house, "unknown") == NO_MESSAGE
    assert await replace(house, in_hand, source="POMBO") == NO_MESSAGE
