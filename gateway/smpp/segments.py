"""Long messages: user data headers, sar_* TLVs and message_payload; counted, split and joined.

"User data" is the short_message or message_payload of one PDU with its UDH, if esm_class says it has one.
Sources: 3GPP 23.040, 9.2.3.24 (UDH); SMPP 3.4, 5.2.12 (esm_class) and 5.3.2.22 to 24 (sar_*).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from gateway.smpp.charset import Coding, coding_of, decode_text
from gateway.smpp.cutting import cut, cut_default, has_room

UDHI = 0x40
SOURCE_PORT, DESTINATION_PORT = 0x020A, 0x020B
SAR_REF, SAR_NUMBER, SAR_TOTAL = 0x020C, 0x020F, 0x020E
MESSAGE_PAYLOAD = 0x0424
MAX_PARTS = 255
MAX_UDH = 256  # octets of a header, its length octet included
_SHORT_MESSAGE = 254
_PART_OCTETS = 134  # of a part on the air, without its concatenation

_CONCAT_8, _CONCAT_16, _SINGLE_SHIFT, _LOCKING_SHIFT = 0x00, 0x08, 0x24, 0x25
_TEXT_ELEMENTS = frozenset({_CONCAT_8, _CONCAT_16, _SINGLE_SHIFT, _LOCKING_SHIFT})
_ACKNOWLEDGEMENT = 0x18  # esm_class: SME delivery or manual acknowledgement

Tlvs = tuple[tuple[int, bytes], ...]
Element = tuple[int, bytes]


class Concat(NamedTuple):
    """Where a part stands in its set. kind: udh8, udh16 or sar; number counts from 1."""

    kind: str
    ref: int
    total: int
    number: int


class RawPart(NamedTuple):
    """What one PDU carried, still encoded."""

    esm_class: int
    data_coding: int
    user_data: bytes


class Part(NamedTuple):
    """One PDU to be sent: `esm_class` is UDHI or 0, to be or-ed to the rest; a payload is among the TLVs."""

    esm_class: int
    short_message: bytes
    tlvs: Tlvs = ()


# Reading ------------------------------------------------------------------------------------------------------------


def split_udh(esm_class: int, user_data: bytes) -> tuple[tuple[Element, ...], int]:
    """The UDH as (identifier, data) elements and the offset of the text; no elements and 0 when there is none.

    A header length of 0 or beyond the user data means that there is no header. An element that does not fit ends the
    walk, and the text begins there.
    """
    if not esm_class & UDHI or not user_data:
        return (), 0
    end = user_data[0] + 1
    if end == 1 or end > len(user_data):
        return (), 0
    elements: list[Element] = []
    at = 1
    while at < end:
        if at + 2 > end or at + 2 + user_data[at + 1] > end:
            return tuple(elements), at
        following = at + 2 + user_data[at + 1]
        elements.append((user_data[at], user_data[at + 2 : following]))
        at = following
    return tuple(elements), end


def join_udh(elements: Iterable[Element]) -> bytes:
    """The header of these elements with its length octet; empty for none. ValueError for more than MAX_UDH octets."""
    body = b"".join(bytes((identifier, len(data))) + data for identifier, data in elements)
    return bytes((len(body),)) + body if body else b""


def concat_of(esm_class: int, user_data: bytes, tlvs: Tlvs = ()) -> Concat | None:
    """How this PDU is a part of a longer text, or None; the UDH wins over TLVs, the last of several elements wins.

    A total below 2 or a number out of range is no concatenation.
    """
    if esm_class & UDHI:
        found = None
        for identifier, data in split_udh(esm_class, user_data)[0]:
            if identifier == _CONCAT_8 and len(data) == 3:
                found = Concat("udh8", data[0], data[1], data[2])
            elif identifier == _CONCAT_16 and len(data) == 4:
                found = Concat("udh16", data[0] << 8 | data[1], data[2], data[3])
        if found and _sound(found):
            return found
    if tlvs:
        sar = {tag: value for tag, value in reversed(tlvs) if SAR_REF <= tag <= SAR_NUMBER and value}
        if SAR_REF in sar and SAR_TOTAL in sar and SAR_NUMBER in sar:
            found = Concat("sar", *(int.from_bytes(sar[tag], "big") for tag in (SAR_REF, SAR_TOTAL, SAR_NUMBER)))
            return found if _sound(found) else None
    return None


def has_port_or_special(esm_class: int, user_data: bytes, tlvs: Tlvs = ()) -> bool:
    """Whether this is for an application on the handset, or an acknowledgement: SMS only, never a text for WhatsApp."""
    if esm_class & _ACKNOWLEDGEMENT:
        return True
    if not tlvs and not esm_class & UDHI:  # most texts
        return False
    if any(tag in (SOURCE_PORT, DESTINATION_PORT) for tag, _ in tlvs):
        return True
    return any(identifier not in _TEXT_ELEMENTS for identifier, _ in split_udh(esm_class, user_data)[0])


def text_of(esm_class: int, data_coding: int, user_data: bytes, default_alphabet: str = "gsm7") -> str:
    """The text of one PDU, its UDH taken off and its national tables applied."""
    if not esm_class & UDHI:
        return decode_text(user_data, data_coding, default_alphabet)
    return join((RawPart(esm_class, data_coding, user_data),), default_alphabet)


def join(parts: Iterable[RawPart], default_alphabet: str = "gsm7") -> str:
    """The text of consecutive parts, in the order given.

    Neighbours of one coding and national table are decoded together, so that an escape or a surrogate pair that was
    cut between two parts survives.
    """
    texts: list[str] = []
    pending, key = bytearray(), (0, 0, 0)
    for esm_class, data_coding, user_data in parts:
        elements, offset = split_udh(esm_class, user_data)
        table = (data_coding, _language(elements, _SINGLE_SHIFT), _language(elements, _LOCKING_SHIFT))
        if table != key:
            texts.append(_decode(pending, key, default_alphabet))
            pending, key = bytearray(), table
        pending += user_data[offset:] if offset else user_data
    texts.append(_decode(pending, key, default_alphabet))
    return "".join(texts)


def renumber(esm_class: int, user_data: bytes, new_ref: int) -> bytes:
    """The user data with another concatenation reference (its low 8 or 16 bits); unchanged where it has none."""
    elements, offset = split_udh(esm_class, user_data)
    renewed = [
        (identifier, new_ref.to_bytes(8, "big")[-width:] + data[width:])
        if (width := _reference_octets(identifier, data))
        else (identifier, data)
        for identifier, data in elements
    ]
    header = b"".join(bytes((identifier, len(data))) + data for identifier, data in renewed)
    return user_data[:1] + header + user_data[offset:] if elements else user_data


def renumber_tlvs(tlvs: Tlvs, new_ref: int) -> Tlvs:
    """The TLVs with another sar_msg_ref_num, where they have one."""
    return tuple((tag, new_ref.to_bytes(8, "big")[-2:] if tag == SAR_REF else value) for tag, value in tlvs)


# Counting -----------------------------------------------------------------------------------------------------------


def count_segments(
    user_data: bytes,
    data_coding: int,
    esm_class: int = 0,
    default_alphabet: str = "gsm7",
    *,
    concatenated: bool = False,
) -> int:
    """How many short messages an operator bills for this user data, at least 1.

    160/153 septets (an extension character is two), 70/67 UCS-2 characters, 140/134 octets of anything else.
    concatenated: it is a part of a set already (sar_* TLVs); a part with a concatenation header is recognised here.
    data_coding 0 in another alphabet than GSM is counted as the operator has to convert it: GSM if that fits, else
    UCS-2. What no set of parts can hold leaves as one payload: it counts no more than its octets make.
    """
    length = len(user_data)
    if concatenated or length <= 70:
        return 1
    converted = default_alphabet != "gsm7" and coding_of(data_coding) is Coding.DEFAULT
    if length <= 140 and not converted:
        return 1  # with its UDH, if it has one
    elements, offset = split_udh(esm_class, user_data)
    if any(_reference_octets(*element) for element in elements):
        return 1
    text = user_data[offset:]
    pieces = cut_default(text, default_alphabet, offset) if converted else cut(text, coding_of(data_coding), offset)
    count = len(pieces)
    return count if count <= MAX_PARTS else min(count, -(-length // _PART_OCTETS))


# Splitting ----------------------------------------------------------------------------------------------------------


def split(
    octets: bytes,
    data_coding: int,
    how: str,
    ref: int,
    *,
    default_alphabet: str = "gsm7",
    elements: tuple[Element, ...] = (),
) -> list[Part]:
    """Encoded text without UDH -> the PDUs that carry it; one without concatenation when it fits.

    how: udh (or udh8), udh16, sar or payload. ref: concatenation reference, of which the low 8 or 16 bits are used.
    default_alphabet: what data_coding 0 means to the receiver. elements: a UDH that each part carries beside its
    concatenation. A text of more than 255 parts, or one whose other elements leave it no room, goes as message_payload,
    because nothing else can hold it.
    """
    how = "udh8" if how == "udh" else how
    header = join_udh(elements)
    flag = UDHI if header else 0
    coding = coding_of(data_coding)
    layout = "udh8" if how == "payload" else how
    if coding is Coding.DEFAULT and default_alphabet != "gsm7":
        pieces = cut_default(octets, default_alphabet, len(header), layout)
    else:
        pieces = cut(octets, coding, len(header), layout)
    total = len(pieces)
    if total == 1 and len(header) + len(octets) <= _SHORT_MESSAGE:
        return [Part(flag, header + octets)]
    if how == "payload" or total > MAX_PARTS or not has_room(len(header), layout):
        return [Part(flag, b"", ((MESSAGE_PAYLOAD, header + octets),))]
    parts: list[Part] = []
    for number, piece in enumerate(pieces, 1):
        if how == "sar":
            sar = ((SAR_REF, (ref & 0xFFFF).to_bytes(2, "big")), (SAR_TOTAL, bytes((total,))))
            parts.append(Part(flag, header + piece, (*sar, (SAR_NUMBER, bytes((number,))))))
        else:
            concat = (_CONCAT_8, bytes((ref & 0xFF, total, number)))
            if how == "udh16":
                concat = (_CONCAT_16, (ref & 0xFFFF).to_bytes(2, "big") + bytes((total, number)))
            parts.append(Part(UDHI, join_udh((concat, *elements)) + piece))
    return parts


def without_concat(elements: Iterable[Element]) -> tuple[Element, ...]:
    """The elements of a UDH but for its concatenation."""
    return tuple(element for element in elements if element[0] not in (_CONCAT_8, _CONCAT_16))


def without_tables(elements: Iterable[Element]) -> tuple[Element, ...]:
    """The elements of a UDH but for its national language tables."""
    return tuple(element for element in elements if element[0] not in (_SINGLE_SHIFT, _LOCKING_SHIFT))


def _sound(concat: Concat) -> bool:
    return concat.total >= 2 and 1 <= concat.number <= concat.total


def _reference_octets(identifier: int, data: bytes) -> int:
    if identifier == _CONCAT_8 and len(data) == 3:
        return 1
    return 2 if identifier == _CONCAT_16 and len(data) == 4 else 0


def _language(elements: tuple[Element, ...], identifier: int) -> int:
    return next((data[0] for known, data in reversed(elements) if known == identifier and len(data) == 1), 0)


def _decode(octets: bytearray, key: tuple[int, int, int], default_alphabet: str) -> str:
    data_coding, single, locking = key
    return decode_text(bytes(octets), data_coding, default_alphabet, single_shift=single, locking_shift=locking)
