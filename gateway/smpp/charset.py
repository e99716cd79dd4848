"""data_coding <-> text: the GSM 03.38 alphabet with its national tables, Latin-1, UCS-2 and the rest.

Sources: SMPP 3.4, 5.2.19 (values below 0x10); 3GPP 23.038, sections 4 (values from 0x10), 6.2 and annex A (tables).
Alphabets are named gsm7, latin1, utf8, ascii, cp1252 and ucs2. SMPP carries GSM septets unpacked, one per octet.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections.abc import Collection
from enum import Enum

ESC = 0x1B
UCS2 = 0x08
TURKISH, SPANISH, PORTUGUESE = 1, 2, 3  # national language identifiers, 3GPP 23.038, 6.2.1.2.4

_BASIC = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_PORTUGUESE_LOCKING = (
    "@£$¥êéúíóç\nÔô\rÁáΔ_ªÇÀ∞^\\€Ó|\x1bÂâÊÉ !\"#º%&'()*+,-./0123456789:;<=>?"
    "ÍABCDEFGHIJKLMNOPQRSTUVWXYZÃÕÚÜ§~abcdefghijklmnopqrstuvwxyzãõ`üà"
)
_TURKISH_LOCKING = (
    "@£$¥€éùıòÇ\nĞğ\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bŞşßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "İABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§çabcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENSION = {
    0x0A: "\f", 0x14: "^", 0x28: "{", 0x29: "}", 0x2F: "\\", 0x3C: "[", 0x3D: "~", 0x3E: "]", 0x40: "|", 0x65: "€",
}  # fmt: skip
_PORTUGUESE_SHIFT = _EXTENSION | {
    0x05: "ê", 0x09: "ç", 0x0B: "Ô", 0x0C: "ô", 0x0E: "Á", 0x0F: "á", 0x12: "Φ", 0x13: "Γ", 0x15: "Ω", 0x16: "Π",
    0x17: "Ψ", 0x18: "Σ", 0x19: "Θ", 0x1F: "Ê", 0x41: "À", 0x49: "Í", 0x4F: "Ó", 0x55: "Ú", 0x5B: "Ã", 0x5C: "Õ",
    0x61: "Â", 0x69: "í", 0x6F: "ó", 0x75: "ú", 0x7B: "ã", 0x7C: "õ", 0x7F: "â",
}  # fmt: skip

_SPANISH_SHIFT = _EXTENSION | {
    0x09: "ç", 0x41: "Á", 0x49: "Í", 0x4F: "Ó", 0x55: "Ú", 0x61: "á", 0x69: "í", 0x6F: "ó", 0x75: "ú",
}  # fmt: skip
_TURKISH_SHIFT = _EXTENSION | {
    0x47: "Ğ", 0x49: "İ", 0x53: "Ş", 0x63: "ç", 0x67: "ğ", 0x69: "ı", 0x73: "ş",
}  # fmt: skip

# Octets above 0x7F are no septets; an escape that escapes nothing shows as a space (3GPP 23.038, 6.2.1.1).
_NOT_SEPTETS = "\ufffd" * 128
_LOCKING = {
    0: _BASIC.replace("\x1b", " ") + _NOT_SEPTETS,
    TURKISH: _TURKISH_LOCKING.replace("\x1b", " ") + _NOT_SEPTETS,
    PORTUGUESE: _PORTUGUESE_LOCKING.replace("\x1b", " ") + _NOT_SEPTETS,
}
_SHIFT = {0: _EXTENSION, TURKISH: _TURKISH_SHIFT, SPANISH: _SPANISH_SHIFT, PORTUGUESE: _PORTUGUESE_SHIFT}

_ENCODE_BASIC = {ord(char): code for code, char in enumerate(_BASIC) if code != ESC}
_ENCODE: dict[int, bytes] = {ord(char): bytes((code,)) for code, char in enumerate(_BASIC) if code != ESC}
_ENCODE.update((ord(char), bytes((ESC, code))) for code, char in _EXTENSION.items())
GSM7_COST = {chr(point): len(octets) for point, octets in _ENCODE.items()}  # septets of each character of GSM 7-bit

_AS_ASCII = bytes(code for code, char in enumerate(_BASIC) if ord(char) == code and code != ESC)

_NOT_IA5 = re.compile(rb"[\x00-\x08\x0e-\x1f\x7f]")  # control characters of IA5 that no text has; letters or ESC in GSM

_CODECS = {"latin1": "latin-1", "utf8": "utf-8", "ascii": "ascii", "cp1252": "cp1252", "ucs2": "utf-16-be"}


class Coding(Enum):
    """What kind of content a data_coding value announces; the value is the Python codec where there is one."""

    DEFAULT = ""  # what data_coding 0 means is agreed with each peer
    GSM7 = "gsm7"
    IA5 = "ascii"
    LATIN1 = "latin-1"
    UCS2 = "utf-16-be"
    CYRILLIC = "iso8859-5"
    HEBREW = "iso8859-8"
    JIS = "shift_jis"
    ISO_2022_JP = "iso2022_jp"
    KANJI = "euc_jp"
    KOREAN = "euc_kr"
    BINARY = "binary"
    UNKNOWN = "unknown"  # reserved, compressed or pictograms


# Members by names of their own: before 3.12 an interpreter takes thirty times as long to find one in its class.
_DEFAULT, _GSM7, _IA5, _UCS2 = Coding.DEFAULT, Coding.GSM7, Coding.IA5, Coding.UCS2
_BINARY, _UNKNOWN = Coding.BINARY, Coding.UNKNOWN

_SMPP_CODINGS = (
    Coding.DEFAULT, Coding.IA5, Coding.BINARY, Coding.LATIN1, Coding.BINARY, Coding.JIS, Coding.CYRILLIC, Coding.HEBREW,
    Coding.UCS2, Coding.UNKNOWN, Coding.ISO_2022_JP, Coding.UNKNOWN, Coding.UNKNOWN, Coding.KANJI, Coding.KOREAN,
    Coding.UNKNOWN,
)  # fmt: skip
_GSM_ALPHABETS = (Coding.GSM7, Coding.BINARY, Coding.UCS2, Coding.UNKNOWN)


def _coding(data_coding: int) -> Coding:
    group = data_coding >> 4
    if group == 0x0:
        return _SMPP_CODINGS[data_coding]
    if group < 0x8:  # 0x4-0x7: the same, deleted after reading; bit 5: compressed
        return Coding.UNKNOWN if data_coding & 0x20 else _GSM_ALPHABETS[data_coding >> 2 & 3]
    if group in (0xC, 0xD):
        return Coding.GSM7
    if group == 0xE:
        return Coding.UCS2
    if group == 0xF:
        return Coding.BINARY if data_coding & 0x04 else Coding.GSM7
    return Coding.UNKNOWN


_CODINGS = tuple(_coding(value) for value in range(256))


def coding_of(data_coding: int) -> Coding:
    """The kind of content of a data_coding octet."""
    return _CODINGS[data_coding & 0xFF]


def is_text(data_coding: int) -> bool:
    """Whether a person could read it: False for 8-bit data, for codings nobody can decode, and for a message-waiting
    indication whose text is to be discarded (0xC0-0xCF)."""
    coding = _CODINGS[data_coding & 0xFF]
    return coding is not _BINARY and coding is not _UNKNOWN and data_coding & 0xF0 != 0xC0


def message_class(data_coding: int) -> int | None:
    """0 shown at once and not kept (flash), 1 kept by the handset, 2 kept on the SIM, 3 for a terminal; None where the
    octet names none. Source: 3GPP 23.038, section 4."""
    group = data_coding >> 4 & 0xF
    return data_coding & 3 if group == 0xF or (0 < group < 8 and group & 1) else None


def decode_text(
    data: bytes, data_coding: int, default_alphabet: str = "gsm7", *, single_shift: int = 0, locking_shift: int = 0
) -> str:
    """Decode user data without its UDH; never raises, U+FFFD stands for what cannot be read.

    default_alphabet: what data_coding 0 means for the sender. single_shift, locking_shift: national language
    identifiers from the UDH (elements 0x24, 0x25), 0 for none; they only concern GSM septets.
    Binary and unknown codings are shown as Latin-1, for logs and traces. IA5 is read as what its senders mean: with
    the top bit set anywhere as Latin-1, else with control characters as GSM septets (the npm package smpp, among
    others, announces those as IA5).
    """
    coding = _CODINGS[data_coding & 0xFF]
    if coding is _DEFAULT:
        if default_alphabet != "gsm7":
            return _decode(data, _CODECS[default_alphabet])
        coding = _GSM7
    if coding is _IA5 and data.isascii() and _NOT_IA5.search(data):
        coding = _GSM7
    if coding is _GSM7:
        return gsm7_decode(data, single_shift=single_shift, locking_shift=locking_shift)
    if coding is _UCS2:
        return _decode_ucs2(data)
    if coding in (_IA5, _BINARY, _UNKNOWN):
        return data.decode("latin-1")
    return _decode(data, coding.value)


def encode_text(text: str, alphabet: str, errors: str = "strict") -> bytes:
    """Encode into one of the named alphabets; raises UnicodeEncodeError when a character is not in it.

    errors: "strict", or "replace" to send a question mark instead.
    """
    if alphabet == "gsm7":
        return gsm7_encode(text, errors)
    return text.encode(_CODECS[alphabet], errors)


def gsm7_decode(data: bytes, *, single_shift: int = 0, locking_shift: int = 0) -> str:
    """Decode unpacked septets. Identifiers of tables not known here mean the default tables.

    An escape before a code without an extension shows that code's basic character; two escapes, or one at the very
    end, show a space.
    """
    if not locking_shift and not data.translate(None, _AS_ASCII):
        return data.decode("ascii")
    basic = _LOCKING.get(locking_shift, _LOCKING[0])
    if ESC not in data:
        return codecs.charmap_decode(data, "replace", basic)[0]
    extension = _SHIFT.get(single_shift, _EXTENSION)
    shown: list[str] = []
    start = 0
    while (escape := data.find(ESC, start)) >= 0:
        shown.append(codecs.charmap_decode(data[start:escape], "replace", basic)[0])
        code = data[escape + 1] if escape + 1 < len(data) else ESC
        shown.append(extension.get(code, basic[code]))
        start = escape + 2
    shown.append(codecs.charmap_decode(data[start:], "replace", basic)[0])
    return "".join(shown)


def gsm7_encode(text: str, errors: str = "strict") -> bytes:
    """Encode as unpacked septets, extension characters as two; raises UnicodeEncodeError."""
    if text.isascii() and not (octets := text.encode("ascii")).translate(None, _AS_ASCII):
        return octets
    try:
        return codecs.charmap_encode(text, "strict", _ENCODE_BASIC)[0]
    except UnicodeEncodeError:
        return codecs.charmap_encode(text, errors, _ENCODE)[0]


def choose(text: str, alphabet: str = "gsm7") -> tuple[int, bytes]:
    """The cheapest (data_coding, octets) that shows the text exactly: 0 in the peer's default alphabet, else UCS-2."""
    try:
        return 0, encode_text(text, alphabet)
    except UnicodeEncodeError:
        return UCS2, ucs2_encode(text)


