"""Which session of an account gets a receipt."""

from __future__ import annotations

from collections import Counter

import pytest

from gateway.messages.message import Receipt
from gateway.messages.outcome import ANSWERED_LATE
from gateway.server.bound import FEW, RIDE_S, Done, Item
from gateway.smpp.pdu import DeliverSm, DeliverSmResp, EnquireLink, EnquireLinkResp, GenericNack, SubmitSmResp, Unbind
from tests.gateway.server.house import START, Esme, House, account, logged, mo, receipt


def deliver(house: House, count: int = 1, first: int = 1, done: list[int | None] | None = None) -> list[bool]:
    answers = [] if done is None else done
    return [house.deliver(receipt(str(first + n)), answers.append) for n in range(count)]


def deliveries(esme: Esme) -> list[str]:
    return [pdu.short_message.split()[0].decode() for pdu in esme.take() if isinstance(pdu, DeliverSm)]


@pytest.mark.parametrize(("kind", "receives"), [("tx", False), ("rx", True), ("trx", True)])
def test_only_receivers_and_transceivers_receive(kind: str, receives: bool) -> None:
    house = House()
    esme = house.bind(kind)
    assert house.bound.receivers("billing") == (100 if receives else 0)
    assert deliver(house) == [receives]
    assert deliveries(esme) == (["id:1"] if receives else [])


def test_nobody_bound_takes_nothing() -> None:
    assert deliver(House()) == [False]


def test_another_accounts_session_gets_nothing() -> None:
    house = House(account(), account("other"))
    other = house.bind(system_id="other")
    assert deliver(house) == [False] and other.take() == []


def test_deliveries_stop_at_the_accounts_window_and_go_on_as_answers_come() -> None:
    house = House(account(window=2))
    woken: list[str] = []
    house.bound.on_receiver = woken.append
    esme = house.bind()
    done: list[int | None] = []
    assert woken == ["billing"]
    assert deliver(house, 3, done=done) == [True, True, False]
    assert house.bound.receivers("billing") == 0 and done == []
    esme.acknowledge()
    assert done == [0, 0] and house.bound.receivers("billing") == 2
    assert woken == ["billing"] * 2, "once for the bind, once for two answers in one read"


def test_answers_wake_nobody_while_there_is_room() -> None:
    house = House(account(window=3))
    woken: list[str] = []
    esme = house.bind()
    house.bound.on_receiver = woken.append
    deliver(house, 2)
    esme.acknowledge()
    assert woken == [] and house.bound.receivers("billing") == 3
    deliver(house, 3)
    esme.acknowledge()
    assert woken == ["billing"]


def test_the_emptiest_window_goes_first_and_equals_take_turns() -> None:
    house = House(account(window=10))
    esmes = [house.bind(kind) for kind in ("trx", "rx", "trx")]
    deliver(house, 9)
    shares = [deliveries(esme) for esme in esmes]
    assert [len(share) for share in shares] == [3, 3, 3]
    esmes[1].send(*(DeliverSmResp(n) for n in (1, 2, 3)))
    deliver(house, 3)
    assert [len(deliveries(esme)) for esme in esmes] == [0, 3, 0]


def test_an_answer_of_the_esme_is_handed_on() -> None:
    house = House()
    esme = house.bind()
    done: list[int | None] = []
    deliver(house, 3, done=done)
    one, two, three = esme.take()
    esme.send(
        DeliverSmResp(two.sequence_number, 0x64),
        GenericNack(one.sequence_number, 0x03),
        GenericNack(three.sequence_number),
    )
    assert done == [0x64, 0x03, 0x08]


def test_an_unanswered_receipt_goes_to_another_session_next() -> None:
    house = House(response_timeout=10.0, enquire_link=60.0)
    silent, other = house.bind(), house.bind("rx")
    done: list[int | None] = []
    house.deliver(receipt("9"), done.append)
    first, second = (silent, other) if deliveries(silent) == ["id:9"] else (other, silent)
    house.clock.advance(10.0)
    assert done == [None]
    first.take()
    for _ in range(4):
        house.deliver(receipt("9"), done.append)
        assert deliveries(second) == ["id:9"]
        assert deliveries(first) == []


def test_a_single_session_gets_its_unanswered_receipt_again() -> None:
    house = House(response_timeout=10.0, enquire_link=60.0)
    esme = house.bind()
    done: list[int | None] = []
    deliver(house, done=done)
    house.clock.advance(10.0)
    assert done == [None]
    esme.take()
    assert deliver(house) == [True] and deliveries(esme) == ["id:1"]


