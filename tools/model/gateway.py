"""A gateway process of the model: what gateway/delivery does with the one message, over the real journey and decision.

Whatever it asks of the store waits in `calls` until the store serves it, in order; everything in here but its mark in
the wire log is gone when it dies. What a call's answer leads to stands beside the method that makes the call.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from gateway.messages.message import Attempt, Attempted, Message
from gateway.messages.outcome import Accepted, AttemptResult, ChannelDown, Report, Status, Uncertain, Unwritten
from gateway.messages.states import State, wants_receipt
from gateway.routing import journey
from gateway.routing.decide import ChannelFacts, Send, Stop, Wait, decide
from gateway.store.turn import NEVER
from tools.model.memory import CHANNELS, KINDS, NOWHERE, Change, Command, Memory, pack, unpack

TAKEN_FOR_S, LOOK_AGAIN_S = 30.0, 1.0  # of gateway.delivery.clockwork
TAKEN_OVER, DIED, LOST = "taken over", "the gateway died", "the answer was lost"


class Call(NamedTuple):
    """One call at the store, and what its answer is for. keep: no | links | always, see gateway.store.valkey.Keep."""

    name: str
    args: tuple[Any, ...] = ()
    keep: str = "always"


class Hold(NamedTuple):
    """A message in a channel's hands. copy: the number of the send, once its octets have left; -1 before."""

    channel: str
    record: bytes
    copy: int = -1


class Process(NamedTuple):
    """What a process is made of."""

    name: str
    up: bool = True
    calls: tuple[Call, ...] = ()
    holds: tuple[Hold, ...] = ()
    recent: tuple[str, str, bytes] | None = None  # channel and id of what was sent a moment ago, as last written
    asked: str = ""  # of its ESME: waiting | refused, until the store has answered
    marked: bool = False  # its wire log has the message
    before: bool = False  # an earlier process of this name had it there


class Around(Protocol):
    """What a process sees of the world."""

    now: float
    memory: Memory
    zap_up: bool

    def answer(self, ok: bool) -> None:
        """submit_sm_resp."""

    def reported(self, report: Report) -> None:
        """The report is acknowledged: it will not come again."""


class Turn:
    """One change in the making."""

    def __init__(self, message: Message, now: float, then: tuple[Any, ...]) -> None:
        self.message, self.now, self.then = message, now, then
        self.due, self.into, self.out_of = 0.0, NOWHERE, NOWHERE
        self.commands: list[Command] = []
        self.receipt: State | None = None


