"""What an account may, all workers together: one bucket for its rate, one count of its binds, on the board."""

from __future__ import annotations

import contextlib

from twisted.logger import Logger

from gateway.delivery.pacing import Bucket
from gateway.workers.board import Board, BoardFull

log = Logger("workers")


class SharedBucket:
    """delivery.pacing.Bucket whose tokens are on the board: whoever comes first takes them."""

    def __init__(self, board: Board, account: str, rate: float, size: float) -> None:
        """BoardFull when there is no room for it."""
        self._board, self._at = board, board.account(account)
        self.rate, self.size = rate, size

    @property
    def debt(self) -> float:
        return self._board.bucket(self._at)[2]

    @debt.setter
    def debt(self, segments: float) -> None:
        board, at = self._board, self._at
        board.lock(at)
        tokens, since, _ = board.bucket(at)
        board.set_bucket(at, tokens, since, segments)
        board.unlock(at)

    def take(self, count: int, now: float) -> bool:
        """As Bucket.take."""
        board, at = self._board, self._at
        board.lock(at)
        tokens, debt = self._tokens(now)
        taken = tokens >= count
        board.set_bucket(at, tokens - count if taken else tokens, max(now, board.bucket(at)[1]), debt)
        board.unlock(at)
        return taken

    def seconds_until(self, count: int, now: float) -> float:
        """As Bucket.seconds_until."""
        return max(0.0, (count - self._tokens(now)[0]) / self.rate)

    def _tokens(self, now: float) -> tuple[float, float]:
        """(Tokens by now, debt). The workers' clocks are one; what one of them read a moment ago is not the past."""
        tokens, at, debt = self._board.bucket(self._at)
        if not at:
            return self.size, debt
        return min(self.size, tokens + max(0.0, now - at) * self.rate), debt


class SharedLimits:
    """Implements gateway.server.accounts.Limits for one worker of several."""

    def __init__(self, board: Board, worker: int) -> None:
        self._board, self._worker = board, worker

    def bucket(self, account: str, rate: float, size: float, now: float) -> Bucket | SharedBucket:
        try:
            return SharedBucket(self._board, account, rate, size)
        except BoardFull:
            log.error("too many accounts to share their rates: that of {account} counts per worker", account=account)
            return Bucket(rate, size, now)

    def may_bind(self, account: str, most: int, here: int) -> bool:
        """May one more session bind, beside the `here` of this worker and those of the others? Then it counts."""
        board = self._board
        try:
            at = board.account(account)
        except BoardFull:
            return here < most
        board.lock(at)
        binds = board.binds(at)
        free = sum(binds) - binds[self._worker - 1] + here < most
        if free:
            board.set_binds(at, self._worker, here + 1)
        board.unlock(at)
        return free

    def bound(self, account: str, here: int) -> None:
        """So many sessions of the account are bound to this worker."""
        with contextlib.suppress(BoardFull):
            self._board.set_binds(self._board.account(account), self._worker, here)
