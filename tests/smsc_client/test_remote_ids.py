"""Ids that an operator writes one way in the answer and another way in the receipt."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsc_client.reports import id_forms

UUID = "0e99c3a1-27f4-4f6e-9d0a-7b1c2d3e4f50"


@pytest.mark.parametrize(
    ("answered", "reported"),
    [
        ("0e99", "E99"),
        ("E99", "0e99"),
        ("0E99AB", "0e99ab"),
        ("abcdef", "ABCDEF"),
        ("3e9", "1001"),
        ("3E9", "1001"),
        ("000003E9", "1001"),
        ("1001", "3e9"),
        ("1001", "3E9"),
        ("1001", "000003E9"),
        ("1001", "0000001001"),
        ("0000001001", "1001"),
        ("00001001", "0000001001"),
        ("0000001001", "3E9"),
        ("4F3A2B1C", "1329212188"),
        ("4f3a2b1c", "01329212188"),
        ("1329212188", "4F3A2B1C"),
        (UUID, UUID.upper()),
        (UUID, UUID.replace("-", "")),
        (UUID.upper(), UUID.replace("-", "")),
        (UUID.replace("-", ""), UUID),
        ("5f2c1d0a", "5f2c1d0a-1"),
        ("123456789", "123456789.2"),
        ("123456789", "123456789/03"),
        ("ABCD1234", "abcd1234_1"),
        ("1001", '"1001"'),
        ("1001", "1001\x00"),
        ("abc", "0xABC"),
        ("msg-abc", "MSG-ABC"),
        ("aZ9x", "0000aZ9x"),
        ("0e99c3a127f44f6e9d0a7b1c2d3e4f50", "E99C3A127F44F6E9D0A7B1C2D3E4F50"),
        ("9223372036854775807", "7fffffffffffffff"),
    ],
)
def test_the_answered_id_is_among_the_forms_of_the_reported_one(answered: str, reported: str) -> None:
    assert answered in id_forms(reported)


@pytest.mark.parametrize("reported", ["", "\x00", "  "])
def test_no_id_has_no_forms(reported: str) -> None:
    assert id_forms(reported) == ()


@given(st.text(st.characters(max_codepoint=255), max_size=65))
def test_forms_are_few_different_and_never_the_id_itself(reported: str) -> None:
    forms = id_forms(reported)
    assert len(forms) == len(set(forms)) <= 160
    assert reported not in forms and "" not in forms
