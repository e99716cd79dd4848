"""What to do with a message now. Pure, and asked again after every event: fallback is not a branch elsewhere in the
code but this same question with one more fact."""

from __future__ import annotations

import math
from collections.abc import Mapping

import msgspec

from gateway.messages.message import Attempt, Attempted, Message
from gateway.messages.states import FINAL, State

ERR_FAILED = 1  # err of a receipt where the channel gave no code of three digits
ERR_EXPIRED = 2
ERR_NO_CHANNEL = 4

# Members by names of their own: before 3.12 an interpreter takes thirty times as long to find one in its class.
_WAITING, _RETRY, _SENT, _UNCERTAIN, _FAILED, *_ASKED = Attempted
ASKED = frozenset(_ASKED)


class ChannelFacts(msgspec.Struct):
    """What a decision may know of a channel."""

    kind: str  # smsc | whatsapp
    up: bool = True
    asks: bool = False  # has it a last word to say of a text that nobody heard of? And does it delete its copy then?
    withdraws: bool = False


class Send(msgspec.Struct, frozen=True):
    """Begin (or repeat) an attempt on this channel. `skipped`: channels passed over and why."""

    channel: str
    because: str
    again: bool = False
    skipped: tuple[tuple[str, str], ...] = ()


class AskFirst(msgspec.Struct, frozen=True):
    """The channel is asked for its last word before the next one has its turn. withdraws: it deletes its copy, too."""

    channel: str
    withdraws: bool


class Wait(msgspec.Struct, frozen=True):
    """Nothing to do before this moment, unless something happens."""

    until: float


class Stop(msgspec.Struct, frozen=True):
    """The message is over."""

    state: State
    err: int
    channel: str
    because: str


Decision = Send | AskFirst | Wait | Stop


def decide(message: Message, now: float, channels: Mapping[str, ChannelFacts]) -> Decision:
    """The next step of a message. Channels that the configuration no longer has count as failed."""
    if message.state in FINAL:
        return Wait(math.inf)
    last = message.attempt
    if now >= message.expires_at:
        return Stop(State.EXPIRED, ERR_EXPIRED, last.channel if last else "", "validity ended")
    if last is None:
        if message.schedule_at > now:
            return Wait(min(message.schedule_at, message.expires_at))
        return _following(message, 0, "first choice", channels, None)
    following = message.plan.index(last.channel) + 1 if last.channel in message.plan else len(message.plan)
    patience = last.started_at + message.fallback_after if following < len(message.plan) else math.inf
    facts = channels.get(last.channel)
    if last.state is _FAILED:
        return _following(message, following, last.reason, channels, last)
    if facts is None and last.state in (_WAITING, _RETRY):
        return _following(message, following, "channel_removed", channels, last)
    if last.state is _UNCERTAIN and facts is not None and facts.kind == "smsc":
        return Wait(message.expires_at)  # it may have arrived: held for its report, and never sent again
    if last.state is _SENT and message.follows >= 0:
        return Wait(message.expires_at)  # some of its parts were reported; the others' turn comes in `journey.FOLLOW_S`
    if last.state is _SENT and last.due_at and following < len(message.plan):
        patience = min(patience, last.due_at)  # the service has given it up then, without a word
    asked = last.state in ASKED
    if asked and now < last.due_at:
        return Wait(min(last.due_at, message.expires_at))
    if asked or now >= patience:
        reason = "timeout" if facts is None or facts.up else "channel_down"
        follows = _following(message, following, reason, channels, last)
        if facts is not None and _has_last_word(last, facts, follows, channels):
            return AskFirst(last.channel, facts.withdraws)
        return follows
    if last.state is _RETRY:
        if message.is_too_late_for(last.channel, max(now, last.due_at)):
            return _following(message, following, last.reason or "timeout", channels, last)
        if now >= last.due_at:
            return Send(last.channel, last.reason or "retry", again=True)
        return Wait(min(last.due_at, message.expires_at))
    return Wait(min(patience, message.expires_at))


def _has_last_word(last: Attempt, facts: ChannelFacts, follows: Decision, channels: Mapping[str, ChannelFacts]) -> bool:
    """Is it worth asking the channel once more? Only while it works; and its copy stays as long as nothing can take
    its place."""
    if not (facts.asks or facts.withdraws) or not facts.up or last.state not in (_SENT, _UNCERTAIN):
        return False
    return bool(last.remote_id) and isinstance(follows, Send) and channels[follows.channel].up


def _following(
    message: Message, start: int, reason: str, channels: Mapping[str, ChannelFacts], last: Attempt | None
) -> Decision:
    """The first usable channel from `start` on. A WhatsApp channel that is down is passed over unless it is the last
    one; an operator's channel that is down keeps its queue."""
    skipped: list[tuple[str, str]] = []
    plan = message.plan
    for i in range(start, len(plan)):
        facts = channels.get(plan[i])
        if facts is None:
            skipped.append((plan[i], "channel_removed"))
        elif facts.kind == "whatsapp" and not facts.up and i + 1 < len(plan):
            skipped.append((plan[i], "channel_down"))
        else:
            return Send(plan[i], reason, skipped=tuple(skipped))
    if last is None:
        return Stop(State.UNDELIVERABLE, ERR_NO_CHANNEL, "", "no channel left")
    code = int(last.code) if last.code.isascii() and last.code.isdigit() else ERR_FAILED
    err = code if 0 < code <= 999 else ERR_FAILED
    return Stop(last.end, err, last.channel, last.reason or "failed")
