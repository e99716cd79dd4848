from __future__ import annotations

from collections import Counter

import pytest

from bridge.choosing import Choice, Offer, choose

PEOPLE = [f"5511987{index:06d}" for index in range(2000)]
A, B, C = Offer("a"), Offer("b"), Offer("c")


def off(offer: Offer, *, lost: bool = False) -> Offer:
    return Offer(offer.name, able=False, free=False, lost=lost)


@pytest.mark.parametrize(
    ("bound", "offers", "tried", "expected"),
    [
        pytest.param("a", (A, B), (), Choice("a"), id="who wrote before writes again"),
        pytest.param("a", (Offer("a", free=False), B), (), Choice("a"), id="also when it has no room now"),
        pytest.param("a", (off(A), B), (), Choice("b"), id="another one helps out for a while"),
        pytest.param("a", (off(A, lost=True), B), (), Choice("b", binds=True), id="the people of a lost one move"),
        pytest.param("gone", (A,), (), Choice("a", binds=True), id="and those of one that is no more"),
        pytest.param("", (A,), (), Choice("a", binds=True), id="somebody new gets one"),
        pytest.param("", (Offer("a", free=False), B), (), Choice("b", binds=True), id="one with room"),
        pytest.param("", (Offer("a", free=False), off(B)), (), Choice("a", binds=True), id="without room at need"),
        pytest.param("a", (A, B), ("a",), Choice("b"), id="whoever could not is not tried again"),
        pytest.param("a", (A,), ("a",), None, id="nobody is left"),
        pytest.param("", (off(A), off(B)), (), None, id="nobody can"),
    ],
)  # fmt: skip
def test_the_choice(
    bound: str, offers: tuple[Offer, ...], tried: tuple[str, ...], expected: Choice | None
) -> None:  # fmt: skip
    assert choose("5511987650001", bound, offers, tried) == expected


def chosen(*offers: Offer) -> dict[str, str]:
    return {person: choice.name for person in PEOPLE if (choice := choose(person, "", offers)) is not None}


def test_new_people_are_shared_out_by_weight() -> None:
    count = Counter(chosen(Offer("a", 30.0), Offer("b", 10.0)).values())
    assert count["b"] == pytest.approx(500, rel=0.15)


def test_a_sender_more_or_less_moves_nobody_between_the_others() -> None:
    two, three = chosen(A, B), chosen(A, B, C)
    assert {(two[person], three[person]) for person in PEOPLE} == {("a", "a"), ("b", "b"), ("a", "c"), ("b", "c")}
    assert chosen(B, A) == two
