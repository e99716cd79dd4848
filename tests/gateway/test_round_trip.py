"""A text is the same after every way through us: all of Portuguese, under each data_coding, whole and in parts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.messages.message import Message
from gateway.server import translate
from gateway.smpp.charset import encode_text, gsm7_encode, ucs2_encode
from gateway.smpp.constants import Tag
from gateway.smpp.pdu import DataSm
from gateway.smpp.relay import outgoing_parts
from gateway.smpp.segments import RawPart, join, split
from gateway.texts import join_parts, text_of
from tests.gateway.server.house import NUMBER, START, account, submit
from tests.gateway.smpp.test_charset import EMOJI, GSM7, LATIN, LOCKING, SINGLE, TYPOGRAPHIC

DAY = 86_400.0
PAYLOAD = int(Tag.MESSAGE_PAYLOAD)
ASCII = "".join(map(chr, range(0x20, 0x7F)))
PORTUGUESE = LATIN + TYPOGRAPHIC + EMOJI

_LOCKED = {char: bytes((code,)) for code, char in LOCKING.items()}
_LOCKED |= {char: char.encode() for char in "bcdefghijklmnopqrstuvwxyzBCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 .,:;!?()-/%"}
_SHIFTED = {char: gsm7_encode(char) for char in GSM7} | {char: bytes((0x1B, code)) for code, char in SINGLE.items()}


def by(table: dict[str, bytes]) -> Callable[[str], bytes]:
    return lambda text: b"".join(table[char] for char in text)


# data_coding, default_alphabet of the account, UDH elements beside concatenation, its client's encoder, its characters
WAYS: dict[str, tuple[int, str, tuple[tuple[int, bytes], ...], Callable[[str], bytes], str]] = {
    "0 as GSM": (0, "gsm7", (), gsm7_encode, GSM7),
    "0 as Latin-1": (0, "latin1", (), lambda text: encode_text(text, "latin1"), LATIN),
    "0 as UTF-8": (0, "utf8", (), lambda text: encode_text(text, "utf8"), PORTUGUESE),
    "1 ASCII": (1, "gsm7", (), lambda text: text.encode("ascii"), ASCII),
    "3 Latin-1": (3, "gsm7", (), lambda text: encode_text(text, "latin1"), LATIN),
    "8 UCS-2": (8, "gsm7", (), ucs2_encode, PORTUGUESE),
    "0x11 GSM": (0x11, "latin1", (), gsm7_encode, GSM7),
    "0x19 UCS-2": (0x19, "latin1", (), ucs2_encode, PORTUGUESE),
    "0xD0 GSM, message waiting": (0xD0, "latin1", (), gsm7_encode, GSM7),
    "0xE0 UCS-2, message waiting": (0xE0, "gsm7", (), ucs2_encode, PORTUGUESE),
    "0xF0 GSM, flash": (0xF0, "utf8", (), gsm7_encode, GSM7),
    "0 with the Portuguese shift table": (0, "gsm7", ((0x24, b"\3"),), by(_SHIFTED), "".join(_SHIFTED)),
    "0xF1 with the Portuguese locking table": (0xF1, "gsm7", ((0x25, b"\3"),), by(_LOCKED), "".join(_LOCKED)),
}
CARRIERS = ("short_message", "message_payload", "data_sm")


def taken(alphabet: str, carrier: str, data_coding: int, user_data: bytes, **fields: Any) -> Message:
    """What intake is given for a submit of this account."""
    billing = account(default_alphabet=alphabet)
    fields = {"data_coding": data_coding, **fields}
    if carrier == "data_sm":
        pdu = DataSm(destination_addr=NUMBER, tlvs=((PAYLOAD, user_data),), **fields)
        message = translate.data_sm(pdu, billing, now=START, country="BR", default_validity=DAY)
    else:
        text, tlvs = (user_data, ()) if carrier == "short_message" else (b"", ((PAYLOAD, user_data),))
        one = submit(text=text, tlvs=(*tlvs, *fields.pop("tlvs", ())), **fields)
        message = translate.submit_sm(one, billing, now=START, country="BR", default_validity=DAY)
    assert isinstance(message, Message), message
    return message


@settings(max_examples=400)
@given(way=st.sampled_from([*WAYS]), data=st.data(), carrier=st.sampled_from(CARRIERS))
def test_a_text_in_one_piece_is_read_as_it_was_written(way: str, carrier: str, data: st.DataObject) -> None:
    data_coding, alphabet, elements, encode, characters = WAYS[way]
    text = data.draw(st.text(characters, min_size=1, max_size=25))
    (part,) = split(encode(text), data_coding, "udh", 0, default_alphabet=alphabet, elements=elements)
    message = taken(alphabet, carrier, data_coding, part.short_message, esm_class=part.esm_class)
    assert text_of(message) == text


@settings(max_examples=400)
@given(
    way=st.sampled_from([*WAYS]),
    data=st.data(),
    how=st.sampled_from(["udh8", "udh16", "sar"]),
    size=st.integers(7, 120),
)
def test_a_text_in_parts_cut_anywhere_is_joined_as_it_was_written(
    way: str, how: str, size: int, data: st.DataObject
) -> None:
    """Cut by a client that knows nothing of escapes and surrogates."""
    data_coding, alphabet, elements, encode, characters = WAYS[way]
    text = data.draw(st.text(characters, min_size=1, max_size=200))
    octets = encode(text)
    pieces = [octets[at : at + size] for at in range(0, len(octets), size)]
    messages = []
    for number, piece in enumerate(pieces, 1):
        concat: tuple[tuple[int, bytes], ...] = ()
        tlvs: tuple[tuple[int, bytes], ...] = ()
        if how == "sar":
            tlvs = ((0x020C, b"\0\7"), (0x020E, bytes((len(pieces),))), (0x020F, bytes((number,))))
        elif how == "udh16":
            concat = ((0x08, bytes((0x81, 7, len(pieces), number))),)
        else:
            concat = ((0x00, bytes((0x81, len(pieces), number))),)
        header = b"".join(bytes((one, len(value))) + value for one, value in (*concat, *elements))
        user_data = bytes((len(header),)) + header + piece if header else piece
        fields = {"esm_class": 0x40 if header else 0, "tlvs": tlvs}
        messages.append(taken(alphabet, "short_message", data_coding, user_data, **fields))
    if len(messages) > 1:
        assert {message.part.total for message in messages if message.part} == {len(pieces)}
    assert join_parts(messages) == text


@settings(max_examples=400)
@given(
    way=st.sampled_from([*WAYS]),
    channel=st.sampled_from(["gsm7", "latin1", "utf8"]),
    data=st.data(),
    how=st.sampled_from(["udh", "sar", "payload"]),
)
def test_a_text_that_goes_by_sms_shows_the_same_characters(
    way: str, channel: str, how: str, data: st.DataObject
) -> None:
    """And leaves octet for octet where data_coding is not 0 or both sides mean the same by it."""
    data_coding, alphabet, elements, encode, characters = WAYS[way]
    text = data.draw(st.text(characters, min_size=1, max_size=25))
    (part,) = split(encode(text), data_coding, "udh", 0, default_alphabet=alphabet, elements=elements)
    message = taken(alphabet, "short_message", data_coding, part.short_message, esm_class=part.esm_class)
    sent = outgoing_parts(
        message.user_data, message.esm_class, message.data_coding, message.alphabet, channel, long_messages=how
    )
    if data_coding or alphabet == channel:
        assert [(one.short_message, one.data_coding) for one in sent] == [(part.short_message, data_coding)]
    raw = [
        RawPart(one.esm_class, one.data_coding, one.short_message or dict(one.tlvs).get(PAYLOAD, b"")) for one in sent
    ]
    assert join(raw, channel) == text
