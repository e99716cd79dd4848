"""How a message changes when something happens to it: results of attempts and reports, as functions that change the
copy they are given and tell the steps for its trace.

The rank of what is known only grows: a report that comes twice, late or out of order leaves the same message behind.
"""

from __future__ import annotations

from collections.abc import Callable

from gateway.messages.message import Attempt, Attempted, Message
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
)
from gateway.messages.states import FINAL, State

Step = tuple[str, str, str]  # event, channel, detail
_ARRIVED = {"delivered": 1, "read": 2}  # what an attempt's reason says once word has come
DOWN_RETRY_S = 15.0  # the only channel left is down: how soon it is asked again
FOLLOW_S = 60.0  # how long a part without its own report waits after another part's
LAST_WORD_S = 4.0  # the longest wait for a channel's last word before the next one has its turn
# Members by names of their own: before 3.12 an interpreter takes thirty times as long to find one in its class.
_WAITING, _RETRY, _SENT, _UNCERTAIN, _FAILED, _ASKED, _WITHDRAWING, _WITHDRAWN = Attempted
_TOLD_SENT, _TOLD_DELIVERED, _TOLD_READ, _TOLD_FAILED = Status
_ENROUTE, _DELIVERED, _UNDELIVERABLE = State.ENROUTE, State.DELIVERED, State.UNDELIVERABLE
WITHDRAWN = frozenset({_WITHDRAWING, _WITHDRAWN})
MOST_AGAIN = 2  # how often a message that was taken and then failed is tried again on the same channel


def begin(message: Message, channel: str, now: float) -> None:
    """The channel's turn starts; it waits in the channel's queue."""
    message.attempts.append(Attempt(channel=channel, started_at=now))


def resolve(message: Message, result: AttemptResult, now: float, alone: bool) -> list[Step]:
    """The result of the current attempt. alone: no other channel is left to fall back to."""
    attempt = message.attempts[-1]
    channel = attempt.channel
    message.in_hand = False
    match result:
        case Accepted():
            attempt.state, attempt.remote_id, attempt.reason = _SENT, result.remote_id, ""
            attempt.due_at = now + result.lives_s if result.lives_s else 0.0
            message.state = _ENROUTE
            attempt.sender = result.sender
            detail = result.note
            if result.sender:
                detail = f"by {result.sender}, {detail}" if detail else f"by {result.sender}"
            return [("sent", channel, detail)]
        case Uncertain(reason=reason, sender=sender):
            attempt.state, attempt.reason, attempt.sender = _UNCERTAIN, reason, sender
            message.state = _ENROUTE
            return [("sent", channel, f"by {sender}, unanswered: {reason}" if sender else f"unanswered: {reason}")]
        case NoAccount(origin=origin, code=code):
            _fail(attempt, "no_account", code, _UNDELIVERABLE)
            return [("failed", channel, f"no_account ({origin})")]
        case Refused(reason=reason, code=code, rejected=rejected, ends=ends):
            _fail(attempt, reason, code, State.REJECTED if rejected else _UNDELIVERABLE)
            if ends and channel in message.plan:
                message.plan = message.plan[: message.plan.index(channel) + 1]  # nothing follows any more
            return [("failed", channel, f"{reason} {code}".strip())]
        case TryLater(after_s=after_s, reason=reason, code=code, counted=counted):
            attempt.state, attempt.due_at, attempt.reason, attempt.code = _RETRY, now + after_s, reason, code
            attempt.tries += counted
            return [("retry", channel, f"{reason} {code}".strip())]
        case ChannelDown(reason=reason, code=code):
            if alone:
                attempt.state, attempt.due_at, attempt.reason = _RETRY, now + DOWN_RETRY_S, reason
                return [("retry", channel, reason)]
            _fail(attempt, reason, code, _UNDELIVERABLE)
            return [("failed", channel, reason)]
        case _:  # Unwritten: back to the front of the queue as if nothing had been
            attempt.state = _WAITING
            return []


