"""Messages in, results out: windows, order, answers."""

from __future__ import annotations

from collections import Counter, defaultdict, deque

import pytest

from config.schema import ReconnectSettings
from gateway.messages.message import Attempt
from gateway.messages.outcome import Accepted, Refused, TryLater, Uncertain, Unwritten
from gateway.messages.states import State
from tests.fakes.smsc import Reply
from tests.smsc_client.stage import Stage, message

THROTTLED, QUEUE_FULL = 0x58, 0x14


def test_a_message_is_accepted_under_the_operators_id() -> None:
    stage = Stage(lambda pdu, now: Reply(message_id="0e99AB"))
    stage.send(message(1))
    assert stage.outcomes == [Accepted("0e99AB")]
    assert stage.marked == ["m1"]
    assert (stage.channel.inflight, stage.channel.binds, stage.channel.up) == (0, 1, True)


def test_an_ok_without_a_message_id_is_accepted() -> None:
    stage = Stage(lambda pdu, now: Reply(message_id=""))
    stage.send(message(1))
    assert stage.outcomes == [Accepted("")]


def test_the_bind_names_us_and_turns_off_nagle() -> None:
    stage = Stage(system_type="SMPP")
    (bind,) = stage.smsc.binds
    assert (bind.system_id, bind.password, bind.system_type, bind.interface_version) == (
        "pombo", "secret12", "SMPP", 0x34,
    )  # fmt: skip
    assert stage.smsc.endpoint.clients[0].options == ["nodelay", "keepalive"]


def test_a_password_longer_than_smpp_allows_goes_out_whole() -> None:
    stage = Stage(password="operator12")
    bind = stage.smsc.endpoint.clients[0].writes[0]
    assert int.from_bytes(bind[:4], "big") == len(bind)
    assert bind[16:].startswith(b"pombo\0operator12\0\0\x34")


def test_capacity_is_the_free_window_and_nothing_while_down() -> None:
    stage = Stage(lambda pdu, now: None, start=False, window=3, throughput=1000.0)
    assert stage.channel.capacity() == 0
    stage.start()
    assert stage.channel.capacity() == 3
    stage.send(message(1), message(2))
    assert stage.channel.capacity() == 1
    assert stage.channel.inflight == 2


def test_never_more_than_the_window_is_unanswered() -> None:
    stage = Stage(lambda pdu, now: Reply(after=0.1), window=5, throughput=10_000.0)
    stage.queue.extend(message(n) for n in range(100))
    stage.feed()
    most = 0
    for _ in range(3000):
        stage.run(0.001)
        most = max(most, len(stage.smsc.submits) - len(stage.results))
    assert most == 5
    assert len(stage.results) == 100


def test_everything_of_one_turn_leaves_in_one_write() -> None:
    stage = Stage(window=50, throughput=100_000.0)
    client = stage.smsc.endpoint.clients[0]
    before = len(client.writes)
    for n in range(20):
        stage.channel.send(message(n))
    stage.clock.advance(0)
    assert len(client.writes) == before + 1
    assert stage.batches == [20]


def test_one_submit_per_destination_is_in_flight_and_order_is_kept() -> None:
    stage = Stage(lambda pdu, now: Reply(after=0.05), throughput=1000.0)
    stage.send(*(message(n, msisdn="5511900000001") for n in range(5)), message(9))
    assert len(stage.smsc.submits) == 2
    stage.run(0.5)
    assert stage.texts_to("5511900000001") == [b"ola %d" % n for n in range(5)]
    assert len(stage.results) == 6


