"""From submit to receipt over SMPP: lost answers, throttling, ids in every form, states and errors, forgeries."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest
import pytest_twisted

from gateway.messages.message import Attempted, Mo, Receipt
from gateway.messages.states import State, wants_receipt
from gateway.server import translate
from gateway.smpp.pdu import DataSm, DeliverSm, SubmitSm
from gateway.store.valkey import Store
from tests.fakes.smsc import Reply
from tests.gateway.delivery.operated import OperatedHouse, numbered, receipt_of, taking
from tests.gateway.samples import NUMBER

PAYLOAD, RECEIPTED_MESSAGE_ID, MESSAGE_STATE, CARRIER = 0x0424, 0x001E, 0x0427, 0x1403


async def started(store: Store, script: Any = None, **over: Any) -> OperatedHouse:
    house = OperatedHouse(store, script=script, **over)
    if script is None:
        house.smsc.script = taking(lambda: house)
    return await house.start()


async def got(house: OperatedHouse) -> list[Receipt]:
    return [one for one in await house.receipts() if isinstance(one, Receipt)]


# -- R9: answers that never come


@pytest.mark.parametrize("receipts", ["all", "some"])
@pytest_twisted.ensureDeferred
async def test_lost_answers_double_nothing_and_each_message_ends_by_receipt_or_expiry(
    store: Store, receipts: str
) -> None:
    """One answer in a hundred is lost; of the messages behind them every second one is reported, or all are."""
    chance, count, valid_s = random.Random(9), 1500, 600.0
    lost: dict[bytes, bool] = {}  # text: is it reported?

    def script(pdu: SubmitSm, now: float) -> Reply | None:
        answered = chance.random() >= 0.01
        if not answered:
            lost[pdu.short_message] = receipts == "all" or len(lost) % 2 == 0
        remote_id = house.smsc.new_id()
        if lost.get(pdu.short_message, True):
            house.report(chance.uniform(0.01, 20.0), receipt_of(pdu, remote_id))
        return Reply(message_id=remote_id, after=chance.uniform(0.01, 0.3)) if answered else None

    house = await started(store, script, response_timeout=5.0)
    expires_at = house.now + valid_s
    ids = await house.submit(*(house.message(expires_at=expires_at, **numbered(n)) for n in range(count)))
    await house.run(45, 0.1)
    await house.run(75, 1.0)  # time for reports that the store could not take at first
    assert 5 < len(lost) < 40
    assert len(set(house.texts)) == len(house.texts) == count
    assert house.metric("pombo_unanswered_total", channel="operator") == len(lost)
    assert Counter(one.state for one in await got(house)) == {
        State.DELIVERED: count - sum(not r for r in lost.values())
    }
    house.clock.advance(valid_s)
    await house.run(2, 0.2)
    ended = await got(house)
    assert Counter(one.message_id for one in ended) == Counter(ids)
    expired = {one.message_id for one in ended if one.state is State.EXPIRED}
    assert expired == {i for i, n in zip(ids, range(count), strict=True) if not lost.get(b"ola %d" % n, True)}
    assert len(house.texts) == count


@pytest_twisted.ensureDeferred
async def test_a_link_lost_with_a_full_window_doubles_nothing(store: Store) -> None:
    house = await started(store, lambda pdu, now: None, window=50)
    await house.submit(*(house.message(**numbered(n)) for n in range(200)))
    await house.run(0.2)
    first = len(house.texts)
    house.smsc.script = taking(lambda: house)
    house.smsc.drop()
    await house.run(10, 0.1)
    assert first == 50
    assert len(set(house.texts)) == len(house.texts) == 200
    assert len(await got(house)) == 150


@pytest.mark.parametrize("second", [Reply(status=0x0B, after=2.0), Reply(status=0x08, after=2.0), Reply(after=2.0)])
@pytest_twisted.ensureDeferred
async def test_a_receipt_of_one_never_answered_that_comes_while_another_to_the_number_is_on_its_way_settles_it(
    store: Store, second: Reply
) -> None:
    def script(pdu: SubmitSm, now: float) -> Reply | None:
        if pdu.short_message == b"first":
            house.report(6.0, receipt_of(pdu, "1001"))
            return None
        return second

    house = await started(store, script, response_timeout=5.0)
    first = await house.submit_one(user_data=b"first")
    await house.run(5.5)
    await house.submit_one(user_data=b"second")
    await house.run(4)
    assert (await house.read(first)).state is State.DELIVERED


@pytest.mark.parametrize("answered", [False, True], ids=["never answered", "answered later"])
@pytest.mark.parametrize(("stat", "state"), [("DELIVRD", State.DELIVERED), ("", State.EXPIRED)])
@pytest_twisted.ensureDeferred
async def test_a_receipt_that_has_come_counts_when_the_validity_ends_before_the_answer_comes(
    store: Store, stat: str, state: State, answered: bool
) -> None:
    def script(pdu: SubmitSm, now: float) -> Reply | None:
        if stat:
            house.report(1.0, receipt_of(pdu, "1001", stat, "034"))
        return Reply(message_id="1001", after=15.0) if answered else None

    house = await started(store, script, response_timeout=30.0)
    message_id = await house.submit_one(expires_at=house.now + 10)
    await house.run(9)
    assert await got(house) == []
    await house.run(2)
    assert [(one.message_id, one.state) for one in await got(house)] == [(message_id, state)]
    await house.run(40, 0.5)
    assert len(await got(house)) == len(house.texts) == 1
    assert await store.command("KEYS", "hold:*") == await store.command("KEYS", "park:*") == []


# -- answers that come late


@pytest.mark.parametrize("stat", ["DELIVRD", "UNDELIV"])
@pytest_twisted.ensureDeferred
async def test_an_answer_that_comes_late_names_the_message_for_its_receipt(store: Store, stat: str) -> None:
    """One of two to a number: without the id the receipt would be taken for the older one's."""

    def script(pdu: SubmitSm, now: float) -> Reply | None:
        if pdu.short_message == b"first":
            return None
        house.report(20.0, receipt_of(pdu, "1001", stat, "034"))
        return Reply(message_id="1001", after=7.0)

    house = await started(store, script, response_timeout=5.0, price="0.08")
    first = await house.submit_one(user_data=b"first")
    await house.run(6)
    (second,) = await house.submit(house.message(user_data=b"second"))
    await house.run(8)
    message = await house.read(second)
    assert (message.attempts[-1].state, message.attempts[-1].remote_id) == (Attempted.SENT, "1001")
    assert message.cost == "0.08"
    assert house.metric("pombo_sent_total", channel="operator") == 1
    await house.run(15)
    state = State.DELIVERED if stat == "DELIVRD" else State.UNDELIVERABLE
    assert [(one.message_id, one.state) for one in await got(house)] == [(second, state)]
    assert (await house.read(first)).state is State.ENROUTE
    assert house.texts == [b"first", b"second"]


