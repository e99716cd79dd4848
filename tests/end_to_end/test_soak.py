"""The short form of `make soak`: everybody is killed once, and the books balance."""

from __future__ import annotations

import pytest
from twisted.internet import reactor

from tests.end_to_end.in_reactor import in_reactor
from tools.soak import Soak
from tools.soak_world import VICTIMS, Plan

PLAN = Plan(
    rate=60.0, duration_s=26.0, kill_every_s=(1.5, 2.5), quiet_s=6.0, validity_s=45, fallback_after_s=15,
    operator_rate=60.0, seed=11,
)  # fmt: skip


@pytest.mark.slow
@in_reactor
async def test_kills_at_random_moments_lose_nothing_and_double_only_what_was_in_flight() -> None:
    report = await Soak(reactor, PLAN).run()
    words = "\n".join(report.lines())
    assert {kill.victim for kill in report.kills} == set(VICTIMS), words
    assert report.answered > PLAN.rate * PLAN.duration_s / 3, words
    assert report.reached.keys() == {"operator", "provider"}, words
    assert report.good, words
