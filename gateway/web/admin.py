"""What the admin part shows and does, in terms of the node."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from twisted.internet import defer

from bridge.drafts import draft_of
from config.schema import AccountSettings
from config.units import duration
from gateway.delivery.clockwork import Overview
from gateway.delivery.intake import Intake
from gateway.delivery.operations import Operations
from gateway.delivery.ports import Channel, senders_of
from gateway.delivery.resend import Resending
from gateway.messages.address import ninth_digit_forms, parse_destination
from gateway.messages.ids import kept_hex, told
from gateway.messages.message import Message, Priority
from gateway.smpp import charset, segments
from gateway.store import keys, records
from gateway.store.lookups import story_of, writers_of
from gateway.store.unmatched import Unmatched
from gateway.store.valkey import Store, StoreAway
from gateway.web.pages import Refusal
from gateway.web.people import PeopleDesk

LONGEST_TEXT = 4096  # characters: what a WhatsApp message takes
_ADDRESS = re.compile(r"[ -~\xa1-\xff]{0,20}")  # what a PDU can carry (SMPP 3.4, 4.4.1)


class NodeAdmin:
    """Implements gateway.web.pages.Admin."""

    def __init__(
        self, *, node: str, store: Store, intake: Intake, operations: Operations, overview: Overview,
        channels: Mapping[str, Channel], accounts: Callable[[], Mapping[str, AccountSettings]],
        binds: Callable[[], Mapping[str, list[dict[str, str]]]], country: Callable[[], str],
        default_validity: Callable[[], float], retention_s: Callable[[], float], clock: Callable[[], float],
        reload: Callable[[], tuple[list[str], list[str]]], config: Callable[[], tuple[str, list[str]]],
        diff: Callable[[], tuple[list[dict[str, str]], list[str]]],
        resending: Resending, shapes: Unmatched, people: PeopleDesk, writers_days: int = keys.WRITERS_DAYS,
        dry_run: bool = False,
    ) -> None:  # fmt: skip
        """config(): the configuration in use, without its secrets; see config.export. diff(): what a reload would
        change, or the errors of the file; see config.compare."""
        self._node, self._store, self._intake, self._operations = node, store, intake, operations
        self._overview, self._channels, self._accounts, self._binds = overview, channels, accounts, binds
        self._country, self._default_validity, self.reload = country, default_validity, reload
        self.config, self.diff, self._resending = config, diff, resending
        self._clock, self._shapes, self._retention_s = clock, shapes, retention_s
        self._dry_run, self._people, self._writers_days = dry_run, people, writers_days
        self.erase = people.erase

    def status(self) -> dict[str, Any]:
        binds, seen, now = self._binds(), self._overview, self._clock()
        return {
            "node": self._node,
            "dry_run": self._dry_run,
            "accounts": [
                {
                    "system_id": name,
                    "binds": binds.get(name, []),
                    "receipts_pending": seen.pending.get(name, 0),
                }
                for name in self._accounts()
            ],
            "channels": [
                {
                    "name": name,
                    "kind": channel.kind,
                    "up": bool(channel.up),
                    "binds": channel.binds,
                    "queue": sum(seen.depth.get(name, ())),
                    "oldest_seconds": round(max(0.0, now - at), 1) if (at := seen.oldest_at.get(name, 0.0)) else 0,
                    "inflight": channel.inflight,
                    "quarantined": bool(getattr(channel, "quarantined", False)),
                    **({"senders": senders_of(channel)} if channel.kind == "whatsapp" else {}),
                }
                for name, channel in self._channels.items()
            ],
        }

    async def unmatched(self, limit: int) -> list[dict[str, Any]]:
        """Shapes of the texts that no template stands for, commonest first, each with what would take them."""
        self._may_ask()
        names = [name for name, channel in self._channels.items() if channel.kind == "whatsapp"]
        try:
            found = await self._shapes.commonest(names, limit)
        except StoreAway as error:
            raise Refusal(503, f"the store is away: {error}") from None
        return [_drafted(channel, shape, count) for channel, shape, count in found]

    # -- messages

    async def message(self, message_id: str) -> dict[str, Any] | None:
        """One message by its id, or by what a client makes of a hexadecimal one: small letters, its decimal value."""
        self._may_ask()
        found = await self._message(message_id)
        return (
            found
            if found is not None or kept_hex(message_id) == message_id
            else await self._message(kept_hex(message_id))
        )

    async def _message(self, message_id: str) -> dict[str, Any] | None:
        try:
            record, told = await story_of(self._store, message_id, self._clock(), self._retention_s())
        except StoreAway as error:
            raise Refusal(503, f"the store is away: {error}") from None
        if not record:
            return None
        message = records.unpack(record)
        if message.parts:
            return None
        events = [records.Event(*step) for step in message.trace] + told
        joined = await self._operations.read(message.joined_in) if message.joined_in and not message.final else None
        if joined is None or joined.final:
            return describe(message, events, message)
        return describe(message, events + [records.Event(*step) for step in joined.trace], joined)

    def _may_ask(self) -> None:
        """Of a store that answers nothing; who asked would wait for as long as it does."""
        if not self._store.readable:
            raise Refusal(503, f"the store is away: {self._store.why_not_writable}")

    async def messages(self, number: str, limit: int) -> list[dict[str, Any]]:
        self._may_ask()
        msisdn = parse_destination(number, self._country()) or "".join(c for c in number if c.isdigit())
        ids: dict[str, None] = {}
        try:
            for form in {msisdn, *ninth_digit_forms(msisdn)}:
                for writer in await writers_of(self._store, form, self._clock(), limit, days=self._writers_days):
                    ids[writer.id] = None
        except StoreAway as error:
            raise Refusal(503, f"the store is away: {error}") from None
        found = [await self.message(message_id) for message_id in ids]
        known = sorted((m for m in found if m), key=lambda m: (m["events"][0]["at"] if m["events"] else "", m["id"]))
        return known[::-1][:limit]

    async def export(self, order: Mapping[str, Any]) -> dict[str, Any]:
        """Everything that is known of a number."""
        self._may_ask()
        return await self._people.export(order, self.message)

    async def submit(self, order: Mapping[str, Any]) -> str:
        """One message as if the account had submitted it, without a receipt. Refusal says what is wrong."""
        message = self._message_of(order)
        answered: defer.Deferred[tuple[int, str]] = defer.Deferred()
        self._intake.submit(
            message, lambda status, message_id: answered.callback((status, message_id)), self._priority(order)
        )
        status, message_id = await answered
        if status == 0:
            return message_id
        if status == 0x0B:
            raise Refusal(422, "to: no route takes this number")
        raise Refusal(503, "the store takes no messages now; try again later")

    async def resend(self, order: Mapping[str, Any]) -> int:
        """Receipts of an account once more; Refusal says what is wrong. How many were queued."""
        account, since = order.get("account"), order.get("since")
        if account not in self._accounts():
            raise Refusal(422, "account: not one of smpp_server.accounts")
        if isinstance(since, bool) or not isinstance(since, int | float):
            raise Refusal(422, "since: give a moment in seconds since 1970")
        try:
            queued = await self._resending.again(str(account), float(since))
        except StoreAway as error:
            raise Refusal(503, f"the store is away: {error}") from None
        if queued is None:
            raise Refusal(409, "receipts of this account are being queued already; wait for that to end")
        return queued

    def _message_of(self, order: Mapping[str, Any]) -> Message:
        unknown = set(order) - {"account", "to", "text", "from", "priority", "validity"}
        if unknown:
            raise Refusal(422, f"unknown: {', '.join(sorted(map(str, unknown)))[:100]}")
        for key in ("account", "to", "text"):
            if not isinstance(order.get(key), str) or not order[key]:
                raise Refusal(422, f"{key}: a text is needed")
        account = self._accounts().get(order["account"])
        if account is None:
            raise Refusal(422, "account: not one of smpp_server.accounts")
        msisdn = parse_destination(order["to"], self._country())
        if msisdn is None:
            raise Refusal(422, "to: not a number that can be read")
        source = order.get("from") or account.default_source or ""
        if not isinstance(source, str) or (account.sources and source not in account.sources):
            raise Refusal(422, "from: not one of the account's sources")
        if not _ADDRESS.fullmatch(source):
            raise Refusal(422, "from: 20 characters at most, of those that an address may have")
        if len(order["text"]) > LONGEST_TEXT:
            raise Refusal(422, f"text: {LONGEST_TEXT} characters at most")
        written = order["to"] if _ADDRESS.fullmatch(order["to"]) else msisdn  # people's replies come from it
        now = self._clock()
        data_coding, user_data = charset.choose(order["text"])
        message = Message(
            id="", account=account.system_id, source=source, source_ton=0 if source.isdigit() else 5,
            source_npi=1 if source.isdigit() else 0, dest=written, dest_ton=1, dest_npi=1, msisdn=msisdn,
            service_type="", esm_class=0, protocol_id=0, priority_flag=0, registered_delivery=0,
            data_coding=data_coding, alphabet="gsm7", user_data=user_data, in_payload=len(user_data) > 140, tlvs=(),
            part=None, segments=segments.count_segments(user_data, data_coding), schedule_at=0.0,
            expires_at=now + self._validity(order),
        )  # fmt: skip
        return message

    @staticmethod
    def _priority(order: Mapping[str, Any]) -> int | None:
        """The queue that was asked for; None leaves it to the route."""
        given = order.get("priority")
        if given is None:
            return None
        if given not in ("high", "normal", "low"):
            raise Refusal(422, "priority: high, normal or low")
        return Priority[given.upper()]

    def _validity(self, order: Mapping[str, Any]) -> float:
        longest = self._default_validity()
        if order.get("validity") is None:
            return longest
        try:
            given = duration(str(order["validity"]))
        except ValueError:
            given = 0.0
        if not given:
            raise Refusal(422, "validity: a duration such as 30m")
        return min(given, longest)


def _drafted(channel: str, shape: str, count: int) -> dict[str, Any]:
    draft = draft_of(shape)
    template = {"name": draft.name, "language": "pt_BR", "category": draft.category.upper(), "body": draft.body,
                "samples": list(draft.samples)}  # fmt: skip
    return {"channel": channel, "count": count, "shape": shape, "template": template, "rule": draft.rule(),
            "doubts": list(draft.doubts)}  # fmt: skip


def describe(message: Message, events: list[records.Event], under_way: Message) -> dict[str, Any]:
    """A message as the admin part shows it; never the text. under_way: itself, or the joined text it is part of."""
    channel = under_way.decided_by or (under_way.attempts[-1].channel if under_way.attempts else None)
    return {
        "id": told(message.id),
        "account": message.account,
        "from": message.source,
        "to": message.dest,
        "state": under_way.state.name.lower(),
        "channel": channel,
        "route": message.route,
        "segments": message.segments,
        "price": message.cost,
        "events": [_event(event) for event in sorted(events, key=lambda event: event.at)],
    }


def _event(event: records.Event) -> dict[str, str]:
    at = datetime.fromtimestamp(event.at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    shown = {"at": at, "event": event.event}
    if event.channel:
        shown["channel"] = event.channel
    if event.detail:
        shown["detail"] = event.detail
    return shown
