"""From a report to its message: exact id first, then the id's other forms, then a message that was written to the same
number and never answered; what names nobody yet is parked, for a report may overtake the answer that names it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from twisted.logger import Logger

from gateway.delivery.deliver import Delivery
from gateway.messages.message import Attempted, Message
from gateway.messages.outcome import Report, Status
from gateway.metrics import Metrics
from gateway.store import keys, records
from gateway.store.records import octets
from gateway.store.valkey import Store

SAME_NUMBER_DIGITS = 8  # last digits that source and destination must share when an id is matched by another form
log = Logger("reports")
_decode_report = msgspec.msgpack.Decoder(Report).decode


class Reports:
    """Matches reports, a read's worth in one call."""

    def __init__(
        self, store: Store, delivery: Delivery, metrics: Metrics, id_forms: Callable[[str], tuple[str, ...]]
    ) -> None:
        """id_forms: the other spellings an operator may give an id (decimal, hexadecimal, padded ...)."""
        self._store, self._delivery, self._metrics, self._id_forms = store, delivery, metrics, id_forms
        self.report_parts: Callable[[Message, Report, Callable[[], None]], None] = delivery.report
        delivery.early_report = self.unpark
        delivery.held = self.look_for_stray  # type: ignore[method-assign]

    def reported(self, channel: str, reports: Sequence[Report], done: Callable[[bool], None]) -> None:
        """See ports.Results: done(True) once all of them are kept."""
        if not self._store.writable:
            done(False)
            return
        left = [len(reports)]

        def kept() -> None:
            left[0] -= 1
            if left[0] == 0:
                done(True)

        if not reports:
            done(True)
            return
        self._store.call("exact", *[keys.remote(channel, report.remote_id) for report in reports]).addCallbacks(
            self._exact, self._lost, callbackArgs=(channel, list(reports), kept), errbackArgs=(done,)
        ).addErrback(lambda failure: log.failure("reports were found but not applied", failure=failure))

    def _find(self, items: list[Any]) -> Any:
        return self._store.call("find", msgspec.msgpack.encode(items))

    def _lost(self, failure: Any, done: Callable[[bool], None]) -> None:
        log.error("reports could not be looked up: {why}", why=failure.getErrorMessage()[:120])
        done(False)

    def _exact(self, answers: list[Any], channel: str, reports: list[Report], kept: Callable[[], None]) -> None:
        missing = []
        for report, answer in zip(reports, answers, strict=True):
            if answer:
                self._apply(records.unpack(answer), report, kept)
            else:
                missing.append(report)
        if missing:
            self._second_look(channel, missing, kept)

    def _second_look(self, channel: str, reports: list[Report], kept: Callable[[], None]) -> None:
        operator = self._delivery.channels.get(channel)
        smsc = operator is not None and operator.kind == "smsc"
        busy: Callable[[str], bool] = getattr(operator, "is_busy", lambda _: False)
        items = []
        for report in reports:
            forms = [report.remote_id, *report.other_ids]
            if smsc:
                for one in list(forms):
                    forms += [form for form in self._id_forms(one) if form not in forms]
            settles = smsc and report.status in (Status.DELIVERED, Status.FAILED) and not busy(report.dest)
            items.append(
                (
                    [keys.remote(channel, form) for form in forms if form],
                    report.dest[-SAME_NUMBER_DIGITS:] if smsc else "",
                    keys.held(channel, report.source, report.dest) if settles else "",
                    keys.parked(channel, report.remote_id) if report.remote_id else "",
                    keys.stray(channel, report.source, report.dest) if settles else "",
                    report.remote_id,
                    octets(msgspec.msgpack.encode(report)),
                    keys.PARKED_S,
                )
            )
        self._find(items).addCallback(self._found_or_parked, channel, reports, kept).addErrback(
            lambda failure: log.failure("reports could not be looked up", failure=failure)
        )

    def _found_or_parked(
        self, answers: list[Any], channel: str, reports: list[Report], kept: Callable[[], None]
    ) -> None:
        unknown = 0
        for report, answer in zip(reports, answers, strict=True):
            if answer:
                self._apply(records.unpack(answer[0]), report, kept)
            else:
                unknown += 1
                kept()
        if unknown:
            self._metrics.unknown_receipts(channel, unknown)

    def _apply(self, message: Message, report: Report, kept: Callable[[], None]) -> None:
        if message.released:
            self.report_parts(message, report, kept)
        else:
            self._delivery.report(message, report, kept)

    # -- parked reports

    def unpark(self, packed: bytes) -> None:
        """A parked report whose message is known by now."""
        report = _decode_report(packed)
        self.reported(report.channel, [report], lambda _: None)

    def look_for_stray(self, message: Message, channel: str, turn: Any) -> None:
        """A message was written and never answered: perhaps its report came before we knew that."""
        key = keys.stray(channel, self._delivery.source_at(channel, message), message.msisdn)

        def look(_: Any) -> None:
            self._store.command("LPOP", key).addCallbacks(self._stray, lambda _: None, callbackArgs=(channel,))

        if message.attempts[-1].state is Attempted.UNCERTAIN:
            turn.kept.append(look)

    def _stray(self, remote_id: bytes | None, channel: str) -> None:
        if remote_id:
            self._store.command("GETDEL", keys.parked(channel, remote_id.decode())).addCallbacks(
                lambda packed: packed and self.unpark(packed), lambda _: None
            )