def choose_common(text: str, alphabets: Collection[str]) -> tuple[int, bytes]:
    """The same for peers of whom each means one of these alphabets by 0, and nobody knows who will read it."""
    if len(alphabets) == 1:
        return choose(text, *alphabets)
    coding, octets = choose(text)
    if coding == 0 and all(_means(text, octets, alphabet) for alphabet in alphabets):
        return 0, octets
    return UCS2, ucs2_encode(text)


def _means(text: str, octets: bytes, alphabet: str) -> bool:
    return alphabet == "gsm7" or octets.decode(_CODECS[alphabet], "replace") == text


def ucs2_encode(text: str) -> bytes:
    """Encode as big-endian UTF-16 without a byte order mark; half a surrogate pair becomes U+FFFD."""
    try:
        return text.encode("utf-16-be")
    except UnicodeEncodeError:
        return text.encode("utf-16-be", "surrogatepass").decode("utf-16-be", "replace").encode("utf-16-be")


def fits_gsm7(text: str) -> bool:
    """Whether every character is in the GSM 7-bit alphabet or its extension."""
    return all(char in GSM7_COST for char in text)


def _decode(data: bytes, codec: str) -> str:
    return data.decode(codec, "replace")


def _decode_ucs2(data: bytes) -> str:
    if len(data) % 2:
        data = data[:-1]
    if data[:2] == b"\xff\xfe":
        return data[2:].decode("utf-16-le", "replace")
    if data[:2] == b"\xfe\xff":
        data = data[2:]
    return data.decode("utf-16-be", "replace")


