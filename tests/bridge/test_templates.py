"""Which form a text gets, and what becomes of it in a template."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.templates import DirectText, Form, FreeText, Template, TemplateText, choose, clean

BILL = "Ola Ana Maria, sua fatura de R$ 120,50 vence em 10/12"
PATTERN = r"Ola (?P<nome>[^,]+), sua fatura de R\$ (?P<valor>[\d.,]+) vence em (?P<data>[\d/]+)"


def template(name: str = "fatura", match: str = PATTERN, body: Any = ("{nome}", "{valor}", "{data}")) -> Template:
    return Template(name, "pt_BR", re.compile(match, re.DOTALL), body, ttl=600.0)


ANYTHING = template("geral", "(?P<texto>.*)", ("{texto}",))


def chosen(
    text: str, *templates: Template, window_open: bool = False, direct_send: bool = False, ttl: float = 600.0
) -> Form | None:
    return choose(text, templates, window_open=window_open, direct_send=direct_send, ttl=ttl)


def test_within_the_window_a_text_goes_as_it_is() -> None:
    assert chosen("linha\n\num", ANYTHING, window_open=True) == FreeText("linha\n\num")


def test_outside_of_it_the_first_template_that_matches_the_whole_text_counts() -> None:
    other = template("outra", "Ola.*fatura")
    filled = TemplateText("fatura", "pt_BR", (("", "Ana Maria"), ("", "120,50"), ("", "10/12")), 600.0)
    assert chosen(BILL, other, template(), ANYTHING) == filled
    assert chosen(f"{BILL} Ref 7", other, template()) is None
    assert chosen(f"Sr. {BILL}", other, template()) is None


def test_a_dot_matches_line_breaks() -> None:
    assert chosen("um\ndois", ANYTHING) == TemplateText("geral", "pt_BR", (("", "um dois"),), 600.0)


def test_a_mapping_names_the_parameters() -> None:
    named = template(body={"cliente": "{nome}", "quando": "dia {data}", "quanto": "R$ {valor} {{a vista}}"})
    assert named.fill(BILL) == TemplateText(
        "fatura",
        "pt_BR",
        (("cliente", "Ana Maria"), ("quando", "dia 10/12"), ("quanto", "R$ 120,50 {a vista}")),
        600.0,
    )


def test_a_group_that_took_no_part_is_never_empty() -> None:
    optional = template(match="Codigo(?: (?P<codigo>[0-9]+))?", body=("{codigo}",))
    assert optional.fill("Codigo") == TemplateText("fatura", "pt_BR", (("", "-"),), 600.0)


def test_a_text_cannot_reach_into_the_format() -> None:
    assert ANYTHING.fill("{texto.__class__} {0}") == TemplateText(
        "geral", "pt_BR", (("", "{texto.__class__} {0}"),), 600.0
    )


def test_a_template_without_parameters_is_fine() -> None:
    assert chosen("Oi", template(match="Oi", body=())) == TemplateText("fatura", "pt_BR", (), 600.0)


def test_what_cannot_fit_a_template_goes_another_way() -> None:
    assert chosen("x" * 1024, ANYTHING) is not None
    assert chosen("x" * 1025, ANYTHING, direct_send=True) is None
    short = template("curto", "(?P<a>x{3}).*", ("{a}",))
    assert chosen("x" * 1025, ANYTHING, short) == TemplateText("curto", "pt_BR", (("", "xxx"),), 600.0)


@pytest.mark.parametrize(("ttl", "expected"), [(600.0, 600.0), (1.0, 30.0), (-5.0, 30.0), (1e6, 43_200.0)])
def test_direct_send_comes_after_the_templates(ttl: float, expected: float) -> None:
    assert chosen(BILL, template(), direct_send=True, ttl=ttl) != DirectText(BILL, expected)
    assert chosen("outra coisa", template(), direct_send=True, ttl=ttl) == DirectText("outra coisa", expected)
    assert chosen("outra coisa", template(), direct_send=False, ttl=ttl) is None


@pytest.mark.parametrize(("chars", "sent"), [(4096, True), (4097, False)])
def test_a_free_text_has_a_length(chars: int, sent: bool) -> None:
    assert (chosen("x" * chars, window_open=True) is not None) is sent


@pytest.mark.parametrize("text", ["", " ", "\n\t"])
def test_nothing_is_not_said(text: str) -> None:
    assert chosen(text, ANYTHING, window_open=True, direct_send=True) is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("um dois", "um dois"),
        ("um\r\ndois\ttres\nquatro", "um dois tres quatro"),
        ("um    dois", "um    dois"),
        ("um     dois", "um dois"),
        ("um\n\n\n\n\ndois", "um dois"),
        ("  um \n", "um"),
        ("", "-"),
        ("\n", "-"),
    ],
)
def test_parameters_are_made_fit(value: str, expected: str) -> None:
    assert clean(value) == expected


@given(st.text(alphabet=st.sampled_from("a \t\n\r\x0b\x85\u2028 ."), max_size=40) | st.text(max_size=200))
def test_no_parameter_is_ever_refused_for_its_form(value: str) -> None:
    cleaned = clean(value)
    assert cleaned.strip() == cleaned and cleaned
    assert not re.search(r"[\n\r\t]| {5,}", cleaned)
    assert clean(cleaned) == cleaned


CODE = Template("codigo", "pt_BR", re.compile(r"Seu codigo e(?P<c>.*)"), ("{c}",), category="authentication")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Seu codigo e 491827", "491827"),
        ("Seu codigo e ABCDEFGHIJ12345", "ABCDEFGHIJ12345"),
        ("Seu codigo e ABCDEFGHIJ123456", None),  # sixteen characters
        ("Seu codigo e", None),
        ("Seu codigo e  ", None),
    ],
)
def test_an_authentication_template_holds_a_code_or_nothing(text: str, code: str | None) -> None:
    filled = CODE.fill(text)
    assert filled == (code and TemplateText("codigo", "pt_BR", (("", code),), 600.0, "authentication"))
    assert CODE.named([text.removeprefix("Seu codigo e")]) == filled


def test_a_code_has_one_place_and_dies_when_its_template_says_so() -> None:
    anything = Template("codigo", "pt_BR", None, ttl=60.0, category="authentication")
    assert anything.named(["1", "2"]) is None and anything.named([]) is None
    assert anything.named(["123"]) == TemplateText("codigo", "pt_BR", (("", "123"),), 60.0, "authentication")


@pytest.mark.parametrize(("chars", "fits"), [(24, True), (25, False)])
def test_the_rendered_length_counts_where_the_approved_text_is_known(chars: int, fits: bool) -> None:
    approved = Template("fatura", "pt_BR", re.compile("(?P<t>.*)"), ("{t}",), text=f"{'x' * 1000}{{{{1}}}}")
    assert (approved.fill("y" * chars) is not None) is fits
