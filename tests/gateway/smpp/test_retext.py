"""Another text behind the same header, read back as it was written."""

from __future__ import annotations

import pytest

from gateway.smpp.retext import retext
from gateway.smpp.segments import text_of

HEADER = bytes((5, 0, 3, 7, 2, 1))


@pytest.mark.parametrize(
    ("esm_class", "data_coding", "alphabet", "text"),
    [
        (0, 0, "gsm7", "Ola [a]"),
        (0, 0, "latin1", "Olá ção"),
        (0, 0, "utf8", "Olá €"),
        (0x40, 0, "gsm7", "Ola"),
        (0x40, 8, "gsm7", "Olá 😀"),
        (0x40, 3, "gsm7", "Olá ã"),
        (0, 0xF0, "gsm7", "Ola {x}"),
        (0, 1, "gsm7", "Ola"),
    ],
)
def test_it_is_read_back(esm_class: int, data_coding: int, alphabet: str, text: str) -> None:
    before = (HEADER if esm_class else b"") + b"before"
    after = retext(esm_class, data_coding, before, text, alphabet)
    assert after[: len(HEADER)] == HEADER or not esm_class
    assert text_of(esm_class, data_coding, after, alphabet) == text


@pytest.mark.parametrize(
    ("esm_class", "data_coding", "header", "text"),
    [
        (0, 0, b"", "Olá ã"),
        (0, 3, b"", "€"),
        (0, 4, b"", "Ola"),
        (0, 13, b"", "Ola"),
        (0x40, 0, bytes((3, 0x25, 1, 3)), "Ola"),
    ],
)
def test_what_cannot_be_written_is_an_error(esm_class: int, data_coding: int, header: bytes, text: str) -> None:
    with pytest.raises(UnicodeEncodeError):
        retext(esm_class, data_coding, header + b"before", text)
