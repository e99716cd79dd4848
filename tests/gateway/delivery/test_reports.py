"""From a report to its message: by its id, by another form of it, by the addresses of what was never answered."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import pytest_twisted

from gateway.messages.message import Attempted
from gateway.messages.outcome import Accepted, Report, Status, Uncertain
from gateway.messages.states import State
from gateway.store import keys
from gateway.store.valkey import Store
from tests.gateway.delivery.house import PATIENCE_S, SMS_ONLY, House
from tests.gateway.samples import NUMBER


async def by_sms(house: House, remote_id: str, **fields: Any) -> str:
    """A message that the operator has taken under this id."""
    message_id = await house.submit_one(**fields)
    house.operator.accept(remote_id)
    await house.settle()
    return message_id


async def state(house: House, message_id: str) -> State:
    return (await house.read(message_id)).state


def addressed(**fields: Any) -> dict[str, Any]:
    """The message's own addresses, as a channel puts them into a report."""
    return {"source": "28940", "dest": NUMBER, **fields}


@pytest_twisted.ensureDeferred
async def test_of_which_ids_a_report_has_come_is_known_to_every_node(store: Store) -> None:
    house = await House(store).start()
    await house.submit(*(house.message(dest=f"1198765432{n}") for n in range(5)))
    house.zap.accept("a", "b", "c", "d", "e")
    await house.settle()
    for remote_id, status in (("a", Status.SENT), ("b", Status.DELIVERED), ("c", Status.FAILED)):
        house.zap.report(remote_id, status)
    await house.settle()
    await house.passes(PATIENCE_S)  # the others have fallen back
    other = House(store, node="gw2", incarnation=2, clock=house.clock)
    assert await other.reports.answered("zap", ["a", "b", "c", "d", "e", "f"]) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("given", "reported"),
    [
        ("77", "77"),
        ("0e99", "E99"),
        ("E99", "0e99"),
        ("abc123", "ABC123"),
        ("ABC123", "abc123"),
        ("3737", "E99"),
        ("e99", "3737"),
        ("0000003737", "3737"),
        ("3737", "0000003737"),
        ("3737", "00000e99"),
        ("123e4567-e89b-12d3-a456-426614174000", "123E4567-E89B-12D3-A456-426614174000"),
        ("123e4567-e89b-12d3-a456-426614174000", "123e4567e89b12d3a456426614174000"),
        ("0e99abcd", "0e99abcd-1"),
        ("1099511627775", "ffffffffff"),
        ("00000000-0000-0000-0000-000000000e99", "00000000000000000000000000000E99"),
        ("aBc-0e9X", "ABC-0E9X"),
        ("aBc-0e9X", "abc-0e9x"),
        (f"{'aBc':a<40}", f"{'abc':a<40}"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_a_report_finds_its_message_under_every_form_of_the_id(store: Store, given: str, reported: str) -> None:
    house = await House(store, SMS_ONLY).start()
    message_id = await by_sms(house, given)
    told = house.operator.report(reported, Status.DELIVERED, **addressed())
    await house.settle()
    assert await state(house, message_id) is State.DELIVERED
    assert told == [True]
    assert house.metric("pombo_unknown_receipts_total", channel="operator") == 0


@pytest_twisted.ensureDeferred
async def test_a_status_that_overtakes_the_answer_to_its_send_does_not_count_as_unknown(store: Store) -> None:
    house = await House(store).start()
    await house.submit_one()
    for remote_id in ("zap-1", "a-stranger's"):
        house.zap.report(remote_id, Status.SENT)
        house.zap.report(remote_id, Status.DELIVERED)
    await house.settle()
    house.zap.accept("zap-1")
    await house.settle()
    await house.passes(5)
    assert house.metric("pombo_final_total", channel="zap", state="delivered") == 1
    assert house.metric("pombo_unknown_receipts_total", channel="zap") == 2, "both statuses of the other one"


@pytest_twisted.ensureDeferred
async def test_an_other_form_is_not_believed_for_another_number(store: Store) -> None:
    house = await House(store, SMS_ONLY).start()
    message_id = await by_sms(house, "e99")
    house.operator.report("3737", Status.DELIVERED, **addressed(dest="5521900000000"))
    await house.settle()
    assert await state(house, message_id) is State.ENROUTE
    assert house.metric("pombo_unknown_receipts_total", channel="operator") == 1


@pytest_twisted.ensureDeferred
async def test_the_exact_id_wins_over_another_messages_form(store: Store) -> None:
    house = await House(store, SMS_ONLY).start()
    hexadecimal = await by_sms(house, "1001")
    decimal = await by_sms(house, "3e9")  # 1001 in decimal
    house.operator.report("1001", Status.DELIVERED, **addressed())
    await house.settle()
    assert await state(house, hexadecimal) is State.DELIVERED
    assert await state(house, decimal) is State.ENROUTE


@pytest_twisted.ensureDeferred
async def test_an_exact_id_of_another_number_yields_to_another_form_of_the_id_for_the_right_one(store: Store) -> None:
    """Hexadecimal in answers, decimal in receipts: small numbers meet."""
    house = await House(store, SMS_ONLY).start()
    hexadecimal = await by_sms(house, "1001", msisdn="5521900000000")
    decimal = await by_sms(house, "3e9")
    house.operator.report("1001", Status.DELIVERED, **addressed())
    await house.settle()
    assert [await state(house, one) for one in (hexadecimal, decimal)] == [State.ENROUTE, State.DELIVERED]
    house.operator.report("4097", Status.DELIVERED, **addressed(dest="5521900000000"))
    await house.settle()
    assert await state(house, hexadecimal) is State.DELIVERED


@pytest.mark.parametrize("dest", ["", "5521900000000", "anonymous"])
@pytest_twisted.ensureDeferred
async def test_an_exact_id_is_believed_whatever_number_the_receipt_names_where_nothing_fits_better(
    store: Store, dest: str
) -> None:
    house = await House(store, SMS_ONLY).start()
    message_id = await by_sms(house, "77")
    house.operator.report("77", Status.DELIVERED, **addressed(dest=dest))
    await house.settle()
    assert await state(house, message_id) is State.DELIVERED


@pytest_twisted.ensureDeferred
async def test_ids_that_differ_in_the_case_of_a_letter_are_different_ids(store: Store) -> None:
    house = await House(store, SMS_ONLY).start()
    first = await by_sms(house, "aB1")
    second = await by_sms(house, "Ab1")
    for _ in range(2):  # it comes once more
        house.operator.report("Ab1", Status.DELIVERED, **addressed())
        await house.settle()
    assert [await state(house, one) for one in (first, second)] == [State.ENROUTE, State.DELIVERED]


@pytest_twisted.ensureDeferred
async def test_an_id_that_two_messages_have_means_the_one_to_the_number_of_the_report(store: Store) -> None:
    house = await House(store, SMS_ONLY).start()
    other = "5521900000000"
    ids = [await by_sms(house, "77"), await by_sms(house, "77", msisdn=other), await by_sms(house, "77")]
    house.operator.report("77", Status.FAILED, State.UNDELIVERABLE, **addressed(dest=other))
    await house.settle()
    assert [await state(house, one) for one in ids] == [State.ENROUTE, State.UNDELIVERABLE, State.ENROUTE]
    for _ in range(2):
        house.operator.report("77", Status.DELIVERED, **addressed())
        await house.settle()
    assert [await state(house, one) for one in ids] == [State.DELIVERED, State.UNDELIVERABLE, State.DELIVERED]
    house.operator.report("77", Status.DELIVERED, **addressed())
    await house.settle()
    assert len(await house.receipts()) == 3


@pytest_twisted.ensureDeferred
async def test_a_report_that_comes_twice_is_not_about_another_message_that_was_given_its_id_since(store: Store) -> None:
    house = await House(store, SMS_ONLY).start()
    first = await by_sms(house, "77")
    house.operator.report("77", Status.DELIVERED, **addressed())
    await house.settle()
    second = await by_sms(house, "77", msisdn="5521900000000")
    house.operator.report("77", Status.DELIVERED, **addressed())
    await house.settle()
    assert [await state(house, one) for one in (first, second)] == [State.DELIVERED, State.ENROUTE]


@pytest_twisted.ensureDeferred
async def test_what_was_never_answered_is_settled_although_another_number_has_the_id_of_its_report(
    store: Store,
) -> None:
    house = await House(store, SMS_ONLY).start()
    held = await unanswered(house)
    other = await by_sms(house, "77", msisdn="5521900000000")
    house.operator.report("77", Status.DELIVERED, **addressed())
    await house.settle()
    assert [await state(house, one) for one in (held, other)] == [State.DELIVERED, State.ENROUTE]
    house.operator.report("77", Status.FAILED, State.UNDELIVERABLE, **addressed(dest="5521900000000"))
    await house.settle()
    assert await state(house, other) is State.UNDELIVERABLE


@pytest.mark.parametrize("length", [0, 31, 32, 65, 255, 256, 3000])
@pytest_twisted.ensureDeferred
async def test_an_unknown_id_of_any_length_harms_nothing(store: Store, length: int) -> None:
    house = await House(store, SMS_ONLY).start()
    message_id = await by_sms(house, "77")
    told = house.operator.report("X" * length, Status.DELIVERED, **addressed())
    await house.settle()
    assert told == [True]
    assert await state(house, message_id) is State.ENROUTE


@pytest_twisted.ensureDeferred
async def test_the_id_in_the_text_counts_where_the_tlv_says_nothing_known(store: Store) -> None:
    house = await House(store, SMS_ONLY).start()
    message_id = await by_sms(house, "77")
    house.operator.report("unheard-of", Status.DELIVERED, **addressed(other_ids=("77",)))
    await house.settle()
    assert await state(house, message_id) is State.DELIVERED


@pytest_twisted.ensureDeferred
async def test_ids_of_one_channel_say_nothing_on_another(store: Store) -> None:
    house = await House(store, SMS_ONLY).start()
    message_id = await by_sms(house, "77")
    house.zap.report("77", Status.DELIVERED)
    await house.settle()
    assert await state(house, message_id) is State.ENROUTE


@pytest_twisted.ensureDeferred
async def test_a_whatsapp_id_has_one_form_only(store: Store) -> None:
    house = await House(store).start()
    message_id = await house.submit_one()
    house.zap.accept("3EB0ABC")
    await house.settle()
    house.zap.report("3eb0abc", Status.DELIVERED)
    await house.settle()
    assert await state(house, message_id) is State.ENROUTE


@pytest_twisted.ensureDeferred
async def test_a_message_of_several_ids_is_found_by_each(store: Store) -> None:
    house = await House(store, SMS_ONLY).start()
    message_id = await by_sms(house, "77,78")
    house.operator.report("78", Status.FAILED, State.UNDELIVERABLE, **addressed())
    await house.settle()
    assert await state(house, message_id) is State.UNDELIVERABLE


# -- never answered


async def unanswered(house: House, **fields: Any) -> str:
    message_id = await house.submit_one(**fields)
    house.operator.answer(message_id, Uncertain("timeout"))
    await house.settle()
    return message_id


@pytest_twisted.ensureDeferred
async def test_an_unclaimed_report_for_the_same_addresses_settles_what_was_never_answered(store: Store) -> None:
    house = await House(store, SMS_ONLY).start()
    message_id = await unanswered(house)
    assert (await house.read(message_id)).attempts[-1].state is Attempted.UNCERTAIN
    house.operator.report("77", Status.DELIVERED, **addressed())
    await house.settle()
    assert await state(house, message_id) is State.DELIVERED
    assert len(house.operator.taken) == 1


@pytest_twisted.ensureDeferred
async def test_the_oldest_of_several_unanswered_ones_is_settled_first(store: Store) -> None:
    house = await House(store, SMS_ONLY).start()
    first, second = await unanswered(house), await unanswered(house)
    house.operator.report("77", Status.FAILED, State.UNDELIVERABLE, **addressed())
    await house.settle()
    assert [await state(house, one) for one in (first, second)] == [State.UNDELIVERABLE, State.ENROUTE]
    house.operator.report("78", Status.DELIVERED, **addressed())
    await house.settle()
    assert await state(house, second) is State.DELIVERED


@pytest.mark.parametrize("again", [True, False], ids=["it comes again", "it does not come again"])
@pytest_twisted.ensureDeferred
async def test_a_report_settles_what_was_never_answered_also_when_the_process_dies_over_it(
    store: Store, again: bool
) -> None:
    house = await House(store, SMS_ONLY).start()
    message_id = await unanswered(house)
    house.ledger.commit = lambda turn: None  # type: ignore[method-assign]  # the process dies before it is kept
    told = house.operator.report("77", Status.DELIVERED, **addressed())
    await house.settle()
    assert told == []
    house.die()
    after = await House(store, SMS_ONLY, clock=house.clock, incarnation=2).start()
    if again:
        after.operator.report("77", Status.DELIVERED, **addressed())
    await after.settle()
    assert await state(after, message_id) is State.DELIVERED
    assert len(await after.receipts()) == 1
    assert await store.command("KEYS", keys.parked("operator", "*")) == []


@pytest_twisted.ensureDeferred
async def test_a_report_without_an_id_that_comes_again_after_a_crash_still_settles_it(store: Store) -> None:
    house = await House(store, SMS_ONLY).start()
    message_id = await unanswered(house)
    house.ledger.commit = lambda turn: None  # type: ignore[method-assign]
    house.operator.report("", Status.DELIVERED, **addressed())
    await house.settle()
    house.die()
    after = await House(store, SMS_ONLY, clock=house.clock, incarnation=2).start()
    after.operator.report("", Status.DELIVERED, **addressed())
    await after.settle()
    assert await state(after, message_id) is State.DELIVERED


@pytest_twisted.ensureDeferred
async def test_a_report_that_comes_twice_settles_one_of_several_unanswered_ones(store: Store) -> None:
    house = await House(store, SMS_ONLY).start()
    first, second = await unanswered(house), await unanswered(house)
    for _ in range(2):
        house.operator.report("77", Status.DELIVERED, **addressed())
        await house.settle()
    assert [await state(house, one) for one in (first, second)] == [State.DELIVERED, State.ENROUTE]


@pytest_twisted.ensureDeferred
async def test_a_report_that_came_before_we_gave_up_waiting_settles_the_message_too(store: Store) -> None:
    house = await House(store, SMS_ONLY).start()
    message_id = await house.submit_one()
    house.operator.report("77", Status.DELIVERED, **addressed())
    await house.settle()
    assert await state(house, message_id) is not State.DELIVERED
    house.operator.answer(message_id, Uncertain("timeout"))
    await house.settle()
    assert await state(house, message_id) is State.DELIVERED


@pytest.mark.parametrize("asked", ["LRANGE", "GET"])
@pytest_twisted.ensureDeferred
async def test_such_a_report_settles_it_also_when_the_link_to_the_store_breaks_over_it(
    store: Store, asked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = await House(store, SMS_ONLY).start()
    message_id = await house.submit_one()
    house.operator.report("77", Status.DELIVERED, **addressed())
    await house.settle()
    command, broken = store.command, []

    def breaking(*words: Any, **how: Any) -> Any:
        answer = command(*words, **how)
        if words[0] == asked and not broken:
            broken.append(words)
            store._link.transport.abortConnection()  # type: ignore[union-attr]
        return answer

    monkeypatch.setattr(store, "command", breaking)
    house.delivery.known_by.strangers.clear()  # as in another process than the one that the report came to
    house.operator.answer(message_id, Uncertain("timeout"))
    await house.settle()
    assert broken
    assert (await house.read(message_id)).state is State.DELIVERED


@pytest_twisted.ensureDeferred
async def test_each_of_several_such_reports_settles_one(store: Store) -> None:
    house = await House(store, SMS_ONLY).start()
    ids = await house.submit(*(house.message() for _ in range(3)))
    for remote_id in ("77", "78", "77"):
        house.operator.report(remote_id, Status.DELIVERED, **addressed())
    await house.settle()
    for one in ids:
        house.operator.answer(one, Uncertain("timeout"))
    await house.settle()
    assert sorted([await state(house, one) for one in ids]) == [State.ENROUTE, State.DELIVERED, State.DELIVERED]
    assert await store.command("LRANGE", keys.stray("operator", "28940", NUMBER), "0", "-1") == [b"77", b"78"]


@pytest.mark.parametrize("taken", [False, True], ids=["before it looked", "while it looked"])
@pytest_twisted.ensureDeferred
async def test_such_a_report_settles_it_also_when_the_process_ends(store: Store, taken: bool) -> None:
    house = await House(store, SMS_ONLY).start()
    house.delivery.known_by.look_for_stray = lambda *_: None  # so far it does not come
    message_id = await house.submit_one()
    house.operator.report("77", Status.DELIVERED, **addressed())
    await house.settle()
    house.operator.answer(message_id, Uncertain("stopping"))
    await house.settle()
    [stray] = await store.command("KEYS", keys.stray("operator", "*", "*"))
    if taken:
        assert await store.command("LPOP", stray) == b"77"
    house.die()
    after = await House(store, SMS_ONLY, clock=house.clock, incarnation=2).start()
    await after.settle()
    assert await state(after, message_id) is State.DELIVERED


@pytest.mark.parametrize("other", [{"dest": "5521900000000"}, {"source": "POMBO"}], ids=["dest", "source"])
@pytest_twisted.ensureDeferred
async def test_a_report_for_other_addresses_settles_nothing(store: Store, other: dict[str, str]) -> None:
    house = await House(store, SMS_ONLY).start()
    message_id = await unanswered(house)
    house.operator.report("77", Status.DELIVERED, **addressed(**other))
    await house.settle()
    assert await state(house, message_id) is State.ENROUTE


@pytest_twisted.ensureDeferred
async def test_a_word_that_decides_nothing_settles_nothing(store: Store) -> None:
    house = await House(store, SMS_ONLY).start()
    message_id = await unanswered(house)
    house.operator.report("77", Status.SENT, **addressed())
    await house.settle()
    assert (await house.read(message_id)).attempts[-1].state is Attempted.UNCERTAIN
    house.operator.report("77", Status.DELIVERED, **addressed())
    await house.settle()
    assert await state(house, message_id) is State.DELIVERED


@pytest_twisted.ensureDeferred
async def test_an_answered_message_is_never_settled_by_a_stranger(store: Store) -> None:
    house = await House(store, SMS_ONLY).start()
    message_id = await by_sms(house, "77")
    house.operator.report("99", Status.DELIVERED, **addressed())
    await house.settle()
    assert await state(house, message_id) is State.ENROUTE
    assert house.metric("pombo_unknown_receipts_total", channel="operator") == 1


@pytest_twisted.ensureDeferred
async def test_what_was_never_answered_and_never_reported_expires_and_is_not_sent_again(store: Store) -> None:
    house = await House(store, SMS_ONLY).start()
    message_id = await unanswered(house, expires_at=house.now + 3600)
    await house.passes(3600)
    assert await state(house, message_id) is State.EXPIRED
    assert len(house.operator.taken) == 1


# -- early


@pytest_twisted.ensureDeferred
async def test_a_report_before_the_answer_that_names_it_waits_for_it(store: Store) -> None:
    house = await House(store, SMS_ONLY).start()
    message_id = await house.submit_one()
    told = house.operator.report("77", Status.DELIVERED, **addressed())
    await house.settle()
    assert told == [True]
    assert await store.command("EXISTS", keys.parked("operator", "77")) == 1
    house.operator.accept("77")
    await house.settle()
    assert await state(house, message_id) is State.DELIVERED
    assert await store.command("EXISTS", keys.parked("operator", "77")) == 0


@pytest.mark.parametrize(
    "early",
    [
        *itertools.permutations((Status.SENT, Status.DELIVERED, Status.READ)),
        *itertools.permutations((Status.SENT, Status.DELIVERED)),
        *itertools.permutations((Status.SENT, Status.FAILED, Status.DELIVERED)),
        (Status.READ, Status.READ, Status.SENT, Status.SENT),
    ],
    ids=lambda early: "-".join(status.value for status in early),
)
@pytest_twisted.ensureDeferred
async def test_of_several_early_reports_the_one_that_says_most_counts(store: Store, early: list[Status]) -> None:
    house = await House(store).start()
    message_id = await house.submit_one()
    for status in early:
        house.zap.report("zap-1", status)
        await house.settle()
    house.zap.accept("zap-1")
    await house.settle()
    await house.passes(2 * PATIENCE_S)
    message = await house.read(message_id)
    assert (message.state, message.decided_by) == (State.DELIVERED, "zap")
    assert house.operator.taken == []


@pytest.mark.parametrize("early", [(Status.SENT, Status.FAILED), (Status.FAILED, Status.SENT)])
@pytest_twisted.ensureDeferred
async def test_an_early_failure_is_not_forgotten_over_what_came_before_it(store: Store, early: list[Status]) -> None:
    house = await House(store).start()
    await house.submit_one()
    for status in early:
        house.zap.report("zap-1", status)
        await house.settle()
    house.zap.accept("zap-1")
    await house.settle()
    assert len(house.operator.taken) == 1, "the next channel at once"


@pytest_twisted.ensureDeferred
async def test_an_early_report_in_another_form_of_the_id_finds_its_message_too(store: Store) -> None:
    house = await House(store, SMS_ONLY).start()
    message_id = await house.submit_one()
    house.operator.report("3737", Status.DELIVERED, **addressed())
    await house.settle()
    house.operator.accept("e99")
    await house.settle()
    assert await state(house, message_id) is State.DELIVERED


@pytest_twisted.ensureDeferred
async def test_reports_in_the_same_turn_as_the_answer_find_it(store: Store) -> None:
    house = await House(store, SMS_ONLY).start()
    ids = await house.submit(*(house.message() for _ in range(20)))
    told = []
    for number, message_id in enumerate(ids):
        house.operator.answer(message_id, Accepted(f"r{number}"))
        told.append(house.operator.report(f"r{number}", Status.DELIVERED, **addressed()))
    await house.settle()
    assert {message.state for message in await house.read_all(ids)} == {State.DELIVERED}
    assert told == [[True]] * 20
    assert house.metric("pombo_unknown_receipts_total", channel="operator") == 0


# -- acknowledging


@pytest_twisted.ensureDeferred
async def test_reports_are_acknowledged_once_all_of_them_are_kept(store: Store) -> None:
    house = await House(store, SMS_ONLY).start()
    await by_sms(house, "77")
    await by_sms(house, "78")
    told: list[bool] = []
    reports = [Report("operator", one, Status.DELIVERED, **addressed()) for one in ("77", "unknown", "78", "77", "77")]
    house.hub.reported("operator", reports, told.append)
    assert told == []
    await house.settle()
    assert told == [True]
    assert len(await house.receipts()) == 2


@pytest_twisted.ensureDeferred
async def test_no_reports_need_no_store(store: Store) -> None:
    house = await House(store, SMS_ONLY).start()
    told: list[bool] = []
    house.hub.reported("operator", [], told.append)
    assert told == [True]


@pytest_twisted.ensureDeferred
async def test_while_the_store_is_away_reports_must_come_again(store: Store) -> None:
    house = await House(store, SMS_ONLY).start()
    await by_sms(house, "77")
    await store.stop()
    assert house.operator.report("77", Status.DELIVERED, **addressed()) == [False]
