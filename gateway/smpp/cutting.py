"""Where an encoded text may be cut, and how much of it one short message holds.

Source: 3GPP 23.040, 9.2.3.24 (140 octets or 160 septets, of which a UDH takes its share).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable

from gateway.smpp.charset import ESC, GSM7_COST, Coding, decode_text, encode_text, fits_gsm7, ucs2_encode

_OCTETS = 140  # of one short message on the air
_SHORT_MESSAGE = 254  # octets that the field of this name holds
_CONCAT_HEADER = {"udh8": 6, "udh16": 7, "sar": 6}  # octets the concatenation takes on the air, UDHL included
_LEAST = 4  # octets of a piece that a header leaves no room for: an escape or a surrogate pair stays whole
_LOOK_BACK = 24  # characters given up at most for the sake of a sequence that should stay whole


def cut(octets: bytes, coding: Coding, header: int = 0, how: str = "udh8") -> list[bytes]:
    """Cut encoded text without UDH into pieces of one short message each; one piece when it fits as it is.

    header: octets of a UDH, length octet included, that each piece has to carry beside the concatenation.
    Never cuts between an escape and its character nor inside a surrogate pair; prefers to keep combining and emoji
    sequences whole. Behind a header that fills the message by itself (see `has_room`) come a few octets
    apiece.
    """
    multi = _concat_header(header, _CONCAT_HEADER[how])
    if coding in (Coding.DEFAULT, Coding.GSM7, Coding.IA5):
        return _cut(octets, _septets(header), _septets(multi), _keep_escape)
    if coding is Coding.UCS2:
        return _cut(octets, _OCTETS - header & ~1, _OCTETS - multi & ~1, _keep_characters)
    return _cut(octets, _OCTETS - header, _OCTETS - multi, _anywhere)


def cut_default(octets: bytes, alphabet: str, header: int = 0, how: str = "udh8") -> list[bytes]:
    """Cut text in a default alphabet other than GSM 7-bit, by the size it has once the operator has converted it."""
    text = decode_text(octets, 0, alphabet)
    if not fits_gsm7(text):
        pieces = cut(ucs2_encode(text), Coding.UCS2, header, how)
        return [encode_text(piece.decode("utf-16-be"), alphabet, "replace") for piece in pieces]
    multi = _concat_header(header, _CONCAT_HEADER[how])
    septets = sum(map(GSM7_COST.__getitem__, text))
    if septets <= _septets(header) and len(octets) + header <= _SHORT_MESSAGE:
        return [octets]
    septets, room = _septets(multi), _SHORT_MESSAGE - multi
    parts: list[bytes] = []
    piece, used = b"", 0
    for char in text:
        code, cost = encode_text(char, alphabet, "replace"), GSM7_COST[char]
        if used + cost > septets or len(piece) + len(code) > room:
            parts.append(piece)
            piece, used = b"", 0
        piece += code
        used += cost
    return [*parts, piece]


def has_room(header: int, how: str) -> bool:
    """Whether a header of so many octets leaves room for text in one short message of several."""
    return _OCTETS - _concat_header(header, _CONCAT_HEADER[how]) >= _LEAST


def _septets(header: int) -> int:
    return (_OCTETS - header) * 8 // 7


def _concat_header(header: int, concat: int) -> int:
    return header + concat - 1 if header else concat


def _cut(octets: bytes, single: int, multi: int, boundary: Callable[[bytes, int, int], int]) -> list[bytes]:
    if len(octets) <= single:
        return [octets]
    multi = max(multi, _LEAST)
    pieces: list[bytes] = []
    start = 0
    while len(octets) - start > multi:
        end = boundary(octets, start, start + multi)
        if end <= start:
            end = start + multi
        pieces.append(octets[start:end])
        start = end
    pieces.append(octets[start:])
    return pieces


def _anywhere(octets: bytes, start: int, end: int) -> int:
    return end


def _keep_escape(octets: bytes, start: int, end: int) -> int:
    escapes = end
    while escapes > start and octets[escapes - 1] == ESC:
        escapes -= 1
    return end - (end - escapes) % 2


def _keep_characters(octets: bytes, start: int, end: int) -> int:
    """The last place between `start` and `end` where a character, and if possible a whole sequence, ends."""
    whole = end
    if 0xDC00 <= _unit(octets, end) <= 0xDFFF and 0xD800 <= _unit(octets, end - 2) <= 0xDBFF:
        whole = end - 2
    at = whole
    for _ in range(_LOOK_BACK):
        if at <= start:
            break
        before = _point_before(octets, at)
        if not _belongs_together(before, _point_at(octets, at)):
            return at
        at -= 4 if before > 0xFFFF else 2
    return whole


def _unit(octets: bytes, at: int) -> int:
    return octets[at] << 8 | octets[at + 1] if 0 <= at < len(octets) - 1 else 0


def _point_at(octets: bytes, at: int) -> int:
    high, low = _unit(octets, at), _unit(octets, at + 2)
    return _pair(high, low) or high


def _point_before(octets: bytes, at: int) -> int:
    low = _unit(octets, at - 2)
    return _pair(_unit(octets, at - 4), low) or low


def _pair(high: int, low: int) -> int:
    if 0xD800 <= high <= 0xDBFF and 0xDC00 <= low <= 0xDFFF:
        return 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00)
    return 0


def _belongs_together(before: int, after: int) -> bool:
    """Combining marks, variation selectors, skin tones and zero-width joiners hold on to what precedes them."""
    if before == 0x200D or after == 0x200D or 0x1F3FB <= after <= 0x1F3FF or 0xE0020 <= after <= 0xE007F:
        return True
    return after > 0x7F and unicodedata.category(chr(after)) in ("Mn", "Me", "Mc")
