"""The message: what an ESME handed us and what has become of it so far.

`Message` is the record that the store keeps, written anew after every step. It is the one mutable value of the
domain: whoever has read it from the store owns that copy, changes it and commits it against the revision it was
read at; a commit that lost the race is thrown away with the copy.
"""

from __future__ import annotations

import math
from enum import IntEnum

import msgspec

from gateway.messages.states import FINAL, State

FORMAT = 1  # of the packed record; raised when a field changes its place or meaning


LEAST_PATIENCE_S, LEAST_PATIENCE = 5.0, 0.25  # what a send needs of fallback_after: so many seconds, or this share


class Priority(IntEnum):
    """Queue of a message, from its route or from priority_flag."""

    HIGH = 0
    NORMAL = 1
    LOW = 2


class Attempted(IntEnum):
    """How far an attempt on one channel has come."""

    WAITING = 0  # in the channel's queue, or in its hands and not written yet
    RETRY = 1  # refused for now; tried again at `due_at`
    SENT = 2  # the channel took it; waiting for the word that it arrived
    UNCERTAIN = 3  # written, never answered: it may have arrived, so it is never written again
    FAILED = 4  # this channel is over
    ASKED = 5  # its time is over; the next channel's turn comes with the channel's last word, or at `due_at`
    WITHDRAWING = 6  # as ASKED, and its copy is being deleted: what is still reported of it may not be true any more
    WITHDRAWN = 7  # its copy was deleted


class Attempt(msgspec.Struct, array_like=True, gc=False):
    """One channel's turn at a message."""

    channel: str
    state: Attempted = Attempted.WAITING
    started_at: float = 0.0
    due_at: float = 0.0  # RETRY: when again; ASKED, WITHDRAWING: when the next channel's turn comes
    tries: int = 0
    remote_id: str = ""  # smsc_message_id or provider_message_id
    acked: bool = False  # WhatsApp's one tick (sent) was seen
    reason: str = ""  # why it failed: no_account, timeout, provider_down, refused ...
    code: str = ""  # the channel's own code for that
    end: State = State.UNDELIVERABLE  # FAILED: what becomes of the message when no channel is left
    # Of a text that left as several: the ids that were reported delivered. Of one whose copy is being deleted: what was
    # reported of it since.
    heard: tuple[str, ...] = ()
    sender: str = ""  # WhatsApp: which of the channel's senders wrote it; "" where there is only one


class Part(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Where a message stands in a concatenated text."""

    key: str  # names the set: account, source, number, way, reference and total
    total: int
    number: int


class Message(msgspec.Struct, array_like=True, gc=False):
    """A message. Moments are seconds since the epoch; `id` is empty until intake has given one.

    Everything down to `expires_at` is as the ESME submitted it, the form of its destination included; the route's
    plan is frozen at acceptance. `parts` holds the ids of the messages that a joined text speaks for.
    """

    id: str
    account: str
    source: str
    source_ton: int
    source_npi: int
    dest: str
    dest_ton: int
    dest_npi: int
    msisdn: str  # E.164 digits without the plus; Brazilian mobiles with the ninth digit
    service_type: str
    esm_class: int
    protocol_id: int
    priority_flag: int
    registered_delivery: int
    data_coding: int
    alphabet: str  # what data_coding 0 meant for the account: gsm7 | latin1 | utf8
    user_data: bytes  # UDH included; emptied when the message is final
    in_payload: bool  # it came as message_payload
    tlvs: tuple[tuple[int, bytes], ...]  # those that are passed on: SAR, user_message_reference ...
    part: Part | None
    segments: int
    schedule_at: float  # 0: at once
    expires_at: float
    # given by intake
    accepted_at: float = 0.0
    route: str = ""
    plan: tuple[str, ...] = ()  # channel names in order of preference
    fallback_after: float = 0.0
    success: str = "delivered"  # delivered | sent
    priority: int = Priority.NORMAL
    # what has become of it
    state: State = State.ACCEPTED
    attempts: list[Attempt] = []
    final_at: float = 0.0
    err: int = 0  # three digits of the receipt
    decided_by: str = ""  # the channel that gave the final state
    cost: str = "0"  # decimal; what the channels charged
    parts: tuple[str, ...] = ()
    joined_in: str = ""  # id of the joined text that speaks for this part
    released: bool = False  # of a joined text: its parts go on by themselves
    copy_of: str = ""  # id of the part that this one repeats; it ends as that one does
    follows: int = -1  # state taken over from the parts that were reported unless its own report comes first; -1: none
    follows_err: int = 0
    trace: list[tuple[float, str, str, str]] = []  # its steps: at, event, channel, detail
    rev: int = 0  # of the record this was read from; 0: not stored yet
    in_hand: bool = False  # a channel has it; nobody else may take it
    asking: tuple[str, ...] = ()  # of a joined text: ids of the parts that asked for an intermediate notification
    template: tuple[str, ...] = ()  # that its ESME named, and its parameters; see directive.py
    undecided: bool = False  # of a part: what the whole text says decides its route, and the others are not there yet

    @property
    def final(self) -> bool:
        return self.state in FINAL

    def is_too_late_for(self, channel: str, now: float) -> bool:
        """Is a text that this channel would send now better left to the next one alone?"""
        return self.patience_left(channel, now) == 0.0

    def patience_left(self, channel: str, now: float) -> float:
        """Seconds until the next channel has its turn, should nothing be heard of the present attempt; infinity where
        none follows. 0: so few that it would send the text as well, before word could come that it arrived."""
        if self.plan[-1:] == (channel,) or channel not in self.plan or not self.attempts or not self.fallback_after:
            return math.inf
        left = self.attempts[-1].started_at + self.fallback_after - now
        return left if left >= min(LEAST_PATIENCE_S, self.fallback_after * LEAST_PATIENCE) else 0.0

    @property
    def attempt(self) -> Attempt | None:
        """The attempt that is under way or was the last."""
        return self.attempts[-1] if self.attempts else None


class Mo(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A text from a person to us, on its way to an ESME as deliver_sm."""

    account: str
    source: str  # the person's number as the account last wrote it
    source_ton: int
    source_npi: int
    dest: str
    dest_ton: int
    dest_npi: int
    esm_class: int
    data_coding: int
    user_data: bytes
    protocol_id: int = 0
    service_type: str = ""
    tlvs: tuple[tuple[int, bytes], ...] = ()


class Receipt(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A delivery receipt for an ESME; addresses are already swapped."""

    message_id: str
    source: str
    source_ton: int
    source_npi: int
    dest: str
    dest_ton: int
    dest_npi: int
    service_type: str
    state: State
    err: int
    submitted_at: float
    done_at: float
    channel: str  # that decided; empty when none did
    user_message_reference: bytes = b""
    unused: bytes = b""  # keeps its place in the record
    intermediate: bool = False
    kept_as: str = ""  # id of its message in the store; empty: message_id, as for all but those of a submit_multi
    tlvs: tuple[tuple[int, bytes], ...] = ()  # of the operator's receipt, as far as its channel passes them on