@pytest.mark.parametrize("status", [0x0B, 0x0A])
@pytest_twisted.ensureDeferred
async def test_a_refusal_that_comes_late_is_the_end_all_the_same(store: Store, status: int) -> None:
    house = await started(store, lambda pdu, now: Reply(status=status, after=7.0), response_timeout=5.0)
    message_id = await house.submit_one()
    await house.run(8)
    assert [(one.message_id, one.state, one.err) for one in await got(house)] == [(message_id, State.REJECTED, status)]
    assert len(house.texts) == 1


@pytest_twisted.ensureDeferred
async def test_a_refusal_for_now_that_comes_late_is_tried_again(store: Store) -> None:
    replies = [Reply(status=0x58, after=7.0)]

    def script(pdu: SubmitSm, now: float) -> Reply:
        return replies.pop() if replies else taking(lambda: house)(pdu, now)  # type: ignore[return-value]

    house = await started(store, script, response_timeout=5.0)
    message_id = await house.submit_one()
    await house.run(20)
    assert [(one.message_id, one.state) for one in await got(house)] == [(message_id, State.DELIVERED)]
    assert len(house.texts) == 2, "the operator has said that it did not take the first one"


@pytest_twisted.ensureDeferred
async def test_an_answer_that_comes_after_the_receipt_changes_nothing_and_names_the_message_for_others(
    store: Store,
) -> None:
    """The receipt comes once more behind it, while another message to the number is held."""

    def script(pdu: SubmitSm, now: float) -> Reply | None:
        if pdu.short_message == b"second":
            return None
        for after_s in (6.0, 9.0):
            house.report(after_s, receipt_of(pdu, "1001"))
        return Reply(message_id="1001", after=7.0)

    house = await started(store, script, response_timeout=5.0)
    first = await house.submit_one(user_data=b"first")
    await house.run(5.5)
    second = await house.submit_one(user_data=b"second")
    await house.run(6)
    assert [(one.message_id, one.state) for one in await got(house)] == [(first, State.DELIVERED)]
    assert (await house.read(second)).state is State.ENROUTE
    assert len(house.texts) == 2