def test_an_answer_that_comes_too_late_is_told_all_the_same() -> None:
    house = House(response_timeout=10.0, enquire_link=60.0)
    esme = house.bind()
    done: list[int | None] = []
    deliver(house, done=done)
    house.clock.advance(10.0)
    esme.acknowledge()
    assert done == [None, ANSWERED_LATE]
    deliver(house, done=done)
    house.clock.advance(10.0)
    esme.acknowledge(0x64)
    assert done == [None, ANSWERED_LATE, None], "a refusal says nothing new"


def test_a_session_that_says_it_cannot_receive_is_avoided() -> None:
    house = House()
    esmes = [house.bind(), house.bind()]
    done: list[int | None] = []
    asked = Counter[int]()
    deliver(house, done=done)
    (first,) = [esme for esme in esmes if esme.acknowledge(0x04)]
    assert done == [0x04]
    for _ in range(4):
        deliver(house, done=done)
        for number, esme in enumerate(esmes):
            asked[number] += len(esme.acknowledge(0x04 if esme is first else 0x64))
    assert asked[esmes.index(first)] == 0


def test_a_lost_link_gives_its_receipts_back() -> None:
    house = House()
    esme = house.bind()
    done: list[int | None] = []
    deliver(house, 3, done=done)
    esme.lose()
    assert done == [None, None, None]
    assert house.bound.receivers("billing") == 0 and house.bound.status() == {}


def test_a_receipt_that_is_given_back_may_be_delivered_from_within() -> None:
    house = House()
    lost = house.bind()

    def again(status: int | None) -> None:
        assert house.deliver(receipt("1"), lambda status: None)

    house.deliver(receipt("1"), again)
    other = house.bind()
    lost.lose()
    assert deliveries(other) == ["id:1"]


def test_what_smpp_cannot_say_is_refused_for_good() -> None:
    house = House()
    esme = house.bind()
    done: list[int | None] = []
    assert house.deliver(mo(source="55\x0711"), done.append)
    assert done == []
    house.clock.advance(0)
    assert done == [0x66] and esme.take() == [] and house.bound.receivers("billing") == 100


def test_an_error_in_the_callback_hurts_nobody() -> None:
    house = House()
    esme = house.bind()
    done: list[int | None] = []
    house.deliver(receipt("1"), lambda status: 1 / 0)  # type: ignore[arg-type]
    house.deliver(receipt("2"), done.append)
    esme.acknowledge()
    assert done == [0] and not esme.closing


def test_one_silent_account_leaves_the_others_their_windows() -> None:
    house = House(account(window=5), account("other", window=5))
    house.bind()
    other = house.bind(system_id="other")
    deliver(house, 6)
    done: list[int | None] = []
    for n in range(50):
        assert house.deliver(receipt(str(n)), done.append, "other")
        other.acknowledge()
    assert done == [0] * 50


def test_status_lists_the_binds_of_each_account() -> None:
    house = House(account(), account("other"))
    house.bind("tx"), house.bind("rx"), house.bind("trx", "other")
    row = {"peer": "127.0.0.1:40000", "since": "2026-09-21T14:13:20Z"}
    assert house.bound.status() == {
        "billing": [{"type": "transmitter", **row}, {"type": "receiver", **row}],
        "other": [{"type": "transceiver", **row}],
    }
    assert house.bound.count("billing") == 2


def test_flush_writes_before_the_turn_ends() -> None:
    house = House()
    esme = house.bind()
    deliver(house, 2)
    assert esme.transport.value() == b""
    house.bound.flush()
    assert len(esme.transport.value()) > 200
    written = len(esme.transport.value())
    house.clock.advance(0)
    assert len(esme.transport.value()) == written


class Recorder:
    """A session that notes what it is asked to do."""

    account, bind_type, peer, since, room = "billing", "transceiver", "127.0.0.1:40000", START, 10

    def __init__(self) -> None:
        self.done: list[str] = []

    def deliver(self, item: Item, done: Done, now: float) -> None:
        assert isinstance(item, Receipt)
        self.done.append(item.message_id)

    def flush(self) -> None:
        self.done.append("write")

    def end(self) -> None: ...


