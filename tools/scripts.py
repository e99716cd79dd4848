"""Fault scripts: what a simulator does with the messages to one number.

A script is written as words joined by `+`, some with a value: `undeliv+receipt:5s`, `http:503`, `read:200ms+twice`.
A table maps number patterns (`5511999*`) to scripts; the last pattern that matches counts.
"""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any, Generic, TypeVar

import msgspec

from tools.units import seconds

S = TypeVar("S")


class Scripts(Generic[S]):
    """Number pattern -> script. Numbers in full are found at once, however many there are."""

    def __init__(self, default: S) -> None:
        self.default = default
        self._patterns: list[tuple[int, str, S]] = []  # with the turn each was set in
        self._numbers: dict[str, tuple[int, S]] = {}
        self._turns = 0

    def set(self, pattern: str, script: S) -> None:
        """From now on numbers that match `pattern` (shell wildcards) follow `script`."""
        self._turns += 1
        if any(mark in pattern for mark in "*?["):
            self._patterns.append((self._turns, pattern, script))
        else:
            self._numbers[pattern] = self._turns, script

    def of(self, number: str) -> S:
        """The script of a number."""
        set_at, script = self._numbers.get(number, (0, self.default))
        for turn, pattern, other in reversed(self._patterns):
            if turn < set_at:
                break
            if fnmatchcase(number, pattern):
                return other
        return script


class OperatorScript(msgspec.Struct, frozen=True):
    """What the operator does with a submit_sm. Delays of None are the simulator's own."""

    status: int = 0  # command_status of the refusal; 0: taken
    refusals: int = 0  # > 0: only the first so many submits to a number are refused
    answered: bool = True  # False: taken, and the submit_sm_resp never leaves
    receipt: bool = True  # False: no receipt ever
    stat: str = "DELIVRD"
    err: str = "000"
    early: bool = False  # the receipt leaves before the submit_sm_resp
    copies: int = 1  # receipts per message
    answer_after_s: float | None = None
    receipt_after_s: float | None = None


class Ack(msgspec.Struct, frozen=True):
    """One status of a WhatsApp message, `after_s` from the moment the provider took it."""

    after_s: float
    state: str  # sent | delivered | read | failed
    code: int = 0  # why it failed, where this ack says it; 0: the script's


class WhatsAppScript(msgspec.Struct, frozen=True):
    """What the WhatsApp provider does with a lookup and with a message."""

    lookup: str = "ok"  # ok | error | hang | no (denies an account that is there)
    send: str = "ok"  # ok | refuse | http | hang | reset | limited | disconnected
    taken: bool = True  # hang, reset: the message was taken although the answer is lost
    http_status: int = 500
    code: int = 0  # of a refusal and of a failure, in the provider's own numbers; 0: its usual one
    times: int = 0  # > 0: only the first so many sends to a number meet this; then all is well
    trouble: str = ""  # logged_out | banned: a send to this number brings it on the sender
    back_after_s: float = 0.0  # when the sender is well again; 0: never
    acks: tuple[Ack, ...] = (Ack(0.15, "sent"), Ack(0.4, "delivered"))
    copies: int = 1  # of every webhook
    shuffled: bool = False  # webhooks leave in a random order, all at the time of the last
    early: bool = False  # webhooks leave before the send is answered
    told: bool = True  # False: webhooks get lost, and only who asks hears of anything
    withdrawal: str = "ok"  # ok | error | hang: of a message that is to be deleted for everyone


Word = Callable[[str], dict[str, Any]]


def _acks(*states: str, default_s: float = 0.4) -> Word:
    """The acks of a word, the last one after the word's value (a duration)."""

    def word(value: str) -> dict[str, Any]:
        last_s = seconds(value) if value else default_s
        steps = enumerate(states, start=1)
        return {"acks": tuple(Ack(last_s * place / len(states), state) for place, state in steps)}

    return word


def _stat(stat: str, err: str) -> Word:
    return lambda value: {"stat": stat, "err": value.zfill(3) if value else err}


def _trouble(trouble: str) -> Word:
    return lambda value: {"trouble": trouble, "back_after_s": seconds(value) if value else 0.0}


def _fixed(**changes: Any) -> Word:
    return lambda value: changes


OPERATOR_WORDS: dict[str, Word] = {
    "delivered": _stat("DELIVRD", "000"),
    "undeliv": _stat("UNDELIV", "027"),
    "expired": _stat("EXPIRED", "011"),
    "rejected": _stat("REJECTD", "099"),
    "unknown": _stat("UNKNOWN", "000"),
    "refuse": lambda value: {"status": int(value or "0x0B", 0)},
    "throttle": lambda value: {"status": 0x58, "refusals": int(value or "1")},
    "dropped": _fixed(answered=False),
    "silent": _fixed(receipt=False),
    "early": _fixed(early=True),
    "twice": _fixed(copies=2),
    "answer": lambda value: {"answer_after_s": seconds(value)},
    "receipt": lambda value: {"receipt_after_s": seconds(value)},
}
WHATSAPP_WORDS: dict[str, Word] = {
    "delivered": _acks("sent", "delivered"),
    "read": _acks("sent", "delivered", "read"),
    "read_only": _acks("sent", "read"),
    "sent_only": _acks("sent"),
    "never": _fixed(acks=()),
    "fails": _acks("sent", "failed"),
    "fails_with": lambda value: {**_acks("sent", "failed")(""), "code": int(value)},
    "fails_at_once": lambda value: {**_acks("failed")(""), "code": int(value or "0")},
    "refuses": lambda value: {"send": "refuse", "code": int(value or "0")},
    "http": lambda value: {"send": "http", "http_status": int(value or "500")},
    "hang": _fixed(send="hang"),
    "reset": _fixed(send="reset"),
    "lost": _fixed(send="reset", taken=False),
    "disconnected": _fixed(send="disconnected"),
    "logged_out": _trouble("logged_out"),
    "banned": _trouble("banned"),
    "429": lambda value: {"send": "limited", "times": int(value or "0")},
    "times": lambda value: {"times": int(value)},
    "twice": _fixed(copies=2),
    "shuffle": _fixed(shuffled=True),
    "early": _fixed(early=True),
    "untold": _fixed(told=False),
    "undeletable": _fixed(withdrawal="error"),
    "delete_hang": _fixed(withdrawal="hang"),
    "lookup_error": _fixed(lookup="error"),
    "lookup_hang": _fixed(lookup="hang"),
    "lookup_no": _fixed(lookup="no"),
}


def read_script(text: str, words: dict[str, Word], start: S) -> S:
    """The script that `word[:value]+word...` describes, as changes to `start`. ArgumentTypeError names the bad word."""
    script = start
    for item in text.split("+"):
        word, _, value = item.strip().partition(":")
        if word not in words:
            raise ArgumentTypeError(f"{word!r} is not one of {', '.join(words)}")
        try:
            changes = words[word](value)
        except ValueError:
            raise ArgumentTypeError(f"{value!r} is no value for {word!r}") from None
        script = msgspec.structs.replace(script, **changes)  # type: ignore[type-var]
    return script


def read_rule(text: str, words: dict[str, Word], start: S) -> tuple[str, S]:
    """`PATTERN=SCRIPT` -> (pattern, script)."""
    pattern, equals, script = text.partition("=")
    if not equals or not pattern:
        raise ArgumentTypeError(f"{text!r} is not NUMBER=SCRIPT, as in 5511999*=undeliv+receipt:5s")
    return pattern, read_script(script, words, start)
