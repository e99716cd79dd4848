"""Any octets, under any header, in any alphabet: read, counted, cut and relayed, and nothing is lost."""

from __future__ import annotations

from datetime import UTC

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.smpp import cutting, pdu, receipt_text, relay, segments, times
from gateway.smpp.charset import Coding
from gateway.smpp.segments import MAX_UDH, RawPart, Tlvs

ALPHABETS = st.sampled_from(["gsm7", "latin1", "utf8", "ascii", "cp1252"])
OCTET = st.integers(0, 255)
IDENTIFIERS = st.sampled_from([0x00, 0x08, 0x24, 0x25, 0x04, 0x05, 0x70]) | OCTET
elements = st.lists(st.tuples(IDENTIFIERS, st.binary(max_size=250) | st.binary(min_size=3, max_size=4)), max_size=4)
LONG = st.sampled_from(["udh", "sar", "payload"])
sar = st.sampled_from([(), ((0x020C, b"\0\7"), (0x020E, b"\2"), (0x020F, b"\1")), ((0x020C, b""),)])


@st.composite
def user_data(draw: st.DrawFn) -> bytes:
    """A header that is sound, or nearly, or none; then text."""
    inside = b"".join(bytes((number, len(data))) + data for number, data in draw(elements))[: MAX_UDH - 1]
    length = draw(st.sampled_from([len(inside)] * 3 + [0, 1, 255]))
    return bytes((length,)) + inside + draw(st.binary(max_size=300))


@settings(max_examples=150, deadline=None)
@given(user_data(), OCTET, OCTET, ALPHABETS, ALPHABETS, st.booleans(), st.booleans(), LONG, sar)
def test_whatever_an_account_sends_can_be_counted_and_written_to_an_operator(
    octets: bytes, esm_class: int, data_coding: int, account: str, channel: str, folds: bool, payload: bool, how: str,
    tlvs: Tlvs,
) -> None:  # fmt: skip
    octets = octets if payload else octets[:255]
    assert 1 <= segments.count_segments(octets, data_coding, esm_class, account) <= max(1, len(octets))
    sent = relay.outgoing_parts(
        octets, esm_class, data_coding, account, channel, transliterate=folds, in_payload=payload,
        long_messages=how, ref=77, tlvs=tlvs,
    )  # fmt: skip
    assert 1 <= len(sent) <= segments.MAX_PARTS
    for one in sent:
        carried = pdu.SubmitSm(
            destination_addr="1", esm_class=one.esm_class, data_coding=one.data_coding,
            short_message=one.short_message, tlvs=one.tlvs,
        )  # fmt: skip
        assert pdu.decode(pdu.encode(carried)) == carried


@settings(max_examples=150, deadline=None)
@given(user_data(), st.sampled_from([0x40, 0x43]), st.sampled_from([0x00, 0x03, 0x04, 0x08, 0xF5]), LONG)
def test_what_is_split_without_re_encoding_is_joined_to_the_same_text(
    octets: bytes, esm_class: int, data_coding: int, how: str
) -> None:
    sent = relay.outgoing_parts(octets, esm_class, data_coding, "gsm7", "gsm7", in_payload=True, long_messages=how)
    raw = []
    for one in sent:
        payload = next((value for tag, value in one.tlvs if tag == segments.MESSAGE_PAYLOAD), b"")
        raw.append(RawPart(one.esm_class, one.data_coding, one.short_message or payload))
    whole = segments.text_of(esm_class, data_coding, octets)
    assert segments.join(raw) == whole


@settings(max_examples=150, deadline=None)
@given(
    st.binary(max_size=700), st.sampled_from(list(Coding)), st.integers(0, MAX_UDH),
    st.sampled_from(["udh8", "udh16", "sar"]),
)  # fmt: skip
def test_text_is_cut_into_pieces_that_make_it_again(octets: bytes, coding: Coding, header: int, how: str) -> None:
    pieces = cutting.cut(octets, coding, header, how)
    assert b"".join(pieces) == octets
    assert all(pieces) or pieces == [b""]
    if cutting.has_room(header, how):
        most = 160 if coding in (Coding.DEFAULT, Coding.GSM7, Coding.IA5) else 140
        assert all(len(piece) <= most - header for piece in pieces)


@settings(max_examples=80, deadline=None)
@given(st.binary(max_size=400), st.sampled_from(["latin1", "utf8", "ascii", "cp1252"]), st.integers(0, MAX_UDH))
def test_text_of_another_alphabet_is_cut_in_finite_pieces(octets: bytes, alphabet: str, header: int) -> None:
    pieces = cutting.cut_default(octets, alphabet, header)
    assert 1 <= len(pieces) <= len(octets) + 1


KEYS = st.sampled_from(
    ["id:", "stat:", "err:", "text:", "submit date:", "done_date:", " ", ";", "\0", "DELIVRD", "٣", "²"]
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(KEYS | st.text(max_size=6), max_size=12).map("".join), st.sampled_from(["latin-1", "utf-16-be", "utf-8"])
)
def test_a_receipt_made_of_its_own_words_is_read_or_is_none(text: str, codec: str) -> None:
    read = receipt_text.parse(text.encode(codec, "replace"))
    if read is not None:
        assert read.message_id or read.stat
        assert read.stat is None or read.stat == read.stat.upper()


DIGITS = st.text("0123456789²٣", min_size=8, max_size=17)


@settings(max_examples=150, deadline=None)
@given(DIGITS, st.sampled_from(["", "+", "-", "R", "000+", "048-", "099+", "000R"]), st.floats(0, 4e9))
def test_a_time_of_digits_is_read_or_refused(digits: str, end: str, now: float) -> None:
    try:
        moment = times.parse_absolute_or_relative((digits + end)[-16:], now, 0x61, UTC)
    except times.BadTime as bad:
        assert bad.status == 0x61
    else:
        assert moment is None or moment > -1e12