def _fail(attempt: Attempt, reason: str, code: str, end: State) -> None:
    attempt.state, attempt.reason, attempt.code, attempt.end = _FAILED, reason, code, end


def close(message: Message, state: State, err: int, channel: str, now: float) -> None:
    """The message is final. Its text is not needed any more and goes."""
    message.state, message.err, message.decided_by, message.final_at = state, err, channel, now
    message.user_data, message.template, message.in_hand = b"", (), False
    if message.tlvs:
        message.tlvs = tuple(one for one in message.tlvs if one[0] == 0x0204)


def report(message: Message, news: Report, now: float, taken: Callable[[Message], bool]) -> list[Step]:
    """What a channel reports of a message it took.

    taken(message): has the channel after this one already got the message, so that it cannot be stopped?
    Returns no step when the report says nothing new.
    """
    attempt = _attempt_of(message, news)
    if attempt is None or (news.message_id and _of_an_earlier_send(attempt, news)):
        return []
    current = attempt is message.attempts[-1]
    channel = attempt.channel
    if attempt.state in WITHDRAWN:
        return _of_a_copy_that_goes(attempt, news)
    if message.state in FINAL or not current:
        return _afterwards(message, attempt, news, now, taken)
    if news.status is _TOLD_SENT:
        if attempt.acked:
            return []
        attempt.acked = True
        if attempt.state is _UNCERTAIN:
            attempt.state = _SENT
        if message.success == "sent":
            close(message, _DELIVERED, 0, channel, now)
        return [("ack", channel, "")]
    if news.status is _TOLD_DELIVERED or news.status is _TOLD_READ:
        detail = ""
        if "," in attempt.remote_id:
            if news.remote_id in attempt.heard:
                return []
            attempt.heard = (*attempt.heard, news.remote_id)
            detail = parts_heard(attempt)
            if detail.startswith("partial"):
                message.follows, message.follows_err, attempt.acked = _DELIVERED, 0, True
                return [("ack", channel, detail)]
        _heard(attempt, news)
        close(message, _DELIVERED, 0, channel, now)
        return [(attempt.reason, channel, detail)]
    if attempt.state is _FAILED:
        return []
    if news.again_s >= 0 and attempt.state is _SENT and attempt.tries < MOST_AGAIN:
        attempt.state, attempt.due_at, attempt.acked = _RETRY, now + news.again_s * 4**attempt.tries, False
        attempt.reason, attempt.code = "failed", news.err
        attempt.tries += 1
        return [("retry", channel, f"failed {news.err}".strip())]
    message.in_hand = False  # it may have failed before its send was answered
    if news.no_account:
        _fail(attempt, "no_account", news.err, _UNDELIVERABLE)
    else:
        _fail(attempt, "failed", news.err, news.state if news.state is not State.UNKNOWN else _UNDELIVERABLE)
    detail = f"{attempt.end.name.lower()} {news.err}".strip()
    return [("failed", channel, f"{detail}, {parts_heard(attempt)}" if attempt.heard else detail)]


def ask(message: Message, withdraws: bool, now: float) -> None:
    """The attempt's time is over: its channel is asked for a last word."""
    attempt = message.attempts[-1]
    attempt.state = _WITHDRAWING if withdraws else _ASKED
    attempt.due_at = now + LAST_WORD_S


def last_word(message: Message, word: LastWord, now: float) -> list[Step]:
    """What the channel said. Of a copy that is deleted, or may be, nothing counts that was reported meanwhile."""
    attempt = message.attempts[-1]
    attempt.due_at = now
    arrived = word.arrived
    if word.copy is Copy.KEPT:
        enough = (_TOLD_READ, _TOLD_DELIVERED, _TOLD_SENT)[: 3 if message.success == "sent" else 2]
        arrived = next((one for one in enough if one.value in attempt.heard), arrived)
    if arrived is not None:
        if arrived is not _TOLD_SENT:
            _heard(attempt, Report(attempt.channel, attempt.remote_id, arrived))
        attempt.acked = True
        attempt.state = _SENT
        close(message, _DELIVERED, 0, attempt.channel, now)
        event = "ack" if arrived is _TOLD_SENT else arrived.value
        return [(event, attempt.channel, "asked before the next channel had it")]
    if attempt.state is _WITHDRAWING:
        attempt.reason = word.copy.value
        if word.copy is not Copy.UNCLEAR:
            attempt.state = _WITHDRAWN if word.copy is Copy.DELETED else _ASKED
    return []


