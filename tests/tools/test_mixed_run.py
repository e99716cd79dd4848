"""The long mixed run: who meets what, and what counts as a broken promise. The run itself is made by hand."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest

from tools.mixed_cast import LATE, OPERATOR_SHARES, SHARES, TROUBLES, Fate, fates
from tools.mixed_report import Outcome, broken_promises, report, story_of
from tools.scripts import OPERATOR_WORDS, WHATSAPP_WORDS, OperatorScript, WhatsAppScript, read_script

BY_ZAP = Outcome(
    "5511990000001", Fate("delivered"), "m1", ["DELIVRD"], "delivered", "zap", finals=1, whatsapp=1, read=1
)
BY_SMS = Outcome("5511990000002", Fate("never"), "m2", ["DELIVRD"], "delivered", "operator", 1, whatsapp=1, sms=1)
LOST = Outcome("5511990000003", Fate("refuses"), "m3", ["UNDELIV"], "undeliverable", "operator", finals=1, sms=1)


def changed(outcome: Outcome, **fields: Any) -> Outcome:
    return msgspec.structs.replace(outcome, **fields)


@pytest.mark.parametrize("outcome", [BY_ZAP, BY_SMS, LOST])
def test_a_message_that_ended_once_with_its_receipt_breaks_nothing(outcome: Outcome) -> None:
    assert broken_promises([outcome], "evolution") == {}


@pytest.mark.parametrize(
    ("outcome", "promise"),
    [
        (changed(BY_ZAP, message_id="", stats=[], state=""), "were not accepted"),
        (changed(BY_ZAP, state="enroute", stats=[], finals=0), "are in no final state"),
        (changed(BY_ZAP, stats=[]), "have not exactly one receipt"),
        (changed(BY_ZAP, stats=["DELIVRD", "DELIVRD"]), "have not exactly one receipt"),
        (changed(BY_ZAP, finals=2), "have not exactly one receipt"),
        (changed(BY_ZAP, stats=["UNDELIV"]), "have a receipt that says something else"),
        (changed(BY_ZAP, read=0), "are delivered and reached nobody"),
        (changed(LOST, read=1), "are undelivered and reached somebody by WhatsApp"),
        (changed(BY_ZAP, sms=1), "were served twice"),
        (changed(BY_ZAP, read=2), "were served twice"),
        (changed(BY_SMS, sms=2), "were served twice"),
        (changed(BY_ZAP, fate=Fate("hang"), read=1, sms=2), "were served more than twice"),
    ],
)
def test_a_promise_that_was_not_kept_is_named(outcome: Outcome, promise: str) -> None:
    assert broken_promises([BY_ZAP, outcome, BY_SMS], "evolution")[promise] == [outcome]


@pytest.mark.parametrize(
    ("fault", "api", "allowed"),
    [
        ("hang", "evolution", True),
        ("hang", "cloud_api", False),  # the status names our own id
        ("reset", "wppconnect", True),
        ("reset", "waha", False),  # it takes an id of ours
        (LATE, "cloud_api", True),
        ("lost", "evolution", False),
        ("read+shuffle", "evolution", False),
    ],
)
def test_twice_is_allowed_only_within_the_documented_window(fault: str, api: str, allowed: bool) -> None:
    both = changed(BY_ZAP, fate=Fate(fault), sms=1)
    assert ("were served twice" not in broken_promises([both], api)) is allowed


@pytest.mark.parametrize(
    ("story", "dark"),
    [
        ("0.0s accepted, 3.1s sent zap unanswered: timeout", True),
        ("0.0s accepted, 15.0s fallback operator from zap: timeout, 18.0s late zap delivered", True),
        ("0.0s accepted, 15.0s fallback operator from zap: timeout, 18.0s late zap", True),
        ("0.0s accepted, 0.2s sent zap, 0.3s delivered zap", False),
    ],
)
def test_a_machine_that_stood_still_excuses_only_who_was_left_in_the_dark(story: str, dark: bool) -> None:
    both = changed(BY_ZAP, sms=1, story=story)
    assert "were served twice" in broken_promises([both], "evolution")
    assert ("were served twice" not in broken_promises([both], "evolution", stood_still=True)) is dark


@pytest.mark.parametrize("api", ["evolution", "cloud_api"])
def test_everybody_is_written_to_once_and_every_fault_occurs(api: str) -> None:
    cast = list(fates(5_000, api, random.Random(1)))
    assert len({number for number, _ in cast}) == len(cast) == 5_000
    met = {fate.fault for _, fate in cast}
    assert {share.fault for share in SHARES} | {trouble for trouble, _ in TROUBLES} <= met
    assert {fate.operator for _, fate in cast} == {word for word, _ in OPERATOR_SHARES}
    assert list(fates(5_000, api, random.Random(1))) == cast
    for _, fate in cast:
        if fate.account:
            read_script(fate.fault, WHATSAPP_WORDS, WhatsAppScript())
        if fate.operator:
            read_script(fate.operator, OPERATOR_WORDS, OperatorScript())


def test_the_report_has_a_line_for_each_fault_and_one_for_all() -> None:
    lines = report([BY_ZAP, BY_ZAP, BY_SMS, LOST])
    assert [line.split()[0] for line in lines] == ["fault", "delivered", "never", "refuses", "all"]
    assert lines[-1].split()[1:] == ["4", "2", "1", "1", "3", "2", "0"]


def test_a_story_tells_what_happened_and_when() -> None:
    events = [
        {"at": "2026-11-26T00:07:53.900Z", "event": "accepted"},
        {"at": "2026-11-26T00:07:54.000Z", "event": "lookup", "channel": "zap", "detail": "active (provider)"},
        {"at": "2026-11-26T00:08:09.400Z", "event": "fallback", "channel": "operator", "detail": "from zap: timeout"},
    ]
    assert story_of(events) == (
        "0.0s accepted, 0.1s lookup zap active (provider), 15.5s fallback operator from zap: timeout"
    )
    assert story_of([]) == ""
