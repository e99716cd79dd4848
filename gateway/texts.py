"""What a message says, as far as it says anything in words: its user data read by esm_class, data_coding and the
account's alphabet."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.messages.message import Message
from gateway.messages.outcome import Inbound
from gateway.smpp import charset, segments
from gateway.smpp.relay import relay
from gateway.smpp.retext import retext

SMS_ALONE = frozenset(value for value in range(256) if charset.message_class(value) in (0, 2))  # data_coding


def text_of(message: Message) -> str | None:
    """The text of a message as its ESME meant it; None when it is none."""
    if not _is_readable(message):
        return None
    return segments.text_of(message.esm_class, message.data_coding, message.user_data, message.alphabet)


def retext_of(message: Message, text: str) -> bytes:
    """A message's user data with another text; UnicodeEncodeError where its coding does not hold it."""
    return retext(message.esm_class, message.data_coding, message.user_data, text, message.alphabet)


def reply_of(text: Inbound, alphabet: str, of_account: str) -> tuple[int, int, bytes]:
    """(data_coding, esm_class, user data) of a person's text by SMS, as an account reads it. alphabet: the operator's
    under data_coding 0; of_account: the account's."""
    return relay(text.user_data, text.esm_class & segments.UDHI, text.data_coding, alphabet, of_account)


def segments_of(message: Message) -> int:
    return segments.count_segments(message.user_data, message.data_coding, message.esm_class, message.alphabet)


def is_text(message: Message) -> bool:
    """Is it a text as WhatsApp knows them? One for the screen alone (flash) or for the SIM card is none."""
    return message.data_coding not in SMS_ALONE and _is_readable(message)


def _is_readable(message: Message) -> bool:
    return charset.is_text(message.data_coding) and not segments.has_port_or_special(
        message.esm_class, message.user_data, message.tlvs
    )


def join_parts(parts: Sequence[Message]) -> str:
    """The text of parts in order."""
    raw = [segments.RawPart(part.esm_class, part.data_coding, part.user_data) for part in parts]
    return segments.join(raw, parts[0].alphabet)
