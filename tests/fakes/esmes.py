"""Bound sessions of billing systems, in memory: each takes deliver_sm as far as its window goes."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from gateway.messages.message import Mo, Receipt

Done = Callable[[int | None], None]


class MemoryBind:
    """One receiving session. `got`: everything that came; `unanswered`: what the test has not answered yet."""

    def __init__(self, account: str, window: int, automatic: bool) -> None:
        self.account, self.window, self.automatic = account, window, automatic
        self.got: list[Receipt | Mo] = []
        self.unanswered: list[tuple[Receipt | Mo, Done]] = []
        self.most = 0  # ever unanswered at once

    @property
    def room(self) -> int:
        return self.window - len(self.unanswered)

    def answer(self, status: int | None = 0, count: int | None = None) -> None:
        """Answer the oldest ones, all by default. None: no answer came in time."""
        count = len(self.unanswered) if count is None else count
        now, self.unanswered = self.unanswered[:count], self.unanswered[count:]
        for _, done in now:
            done(status)

    @property
    def ids(self) -> list[str]:
        return [item.message_id for item in self.got if isinstance(item, Receipt)]


class MemoryEsmes:
    """Implements gateway.delivery.ports.Esmes. `on_receiver` is told of a new bind, as gateway.server does."""

    def __init__(self, later: Callable[[Callable[[], None]], object]) -> None:
        self.binds: list[MemoryBind] = []
        self.on_receiver: Callable[[str], None] = lambda _: None
        self._later = later

    def bind(self, account: str = "billing", window: int = 100, automatic: bool = True) -> MemoryBind:
        bind = MemoryBind(account, window, automatic)
        self.binds.append(bind)
        self.on_receiver(account)
        return bind

    def lose(self, bind: MemoryBind) -> None:
        """The link is gone: nothing that was unanswered will be answered."""
        self.binds.remove(bind)
        bind.answer(None)

    def at_end_of_turn(self, call: Callable[[], None]) -> None:
        self._later(call)

    def receivers(self, account: str) -> int:
        return sum(bind.room for bind in self.binds if bind.account == account)

    def receiving(self, account: str) -> bool:
        return any(bind.account == account for bind in self.binds)

    def deliver(self, account: str, items: Iterator[tuple[Receipt | Mo, Done]]) -> int:
        written = 0
        while bind := next((bind for bind in self.binds if bind.account == account and bind.room > 0), None):
            pair = next(items, None)
            if pair is None:
                break
            bind.got.append(pair[0])
            bind.unanswered.append(pair)
            bind.most = max(bind.most, len(bind.unanswered))
            written += 1
            if bind.automatic:
                self._later(lambda bind=bind: bind.answer(0, 1) if bind in self.binds else None)
        return written