def remark(attempt: Attempt) -> str:
    """What became of the copy of a text whose time was over, for the trace; "" where it was not to be deleted."""
    if attempt.state in WITHDRAWN:
        return f"{attempt.channel}'s copy {attempt.reason or Copy.UNCLEAR.value}"
    return f"{attempt.channel}'s copy not deleted" if attempt.reason == Copy.KEPT.value else ""


def _of_a_copy_that_goes(attempt: Attempt, news: Report) -> list[Step]:
    """A report of a text whose copy is being deleted, or was: it may be true and the text gone all the same."""
    word = news.status.value
    if news.status is _TOLD_FAILED or word in attempt.heard or (news.status is _TOLD_SENT and attempt.acked):
        return []
    attempt.acked, attempt.heard = True, (*attempt.heard, word)
    return [("ack" if news.status is _TOLD_SENT else "late", attempt.channel, "" if word == "sent" else word)]


def parts_heard(attempt: Attempt) -> str:
    """How many parts of a text that left as several were reported delivered, for the trace."""
    heard, parts = len(attempt.heard), attempt.remote_id.count(",") + 1
    return f"{'partial: ' if heard < parts else ''}{heard} of {parts} parts delivered"


def follow(message: Message, now: float) -> Step:
    """Other parts were reported long ago and this one, or these, will not be: what was said of those is true here."""
    attempt = message.attempts[-1]
    close(message, State(message.follows), message.follows_err, attempt.channel, now)
    detail = parts_heard(attempt) if attempt.heard else "partial: as its sibling part"
    return "delivered" if message.state is _DELIVERED else "failed", attempt.channel, detail


def _attempt_of(message: Message, news: Report) -> Attempt | None:
    """The attempt a report speaks of: by its id, else the last one on that channel."""
    last = message.attempts[-1] if message.attempts else None
    if last is not None and last.remote_id == news.remote_id and last.channel == news.channel:
        return last
    on_channel = [a for a in message.attempts if a.channel == news.channel]
    for attempt in on_channel:
        if attempt.remote_id and attempt.remote_id == news.remote_id:
            return attempt
    return on_channel[-1] if on_channel else None


def _of_an_earlier_send(attempt: Attempt, news: Report) -> bool:
    """Does the report come once more for a send that failed and was tried again since? Only services that give our own
    id back do so; they always name theirs, too."""
    if not attempt.remote_id or news.status not in (_TOLD_SENT, _TOLD_FAILED):
        return False
    same = news.remote_id == attempt.remote_id
    return not same if attempt.state is _SENT else same and attempt.state is not _FAILED


def _afterwards(
    message: Message, attempt: Attempt, news: Report, now: float, taken: Callable[[Message], bool]
) -> list[Step]:
    """A report that comes when the message is final or another channel's."""
    if news.status not in (_TOLD_DELIVERED, _TOLD_READ) or not _heard(attempt, news):
        return []
    if message.decided_by == attempt.channel and message.state is _DELIVERED:
        return [("read", attempt.channel, "")] if news.status is _TOLD_READ else []
    if message.state not in FINAL and not taken(message):
        close(message, _DELIVERED, 0, attempt.channel, now)
        return [(news.status.value, attempt.channel, "before the next channel had it")]
    return [("late", attempt.channel, news.status.value)]


def _heard(attempt: Attempt, news: Report) -> bool:
    """Note that it arrived, or was read; False when that much was known before."""
    word = "read" if news.status is _TOLD_READ else "delivered"
    if _ARRIVED.get(attempt.reason, 0) >= _ARRIVED[word]:
        return False
    attempt.acked, attempt.reason = True, word
    return True
