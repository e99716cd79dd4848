"""Another text in the place of a PDU's own, in the same coding and behind the same header."""

from __future__ import annotations

from gateway.smpp.charset import Coding, coding_of, encode_text, gsm7_encode, ucs2_encode
from gateway.smpp.segments import split_udh

_SHIFTS = frozenset({0x24, 0x25})  # national tables: what they hold cannot be written here


def retext(esm_class: int, data_coding: int, user_data: bytes, text: str, default_alphabet: str = "gsm7") -> bytes:
    """User data with this text. UnicodeEncodeError when the coding does not hold it, or cannot be written."""
    elements, offset = split_udh(esm_class, user_data)
    if any(identifier in _SHIFTS for identifier, _ in elements):
        raise UnicodeEncodeError("gsm7", text, 0, len(text), "a national table is in use")
    match coding_of(data_coding):
        case Coding.DEFAULT:
            octets = encode_text(text, default_alphabet)
        case Coding.GSM7:
            octets = gsm7_encode(text)
        case Coding.UCS2:
            octets = ucs2_encode(text)
        case Coding.IA5 | Coding.LATIN1:
            octets = text.encode("latin-1")
        case _:
            raise UnicodeEncodeError("text", text, 0, len(text), "no text that is written here")
    return user_data[:offset] + octets
