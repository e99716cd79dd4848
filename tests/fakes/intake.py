"""Intake as the SMPP server sees it: keeps what it is given and answers when, and as, the test says."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.messages.message import Message
from gateway.server.ports import MultiAnswer, QueryAnswer, SubmitAnswer


class FakeIntake:
    """`automatic`: submits are answered at once with ids "1", "2" ...; else the test calls `answer`."""

    def __init__(self, automatic: bool = False) -> None:
        self.automatic = automatic
        self.submitted: list[Message] = []
        self.replacing: list[Message] = []  # of those, the ones that may take another's place
        self.together: list[tuple[list[Message], MultiAnswer]] = []
        self.waiting: list[SubmitAnswer] = []
        self.asked: list[tuple[object, ...]] = []
        self.query_answer = QueryAnswer(0, "7", "", 1, 0)
        self.status = 0
        self.broken = False

    def submit(self, message: Message, answer: SubmitAnswer) -> None:
        if self.broken:
            raise RuntimeError("broken on purpose")
        self.submitted.append(message)
        if self.automatic:
            answer(0, str(len(self.submitted)))
        else:
            self.waiting.append(answer)

    async def submit_instead(self, message: Message, answer: SubmitAnswer) -> None:
        self.replacing.append(message)
        self.submit(message, answer)

    def submit_multi(self, messages: Sequence[Message], answer: MultiAnswer) -> None:
        self.together.append((list(messages), answer))

    def answer(self, command_status: int = 0, count: int | None = None) -> None:
        """Answer the oldest submits that wait, all by default; ids follow the order of arrival."""
        count = len(self.waiting) if count is None else count
        first = len(self.submitted) - len(self.waiting) + 1
        now, self.waiting = self.waiting[:count], self.waiting[count:]
        for number, answer in enumerate(now, first):
            answer(command_status, "" if command_status else str(number))

    async def query(self, account: str, message_id: str, source: str) -> QueryAnswer:
        self._asked("query", account, message_id, source)
        return self.query_answer

    async def cancel(self, account: str, message_id: str, source: str, dest: str, service_type: str) -> int:
        self._asked("cancel", account, message_id, source, dest, service_type)
        return self.status

    async def replace(
        self,
        account: str,
        message_id: str,
        source: str,
        schedule_at: float | None,
        expires_at: float | None,
        registered_delivery: int,
        user_data: bytes,
    ) -> int:
        self._asked("replace", account, message_id, source, schedule_at, expires_at, registered_delivery, user_data)
        return self.status

    def _asked(self, *what: object) -> None:
        self.asked.append(what)
        if self.broken:
            raise RuntimeError("broken on purpose")
