"""Wrong tokens of the admin part, by address. Past a few a minute they are told to the log no more.

The right token is let in all the same, and changes nothing here: several people may share an address, so whoever
guesses must neither lock the others out nor be forgiven for their sake. What keeps a token safe is its length.
"""

from __future__ import annotations

from collections import deque

MOST = 10  # wrong tokens from one address ...
WITHIN_S = 60.0  # ... in this time
MOST_ADDRESSES = 1000


class Guesses:
    """Wrong tokens by address."""

    def __init__(self) -> None:
        self._wrong: dict[str, deque[float]] = {}

    def too_many(self, address: str, now: float) -> bool:
        seen = self._wrong.get(address)
        while seen and seen[0] <= now - WITHIN_S:
            seen.popleft()
        return bool(seen) and len(seen or ()) >= MOST

    def wrong(self, address: str, now: float) -> None:
        seen = self._wrong.pop(address, None) or deque(maxlen=MOST)
        self._wrong[address] = seen  # last in the order of failing
        seen.append(now)
        if len(self._wrong) > MOST_ADDRESSES:
            del self._wrong[next(iter(self._wrong))]
