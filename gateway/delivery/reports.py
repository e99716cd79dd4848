"""From a report to its message: exact id first, then the id's other forms, then a message that was written to the same
number and never answered, or answered without an id; what names nobody yet is parked, for a report may overtake the
answer that names it. The number tells which of several messages is meant that one id may stand for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import msgspec
from msgspec.structs import replace
from twisted.logger import Logger

from gateway.delivery.deliver import Delivery
from gateway.messages.message import Attempted, Message
from gateway.messages.outcome import Report, Status
from gateway.metrics import Metrics
from gateway.store import keys, records
from gateway.store.keys import DAY_S
from gateway.store.records import octets
from gateway.store.valkey import Keep, Store, StoreAway

ANYWAY = 9  # place of `anyway` in what find.lua is asked
HELD, OWN_ID = 3, 4  # how find.lua found a message: it was held for such a report; by the id that we gave it
SAME_NUMBER_DIGITS = 8  # last digits that source and destination must share when an id is matched by another form
STRANGERS, STRANGERS_OF_A_NUMBER = 10_000, 10  # numbers, and reports of each, that are looked at once more
AGAIN_S = 3.0  # until they are looked at once more where other processes have binds of the channel, too
ANSWERED_S = 5.0  # by then a send is answered: a status of WhatsApp often overtakes the answer that names its message
log = Logger("reports")
_decode_report = msgspec.msgpack.Decoder(Report).decode


Case = tuple[Report, Callable[[], None]]  # a report, and what to call once nothing of it can be lost any more


class Reports:
    """Matches reports, a read's worth in one call."""

    def __init__(
        self, store: Store, delivery: Delivery, metrics: Metrics, id_forms: Callable[[str], tuple[str, ...]],
        later: Callable[[Callable[[], None]], Any], normalize: Callable[[str], str | None],
        call_later: Callable[[float, Callable[[], object]], Any],
    ) -> None:  # fmt: skip
        """id_forms: the other spellings an operator may give an id (decimal, hexadecimal, padded ...). later: the
        reactor's next turn. normalize: a number in any form -> msisdn, None when it cannot be read. call_later(seconds,
        f): run f then."""
        self._store, self._delivery, self._metrics, self._id_forms = store, delivery, metrics, id_forms
        self._later, self._normalize, self._call_later = later, normalize, call_later
        self._patient: dict[str, list[Case]] = {}  # channel -> reports whose message has just been settled
        self.shared = False  # are there other processes on the store?
        self._later_looks = 0  # reports that wait for what these may know
        self.report_parts: Callable[[Message, Report, Callable[[], None]], None] = delivery.report
        self._known_by = known_by = delivery.known_by
        known_by.early_report, known_by.look_again = self.unpark, self.look_again
        known_by.look_for_stray = self.look_for_stray

    def reported(self, channel: str, reports: Sequence[Report], done: Callable[[bool], None]) -> None:
        """See ports.Results: done(True) once all of them are kept."""
        if not self._store.writable:
            done(False)
            return
        left = len(reports)
        if not left:
            done(True)
            return

        def kept() -> None:
            nonlocal left
            left -= 1
            if left == 0:
                done(True)

        settling, recent = self._known_by.settling, self._known_by.recent
        report_of = self._delivery.reports_of(channel)
        cases = []
        for report in reports:
            message = recent.pop((channel, report.remote_id), None)
            if message is not None and (message.msisdn == report.dest or _same_number(message, report)):
                report_of(message, report, kept)
                continue
            waiting = settling.get(report.dest) if settling else None
            if waiting is None:
                cases.append((report, kept))
            else:  # the answer that names its message is on its way into the store: a moment's patience
                settling[report.dest] = (*waiting, partial(self._settled, channel, (report, kept)))
        if cases:
            self._look(channel, cases)

    def _settled(self, channel: str, case: Case) -> None:
        if not self._patient:
            self._later(self._look_again)
        self._patient.setdefault(channel, []).append(case)

    def _look_again(self) -> None:
        patient, self._patient = self._patient, {}
        for channel, cases in patient.items():
            self._look(channel, cases)

    def _look(self, channel: str, cases: list[Case]) -> None:
        wanted = [report.remote_id for report, _ in cases]
        found = self._store.call("exact", channel, *self._days(), *wanted)
        found.addCallback(self._exact, channel, cases).addErrback(_not_applied)

    def _days(self) -> tuple[str, str]:
        """Today, and how many days back the ids of channels are known, as the scripts want them."""
        return str(int(self._delivery.clock() // DAY_S)), str(self._known_by.remote_id_days)

    def _exact(self, answers: list[Any], channel: str, cases: list[Case]) -> None:
        missing: list[Case] = []
        items = []
        operator = self._delivery.channels.get(channel)
        numbered = operator is not None and operator.kind == "smsc"
        for case, answer in zip(cases, answers, strict=True):
            message = records.unpack(answer) if answer else None
            # One operator's "1001" may be 0x1001 of an answer, or a thousand and one of another: the number tells. Of
            # two messages that it gave one id, the one that has not ended is meant.
            if message is not None and numbered and not _same_number(message, case[0]):
                message = None
            ended = message is not None and numbered and message.final and message.success != "sent"
            if message is not None and not ended:
                self._apply(message, *case)
            else:
                missing.append(case)
                items.append(self._second_look(channel, case[0], ended))
        if missing:
            found = self._store.call("find", msgspec.msgpack.encode(items), channel, *self._days())
            found.addCallback(self._found_or_parked, channel, missing, items).addErrback(_not_applied)

    def _second_look(self, channel: str, report: Report, ended: bool) -> tuple[Any, ...]:
        """One item for find.lua. ended: a message to the number has this very id, and has ended."""
        operator = self._delivery.channels.get(channel)
        smsc = operator is not None and operator.kind == "smsc"
        busy: Callable[[str], bool] = getattr(operator, "is_busy", lambda _: False)
        forms = [report.remote_id, *report.other_ids]
        final = smsc and report.status in (Status.DELIVERED, Status.FAILED)
        numbers = self._numbers(report)
        answered = not any(map(busy, numbers))  # else its message is just being answered; the exact id comes
        settles = final and answered
        if settles and not ended:
            for one in list(forms):
                forms += [form for form in self._id_forms(one) if form not in forms]
        return (
            [form for form in forms if form],
            report.dest[-SAME_NUMBER_DIGITS:] if smsc else "",
            [keys.held(channel, report.source, number) for number in numbers] if settles and not ended else [],
            keys.parked(channel, report.remote_id) if report.remote_id else "",
            [keys.stray(channel, report.source, number) for number in numbers] if final else [],
            report.remote_id,
            octets(msgspec.msgpack.encode(report)),
            keys.PARKED_S,
            keys.message(report.message_id) if report.message_id else "",
            int(answered),
            numbers if settles else [],
            int(self._is_looked_at_later(report)),
        )

    def _is_looked_at_later(self, report: Report) -> bool:
        """Where other processes have binds of the channel, one of them may be waiting for the answer that names the
        message of a report that names nobody here."""
        if not self.shared or report.parked or self._later_looks >= STRANGERS:
            return False
        return bool(report.remote_id and report.dest)

    def _numbers(self, report: Report) -> tuple[str, ...]:
        """The message's number as it was sent, and as the operator's way of writing it may be read: in national form,
        say, or without the ninth digit."""
        msisdn = self._normalize(report.dest)
        return (report.dest,) if msisdn is None or msisdn == report.dest else (report.dest, msisdn)

    def _found_or_parked(
        self, answers: list[Any], channel: str, cases: list[Case], items: list[tuple[Any, ...]]
    ) -> None:
        by_whatsapp = (known := self._delivery.channels.get(channel)) is not None and known.kind == "whatsapp"
        unknown, again, early = 0, [], []
        for (report, kept), answer, item in zip(cases, answers, items, strict=True):
            message = records.unpack(answer[0]) if answer else None
            if message is not None and answer[1] == OWN_ID and channel not in [a.channel for a in message.attempts]:
                message = None  # it names a message that this channel never had
            if message is not None:
                named = answer[1] == HELD and bool(report.remote_id)
                self._apply(message, replace(report, parked=True) if named else report, kept)
            else:
                later = self._is_looked_at_later(report)
                if not report.parked and (by_whatsapp or (later and item[ANYWAY])):
                    early.append(keys.parked(channel, report.remote_id))
                elif not report.parked:
                    unknown += item[ANYWAY]  # of what is just being answered it may be early
                kept()
                if report.remote_id and report.dest:
                    self._note_stranger(channel, report)
                    again += [report.remote_id] if later else []
        if unknown:
            self._metrics.unknown_receipts(channel, unknown)
        if early:
            self._call_later(ANSWERED_S, partial(self._count_strangers, channel, early))
        if again:
            self._later_looks += len(again)
            self._call_later(AGAIN_S, partial(self._look_later, channel, again))

    def _count_strangers(self, channel: str, parked: Sequence[str]) -> None:
        """What is parked by now names no message of ours."""
        found = self._store.command("EXISTS", *parked)
        found.addCallbacks(lambda n: self._metrics.unknown_receipts(channel, n) if n else None, lambda _: None)

    def _look_later(self, channel: str, ids: Sequence[str]) -> None:
        """The answers that name their messages may have been on their way into the store from other processes."""
        self._later_looks -= len(ids)
        self.look_again(channel, ids)

    def _apply(self, message: Message, report: Report, kept: Callable[[], None]) -> None:
        if message.released:
            self.report_parts(message, report, kept)
        else:
            self._delivery.report(message, report, kept)

    async def answered(self, channel: str, ids: Sequence[str]) -> list[str] | None:
        """Of which of a channel's ids a report has come, to whichever process; None while the store is away."""
        try:
            found = await self._store.call("exact", channel, *self._days(), *ids, keep=Keep.NO)
        except StoreAway:
            return None
        return [one for one, record in zip(ids, found, strict=True) if record and _has_report(record, channel, one)]

    # -- parked reports

    def _note_stranger(self, channel: str, report: Report) -> None:
        """The answer that names its message may come yet, and give the id another form."""
        strangers = self._known_by.strangers
        for number in self._numbers(report):
            ids = strangers.setdefault((channel, number), [])
            ids.append(report.remote_id)
            if len(ids) > STRANGERS_OF_A_NUMBER:
                del ids[0]
        while len(strangers) > STRANGERS:
            del strangers[next(iter(strangers))]

    def look_again(self, channel: str, ids: Sequence[str]) -> None:
        """A message to the number of these reports has its id now, or is known to have none: is it one of theirs?"""
        for remote_id in ids:
            parked = self._store.command("GET", keys.parked(channel, remote_id), keep=Keep.ALWAYS)
            parked.addCallbacks(lambda packed: self.unpark(packed) if packed else None, lambda _: None)

    def unpark(self, packed: bytes) -> None:
        """A parked report whose message is known by now."""
        report = _parked(packed)
        self.reported(report.channel, [report], lambda _: None)

    async def recover(self) -> None:
        """At the start: parked reports whose message is known by now, or known never to be answered, which the process
        before has not applied any more."""
        cursor = b"0" if await self._store.command("EXISTS", "parked", keep=Keep.OVER_LINKS) else b""
        while cursor:
            scan = ("SCAN", cursor, "MATCH", keys.parked("*", "*"), "COUNT", "1000")
            cursor, names = await self._store.command(*scan, keep=Keep.OVER_LINKS)
            parked = await self._store.command("MGET", *names, keep=Keep.OVER_LINKS) if names else []
            of_channels = defaultdict[str, list[Report]](list)
            for packed in filter(None, parked):
                report = _parked(packed)
                of_channels[report.channel].append(report)
            for channel, reports in of_channels.items():
                self.reported(channel, reports, lambda _: None)
            cursor = cursor if cursor != b"0" else b""

    def look_for_stray(self, message: Message, channel: str, turn: Any) -> None:
        """A message was written and never answered, or answered without an id: perhaps its report came before we knew
        that."""
        key = keys.stray(channel, self._known_by.source_at(channel, message), message.msisdn)
        turn.then(lambda _: self._look_at_strays(key, channel))

    def _look_at_strays(self, key: str, channel: str) -> None:
        strays = self._store.command("LRANGE", key, "0", "-1", keep=Keep.ALWAYS)
        strays.addCallbacks(lambda ids: self.look_again(channel, [one.decode() for one in ids]), lambda _: None)


def _parked(packed: bytes) -> Report:
    return replace(_decode_report(packed), parked=True)


def _has_report(record: bytes, channel: str, remote_id: str) -> bool:
    attempts = records.unpack(record).attempts
    named = [one for one in attempts if one.channel == channel and one.remote_id == remote_id]
    return any(one.acked or one.state is Attempted.FAILED for one in named)


def _same_number(message: Message, report: Report) -> bool:
    """Is the report about this message's number, as far as it names one?"""
    return message.msisdn[-SAME_NUMBER_DIGITS:] == report.dest[-SAME_NUMBER_DIGITS:] or not report.dest


def _not_applied(failure: Any) -> None:
    """Nothing was acknowledged: whoever sent the reports will send them again."""
    log.failure("reports were not applied", failure=failure)
