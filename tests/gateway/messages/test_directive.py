"""Templates that are named in the text itself: how they are read, and that nothing reaches into them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.messages.directive import MOST_PARAMETERS, Directive, parse, rendered, shares


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("template=sgp_titulo_aberto", Directive("sgp_titulo_aberto")),
        ("template=fatura\nparam=Ana\nparam=R$ 9,90", Directive("fatura", ("Ana", "R$ 9,90"))),
        ("template=fatura\r\nparam=Ana\r\n\r\nOla Ana", Directive("fatura", ("Ana",), "Ola Ana")),
        ("template = fatura \nparam = Ana \nOla\nAna\n", Directive("fatura", ("Ana",), "Ola\nAna\n")),
        ("template=fatura\nparam=\nparam=b\n", Directive("fatura", ("", "b"))),
        ("template=fatura\n\n \n", Directive("fatura")),
        # Only one empty line belongs to it, and nothing behind it is looked at.
        ("template=a\n\ntemplate=b\nparam=x", Directive("a", (), "template=b\nparam=x")),
        ("template=a\nOla\nparam=x", Directive("a", (), "Ola\nparam=x")),
        ("template=a\nparam=param=x", Directive("a", ("param=x",))),
        ("template=a\nparam={{2}} {0} %s \\n", Directive("a", ("{{2}} {0} %s \\n",))),
        ("Ola template=a", None),
        ("\ntemplate=a", None),
        ("\\template=a", None),
        ("template=", None),
        ("template=Fatura", None),
        ("template=a b", None),
        ("Template=a", None),
        ("", None),
    ],
)
def test_a_directive_is_read_from_the_start_of_a_text(text: str, expected: Directive | None) -> None:
    assert parse(text) == expected


def test_only_so_many_parameters_are_read() -> None:
    named = parse("template=a\n" + "param=x\n" * (MOST_PARAMETERS + 1))
    assert named is not None and len(named.parameters) == MOST_PARAMETERS and named.rest == "param=x\n"


@given(st.text())
def test_any_text_is_read_or_left_alone(text: str) -> None:
    for one in (text, f"template=a\n{text}", f"template=a\nparam={text}"):
        named = parse(one)
        assert named is None or all("\n" not in value and "\r" not in value for value in named.parameters)


@pytest.mark.parametrize(
    ("text", "parameters", "expected"),
    [
        ("Ola {{1}}, {{2}}!", [("", "Ana"), ("", "R$ 1")], "Ola Ana, R$ 1!"),
        ("Ola {{1}}, {{2}}!", [("", "{{2}}"), ("", "x")], "Ola {{2}}, x!"),
        ("Ola {{ nome }}", [("nome", "Ana")], "Ola Ana"),
        ("Ola {{1}} {{3}}", [("", "Ana")], "Ola Ana {{3}}"),
        ("{1} {{1}}", [("", "\\1\\g<0>")], "{1} \\1\\g<0>"),
    ],
)
def test_parameters_take_their_places_and_nothing_more(
    text: str, parameters: list[tuple[str, str]], expected: str
) -> None:
    assert rendered(text, parameters) == expected


@given(st.text(min_size=1, max_size=50), st.integers(1, 9))
def test_a_text_is_shared_out_whole_and_evenly(text: str, count: int) -> None:
    found = shares(text, count)
    assert len(found) == count and all(found)
    assert "".join(found).rstrip(" ") == text.rstrip(" ")
    assert max(map(len, found)) - min(map(len, found)) <= 1
