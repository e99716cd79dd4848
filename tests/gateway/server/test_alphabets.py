"""Clients that mean another alphabet by data_coding 0 than their account says are named once, their texts never."""

from __future__ import annotations

import pytest

from gateway.server.alphabets import is_utf8
from gateway.smpp.fields import SmeAddress
from gateway.smpp.pdu import SubmitMulti
from tests.gateway.server.house import NUMBER, House, account, logged, server_settings

TEXT = "Sua fatura está disponível, João"


@pytest.mark.parametrize(
    ("octets", "expected"),
    [
        (TEXT.encode(), True),
        ("€".encode(), True),
        ("📄".encode(), True),
        (b"", False),
        (b"plain", False),
        (TEXT.encode("latin-1"), False),
        ("ÁÉÍÓÚ çãõ º ª".encode("latin-1"), False),
        (b"\x09\x7b\x05", False),
        (TEXT.encode()[:26], True),  # cut after the first octet of a character
        ("ááá".encode()[1:], True),
        ("á".encode()[1:], False),
        ("á".encode()[:1], False),
        (b"\xbaC, hoje", False),  # a Latin-1 º at the beginning
        ("ol\u00e1".encode("utf-16-be"), False),
    ],
)
def test_utf8_is_told_from_what_it_is_not(octets: bytes, expected: bool) -> None:
    assert is_utf8(octets) is expected


@pytest.mark.parametrize("alphabet", ["gsm7", "latin1"])
def test_who_sends_utf8_under_data_coding_0_is_named_once_and_told_what_would_be_right(alphabet: str) -> None:
    house = House(account(default_alphabet=alphabet), account("other", default_alphabet=alphabet), automatic=True)
    esme, other = house.bind(), house.bind(system_id="other")
    with logged() as lines:
        for _ in range(3):
            esme.submit(text=TEXT.encode())
        other.submit(text=bytes((5, 0, 3, 0x80, 2, 1)) + TEXT.encode(), esm_class=0x40)
    lines = [line for line in lines if "UTF-8" in line]
    assert [line.split()[0] for line in lines] == ["billing", "other"]
    assert f"which means {alphabet} for it" in lines[0] and "default_alphabet: utf8" in lines[0]
    assert "fatura" not in "".join(lines) and NUMBER not in "".join(lines)
    assert len(house.intake.submitted) == 4, "it is taken as it came"


@pytest.mark.parametrize(
    ("alphabet", "data_coding", "text"),
    [
        ("utf8", 0, TEXT.encode()),
        ("latin1", 0, TEXT.encode("latin-1")),
        ("gsm7", 3, TEXT.encode()),
        ("gsm7", 8, TEXT.encode("utf-16-be")),
        ("gsm7", 4, TEXT.encode()),
        ("gsm7", 0, b"Sua fatura"),
    ],
)
def test_nobody_else_is_named(alphabet: str, data_coding: int, text: bytes) -> None:
    house = House(account(default_alphabet=alphabet), automatic=True)
    with logged() as lines:
        house.bind().submit(text=text, data_coding=data_coding)
    assert not [line for line in lines if "UTF-8" in line]


def test_a_text_to_many_is_looked_at_too() -> None:
    house = House()
    with logged() as lines:
        house.bind().send(SubmitMulti(dest_addresses=(SmeAddress(destination_addr=NUMBER),), short_message=b"\xc3\xa1"))
    assert len([line for line in lines if "UTF-8" in line]) == 1


def test_an_account_that_is_given_another_alphabet_is_looked_at_anew() -> None:
    house = House(account(default_alphabet="gsm7"), automatic=True)
    esme = house.bind()
    with logged() as lines:
        esme.submit(text=TEXT.encode())
        house.server.reload(server_settings(account(default_alphabet="latin1")), "BR")
        esme.submit(text=TEXT.encode())
    assert len([line for line in lines if "UTF-8" in line]) == 2
