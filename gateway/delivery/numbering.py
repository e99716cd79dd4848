"""Short message ids, for accounts whose clients cannot keep ours: numbers, taken from the store in blocks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.logger import Logger

from gateway.messages.ids import as_decimal, as_hex
from gateway.store import keys
from gateway.store.valkey import Keep, Store

BLOCK = 10_000  # numbers taken at a time; what is left of them when the process ends is never used
log = Logger("numbering")


class Numbering:
    """Gives each number once, over all nodes and restarts. `forms` says which accounts have such ids, and of what form:
    "hex" or "decimal"."""

    def __init__(self, store: Store, block: int = BLOCK) -> None:
        self.forms: Mapping[str, str] = {}
        self._store, self._block = store, block
        self._next = self._end = 0  # what is left of the block in use: [next, end)
        self._spare: tuple[int, int] | None = None
        self._asking = False
        self._first = True

    def use(self, forms: Mapping[str, str]) -> None:
        """These accounts have short ids from now on; until the first block is here, `next` has none for them."""
        self.forms = forms
        self._ask_if_short()

    def next(self, account: str) -> str:
        """An id for a message of one of the accounts in `forms`; "" when none is at hand, because the store is slow."""
        form = as_hex if self.forms[account] == "hex" else as_decimal
        while self._next < self._end or self._take_spare():
            number = self._next
            self._next += 1
            if message_id := form(number):
                self._ask_if_short()
                return message_id
        self._ask_if_short()
        return ""

    def _take_spare(self) -> bool:
        if self._spare is None:
            return False
        (self._next, self._end), self._spare = self._spare, None
        return True

    def _ask_if_short(self) -> None:
        if not self.forms or self._asking or self._spare is not None or self._end - self._next > self._block // 2:
            return
        self._asking = True
        # With fsync: everysec a machine that dies forgets its last second, and with it perhaps a block whose numbers
        # were given out: the first block of a process is taken behind one that is left out.
        count = self._block * (2 if self._first else 1)
        asked = self._store.command("INCRBY", keys.NUMBERS, str(count), keep=Keep.ALWAYS)
        asked.addCallbacks(self._have, self._have_not)

    def _have(self, last: Any) -> None:
        self._asking = self._first = False
        self._spare = (int(last) - self._block + 1, int(last) + 1)

    def _have_not(self, failure: Any) -> None:
        self._asking = False
        log.warn("no numbers for short ids: {why}", why=failure.getErrorMessage())
