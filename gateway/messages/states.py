"""What can become of a message, and which moves are allowed.

Source: SMPP 3.4 section 5.2.28 (message_state); SCHEDULED is 5.0's 0.
"""

from __future__ import annotations

from enum import IntEnum


class State(IntEnum):
    """message_state as it goes on the wire. A final state never changes afterwards."""

    SCHEDULED = 0
    ENROUTE = 1
    DELIVERED = 2
    EXPIRED = 3
    DELETED = 4
    UNDELIVERABLE = 5
    ACCEPTED = 6
    UNKNOWN = 7
    REJECTED = 8


STATE_NAMES = {state: state.name.lower() for state in State}  # as traces, the feed and metrics have them

FINAL = frozenset({State.DELIVERED, State.EXPIRED, State.DELETED, State.UNDELIVERABLE, State.UNKNOWN, State.REJECTED})

# The seven letters of a receipt's `stat:` (SMPP 3.4, Appendix B). 3.4 knows no SCHEDULED.
STAT = {
    State.SCHEDULED: "ENROUTE",
    State.ENROUTE: "ENROUTE",
    State.DELIVERED: "DELIVRD",
    State.EXPIRED: "EXPIRED",
    State.DELETED: "DELETED",
    State.UNDELIVERABLE: "UNDELIV",
    State.ACCEPTED: "ACCEPTD",
    State.UNKNOWN: "UNKNOWN",
    State.REJECTED: "REJECTD",
}


RECEIPT_BITS = 0x03  # of registered_delivery: which final states are told
INTERMEDIATE = 0x10  # bit 4 of registered_delivery: intermediate notifications wanted (SMPP 3.4, 5.2.17)


def wants_receipt(registered_delivery: int, state: State) -> bool:
    """Did the ESME ask to hear of this final state? 1 both, 2 failure only, 3 success only (bits 1-0; SMPP 5.2.17)."""
    asked = registered_delivery & RECEIPT_BITS
    if asked == 0:
        return False
    return asked == 1 or (state is State.DELIVERED) == (asked == 3)