# Transliteration ----------------------------------------------------------------------------------------------------

_FOLDS = {
    "‘": "'", "’": "'", "‚": "'", "‛": "'", "′": "'", "´": "'", "`": "'", "‹": "<", "›": ">",
    "“": '"', "”": '"', "„": '"', "‟": '"', "″": '"', "«": '"', "»": '"', "¨": '"',
    "‐": "-", "‑": "-", "‒": "-", "–": "-", "—": "-", "―": "-", "−": "-", "•": "-", "·": "-", "‣": "-", "●": "-",
    "…": "...", "ª": "a", "º": "o", "°": "o", "×": "x", "÷": "/", "±": "+-", "µ": "u", "¢": "c", "¬": "-", "¦": "|",
    "©": "(c)", "®": "(R)", "™": "(TM)", "←": "<-", "→": "->", "⁄": "/", "¸": ",", "¯": "-", "‰": "o/oo",
    "≤": "<=", "≥": ">=", "≠": "!=", "≈": "~", "\t": " ", "\u2028": "\n", "\u2029": "\n", "\u0085": "\n",
    "ı": "i", "ł": "l", "Ł": "L", "đ": "d", "Đ": "D", "œ": "oe", "Œ": "OE", "\ufffd": "",
}  # fmt: skip
_DROPPED = frozenset({"So", "Sk", "Cf", "Cc", "Cs", "Mn", "Me"})  # emoji and their modifiers, marks, invisible ones


