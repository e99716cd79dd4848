"""What a text must hold for an expression to match: a text without it never matches."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.routing.routes import Route, Routes, When
from gateway.routing.words import needed
from tests.gateway.samples import message


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        (r"(?i)\b(codigo|senha|token)\b.{0,20}\d{4,8}", ("codigo", "senha", "token")),
        (r"(?i)fatura de R\$ ?[\d.,]+ vence em [\d/]+", ("fatura de r$",)),
        (r"(?i)\bDESCONTO\b", ("desconto",)),
        ("Ola (?P<nome>[^,]+), sua fatura", (", sua fatura",)),
        ("(?:abc)+d?", ("abc",)),
        ("(?:abc)*", ()),
        ("abc?", ("ab",)),
        ("[ab]c|d.", ("c", "d")),
        ("a|.", ()),
        ("(?=abc).", ()),
        ("(?!abc)d", ("d",)),
        ("(?>abc)++", ("abc",)),
        ("(?x) a b c  # words", ("abc",)),
        ("preço novo", ("o novo",)),
        ("(a)?(?(1)b|c)", ()),
        (r"\d{6}", ()),
        ("", ()),
        ("|".join(f"{letter}{letter}[x-z]" for letter in "abcdefgh"), ("aa", "bb", "cc", "dd", "ee", "ff", "gg", "hh")),
        ("|".join(f"{letter}{letter}[x-z]" for letter in "abcdefghi"), ()),
    ],
)
def test_the_words_of_an_expression(expression: str, words: tuple[str, ...]) -> None:
    assert needed(re.compile(expression)) == words


_ATOMS = st.sampled_from(["a", "B", "ab", "ç", "K", "[ab]", "[^a]", ".", r"\d", r"\b", "^", "(?=a)", "(?!b)", "ſ"])
_EXPRESSIONS = st.recursive(
    _ATOMS,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map(lambda two: f"(?:{two[0]}|{two[1]})"),
        st.tuples(inner, st.sampled_from(["?", "*", "+", "{2}", "{0,2}", "+?"])).map(lambda two: f"({two[0]}){two[1]}"),
        inner.map(lambda one: f"(?i:{one})"),
        inner.map(lambda one: f"(?>{one})"),
    ),
    max_leaves=8,
)


@given(_EXPRESSIONS, st.text("aAbBçkK1 s", max_size=8), st.booleans())
def test_what_holds_none_of_the_words_is_not_matched(expression: str, text: str, any_case: bool) -> None:
    pattern = re.compile(expression, re.IGNORECASE if any_case else 0)
    words = needed(pattern)
    if pattern.search(text) is not None and text.isascii() and words:
        assert any(word in text.lower() for word in words)
    wanted, others = Route("wanted", ("operator",), when=When(text=pattern)), Route("others", ("operator",))
    found = Routes((wanted, others)).find(message(), 0.0, lambda _: text)
    assert found is (wanted if pattern.search(text) else others)


@pytest.mark.parametrize("text", ["\u212aO", "ko", "KO", "k\u00f6 ko"])
def test_letters_that_match_ones_of_ascii_are_left_to_the_search(text: str) -> None:
    """KELVIN SIGN is a k where case does not count."""
    route = Route("k", ("operator",), when=When(text=re.compile("(?i)ko")))
    assert Routes((route,)).find(message(), 0.0, lambda _: text) is route


def test_the_words_follow_from_the_text_whatever_is_given() -> None:
    assert When(text=re.compile("abc"), words=("x",)).words == ("abc",) and When().words == ()
