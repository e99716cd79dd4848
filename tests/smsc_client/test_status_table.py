"""What a command_status means: the general reading, and the channel's own word on it."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.logger import LogLevel, formatEvent

from gateway.messages.message import Attempt
from gateway.messages.outcome import Accepted, Refused, TryLater, Unwritten
from tests.fakes.smsc import Reply
from tests.smsc_client.stage import Stage, message

THROTTLED, QUEUE_FULL, INVALID_DESTINATION, VENDOR = 0x58, 0x14, 0x0B, 0x401


@pytest.mark.parametrize("code", [INVALID_DESTINATION, 0x0A, 0x08, THROTTLED, QUEUE_FULL, 0x04, VENDOR, 0xFFFFFFFF])
@pytest.mark.parametrize(
    ("word", "tries", "expected"),
    [
        ("fail", 0, Refused("refused", "{}", ends=True)),
        ("next_channel", 0, Refused("refused", "{}")),
        ("retry", 0, TryLater(5.0, "temporary", "{}")),
        ("retry", 9, TryLater(1800.0, "temporary", "{}")),
    ],
)
def test_the_channels_own_word_comes_before_the_general_reading(
    code: int, word: str, tries: int, expected: Any
) -> None:
    stage = Stage(lambda pdu, now: Reply(status=code), status={code: word})
    stage.send(message(1, attempts=[Attempt(channel="operator", tries=tries)]))
    (outcome,) = stage.outcomes
    assert outcome == type(expected)(*(str(code) if v == "{}" else v for v in fields(expected)))
    assert stage.channel.up
    assert stage.channel.rate == 100.0


def fields(value: Any) -> list[Any]:
    return [getattr(value, name) for name in value.__struct_fields__]


@pytest.mark.parametrize("code", [INVALID_DESTINATION, QUEUE_FULL, VENDOR])
def test_a_code_that_slows_down_halves_the_rate_and_the_message_goes_first(code: int) -> None:
    answers = iter([code] * 7)
    stage = Stage(lambda pdu, now: Reply(status=next(answers, 0)), status={code: "slow_down"}, throughput=10.0)
    stage.send(message(1), message(2, msisdn=message(1).msisdn))
    assert stage.channel.rate == 5.0
    assert stage.channel.capacity() == 0
    stage.run(30, step=0.01)
    assert [(one.id, type(result)) for one, result in stage.results] == [("m1", Accepted), ("m2", Accepted)]


def test_a_code_that_ends_the_session_makes_a_new_one_and_the_message_goes_there() -> None:
    answers = iter([VENDOR])
    stage = Stage(lambda pdu, now: Reply(status=next(answers, 0)), status={VENDOR: "rebind"})
    stage.requeue = True
    stage.send(message(1))
    assert stage.outcomes == [Unwritten("link_lost")]
    stage.run(2, step=0.01)
    assert stage.outcomes[1:] == [Accepted("1")]
    assert len(stage.smsc.binds) == 2


def test_the_reading_changes_without_a_new_bind() -> None:
    stage = Stage(lambda pdu, now: Reply(status=INVALID_DESTINATION))
    changed = stage.channel.settings.model_copy(update={"status": {INVALID_DESTINATION: "next_channel"}})
    assert stage.channel.reconfigure(changed)
    stage.send(message(1))
    assert stage.outcomes == [Refused("refused", "11")]
    assert len(stage.smsc.binds) == 1


def test_a_refusal_by_generic_nack_is_read_by_the_same_table() -> None:
    stage = Stage(lambda pdu, now: Reply(status=0x03, nack=True), status={0x03: "next_channel"})
    stage.send(message(1))
    assert stage.outcomes == [Refused("refused", "3")]


@pytest.mark.parametrize(
    ("code", "told", "said"),
    [
        (0x0A, {}, "settings need attention"),
        (VENDOR, {}, "0x401 is none of SMPP"),
        (INVALID_DESTINATION, {}, ""),
        (0x08, {}, ""),
        (0x0A, {0x0A: "fail"}, ""),
        (VENDOR, {VENDOR: "fail"}, ""),
    ],
)
def test_what_somebody_has_to_look_at_is_an_error_in_the_log_once(
    lines: list[dict[str, Any]], code: int, told: dict[int, str], said: str
) -> None:
    stage = Stage(lambda pdu, now: Reply(status=code), status=told)
    stage.send(*(message(n) for n in range(5)))
    errors = [formatEvent(line) for line in lines if line["log_level"] is LogLevel.error]
    assert len(errors) == bool(said)
    assert said in "".join(errors)
    assert not any(message(n).msisdn in line for n in range(5) for line in errors)


def test_an_operator_that_makes_codes_up_does_not_fill_the_log(lines: list[dict[str, Any]]) -> None:
    codes = iter(range(0x1000, 0x2000))
    stage = Stage(lambda pdu, now: Reply(status=next(codes)), throughput=10_000.0, window=500)
    stage.send(*(message(n) for n in range(300)))
    stage.run(1)
    assert 0 < len([line for line in lines if line["log_level"] is LogLevel.error]) <= 100
