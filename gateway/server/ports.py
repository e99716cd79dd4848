"""What the SMPP server needs from around it, by shape: the use cases (implemented by delivery) and Twisted."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any
from typing import Protocol as Shape

from gateway.messages.message import Message
from gateway.messages.outcome import QueryAnswer

SubmitAnswer = Callable[[int, str], None]
"""answer(command_status, message_id); called exactly once, at once or later. message_id is "" on a refusal."""

MultiAnswer = Callable[[str, Sequence[int]], None]
"""answer(message_id, statuses); called exactly once. One command_status for each message, in order; message_id is ""
when none is 0."""

Spawn = Callable[[Coroutine[Any, Any, None]], object]
"""Run work that nobody awaits; what escapes from it is logged and counted, and shutdown can wait for it."""


class Call(Shape):
    """A call that a clock will make."""

    def active(self) -> bool: ...
    def cancel(self) -> None: ...
    def reset(self, secondsFromNow: float, /) -> None: ...
    def getTime(self) -> float: ...


class Clock(Shape):
    """The reactor's time, or a test's. `seconds` counts from the epoch."""

    def seconds(self) -> float: ...
    def callLater(self, delay: float, call: Callable[..., Any], /, *args: Any) -> Call: ...


class Transport(Shape):
    """A connection, over TCP, TLS or a local socket."""

    def write(self, data: bytes, /) -> None: ...
    def loseConnection(self) -> None: ...
    def abortConnection(self) -> None: ...
    def pauseProducing(self) -> None: ...
    def resumeProducing(self) -> None: ...
    def registerProducer(self, producer: Any, streaming: bool, /) -> None: ...
    def unregisterProducer(self) -> None: ...


class Intake(Shape):
    """The door to the use cases. Every account name is the system_id of a bound session."""

    def submit(self, message: Message, answer: SubmitAnswer) -> None:
        """Keep a message. `message` is filled down to `expires_at`, with an empty id and a normalised msisdn."""

    def submit_multi(self, messages: Sequence[Message], answer: MultiAnswer) -> None:
        """Keep messages that share one id, all in one step. Statuses are ESME_RMSGQFUL for all of them or for none."""

    async def submit_instead(self, message: Message, answer: SubmitAnswer) -> None:
        """Keep a message in the place of one of the same account, source, destination and service_type, if there is one
        that no channel has yet."""

    async def query(self, account: str, message_id: str, source: str) -> QueryAnswer:
        """The state of one message; id and source must be those of a message of this account. Else ESME_RINVMSGID."""

    async def cancel(self, account: str, message_id: str, source: str, dest: str, service_type: str) -> int:
        """Cancel one message (of a submit_multi all, or those to `dest`), or with an empty id all that wait for this
        source and destination (and service_type, unless that is empty). `dest` is as written, "" when not given. The
        command_status."""

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
        """Put another text and other times into a message that still waits. None: this moment stays as it was.
        The command_status."""
