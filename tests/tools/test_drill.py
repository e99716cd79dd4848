"""The drill's sums; the drill itself is `make drill`."""

from __future__ import annotations

import pytest

from tools.drill import most_in_a_second


@pytest.mark.parametrize(
    ("moments", "most"),
    [
        ([], 0),
        ([5.0], 1),
        ([0.0, 1.0, 2.0], 1),
        ([0.0, 0.999, 1.0], 2),
        ([0.9, 0.0, 0.5, 1.2, 1.4], 4),
        ([7.0] * 3 + [9.0], 3),
    ],
)
def test_the_fullest_second_is_found_wherever_it_begins(moments: list[float], most: int) -> None:
    assert most_in_a_second(moments) == most
