"""Changes of messages, gathered into batches: while one is at the store the next one gathers, so an idle store takes
one message at once and a busy one takes many in a call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.logger import Logger
from twisted.python.failure import Failure

from gateway.store import records
from gateway.store.batch import Obstacle, answers_of, arguments, events_of, obstacles_of
from gateway.store.turn import Answers, Turn
from gateway.store.valkey import Keep, Store

AT_MOST = 256  # changes in one call: longer scripts would keep others waiting
ENOUGH = 128  # changes that need not wait for the end of the turn: the store may begin with them
IN_FLIGHT = 4  # calls at the store at a time
log = Logger("ledger")


class Ledger:
    """Writes changes. Several given to one `together` are kept or lost as one."""

    def __init__(
        self, store: Store, node: str, feed_length: int, later: Callable[[Callable[[], None]], Any], keep: Keep,
        before: Ledger | None = None,
    ) -> None:  # fmt: skip
        """later(f): run f in the next turn of the reactor. feed_length: events the feed keeps, roughly.

        before: whose changes are more urgent. While some of them wait for their turn, one call of this one is at the
        store at a time; else as many as IN_FLIGHT."""
        self._before = before
        self._store, self._node, self._feed_length, self._later, self._keep = store, node, feed_length, later, keep
        self._waiting: list[Turn | list[Turn]] = []
        self._flying: list[list[Turn]] = []  # calls at the store
        self._scheduled = False
        self._mean_events = 16.0  # in one entry of the feed
        self.idle: Callable[[], None] = lambda: None
        self.count: Callable[..., None] = lambda *key, n: None  # gateway.metrics; where the counts of a kept change go

    @property
    def busy(self) -> bool:
        return bool(self._waiting or self._flying)

    @property
    def concerned(self) -> set[str]:
        """Ids of the messages whose change is on its way: not known to be kept yet."""
        waiting = [turn for one in self._waiting for turn in ((one,) if isinstance(one, Turn) else one)]
        return {turn.message.id for batch in (waiting, *self._flying) for turn in batch}

    def commit(self, turn: Turn) -> None:
        """Queue one change, which is sealed."""
        self._waiting.append(turn)
        if not self._scheduled:
            self._scheduled = True
            self._later(self._flush)
        elif len(self._waiting) == ENOUGH:
            self._send_some()

    def together(self, turns: Sequence[Turn]) -> None:
        """Queue changes that go in one call."""
        self._waiting.append(list(turns))
        if not self._scheduled:
            self._scheduled = True
            self._later(self._flush)

    def _flush(self) -> None:
        self._scheduled = False
        self._send_some()

    def _send_some(self) -> None:
        most = 1 if self._before is not None and self._before._waiting else IN_FLIGHT
        while self._waiting and len(self._flying) < most:
            taken, batch = _beginning_of(self._waiting)
            del self._waiting[:taken]
            self._send(batch)

    def _send(self, batch: list[Turn]) -> None:
        self._flying.append(batch)
        items, read, area = arguments(batch)
        feed = events_of(batch, self._node)
        if feed:
            self._mean_events += (len(feed) - self._mean_events) * 0.05
        entries = max(16, int(self._feed_length / max(1.0, self._mean_events)))
        kept = self._store.call(
            "commit", items, read, area, records.encode(feed) if feed else b"", str(entries), keep=self._keep,
            wanted=lambda: any(turn.is_wanted() for turn in batch),
        )  # fmt: skip
        kept.addCallbacks(self._answered, self._failed, callbackArgs=(batch,), errbackArgs=(batch,))
        kept.addErrback(lambda failure: log.failure("a batch was kept but its sequel failed", failure=failure))

    def _answered(self, answer: Any, batch: list[Turn]) -> None:
        self._flying.remove(batch)
        obstacles = obstacles_of(answer)
        if obstacles:
            self._go_round(obstacles, batch)
        else:
            self._tell(batch, answers_of(answer, len(batch)))
        self._go_on()

    def _tell(self, kept: Sequence[Turn], answers: Sequence[Answers]) -> None:
        for turn, of_its_commands in zip(kept, answers, strict=True):
            try:
                for key, n in turn.counts:
                    self.count(*key, n=n)
                turn.tell(of_its_commands)
            except Exception:
                _say_failed(turn)
            turn.over()

    def _go_round(self, obstacles: dict[int, Obstacle], batch: list[Turn]) -> None:
        """Nothing of the batch was done: the others go again, but for what follows from one that lost its race."""
        others = [turn for place, turn in enumerate(batch) if place not in obstacles]
        lost = {id(batch[place]) for place, obstacle in obstacles.items() if not obstacle.done}
        for turn in [one for one in others if id(one.follows_from) in lost]:
            others.remove(turn)
            turn.over()
        going = {turn.message.id for turn in others}
        if others:
            self._send(others)
        for place, obstacle in obstacles.items():
            turn = batch[place]
            if obstacle.done:
                self._tell([turn], [None])
            elif obstacle.instead in going:  # not kept yet: only then is this one one too many
                self._waiting.insert(0, turn)
            else:
                try:
                    _tell_obstacle(turn, obstacle)
                except Exception:
                    _say_failed(turn)
                turn.over()

    def _failed(self, failure: Failure, batch: list[Turn]) -> None:
        self._flying.remove(batch)
        told = [turn.not_kept() for turn in batch]
        if not any(told):
            log.error("the store did not keep a batch: {why}", why=failure.getErrorMessage()[:120])
        for turn in batch:
            turn.over()
        self._go_on()

    def _go_on(self) -> None:
        if self._waiting:
            if not self._scheduled:
                self._flush()
        elif not self._flying:
            self.idle()


def _beginning_of(waiting: Sequence[Turn | list[Turn]]) -> tuple[int, list[Turn]]:
    """As many as go in one call, and their changes; what was given together is not taken apart."""
    batch: list[Turn] = []
    taken = 0
    for one in waiting[:AT_MOST]:
        if type(one) is not list:
            batch.append(one)  # type: ignore[arg-type]
        elif batch and len(batch) + len(one) > AT_MOST:
            break
        else:
            batch += one
        taken += 1
        if len(batch) >= AT_MOST:
            break
    return taken, batch


def _tell_obstacle(turn: Turn, obstacle: Obstacle) -> None:
    if obstacle.instead:
        if turn.instead is not None:
            turn.instead(obstacle.instead)
        return
    fresh = records.unpack(obstacle.record) if obstacle.record else None
    if turn.again is not None:
        turn.again(fresh)
    else:
        turn.overtaken(fresh)


def _say_failed(turn: Turn) -> None:
    log.failure("the sequel of a change failed; message_id={message_id}", message_id=turn.message.id)