@pytest.mark.parametrize("reply", [Reply(after=7.0), Reply(status=0x0B, after=7.0), Reply(status=0x58, after=7.0)])
@pytest_twisted.ensureDeferred
async def test_an_answer_that_comes_after_the_validity_is_a_step_of_the_trace_and_nothing_else(
    store: Store, reply: Reply
) -> None:
    house = await started(store, lambda pdu, now: reply, response_timeout=5.0)
    message_id = await house.submit_one(expires_at=house.now + 6)
    await house.run(20)
    assert [(one.message_id, one.state) for one in await got(house)] == [(message_id, State.EXPIRED)]
    assert len(house.texts) == 1


@pytest_twisted.ensureDeferred
async def test_what_is_answered_late_while_it_waits_to_be_sent_again_is_not(store: Store) -> None:
    """`unanswered: resend`, at a rate that makes the second try wait for a tenth of a second."""

    def script(pdu: SubmitSm, now: float) -> Reply:
        house.report(10.0, receipt_of(pdu, "1001"))
        return Reply(message_id="1001", after=5.05)

    house = await started(store, script, response_timeout=5.0, unanswered="resend", throughput=0.2)
    message_id = await house.submit_one()
    await house.run(15)
    assert [(one.message_id, one.state) for one in await got(house)] == [(message_id, State.DELIVERED)]
    assert len(house.texts) == 1


@pytest_twisted.ensureDeferred
async def test_what_is_answered_late_while_it_is_on_its_way_again_has_one_end(store: Store) -> None:
    def script(pdu: SubmitSm, now: float) -> Reply:
        remote_id = house.smsc.new_id()
        house.report(10.0, receipt_of(pdu, remote_id))
        return Reply(message_id=remote_id, after=7.0)

    house = await started(store, script, response_timeout=5.0, unanswered="resend")
    message_id = await house.submit_one()
    await house.run(60)
    assert [(one.message_id, one.state) for one in await got(house)] == [(message_id, State.DELIVERED)]


# -- R12: refusals for now


@pytest.mark.parametrize("status", [0x58, 0x14, 0x08, 0x04])
@pytest.mark.parametrize("refusals", range(1, 6))
@pytest_twisted.ensureDeferred
async def test_refused_for_now_so_many_times_and_then_taken_is_one_receipt(
    store: Store, status: int, refusals: int
) -> None:
    left = refusals

    def script(pdu: SubmitSm, now: float) -> Reply:
        nonlocal left
        left -= 1
        return Reply(status=status) if left >= 0 else taking(lambda: house)(pdu, now)  # type: ignore[return-value]

    house = await started(store, script)
    (message_id,) = await house.submit(house.message())
    for _ in range(4000):
        if len(await got(house)):
            break
        await house.run(1, 1)
    await house.run(600, 20)
    (receipt,) = await got(house)
    assert (receipt.message_id, receipt.state, receipt.err) == (message_id, State.DELIVERED, 0)
    assert len(house.texts) == refusals + 1
    assert house.metric("pombo_sent_total", channel="operator") == 1


