"""What an ESME asks of us: each request to intake, and intake's answer back to the session."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol as Shape

from msgspec import Struct

from config.schema import AccountSettings, SmppServerSettings
from gateway.messages.message import Message
from gateway.metrics import Metrics
from gateway.server import dialect, translate
from gateway.server.accounts import Accounts
from gateway.server.alphabets import Alphabets
from gateway.server.answers import STATUS, Refusal, status_name
from gateway.server.ports import Intake, QueryAnswer, Spawn
from gateway.smpp.constants import CommandStatus
from gateway.smpp.pdu import (
    RESPONSES,
    CancelSm,
    CancelSmResp,
    DataSm,
    DataSmResp,
    Pdu,
    QuerySm,
    QuerySmResp,
    ReplaceSm,
    ReplaceSmResp,
    SubmitMulti,
    SubmitMultiResp,
    SubmitSm,
    SubmitSmResp,
    UnsuccessSme,
)

_OUR_FAULT = STATUS[Refusal.OUR_FAULT]
_SUBMITS = (SubmitSm, DataSm)
_QUEUE_FULL = int(CommandStatus.ESME_RMSGQFUL)


class Asker(Shape):
    """The session that a request came from."""

    account: str

    def respond(self, response: Pdu, read_at: float | None = None) -> None:
        """Answer. read_at: when a submit was read, for the latency it had."""


class Requests:
    """Serves requests, one at a time, in the order they were read. One instance for all sessions."""

    def __init__(
        self,
        settings: SmppServerSettings,
        country: str,
        *,
        accounts: Accounts,
        intake: Intake,
        metrics: Metrics,
        spawn: Spawn,
    ) -> None:
        self.settings, self.country = settings, country
        self._accounts, self._intake, self._metrics, self._spawn = accounts, intake, metrics, spawn
        self._alphabets = Alphabets()

    def serve(self, asker: Asker, pdu: Pdu, now: float, read_at: float) -> float:
        """Take one request. 0.0: taken, its answer comes through `asker.respond`, now or later.

        More than 0.0: the account is over its rate and wants its submits delayed; the same request again after so
        many seconds, and none of this session before it.
        """
        account = self._accounts.get(asker.account)
        if account is None:
            self.refuse(asker, pdu, Refusal.CLOSING)
        elif isinstance(pdu, _SUBMITS):
            return self._submit(asker, account, pdu, now, read_at)
        elif isinstance(pdu, SubmitMulti):
            return self._submit_multi(asker, account, pdu, now, read_at)
        elif isinstance(pdu, QuerySm):
            self._spawn(self._query(asker, pdu, self._kept_id(account, pdu.message_id)))
        elif isinstance(pdu, CancelSm):
            self._spawn(self._cancel(asker, pdu, self._kept_id(account, pdu.message_id)))
        elif isinstance(pdu, ReplaceSm):
            self._replace(asker, account, pdu, now)
        return 0.0

    def _kept_id(self, account: AccountSettings, message_id: str) -> str:
        spoken = self._accounts.dialect(account.system_id)
        return message_id if spoken is None else dialect.kept_id(message_id, spoken)

    def refuse(self, asker: Asker, pdu: Pdu, refusal: Refusal) -> None:
        """Answer a request with an error and count it."""
        response = RESPONSES.get(type(pdu))
        if response is None:
            return
        status = STATUS[refusal]
        self._metrics.rejected(asker.account, status_name(status))
        asker.respond(response(sequence_number=pdu.sequence_number, command_status=status))

    def _submit(
        self,
        asker: Asker,
        account: AccountSettings,
        pdu: SubmitSm | DataSm,
        now: float,
        read_at: float,
    ) -> float:
        if account.quirks and (spoken := self._accounts.dialect(account.system_id)):
            pdu = dialect.read(pdu, spoken)
        validity = self.settings.default_validity
        message: Message | Refusal
        response: type[SubmitSmResp] | type[DataSmResp]
        replaces = 0
        if isinstance(pdu, SubmitSm):
            response, replaces = SubmitSmResp, pdu.replace_if_present_flag
            message = translate.submit_sm(pdu, account, now=now, country=self.country, default_validity=validity)
        else:
            response = DataSmResp
            message = translate.data_sm(pdu, account, now=now, country=self.country, default_validity=validity)
        if not isinstance(message, Message):
            self.refuse(asker, pdu, message)
            return 0.0
        if not message.data_coding and not message.user_data.isascii():
            self._alphabets.look(message)
        wait = self._accounts.wait_for(message, now)
        if wait and account.over_rate == "delay":
            return wait
        if wait:
            self.refuse(asker, pdu, Refusal.OVER_RATE)
            return 0.0
        answer = _Answer(asker, response, pdu.sequence_number, read_at, self._metrics)
        if replaces:
            self._spawn(self._intake.submit_instead(message, answer))
        else:
            self._intake.submit(message, answer)
        return 0.0

    def _submit_multi(
        self, asker: Asker, account: AccountSettings, pdu: SubmitMulti, now: float, read_at: float
    ) -> float:
        if account.quirks and (spoken := self._accounts.dialect(account.system_id)):
            pdu = dialect.read(pdu, spoken)
        read = translate.submit_multi(
            pdu, account, now=now, country=self.country, default_validity=self.settings.default_validity
        )
        if isinstance(read, Refusal):
            self.refuse(asker, pdu, read)
            return 0.0
        messages, refused = read
        for message in messages[:1]:
            self._alphabets.look(message)
        wait = self._accounts.wait_for_all(messages, now)
        if wait and account.over_rate == "delay":
            return wait
        if wait:
            self.refuse(asker, pdu, Refusal.OVER_RATE)
            return 0.0
        answer = _MultiAnswer(asker, pdu.sequence_number, read_at, self._metrics, messages, refused)
        if messages:
            self._intake.submit_multi(messages, answer)
        else:
            answer("", ())
        return 0.0

    async def _query(self, asker: Asker, pdu: QuerySm, message_id: str) -> None:
        answer = QueryAnswer(_OUR_FAULT)
        try:
            answer = await self._intake.query(asker.account, message_id, pdu.source_addr)
        finally:
            self._count(asker, answer.command_status)
            asker.respond(
                QuerySmResp(
                    sequence_number=pdu.sequence_number,
                    command_status=answer.command_status,
                    message_id=translate.printable(
                        pdu.message_id if message_id != pdu.message_id else answer.message_id
                    ),
                    final_date=answer.final_date,
                    message_state=answer.message_state,
                    error_code=answer.error_code,
                )
            )

    async def _cancel(self, asker: Asker, pdu: CancelSm, message_id: str) -> None:
        status = _OUR_FAULT
        try:
            status = await self._intake.cancel(
                asker.account, message_id, pdu.source_addr, pdu.destination_addr, pdu.service_type
            )
        finally:
            self._count(asker, status)
            asker.respond(CancelSmResp(sequence_number=pdu.sequence_number, command_status=status))

    def _replace(self, asker: Asker, account: AccountSettings, pdu: ReplaceSm, now: float) -> None:
        spoken = self._accounts.dialect(account.system_id)
        if spoken is not None:
            pdu = dialect.replacing(pdu, spoken)
        moments = translate.replacement(pdu, now, self.settings.default_validity, account.time_zone)
        if isinstance(moments, Refusal):
            self.refuse(asker, pdu, moments)
        else:
            self._spawn(self._replaced(asker, pdu, *moments))

    async def _replaced(
        self, asker: Asker, pdu: ReplaceSm, schedule_at: float | None, expires_at: float | None
    ) -> None:
        status = _OUR_FAULT
        try:
            status = await self._intake.replace(
                asker.account,
                pdu.message_id,
                pdu.source_addr,
                schedule_at,
                expires_at,
                pdu.registered_delivery,
                pdu.short_message,
            )
        finally:
            self._count(asker, status)
            asker.respond(ReplaceSmResp(sequence_number=pdu.sequence_number, command_status=status))

    def _count(self, asker: Asker, command_status: int) -> None:
        if command_status:
            self._metrics.rejected(asker.account, status_name(command_status))


class _Answer(Struct, frozen=True):
    """Intake's answer to one submit, on its way to the session that asked."""

    asker: Asker
    response: type[SubmitSmResp] | type[DataSmResp]
    sequence_number: int
    read_at: float
    metrics: Metrics

    def __call__(self, command_status: int, message_id: str) -> None:
        asker = self.asker
        if command_status:
            self.metrics.rejected(asker.account, status_name(command_status))
        response = self.response
        asker.respond(response(self.sequence_number, command_status, (), message_id), self.read_at)