def test_what_is_to_be_done_at_the_end_of_a_turn_is_done_once_before_the_one_write() -> None:
    house, link = House(), Recorder()
    house.bound.add(link)
    deliver(house)
    house.bound.at_end_of_turn(lambda: deliver(house, first=2) and None)
    house.bound.at_end_of_turn(lambda: deliver(house, first=3) and None)
    assert link.done == ["1"]
    house.clock.advance(0)
    house.clock.advance(0)
    assert link.done == ["1", "2", "3", "write"]


def test_a_failure_at_the_end_of_a_turn_keeps_nothing_behind_it_from_being_done() -> None:
    house = House()
    esme = house.bind()
    esme.take()
    deliver(house)
    house.bound.at_end_of_turn(lambda: 1 / 0 and None)
    house.bound.at_end_of_turn(lambda: deliver(house, first=2) and None)
    with logged() as lines:
        house.clock.advance(0)
    assert deliveries(esme) == ["id:1", "id:2"] and "end of a turn" in lines[0]


def test_what_the_end_of_a_turn_asks_for_comes_after_what_it_writes() -> None:
    house, link = House(), Recorder()
    house.bound.add(link)
    deliver(house)
    house.bound.at_end_of_turn(lambda: house.bound.at_end_of_turn(lambda: link.done.append("next")))
    house.clock.advance(0)
    assert link.done == ["1", "write", "next"]


def crowd(house: House, done: list[int | None] | None = None) -> list[Esme]:
    """More sessions than few, with a receipt each in the same turn."""
    esmes = [house.bind() for _ in range(FEW + 1)]
    deliver(house, len(esmes), done=done)
    house.clock.advance(0)
    return esmes


def kinds(esme: Esme) -> list[type]:
    return [type(pdu) for pdu in esme.take()]


def test_receipts_of_many_sessions_leave_with_the_answers_to_their_submits() -> None:
    house = House(account(max_binds=100))
    esmes = crowd(house)
    esmes[0].submit()
    house.intake.answer()
    assert [kinds(esme) for esme in esmes] == [[DeliverSm, SubmitSmResp]] + [[]] * FEW


def test_receipts_that_have_nothing_to_ride_with_leave_soon() -> None:
    house = House(account(max_binds=100))
    esmes = crowd(house)
    house.clock.advance(RIDE_S / 2)
    assert not any(esme.got for esme in esmes)
    house.clock.advance(RIDE_S / 2)
    assert [kinds(esme) for esme in esmes] == [[DeliverSm]] * len(esmes)
    deliver(house, 1)
    assert sum(len(esme.take()) for esme in esmes) == 1, "at once, for there are few again"


def test_receipts_of_few_sessions_leave_at_once() -> None:
    house = House()
    esmes = [house.bind() for _ in range(FEW)]
    deliver(house, FEW)
    assert [kinds(esme) for esme in esmes] == [[DeliverSm]] * FEW


def test_a_session_whose_window_is_full_waits_for_nothing() -> None:
    house = House(account(max_binds=100), account("slow", window=2))
    slow, woken = house.bind(system_id="slow"), list[str]()
    house.bound.on_receiver = woken.append
    esmes = crowd(house)
    for number in range(3):
        house.deliver(receipt(f"{number}a"), lambda status: None, "slow")
        assert kinds(slow) == []
        house.deliver(receipt(f"{number}b"), lambda status: None, "slow")
        assert kinds(slow) == [DeliverSm, DeliverSm]
        slow.send(*(DeliverSmResp(2 * number + n) for n in (1, 2)))
    assert "slow" in woken and not any(esme.got for esme in esmes)


def test_a_read_that_has_no_answer_yet_makes_no_receipt_leave_alone() -> None:
    house = House(account(max_binds=100))
    esme = crowd(house)[0]
    esme.submit()
    assert esme.got == []
    esme.send(EnquireLink())
    assert kinds(esme) == [DeliverSm, EnquireLinkResp]


def test_what_rides_leaves_before_the_session_ends() -> None:
    house, done = House(account(max_binds=100)), list[int | None]()
    esme, lost, *_ = crowd(house, done)
    esme.protocol.end()
    assert kinds(esme) == [DeliverSm]
    esme.send(DeliverSmResp(1))
    assert kinds(esme) == [Unbind]
    lost.lose()
    assert done == [0, None], "it goes to another session"
    house.clock.advance(RIDE_S)
    assert kinds(lost) == []
