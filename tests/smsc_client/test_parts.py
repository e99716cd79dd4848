"""Texts that take several submit_sm."""

from __future__ import annotations

import pytest

from gateway.messages.message import Message
from gateway.messages.outcome import Accepted, Refused, TryLater, Uncertain, Unwritten
from gateway.messages.states import State
from smsc_client.channel import LATE
from tests.fakes.smsc import Reply
from tests.smsc_client.stage import Stage, message


def long_text(number: int = 1) -> Message:
    return message(number, user_data=b"a" * 400, in_payload=True, segments=3)


def test_a_long_text_is_accepted_when_all_its_parts_are() -> None:
    stage = Stage(lambda pdu, now: Reply(after=0.1))
    stage.send(long_text(), message(2, msisdn=long_text().msisdn))
    assert len(stage.smsc.submits) == 1
    stage.run(1)
    assert stage.outcomes == [Accepted("1,2,3"), Accepted("4")]
    assert [pdu.short_message[5] for _, pdu in stage.smsc.submits[:3]] == [1, 2, 3]
    assert stage.marked == ["m1", "m1", "m1", "m2"]


def test_a_refused_part_refuses_the_text() -> None:
    stage = Stage(lambda pdu, now: Reply(status=0x0B if pdu.short_message[5:6] == b"\x02" else 0))
    stage.send(long_text())
    assert stage.outcomes == [Refused("refused", "11", ends=True)]
    assert len(stage.smsc.submits) == 2


def test_a_part_that_failed_for_now_is_all_that_goes_again_with_what_follows_it() -> None:
    answers = iter([0, 0x08])
    stage = Stage(lambda pdu, now: Reply(status=next(answers, 0)))
    one = long_text()
    stage.send(one)
    assert stage.outcomes == [TryLater(5.0, "temporary", "8")]
    stage.send(one)
    stage.run(0.1)
    assert stage.outcomes[1] == Accepted("1,2,3")
    assert [pdu.short_message[5] for _, pdu in stage.smsc.submits] == [1, 2, 2, 3]


def test_parts_that_were_taken_without_an_id_do_not_go_again() -> None:
    answers = iter([Reply(message_id=""), Reply(status=0x08), Reply(message_id=""), Reply()])
    stage = Stage(lambda pdu, now: next(answers))
    one = long_text()
    stage.send(one)
    stage.send(one)
    stage.run(0.1)
    assert stage.outcomes == [TryLater(5.0, "temporary", "8"), Accepted("1")]
    assert [pdu.short_message[5] for _, pdu in stage.smsc.submits] == [1, 2, 2, 3]


def test_an_unanswered_part_makes_the_text_uncertain_but_the_others_go() -> None:
    stage = Stage(lambda pdu, now: None if pdu.short_message[5:6] == b"\x02" else Reply(), response_timeout=5.0)
    stage.send(long_text())
    stage.run(5.1, step=0.1)
    assert stage.outcomes == [Uncertain("unanswered")]
    assert [pdu.short_message[5] for _, pdu in stage.smsc.submits] == [1, 2, 3]


def test_a_part_that_is_answered_late_completes_the_text_where_it_was_the_last_one_missing() -> None:
    late = Reply(message_id="b", after=7.0)
    stage = Stage(lambda pdu, now: late if pdu.short_message[5:6] == b"\x02" else Reply(), response_timeout=5.0)
    stage.send(long_text())
    stage.run(8, step=0.1)
    assert stage.outcomes == [Uncertain("unanswered")]
    assert stage.late == [(long_text(), Accepted("1,b,2", note=LATE))]


def test_a_part_that_is_answered_late_while_others_wait_is_as_good_as_one_in_time() -> None:
    answers = [Reply(after=6.0), Reply(after=3.0), Reply()]
    stage = Stage(lambda pdu, now: answers.pop(0), response_timeout=5.0)
    stage.send(long_text())
    stage.run(10, step=0.1)
    assert (stage.outcomes, stage.late) == ([Accepted("1,2,3")], [])


def test_of_several_parts_one_that_is_answered_late_tells_nothing_of_the_text_unless_it_is_refused_for_good() -> None:
    answers = [Reply(after=6.0), None, Reply(status=0x08, after=6.0)]
    stage = Stage(lambda pdu, now: answers.pop(0), response_timeout=5.0)
    stage.send(long_text())
    stage.run(30, step=0.1)
    assert (stage.outcomes, stage.late) == ([Uncertain("unanswered")], [])
    answers = [Reply(), Reply(), Reply(status=0x0B, after=6.0)]
    stage.send(long_text(2))
    stage.run(10, step=0.1)
    assert stage.late == [(long_text(2), Refused("refused", "11", ends=True))]


def test_a_lost_link_in_the_middle_of_a_text_is_uncertain() -> None:
    stage = Stage(lambda pdu, now: None)
    stage.send(long_text())
    stage.smsc.drop()
    assert stage.outcomes == [Uncertain("unanswered")]


def test_resend_continues_a_text_where_it_stopped() -> None:
    stage = Stage(lambda pdu, now: None if len(stage.smsc.submits) == 2 else Reply(), unanswered="resend")
    one = long_text()
    stage.send(one)
    stage.smsc.drop()
    assert stage.outcomes == [Unwritten("link_lost")]
    stage.run(2, step=0.01)
    stage.send(one)
    assert stage.outcomes[1] == Accepted("1,2,3")
    assert [pdu.short_message[5] for _, pdu in stage.smsc.submits] == [1, 2, 2, 3]


@pytest.mark.parametrize("part", [1, 2])
@pytest.mark.parametrize("how", ["its validity ends", "it is cancelled"])
def test_a_long_text_goes_no_further_when_it_has_ended(how: str, part: int) -> None:
    """One of its parts is throttled. Of a text that lacks a part a handset shows nothing."""
    stage = Stage(lambda pdu, now: Reply(status=0x58 if pdu.short_message[5] == part else 0))
    one = long_text()
    one.expires_at = stage.clock.seconds() + 20
    stage.send(one)
    if how == "it is cancelled":
        one.state = State.DELETED
    stage.run(3, step=0.1)
    before = len(stage.smsc.submits)
    stage.run(60, step=0.1)
    if how == "it is cancelled":
        assert len(stage.smsc.submits) == before == part
    assert all(at < one.expires_at for at, _ in stage.smsc.submits)
    assert stage.outcomes == [Unwritten("over")]
