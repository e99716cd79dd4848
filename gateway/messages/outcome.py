"""What a channel answers: the result of one attempt, and the reports that come later.

Expected outcomes are values; exceptions are for bugs and broken links.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

import msgspec

from gateway.messages.states import State

ANSWERED_LATE = -1  # in the place of a command_status: a copy that was given up is acknowledged after all
DRY_RUN = "dry run, nothing was sent"  # the note of what a channel only pretended to take


class Accepted(msgspec.Struct, frozen=True, gc=False):
    """The channel took the message. `remote_id` is its own id, "" when it gave none."""

    remote_id: str
    identity: str = ""  # WhatsApp: the form of the number that worked
    held: bool = False  # taken and not on its way yet: perhaps no word of it will ever come
    lives_s: float = 0.0  # after so long it is given up in silence; 0: not known
    note: str = ""  # for the trace
    sender: str = ""  # WhatsApp: which of the channel's senders has it; "" where there is only one


class NoAccount(msgspec.Struct, frozen=True, gc=False):
    """The number has no WhatsApp account: the next channel at once."""

    origin: str  # cache | provider (a lookup said so) | send (the send itself did)
    code: str = ""


class Refused(msgspec.Struct, frozen=True, gc=False):
    """Final for this message on this channel. `rejected`: the operator's own refusal (REJECTD, not UNDELIV).
    `ends`: final for the message, whatever channels would follow."""

    reason: str
    code: str = ""
    rejected: bool = True
    ends: bool = False


class TryLater(msgspec.Struct, frozen=True, gc=False):
    """May pass: the same channel again after `after_s` seconds, as long as the route's patience lasts."""

    after_s: float
    reason: str
    code: str = ""
    counted: bool = True  # False: throttling and lost links do not use up a retry


class ChannelDown(msgspec.Struct, frozen=True, gc=False):
    """Nothing was written and the channel cannot work now: the next channel at once."""

    reason: str
    code: str = ""


class Uncertain(msgspec.Struct, frozen=True, gc=False):
    """Written, not answered: it may have arrived and is never written to this channel again."""

    reason: str
    sender: str = ""  # as in Accepted


class Unwritten(msgspec.Struct, frozen=True, gc=False):
    """Nothing was written (link lost, rebind): back to the front of the channel's queue, uncounted."""

    reason: str


AttemptResult = Accepted | NoAccount | Refused | TryLater | ChannelDown | Uncertain | Unwritten


class Status(Enum):
    """What a provider or operator reports of a message it took."""

    SENT = "sent"  # left the sender: WhatsApp's one tick, an operator's ENROUTE or ACCEPTD
    DELIVERED = "delivered"
    READ = "read"
    FAILED = "failed"


class Report(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A report about a message, as a channel brought it.

    remote_id: "" when the report named none. `source` and `dest` are the addresses of the *message* (already swapped
    back), "" when unknown. `state`: for an operator's FAILED, which failure (SMPP message_state).
    """

    channel: str
    remote_id: str
    status: Status
    state: State = State.UNKNOWN
    err: str = ""
    source: str = ""
    dest: str = ""
    at: float = 0.0
    no_account: bool = False  # FAILED because the number has no WhatsApp account
    other_ids: tuple[str, ...] = ()  # the id in the receipt's text where it differs from the TLV
    message_id: str = ""  # ours, where the service gives it back: it names its own ids exactly, then
    again_s: float = -1.0  # FAILED, and the same channel may try once more after so long; below 0: it may not
    tlvs: tuple[tuple[int, bytes], ...] = ()  # what the ESME is to see of the operator's own
    parked: bool = False  # it waits in the store, acknowledged, until its message is known


class Copy(Enum):
    """What became of the copy of a text that was to be deleted before the next channel has its turn."""

    KEPT = "not deleted"  # it is still there, or nobody tried
    DELETED = "deleted"
    UNCLEAR = "perhaps deleted"


class LastWord(msgspec.Struct, frozen=True, gc=False):
    """What a channel says of a text whose time on it is over. arrived: what nobody had told us; SENT where
    that is enough for the route."""

    arrived: Status | None = None
    copy: Copy = Copy.KEPT


class Inbound(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A text from a person, by WhatsApp reply or as MO from the operator.

    text: decoded, for WhatsApp; user_data/data_coding/esm_class as they came, for an operator.
    """

    channel: str
    msisdn: str  # of the person, digits
    to: str  # the address they wrote to, "" when the channel has none (WhatsApp)
    remote_id: str = ""
    text: str = ""
    user_data: bytes = b""
    data_coding: int = 0
    esm_class: int = 0
    at: float = 0.0
    tlvs: tuple[tuple[int, bytes], ...] = ()  # of an operator's text: those that place it, and `pass_tlvs`


class Lookup(msgspec.Struct, frozen=True, gc=False):
    """What was found about a number before a send, for the trace and the metrics."""

    result: str  # active | inactive | unknown
    origin: str  # cache | provider
    seconds: float = 0.0


class QueryAnswer(NamedTuple):
    """What query_sm_resp says (SMPP 3.4, 4.8.2). final_date: SMPP time format, "" while the message is pending."""

    command_status: int
    message_id: str = ""
    final_date: str = ""
    message_state: int = 0
    error_code: int = 0
