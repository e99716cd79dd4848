"""One connection of an ESME, from its bind to its end."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from gateway.server.factory import STOP_S, TELL_AGAIN_S, UNBIND_S
from gateway.server.ports import QueryAnswer
from gateway.smpp.pdu import (
    CancelSm,
    CancelSmResp,
    DataSm,
    DataSmResp,
    DeliverSm,
    DeliverSmResp,
    EnquireLink,
    EnquireLinkResp,
    GenericNack,
    QuerySm,
    QuerySmResp,
    ReplaceSm,
    ReplaceSmResp,
    SubmitSm,
    SubmitSmResp,
    Unbind,
    UnbindResp,
    encode,
    tlv,
)
from tests.gateway.server.house import (
    BINDS,
    NUMBER,
    START,
    Esme,
    House,
    account,
    logged,
    receipt,
    server_settings,
    submit,
)

REJECTED = "pombo_rejected_total"


# Binds


@pytest.mark.parametrize("kind", ["tx", "rx", "trx"])
def test_a_good_bind_is_answered_with_our_name_and_version(kind: str) -> None:
    house = House(system_id="GATEWAY")
    esme = house.connect()
    esme.send(BINDS[kind](system_id="billing", password="secret", interface_version=0x34))
    answer = esme.only()
    assert (answer.command_status, answer.system_id) == (0, "GATEWAY")  # type: ignore[attr-defined]
    assert tlv(answer, 0x0210) == b"\x34"
    assert house.bound.count("billing") == 1


@pytest.mark.parametrize(("length", "status"), [(9, 0), (64, 0), (65, 0x0E)])
def test_a_password_may_be_longer_than_smpp_allows(length: int, status: int) -> None:
    given = "p" * length
    esme = House(account(password=given[:64])).connect()
    body = b"billing\0" + given.encode() + b"\0\0" + b"\x34\0\0\0"
    esme.raw(struct.pack(">IIII", 16 + len(body), 9, 0, 1) + body)
    assert esme.only().command_status == status


@pytest.mark.parametrize(("system_id", "password", "status"), [("nobody", "secret", 0x0F), ("billing", "wrong", 0x0E)])
def test_a_refused_bind_is_answered_and_closed_a_second_later(system_id: str, password: str, status: int) -> None:
    house = House()
    esme = house.connect()
    assert esme.bind("trx", system_id, password) == status
    house.clock.advance(0.9)
    assert not esme.closing and house.bound.count(system_id) == 0
    house.clock.advance(0.1)
    assert esme.closing


def test_one_bind_more_than_allowed_is_refused_until_another_ends() -> None:
    house = House(account(max_binds=2))
    first, _ = house.bind("tx"), house.bind("rx")
    assert house.connect().bind() == 0x0D
    first.lose()
    assert house.connect().bind() == 0


def test_a_refusal_for_too_many_binds_names_those_who_hold_them() -> None:
    house = House(account(max_binds=2))
    house.bind("tx")
    house.clock.advance(60)
    house.bind("rx")
    with logged() as lines:
        assert house.connect("192.0.2.7").bind() == 0x0D
        assert house.connect("192.0.2.7").bind(password="wrong") == 0x0E
    assert lines == [
        "bind from 192.0.2.7:40000 refused: ESME_RBINDFAIL, too many binds; billing has 127.0.0.1:40000 since "
        "2026-09-21T14:13:20Z, 127.0.0.1:40000 since 2026-09-21T14:14:20Z",
        "bind from 192.0.2.7:40000 refused: ESME_RINVPASWD, wrong password",
    ]


def test_of_many_binds_only_the_oldest_are_named() -> None:
    house = House(account(max_binds=25))
    for _ in range(25):
        house.bind()
    with logged() as lines:
        house.connect().bind()
    assert lines[-1].count("since") == 20 and lines[-1].endswith(" and 5 more")


def test_what_is_sent_right_behind_the_bind_is_served() -> None:
    house = House(automatic=True)
    esme = house.connect()
    esme.send(BINDS["trx"](system_id="billing", password="secret", interface_version=0x34), EnquireLink(), submit())
    house.clock.advance(0)
    assert {type(pdu).__name__ for pdu in esme.take()} == {"BindTransceiverResp", "EnquireLinkResp", "SubmitSmResp"}


def test_a_silent_connection_is_closed_after_session_init_timeout() -> None:
    house = House(session_init_timeout=5.0)
    esme = house.connect()
    house.clock.advance(4.9)
    assert not esme.closing
    house.clock.advance(0.1)
    assert esme.closing


@pytest.mark.parametrize("bound", [True, False])
def test_a_pdu_that_stays_incomplete_ends_the_link_after_fifteen_seconds(bound: bool) -> None:
    house = House(session_init_timeout=60.0, enquire_link=300.0)
    esme, other = house.bind() if bound else house.connect(), house.bind()
    house.clock.advance(1)
    esme.raw(encode(submit(), 7)[:30])
    house.clock.advance(14.9)
    assert not esme.closing
    house.clock.advance(0.1)
    nack = esme.only()
    assert isinstance(nack, GenericNack) and (nack.command_status, nack.sequence_number) == (0x02, 7)
    assert esme.closing and not other.closing


@pytest.mark.parametrize("begins_at", [0.1, 7.0, 14.9, 15.1, 29.0])
def test_what_becomes_due_while_a_busy_session_has_a_timer_is_done_in_time(begins_at: float) -> None:
    """A timer is not looked at for every read: it fires often enough."""
    house = House(automatic=True, inactivity_timeout=0.0)
    esme = house.bind()
    now = 0.0
    while now + 0.5 < begins_at:  # busy all the while
        esme.submit()
        house.clock.advance(0.5)
        now += 0.5
    house.clock.advance(begins_at - now)
    esme.raw(encode(submit(), 9)[:20])
    house.clock.advance(14.99)
    assert not esme.closing
    house.clock.advance(0.02)
    assert esme.closing


def test_a_busy_session_moves_no_timer() -> None:
    house = House(automatic=True)
    esme = house.bind()
    esme.submit()
    house.clock.advance(0)
    before = house.clock.getDelayedCalls()
    for _ in range(10):
        esme.submit()
        house.clock.advance(0)
        house.clock.advance(0.1)
    assert house.clock.getDelayedCalls() == before


def test_names_cannot_be_probed_where_that_is_wanted() -> None:
    house = House(uniform_bind_error=True)
    assert {house.connect().bind(system_id="nobody"), house.connect().bind(password="wrong")} == {0x0E}


def test_a_peer_before_3_4_gets_its_receipt_without_tlvs() -> None:
    house = House()
    esme = house.bind(version=0x33)
    house.deliver(receipt(), lambda status: None)
    assert esme.only().tlvs == ()


# Submits


def test_a_submit_is_answered_when_it_is_kept_and_not_before() -> None:
    house = House()
    esme = house.bind()
    esme.submit()
    assert esme.got == []
    house.intake.answer()
    assert esme.take() == [SubmitSmResp(2, message_id="1")]


def test_answers_come_in_the_order_of_arrival_in_one_write() -> None:
    house = House()
    esme = house.bind()
    esme.send(*(submit() for _ in range(50)))
    house.intake.answer()
    house.bound.flush()
    octets = esme.transport.value()
    assert [(pdu.sequence_number, pdu.message_id) for pdu in esme.take()] == [  # type: ignore[attr-defined]
        (n + 1, str(n)) for n in range(1, 51)
    ]
    assert len(octets) == sum(len(encode(SubmitSmResp(1, message_id=str(n)))) for n in range(1, 51))


@pytest.mark.parametrize(
    ("fields", "status", "name"),
    [
        ({"destination": "abc"}, 0x0B, "ESME_RINVDSTADR"),
        ({"source_addr": "666"}, 0x0A, "ESME_RINVSRCADR"),
        ({"text": b""}, 0x01, "ESME_RINVMSGLEN"),
    ],
)
def test_a_refused_submit_is_answered_at_once_and_counted(fields: dict[str, Any], status: int, name: str) -> None:
    house = House(account(sources=("28940",)))
    esme = house.bind()
    esme.submit(**fields)
    assert esme.only().command_status == status
    assert house.intake.submitted == [] and house.metric(REJECTED, account="billing", status=name) == 1


def test_a_refusal_of_intake_is_answered_and_counted() -> None:
    house = House()
    esme = house.bind()
    esme.submit()
    house.intake.answer(0x14)
    assert esme.only() == SubmitSmResp(2, 0x14)
    assert house.metric(REJECTED, account="billing", status="ESME_RMSGQFUL") == 1


def test_an_error_of_ours_costs_one_answer() -> None:
    house = House()
    esme = house.bind()
    house.intake.broken = True
    esme.submit()
    assert esme.only().command_status == 0x08
    house.intake.broken = False
    esme.submit()
    house.intake.answer()
    assert esme.only().command_status == 0


def test_an_answer_after_the_link_is_gone_is_dropped() -> None:
    house = House()
    esme = house.bind()
    esme.submit()
    esme.lose()
    house.intake.answer()
    assert esme.take() == []


def test_the_time_to_the_answer_is_measured() -> None:
    house = House()
    esme = house.bind()
    esme.submit()
    house.clock.advance(0.25)
    house.intake.answer()
    house.clock.advance(0)
    assert house.metric("pombo_ack_seconds_count") == 1
    assert house.metric("pombo_ack_seconds_sum") == pytest.approx(0.25)


def test_a_transmitter_submits_and_a_receiver_may_not() -> None:
    house = House(automatic=True)
    sender, receiver = house.bind("tx"), house.bind("rx")
    sender.submit()
    receiver.submit()
    assert (sender.statuses(), receiver.statuses()) == ([0], [0x04])
    assert house.metric(REJECTED, account="billing", status="ESME_RINVBNDSTS") == 1


# The account's rate


def test_over_the_rate_a_submit_is_throttled() -> None:
    house = House(account(throughput=10.0), automatic=True)
    esme = house.bind()
    esme.send(*(submit() for _ in range(12)))
    assert sorted(esme.statuses()) == [0] * 10 + [0x58] * 2
    assert house.metric(REJECTED, account="billing", status="ESME_RTHROTTLED") == 2
    house.clock.advance(0.125)
    esme.submit()
    assert esme.statuses() == [0]


def test_an_account_that_wants_delay_is_served_later_in_order() -> None:
    house = House(account(throughput=10.0, over_rate="delay"), automatic=True)
    esme = house.bind()
    esme.send(*(submit(text=str(n).encode()) for n in range(13)))
    assert len(house.intake.submitted) == 10
    for expected in (11, 12, 13):
        house.clock.pump([0.05, 0.05, 0.001])
        assert len(house.intake.submitted) == expected
    assert [int(message.user_data) for message in house.intake.submitted] == list(range(13))
    assert esme.reading and esme.statuses() == [0] * 13


def test_an_account_that_wants_delay_is_read_meanwhile() -> None:
    """Its enquire_link is answered, and its answers to deliver_sm count."""
    house = House(account(throughput=1.0, over_rate="delay"), automatic=True, response_timeout=5.0)
    esme = house.bind()
    done: list[int | None] = []
    house.deliver(receipt(), done.append)
    (delivery,) = esme.take()
    esme.send(*(submit() for _ in range(100)))
    assert len(esme.take()) == 10
    assert esme.reading
    esme.send(EnquireLink(), DeliverSmResp(delivery.sequence_number))
    assert [type(pdu) for pdu in esme.take()] == [EnquireLinkResp]
    assert done == [0]
    esme.send(*(submit() for _ in range(2000)))
    assert not esme.reading


def test_waiting_for_the_rate_does_not_end_the_session() -> None:
    """The answer to our enquire_link may lie unread behind the submits that wait."""
    house = House(account(throughput=1.0, over_rate="delay"), automatic=True, enquire_link=5.0, response_timeout=5.0)
    esme = house.bind()
    esme.send(*(submit() for _ in range(2500)))
    for _ in range(80):
        house.clock.advance(1.0)
        assert not esme.closing
    assert len(house.intake.submitted) == 90


# Other requests


def test_data_sm_is_answered_with_its_own_response() -> None:
    house = House(automatic=True)
    esme = house.bind()
    esme.send(DataSm(source_addr="28940", destination_addr=NUMBER, tlvs=((0x0424, b"hello"),)))
    assert esme.only() == DataSmResp(2, message_id="1")


def test_query_sm_is_asked_and_answered() -> None:
    house = House()
    esme = house.bind()
    house.intake.query_answer = QueryAnswer(0, "7", "260921141320000+", 2, 0)
    esme.send(QuerySm(message_id="7", source_addr="28940"))
    assert house.intake.asked == [("query", "billing", "7", "28940")]
    assert esme.only() == QuerySmResp(2, message_id="7", final_date="260921141320000+", message_state=2)


def test_cancel_sm_is_asked_and_answered() -> None:
    house = House()
    esme = house.bind()
    house.intake.status = 0x11
    esme.send(CancelSm(source_addr="28940", destination_addr=NUMBER, service_type="CMT"))
    assert house.intake.asked == [("cancel", "billing", "", "28940", NUMBER, "CMT")]
    assert esme.only() == CancelSmResp(2, 0x11)
    assert house.metric(REJECTED, account="billing", status="ESME_RCANCELFAIL") == 1


def test_replace_sm_is_asked_and_answered() -> None:
    house = House()
    esme = house.bind()
    esme.send(
        ReplaceSm(
            message_id="7",
            source_addr="28940",
            validity_period="000000010000000R",
            registered_delivery=1,
            short_message=b"new",
        ),
        ReplaceSm(message_id="7", source_addr="28940", short_message=b""),
    )
    assert house.intake.asked == [("replace", "billing", "7", "28940", None, START + 3600, 1, b"new")]
    assert {pdu.sequence_number: pdu for pdu in esme.take()} == {2: ReplaceSmResp(2), 3: ReplaceSmResp(3, 0x01)}


@pytest.mark.parametrize(
    ("request_", "response"),
    [
        (QuerySm(message_id="7"), QuerySmResp(2, 0x08)),
        (CancelSm(message_id="7"), CancelSmResp(2, 0x08)),
        (ReplaceSm(message_id="7", short_message=b"x"), ReplaceSmResp(2, 0x08)),
    ],
)
def test_an_error_of_ours_is_answered_and_reported(request_: Any, response: Any) -> None:
    house = House()
    esme = house.bind()
    house.intake.broken = True
    esme.send(request_)
    assert esme.only() == response
    assert len(house.failures) == 1


# Garbage


def test_an_unknown_command_gets_generic_nack_and_the_link_stays() -> None:
    house = House()
    esme = house.bind()
    esme.raw(bytes.fromhex("00000010000102000000000000000007"))
    assert esme.only() == GenericNack(7, 0x03)
    assert not esme.closing


def test_an_impossible_length_ends_this_session_only() -> None:
    house = House()
    esme, other = house.bind(), house.bind()
    esme.raw(bytes.fromhex("7fffffff000000150000000000000007"))
    assert esme.only() == GenericNack(7, 0x02)
    assert esme.closing and not other.closing and house.bound.count("billing") == 1


@pytest.mark.parametrize("size", [1, 7, 16, 53, 1000])
def test_a_stream_means_the_same_however_it_is_cut(size: int) -> None:
    house = House(automatic=True)
    esme = house.connect()
    stream = encode(BINDS["trx"](system_id="billing", password="secret", interface_version=0x34), 1)
    stream += b"".join(encode(submit(text=bytes([65 + n])), n + 2) for n in range(20)) + encode(EnquireLink(), 99)
    for start in range(0, len(stream), size):
        esme.raw(stream[start : start + size])
        house.clock.advance(0)
    assert [message.user_data for message in house.intake.submitted] == [bytes([65 + n]) for n in range(20)]
    answers = esme.take()
    assert len(answers) == 22 and not any(pdu.command_status for pdu in answers)


# Many requests, and peers that do not read


def test_a_long_read_is_served_in_turns_and_in_order() -> None:
    house = House(account(throughput=5000.0))
    esme, other = house.bind(), house.bind()
    esme.send(*(submit(text=str(n).encode()) for n in range(250)))
    assert len(house.intake.submitted) == 100 and not esme.reading
    other.submit(text=b"other")
    assert len(house.intake.submitted) == 101
    for _ in range(2):
        house.clock.advance(0)
    assert esme.reading
    mine = [m.user_data for m in house.intake.submitted if m.user_data != b"other"]
    assert mine == [str(n).encode() for n in range(250)]


def test_too_many_unanswered_submits_stop_the_reading_until_half_are_answered() -> None:
    house = House(account(throughput=100_000.0))
    esme = house.bind()
    esme.send(*(submit() for _ in range(2001)))
    for _ in range(25):
        house.clock.advance(0)
    assert len(house.intake.submitted) == 2001 and not esme.reading
    house.intake.answer(count=1001)
    house.clock.advance(0)
    assert not esme.reading
    house.intake.answer(count=1)
    house.clock.advance(0)
    assert esme.reading
    house.intake.answer()
    assert len(esme.take()) == 2001


def stop_reading(esme: Esme) -> None:
    """From here on the peer takes nothing: its transport has said "enough"."""
    esme.transport.producer.pauseProducing()


def test_a_peer_that_does_not_read_gets_no_more_deliveries_and_is_read_no_more() -> None:
    house = House(account(window=100_000))
    woken: list[str] = []
    esme = house.bind()
    house.bound.on_receiver = woken.append
    stop_reading(esme)
    sent = 0
    while house.deliver(receipt(str(sent)), lambda status: None):
        sent += 1
        house.bound.flush()
    assert 256 * 1024 < sent * 180 < 300 * 1024
    assert not esme.reading and house.bound.receivers("billing") == 0
    esme.transport.producer.resumeProducing()
    assert esme.reading and woken == ["billing"]
    assert len(esme.take()) == sent


def test_a_peer_that_does_not_read_for_a_minute_is_cut_and_its_receipts_come_back() -> None:
    house = House(enquire_link=600.0)
    esme = house.bind()
    stop_reading(esme)
    done: list[int | None] = []
    house.deliver(receipt(), done.append)
    house.clock.pump([1.0] * 29)
    assert done == []
    house.clock.pump([1.0] * 30)
    assert not esme.transport.disconnected
    house.clock.advance(1.0)
    assert esme.transport.disconnected
    esme.lose()
    assert done == [None]


def test_more_than_a_mebibyte_unsent_is_cut_at_once() -> None:
    house = House(automatic=True)
    esme = house.bind()
    stop_reading(esme)
    for _ in range(80):
        esme.send(*(EnquireLink() for _ in range(1000)))
    house.clock.advance(0)
    assert esme.transport.disconnected


# Time


def test_a_quiet_peer_is_asked_and_closed_when_it_does_not_answer() -> None:
    house = House(enquire_link=30.0, response_timeout=10.0)
    esme = house.bind()
    house.clock.advance(29.9)
    assert esme.take() == []
    house.clock.advance(0.1)
    (asked,) = esme.take()
    assert isinstance(asked, EnquireLink)
    house.clock.advance(9.9)
    assert not esme.closing
    house.clock.advance(0.1)
    assert esme.closing and house.bound.count("billing") == 0


def test_a_peer_that_answers_enquire_link_stays() -> None:
    house = House(enquire_link=30.0, inactivity_timeout=0.0)
    esme = house.bind()
    for _ in range(100):
        house.clock.advance(30.0)
        (asked,) = esme.take()
        esme.send(EnquireLinkResp(asked.sequence_number))
    assert not esme.closing


def test_inactivity_counts_messages_and_not_enquire_link() -> None:
    house = House(inactivity_timeout=60.0, enquire_link=600.0)
    esme = house.bind()
    for _ in range(5):
        house.clock.advance(10.0)
        esme.send(EnquireLink())
    esme.take()
    house.clock.advance(10.0)
    assert isinstance(esme.only(), Unbind)


def test_a_closed_connection_leaves_no_timer() -> None:
    house = House(automatic=True)
    esme = house.bind()
    esme.submit()
    esme.take()
    esme.lose()
    assert house.clock.getDelayedCalls() == []


# The end


def test_unbind_is_answered_after_what_was_asked_before_it() -> None:
    house = House()
    esme = house.bind()
    esme.send(submit(), submit(), Unbind())
    assert esme.take() == [] and not esme.closing
    house.intake.answer()
    assert [type(pdu) for pdu in esme.take()] == [SubmitSmResp, SubmitSmResp, UnbindResp]
    house.clock.advance(0)
    assert esme.closing


def test_unbind_gives_our_unanswered_receipts_back() -> None:
    house = House()
    esme = house.bind()
    done: list[int | None] = []
    house.deliver(receipt(), done.append)
    esme.take()
    esme.send(Unbind())
    assert done == [None] and isinstance(esme.only(), UnbindResp) and esme.closing


def test_who_closes_their_side_of_the_connection_still_gets_the_answers() -> None:
    house = House()
    esme = house.bind()
    done: list[int | None] = []
    house.deliver(receipt(), done.append)
    esme.send(submit(), submit())
    esme.take()
    esme.protocol.readConnectionLost()
    assert not esme.closing
    assert house.bound.receivers("billing") == 0
    house.intake.answer()
    assert [type(pdu) for pdu in esme.take()] == [SubmitSmResp, SubmitSmResp]
    house.clock.advance(0)
    assert esme.closing and done == [None]


def test_who_closes_their_side_with_an_unbind_gets_its_answer_too() -> None:
    house = House()
    esme = house.bind()
    esme.send(submit(), Unbind())
    esme.protocol.readConnectionLost()
    house.clock.advance(2)
    assert not esme.closing
    house.intake.answer()
    assert [type(pdu) for pdu in esme.take()] == [SubmitSmResp, UnbindResp]
    house.clock.advance(0)
    assert esme.closing


@pytest.mark.parametrize("asked", [False, True])
def test_who_closes_their_side_is_let_go_at_once_or_after_a_second(asked: bool) -> None:
    house = House()
    esme = house.bind()
    if asked:
        esme.send(submit())
    esme.protocol.readConnectionLost()
    house.clock.advance(0.9)
    assert esme.closing is not asked
    house.clock.advance(0.1)
    assert esme.closing


def test_a_closed_link_that_does_not_go_is_cut() -> None:
    house = House()
    esme = house.bind()
    esme.send(Unbind())
    house.clock.advance(4.9)
    assert esme.closing and not esme.transport.disconnected
    house.clock.advance(0.1)
    assert esme.transport.disconnected


def test_stop_answers_what_was_read_and_unbinds() -> None:
    house = House()
    esme, idle = house.bind(), house.connect()
    esme.submit()
    stopped: list[None] = []
    Deferred.fromCoroutine(house.server.stop()).addCallback(stopped.append)
    house.clock.advance(0)
    assert idle.closing and esme.take() == []
    house.intake.answer()
    house.clock.advance(0)
    answer, unbind = esme.take()
    assert answer == SubmitSmResp(2, message_id="1") and isinstance(unbind, Unbind)
    esme.send(UnbindResp(unbind.sequence_number))
    house.clock.advance(0)
    assert esme.closing and stopped == []
    esme.lose()
    idle.lose()
    assert stopped == [None] and house.clock.getDelayedCalls() == []


def test_stop_unbinds_politely_and_cuts_who_answers_nothing() -> None:
    house = House()
    esme = house.bind()
    house.deliver(receipt(), lambda status: None)
    Deferred.fromCoroutine(house.server.stop())
    assert isinstance(esme.take()[0], DeliverSm)
    house.clock.advance(STOP_S - UNBIND_S)
    assert isinstance(esme.only(), Unbind)
    house.clock.advance(UNBIND_S - 0.1)
    assert not esme.transport.disconnected
    house.clock.advance(0.1)
    assert esme.transport.disconnected


# Limits and new configurations


def test_an_address_may_have_only_so_many_connections_without_a_bind() -> None:
    house = House(account(max_binds=10))
    first = house.bind()
    waiting = [house.connect() for _ in range(200)]
    assert all(esme.accepted for esme in waiting)
    assert not house.connect().accepted and house.connect("127.0.0.2").accepted
    waiting[0].bind()
    assert house.connect().accepted and not house.connect().accepted
    waiting[1].lose()
    first.lose()
    assert house.connect().accepted and not house.connect().accepted


def test_strangers_who_only_connect_keep_nobody_out() -> None:
    """They fill every place from many addresses; each client that comes and binds takes the place of the oldest."""
    house = House(account(max_binds=10))
    house.server.most_connections = 100
    first = house.bind()
    strangers = [house.connect(f"192.0.2.{number // 20}") for number in range(150)]
    assert all(esme.accepted for esme in strangers)
    assert [esme.transport.disconnected for esme in strangers[:52]] == [True] * 51 + [False]
    second = house.bind()
    assert strangers[51].transport.disconnected and not strangers[52].transport.disconnected
    for esme in (first, second):
        esme.submit()
    house.intake.answer()
    assert first.statuses() == second.statuses() == [0]


def test_when_all_places_are_bound_nobody_else_is_let_in() -> None:
    house = House(account(max_binds=100))
    house.server.most_connections = 50
    for _ in range(50):
        house.bind("tx")
    assert not house.connect().accepted


def test_reload_keeps_binds_and_ends_those_of_accounts_that_are_gone() -> None:
    house = House(account(), account("other"), automatic=True)
    esme, other = house.bind(), house.bind(system_id="other")
    house.server.reload(server_settings(account(window=7, sources=("1",))), "BR")
    assert isinstance(other.only(), Unbind) and esme.take() == []
    assert house.bound.receivers("billing") == 7
    esme.submit()
    assert esme.statuses() == [0x0A]


@pytest.mark.parametrize(
    ("octets", "why"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500), "impossible command_length"),
        (b"GET / HTTP/1.1\r\n\r\n", "impossible command_length"),
        (encode(SubmitSm(destination_addr="5511987654321", short_message=b"Ola"), 1), "a request before any bind"),
    ],
    ids=["TLS", "HTTP", "submit"],
)
def test_the_log_tells_once_a_minute_why_the_clients_of_an_address_cannot_bind(octets: bytes, why: str) -> None:
    house = House()

    def tries(host: str) -> list[str]:
        with logged() as lines:
            house.connect(host).protocol.dataReceived(octets)
            house.clock.advance(0.1)
        return [line for line in lines if "could not bind" in line]

    assert tries("192.0.2.1") == [f"a client at 192.0.2.1:40000 could not bind: {why}"]
    assert tries("192.0.2.1") == []
    assert len(tries("192.0.2.2")) == 1, "another address has its own line"
    house.clock.advance(TELL_AGAIN_S - 0.3)
    assert tries("192.0.2.1") == []
    house.clock.advance(0.3)
    assert len(tries("192.0.2.1")) == 1


def test_who_only_connects_is_not_told_of() -> None:
    house = House()
    with logged() as lines:
        for _ in range(3):
            esme = house.connect()
            esme.protocol.connectionLost()
    assert lines == []