def test_order_per_destination_holds_over_several_binds_and_throttling() -> None:
    seen: Counter[str] = Counter()

    def script(pdu: object, now: float) -> Reply:
        seen[pdu.destination_addr] += 1
        refused = seen[pdu.destination_addr] % 4 == 0
        return Reply(status=THROTTLED if refused else 0, after=0.01 + 0.03 * (sum(seen.values()) % 3))

    stage = Stage(script, binds=3, window=10, throughput=500.0)
    numbers = [f"551190000000{d}" for d in range(5)]
    stage.queue.extend(message(n, msisdn=numbers[n % 5]) for n in range(60))
    stage.feed()
    stage.run(60, step=0.005)
    assert all(isinstance(result, Accepted) for result in stage.outcomes)
    accepted = defaultdict(list)
    for one, _ in stage.results:
        accepted[one.msisdn].append(int(one.id[1:]))
    assert all(order == sorted(order) and len(order) == 12 for order in accepted.values())
    assert len({id(s) for s in stage.smsc.sessions}) == 3


@pytest.mark.parametrize(
    ("status", "tries", "expected"),
    [
        (0x0B, 0, Refused("refused", "11", ends=True)),
        (0x01, 0, Refused("refused", "1", ends=True)),
        (0x0A, 0, Refused("refused", "10", ends=True)),
        (0x08, 0, TryLater(5.0, "temporary", "8")),
        (0x08, 1, TryLater(30.0, "temporary", "8")),
        (0x08, 2, TryLater(120.0, "temporary", "8")),
        (0x08, 9, TryLater(1800.0, "temporary", "8")),
        (0x45, 0, TryLater(5.0, "temporary", "69")),
        (0x45, 1, TryLater(30.0, "temporary", "69")),
        (0x45, 2, Refused("refused", "69", ends=True)),
        (0xFF, 2, Refused("refused", "255", ends=True)),
        (0x400, 1, TryLater(30.0, "temporary", "1024")),
        (0x400, 2, Refused("refused", "1024", ends=True)),
    ],
)
def test_an_error_answer_ends_the_attempt_as_its_status_says(status: int, tries: int, expected: object) -> None:
    stage = Stage(lambda pdu, now: Reply(status=status))
    stage.send(message(1, attempts=[Attempt(channel="operator", tries=tries)]))
    assert stage.outcomes == [expected]
    assert stage.channel.capacity() > 0


def test_a_generic_nack_refuses_its_submit() -> None:
    stage = Stage(lambda pdu, now: Reply(status=0x03, nack=True))
    stage.send(message(1))
    assert stage.outcomes == [Refused("refused", "3", ends=True)]
    assert stage.channel.up


def test_a_throttled_message_is_tried_again_here_and_before_others() -> None:
    answers = iter([THROTTLED, THROTTLED])
    stage = Stage(lambda pdu, now: Reply(status=next(answers, 0)), throughput=10.0)
    stage.send(message(1), message(2, msisdn=message(1).msisdn))
    assert stage.results == []
    assert stage.channel.capacity() == 0
    stage.run(0.9)
    assert len(stage.smsc.submits) == 1
    stage.run(10)
    assert [one.id for one, _ in stage.results] == ["m1", "m2"]
    assert stage.texts_to(message(1).msisdn) == [b"ola 1"] * 3 + [b"ola 2"]
    assert b'pombo_throttled_total{channel="operator"} 2.0' in stage.metrics.page()


def test_a_full_queue_of_one_person_ends_as_a_retry_and_lets_others_pass() -> None:
    full = message(1).msisdn
    stage = Stage(lambda pdu, now: Reply(status=QUEUE_FULL if pdu.destination_addr == full else 0), throughput=50.0)
    stage.send(message(1), message(2))
    stage.run(60, step=0.01)
    assert [one.id for one, _ in stage.results] == ["m2", "m1"]
    assert stage.outcomes[1] == TryLater(30.0, "temporary", "20")


def test_an_unanswered_submit_is_uncertain_and_its_link_stays() -> None:
    stage = Stage(lambda pdu, now: None, response_timeout=5.0)
    stage.send(message(1))
    stage.run(4.9, step=0.1)
    assert stage.results == []
    stage.run(0.2, step=0.1)
    assert stage.outcomes == [Uncertain("unanswered")]
    assert stage.channel.up


