"""One person for the admin part: what is known of them, and its erasure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from bridge.presence import unpack
from gateway.delivery.erasing import People, UnderWay, Waits
from gateway.messages.message import Message, Mo, Receipt
from gateway.messages.states import STAT
from gateway.smpp import charset, segments
from gateway.store.people import Known, Written
from gateway.store.valkey import StoreAway
from gateway.web.pages import Refusal

Describe = Callable[[str], Awaitable[dict[str, Any] | None]]  # of the message with this id


class PeopleDesk:
    """Takes orders about a number, in any form of it."""

    def __init__(
        self, people: People, normalize: Callable[[str], str | None], text_of: Callable[[Message], str | None]
    ) -> None:
        self._people, self._normalize, self._text_of = people, normalize, text_of

    async def export(self, order: Mapping[str, Any], describe: Describe) -> dict[str, Any]:
        """Everything that is known of a number, texts that are still held included."""
        msisdn = self._number(order, {"number"})
        try:
            found = await self._people.find(msisdn)
        except StoreAway as error:
            raise Refusal(503, f"the store is away: {error}") from None
        return {
            "number": msisdn,
            "forms": list(found.forms),
            "messages": [await self._message(one, describe) for one in found.messages if not one.parts],
            "written_to_by": [_note(one) for one in found.written],
            "whatsapp": [_evidence(one) for one in found.known if not one.identity],
            "identities": [{"channel": o.channel, "identity": o.identity} for o in found.known if o.identity],
            "waiting": [_waiting(one) for one in found.waiting],
            "events": [{**event, "at": moment(event["at"])} for event in found.events],
        }

    async def erase(self, order: Mapping[str, Any]) -> dict[str, Any]:
        """What went, by kind; Refusal while messages to the number are under way."""
        msisdn = self._number(order, {"number", "cancel"})
        cancel = order.get("cancel", False)
        if not isinstance(cancel, bool):
            raise Refusal(422, "cancel: true or false")
        try:
            done = await self._people.erase(msisdn, cancel)
        except StoreAway as error:
            raise Refusal(503, f"not all of it is erased, the store is away: {error}; order it again") from None
        if isinstance(done, UnderWay):
            raise Refusal(409, under_way(done, cancel))
        return {
            "messages": done.messages,
            "evidence": done.evidence,
            "identities": done.identities,
            "events": done.events,
            "waiting": _by_account(done.waiting),
        }

    def _number(self, order: Mapping[str, Any], known: set[str]) -> str:
        if set(order) - known:
            raise Refusal(422, f"unknown keys; what may be given is {', '.join(sorted(known))}")
        number = order.get("number")
        msisdn = self._normalize(number) if isinstance(number, str) else None
        if msisdn is None:
            raise Refusal(422, "number: not a number that can be read; write it as 5511988880001 or (11) 98888-0001")
        return msisdn

    async def _message(self, message: Message, describe: Describe) -> dict[str, Any]:
        shown = await describe(message.id) or {"id": message.id}
        text = (self._text_of(message) or message.user_data.hex()) if message.user_data else None
        named = {"template": list(message.template)} if message.template else {}
        return {**shown, **({"text": text} if text is not None else {}), **named}


def under_way(refused: UnderWay, cancelled: bool) -> str:
    """Why nothing was erased, and what helps."""
    many = refused.messages > 1
    what = f"{refused.messages} messages to this number are" if many else "a message to this number is"
    until = moment(refused.until)
    helps = "a channel has what is not cancelled" if cancelled else "with cancel what no operator has yet is cancelled"
    return f"nothing was erased: {what} under way, until {until} at the latest. Order it again later; {helps}"


def moment(at: Any) -> str | None:
    """Epoch seconds as ISO 8601; None for never."""
    if not at:
        return None
    return datetime.fromtimestamp(float(at), UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _note(one: Written) -> dict[str, Any]:
    writer = one.writer
    return {"at": moment(one.at), "account": writer.account, "from": writer.source, "to": writer.dest}


def _evidence(one: Known) -> dict[str, Any]:
    """Moments that there are, and the form of the number that worked."""
    evidence = msgspec.structs.asdict(unpack(one.value))
    identity = evidence.pop("identity")
    evidence.pop("version")
    moments = {name: moment(at) for name, at in evidence.items() if at}
    return {"channel": one.channel, **({"identity": identity} if identity else {}), **moments}


def _waiting(one: Waits) -> dict[str, Any]:
    match one.item:
        case Receipt() as receipt:
            return {"account": one.account, "receipt_of": receipt.message_id, "state": STAT[receipt.state],
                    "from": receipt.source}  # fmt: skip
        case Mo() as mo:
            text = segments.text_of(mo.esm_class, mo.data_coding, mo.user_data)
            return {"account": one.account, "reply": text if charset.is_text(mo.data_coding) else mo.user_data.hex(),
                    "from": mo.source}  # fmt: skip


def _by_account(waiting: Sequence[Waits]) -> dict[str, dict[str, int]]:
    """How many receipts and replies each account has still to acknowledge."""
    counted = Counter((one.account, "receipts" if isinstance(one.item, Receipt) else "replies") for one in waiting)
    found: dict[str, dict[str, int]] = {}
    for (account, kind), n in sorted(counted.items()):
        found.setdefault(account, {"receipts": 0, "replies": 0})[kind] = n
    return found
