"""What a soak run makes of journals and kills."""

from __future__ import annotations

import pytest

from tools.journal import Entry
from tools.outside import answer_after_s
from tools.soak_report import WITHIN_S, Kill, in_flight

NUMBER = "5511987654321"
SENT, TOLD = 100.0, 104.0


def provider(*, told: bool) -> list[Entry]:
    """A text that is delivered at once, and told of four seconds later or never."""
    entries = [Entry(SENT, "send", NUMBER, "W1"), Entry(SENT + 0.3, "delivered", NUMBER, "W1")]
    return [*entries, Entry(TOLD, "told-delivered", NUMBER, "W1")] if told else entries


@pytest.mark.parametrize(
    ("killed_at", "told", "expected"),
    [
        (SENT - 1.0, True, False),
        (SENT + 1.0, True, True),
        (TOLD + WITHIN_S, True, True),
        (TOLD + WITHIN_S + 0.1, True, False),
        (TOLD + 60.0, False, True),
    ],
    ids=["before", "in between", "just told", "long told", "never told"],
)
def test_a_text_is_with_a_provider_until_its_word_was_taken(killed_at: float, told: bool, expected: bool) -> None:
    kills = [Kill(killed_at, "provider", killed_at)]
    assert in_flight(kills, [], provider(told=told)) == ({NUMBER} if expected else set())


def test_the_word_on_one_text_says_nothing_of_another_to_the_same_number() -> None:
    entries = [*provider(told=True), Entry(SENT + 1.0, "send", NUMBER, "W2")]
    assert in_flight([Kill(TOLD + 9.0, "provider", TOLD + 9.0)], [], entries) == {NUMBER}


@pytest.mark.parametrize(("late_s", "expected"), [(0.0, True), (0.1, False)])
def test_an_operator_answers_in_its_time(late_s: float, expected: bool) -> None:
    at = SENT + answer_after_s(NUMBER[-1]) + WITHIN_S + late_s
    assert in_flight([Kill(at, "gateway", at + 3.0)], [Entry(SENT, "submit", NUMBER, "7")], []) == (
        {NUMBER} if expected else set()
    )