def test_submits_outstanding_on_a_lost_link_are_uncertain_and_the_rest_unwritten_last_first() -> None:
    stage = Stage(lambda pdu, now: None, window=1)
    stage.send(message(1), message(2), message(3), message(4, msisdn=message(1).msisdn))
    stage.smsc.drop()
    results = {one.id: result for one, result in stage.results}
    assert results.pop("m1") == Uncertain("unanswered")
    assert results == dict.fromkeys(("m4", "m3", "m2"), Unwritten("link_lost"))
    assert stage.channel.inflight == 0
    assert not stage.channel.up


@pytest.mark.parametrize("unanswered", ["hold", "resend"])
@pytest.mark.parametrize("pause_s", [10.0, 200.0], ids=["response_timeout", "and enquire_link"])
def test_answers_that_came_while_the_process_stood_still_are_read_before_their_time_is_over(
    unanswered: str, pause_s: float
) -> None:
    """The answer has left in time, and is in the pipe when all timers ring at once."""
    stage = Stage(lambda pdu, now: Reply(message_id="77", after=4.9), response_timeout=5.0, unanswered=unanswered)
    stage.send(message(1))
    stage.clock.advance(pause_s)
    assert stage.outcomes == [Accepted("77")]
    assert len(stage.smsc.submits) == 1
    assert stage.channel.binds == 1


def test_resend_writes_an_unanswered_submit_again() -> None:
    replies = iter([None])
    stage = Stage(lambda pdu, now: next(replies, Reply()), unanswered="resend", response_timeout=5.0)
    stage.send(message(1), message(2, msisdn=message(1).msisdn))
    stage.run(5.2, step=0.1)
    assert stage.texts_to(message(1).msisdn) == [b"ola 1", b"ola 1", b"ola 2"]
    assert stage.outcomes == [Accepted("1"), Accepted("2")]


def test_resend_gives_up_after_two_and_holds_the_message() -> None:
    stage = Stage(lambda pdu, now: None, unanswered="resend", response_timeout=5.0)
    stage.send(message(1))
    stage.run(60, step=0.1)
    assert stage.texts_to(message(1).msisdn) == [b"ola 1"] * 3
    assert stage.outcomes == [Uncertain("unanswered")]


def test_resends_are_counted_over_lost_links_and_forgotten_with_an_answer() -> None:
    stage = Stage(lambda pdu, now: None, unanswered="resend", reconnect=ReconnectSettings(initial=1.0, max=1.0))
    stage.requeue = True
    stage.send(message(1))
    for _ in range(5):
        if stage.smsc.sessions:
            stage.smsc.drop()
        stage.run(3, step=0.05)
    assert len(stage.texts_to(message(1).msisdn)) == 3
    assert [type(one) for one in stage.outcomes] == [Unwritten, Unwritten, Uncertain]
    assert stage.queue == deque()
    replies = iter([None, None])
    stage.smsc.script = lambda pdu, now: next(replies, Reply())
    stage.channel.reconfigure(stage.channel.settings)
    stage.send(message(1))
    for _ in range(2):
        stage.smsc.drop()
        stage.run(3, step=0.05)
    assert stage.outcomes[-1] == Accepted("1")


def test_resend_hands_outstanding_submits_of_a_lost_link_back_in_order() -> None:
    stage = Stage(lambda pdu, now: None, unanswered="resend")
    stage.requeue = True
    stage.send(message(1), message(2, msisdn=message(1).msisdn), message(3, msisdn=message(1).msisdn))
    stage.smsc.drop()
    assert [one.id for one in stage.queue] == ["m1", "m2", "m3"]


def test_a_link_level_status_gives_the_message_to_a_new_bind() -> None:
    answers = iter([0x04])
    stage = Stage(lambda pdu, now: Reply(status=next(answers, 0)))
    stage.requeue = True
    stage.send(message(1))
    assert stage.outcomes == [Unwritten("link_lost")]
    stage.run(2, step=0.01)
    assert stage.outcomes[1:] == [Accepted("1")]
    assert len(stage.smsc.binds) == 2


