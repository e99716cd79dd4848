"""What leaves towards an operator: the user data byte for byte as it came, or the same text in the operator's alphabet.

A message is re-encoded only when its data_coding is 0 and that means one alphabet to the account and another one to the
channel, or when the channel transliterates.
"""

from __future__ import annotations

from typing import NamedTuple

from gateway.smpp import charset, segments
from gateway.smpp.charset import UCS2, Coding, coding_of
from gateway.smpp.segments import MAX_UDH, MESSAGE_PAYLOAD, SAR_NUMBER, SAR_REF, SAR_TOTAL, UDHI, Tlvs

_REPLACED = frozenset({MESSAGE_PAYLOAD, SAR_REF, SAR_TOTAL, SAR_NUMBER})
_SAR_ON_AIR = (0x00, bytes(3))  # the element that an operator makes of SAR TLVs
_ALPHABET_BITS = 0x0C  # of a data_coding of the GSM groups 0x10 to 0x7F


class Outgoing(NamedTuple):
    """The user data fields of one submit_sm or deliver_sm; a message_payload is among the TLVs."""

    esm_class: int
    data_coding: int
    short_message: bytes
    tlvs: Tlvs = ()


def relay(
    user_data: bytes,
    esm_class: int,
    data_coding: int,
    account_alphabet: str,
    channel_alphabet: str,
    transliterate: bool = False,
) -> tuple[int, int, bytes]:
    """The (data_coding, esm_class, user_data) that show the handset the same characters.

    Unchanged when data_coding is not 0 or the alphabets are equal; also when the octets make no sense in the account's
    alphabet, because then nobody knows what they show. Otherwise the text is re-encoded: in the channel's alphabet if
    it fits, else in UCS-2, its UDH kept but for national language tables, which have been applied.
    transliterate: what would cost UCS-2 is folded to the GSM alphabet where that is possible, whatever its coding.
    """
    unchanged = (data_coding, esm_class, user_data)
    if not transliterate and (data_coding != 0 or account_alphabet == channel_alphabet):
        return unchanged
    if not charset.is_text(data_coding):
        return unchanged
    elements, offset = segments.split_udh(esm_class, user_data)
    text = segments.text_of(esm_class, data_coding, user_data, account_alphabet)
    if transliterate and (folded := _fold(text, data_coding, channel_alphabet)):
        data_coding, octets = folded
    elif data_coding != 0 or account_alphabet == channel_alphabet or "\ufffd" in text:
        return unchanged
    else:
        data_coding, octets = charset.choose(text, channel_alphabet)
        if octets == user_data[offset:] and data_coding == 0 and not _has_tables(elements):
            return unchanged
    header = segments.join_udh(segments.without_tables(elements))
    return data_coding, esm_class & ~UDHI | (UDHI if header else 0), header + octets


def outgoing_parts(
    user_data: bytes,
    esm_class: int,
    data_coding: int,
    account_alphabet: str,
    channel_alphabet: str,
    *,
    transliterate: bool = False,
    in_payload: bool = False,
    long_messages: str = "udh",
    ref: int = 0,
    tlvs: Tlvs = (),
) -> list[Outgoing]:
    """One accepted message -> the PDUs that carry it to the operator, in order; `relay` decides its octets.

    Without re-encoding, what came in one short_message leaves in one short_message. A text that came as
    message_payload, or that has become too long, is split as `long_messages` says (udh, sar or payload), under the
    concatenation reference `ref`; a payload leaves as it is where the channel takes payloads. tlvs: passed on in
    every part; those that place or carry the text are replaced where it is split.
    A part of a set that outgrows one message when it is re-encoded becomes a set of its own: its siblings have left
    already, or have not arrived.
    """
    new_coding, new_class, octets = relay(
        user_data, esm_class, data_coding, account_alphabet, channel_alphabet, transliterate
    )
    if in_payload and long_messages == "payload":
        rest = tuple(tlv for tlv in tlvs if tlv[0] != MESSAGE_PAYLOAD)
        return [Outgoing(new_class, new_coding, b"", ((MESSAGE_PAYLOAD, octets), *rest))]
    if not in_payload and (new_coding, new_class, octets) == (data_coding, esm_class, user_data):
        return [Outgoing(esm_class, data_coding, user_data, tlvs)]

    elements, offset = segments.split_udh(new_class, octets)
    text = octets[offset:]
    in_sar = any(tag == SAR_REF for tag, _ in tlvs) and offset + 2 + len(_SAR_ON_AIR[1]) <= MAX_UDH
    sar = (_SAR_ON_AIR,) if in_sar else ()
    within = (*sar, *elements)
    alone = segments.split(text, new_coding, long_messages, ref, default_alphabet=channel_alphabet, elements=within)
    if len(alone) == 1 and not alone[0].tlvs:
        return [Outgoing(new_class, new_coding, octets, tlvs)]
    others = segments.without_concat(elements)
    parts = segments.split(text, new_coding, long_messages, ref, default_alphabet=channel_alphabet, elements=others)
    rest = tuple(tlv for tlv in tlvs if tlv[0] not in _REPLACED)
    mode = new_class & ~UDHI
    return [Outgoing(mode | part.esm_class, new_coding, part.short_message, (*part.tlvs, *rest)) for part in parts]


def _fold(text: str, data_coding: int, channel_alphabet: str) -> tuple[int, bytes] | None:
    """(data_coding, octets) of a text that would cost UCS-2 and need not; None when there is nothing to gain."""
    ucs2 = coding_of(data_coding) is Coding.UCS2
    if not ucs2 and (charset.fits_gsm7(text) or "\ufffd" in text):
        return None
    folded = charset.transliterate(text)
    if not charset.fits_gsm7(folded):
        return None
    if ucs2 and data_coding != UCS2:
        # the same message class or indication with a GSM text: 0xE0-0xEF becomes 0xD0-0xDF
        gsm = data_coding ^ 0x30 if data_coding & 0xF0 == 0xE0 else data_coding & ~_ALPHABET_BITS
        return gsm, charset.gsm7_encode(folded)
    try:
        return 0, charset.encode_text(folded, channel_alphabet)
    except UnicodeEncodeError:
        return None


def _has_tables(elements: tuple[segments.Element, ...]) -> bool:
    return segments.without_tables(elements) != elements
