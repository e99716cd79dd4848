"""How one account's client speaks where that is not the usual way: the quirks of its settings, made ready to follow.

Most accounts have no dialect, and nothing here is asked for them. What each switch means is told in config/quirks.py.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TypeVar
from zoneinfo import ZoneInfo

from msgspec import Struct
from msgspec.structs import replace

from config.quirks import switches
from config.schema import AccountSettings
from gateway.messages.ids import kept_decimal, kept_hex, value_of_hex
from gateway.messages.message import Mo, Receipt
from gateway.messages.states import INTERMEDIATE, RECEIPT_BITS
from gateway.server import translate
from gateway.server.answers import STATUS, Refusal
from gateway.smpp.charset import Coding, coding_of
from gateway.smpp.constants import VERSION_3_4, CommandStatus, Tag
from gateway.smpp.pdu import DataSm, DeliverSm, ReplaceSm, SubmitMulti, SubmitSm
from gateway.smpp.segments import concat_of

_PAYLOAD = int(Tag.MESSAGE_PAYLOAD)
Submit = SubmitSm | DataSm | SubmitMulti
_S = TypeVar("_S", bound=Submit)


class Dialect(Struct, frozen=True):
    """The switches of one account. `ids` is hex, decimal or empty for ours; `date` writes one date of a receipt, None
    for the usual form in this machine's time zone."""

    nul_terminated_text: bool = False
    no_tlvs: bool = False
    ids: str = ""
    decimal_receipt_ids: bool = False
    receipt_per_message: bool = False
    already_bound: bool = False
    data_sm: bool = False
    date: Callable[[float], str] | None = None


def dialect_of(account: AccountSettings) -> Dialect | None:
    """None for an account without quirks and time zone."""
    if not account.quirks and account.time_zone is None:
        return None
    wanted = switches(account.quirks)
    date = None
    if "receipt_seconds" in wanted or account.time_zone is not None:
        date = _dates(account.time_zone, "%y%m%d%H%M%S" if "receipt_seconds" in wanted else "%y%m%d%H%M")
    return Dialect(
        nul_terminated_text="nul_terminated_text" in wanted,
        no_tlvs="no_tlvs" in wanted,
        ids="hex" if "hex_ids" in wanted else "decimal" if "decimal_ids" in wanted else "",
        decimal_receipt_ids="decimal_receipt_ids" in wanted,
        receipt_per_message="receipt_per_message" in wanted,
        already_bound="already_bound" in wanted,
        data_sm="data_sm" in wanted,
        date=date,
    )


def _dates(zone_name: str | None, form: str) -> Callable[[float], str]:
    zone = ZoneInfo(zone_name) if zone_name is not None else None
    return lambda at: datetime.fromtimestamp(int(at), zone).strftime(form)


# What it sends


def read(pdu: _S, dialect: Dialect) -> _S:
    """A submit as another client would have sent it."""
    if dialect.nul_terminated_text:
        pdu = _without_nul(pdu)
    if dialect.receipt_per_message and pdu.registered_delivery & (RECEIPT_BITS | INTERMEDIATE):
        concat = concat_of(pdu.esm_class, _user_data(pdu), pdu.tlvs)
        if concat is not None and concat.number > 1:
            pdu = replace(pdu, registered_delivery=pdu.registered_delivery & ~(RECEIPT_BITS | INTERMEDIATE))
    return pdu


def replacing(pdu: ReplaceSm, dialect: Dialect) -> ReplaceSm:
    """A replace_sm as another client would have sent it. It does not say its coding, so two NULs are taken for one of
    UCS-2 where they can be."""
    text = pdu.short_message
    if dialect.nul_terminated_text and text:
        pdu = replace(pdu, short_message=_cut(text, text.endswith(b"\0\0")))
    return replace(pdu, message_id=kept_id(pdu.message_id, dialect)) if dialect.ids else pdu


def kept_id(message_id: str, dialect: Dialect) -> str:
    """The id under which the message is kept that the client calls so, with or without zeros, in either case, and by
    the number in its receipt."""
    if dialect.ids == "hex":
        return kept_hex(message_id)
    return kept_decimal(message_id) if dialect.ids == "decimal" else message_id


def _user_data(pdu: Submit) -> bytes:
    if not isinstance(pdu, DataSm) and pdu.short_message:
        return pdu.short_message
    return next((value for tag, value in pdu.tlvs if tag == _PAYLOAD), b"")


def _without_nul(pdu: _S) -> _S:
    wide = coding_of(pdu.data_coding) is Coding.UCS2
    if coding_of(pdu.data_coding) is Coding.BINARY:
        return pdu
    if not isinstance(pdu, DataSm) and pdu.short_message:
        return replace(pdu, short_message=_cut(pdu.short_message, wide))
    tlvs = tuple((tag, _cut(value, wide) if tag == _PAYLOAD else value) for tag, value in pdu.tlvs)
    return replace(pdu, tlvs=tlvs)


def _cut(text: bytes, wide: bool) -> bytes:
    """The text without the one NUL that ends it, of two octets in UCS-2 unless it was written as a single one."""
    if wide and len(text) % 2 == 0:
        return text[:-2] if text.endswith(b"\0\0") else text
    return text[:-1] if text.endswith(b"\0") else text


# What it is told


def status_of(refusal: Refusal, dialect: Dialect | None) -> int:
    """The command_status of a refused bind."""
    if refusal is Refusal.TOO_MANY_BINDS and dialect is not None and dialect.already_bound:
        return int(CommandStatus.ESME_RALYBND)
    return STATUS[refusal]


def deliver(item: Receipt | Mo, peer_version: int, dialect: Dialect) -> DeliverSm | DataSm:
    """What the client is sent for a receipt or a text."""
    if isinstance(item, Receipt) and dialect.decimal_receipt_ids:
        item = replace(item, message_id=value_of_hex(item.message_id))
    pdu = translate.deliver_sm(item, peer_version, dialect.date)
    return _as_data_sm(pdu) if dialect.data_sm and peer_version >= VERSION_3_4 else pdu


def _as_data_sm(pdu: DeliverSm) -> DataSm:
    """Source: SMPP 3.4, 4.7.1: the text of a data_sm is always its message_payload."""
    payload = ((_PAYLOAD, pdu.short_message),) if pdu.short_message else ()
    return DataSm(
        service_type=pdu.service_type,
        source_addr_ton=pdu.source_addr_ton,
        source_addr_npi=pdu.source_addr_npi,
        source_addr=pdu.source_addr,
        dest_addr_ton=pdu.dest_addr_ton,
        dest_addr_npi=pdu.dest_addr_npi,
        destination_addr=pdu.destination_addr,
        esm_class=pdu.esm_class,
        data_coding=pdu.data_coding,
        tlvs=(*payload, *pdu.tlvs),
    )