class _MultiAnswer:
    """Intake's answer to the messages of a submit_multi; `refused` could not be made messages (SMPP 3.4, 4.5.2)."""

    def __init__(
        self,
        asker: Asker,
        sequence_number: int,
        read_at: float,
        metrics: Metrics,
        messages: Sequence[Message],
        refused: Sequence[UnsuccessSme],
    ) -> None:
        self._asker, self._sequence_number, self._read_at, self._metrics = asker, sequence_number, read_at, metrics
        self._messages, self._refused = messages, refused

    def __call__(self, message_id: str, statuses: Sequence[int]) -> None:
        if _QUEUE_FULL in statuses:
            self._metrics.rejected(self._asker.account, status_name(_QUEUE_FULL))
            self._respond(_QUEUE_FULL, "", ())
            return
        refused = [
            *self._refused,
            *(
                translate.unsuccess(message.dest_ton, message.dest_npi, message.dest, status)
                for message, status in zip(self._messages, statuses, strict=True)
                if status
            ),
        ]
        for one in refused:
            self._metrics.rejected(self._asker.account, status_name(one.error_status_code))
        self._respond(0 if message_id else STATUS[Refusal.NO_DESTINATION_TAKEN], message_id, refused)

    def _respond(self, command_status: int, message_id: str, refused: Sequence[UnsuccessSme]) -> None:
        self._asker.respond(
            SubmitMultiResp(
                sequence_number=self._sequence_number,
                command_status=command_status,
                message_id=message_id,
                unsuccess_smes=tuple(refused),
            ),
            self._read_at,
        )
