"""How results and reports change a message; in whatever order they come, the end is the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.messages.message import Attempted, Message
from gateway.messages.outcome import (
    Accepted,
    AttemptResult,
    ChannelDown,
    Copy,
    LastWord,
    NoAccount,
    Refused,
    Report,
    Status,
    TryLater,
    Uncertain,
    Unwritten,
)
from gateway.messages.states import State
from gateway.routing import journey
from gateway.routing.decide import ChannelFacts, Send, Stop, decide
from tests.gateway.samples import START, accepted, attempt

BOTH = {"zap": ChannelFacts("whatsapp"), "operator": ChannelFacts("smsc")}
NOW = START + 5.0


@pytest.mark.parametrize(
    ("result", "alone", "expected", "state", "step"),
    [
        (Accepted("w1"), False, {"state": Attempted.SENT, "remote_id": "w1"}, State.ENROUTE, ("sent", "zap", "")),
        (
            Uncertain("timeout"),
            False,
            {"state": Attempted.UNCERTAIN, "reason": "timeout"},
            State.ENROUTE,
            ("sent", "zap", "unanswered: timeout"),
        ),
        (
            NoAccount("send", "131026"),
            False,
            {"state": Attempted.FAILED, "reason": "no_account", "code": "131026", "end": State.UNDELIVERABLE},
            State.ACCEPTED,
            ("failed", "zap", "no_account (send)"),
        ),
        (
            Refused("invalid address", "11"),
            False,
            {"state": Attempted.FAILED, "reason": "invalid address", "code": "11", "end": State.REJECTED},
            State.ACCEPTED,
            ("failed", "zap", "invalid address 11"),
        ),
        (
            Refused("blocked", rejected=False),
            False,
            {"state": Attempted.FAILED, "end": State.UNDELIVERABLE},
            State.ACCEPTED,
            ("failed", "zap", "blocked"),
        ),
        (
            TryLater(10.0, "throttled", "88"),
            False,
            {"state": Attempted.RETRY, "due_at": NOW + 10, "tries": 1},
            State.ACCEPTED,
            ("retry", "zap", "throttled 88"),
        ),
        (
            TryLater(1.0, "throttled", counted=False),
            False,
            {"state": Attempted.RETRY, "due_at": NOW + 1, "tries": 0},
            State.ACCEPTED,
            ("retry", "zap", "throttled"),
        ),
        (
            ChannelDown("provider_down"),
            False,
            {"state": Attempted.FAILED, "reason": "provider_down"},
            State.ACCEPTED,
            ("failed", "zap", "provider_down"),
        ),
        (
            ChannelDown("provider_down"),
            True,
            {"state": Attempted.RETRY, "due_at": NOW + journey.DOWN_RETRY_S, "tries": 0},
            State.ACCEPTED,
            ("retry", "zap", "provider_down"),
        ),
        (Unwritten("link lost"), False, {"state": Attempted.WAITING}, State.ACCEPTED, None),
    ],
)
def test_a_result_changes_the_attempt_and_tells_one_step(
    result: AttemptResult, alone: bool, expected: dict[str, Any], state: State, step: journey.Step | None
) -> None:
    message = accepted(attempts=[attempt("zap")], in_hand=True)
    steps = journey.resolve(message, result, NOW, alone)
    last = message.attempts[-1]
    assert {name: getattr(last, name) for name in expected} == expected
    assert message.state is state
    assert not message.in_hand
    assert steps == ([step] if step else [])


def test_a_final_message_forgets_its_text_but_not_its_reference() -> None:
    message = accepted(user_data=b"secret", tlvs=((0x0204, b"\0\7"), (0x020C, b"\0\1")), in_hand=True)
    journey.close(message, State.DELIVERED, 0, "zap", NOW)
    assert (message.user_data, message.tlvs, message.in_hand) == (b"", ((0x0204, b"\0\7"),), False)
    assert (message.state, message.final_at, message.decided_by) == (State.DELIVERED, NOW, "zap")


def news(status: Status, channel: str = "zap", remote_id: str = "w1", **fields: Any) -> Report:
    return Report(channel, remote_id, status, **fields)


def sent_by_whatsapp(**fields: Any) -> Message:
    return accepted(state=State.ENROUTE, attempts=[attempt("zap", Attempted.SENT, remote_id="w1")], **fields)


def fallen_back(state: Attempted = Attempted.WAITING, **fields: Any) -> Message:
    attempts = [attempt("zap", Attempted.SENT, remote_id="w1"), attempt("operator", state, started_at=START + 600)]
    return accepted(state=State.ENROUTE, attempts=attempts, **fields)


def taken(message: Message) -> bool:
    return message.in_hand or message.attempts[-1].state in (Attempted.SENT, Attempted.UNCERTAIN)


@pytest.mark.parametrize(
    ("message", "report", "steps", "state"),
    [
        (sent_by_whatsapp(), news(Status.SENT), [("ack", "zap", "")], State.ENROUTE),
        (sent_by_whatsapp(success="sent"), news(Status.SENT), [("ack", "zap", "")], State.DELIVERED),
        (sent_by_whatsapp(), news(Status.DELIVERED), [("delivered", "zap", "")], State.DELIVERED),
        (sent_by_whatsapp(), news(Status.READ), [("read", "zap", "")], State.DELIVERED),
        (sent_by_whatsapp(), news(Status.FAILED, err="131026"), [("failed", "zap", "undeliverable 131026")],
         State.ENROUTE),
        (sent_by_whatsapp(), news(Status.FAILED, no_account=True), [("failed", "zap", "undeliverable")],
         State.ENROUTE),
        (sent_by_whatsapp(), news(Status.DELIVERED, channel="other"), [], State.ENROUTE),
        (fallen_back(), news(Status.DELIVERED), [("delivered", "zap", "before the next channel had it")],
         State.DELIVERED),
        (fallen_back(Attempted.RETRY), news(Status.READ), [("read", "zap", "before the next channel had it")],
         State.DELIVERED),
        (fallen_back(in_hand=True), news(Status.DELIVERED), [("late", "zap", "delivered")], State.ENROUTE),
        (fallen_back(Attempted.SENT), news(Status.DELIVERED), [("late", "zap", "delivered")], State.ENROUTE),
        (fallen_back(Attempted.UNCERTAIN), news(Status.READ), [("late", "zap", "read")], State.ENROUTE),
        (fallen_back(Attempted.SENT), news(Status.FAILED), [], State.ENROUTE),
        (fallen_back(Attempted.SENT), news(Status.SENT), [], State.ENROUTE),
        (fallen_back(Attempted.SENT), news(Status.DELIVERED, "operator", "77"), [("delivered", "operator", "")],
         State.DELIVERED),
    ],
)  # fmt: skip
def test_a_report_changes_the_message_it_speaks_of(
    message: Message, report: Report, steps: list[journey.Step], state: State
) -> None:
    message = msgspec.structs.replace(message, attempts=[msgspec.structs.replace(a) for a in message.attempts])
    assert journey.report(message, report, NOW, taken) == steps
    assert message.state is state


@pytest.mark.parametrize("ended_as", [State.EXPIRED, State.DELETED, State.UNDELIVERABLE, State.REJECTED])
def test_nothing_changes_the_state_of_a_final_message(ended_as: State) -> None:
    message = sent_by_whatsapp()
    journey.close(message, ended_as, 2, "zap", NOW)
    for status in Status:
        journey.report(message, news(status), NOW + 1, taken)
    assert (message.state, message.err, message.final_at) == (ended_as, 2, NOW)


def test_a_network_failure_keeps_the_state_the_operator_named() -> None:
    message = accepted(attempts=[attempt("operator", Attempted.SENT, remote_id="77")])
    journey.report(message, news(Status.FAILED, "operator", "77", state=State.EXPIRED, err="034"), NOW, taken)
    assert (message.attempts[-1].end, message.attempts[-1].code) == (State.EXPIRED, "034")


def test_one_tick_makes_an_unanswered_send_certain() -> None:
    message = accepted(attempts=[attempt("zap", Attempted.UNCERTAIN)])
    journey.report(message, news(Status.SENT), NOW, taken)
    assert message.attempts[-1].state is Attempted.SENT


def test_a_late_acknowledgement_is_told_once_for_each_thing_it_says() -> None:
    message = fallen_back(Attempted.SENT)
    statuses = (Status.DELIVERED, Status.DELIVERED, Status.READ, Status.DELIVERED, Status.READ)
    steps = [step for status in statuses for step in journey.report(message, news(status), NOW, taken)]
    assert steps == [("late", "zap", "delivered"), ("late", "zap", "read")]


def test_read_is_told_once_even_when_it_comes_first() -> None:
    message = sent_by_whatsapp()
    statuses = (Status.READ, Status.READ, Status.DELIVERED, Status.READ)
    steps = [step for status in statuses for step in journey.report(message, news(status), NOW, taken)]
    assert steps == [("read", "zap", "")]


# -- any order, any number of copies


def run(message: Message, reports: Sequence[Status], early: int = 0) -> tuple[Message, list[journey.Step]]:
    """Apply reports the way delivery does. early: so many came before the send was answered; they were parked and are
    applied right after the answer, so their order among themselves is all that can differ."""
    steps = journey.resolve(message, Accepted("w1"), START, False)
    for number, status in enumerate(reports):
        now = START + (0.0 if number < early else 1.0 + number)
        steps += journey.report(message, news(status), now, taken)
        match decide(message, now, BOTH):
            case Send(channel=channel, again=False):
                journey.begin(message, channel, now)
            case Stop(state=state, err=err, channel=channel):
                journey.close(message, state, err, channel, now)
    return message, steps


def visible(message: Message) -> object:
    """What an ESME, a trace or the next channel can see of the outcome."""
    return (
        message.state,
        message.err,
        message.decided_by,
        [(one.channel, one.end if one.state is Attempted.FAILED else None) for one in message.attempts],
        message.final,
    )


STORIES = [
    (("zap", "operator"), "delivered", (Status.SENT, Status.DELIVERED, Status.READ)),
    (("zap", "operator"), "delivered", (Status.SENT, Status.DELIVERED)),
    (("zap", "operator"), "delivered", (Status.SENT, Status.READ)),
    (("zap", "operator"), "delivered", (Status.SENT, Status.FAILED)),
    (("zap",), "delivered", (Status.SENT, Status.FAILED)),
    (("zap",), "delivered", (Status.SENT, Status.DELIVERED, Status.READ)),
    (("zap", "operator"), "sent", (Status.SENT, Status.DELIVERED, Status.READ)),
    (("zap",), "sent", (Status.SENT, Status.DELIVERED)),
]


@given(st.data())
def test_shuffled_duplicated_and_early_statuses_end_like_the_run_in_order(data: st.DataObject) -> None:
    """R24, the pure half."""
    plan, success, story = data.draw(st.sampled_from(STORIES))

    def fresh() -> Message:
        return accepted(plan=plan, success=success, attempts=[attempt("zap")])

    copies = data.draw(st.lists(st.sampled_from(story), max_size=8))
    shuffled = data.draw(st.permutations([*story, *copies]))
    early = data.draw(st.integers(0, len(shuffled)))
    in_order, _ = run(fresh(), story)
    message, steps = run(fresh(), shuffled, early)
    assert visible(message) == visible(in_order)
    told = [(event, channel) for event, channel, _ in steps if event != "sent"]
    assert len(told) == len(set(told)), "the trace tells nothing twice"


# -- services that give our own id back: a failure may be tried again, and both sends are told of


def failed_again(remote_id: str, again_s: float = 0.0) -> Report:
    return Report("zap", remote_id, Status.FAILED, err="131047", message_id="m", again_s=again_s)


def test_what_is_given_up_in_silence_has_a_moment() -> None:
    message = accepted(attempts=[attempt("zap", due_at=NOW - 1)], in_hand=True)
    journey.resolve(message, Accepted("w1", lives_s=60.0), NOW, alone=False)
    assert decide(message, NOW + 59, BOTH) != decide(message, NOW + 60, BOTH) == Send("operator", "timeout")
    message = accepted(attempts=[attempt("zap", due_at=NOW - 1)], in_hand=True)
    journey.resolve(message, Accepted("w1"), NOW, alone=False)
    assert message.attempts[-1].due_at == 0.0


def test_a_failure_that_may_pass_is_tried_again_a_few_times() -> None:
    message = accepted(attempts=[attempt("zap", Attempted.SENT, remote_id="w1", acked=True)])
    last = message.attempts[-1]
    for tries, wait in enumerate((3.0, 12.0)):
        assert journey.report(message, failed_again("w1", 3.0), NOW, lambda _: False) == [
            ("retry", "zap", "failed 131047")
        ]
        assert (last.state, last.due_at, last.tries, last.acked) == (Attempted.RETRY, NOW + wait, tries + 1, False)
        assert isinstance(decide(message, NOW + wait, BOTH), Send)
        last.state = Attempted.SENT
    journey.report(message, failed_again("w1", 3.0), NOW, lambda _: False)
    assert last.state is Attempted.FAILED


@pytest.mark.parametrize("state", [Attempted.WAITING, Attempted.UNCERTAIN])
def test_only_what_was_surely_taken_is_tried_again(state: Attempted) -> None:
    message = accepted(attempts=[attempt("zap", state)], in_hand=state is Attempted.WAITING)
    journey.report(message, failed_again("w1"), NOW, lambda _: False)
    assert message.attempts[-1].state is Attempted.FAILED and not message.in_hand


@pytest.mark.parametrize(
    ("state", "news", "counts"),
    [
        (Attempted.SENT, "w1", False),  # the first send failed; the second is under way
        (Attempted.SENT, "w2", True),
        (Attempted.WAITING, "w1", False),
        (Attempted.WAITING, "w3", True),  # the second send failed before its answer
        (Attempted.RETRY, "w1", False),
        (Attempted.UNCERTAIN, "w1", False),
        (Attempted.UNCERTAIN, "w3", True),
    ],
)
@pytest.mark.parametrize("said", [Status.FAILED, Status.SENT, Status.DELIVERED])
def test_copies_of_a_report_about_an_earlier_send_change_nothing(
    state: Attempted, news: str, counts: bool, said: Status
) -> None:
    known = "w2" if state is Attempted.SENT else "w1"
    message = accepted(attempts=[attempt("zap", state, remote_id=known, tries=1)])
    steps = journey.report(message, Report("zap", news, said, message_id="m"), NOW, lambda _: False)
    assert bool(steps) is (counts or said is Status.DELIVERED)


@pytest.mark.parametrize(("ends", "plan"), [(False, ("zap", "operator")), (True, ("zap",))])
def test_a_refusal_for_good_leaves_no_channel_to_follow(ends: bool, plan: tuple[str, ...]) -> None:
    message = accepted(attempts=[attempt("zap")])
    journey.resolve(message, Refused("refused", "11", ends=ends), NOW, alone=False)
    assert message.plan == plan


REPORTS_OF = {status: Report("zap", "w1", status) for status in Status}


@pytest.mark.parametrize("now_with", ["zap", "operator"])
@pytest.mark.parametrize("state", [Attempted.WITHDRAWING, Attempted.WITHDRAWN])
def test_what_is_reported_of_a_copy_that_goes_is_told_and_changes_nothing(state: Attempted, now_with: str) -> None:
    attempts = [attempt("zap", state, remote_id="w1")]
    attempts += [attempt("operator", Attempted.WAITING)] if now_with == "operator" else []
    message = accepted(state=State.ENROUTE, attempts=attempts, success="sent")
    steps = [
        step
        for status in (Status.SENT, Status.SENT, Status.FAILED, Status.DELIVERED, Status.DELIVERED, Status.READ)
        for step in journey.report(message, REPORTS_OF[status], NOW, lambda _: False)
    ]
    assert steps == [("ack", "zap", ""), ("late", "zap", "delivered"), ("late", "zap", "read")]
    assert message.state is State.ENROUTE and message.attempts[0].state is state


@pytest.mark.parametrize(
    ("heard", "word", "state", "final", "remark"),
    [
        ((), LastWord(copy=Copy.DELETED), Attempted.WITHDRAWN, False, "zap's copy deleted"),
        (("delivered",), LastWord(copy=Copy.DELETED), Attempted.WITHDRAWN, False, "zap's copy deleted"),
        ((), LastWord(copy=Copy.UNCLEAR), Attempted.WITHDRAWING, False, "zap's copy perhaps deleted"),
        (("read",), LastWord(copy=Copy.UNCLEAR), Attempted.WITHDRAWING, False, "zap's copy perhaps deleted"),
        ((), LastWord(copy=Copy.KEPT), Attempted.ASKED, False, "zap's copy not deleted"),
        (("sent",), LastWord(copy=Copy.KEPT), Attempted.ASKED, False, "zap's copy not deleted"),
        (("sent", "delivered"), LastWord(copy=Copy.KEPT), Attempted.SENT, True, ""),
        ((), LastWord(Status.READ), Attempted.SENT, True, ""),
    ],
)
def test_only_a_copy_that_is_still_there_may_have_arrived(
    heard: tuple[str, ...], word: LastWord, state: Attempted, final: bool, remark: str
) -> None:
    message = accepted(state=State.ENROUTE, attempts=[attempt("zap", Attempted.SENT, remote_id="w1")])
    journey.ask(message, True, NOW)
    message.attempts[0].heard = heard
    steps = journey.last_word(message, word, NOW + 1.0)
    assert (message.attempts[0].state, message.final, journey.remark(message.attempts[0])) == (state, final, remark)
    assert bool(steps) is final
    assert message.attempts[0].due_at == NOW + 1.0, "the next channel's turn"


def test_a_text_that_is_only_asked_after_may_arrive_meanwhile() -> None:
    message = accepted(state=State.ENROUTE, attempts=[attempt("zap", Attempted.SENT, remote_id="w1")])
    journey.ask(message, False, NOW)
    assert message.attempts[0].state is Attempted.ASKED and message.attempts[0].due_at == NOW + journey.LAST_WORD_S
    journey.report(message, REPORTS_OF[Status.DELIVERED], NOW, lambda _: False)
    assert message.state is State.DELIVERED and journey.remark(message.attempts[0]) == ""


@pytest.mark.parametrize(
    ("success", "heard", "word", "final"),
    [
        ("sent", ("sent",), LastWord(), True),
        ("delivered", ("sent",), LastWord(), False),
        ("sent", ("sent",), LastWord(copy=Copy.DELETED), False),
        ("sent", (), LastWord(Status.SENT), True),
    ],
)
def test_where_sent_is_enough_a_last_word_of_that_ends_it(
    success: str, heard: tuple[str, ...], word: LastWord, final: bool
) -> None:
    message = accepted(state=State.ENROUTE, attempts=[attempt("zap", Attempted.SENT, remote_id="w1")], success=success)
    journey.ask(message, True, NOW)
    message.attempts[0].heard = heard
    steps = journey.last_word(message, word, NOW)
    assert message.final is final and [event for event, _, _ in steps] == (["ack"] if final else [])
