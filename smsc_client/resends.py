"""How often a message was sent again for want of an answer, over lost links too."""

from __future__ import annotations

MOST = 2  # of one message: more would only fill a telephone
REMEMBERED = 10_000  # messages; the oldest go first


class Resends:
    """Counts by message id, in memory only."""

    def __init__(self) -> None:
        self._times: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._times)

    def allow(self, message_id: str) -> bool:
        """May it be sent once more? Then that is counted."""
        times = self._times.pop(message_id, 0) + 1
        if times > MOST:
            return False
        self._times[message_id] = times
        if len(self._times) > REMEMBERED:
            del self._times[next(iter(self._times))]
        return True

    def forget(self, message_id: str) -> None:
        """It was answered, or is over here."""
        self._times.pop(message_id, None)
