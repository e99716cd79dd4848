"""Long messages: recognised, counted, split and joined without losing a character."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.smpp import charset, segments
from gateway.smpp.charset import ESC, UCS2, choose, encode_text, gsm7_encode, ucs2_encode
from gateway.smpp.segments import (
    MESSAGE_PAYLOAD,
    SAR_NUMBER,
    SAR_REF,
    SAR_TOTAL,
    UDHI,
    Concat,
    Part,
    RawPart,
    concat_of,
    count_segments,
    has_port_or_special,
    join,
    renumber,
    renumber_tlvs,
    split,
    split_udh,
    text_of,
)

LETTERS = "abc XYZ 019 {}[]€ àéÇ\n"
MIXED = LETTERS + "ãçõ“…😀👍🏽👨‍👩‍👧❤️"
SAR = ((SAR_REF, b"\x12\x34"), (SAR_TOTAL, b"\x03"), (SAR_NUMBER, b"\x02"))


def raw(part: Part, data_coding: int) -> RawPart:
    payload = next((value for tag, value in part.tlvs if tag == MESSAGE_PAYLOAD), b"")
    return RawPart(part.esm_class, data_coding, part.short_message or payload)


# Reading


@pytest.mark.parametrize(
    ("user_data", "elements", "offset"),
    [
        ("0500030102016869", ((0, b"\x01\x02\x01"),), 6),
        ("060804000102016869", ((8, b"\x00\x01\x02\x01"),), 7),
        ("080003010201240103686975", ((0, b"\x01\x02\x01"), (0x24, b"\x03")), 9),
        ("050003010201", ((0, b"\x01\x02\x01"),), 6),  # a header and no text
        ("4000036869", (), 0),  # longer than the text
        ("0568690a0b", (), 0),
        ("006869", (), 0),
        ("", (), 0),
        ("0a00030102016869206f6c6121", ((0, b"\x01\x02\x01"),), 6),  # a broken element: the text begins there
    ],
)
def test_a_header_is_walked(user_data: str, elements: tuple[segments.Element, ...], offset: int) -> None:
    assert split_udh(UDHI, bytes.fromhex(user_data)) == (elements, offset)


def test_without_the_indicator_there_is_no_header() -> None:
    assert split_udh(0x03, bytes.fromhex("0500030102016869")) == ((), 0)


@given(st.binary(max_size=160), st.integers(0, 255))
def test_reading_garbage_never_raises(user_data: bytes, esm_class: int) -> None:
    offset = split_udh(esm_class, user_data)[1]
    assert offset <= len(user_data)
    concat_of(esm_class, user_data)
    has_port_or_special(esm_class, user_data)
    text_of(esm_class, 0, user_data)
    assert len(renumber(esm_class, user_data, 77)) == len(user_data)
    assert count_segments(user_data, 0, esm_class) >= 1


@pytest.mark.parametrize(
    ("user_data", "tlvs", "concat"),
    [
        ("050003010201", (), Concat("udh8", 1, 2, 1)),
        ("06080401ff0302", (), Concat("udh16", 0x1FF, 3, 2)),
        ("0a0003010201000309020268", (), Concat("udh8", 9, 2, 2)),  # the last one counts
        ("0500032a00006869", (), None),
        ("050003010100", (), None),
        ("050003010101", (), None),  # a single part is no set
        ("050003010203", (), None),
        ("050003010201", SAR, Concat("udh8", 1, 2, 1)),  # the header wins
        ("6869", SAR, Concat("sar", 0x1234, 3, 2)),
        ("6869", SAR[:2], None),
        ("6869", (*SAR, (SAR_REF, b"\x99\x99")), Concat("sar", 0x1234, 3, 2)),  # the first TLV counts
        ("6869", ((SAR_REF, b"\x05"), *SAR[1:]), Concat("sar", 5, 3, 2)),
        ("6869", ((SAR_REF, b""), *SAR[1:]), None),
        ("6869", (SAR[0], (SAR_TOTAL, b"\x00"), SAR[2]), None),
        ("05040b8423f068", (), None),
    ],
)
def test_a_part_says_where_it_stands(user_data: str, tlvs: segments.Tlvs, concat: Concat | None) -> None:
    assert concat_of(UDHI, bytes.fromhex(user_data), tlvs) == concat


@pytest.mark.parametrize(
    ("esm_class", "user_data", "tlvs", "special"),
    [
        (0x40, "050003010201", (), False),
        (0x40, "0800030102012401036869", (), False),
        (0x43, "0605040b8423f068", (), True),  # application ports
        (0x40, "0401020000", (), True),  # special SMS indication
        (0x40, "030a0100", (), True),  # EMS
        (0x03, "6869", (), False),
        (0x00, "6869", ((0x020B, b"\x0b\x84"),), True),
        (0x00, "6869", ((0x020A, b"\x0b\x84"),), True),
        (0x00, "6869", ((0x0204, b"\x00\x07"), *SAR), False),
        (0x08, "6869", (), True),
        (0x10, "6869", (), True),
        (0x80, "6869", (), False),
    ],
)
def test_what_is_not_a_text_for_a_person_is_told(
    esm_class: int, user_data: str, tlvs: segments.Tlvs, special: bool
) -> None:
    assert has_port_or_special(esm_class, bytes.fromhex(user_data), tlvs) is special


def test_the_two_parts_kannel_makes_are_joined() -> None:
    body = "00e700e3006f" * 22 + "00e7"
    first = RawPart(0x43, 8, bytes.fromhex("050003010201" + body))
    second = RawPart(0x43, 8, bytes.fromhex("050003010202" + "00e3006f" + "00e700e3006f" * 7))
    assert join([first, second]) == "ção" * 30


@pytest.mark.parametrize(
    ("user_data", "text"),
    [("4000036869", "Ω@\x0chi".replace("\x0c", "¥")), ("0500032a00006869", "hi"), ("05000301020168656c6c6f", "hello")],
)
def test_text_is_what_follows_a_sound_header(user_data: str, text: str) -> None:
    octets = bytes.fromhex(user_data)
    assert text_of(UDHI, 0, octets) == (text if split_udh(UDHI, octets)[1] else charset.gsm7_decode(octets))


def test_national_tables_apply_to_their_own_part() -> None:
    locked = RawPart(UDHI, 0, bytes.fromhex("080003010201250103") + b"\x7b\x09")
    plain = RawPart(UDHI, 0, bytes.fromhex("050003010202") + b"\x7b\x09")
    shifted = RawPart(UDHI, 0, bytes.fromhex("080003010203240103") + b"\x1b\x7b\x09")
    assert join([locked, plain, shifted]) == "ãçäÇãÇ"


def test_parts_of_different_codings_are_joined() -> None:
    assert join([RawPart(0, 0, b"ol"), RawPart(0, 8, ucs2_encode("á ")), RawPart(0, 3, b"\xe7")]) == "olá ç"
    assert join([RawPart(0, 0, b"\xe7"), RawPart(0, 8, ucs2_encode("ã"))], "latin1") == "çã"
    assert join([]) == ""


@given(st.text(MIXED, max_size=300), st.integers(1, 40), st.sampled_from(["gsm7", "latin1", "utf8"]))
def test_a_text_cut_anywhere_by_its_sender_is_joined(text: str, size: int, alphabet: str) -> None:
    data_coding, octets = choose(text, alphabet)
    pieces = [octets[at : at + size] for at in range(0, len(octets), size)]
    assert join((RawPart(0, data_coding, piece) for piece in pieces), alphabet) == text


@pytest.mark.parametrize(
    ("user_data", "ref", "renumbered"),
    [
        ("0500030102016869", 0x1FE, "050003fe02016869"),
        ("06080400010201686975", 0x1FE, "06080401fe0201686975"),
        ("0800030102012401036869", 7, "0800030702012401036869"),
        ("0605040b8423f068", 7, "0605040b8423f068"),
        ("6869", 7, "6869"),
    ],
)
def test_a_part_is_renumbered(user_data: str, ref: int, renumbered: str) -> None:
    assert renumber(UDHI, bytes.fromhex(user_data), ref).hex() == renumbered


def test_text_without_header_is_never_renumbered() -> None:
    assert renumber(0, bytes.fromhex("0500030102016869"), 9).hex() == "0500030102016869"


def test_sar_tlvs_are_renumbered() -> None:
    assert renumber_tlvs(((0x0204, b"\x00\x01"), *SAR), 0x10102)[1] == (SAR_REF, b"\x01\x02")


# Counting


@pytest.mark.parametrize(
    ("user_data", "data_coding", "count"),
    [
        (b"", 0, 1),
        (b"a" * 160, 0, 1),
        (b"a" * 161, 0, 2),
        (b"a" * 306, 0, 2),
        (b"a" * 307, 0, 3),
        (b"a" * 1000, 0, 7),
        (gsm7_encode("€" * 80), 0, 1),
        (gsm7_encode("€" * 81), 0, 2),
        (gsm7_encode("€" * 152), 0, 2),
        (gsm7_encode("€" * 153), 0, 3),  # 306 septets, but no part may end in an escape
        (b"a" * 160, 1, 1),
        (b"a" * 161, 0xF0, 2),
        (ucs2_encode("ã" * 70), 8, 1),
        (ucs2_encode("ã" * 71), 8, 2),
        (ucs2_encode("ã" * 134), 8, 2),
        (ucs2_encode("ã" * 135), 8, 3),
        (ucs2_encode("😀" * 35), 8, 1),
        (ucs2_encode("😀" * 67), 8, 3),  # 33 whole pairs in a part
        (b"\xe7" * 140, 3, 1),
        (b"\xe7" * 141, 3, 2),
        (b"\x00" * 140, 4, 1),
        (b"\x00" * 141, 4, 2),
        (b"\x00" * 268, 2, 2),
        (b"\x00" * 269, 0xF4, 3),
    ],
)
def test_segments_are_counted_as_operators_bill_them(user_data: bytes, data_coding: int, count: int) -> None:
    assert count_segments(user_data, data_coding) == count


@pytest.mark.parametrize(
    ("text", "alphabet", "count"),
    [
        ("e" * 160, "latin1", 1),
        ("é" * 160, "utf8", 2),  # 320 octets: more than a short_message holds
        ("é" * 120, "utf8", 1),
        ("ã" * 70, "latin1", 1),
        ("ã" * 71, "latin1", 2),
        ("ã" * 71, "utf8", 2),
        ("ã" * 135, "latin1", 3),
        ("[" * 80, "latin1", 1),
        ("[" * 81, "latin1", 2),
    ],
)
def test_other_default_alphabets_are_counted_as_the_operator_converts_them(
    text: str, alphabet: str, count: int
) -> None:
    assert count_segments(encode_text(text, alphabet), 0, 0, alphabet) == count


def test_a_part_of_a_set_is_one_segment() -> None:
    assert count_segments(bytes.fromhex("050003010201") + b"a" * 153, 0, UDHI) == 1
    assert count_segments(bytes.fromhex("06080400010201") + ucs2_encode("ã" * 66), 8, UDHI) == 1
    assert count_segments(b"a" * 160, 0, concatenated=True) == 1
    assert count_segments(b"a" * 200, 0, concatenated=True) == 1


def test_a_header_that_is_no_concatenation_takes_its_share() -> None:
    header = bytes.fromhex("06050411112222")  # ports
    assert count_segments(header + b"\x00" * 133, 4, UDHI) == 1
    assert count_segments(header + b"\x00" * 134, 4, UDHI) == 2
    assert count_segments(bytes.fromhex("03250103") + b"a" * 155, 0, UDHI) == 1
    assert count_segments(bytes.fromhex("03250103") + b"a" * 156, 0, UDHI) == 2
    assert count_segments(bytes.fromhex("03250103") + b"a" * 299, 0, UDHI) == 3  # 149 in each of two


# Splitting


def test_a_text_that_fits_is_one_part_without_concatenation() -> None:
    for how in ("udh", "udh16", "sar", "payload"):
        assert split(b"a" * 160, 0, how, 5) == [Part(0, b"a" * 160)]
        assert split(ucs2_encode("ã" * 70), 8, how, 5) == [Part(0, ucs2_encode("ã" * 70))]


def test_parts_carry_an_eight_bit_reference() -> None:
    first, second = split(b"a" * 161, 0, "udh", 0x1FE)
    assert first == Part(UDHI, bytes.fromhex("050003fe0201") + b"a" * 153)
    assert second == Part(UDHI, bytes.fromhex("050003fe0202") + b"a" * 8)


def test_parts_carry_a_sixteen_bit_reference() -> None:
    first, second = split(b"a" * 161, 0, "udh16", 0x101FE)
    assert first == Part(UDHI, bytes.fromhex("06080401fe0201") + b"a" * 152)
    assert second == Part(UDHI, bytes.fromhex("06080401fe0202") + b"a" * 9)


def test_parts_carry_sar_tlvs() -> None:
    first, second = split(ucs2_encode("ã" * 71), 8, "sar", 0x10203)
    assert first == Part(
        0, ucs2_encode("ã" * 67), ((SAR_REF, b"\x02\x03"), (SAR_TOTAL, b"\x02"), (SAR_NUMBER, b"\x01"))
    )
    assert second == Part(
        0, ucs2_encode("ã" * 4), ((SAR_REF, b"\x02\x03"), (SAR_TOTAL, b"\x02"), (SAR_NUMBER, b"\x02"))
    )


def test_a_payload_holds_the_whole() -> None:
    assert split(b"a" * 1000, 0, "payload", 5) == [Part(0, b"", ((MESSAGE_PAYLOAD, b"a" * 1000),))]


def test_more_parts_than_a_set_may_have_go_as_payload() -> None:
    assert len(split(b"a" * 153 * 255, 0, "udh", 5)) == 255
    assert split(b"a" * (153 * 255 + 1), 0, "udh", 5) == [Part(0, b"", ((MESSAGE_PAYLOAD, b"a" * (153 * 255 + 1)),))]


def test_other_elements_are_carried_in_every_part() -> None:
    ports = ((5, bytes.fromhex("11112222")),)
    parts = split(b"\x00" * 200, 4, "udh", 1, elements=ports)
    assert [part.short_message[:12].hex() for part in parts] == [
        "0b" + "0003010201" + "050411112222",
        "0b00030102020504" + "11112222",
    ]
    assert len(parts[0].short_message) == 140
    sar = split(b"\x00" * 200, 4, "sar", 1, elements=ports)
    assert all(part.esm_class == UDHI and part.short_message[:7].hex() == "06050411112222" for part in sar)


@given(
    st.text(MIXED, max_size=900),
    st.sampled_from(["udh", "udh8", "udh16", "sar", "payload"]),
    st.sampled_from(["gsm7", "latin1", "utf8"]),
)
def test_what_is_split_can_be_joined_and_fits_the_air(text: str, how: str, alphabet: str) -> None:
    data_coding, octets = choose(text, alphabet)
    parts = split(octets, data_coding, how, 99, default_alphabet=alphabet)
    assert join((raw(part, data_coding) for part in parts), alphabet) == text
    if len(parts) > 1:
        assert how != "payload"
        for number, part in enumerate(parts, 1):
            concat = concat_of(part.esm_class, part.short_message, part.tlvs)
            assert concat is not None
            assert (concat.total, concat.number, concat.ref) == (len(parts), number, 99)
            shown = text_of(part.esm_class, data_coding, part.short_message, alphabet)
            assert "\ufffd" not in shown
            assert len(part.short_message) <= (140 if data_coding == UCS2 else 254)
            if charset.fits_gsm7(shown):
                assert len(gsm7_encode(shown)) <= 153
            else:
                assert len(ucs2_encode(shown)) <= 134
    if how in ("udh", "sar"):
        assert len(parts) == count_segments(octets, data_coding, 0, alphabet)


@given(st.lists(st.sampled_from(["€", "a", "{"]), min_size=161, max_size=500).map("".join))
def test_no_part_ends_in_an_escape(text: str) -> None:
    for part in split(gsm7_encode(text), 0, "udh", 1):
        assert part.short_message[-1] != ESC


def test_an_emoji_sequence_is_kept_whole() -> None:
    family = "👨‍👩‍👧"
    for before in range(55, 70):
        parts = split(ucs2_encode("a" * before + family + "b" * 40), 8, "udh", 1)
        assert sum(family in text_of(UDHI, 8, part.short_message) for part in parts) == 1


def test_a_sequence_without_end_is_cut_all_the_same() -> None:
    text = "a" + "\u0301" * 200
    assert join(raw(part, 8) for part in split(ucs2_encode(text), 8, "udh", 1)) == text
    pairs = "😀\u200d" * 100
    parts = split(ucs2_encode(pairs), 8, "udh", 1)
    assert join(raw(part, 8) for part in parts) == pairs
    assert all("\ufffd" not in text_of(UDHI, 8, part.short_message) for part in parts)
