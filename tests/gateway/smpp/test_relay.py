"""What leaves towards an operator: byte for byte, or the same characters."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.smpp.charset import encode_text, fits_gsm7, gsm7_encode, transliterate, ucs2_encode
from gateway.smpp.relay import Outgoing, outgoing_parts, relay
from gateway.smpp.segments import (
    MESSAGE_PAYLOAD,
    SAR_NUMBER,
    SAR_REF,
    SAR_TOTAL,
    UDHI,
    RawPart,
    concat_of,
    join,
    text_of,
)

ALPHABETS = st.sampled_from(["gsm7", "latin1", "utf8"])
PART_1 = bytes.fromhex("050003010201")
SAR = ((SAR_REF, b"\x00\x09"), (SAR_TOTAL, b"\x02"), (SAR_NUMBER, b"\x01"))
REFERENCE = (0x0204, b"\x00\x07")


def shown(parts: list[Outgoing], alphabet: str) -> str:
    raws = [
        RawPart(part.esm_class, part.data_coding, part.short_message or dict(part.tlvs).get(MESSAGE_PAYLOAD, b""))
        for part in parts
    ]
    return join(raws, alphabet)


@given(st.binary(max_size=254), st.integers(0, 255), st.integers(1, 255), ALPHABETS, ALPHABETS)
def test_any_other_data_coding_leaves_byte_for_byte(
    user_data: bytes, esm_class: int, data_coding: int, account: str, channel: str
) -> None:
    assert relay(user_data, esm_class, data_coding, account, channel) == (data_coding, esm_class, user_data)
    assert outgoing_parts(user_data, esm_class, data_coding, account, channel) == [
        Outgoing(esm_class, data_coding, user_data)
    ]


@given(st.binary(max_size=254), st.integers(0, 255), ALPHABETS)
def test_equal_alphabets_leave_byte_for_byte(user_data: bytes, esm_class: int, alphabet: str) -> None:
    assert relay(user_data, esm_class, 0, alphabet, alphabet) == (0, esm_class, user_data)
    assert outgoing_parts(user_data, esm_class, 0, alphabet, alphabet, tlvs=SAR) == [
        Outgoing(esm_class, 0, user_data, SAR)
    ]


@given(st.text("abc {}€@$àéÇãçõ“…😀\n", max_size=60), ALPHABETS, ALPHABETS)
def test_between_alphabets_the_handset_shows_the_same(text: str, account: str, channel: str) -> None:
    try:
        user_data = encode_text(text, account)
    except UnicodeEncodeError:
        return
    data_coding, esm_class, octets = relay(user_data, 0x03, 0, account, channel)
    assert text_of(esm_class, data_coding, octets, channel) == text
    assert esm_class == 0x03
    assert (data_coding == 8) == (channel == "gsm7" and not fits_gsm7(text)) or channel == "latin1"


@pytest.mark.parametrize(
    ("text", "account", "channel", "expected"),
    [
        ("é [x]", "latin1", "gsm7", (0, gsm7_encode("é [x]"))),
        ("ação", "latin1", "gsm7", (8, ucs2_encode("ação"))),
        ("€", "gsm7", "latin1", (8, ucs2_encode("€"))),
        ("é@", "gsm7", "utf8", (0, "é@".encode())),
        ("plain", "utf8", "gsm7", (0, b"plain")),
    ],
)
def test_the_channels_alphabet_is_used_where_it_shows_the_text(
    text: str, account: str, channel: str, expected: tuple[int, bytes]
) -> None:
    data_coding, _, octets = relay(encode_text(text, account), 0, 0, account, channel)
    assert (data_coding, octets) == expected


def test_the_header_is_kept_when_its_text_is_re_encoded() -> None:
    assert relay(PART_1 + b"\xe9", 0x43, 0, "latin1", "gsm7") == (0, 0x43, PART_1 + b"\x05")
    assert relay(PART_1 + b"\xe3", 0x43, 0, "latin1", "gsm7") == (8, 0x43, PART_1 + b"\x00\xe3")


def test_a_national_table_is_applied_and_taken_off() -> None:
    locked = bytes.fromhex("080003010201250103") + b"\x7b"
    assert relay(locked, UDHI, 0, "gsm7", "latin1") == (0, UDHI, PART_1 + b"\xe3")
    assert relay(bytes.fromhex("03250103") + b"\x7b", UDHI, 0, "gsm7", "latin1") == (0, 0, b"\xe3")
    assert relay(bytes.fromhex("03250103") + b"abc", UDHI, 0, "gsm7", "latin1") == (0, 0, b"abc")
    assert relay(locked, UDHI, 0, "gsm7", "gsm7") == (0, UDHI, locked)


def test_octets_that_make_no_sense_in_the_accounts_alphabet_are_left_alone() -> None:
    assert relay(b"ol\xe1", 0, 0, "gsm7", "latin1") == (0, 0, b"ol\xe1")
    assert relay(b"ol\xe1", 0, 0, "utf8", "gsm7", True) == (0, 0, b"ol\xe1")


# Transliteration


@pytest.mark.parametrize(
    ("user_data", "data_coding", "expected"),
    [
        (ucs2_encode("Olá, João 😀"), 8, (0, b"Ola, Joao ")),
        (ucs2_encode("plain"), 8, (0, b"plain")),
        (ucs2_encode("ação"), 0x18, (0x10, b"acao")),  # flash stays flash
        (ucs2_encode("ação"), 0xE8, (0xD8, b"acao")),
        (ucs2_encode("Привет"), 8, (8, ucs2_encode("Привет"))),
        ("ação".encode("latin-1"), 3, (0, b"acao")),
        ("é [x]".encode("latin-1"), 3, (3, "é [x]".encode("latin-1"))),
        (b"\x05", 0, (0, b"\x05")),
        (b"\xe3\xe7", 4, (4, b"\xe3\xe7")),
        (b"\x00\xe3", 0x28, (0x28, b"\x00\xe3")),
    ],
)
def test_a_transliterating_channel_folds_what_would_cost_ucs2(
    user_data: bytes, data_coding: int, expected: tuple[int, bytes]
) -> None:
    new_coding, esm_class, octets = relay(user_data, 0x03, data_coding, "gsm7", "gsm7", True)
    assert (new_coding, octets, esm_class) == (*expected, 0x03)


def test_transliteration_works_across_alphabets_and_keeps_the_header() -> None:
    assert relay("“ação”".encode(), 0, 0, "utf8", "latin1", True) == (0, 0, b'"acao"')
    assert relay(b"\xe7", 0, 0, "latin1", "gsm7", True) == (0, 0, b"c")
    assert relay(PART_1 + ucs2_encode("ção"), UDHI, 8, "gsm7", "gsm7", True) == (0, UDHI, PART_1 + b"cao")
    # half an emoji, cut between two parts by the sender
    assert relay(PART_1 + b"\x00\xe3\xd8\x3d", UDHI, 8, "gsm7", "gsm7", True) == (0, UDHI, PART_1 + b"a")


# Parts


def test_one_short_message_stays_one_whatever_its_length() -> None:
    assert outgoing_parts(b"a" * 200, 0, 0, "gsm7", "gsm7") == [Outgoing(0, 0, b"a" * 200)]


def test_a_payload_that_fits_one_message_becomes_a_short_message() -> None:
    for how in ("udh", "sar"):
        assert outgoing_parts(
            b"a" * 160, 0x03, 0, "gsm7", "gsm7", in_payload=True, long_messages=how, tlvs=(REFERENCE,)
        ) == [Outgoing(0x03, 0, b"a" * 160, (REFERENCE,))]


def test_a_payload_leaves_as_it_is_where_payloads_are_taken() -> None:
    for user_data, esm_class in ((b"a" * 1000, 0x03), (PART_1 + b"hello", 0x43), (b"short", 0)):
        assert outgoing_parts(
            user_data, esm_class, 0, "gsm7", "gsm7", in_payload=True, long_messages="payload", tlvs=(REFERENCE,)
        ) == [Outgoing(esm_class, 0, b"", ((MESSAGE_PAYLOAD, user_data), REFERENCE))]


def test_a_long_payload_is_split_under_the_given_reference() -> None:
    text = "Olá {João}, " * 40
    user_data = ucs2_encode(text)
    for how, kind in (("udh", "udh8"), ("sar", "sar")):
        parts = outgoing_parts(
            user_data, 0x03, 8, "gsm7", "gsm7", in_payload=True, long_messages=how, ref=77, tlvs=(REFERENCE,)
        )
        concats = [concat_of(part.esm_class, part.short_message, part.tlvs) for part in parts]
        assert [concat and concat[:] for concat in concats] == [(kind, 77, 8, number) for number in range(1, 9)]
        assert all(REFERENCE in part.tlvs and part.data_coding == 8 for part in parts)
        assert {part.esm_class for part in parts} == {0x43 if how == "udh" else 0x03}
        assert shown(parts, "gsm7") == text


def test_a_payload_with_a_header_keeps_it() -> None:
    part = PART_1 + b"hello"
    assert outgoing_parts(part, UDHI, 0, "gsm7", "gsm7", in_payload=True) == [Outgoing(UDHI, 0, part)]
    ports = bytes.fromhex("06050411112222")
    parts = outgoing_parts(ports + b"\x00" * 200, UDHI, 4, "gsm7", "gsm7", in_payload=True, ref=1)
    assert [each.short_message[:12].hex() for each in parts] == ["0b0003010201050411112222", "0b0003010202050411112222"]


def test_a_text_that_outgrows_one_message_is_split() -> None:
    text = "ação " * 30
    for how in ("udh", "sar"):
        parts = outgoing_parts(text.encode("latin-1"), 0, 0, "latin1", "gsm7", long_messages=how, ref=3)
        assert len(parts) == 3
        assert {part.data_coding for part in parts} == {8}
        assert shown(parts, "gsm7") == text
    (whole,) = outgoing_parts(text.encode("latin-1"), 0, 0, "latin1", "gsm7", long_messages="payload")
    assert whole == Outgoing(0, 8, b"", ((MESSAGE_PAYLOAD, ucs2_encode(text)),))


def test_a_part_that_outgrows_one_message_becomes_a_set_of_its_own() -> None:
    text = "ação" * 35
    by_udh = outgoing_parts(PART_1 + text.encode("latin-1"), UDHI, 0, "latin1", "gsm7", ref=9)
    by_sar = outgoing_parts(text.encode("latin-1"), 0, 0, "latin1", "gsm7", long_messages="sar", ref=9, tlvs=SAR)
    for parts, kind in ((by_udh, "udh8"), (by_sar, "sar")):
        assert shown(parts, "gsm7") == text
        concats = [concat_of(part.esm_class, part.short_message, part.tlvs) for part in parts]
        assert [concat and concat[:] for concat in concats] == [(kind, 9, 3, 1), (kind, 9, 3, 2), (kind, 9, 3, 3)]


def test_a_sar_part_leaves_room_for_the_header_the_operator_makes_of_it() -> None:
    fits = outgoing_parts(b"\xe3" * 67, 0, 0, "latin1", "gsm7", tlvs=SAR)
    assert fits == [Outgoing(0, 8, ucs2_encode("ã" * 67), SAR)]
    alone = outgoing_parts(b"\xe3" * 70, 0, 0, "latin1", "gsm7", tlvs=(*SAR, REFERENCE))
    assert alone == [Outgoing(0, 8, ucs2_encode("ã" * 70), (REFERENCE,))]


@given(
    st.text("abc {}€@àéÇãçõ“…😀", max_size=400),
    ALPHABETS,
    ALPHABETS,
    st.sampled_from(["udh", "sar", "payload"]),
    st.booleans(),
    st.booleans(),
)
def test_however_it_leaves_the_handset_shows_the_text(
    text: str, account: str, channel: str, how: str, in_payload: bool, fold: bool
) -> None:
    try:
        user_data, data_coding = encode_text(text, account), 0
    except UnicodeEncodeError:
        user_data, data_coding = ucs2_encode(text), 8
    parts = outgoing_parts(
        user_data,
        0,
        data_coding,
        account,
        channel,
        transliterate=fold,
        in_payload=in_payload,
        long_messages=how,
        ref=1,
    )
    folded = transliterate(text) if fold else text
    assert shown(parts, channel) in (text, folded)
    if in_payload and how != "payload":
        assert all(len(part.short_message) <= 254 for part in parts)