class Gateway:
    """One process at work."""

    def __init__(self, process: Process, world: Around) -> None:
        self.name, self.up, calls, holds, self.recent, self.asked, self.marked, self.before = process
        self.calls, self.holds, self.world = list(calls), list(holds), world

    def process(self) -> Process:
        return Process(
            self.name, self.up, tuple(self.calls), tuple(self.holds), self.recent, self.asked, self.marked, self.before
        )

    def facts(self) -> Mapping[str, ChannelFacts]:
        return {"zap": ChannelFacts("whatsapp", self.world.zap_up), "operator": ChannelFacts("smsc")}

    def has_call(self, name: str, *args: Any) -> bool:
        return any(one.name == name and one.args[: len(args)] == args for one in self.calls)

    @property
    def refuses(self) -> bool:
        """Was the ESME told no, and is that still to be made true?"""
        return self.asked == "refused" or self.has_call("revoke")

    @property
    def concerned(self) -> bool:
        return self.has_call("commit")

    # -- changes

    def commit(self, turn: Turn) -> bytes:
        """Seal it and send it on its way; the record as it is to be."""
        message = turn.message
        expected = message.rev
        message.rev = self.world.memory.next_revision(expected)
        record = pack(message)
        change = Change(expected, record, turn.due, turn.into, turn.out_of, tuple(turn.commands), turn.receipt)
        self.calls.append(Call("commit", (change, turn.then)))
        return record

    def commit_answered(self, change: Change, then: tuple[Any, ...]) -> None:
        done, found = self.world.memory.commit(change)
        name, *args = then
        if done:
            getattr(self, f"{name}_kept")(change, *args)
            for report in found if isinstance(found, list) else ():
                self.report(report, told=True)
            if found is None:
                self.look_again(change)
        else:
            fresh = unpack(found) if found else None  # type: ignore[arg-type]
            getattr(self, f"{name}_again")(change, fresh, *args)

    def look_again(self, change: Change) -> None:
        """It was kept before the link broke: what was parked under its ids went with the answer."""
        for name, channel, remote_id in change.commands:
            if name == "REMOTE":
                self.calls.append(Call("unpark", (channel, remote_id)))

    def unpark_answered(self, channel: str, remote_id: str) -> None:
        report = self.world.memory.parked_as(channel, remote_id)
        if report is not None:
            self.report(report, told=True)

    # -- intake

    def submit(self, message: Message, straight: bool) -> None:
        """straight: the channel has room, and the message need not wait in its queue."""
        now, turn = self.world.now, Turn(message, self.world.now, ("accepted",))
        self.asked = "waiting"
        if message.schedule_at > now:
            message.state, turn.due = State.SCHEDULED, min(message.schedule_at, message.expires_at)
        else:
            decision = decide(message, now, self.facts())
            assert isinstance(decision, Send)
            message.attempts = [Attempt(decision.channel, Attempted.WAITING, now)]
            turn.due = self.wake_at(message)
            if straight:
                message.in_hand, turn.into = True, (self.name, decision.channel)
            else:
                turn.commands.append(("RPUSH", decision.channel, 1))
        self.commit(turn)

    def accepted_kept(self, change: Change) -> None:
        if self.asked == "refused":
            self.calls.append(Call("revoke"))
        else:
            self.world.answer(True)
            if change.into != NOWHERE:
                self.take(change.into[1], change.record)
        self.asked = ""

    def accepted_again(self, change: Change, fresh: Message | None) -> None:
        if self.asked == "waiting" and fresh is not None:
            self.world.answer(True)
        self.asked = ""

    def lose_patience(self) -> None:
        """The ESME was told to come again."""
        self.asked = "refused"
        self.world.answer(False)

    def revoke_answered(self) -> None:
        self.world.memory.revoke()

    # -- dispatch

    def lease_answered(self, channel: str) -> None:
        record = self.world.memory.lease(self.name, channel)
        if record is None:
            return
        if self.refuses:
            self.calls.append(Call("drop", (channel,)))
            return
        message = unpack(record)
        if message.is_too_late_for(channel, self.world.now):
            self.resolve(message, ChannelDown("timeout"), self.world.now)
        elif channel == "zap" and not self.world.zap_up:
            self.resolve(message, ChannelDown("channel_down"), self.world.now)
        else:
            self.take(channel, record)

    def drop_answered(self, channel: str) -> None:
        self.world.memory.drop(self.name, channel)

    def take(self, channel: str, record: bytes) -> None:
        """Into the channel's hands."""
        self.holds.append(Hold(channel, record))

    def attempted(self, hold: Hold, result: AttemptResult) -> None:
        """What came of it."""
        self.holds.remove(hold)
        self.resolve(unpack(hold.record), result, self.world.now)

    def resolve(self, message: Message, result: AttemptResult, now: float) -> None:
        ordinal, channel = len(message.attempts), message.attempts[-1].channel
        last = message.plan[-1:] == (channel,)
        turn = Turn(message, now, ("result", result, ordinal, channel, now))
        turn.out_of = (self.name, channel)
        journey.resolve(message, result, now, alone=last)
        sent = ""
        if isinstance(result, Accepted):
            if result.remote_id:
                turn.commands.append(("REMOTE", channel, result.remote_id))
                sent = result.remote_id if KINDS[channel] == "smsc" else ""
            if last and message.follows < 0 and now < message.expires_at and message.state is State.ENROUTE:
                record = self.commit(turn)
                if sent:
                    self.recent = (channel, sent, record)
                return
        elif isinstance(result, Uncertain) and KINDS[channel] == "smsc":
            turn.commands.append(("HOLD", channel, ""))
        elif isinstance(result, Unwritten):
            turn.commands.append(("LPUSH", channel, ordinal))
        record = self.follow(turn)
        if sent:
            self.recent = (channel, sent, record)

    def result_kept(self, change: Change, result: AttemptResult, ordinal: int, channel: str, now: float) -> None:
        if isinstance(result, Uncertain) and KINDS[channel] == "smsc":
            self.calls.append(Call("stray"))

    def result_again(
        self, change: Change, fresh: Message | None, result: AttemptResult, ordinal: int, channel: str, now: float
    ) -> None:
        resolved = fresh is not None and isinstance(result, Unwritten) and not fresh.in_hand
        if resolved and fresh.attempts and fresh.attempts[-1].reason == TAKEN_OVER:  # type: ignore[union-attr]
            resolved = False
        if fresh is None or fresh.final or len(fresh.attempts) != ordinal or resolved:
            self.note(change, fresh)
        else:
            self.resolve(fresh, result, now)

    def note(self, before: Change, fresh: Message | None) -> None:
        """The message ended, or went on, while a channel had it."""
        if fresh is not None:
            turn = Turn(fresh, self.world.now, ("noted",))
            turn.out_of = before.out_of
            turn.commands = [one for one in before.commands if one[0] == "REMOTE"]
            self.commit(turn)

    def noted_kept(self, change: Change) -> None:
        pass

    def noted_again(self, change: Change, fresh: Message | None) -> None:
        self.note(change, fresh)

    def stray_answered(self) -> None:
        report = self.world.memory.stray()
        if report is not None:
            self.report(report, told=True)

    # -- what follows

    def follow(self, turn: Turn) -> bytes:
        message, now = turn.message, turn.now
        decision = decide(message, now, self.facts()) if not message.final else None
        if isinstance(decision, Stop):
            journey.close(message, decision.state, decision.err, decision.channel, now)
        if message.final:
            turn.due = NEVER
            if wants_receipt(message.registered_delivery, message.state):
                turn.receipt = message.state
        elif isinstance(decision, Send):
            self.enqueue(turn, decision)
        else:
            assert isinstance(decision, Wait)
            turn.due = min(decision.until, message.expires_at)
        return self.commit(turn)

    def enqueue(self, turn: Turn, send: Send) -> None:
        message, attempt = turn.message, turn.message.attempt
        if attempt is not None and send.again and attempt.channel == send.channel:
            attempt.state = Attempted.WAITING
        else:
            journey.begin(message, send.channel, turn.now)
        turn.commands.append(("RPUSH", send.channel, len(message.attempts)))
        turn.due = self.wake_at(message)

    def wake_at(self, message: Message) -> float:
        attempt = message.attempt
        if attempt is None:
            return min(message.schedule_at or message.expires_at, message.expires_at)
        if attempt.channel != message.plan[-1]:
            return min(attempt.started_at + message.fallback_after, message.expires_at)
        return message.expires_at

    # -- reports

    def report(self, report: Report, told: bool = False) -> None:
        """A report has come. told: it was acknowledged when it was parked."""
        recent = self.recent
        if recent is not None and recent[:2] == (report.channel, report.remote_id):
            self.recent = None
            self.apply(unpack(recent[2]), report, told)
        else:
            self.calls.append(Call("find", (report, told)))

    def find_answered(self, report: Report, told: bool) -> None:
        smsc = KINDS[report.channel] == "smsc"
        busy = any(hold.channel == report.channel and hold.copy >= 0 for hold in self.holds)
        settles = smsc and report.status in (Status.DELIVERED, Status.FAILED) and not busy
        found = self.world.memory.find(report, settles)
        message = unpack(found[0]) if found else None
        if found and found[1] == "held" and not told:
            self.world.reported(report)
            told = True
        if message is not None and found[1] == "own id" and report.channel not in [a.channel for a in message.attempts]:  # type: ignore[index]
            message = None
        if message is not None:
            self.apply(message, report, told)
        elif not told:
            self.world.reported(report)

    def apply(self, message: Message, report: Report, told: bool) -> None:
        turn = Turn(message, self.world.now, ("report", report, told))
        was_final = message.final
        if told:
            turn.commands.append(("UNPARK", report.channel, report.remote_id))
        if not journey.report(message, report, self.world.now, _taken):
            if not told:
                self.world.reported(report)
        elif was_final:
            self.commit(turn)
        else:
            self.follow(turn)

    def report_kept(self, change: Change, report: Report, told: bool) -> None:
        if not told:
            self.world.reported(report)

    def report_again(self, change: Change, fresh: Message | None, report: Report, told: bool) -> None:
        if fresh is not None:
            self.apply(fresh, report, told)
        elif not told:
            self.world.reported(report)

    # -- moments

    def due_answered(self) -> None:
        record = self.world.memory.look_at_due(self.world.now, self.world.now + TAKEN_FOR_S)
        if record is None:
            return
        message = unpack(record)
        if message.in_hand and self.world.now < message.expires_at:
            self.calls.append(Call("again", (self.world.now + LOOK_AGAIN_S,), "no"))
        elif message.final:
            self.calls.append(Call("again", (NEVER,), "no"))
        else:
            self.moment(message)

    def again_answered(self, then: float) -> None:
        if self.world.memory.due != NEVER:
            self.world.memory.due = then

    def moment(self, message: Message) -> None:
        now = self.world.now
        if message.final or (message.in_hand and now < message.expires_at):
            return
        if message.in_hand:  # what its channel holds looks ended right before it is written
            self.holds = [
                self._ended(hold) if hold.channel == message.attempts[-1].channel else hold for hold in self.holds
            ]
        self.follow(Turn(message, now, ("moment",)))

    @staticmethod
    def _ended(hold: Hold) -> Hold:
        message = unpack(hold.record)
        message.state = State.EXPIRED
        return hold._replace(record=hold.record[:8] + pack(message)[8:])

    def moment_kept(self, change: Change) -> None:
        pass

    def moment_again(self, change: Change, fresh: Message | None) -> None:
        if fresh is not None:
            self.moment(fresh)

    # -- what an ESME does with it

    def read_answered(self, what: str) -> None:
        message = unpack(self.world.memory.record) if self.world.memory.record else None
        if message is None or message.final or message.in_hand:
            return
        attempt = message.attempt
        waits = attempt is None or attempt.state is Attempted.WAITING
        turn = Turn(message, self.world.now, (what,))
        if what == "cancel":
            if waits or attempt.state in (Attempted.RETRY, Attempted.FAILED) or KINDS[attempt.channel] == "whatsapp":  # type: ignore[union-attr]
                journey.close(message, State.DELETED, 3, attempt.channel if attempt else "", self.world.now)
                self.follow(turn)
        elif waits and len(message.attempts) < 2:
            message.user_data = b"new"
            turn.due = self.wake_at(message)
            self.commit(turn)

    def cancel_kept(self, change: Change) -> None:
        pass

    def cancel_again(self, change: Change, fresh: Message | None) -> None:
        pass

    replace_kept, replace_again = cancel_kept, cancel_again

    # -- receipts

    def ack_answered(self, state: State) -> None:
        self.world.memory.answered(state)

    # -- recovery

    def start(self) -> None:
        """A new process of this name."""
        self.up, self.before = True, self.marked
        self.calls = [*(Call("recover", (channel,)) for channel in CHANNELS), Call("parked")]

    def recover_answered(self, channel: str) -> None:
        message = self._in_nobodys_hand(channel)
        if message is not None:
            self.resolve(message, Uncertain(DIED) if self.before else Unwritten(DIED), self.world.now)

    def parked_answered(self) -> None:
        """Reports that the process before has not applied any more, though their message was known."""
        for report in sorted(self.world.memory.parked, key=lambda one: one.remote_id):
            if self.world.memory.knows(report):
                self.report(report, told=True)

    def lost_answered(self, channel: str) -> None:
        message = self._in_nobodys_hand(channel)
        if message is not None:
            self.resolve(message, Unwritten(LOST), self.world.now)

    def _in_nobodys_hand(self, channel: str) -> Message | None:
        record = self.world.memory.stranded(self.name, channel)
        held = any(hold.channel == channel for hold in self.holds)
        if record is None or held or self.concerned:
            return None
        message = unpack(record)
        return message if message.attempts and message.attempts[-1].channel == channel else None

    def take_over_answered(self, node: str, channel: str) -> None:
        """What a node that counts as dead has in its hands."""
        record = self.world.memory.stranded(node, channel)
        if record is None or self.concerned:
            return
        message = unpack(record)
        if message.attempts[-1].channel != channel:
            self.world.memory.hands.discard((node, channel))
            return
        turn = Turn(message, self.world.now, ("left",))
        turn.out_of = (node, channel)
        journey.resolve(message, Uncertain(TAKEN_OVER), turn.now, alone=message.plan[-1:] == (channel,))
        if KINDS[channel] == "smsc":
            turn.commands.append(("HOLD", channel, ""))
            turn.then = ("left_and_held",)
        self.follow(turn)

    def left_kept(self, change: Change) -> None:
        pass

    def left_and_held_kept(self, change: Change) -> None:
        self.calls.append(Call("stray"))

    def left_again(self, change: Change, fresh: Message | None) -> None:
        pass

    left_and_held_again = left_again


def _taken(message: Message) -> bool:
    return message.in_hand or message.attempts[-1].state in (Attempted.SENT, Attempted.UNCERTAIN)
