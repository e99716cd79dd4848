"""What a message knows of itself."""

from __future__ import annotations

import pytest

from tests.gateway.samples import attempt, message


@pytest.mark.parametrize(("plan", "channel", "fallback_after", "waited", "too_late"), [
    (("zap", "operator"), "zap", 30.0, 24.9, False),
    (("zap", "operator"), "zap", 30.0, 25.1, True),   # five seconds are left for the word that it arrived
    (("zap", "operator"), "zap", 8.0, 5.9, False),
    (("zap", "operator"), "zap", 8.0, 6.1, True),     # or a quarter, where that is less
    (("zap", "operator"), "operator", 8.0, 99.0, False),  # the last one has all the time there is
    (("zap",), "zap", 0.0, 99.0, False),
    (("operator",), "zap", 8.0, 99.0, False),         # no more in its route
])  # fmt: skip
def test_a_send_needs_time_for_the_word_that_it_arrived(
    plan: tuple[str, ...], channel: str, fallback_after: float, waited: float, too_late: bool
) -> None:
    one = message(plan=plan, fallback_after=fallback_after, attempts=[attempt(channel, started_at=1000.0)])
    assert one.is_too_late_for(channel, 1000.0 + waited) is too_late
