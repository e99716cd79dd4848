"""The messages of one submit_multi on their way through the store."""

from __future__ import annotations

from collections.abc import Callable, Sequence

AnswerAll = Callable[[str, Sequence[int]], None]
"""answer(message_id, statuses): the id they share, "" when none was kept, and one command_status for each."""


class Together:
    """Answers once the last of them has its answer."""

    def __init__(self, answer: AnswerAll, message_id: str, statuses: list[int], waiting: int) -> None:
        """statuses: what is to be told of those that are not waited for."""
        self._answer, self._message_id, self._statuses, self._waiting = answer, message_id, statuses, waiting
        self._ids: list[str] = []

    def answer(self, index: int, command_status: int, message_id: str) -> None:
        """One of them. message_id: without its number; an older message's where it only repeats that one's text."""
        self._statuses[index] = command_status
        if command_status == 0:
            self._ids.append(message_id)
        self._waiting -= 1
        if self._waiting == 0:
            new = self._message_id in self._ids
            self._answer(self._message_id if new else next(iter(self._ids), ""), self._statuses)
