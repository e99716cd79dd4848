"""Whoever sends wrong tokens has to wait: nobody can try them out by the thousand."""

from __future__ import annotations

from collections import deque

MOST = 10  # wrong tokens from one address ...
WITHIN_S = 60.0  # ... in this time, and it is not listened to until they are older
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

    def right(self, address: str) -> None:
        self._wrong.pop(address, None)