# -- R10: ids

UUID = "0e99c3a1-27f4-4f6e-9d0a-7b1c2d3e4f50"
IDS = [
    ("1001", "1001"), ("3e9", "1001"), ("3E9", "1001"), ("1001", "3e9"), ("1001", "3E9"), ("0e99", "E99"),
    ("E99", "0e99"), ("abc123", "ABC123"), ("0000001001", "1001"), ("1001", "0000001001"), ("1001", "000003E9"),
    (UUID, UUID.upper()), (UUID, UUID.replace("-", "")), (UUID.replace("-", ""), UUID),
    ("5f2c1d0a", "5f2c1d0a-1"), ("123456789", "123456789/03"), ("1001", '"1001"'), ("4294967295", "ffffffff"),
]  # fmt: skip


def _told_in(how: str, pdu: SubmitSm, reported: str) -> DeliverSm | DataSm:
    match how:
        case "tlv":
            tlvs = ((RECEIPTED_MESSAGE_ID, reported.encode() + b"\0"), (MESSAGE_STATE, b"\2"))
            return receipt_of(pdu, "", esm_class=4, short_message=b"", tlvs=tlvs)
        case "data_sm":
            text = receipt_of(pdu, reported).short_message
            return DataSm(
                source_addr=pdu.destination_addr, destination_addr=pdu.source_addr, esm_class=4, tlvs=((PAYLOAD, text),)
            )
        case "payload":
            return receipt_of(pdu, "", short_message=b"", tlvs=((PAYLOAD, receipt_of(pdu, reported).short_message),))
        case "ucs2":
            text = receipt_of(pdu, reported).short_message.decode().encode("utf-16-be")
            return receipt_of(pdu, "", short_message=b"", tlvs=((PAYLOAD, text),), data_coding=8)
    return receipt_of(pdu, reported)


@pytest.mark.parametrize("how", ["text", "tlv", "data_sm", "payload", "ucs2"])
@pytest.mark.parametrize("early", [False, True], ids=["after", "before the answer"])
@pytest_twisted.ensureDeferred
async def test_every_form_of_an_id_is_known_wherever_it_stands_and_whenever_it_comes(
    store: Store, early: bool, how: str
) -> None:
    told: dict[str, tuple[str, str]] = {numbered(n)["msisdn"]: pair for n, pair in enumerate(IDS)}

    def script(pdu: SubmitSm, now: float) -> Reply:
        answered, reported = told[pdu.destination_addr]
        house.report(0.01 if early else 0.3, _told_in(how, pdu, reported))  # type: ignore[arg-type]
        return Reply(message_id=answered, after=0.1)

    house = await started(store, script)
    wanted = []
    for number in range(len(IDS)):  # one after the other: the same ids come again for other people
        wanted += await house.submit(house.message(**numbered(number)))
        await house.run(0.5)
    assert [(one.message_id, one.state) for one in await got(house)] == [(i, State.DELIVERED) for i in wanted]
    assert house.metric("pombo_unknown_receipts_total", channel="operator") == 0, "an early one is none"


@pytest.mark.parametrize(
    ("reported", "reported_after"),
    [("5001", 0.01), ("5001", 0.3), ("", 0.3)],
    ids=["before the answer", "after it", "without any id"],
)
@pytest_twisted.ensureDeferred
async def test_an_answer_without_an_id_leaves_the_addresses_to_tell_whose_a_receipt_is(
    store: Store, reported: str, reported_after: float
) -> None:
    stats = ["DELIVRD", "UNDELIV", "DELIVRD"]

    def script(pdu: SubmitSm, now: float) -> Reply:
        stat = stats[int(pdu.destination_addr[-1])]
        receipt = receipt_of(pdu, reported and reported + pdu.destination_addr[-1], stat, "034")
        if not reported:
            receipt = receipt_of(pdu, "", short_message=receipt.short_message.removeprefix(b"id: "))
        house.report(reported_after, receipt)
        return Reply(message_id="", after=0.1)

    house = await started(store, script)
    wanted = await house.submit(*(house.message(**numbered(n)) for n in range(3)))
    await house.run(2)
    ends = {one.message_id: (one.state, one.err) for one in await got(house)}
    assert [ends.get(one) for one in wanted] == [
        (State.DELIVERED, 0),
        (State.UNDELIVERABLE, 34),
        (State.DELIVERED, 0),
    ]


