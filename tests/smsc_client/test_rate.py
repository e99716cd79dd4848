"""How fast: never above the rate in any one second, near it otherwise, and down to what the operator allows."""

from __future__ import annotations

from collections import deque
from random import Random

import pytest

from gateway.messages.outcome import Accepted
from tests.fakes.smsc import Reply
from tests.smsc_client.stage import Stage, message

THROTTLED, QUEUE_FULL = 0x58, 0x14


def most_in_a_second(moments: list[float]) -> int:
    window: deque[float] = deque()
    most = 0
    for moment in moments:
        window.append(moment)
        while window[0] <= moment - 1:
            window.popleft()
        most = max(most, len(window))
    return most


@pytest.mark.parametrize(("binds", "window"), [(1, 50), (2, 25)])
def test_with_answers_after_200_ms_the_rate_is_used_and_never_exceeded(binds: int, window: int) -> None:
    stage = Stage(lambda pdu, now: Reply(after=0.2), throughput=150.0, binds=binds, window=window)
    stage.queue.extend(message(n) for n in range(3000))
    stage.feed()
    stage.run(10)
    moments = [at for at, _ in stage.smsc.submits]
    assert most_in_a_second(moments) <= 150
    assert len(moments) >= 1420


def test_a_store_that_takes_a_fifth_of_a_second_for_each_lease_costs_little() -> None:
    stage = Stage(lambda pdu, now: Reply(after=0.02), throughput=150.0, window=100)
    stage.queue.extend(message(n) for n in range(3000))
    leasing: list[bool] = []

    def leased(count: int) -> None:
        leasing.clear()
        for _ in range(count):
            stage.channel.send(stage.queue.popleft())
        lease()

    def lease() -> None:
        if not leasing and (room := stage.channel.capacity()) > 0:
            leasing.append(True)
            stage.clock.callLater(0.2, leased, room)

    stage.feed = lease  # type: ignore[method-assign]
    lease()
    stage.run(10)
    moments = [at for at, _ in stage.smsc.submits]
    assert most_in_a_second(moments) <= 150
    assert len(moments) >= 1380


def test_timers_that_come_late_cost_little() -> None:
    stage = Stage(lambda pdu, now: Reply(after=0.2), throughput=150.0)
    stage.queue.extend(message(n) for n in range(3000))
    stage.feed()
    stage.run(10, step=0.004)
    moments = [at for at, _ in stage.smsc.submits]
    assert most_in_a_second(moments) <= 150
    assert len(moments) >= 1420


def test_a_long_payload_counts_as_its_segments() -> None:
    stage = Stage(throughput=10.0, long_messages="payload")
    stage.queue.extend(message(n, user_data=b"a" * 400, in_payload=True, segments=3) for n in range(30))
    stage.feed()
    stage.run(10, step=0.01)
    moments = [at for at, _ in stage.smsc.submits]
    assert 30 <= len(moments) <= 33
    assert most_in_a_second(moments) <= 4


def test_an_idle_channel_sets_no_timers() -> None:
    stage = Stage(throughput=100.0)
    stage.send(*(message(n) for n in range(5)))
    stage.run(1)
    assert len(stage.clock.getDelayedCalls()) == 1  # enquire_link


class Limited:
    """An operator that lets `limit` submits of any one second pass and refuses the rest with `status`."""

    def __init__(self, limit: int, status: int) -> None:
        self.limit, self.status = limit, status
        self.passed: list[float] = []
        self.refused: list[float] = []
        self.recent: deque[float] = deque()

    def __call__(self, pdu: object, now: float) -> Reply:
        while self.recent and self.recent[0] <= now - 1:
            self.recent.popleft()
        if len(self.recent) < self.limit:
            self.recent.append(now)
            self.passed.append(now)
            return Reply(after=0.1)
        self.refused.append(now)
        return Reply(status=self.status, after=0.1)


@pytest.mark.parametrize(
    ("configured", "limit", "status"),
    [(100.0, 50, THROTTLED), (100.0, 40, QUEUE_FULL), (150.0, 140, THROTTLED), (300.0, 30, THROTTLED)],
)
def test_a_throttled_channel_finds_nine_tenths_of_the_limit_within_a_minute(
    configured: float, limit: int, status: int
) -> None:
    operator = Limited(limit, status)
    stage = Stage(operator, throughput=configured)
    stage.queue.extend(message(n) for n in range(15_000))
    stage.feed()
    began = stage.clock.seconds()
    stage.run(90, step=0.002)
    late = [at for at in operator.passed if at >= began + 60]
    assert len(late) / 30 >= 0.9 * limit
    assert sum(at >= began + 60 for at in operator.refused) < 0.02 * len(late)
    assert {type(result) for result in stage.outcomes} == {Accepted}


