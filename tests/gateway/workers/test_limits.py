"""What several processes may together: one rate, one number of binds."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from gateway.delivery.pacing import Bucket
from gateway.server.accounts import OwnLimits
from gateway.workers import board as boards
from gateway.workers.board import Board, BoardFull
from gateway.workers.limits import SharedBucket, SharedLimits

NOW = 1_700_000_000.0


def in_another_process(work: Callable[[], int]) -> int:
    """What `work` returns in a process of its own; at most 255."""
    pid = os.fork()
    if not pid:
        os._exit(work())
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_a_shared_bucket_admits_what_one_of_a_single_process_admits() -> None:
    own, shared = Bucket(20.0, 20.0, NOW), SharedBucket(Board(), "billing", 20.0, 20.0)
    now = NOW
    for step in range(400):
        now += (0.0, 0.01, 0.2, 0.03)[step % 4]
        count = 1 + step % 3
        assert shared.seconds_until(count, now) == pytest.approx(own.seconds_until(count, now), abs=1e-6), step
        assert shared.take(count, now) == own.take(count, now), step


def test_two_workers_take_from_one_bucket() -> None:
    board = Board()
    one, other = (SharedLimits(board, number).bucket("billing", 10.0, 10.0, NOW) for number in (1, 2))
    assert [bucket.take(1, NOW) for bucket in (one, other) * 6] == [True] * 10 + [False] * 2
    assert [bucket.take(1, NOW + 0.11) for bucket in (other, one)] == [True, False]
    assert SharedLimits(board, 1).bucket("shop", 10.0, 10.0, NOW).take(10, NOW), "another account has its own"


def test_what_one_worker_owes_the_other_pays_too() -> None:
    board = Board()
    one, other = (SharedLimits(board, number).bucket("billing", 10.0, 10.0, NOW) for number in (1, 2))
    one.debt = 5
    assert other.debt == 5


def test_processes_that_take_at_the_same_time_take_each_token_once() -> None:
    """Without the lock two of them read the same number of tokens now and then."""
    board = Board()
    size = 600.0
    read, write = os.pipe()
    children = []
    for _ in range(3):
        pid = os.fork()
        if not pid:
            bucket = SharedBucket(board, "billing", 0.001, size)
            os.write(write, str(sum(bucket.take(1, NOW) for _ in range(500))).rjust(4).encode())
            os._exit(0)
        children.append(pid)
    assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children] == [0, 0, 0]
    told = os.read(read, 100).decode()
    assert sum(int(told[at : at + 4]) for at in range(0, len(told), 4)) == size


def test_a_clock_that_another_worker_read_later_gives_nothing_back() -> None:
    board = Board()
    one, other = (SharedLimits(board, number).bucket("billing", 10.0, 10.0, NOW) for number in (1, 2))
    assert one.take(10, NOW)
    assert not other.take(1, NOW - 0.05)
    assert not one.take(2, NOW + 0.11)
    assert one.take(1, NOW + 0.11)


def test_max_binds_counts_over_all_workers() -> None:
    board = Board()
    one, other = SharedLimits(board, 1), SharedLimits(board, 2)
    assert one.may_bind("billing", 2, 0)  # which counts at once, before the session is in anybody's books
    one.bound("billing", 1)
    assert other.may_bind("billing", 2, 0)
    other.bound("billing", 1)
    assert not one.may_bind("billing", 2, 1)
    assert not other.may_bind("billing", 2, 1)
    assert other.may_bind("shop", 1, 0)
    one.bound("billing", 0)
    assert other.may_bind("billing", 2, 1)


def test_a_bind_that_came_to_nothing_is_counted_no_more_with_the_next_word() -> None:
    board = Board()
    one, other = SharedLimits(board, 1), SharedLimits(board, 2)
    assert one.may_bind("billing", 1, 0)
    assert not other.may_bind("billing", 1, 0)
    one.bound("billing", 0)
    assert other.may_bind("billing", 1, 0)


def test_binds_of_another_process_count_until_it_is_cleared() -> None:
    board = Board()

    def bind_and_die() -> int:
        return int(SharedLimits(board, 2).may_bind("billing", 1, 0))

    assert in_another_process(bind_and_die) == 1
    one = SharedLimits(board, 1)
    assert not one.may_bind("billing", 1, 0)
    board.clear(2)
    assert one.may_bind("billing", 1, 0)


def test_clearing_a_worker_leaves_rates_and_the_others_alone() -> None:
    board = Board()
    one, other = SharedLimits(board, 1), SharedLimits(board, 2)
    bucket = one.bucket("billing", 10.0, 10.0, NOW)
    assert bucket.take(10, NOW)
    one.bound("billing", 1)
    other.bound("billing", 2)
    board.clear(2)
    assert board.binds(board.account("billing"))[:3] == (1, 0, 0)
    assert not bucket.take(1, NOW)


def test_a_process_that_dies_with_a_lock_leaves_it_open() -> None:
    board = Board()
    at = board.account("billing")
    assert in_another_process(lambda: board.lock(at) or 0) == 0  # type: ignore[func-returns-value]
    assert SharedBucket(board, "billing", 10.0, 10.0).take(1, NOW)


def test_a_full_board_counts_per_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boards, "ACCOUNTS", 1)
    board = Board()
    limits = SharedLimits(board, 1)
    assert isinstance(limits.bucket("billing", 10.0, 10.0, NOW), SharedBucket)
    with pytest.raises(BoardFull):
        board.account("shop")
    assert isinstance(limits.bucket("shop", 10.0, 10.0, NOW), Bucket)
    assert limits.may_bind("shop", 2, 1)
    assert not limits.may_bind("shop", 2, 2)
    limits.bound("shop", 2)


def test_alone_only_ones_own_sessions_count() -> None:
    limits = OwnLimits()
    assert limits.may_bind("billing", 2, 1)
    assert not limits.may_bind("billing", 2, 2)
    assert isinstance(limits.bucket("billing", 10.0, 10.0, NOW), Bucket)


# -- the rest of the board


def test_names_keep_their_slots_whoever_asks_first() -> None:
    board = Board()
    slots = {board.account(f"account{number}") for number in range(500)}
    assert len(slots) == 500
    assert in_another_process(lambda: int({board.account(f"account{n}") for n in range(500)} == slots)) == 1


def test_the_worker_with_the_fewest_connections_is_one_that_lives() -> None:
    board = Board()
    board.show(1, NOW, 5, 101)
    board.show(2, NOW - 60, 0, 102)
    board.show(3, NOW, 3, 103)
    assert board.fewest(3, NOW) == 3
    assert board.shown(1) == (NOW, 5, 101)
    board.clear(3)
    assert board.fewest(3, NOW) == 5
    assert board.fewest(3, NOW + 60) == 0
    with pytest.raises(ValueError, match="from 1 to 64"):
        board.show(65, NOW, 0, 0)


def test_a_channel_is_up_where_any_worker_has_it_up_and_is_believed_to_be_before_a_word() -> None:
    board = Board()
    assert board.is_up("zap")
    board.say("zap", 1, False)
    assert not board.is_up("zap")
    board.say("zap", 2, True)
    assert board.is_up("zap")
    assert board.is_up("operator")
    board.say("zap", 2, False)
    board.clear(1)  # what a dead worker said last holds until it is back
    assert not board.is_up("zap")


def test_a_channel_is_not_up_by_the_word_of_a_worker_that_has_it_no_more() -> None:
    board = Board()
    board.say("operator", 1, True)
    board.say("operator", 2, False)
    board.say("operator", 1, None)
    assert not board.is_up("operator")


def test_the_latest_moment_outlives_the_worker_that_showed_it() -> None:
    board = Board()
    assert board.latest == 0.0
    board.show(1, NOW, 0, 101)
    board.show(2, NOW - 3600, 0, 102)
    board.clear(1)
    assert board.latest == NOW