def transliterate(text: str) -> str:
    """Fold a text that would cost UCS-2 down to the GSM 7-bit alphabet: ç->c, ã->a, “ ”->", –->-, …->..., emoji gone.

    A text that already fits comes back as it is; one that does not loses all its accents, so that it reads evenly. A
    text with characters that have no likeness (Cyrillic, Chinese ...) would cost UCS-2 all the same and comes back
    as it is, too, and so does one of nothing but emoji. Never raises.
    """
    if fits_gsm7(text):
        return text
    folded: list[str] = []
    gap = False  # something was left out just now
    for char in text:
        fold = char if char < "\x7f" and char in GSM7_COST else _fold(char)
        if fold is None:
            return text
        if fold == "" or (gap and fold == " " and (not folded or folded[-1] == " ")):
            gap = True
            continue
        folded.append(fold)
        gap = False
    plain = "".join(folded)
    return plain if plain.strip() else text


def _fold(char: str) -> str | None:
    """The likeness of one character: "" to leave it out, None when there is none."""
    known = _FOLDS.get(char)
    if known is not None:
        return known
    if char in GSM7_COST and char.upper() == char.lower():
        return char  # ¡ £ § and the like
    plain = "".join(
        _FOLDS.get(part, part) for part in unicodedata.normalize("NFKD", char) if unicodedata.category(part) != "Mn"
    )
    if plain != char and plain and fits_gsm7(plain):
        return plain
    if char in GSM7_COST:
        return char  # ß, Æ, Ø and the Greek capitals have no simpler form
    return "" if not plain or unicodedata.category(char) in _DROPPED else None
