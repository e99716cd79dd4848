"""data_coding and text: nothing a Brazilian customer writes may come out wrong."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.smpp.charset import (
    PORTUGUESE,
    SPANISH,
    TURKISH,
    Coding,
    choose,
    choose_common,
    coding_of,
    decode_text,
    encode_text,
    fits_gsm7,
    gsm7_decode,
    gsm7_encode,
    is_text,
    message_class,
    transliterate,
    ucs2_encode,
)

GSM7 = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà\f^{}\\[~]|€"
)
ACCENTED = "áàâãçéêíóôõúüÁÀÂÃÇÉÊÍÓÔÕÚÜñÑ"
LATIN = string.ascii_letters + string.digits + string.punctuation + " \n" + ACCENTED + "ªº°§£¡¿«»·"
TYPOGRAPHIC = "“”‘’–—…•€™"
EMOJI = "😀👍🏽❤️👨‍👩‍👧🇧🇷✅"
BINDING = "áàâãçéêíóôõú ÁÀÂÃÇÉÊÍÓÔÕÚ @$_[]{}€"  # what an account is tried with at onboarding

latin_text = st.text(LATIN)
portuguese_text = st.text(LATIN + TYPOGRAPHIC + EMOJI)


@given(st.sampled_from([0x00, 0x10, 0x13, 0x40, 0xC0, 0xD8, 0xF0, 0xF9]), st.text(GSM7))
def test_gsm_text_survives(data_coding: int, text: str) -> None:
    octets = gsm7_encode(text)
    assert max(octets, default=0) < 0x80
    assert decode_text(octets, data_coding) == text
    assert fits_gsm7(text)


@given(st.sampled_from([0x08, 0x18, 0x1B, 0x48, 0xE0]), portuguese_text)
def test_portuguese_with_emoji_survives_ucs2(data_coding: int, text: str) -> None:
    assert decode_text(ucs2_encode(text), data_coding) == text


@given(latin_text)
def test_portuguese_survives_latin1(text: str) -> None:
    octets = encode_text(text, "latin1")
    assert decode_text(octets, 3) == text
    assert decode_text(octets, 0, "latin1") == text


@given(portuguese_text)
def test_portuguese_survives_utf8(text: str) -> None:
    assert decode_text(encode_text(text, "utf8"), 0, "utf8") == text


@given(st.text(LATIN + TYPOGRAPHIC))
def test_portuguese_survives_cp1252(text: str) -> None:
    assert decode_text(encode_text(text, "cp1252"), 0, "cp1252") == text


@given(st.text(string.printable))
def test_ascii_survives(text: str) -> None:
    octets = encode_text(text, "ascii")
    assert decode_text(octets, 1) == text
    assert decode_text(octets, 0, "ascii") == text


@pytest.mark.parametrize(
    ("octets", "shown"),
    [
        (b"R$ 10_@[a]{b}~", "R$ 10_@[a]{b}~"),
        (b"ab\x1b(8\x1b)", "ab{8}"),
        (b"10 \x1be", "10 €"),
        (b"nome\x00casa", "nome@casa"),
        (b"R\x02 5", "R$ 5"),
        (b"vai \x7fs 9h", "vai às 9h"),
        (b"a\tb\r\nc", "a\tb\r\nc"),
        (b"\xe9 \x1be", "é \x1be"),
    ],
)
def test_septets_that_are_announced_as_ia5_are_read_as_septets(octets: bytes, shown: str) -> None:
    assert decode_text(octets, 1) == shown


@given(portuguese_text, st.sampled_from(["gsm7", "latin1", "utf8"]))
def test_whatever_is_chosen_shows_the_same_text(text: str, alphabet: str) -> None:
    data_coding, octets = choose(text, alphabet)
    assert decode_text(octets, data_coding, alphabet) == text


@pytest.mark.parametrize(
    ("text", "data_coding"),
    [
        ("Fatura vencida {ü} à É Ç", 0),
        ("Olá", 8),
        ("ação", 8),
        ("ç", 8),
        ("Ç", 0),
        ("€", 0),
        ("😀", 8),
        ("`", 8),
        ("", 0),
    ],
)
def test_gsm_is_chosen_where_it_shows_the_text(text: str, data_coding: int) -> None:
    assert choose(text)[0] == data_coding


@given(st.binary(), st.integers(0, 255), st.sampled_from(["gsm7", "latin1", "utf8", "ascii", "cp1252"]))
def test_decoding_never_raises(data: bytes, data_coding: int, alphabet: str) -> None:
    decode_text(data, data_coding, alphabet, single_shift=PORTUGUESE, locking_shift=PORTUGUESE)
    decode_text(data, data_coding, alphabet, single_shift=99, locking_shift=99)


@pytest.mark.parametrize(
    ("octets", "text"),
    [
        (b"Hello \x1b(euro\x1b)", "Hello {euro}"),
        (b"Ola \x1b(\x1be\x1b)", "Ola {€}"),
        (b"hi \x00", "hi @"),
        (b"a\x1bab", "aab"),  # no such extension: the basic character
        (b"a\x1b\x1bb", "a b"),
        (b"a\x1b\x1b\x1beb", "a €b"),
        (b"a\x1b", "a "),
        (b"a\xe7b", "a\ufffdb"),
        (b"\x1b\xe7b", "\ufffdb"),
        (b"", ""),
    ],
)
def test_septets_are_read_as_a_handset_would(octets: bytes, text: str) -> None:
    assert decode_text(octets, 0) == text


@pytest.mark.parametrize(
    ("octets", "text"),
    [
        (bytes.fromhex("004f006c00e1002000e7002020ac"), "Olá ç €"),
        (b"\xfe\xff\x00a", "a"),
        (b"\xff\xfea\x00", "a"),
        (b"\x00a\x00", "a"),
        (b"\xd8\x3d\x00a", "\ufffda"),
        (b"\xde\x00\x00a", "\ufffda"),
        (b"\xd8\x3d\xde\x00", "😀"),
    ],
)
def test_ucs2_is_read_as_utf16(octets: bytes, text: str) -> None:
    assert decode_text(octets, 8) == text


def test_half_a_surrogate_pair_is_sent_as_a_replacement() -> None:
    assert choose("a\ud83d") == (8, b"\x00a\xff\xfd")


def test_other_alphabets_are_decoded() -> None:
    assert decode_text("Привет".encode("iso8859-5"), 6) == "Привет"
    assert decode_text("שלום".encode("iso8859-8"), 7) == "שלום"
    assert decode_text("안녕".encode("euc_kr"), 14) == "안녕"
    assert decode_text(b"ol\xe1", 1) == "olá"  # not ASCII, but what was meant


# The Portuguese tables of 3GPP 23.038, 6.2.1.2.4 and 6.2.1.3.4, as (code, character)
LOCKING = {0x04: "ê", 0x06: "ú", 0x07: "í", 0x08: "ó", 0x09: "ç", 0x0B: "Ô", 0x0C: "ô", 0x0E: "Á", 0x0F: "á",
           0x12: "ª", 0x13: "Ç", 0x14: "À", 0x15: "∞", 0x16: "^", 0x17: "\\", 0x18: "€", 0x19: "Ó", 0x1A: "|",
           0x1C: "Â", 0x1D: "â", 0x1E: "Ê", 0x24: "º", 0x40: "Í", 0x5B: "Ã", 0x5C: "Õ", 0x5D: "Ú", 0x60: "~", 0x7B: "ã",
           0x7C: "õ", 0x7D: "`", 0x7E: "ü", 0x7F: "à", 0x05: "é", 0x41: "A", 0x00: "@"}  # fmt: skip
SINGLE = {0x05: "ê", 0x09: "ç", 0x0A: "\f", 0x0B: "Ô", 0x0C: "ô", 0x0E: "Á", 0x0F: "á", 0x12: "Φ", 0x13: "Γ", 0x14: "^",
          0x15: "Ω", 0x16: "Π", 0x17: "Ψ", 0x18: "Σ", 0x19: "Θ", 0x1F: "Ê", 0x28: "{", 0x29: "}", 0x2F: "\\", 0x3C: "[",
          0x3D: "~", 0x3E: "]", 0x40: "|", 0x41: "À", 0x49: "Í", 0x4F: "Ó", 0x55: "Ú", 0x5B: "Ã", 0x5C: "Õ", 0x61: "Â",
          0x65: "€", 0x69: "í", 0x6F: "ó", 0x75: "ú", 0x7B: "ã", 0x7C: "õ", 0x7F: "â"}  # fmt: skip


@given(st.text(LOCKING.values()))
def test_the_portuguese_locking_table_is_read(text: str) -> None:
    codes = {char: code for code, char in LOCKING.items()}
    assert gsm7_decode(bytes(codes[char] for char in text), locking_shift=PORTUGUESE) == text


@given(st.text(SINGLE.values()))
def test_the_portuguese_shift_table_is_read(text: str) -> None:
    codes = {char: code for code, char in SINGLE.items()}
    octets = b"".join(bytes((0x1B, codes[char])) for char in text)
    assert gsm7_decode(octets, single_shift=PORTUGUESE) == text
    assert decode_text(octets, 0xF0, single_shift=PORTUGUESE) == text


def test_all_of_portuguese_is_in_its_locking_table() -> None:
    assert set(LOCKING.values()) >= set(ACCENTED) - set("ÈÜñÑÉ")


# The other tables of 3GPP 23.038, annex A.2 and A.3, where they differ from the default ones
TURKISH_LOCKING = {0x04: "€", 0x07: "ı", 0x0B: "Ğ", 0x0C: "ğ", 0x1C: "Ş", 0x1D: "ş", 0x40: "İ", 0x60: "ç", 0x09: "Ç"}
TURKISH_SINGLE = {0x47: "Ğ", 0x49: "İ", 0x53: "Ş", 0x63: "ç", 0x65: "€", 0x67: "ğ", 0x69: "ı", 0x73: "ş", 0x3C: "["}
SPANISH_SINGLE = {0x09: "ç", 0x41: "Á", 0x49: "Í", 0x4F: "Ó", 0x55: "Ú", 0x61: "á", 0x65: "€", 0x69: "í", 0x6F: "ó",
                  0x75: "ú", 0x0A: "\f", 0x14: "^", 0x40: "|"}  # fmt: skip


def test_the_turkish_and_spanish_tables_are_read() -> None:
    assert gsm7_decode(bytes(TURKISH_LOCKING), locking_shift=TURKISH) == "".join(TURKISH_LOCKING.values())
    for language, table in ((TURKISH, TURKISH_SINGLE), (SPANISH, SPANISH_SINGLE)):
        octets = b"".join(bytes((0x1B, code)) for code in table)
        assert gsm7_decode(octets, single_shift=language) == "".join(table.values())


def test_what_the_tables_leave_alone_is_as_in_the_default_ones() -> None:
    changed = set(TURKISH_LOCKING) | {0x1B}
    same = bytes(code for code in range(128) if code not in changed)
    assert gsm7_decode(same, locking_shift=TURKISH) == gsm7_decode(same)
    assert gsm7_decode(bytes(range(0x1B)), locking_shift=SPANISH) == gsm7_decode(bytes(range(0x1B))), "it has none"
    for language, table in ((TURKISH, TURKISH_SINGLE), (SPANISH, SPANISH_SINGLE)):
        rest = b"".join(bytes((0x1B, code)) for code in range(128) if code not in table)
        assert gsm7_decode(rest, single_shift=language) == gsm7_decode(rest)


@pytest.mark.parametrize(
    ("data_coding", "expected"),
    [
        (0x00, None), (0x01, None), (0x03, None), (0x08, None), (0x0F, None),
        (0x10, 0), (0x11, 1), (0x12, 2), (0x13, 3), (0x14, 0), (0x18, 0), (0x1A, 2), (0x20, None), (0x40, None),
        (0x50, 0), (0x52, 2), (0x70, 0), (0x80, None), (0x90, None), (0xC0, None), (0xD0, None), (0xE8, None),
        (0xF0, 0), (0xF1, 1), (0xF2, 2), (0xF3, 3), (0xF4, 0), (0xF8, 0), (0xFA, 2),
    ],
)  # fmt: skip
def test_the_message_class_is_read(data_coding: int, expected: int | None) -> None:
    assert message_class(data_coding) == expected


def test_an_unknown_table_means_the_default_one() -> None:
    assert gsm7_decode(b"\x09\x1be", single_shift=13, locking_shift=13) == "Ç€"


def test_a_shift_table_means_nothing_outside_gsm() -> None:
    assert decode_text(b"\x00\xe7", 8, single_shift=3, locking_shift=3) == "ç"
    assert decode_text(b"\xe7", 0, "latin1", single_shift=3, locking_shift=3) == "ç"


TEXT = {0x00, 0x01, 0x03, 0x05, 0x06, 0x07, 0x08, 0x0A, 0x0D, 0x0E} | {
    *range(0x10, 0x14), *range(0x18, 0x1C), *range(0x40, 0x44), *range(0x48, 0x4C), *range(0x50, 0x54),
    *range(0x58, 0x5C), *range(0xD0, 0xF0), *range(0xF0, 0xF4), *range(0xF8, 0xFC),
}  # fmt: skip


def test_what_is_text_for_a_person_is_known_for_every_value() -> None:
    assert {value for value in range(256) if is_text(value)} == TEXT


@pytest.mark.parametrize(
    ("value", "coding"),
    [(0, Coding.DEFAULT), (2, Coding.BINARY), (4, Coding.BINARY), (0x0B, Coding.UNKNOWN), (0x14, Coding.BINARY),
     (0x1C, Coding.UNKNOWN), (0x20, Coding.UNKNOWN), (0x68, Coding.UNKNOWN), (0x80, Coding.UNKNOWN),
     (0xF5, Coding.BINARY), (0xFF, Coding.BINARY), (0xF8, Coding.GSM7), (0xE3, Coding.UCS2), (0xC1, Coding.GSM7)],
)  # fmt: skip
def test_codings_follow_smpp_below_0x10_and_gsm_above(value: int, coding: Coding) -> None:
    assert coding_of(value) is coding


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        (BINDING, "aaaaceeiooou AAAACEEIOOOU @$_[]{}€"),
        ("Olá, João! Sua fatura “X” – nº 5…", 'Ola, Joao! Sua fatura "X" - no 5...'),
        ("à É Ç ü ñ", "à É Ç ü ñ"),  # fits already
        ("à É Ç ü ñ ã", "a E C u n a"),  # does not: then evenly
        ("Pago 😀 hoje 👍🏽!", "Pago hoje !"),
        ("❤️ Promoção", "Promocao"),
        ("1\u00a0ª via\u200b, 30 °C, ½ ™", "1 a via, 30 oC, 1/2 (TM)"),
        ("a\tb ã", "a b a"),
        ("Straße ã Ω", "Straße a Ω"),
        ("Привет, João", "Привет, João"),  # costs UCS-2 all the same
        ("😀", "😀"),
        ("", ""),
        ("a  b ã", "a  b a"),
    ],
)
def test_transliteration_folds_what_would_cost_ucs2(text: str, plain: str) -> None:
    assert transliterate(text) == plain


@given(portuguese_text)
def test_transliterated_portuguese_costs_no_ucs2(text: str) -> None:
    folded = transliterate(text)
    assert fits_gsm7(folded) or folded == text
    assert transliterate(folded) == folded
    if any(char in string.ascii_letters + ACCENTED for char in text):
        assert fits_gsm7(folded)


@given(st.text())
def test_transliteration_never_raises(text: str) -> None:
    transliterate(text)


@given(portuguese_text, st.lists(st.sampled_from(["gsm7", "latin1", "utf8"]), unique=True))
def test_what_is_chosen_for_several_alphabets_is_read_alike_in_all(text: str, alphabets: list[str]) -> None:
    data_coding, octets = choose_common(text, alphabets)
    assert {decode_text(octets, data_coding, alphabet) for alphabet in alphabets} <= {text}


@pytest.mark.parametrize(
    ("text", "alphabets", "expected"),
    [
        ("Ja paguei", ["gsm7", "latin1", "utf8"], (0, b"Ja paguei")),
        ("Já", ["gsm7"], (8, "Já".encode("utf-16-be"))),
        ("até", ["gsm7"], (0, b"at\x05")),
        ("até", [], (0, b"at\x05")),
        ("até", ["gsm7", "latin1"], (8, "até".encode("utf-16-be"))),
        ("a@b", ["utf8"], (0, b"a@b")),
        ("a@b", ["utf8", "gsm7"], (8, "a@b".encode("utf-16-be"))),
        ("Já", ["latin1"], (0, b"J\xe1")),
        ("Já 👍", ["latin1"], (8, "Já 👍".encode("utf-16-be"))),
    ],
)
def test_the_cheapest_that_all_read_is_chosen(text: str, alphabets: list[str], expected: tuple[int, bytes]) -> None:
    assert choose_common(text, alphabets) == expected
