"""The next step of a message, as a table."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest

from gateway.messages.message import Attempt, Attempted
from gateway.messages.states import FINAL, State
from gateway.routing.decide import AskFirst, ChannelFacts, Decision, Send, Stop, Wait, decide
from tests.gateway.samples import DAY_S, START, accepted, attempt

BOTH = {"zap": ChannelFacts("whatsapp"), "operator": ChannelFacts("smsc")}
ZAP_DOWN = {"zap": ChannelFacts("whatsapp", up=False), "operator": ChannelFacts("smsc")}
OPERATOR_DOWN = {"zap": ChannelFacts("whatsapp"), "operator": ChannelFacts("smsc", up=False)}
ALL_DOWN = {"zap": ChannelFacts("whatsapp", up=False), "operator": ChannelFacts("smsc", up=False)}
ONLY_OPERATOR = {"operator": ChannelFacts("smsc")}
END = START + DAY_S
PATIENCE = START + 600.0

CASES: list[tuple[str, dict[str, Any], list[Attempt], float, dict[str, ChannelFacts], Decision]] = [
    ("a new message takes the first choice", {}, [], START, BOTH, Send("zap", "first choice")),
    ("a later start is waited for", {"schedule_at": START + 60}, [], START, BOTH, Wait(START + 60)),
    ("at the start it goes", {"schedule_at": START + 60}, [], START + 60, BOTH, Send("zap", "first choice")),
    ("a start after the end never comes", {"schedule_at": END + 60}, [], START, BOTH, Wait(END)),
    ("validity ended before any channel", {}, [], END, BOTH, Stop(State.EXPIRED, 2, "", "validity ended")),
    (
        "validity ended on a channel",
        {},
        [attempt("zap", Attempted.SENT)],
        END,
        BOTH,
        Stop(State.EXPIRED, 2, "zap", "validity ended"),
    ),
    (
        "a WhatsApp channel that is down is passed over",
        {},
        [],
        START,
        ZAP_DOWN,
        Send("operator", "first choice", skipped=(("zap", "channel_down"),)),
    ),
    ("an operator that is down keeps its queue", {"plan": ("operator", "zap")}, [], START, ALL_DOWN,
     Send("operator", "first choice")),
    ("the last channel is used although it is down", {"plan": ("zap",)}, [], START, ZAP_DOWN,
     Send("zap", "first choice")),
    (
        "a channel that the configuration lost is passed over",
        {},
        [],
        START,
        ONLY_OPERATOR,
        Send("operator", "first choice", skipped=(("zap", "channel_removed"),)),
    ),
    ("no channel at all", {}, [], START, {}, Stop(State.UNDELIVERABLE, 4, "", "no channel left")),
    ("waiting in a queue lasts as long as the patience", {}, [attempt("zap")], START, BOTH, Wait(PATIENCE)),
    ("a queue too slow", {}, [attempt("zap")], PATIENCE, BOTH, Send("operator", "timeout")),
    ("sent waits for word", {}, [attempt("zap", Attempted.SENT)], PATIENCE - 1, BOTH, Wait(PATIENCE)),
    ("no word in time", {}, [attempt("zap", Attempted.SENT)], PATIENCE, BOTH, Send("operator", "timeout")),
    ("no word and the channel is down", {}, [attempt("zap", Attempted.SENT)], PATIENCE, ZAP_DOWN,
     Send("operator", "channel_down")),
    ("no answer waits like sent", {}, [attempt("zap", Attempted.UNCERTAIN)], START, BOTH, Wait(PATIENCE)),
    ("no answer and no word", {}, [attempt("zap", Attempted.UNCERTAIN)], PATIENCE, BOTH, Send("operator", "timeout")),
    ("an SMS that may have gone is held for its report", {"plan": ("operator", "zap")},
     [attempt("operator", Attempted.UNCERTAIN)], PATIENCE, BOTH, Wait(END)),
    ("and ends with its validity", {"plan": ("operator", "zap")}, [attempt("operator", Attempted.UNCERTAIN)], END, BOTH,
     Stop(State.EXPIRED, 2, "operator", "validity ended")),
    ("what was delivered in part is not sent again", {"plan": ("operator", "zap"), "follows": 2},
     [attempt("operator", Attempted.SENT)], PATIENCE, BOTH, Wait(END)),
    ("patience ends before validity only when it is shorter", {"fallback_after": 2 * DAY_S}, [attempt("zap")], START,
     BOTH, Wait(END)),
    ("the last channel has until the end", {}, [attempt("operator", Attempted.SENT)], PATIENCE + 1, BOTH, Wait(END)),
    ("a failure goes on at once", {}, [attempt("zap", Attempted.FAILED, reason="no_account")], START, BOTH,
     Send("operator", "no_account")),
    (
        "a failure on the last channel ends it",
        {},
        [attempt("operator", Attempted.FAILED, reason="refused", end=State.REJECTED)],
        START,
        BOTH,
        Stop(State.REJECTED, 1, "operator", "refused"),
    ),
    (
        "the channel's own code is the receipt's when it has three digits",
        {},
        [attempt("operator", Attempted.FAILED, reason="refused", code="069", end=State.REJECTED)],
        START,
        BOTH,
        Stop(State.REJECTED, 69, "operator", "refused"),
    ),
    (
        "longer codes do not fit a receipt",
        {},
        [attempt("zap", Attempted.FAILED, reason="refused", code="131026")],
        START,
        {"zap": ChannelFacts("whatsapp")},
        Stop(State.UNDELIVERABLE, 1, "zap", "refused"),
    ),
    (
        "a code of zero is no error code",
        {},
        [attempt("operator", Attempted.FAILED, code="000")],
        START,
        BOTH,
        Stop(State.UNDELIVERABLE, 1, "operator", "failed"),
    ),
    ("a retry waits for its moment", {}, [attempt("zap", Attempted.RETRY, due_at=START + 5, reason="429")], START,
     BOTH, Wait(START + 5)),
    ("a retry when it is due", {}, [attempt("zap", Attempted.RETRY, due_at=START + 5, reason="429")], START + 5, BOTH,
     Send("zap", "429", again=True)),
    ("a retry later than the patience goes on at once", {}, [attempt("zap", Attempted.RETRY, due_at=PATIENCE + 5,
     reason="throttled")], START, BOTH, Send("operator", "throttled")),
    ("so does one of which no word could come in time", {}, [attempt("zap", Attempted.RETRY, due_at=PATIENCE - 4)],
     START, BOTH, Send("operator", "timeout")),
    ("the last moment of a retry", {}, [attempt("zap", Attempted.RETRY, due_at=PATIENCE - 5)], START, BOTH,
     Wait(PATIENCE - 5)),
    ("a retry that was looked at too late", {}, [attempt("zap", Attempted.RETRY, due_at=START + 5, reason="429")],
     PATIENCE - 4, BOTH, Send("operator", "429")),
    ("patience ends while it retries", {}, [attempt("zap", Attempted.RETRY, due_at=START + 5)], PATIENCE, BOTH,
     Send("operator", "timeout")),
    ("a retry on the last channel", {}, [attempt("operator", Attempted.RETRY, due_at=PATIENCE + 5)], PATIENCE, BOTH,
     Wait(PATIENCE + 5)),
    ("the channel of a waiting message is removed", {}, [attempt("zap")], START, ONLY_OPERATOR,
     Send("operator", "channel_removed")),
    ("the channel of a sent message is removed", {}, [attempt("zap", Attempted.SENT)], START, ONLY_OPERATOR,
     Wait(PATIENCE)),
    (
        "the last channel of a waiting message is removed",
        {},
        [attempt("operator")],
        START,
        {"zap": ChannelFacts("whatsapp")},
        Stop(State.UNDELIVERABLE, 1, "operator", "failed"),
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "attempts", "now", "channels", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_the_next_step_follows_from_what_is_known(
    fields: dict[str, Any],
    attempts: list[Attempt],
    now: float,
    channels: dict[str, ChannelFacts],
    expected: Decision,
) -> None:
    assert decide(accepted(**fields, attempts=attempts), now, channels) == expected


DELETES = {"zap": ChannelFacts("whatsapp", asks=True, withdraws=True), "operator": ChannelFacts("smsc")}
ASKS = {"zap": ChannelFacts("whatsapp", asks=True), "operator": ChannelFacts("smsc")}
SENT = attempt("zap", Attempted.SENT, remote_id="w1")
BY_SMS = Send("operator", "timeout")
LAST_WORDS: list[tuple[str, Attempt, float, dict[str, ChannelFacts], Decision]] = [
    ("in time nobody is asked", SENT, PATIENCE - 1, DELETES, Wait(PATIENCE)),
    ("a text that nobody heard of is asked after", SENT, PATIENCE, ASKS, AskFirst("zap", False)),
    ("and its copy deleted where that is wanted", SENT, PATIENCE, DELETES, AskFirst("zap", True)),
    ("a text without an id cannot be asked after", attempt("zap", Attempted.SENT), PATIENCE, DELETES, BY_SMS),
    ("nor one that was never answered", attempt("zap", Attempted.UNCERTAIN), PATIENCE, DELETES, BY_SMS),
    ("unless its id was ours to choose", attempt("zap", Attempted.UNCERTAIN, remote_id="w1"), PATIENCE, DELETES,
     AskFirst("zap", True)),
    ("a channel that is down is not asked", SENT, PATIENCE,
     {**DELETES, "zap": ChannelFacts("whatsapp", up=False, asks=True, withdraws=True)},
     Send("operator", "channel_down")),
    ("nor one whose next one could not take its place", SENT, PATIENCE,
     {**DELETES, "operator": ChannelFacts("smsc", up=False)}, BY_SMS),
    ("nor one that nothing follows", SENT, PATIENCE, {"zap": DELETES["zap"]},
     Stop(State.UNDELIVERABLE, 1, "zap", "failed")),
    ("its word is waited for", attempt("zap", Attempted.ASKED, due_at=PATIENCE + 4), PATIENCE + 1, ASKS,
     Wait(PATIENCE + 4)),
    ("but not for long", attempt("zap", Attempted.ASKED, due_at=PATIENCE + 4), PATIENCE + 4, ASKS, BY_SMS),
    ("the same where its copy is being deleted", attempt("zap", Attempted.WITHDRAWING, due_at=PATIENCE + 4),
     PATIENCE + 1, DELETES, Wait(PATIENCE + 4)),
    ("and that", attempt("zap", Attempted.WITHDRAWING, due_at=PATIENCE + 4), PATIENCE + 4, DELETES, BY_SMS),
    ("once it is deleted, at once", attempt("zap", Attempted.WITHDRAWN, due_at=PATIENCE + 1), PATIENCE + 1, DELETES,
     BY_SMS),
    ("never beyond its validity", attempt("zap", Attempted.WITHDRAWING, due_at=END + 4), END - 1, DELETES, Wait(END)),
    ("where it ends", attempt("zap", Attempted.WITHDRAWING, due_at=END + 4), END, DELETES,
     Stop(State.EXPIRED, 2, "zap", "validity ended")),
]  # fmt: skip


@pytest.mark.parametrize(
    ("last", "now", "channels", "expected"), [case[1:] for case in LAST_WORDS], ids=[case[0] for case in LAST_WORDS]
)
def test_a_channel_has_the_last_word_before_the_next_one_has_its_turn(
    last: Attempt, now: float, channels: dict[str, ChannelFacts], expected: Decision
) -> None:
    assert decide(accepted(attempts=[msgspec.structs.replace(last)]), now, channels) == expected


@pytest.mark.parametrize("state", sorted(FINAL))
def test_a_final_message_has_no_next_step(state: State) -> None:
    assert decide(accepted(state=state), END + 1, BOTH) == Wait(math.inf)


def test_three_channels_are_tried_in_order_and_each_has_its_patience() -> None:
    channels = {**BOTH, "second": ChannelFacts("whatsapp")}
    message = accepted(plan=("zap", "second", "operator"), attempts=[attempt("zap", Attempted.FAILED, reason="down")])
    assert decide(message, START, channels) == Send("second", "down")
    message.attempts.append(attempt("second", Attempted.SENT, started_at=START + 100))
    assert decide(message, START + 600, channels) == Wait(START + 700)
    assert decide(message, START + 700, channels) == Send("operator", "timeout")
