"""By what reports find their messages: the channel's id, as soon as it is known; addresses where there is none; and who
waits until one of them is kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from gateway.delivery.ports import Channel
from gateway.messages.message import Message
from gateway.store import keys
from gateway.store.keys import DAY_S
from gateway.store.turn import Answers, Turn

MOST_RECENT = 8192  # messages whose report need not be looked up in the store; a stale one loses against its revision


class KnownBy:
    """Of all messages of this node."""

    early_report: Callable[[bytes], None]  # a parked report whose message is known now
    look_again: Callable[[str, Sequence[str]], None]  # parked reports of a channel that may have been about a message
    look_for_stray: Callable[[Message, str, Turn], None]  # a report of what is known by its addresses from now on

    def __init__(self, channels: Mapping[str, Channel]) -> None:
        self._channels = channels
        self.remote_id_days = keys.LEAST_REMOTE_ID_DAYS  # a channel's ids are found for so long
        self.recent: dict[tuple[str, str], Message] = {}  # by channel and its id: sent a moment ago, as last written
        self.settling: dict[str, Sequence[Callable[[], None]]] = {}  # msisdn -> what waits until its id is kept
        self.strangers: dict[tuple[str, str], list[str]] = {}  # channel, msisdn -> ids in reports that named nobody

    def its_id(self, turn: Turn, channel: str, remote_id: str, by_sms: bool) -> None:
        """From now on reports find the message by it; those that came before were parked."""
        message = turn.message
        key, lives_s = keys.remote_ids(channel, int(turn.now // DAY_S)), (self.remote_id_days + 1) * DAY_S
        for one in remote_id.split(",") if "," in remote_id else (remote_id,):
            turn.commands.append(("REMOTE", key, lives_s, one, channel))
        if by_sms:  # its report is likely to be the next thing that happens to it
            recent = self.recent
            recent[channel, remote_id] = message
            if len(recent) > MOST_RECENT:
                del recent[next(iter(recent))]
        self.settling.setdefault(message.msisdn, ())
        turn.sequel = self.id_kept

    def its_key(self, turn: Turn, channel: str) -> None:
        """The answer is lost, and with it the channel's id, unless the id was ours to choose."""
        key_of = getattr(self._channels.get(channel), "key_of", None)
        if key_of is not None:
            turn.message.attempts[-1].remote_id = key_of(turn.message.id)
            self.its_id(turn, channel, turn.message.attempts[-1].remote_id, by_sms=False)

    def its_addresses(self, turn: Turn, channel: str) -> None:
        """A message that may have arrived, or has no id of the operator's: a report without an owner for the same
        addresses will settle it."""
        message = turn.message
        key = self.hold_key(message, channel)
        ttl = str(int(max(0.0, message.expires_at - turn.now)) + 3600)
        turn.commands += [("RPUSH", key, message.id), ("EXPIRE", key, ttl)]
        self.look_for_stray(message, channel, turn)

    def hold_key(self, message: Message, channel: str) -> str:
        """Where the store has the messages that are known by these addresses."""
        return keys.held(channel, self.source_at(channel, message), message.msisdn)

    def source_at(self, channel: str, message: Message) -> str:
        """The source address as the operator knows it."""
        source_of = getattr(self._channels.get(channel), "source_of", None)
        return source_of(message) if source_of is not None else message.source

    def id_kept(self, turn: Turn, answers: Answers) -> None:
        """Whoever waited for the id goes on, and what was parked under it is told."""
        message = turn.message
        for call in self.settling.pop(message.msisdn, ()):  # as `settled`, which most messages need not call
            call()
        if answers is None:  # the link broke: what was parked went with the answer
            for command in turn.commands:
                if command[0] == "REMOTE":
                    self.look_again(command[4], (command[3],))
        for answer in answers or ():
            if answer and answer[0] >= 0x80:  # a packed report; places in a stream are digits
                self.early_report(answer)
        if self.strangers:
            self.answered(message.attempts[-1].channel, message.msisdn)

    def settled(self, msisdn: str) -> None:
        """Nothing is on its way into the store any more by which a message to this number will be known."""
        for call in self.settling.pop(msisdn, ()):
            call()

    def answered(self, channel: str, msisdn: str) -> None:
        """Reports that might have been about a message which was just being answered: whose are they?"""
        if ids := self.strangers.pop((channel, msisdn), None):
            self.look_again(channel, ids)
