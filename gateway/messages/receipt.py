"""The receipt of a message, from what has become of it."""

from __future__ import annotations

from gateway.messages.ids import told
from gateway.messages.message import Message, Receipt

USER_MESSAGE_REFERENCE = 0x0204


def receipt_for(message: Message, now: float) -> Receipt:
    """The receipt of a message in its present state: addresses swapped, as the ESME wrote them."""
    message_id, reference = told(message.id), b""
    for tag, value in message.tlvs:
        if tag == USER_MESSAGE_REFERENCE:
            reference = value
            break
    return Receipt(
        message_id,
        message.dest,
        message.dest_ton,
        message.dest_npi,
        message.source,
        message.source_ton,
        message.source_npi,
        message.service_type,
        message.state,
        message.err,
        message.accepted_at,
        now,
        message.decided_by,
        reference,
        kept_as="" if message_id == message.id else message.id,
    )
