"""When a sender is put aside, and how it comes back."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.health import ENOUGH, Health, State

QUARANTINE = 300.0


def sender(min_acks: float = 0.5, window: float = 60.0, quarantine: float = QUARANTINE) -> Health:
    return Health(min_acks=min_acks, window=window, quarantine=quarantine)


def run(health: Health, seconds: float, now: float = 0.0, step: float = 0.5) -> float:
    """Let time pass as the watch does."""
    end = now + seconds
    while now < end:
        now = min(end, now + step)
        health.tick(now)
    return now


def send(health: Health, count: int, now: float = 0.0, answered: int = 0, prefix: str = "m") -> None:
    for index in range(count):
        health.sent(f"{prefix}{index}", now)
        if index < answered:
            health.answered(f"{prefix}{index}", now)


@pytest.mark.parametrize(
    ("window", "sends", "answered", "after", "closed"),
    [
        (60.0, 20, 0, 5.0, True),  # from twenty sends, as soon as they had their time
        (60.0, 20, 0, 4.5, False),
        (60.0, 19, 0, 30.0, False),  # fewer: the window decides
        (60.0, 19, 0, 60.0, True),
        (60.0, 1, 0, 60.0, True),
        (60.0, 20, 10, 600.0, False),  # half of them is enough
        (60.0, 20, 9, 60.0, True),
        (60.0, 5, 3, 600.0, False),
        (60.0, 5, 2, 60.0, True),
        (600.0, 12, 0, 300.0, False),  # a handful of silent ones in a long window
        (600.0, 12, 0, 600.0, True),
        (4.0, 5, 0, 4.0, True),
        (60.0, 0, 0, 6000.0, False),
    ],
)
def test_silence_is_judged_from_twenty_sends_or_one_window(
    window: float, sends: int, answered: int, after: float, closed: bool
) -> None:
    """R21."""
    health = sender(window=window)
    send(health, sends, answered=answered)
    run(health, after)
    assert (health.quarantined, health.up) == (closed, not closed)
    assert health.probe_at == math.inf if not closed else health.probe_at <= after + QUARANTINE


def test_a_sender_that_never_answered_gets_twenty_messages() -> None:
    health = sender()
    assert health.room(0, 0.0) == ENOUGH
    send(health, 15)
    assert health.room(3, 0.0) == 2
    health.answered("m3", 1.0)
    assert health.room(3, 1.0) == math.inf


@pytest.mark.parametrize("window", [10.0, 60.0, 600.0])
def test_a_slow_provider_is_not_put_aside(window: float) -> None:
    health, now, late = sender(window=window), 0.0, []
    delay = min(4.0, window / 5)
    for index in range(400):
        now += 0.1
        if health.room(0, now) >= 1:
            health.sent(str(index), now)
            late.append((now + delay, str(index)))
        while late and late[0][0] <= now:
            health.answered(late.pop(0)[1], now)
        health.tick(now)
        assert health.up, now


def test_answers_that_come_after_the_verdict_undo_it() -> None:
    health = sender()
    send(health, 20)
    now = run(health, 10.0)
    assert health.quarantined
    for index in range(10):
        assert health.quarantined
        health.answered(f"m{index}", now)
    assert health.up and not health.quarantined


def test_a_sender_that_falls_silent_after_good_times_is_put_aside_within_a_window() -> None:
    health, now = sender(), 0.0
    for index in range(600):
        now += 0.5
        health.sent(f"good{index}", now)
        health.answered(f"good{index}", now + 0.2)
        health.tick(now)
    fell_silent_at = now
    for index in range(600):
        now += 0.5
        if health.up:
            health.sent(f"bad{index}", now)
        health.tick(now)
        if health.quarantined:
            break
    assert now - fell_silent_at <= 60.0


def test_one_lost_status_among_few_messages_is_no_verdict() -> None:
    health, now = sender(), 0.0
    for index in range(12):
        health.sent(str(index), now)
        if index != 7:
            health.answered(str(index), now + 1)
        now = run(health, 200.0, now)
    assert health.up


def test_failed_and_repeated_statuses_count_once_each() -> None:
    health = sender()
    send(health, 20)
    for _ in range(30):
        health.answered("m0", 1.0)
    run(health, 10.0)
    assert health.quarantined


def test_an_answer_may_come_before_its_send() -> None:
    health = sender()
    for index in range(20):
        health.answered(f"m{index}", 0.0)
        health.sent(f"m{index}", 0.1)
    run(health, 120.0)
    assert health.up


def test_lost_answers_are_made_good_by_statuses_that_name_nobody() -> None:
    health = sender()
    for index in range(20):
        health.sent("", 0.0)
        if index % 2:
            health.answered(f"unknown{index}", 1.0)
    run(health, 30.0)
    assert health.up
    silent = sender()
    for _ in range(20):
        silent.sent("", 0.0)
    run(silent, 30.0)
    assert silent.quarantined


def test_min_acks_zero_judges_nobody() -> None:
    health = sender(min_acks=0.0)
    send(health, 50)
    run(health, 600.0)
    assert health.up and health.room(50, 600.0) == math.inf


# ------------------------------------------------------------------------------------------------------ the way back


def silent(health: Health) -> float:
    send(health, 20)
    now = run(health, 6.0)
    assert health.quarantined and health.cause == "silent"
    return now


def test_after_a_silence_one_message_on_trial_brings_it_back() -> None:
    health = sender()
    silent(health)
    now = health.probe_at
    assert 304.0 <= now <= 306.0
    health.probed(True, now)
    assert health.state is State.TRIAL and health.up and health.room(0, now) == 1
    health.trial_taken(now)
    assert not health.up and health.quarantined and health.room(0, now) == 0
    health.sent("probe", now)
    health.answered("probe", now + 1)
    assert health.state is State.OPEN and health.up and not health.quarantined
    run(health, 600.0, now)
    assert health.up


def test_a_silent_trial_is_another_rest() -> None:
    health = sender()
    silent(health)
    now = health.probe_at
    health.probed(True, now)
    health.trial_taken(now)
    health.sent("probe", now)
    now = run(health, 6.0, now)
    assert health.quarantined and health.probe_at >= now + QUARANTINE - 2


def test_a_trial_whose_message_proves_nothing_is_tried_again() -> None:
    health = sender()
    silent(health)
    health.probed(True, health.probe_at)
    health.trial_taken(400.0)
    health.trial_missed()
    assert health.up and health.state is State.TRIAL


def test_a_bad_probe_is_repeated_soon() -> None:
    health = sender()
    silent(health)
    now = health.probe_at
    for state, reached in ((False, True), (None, True), (None, False)):
        health.probed(state, now, reached=reached)
        assert health.quarantined and now < health.probe_at <= now + 10
        now = health.probe_at


def test_after_a_log_out_the_pause_and_a_good_state_are_enough() -> None:
    health = sender()
    health.logged_out(0.0)
    assert health.quarantined and health.probe_at == QUARANTINE
    health.connected(10.0)
    assert health.probe_at == QUARANTINE  # the first pause is kept
    health.probed(False, QUARANTINE)
    assert health.quarantined and health.probe_at <= QUARANTINE + 10
    health.connected(QUARANTINE + 1)
    assert health.probe_at == QUARANTINE + 1
    health.probed(True, QUARANTINE + 1)
    assert health.up and not health.quarantined


def test_a_refused_connection_is_no_quarantine_and_is_tried_within_seconds() -> None:
    health, now = sender(), 0.0
    health.unreachable(now)
    assert not health.up and not health.quarantined and health.reason == "provider_down"
    for _ in range(20):
        assert health.probe_at - now <= 5.0
        now = health.probe_at
        health.probed(None, now, reached=False)
    now = health.probe_at
    health.probed(None, now, reached=True)  # it speaks again, whatever it says
    assert health.up


def test_a_provider_that_is_back_without_its_session_waits_for_the_session() -> None:
    health = sender()
    health.unreachable(0.0)
    health.probed(False, 1.0)
    assert not health.up and health.quarantined and health.probe_at <= 6.0
    health.probed(True, health.probe_at)
    assert health.up


def test_server_errors_count_only_in_a_row() -> None:
    health = sender()
    for _ in range(4):
        health.erred(0.0)
    health.sent("m", 0.0)
    for _ in range(4):
        health.erred(0.0)
    assert health.up
    health.erred(0.0)
    assert not health.up and health.reason == "provider_down"


def test_a_probe_asked_before_the_rest_began_does_not_end_it() -> None:
    health = sender()
    health.logged_out(0.0)
    health.probed(True, 0.1)
    assert health.quarantined


def one_of_several(health: Health | None = None) -> Health:
    return health or Health(min_acks=0.5, window=60.0, quarantine=QUARANTINE, hears_all=False)


def test_one_of_several_nodes_asks_the_others_before_it_calls_a_sender_silent() -> None:
    health = one_of_several()
    send(health, 20)
    now = run(health, 10.0)
    assert health.up and sorted(health.doubted) == sorted(f"m{index}" for index in range(20))
    health.heard_elsewhere(health.doubted[:10], now)
    health.tick(now, asked=True)
    assert health.up and health.room(0, now) == math.inf
    now = run(health, 300.0, now)
    assert health.up and not health.doubted, "half of them were answered"
    send(health, 30, now, prefix="n")
    now = run(health, 10.0, now)
    health.heard_elsewhere(["n1"], now)
    health.tick(now, asked=True)
    assert health.quarantined, "the others have not heard of them, either"


def test_the_message_of_a_trial_may_have_been_answered_elsewhere() -> None:
    for heard in (True, False):
        health = one_of_several()
        send(health, 20)
        now = run(health, 10.0)
        health.tick(now, asked=True)
        assert health.quarantined
        now += QUARANTINE
        health.probed(True, now)
        health.trial_taken(now)
        health.sent("trial", now)
        now = run(health, 30.0, now)
        assert health.state is State.TRIAL and "trial" in health.doubted
        health.heard_elsewhere(["trial"] if heard else [], now)
        health.tick(now, asked=True)
        assert health.up is heard


def test_a_send_whose_id_was_lost_is_nothing_to_ask_others_about() -> None:
    health = one_of_several()
    for _ in range(20):
        health.sent("", 0.0)
    run(health, 10.0)
    assert health.quarantined and not health.doubted


EVENTS: list[Callable[[Health, float], None]] = [
    lambda h, now: h.sent(f"m{now}", now),
    lambda h, now: h.sent("", now),
    lambda h, now: h.answered(f"m{now}", now),
    lambda h, now: h.answered("stranger", now),
    lambda h, now: h.logged_out(now),
    lambda h, now: h.connected(now),
    lambda h, now: h.unreachable(now),
    lambda h, now: h.erred(now),
    lambda h, now: h.probed(True, now),
    lambda h, now: h.probed(False, now),
    lambda h, now: h.probed(None, now, reached=False),
    lambda h, now: h.trial_taken(now),
    lambda h, now: h.trial_missed(),
    lambda h, now: h.tick(now),
]


@given(st.lists(st.tuples(st.floats(min_value=0, max_value=50), st.sampled_from(EVENTS)), max_size=80))
def test_a_resting_sender_always_has_a_next_probe_and_good_ones_bring_it_back(
    events: list[tuple[float, Callable[[Health, float], None]]],
) -> None:
    health, now = sender(quarantine=30.0), 0.0
    for gap, event in events:
        now += gap
        event(health, now)
        assert health.up <= (health.room(0, now) > 0 or health.state is State.OPEN)
        assert (health.state is State.RESTING) == (health.probe_at < math.inf)
    for _ in range(4):  # from anywhere: time, good probes and one answered message
        now = run(health, 70.0, now)
        if health.state is State.RESTING:
            now = max(now, health.probe_at)
            health.probed(True, now)
        if health.state is State.TRIAL and health.up:
            health.trial_taken(now)
            health.sent(f"good{now}", now)
            health.answered(f"good{now}", now)
    assert health.up