@pytest.mark.parametrize("answered", ["not", "without an id", "with the id in another form, later"])
@pytest.mark.parametrize("written", ["11987654321", "011987654321", "551187654321", "1187654321", "+5511987654321"])
@pytest_twisted.ensureDeferred
async def test_the_number_of_a_receipt_may_be_written_as_people_write_it(
    store: Store, written: str, answered: str
) -> None:
    def script(pdu: SubmitSm, now: float) -> Reply | None:
        late = answered.startswith("with the id")
        house.report(0.01 if late else 0.3, receipt_of(pdu, "1001", source_addr=written))
        return None if answered == "not" else Reply(message_id="3e9" if late else "", after=0.1)

    house = await started(store, script, response_timeout=5.0)
    (message_id,) = await house.submit(house.message(msisdn="5511987654321"))
    await house.run(6)
    assert [(one.message_id, one.state) for one in await got(house)] == [(message_id, State.DELIVERED)]


@pytest_twisted.ensureDeferred
async def test_a_receipt_that_names_nobody_is_answered_and_counted(store: Store) -> None:
    house = await started(store)
    pdu = SubmitSm(source_addr="28940", destination_addr=NUMBER)
    house.smsc.deliver(receipt_of(pdu, "never heard of"))
    await house.run(1)
    assert [one.command_status for one in house.smsc.answers] == [0]
    assert house.metric("pombo_unknown_receipts_total", channel="operator") == 1


# -- R15: states and errors

ENDS = {
    "DELIVRD": State.DELIVERED,
    "EXPIRED": State.EXPIRED,
    "DELETED": State.DELETED,
    "UNDELIV": State.UNDELIVERABLE,
    "UNKNOWN": State.UNDELIVERABLE,
    "REJECTD": State.REJECTED,
}
ERRORS = {"000": 1, "034": 34, "999": 999, "1F": 1, "": 1, "00034": 34, "70000": 1}


@pytest.mark.parametrize("asked", [0, 1, 2, 3, 0x11])
@pytest_twisted.ensureDeferred
async def test_every_state_with_every_error_is_told_to_whoever_asked_and_delivered_never_has_one(
    store: Store, asked: int
) -> None:
    cases = [(stat, err) for stat in ENDS for err in ERRORS]
    told = {numbered(n)["msisdn"]: case for n, case in enumerate(cases)}

    def script(pdu: SubmitSm, now: float) -> Reply:
        stat, err = told[pdu.destination_addr]
        remote_id = house.smsc.new_id()
        house.report(0.2, receipt_of(pdu, remote_id, stat, err))
        return Reply(message_id=remote_id)

    house = await started(store, script)
    messages = [house.message(registered_delivery=asked, **numbered(n)) for n in range(len(cases))]
    ids = await house.submit(*messages)
    await house.run(2, 0.1)
    found = {one.message_id: one for one in await got(house) if not one.intermediate}
    for message_id, (stat, err) in zip(ids, cases, strict=True):
        message = await house.read(message_id)
        state = ENDS[stat]
        expected = 0 if state is State.DELIVERED else ERRORS[err]
        assert (message.state, message.err) == (state, expected), (stat, err)
        assert (message_id in found) == wants_receipt(asked, state), (stat, err)
        if message_id in found:
            pdu = translate.deliver_sm(found[message_id], 0x34)
            word = "UNDELIV" if stat == "UNKNOWN" else stat
            assert f" stat:{word} err:{expected:03d} text:".encode() in pdu.short_message
            assert (MESSAGE_STATE, bytes((state,))) in pdu.tlvs


