from __future__ import annotations

from argparse import ArgumentTypeError

import pytest

from tools.scripts import (
    OPERATOR_WORDS,
    WHATSAPP_WORDS,
    Ack,
    OperatorScript,
    Scripts,
    WhatsAppScript,
    read_rule,
    read_script,
)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("undeliv", OperatorScript(stat="UNDELIV", err="027")),
        ("undeliv:1", OperatorScript(stat="UNDELIV", err="001")),
        ("undeliv+receipt:5s", OperatorScript(stat="UNDELIV", err="027", receipt_after_s=5.0)),
        ("throttle:3", OperatorScript(status=0x58, refusals=3)),
        ("refuse:0x14", OperatorScript(status=0x14)),
        ("dropped+silent", OperatorScript(answered=False, receipt=False)),
        ("early+twice+answer:200ms", OperatorScript(early=True, copies=2, answer_after_s=0.2)),
    ],
)
def test_operator_words_make_a_script(words: str, expected: OperatorScript) -> None:
    assert read_script(words, OPERATOR_WORDS, OperatorScript()) == expected


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("delivered:200ms", WhatsAppScript(acks=(Ack(0.1, "sent"), Ack(0.2, "delivered")))),
        ("never", WhatsAppScript(acks=())),
        ("http:503", WhatsAppScript(send="http", http_status=503)),
        ("sent_only:1s+twice+early", WhatsAppScript(acks=(Ack(1.0, "sent"),), copies=2, early=True)),
        ("lost", WhatsAppScript(send="reset", taken=False)),
        ("refuses:131056+times:2", WhatsAppScript(send="refuse", code=131056, times=2)),
        ("fails_with:131026", WhatsAppScript(acks=(Ack(0.2, "sent"), Ack(0.4, "failed")), code=131026)),
        ("fails_at_once", WhatsAppScript(acks=(Ack(0.4, "failed"),))),
        ("banned:30s+times:1", WhatsAppScript(trouble="banned", back_after_s=30.0, times=1)),
        ("429:3", WhatsAppScript(send="limited", times=3)),
        ("lookup_error", WhatsAppScript(lookup="error")),
    ],
)
def test_whatsapp_words_make_a_script(words: str, expected: WhatsAppScript) -> None:
    assert read_script(words, WHATSAPP_WORDS, WhatsAppScript()) == expected


@pytest.mark.parametrize("words", ["undelivered", "", "throttle:many", "receipt:soon", "undeliv,silent"])
def test_a_word_that_nobody_knows_is_named(words: str) -> None:
    with pytest.raises(ArgumentTypeError):
        read_script(words, OPERATOR_WORDS, OperatorScript())


def test_a_rule_needs_a_number() -> None:
    assert read_rule("5511*=silent", OPERATOR_WORDS, OperatorScript()) == ("5511*", OperatorScript(receipt=False))
    with pytest.raises(ArgumentTypeError, match="NUMBER=SCRIPT"):
        read_rule("silent", OPERATOR_WORDS, OperatorScript())


def test_the_last_pattern_that_matches_counts() -> None:
    scripts = Scripts("none")
    scripts.set("5511*", "first")
    scripts.set("551199*", "second")
    assert [scripts.of(number) for number in ("551199000", "551188000", "552199000")] == ["second", "first", "none"]
    scripts.set("551199000", "third")
    assert [scripts.of(number) for number in ("551199000", "551199001")] == ["third", "second"]
    scripts.set("*000", "fourth")
    assert [scripts.of(number) for number in ("551199000", "551199001")] == ["fourth", "second"]