def test_a_message_that_ended_or_expired_meanwhile_is_not_written() -> None:
    stage = Stage()
    stage.send(message(1, state=State.DELETED), message(2, expires_at=1.0))
    assert stage.outcomes == [Unwritten("over")] * 2
    assert stage.smsc.submits == []
    stage.send(message(3, msisdn=message(1).msisdn))
    assert stage.outcomes[2:] == [Accepted("1")]


def test_sending_while_down_comes_back_unwritten() -> None:
    stage = Stage(start=False)
    stage.send(message(1))
    assert stage.outcomes == [Unwritten("link_lost")]


def test_a_message_that_fits_no_submit_sm_is_refused_and_costs_nothing_else() -> None:
    stage = Stage()
    stage.send(message(1, msisdn="5" * 30), message(2))
    assert stage.outcomes == [Refused("invalid"), Accepted("1")]


def test_stopping_waits_for_answers_hands_back_the_rest_and_unbinds() -> None:
    stage = Stage(lambda pdu, now: Reply(after=1.0), window=1)
    stage.send(message(1), message(2))
    stopped = stage.stop()
    assert [(one.id, result) for one, result in stage.results] == [("m2", Unwritten("stopping"))]
    assert stage.channel.capacity() == 0
    stage.run(0.9, step=0.1)
    assert not stopped.called
    stage.run(0.2, step=0.1)
    assert stopped.called
    assert stage.outcomes[1:] == [Accepted("1")]
    assert stage.smsc.ended == ["the peer unbound"]
    assert stage.clock.getDelayedCalls() == []


def test_stopping_hands_back_what_the_operator_asked_to_wait() -> None:
    stage = Stage(lambda pdu, now: Reply(status=QUEUE_FULL))
    stage.send(message(1))
    assert stage.channel.is_busy(message(1).msisdn)
    assert stage.stop().called or stage.run(1) is None
    assert stage.outcomes == [Unwritten("stopping")]
    assert not stage.channel.is_busy(message(1).msisdn)


def test_stopping_unbinds_politely_even_where_an_answer_never_comes() -> None:
    stage = Stage(lambda pdu, now: None)
    stage.send(message(1))
    stopped = stage.stop()
    stage.run(2.9, step=0.1)
    assert not stopped.called and not stage.outcomes
    assert stage.smsc.receivers
    stage.run(0.2, step=0.1)
    assert not stage.smsc.receivers, "it was not told"
    stage.run(1.0, step=0.1)  # the operator answers no unbind while it has something to answer
    assert stopped.called
    assert stage.outcomes == [Uncertain("unanswered")]


def test_stopping_cuts_an_operator_that_answers_nothing_at_all() -> None:
    stage = Stage(lambda pdu, now: None)
    stage.send(message(1))
    stage.smsc.silent = True
    stopped = stage.stop()
    stage.run(3.9, step=0.1)
    assert not stopped.called
    stage.run(0.2, step=0.1)
    assert stopped.called
    assert stage.outcomes == [Uncertain("unanswered")]
    assert stage.clock.getDelayedCalls() == []


def test_stopping_before_anything_is_connected() -> None:
    stage = Stage(start=False)
    stage.smsc.endpoint.refusing = True
    stage.start()
    assert stage.stop().called
    stage.run(10, step=1.0)
    assert len(stage.smsc.endpoint.tries) == 1


def test_other_rates_and_sources_apply_without_a_new_bind() -> None:
    stage = Stage()
    changed = stage.channel.settings.model_copy(update={"throughput": 5.0, "source": "27000"})
    assert stage.channel.reconfigure(changed)
    stage.send(message(1))
    assert stage.smsc.submits[0][1].source_addr == "27000"
    assert stage.channel.rate == 5.0
    assert not stage.channel.reconfigure(changed.model_copy(update={"window": 7}))