@pytest.mark.parametrize(("configured", "share"), [(500.0, 0.01), (500.0, 0.05), (100.0, 0.05), (20.0, 0.05)])
@pytest.mark.parametrize("seed", [1, 2])
def test_an_operator_that_throttles_some_at_any_rate_is_not_sent_less_and_less(
    configured: float, share: float, seed: int
) -> None:
    chance, passed = Random(seed), list[float]()

    def operator(pdu: object, now: float) -> Reply:
        if chance.random() < share:
            return Reply(status=THROTTLED, after=0.1)
        passed.append(now)
        return Reply(after=0.1)

    stage = Stage(operator, throughput=configured, window=int(configured * 0.3) + 20)
    stage.queue.extend(message(n) for n in range(int(configured * 70)))
    stage.feed()
    began = stage.clock.seconds()
    stage.run(60, step=0.005)
    assert sum(at >= began + 30 for at in passed) / 30 >= 0.7 * configured


def test_what_looked_like_chance_and_is_a_limit_is_found_to_be_one_after_a_few_more() -> None:
    operator = Limited(20, THROTTLED)
    stage = Stage(operator, throughput=100.0)
    stage.queue.extend(message(n) for n in range(9000))
    stage.feed()
    began = stage.clock.seconds()
    stage.run(60, step=0.005)
    early = [at for at in operator.refused if at < began + 10]
    assert len(early) < 60
    assert len([at for at in operator.refused if at >= began + 10]) < 60


def test_nothing_is_submitted_for_a_second_after_a_throttled_answer() -> None:
    operator = Limited(10, THROTTLED)
    stage = Stage(operator, throughput=100.0)
    stage.queue.extend(message(n) for n in range(1000))
    stage.feed()
    stage.run(1.3)
    heard = operator.refused[0] + 0.1
    assert not [at for at, _ in stage.smsc.submits if heard + 0.002 < at < heard + 1.0]
    assert stage.channel.rate == pytest.approx(50.0)


def test_what_was_learned_about_the_rate_survives_a_lost_link() -> None:
    operator = Limited(20, THROTTLED)
    stage = Stage(operator, throughput=100.0)
    stage.requeue = True
    stage.queue.extend(message(n) for n in range(3000))
    stage.feed()
    stage.run(40, step=0.005)
    learned = stage.channel.rate
    assert learned < 30
    stage.smsc.drop()
    stage.run(3, step=0.005)
    assert stage.channel.up
    assert stage.channel.rate == pytest.approx(learned, rel=0.3)


def test_the_rate_comes_back_when_the_operator_allows_more() -> None:
    operator = Limited(20, THROTTLED)
    stage = Stage(operator, throughput=50.0)
    stage.queue.extend(message(n) for n in range(9000))
    stage.feed()
    stage.run(30, step=0.005)
    assert stage.channel.rate < 30
    operator.limit = 1000
    stage.run(70, step=0.005)
    assert stage.channel.rate == 50.0


@pytest.mark.parametrize(
    ("state", "rate", "paused"),
    [(b"\x00", 100.0, False), (b"\x50", 100.0, False), (b"\x59", 100.0, False), (b"\x5a", 90.0, False),
     (b"\x63", 90.0, False), (b"\x64", 50.0, True), (b"", 100.0, False)],
)  # fmt: skip
def test_congestion_state_beside_a_plain_yes_is_heeded(state: bytes, rate: float, paused: bool) -> None:
    stage = Stage(lambda pdu, now: Reply(tlvs=((0x0428, state),)), throughput=100.0)
    stage.send(message(1))
    assert stage.outcomes == [Accepted("1")]
    assert stage.channel.rate == rate
    assert (stage.channel.capacity() == 0) is paused


def test_answers_to_what_left_before_the_operator_was_heeded_say_nothing_new() -> None:
    stage = Stage(lambda pdu, now: Reply(after=0.1, tlvs=((0x0428, b"\x64"),)), throughput=100.0)
    stage.send(*(message(n) for n in range(3)))
    stage.run(0.5)
    assert len(stage.results) > 1
    assert stage.channel.rate == 50.0


def test_of_a_shared_rate_no_more_than_the_share_leaves_and_it_may_change_at_any_time() -> None:
    stage = Stage(lambda pdu, now: Reply(after=0.2), throughput=150.0)
    stage.channel.take_share(0.0)
    stage.queue.extend(message(n) for n in range(3000))
    stage.feed()
    stage.run(2)
    assert (len(stage.smsc.submits), stage.channel.capacity()) == (0, 0)
    stage.channel.take_share(30.0)
    stage.run(5)
    slow = [at for at, _ in stage.smsc.submits]
    assert most_in_a_second(slow) <= 30
    assert len(slow) >= 140
    stage.channel.take_share(150.0)
    stage.run(5)
    fast = [at for at, _ in stage.smsc.submits[len(slow) :]]
    assert most_in_a_second(fast) <= 150
    assert len(fast) >= 700
    stage.channel.take_share(0.0)
    written = len(stage.smsc.submits)
    stage.run(3)
    assert len(stage.smsc.submits) == written


def test_what_is_throttled_at_a_share_slows_down_from_there() -> None:
    stage = Stage(lambda pdu, now: Reply(status=THROTTLED), throughput=1000.0)
    stage.channel.take_share(100.0)
    stage.queue.append(message(1))
    stage.feed()
    stage.run(0.1)
    assert stage.channel.rate == 50.0