@pytest.mark.parametrize("stat", ["ENROUTE", "ACCEPTD", "SCHEDLD", "BUFFERED"])
@pytest_twisted.ensureDeferred
async def test_a_state_on_the_way_ends_nothing(store: Store, stat: str) -> None:
    house = OperatedHouse(store)
    house.smsc.script = taking(lambda: house, stat=stat)
    await house.start()
    message_id = await house.submit_one(expires_at=house.now + 60)
    await house.run(10, 0.5)
    assert (await house.read(message_id)).state is State.ENROUTE
    house.clock.advance(60)
    await house.run(1)
    assert [one.state for one in await got(house)] == [State.EXPIRED]


# -- forgeries


@pytest.mark.parametrize("esm_class", [0x00, 0x08, 0x10, 0x40, 0x80])
@pytest_twisted.ensureDeferred
async def test_a_person_who_writes_a_perfect_receipt_has_written_a_text(store: Store, esm_class: int) -> None:
    house = await started(store, lambda pdu, now: Reply(message_id="1001"))
    message_id = await house.submit_one()
    await house.run(0.2)
    (_, pdu) = house.smsc.submits[0]
    forged = receipt_of(pdu, "1001", esm_class=esm_class)
    house.smsc.deliver(forged)
    await house.run(1)
    assert (await house.read(message_id)).state is State.ENROUTE
    (mo,) = await house.receipts()
    assert isinstance(mo, Mo)
    delivered = translate.deliver_sm(mo, 0x34)
    assert delivered.short_message == forged.short_message
    assert delivered.esm_class & 0x3C == 0, "no ESME may take it for a receipt either"
    assert [one.command_status for one in house.smsc.answers] == [0]


@pytest_twisted.ensureDeferred
async def test_a_receipt_in_another_form_of_the_id_from_another_number_is_not_believed(store: Store) -> None:
    house = await started(store, lambda pdu, now: Reply(message_id="3e9"))
    message_id = await house.submit_one()
    await house.run(0.2)
    (_, pdu) = house.smsc.submits[0]
    house.smsc.deliver(receipt_of(pdu, "1001", source_addr="5521900000000"))
    await house.run(1)
    assert (await house.read(message_id)).state is State.ENROUTE
    assert house.metric("pombo_unknown_receipts_total", channel="operator") == 1


# -- TLVs that go through


@pytest.mark.parametrize(("passes", "back"), [(None, ()), ((CARRIER,), ((CARRIER, b"72405"),))])
@pytest.mark.parametrize("stat", ["DELIVRD", "UNDELIV"])
@pytest_twisted.ensureDeferred
async def test_the_operators_own_tlvs_reach_the_esme_with_its_receipt(
    store: Store, stat: str, passes: tuple[int, ...] | None, back: tuple[tuple[int, bytes], ...]
) -> None:
    house = OperatedHouse(store, pass_tlvs=passes)
    house.smsc.script = taking(lambda: house, stat=stat, tlvs=((CARRIER, b"72405"), (0x1400, b"x")))
    await house.start()
    await house.submit_one()
    await house.run(1)
    (receipt,) = await got(house)
    assert receipt.tlvs == back
    assert translate.deliver_sm(receipt, 0x34).tlvs[3:] == back


@pytest_twisted.ensureDeferred
async def test_a_receipt_that_came_too_early_keeps_its_tlvs_while_it_is_parked(store: Store) -> None:
    house = OperatedHouse(store, pass_tlvs=(CARRIER,))
    house.smsc.script = lambda pdu, now: (
        house.report(0.05, receipt_of(pdu, "77", tlvs=((CARRIER, b"72405"),))),
        Reply(message_id="77", after=1.0),
    )[1]
    await house.start()
    await house.submit_one()
    await house.run(2)
    (receipt,) = await got(house)
    assert receipt.tlvs == ((CARRIER, b"72405"),)
