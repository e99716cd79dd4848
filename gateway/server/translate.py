"""submit_sm, data_sm and submit_multi -> Message; Receipt and Mo -> deliver_sm."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from zoneinfo import ZoneInfo

from config.schema import AccountSettings
from gateway.messages.address import parse_destination
from gateway.messages.message import Message, Mo, Part, Receipt
from gateway.messages.states import STAT, State
from gateway.server.answers import STATUS, Refusal
from gateway.smpp import receipt_text
from gateway.smpp.constants import MAX_SHORT_MESSAGE_OCTETS, VERSION_3_4, EsmClass, Tag
from gateway.smpp.fields import DistributionList, SmeAddress
from gateway.smpp.pdu import DataSm, DeliverSm, ReplaceSm, SubmitMulti, SubmitSm, UnsuccessSme, tlv
from gateway.smpp.segments import UDHI, concat_of, count_segments
from gateway.smpp.times import BadTime, parse_absolute_or_relative

LONGEST_WAIT_S = 30 * 86_400.0  # how far ahead schedule_delivery_time may be
CHANNEL_TAG = 0x1401  # vendor TLV: name of the channel that decided

_PAYLOAD = int(Tag.MESSAGE_PAYLOAD)
_RECEIPTED_MESSAGE_ID, _USER_MESSAGE_REFERENCE = int(Tag.RECEIPTED_MESSAGE_ID), int(Tag.USER_MESSAGE_REFERENCE)
_STATE_TLVS = {state: (int(Tag.MESSAGE_STATE), bytes((state,))) for state in State}
_SCHEDULED, _ENROUTE, _DELIVERED = State.SCHEDULED, State.ENROUTE, State.DELIVERED
_INTERMEDIATE, _FINAL = int(EsmClass.INTERMEDIATE_NOTIFICATION), int(EsmClass.DELIVERY_RECEIPT)
# Not passed on: taken apart here, or without a meaning towards an SMSC.
_CONSUMED = frozenset(
    map(
        int,
        (
            Tag.MESSAGE_PAYLOAD,
            Tag.PAYLOAD_TYPE,
            Tag.QOS_TIME_TO_LIVE,
            Tag.RECEIPTED_MESSAGE_ID,
            Tag.MESSAGE_STATE,
            Tag.NETWORK_ERROR_CODE,
            Tag.SC_INTERFACE_VERSION,
            Tag.CONGESTION_STATE,
            Tag.USSD_SERVICE_OP,
        ),
    )
)
_ADDRESS = re.compile(r"[^\x00-\x1f\x7f]{0,20}")  # data_sm would take 64, but submit_sm and deliver_sm carry no more
_BAD_SCHEDULE, _BAD_VALIDITY = STATUS[Refusal.BAD_SCHEDULE], STATUS[Refusal.BAD_VALIDITY]
Moments = tuple[float, float]


def submit_sm(
    pdu: SubmitSm,
    account: AccountSettings,
    *,
    now: float,
    country: str,
    default_validity: float,
    segments: int = 0,
) -> Message | Refusal:
    """A submit_sm as intake takes it, or why not.

    now: seconds since the epoch. default_validity: seconds; for a message without validity_period, and the longest
    that is honoured. segments: how many the text takes, where that is known already. Source: SMPP 3.4, 4.4.1 and 5.2.
    """
    if pdu.sm_default_msg_id:
        return Refusal.CANNED_TEXT
    user_data, in_payload, tlvs = pdu.short_message, False, pdu.tlvs
    if tlvs:
        payload = tlv(pdu, _PAYLOAD)
        if payload:
            if user_data and user_data != payload:
                return Refusal.TEXT_GIVEN_TWICE
            user_data, in_payload = payload, not user_data
    if not user_data:
        return Refusal.EMPTY_TEXT
    schedule, validity, priority = pdu.schedule_delivery_time, pdu.validity_period, pdu.priority_flag
    if schedule or validity:
        moments = _moments(schedule, validity, now, default_validity, account.time_zone)
        if isinstance(moments, Refusal):
            return moments
    else:
        moments = 0.0, now + default_validity
    if priority > 3:
        priority = 3
    return _message(pdu, account, user_data, in_payload, moments, country, pdu.protocol_id, priority, segments)


def submit_multi(
    pdu: SubmitMulti, account: AccountSettings, *, now: float, country: str, default_validity: float
) -> tuple[list[Message], list[UnsuccessSme]] | Refusal:
    """One message per destination that can be read, and those that cannot; or why nothing of it is taken.

    Source: SMPP 3.4, 4.5.1. Distribution lists are not kept here, so there is none of any name.
    """
    messages: list[Message] = []
    refused: list[UnsuccessSme] = []
    for one in pdu.dest_addresses:
        if isinstance(one, DistributionList):
            status = STATUS[Refusal.DISTRIBUTION_LIST]
            refused.append(UnsuccessSme(destination_addr=printable(one.dl_name), error_status_code=status))
            continue
        message = submit_sm(
            _single(pdu, one),
            account,
            now=now,
            country=country,
            default_validity=default_validity,
            segments=messages[0].segments if messages else 0,
        )
        if message is Refusal.UNREADABLE_DESTINATION:
            refused.append(unsuccess(one.dest_addr_ton, one.dest_addr_npi, one.destination_addr, STATUS[message]))
        elif isinstance(message, Refusal):
            return message
        else:
            messages.append(message)
    return messages, refused


def unsuccess(ton: int, npi: int, address: str, command_status: int) -> UnsuccessSme:
    """A destination of submit_multi and why it is not served."""
    return UnsuccessSme(ton, npi, printable(address), command_status)


def printable(name: str) -> str:
    """As far as a response may repeat it."""
    return name if name.isprintable() else "".join(char if char.isprintable() else "?" for char in name)


def _single(pdu: SubmitMulti, to: SmeAddress) -> SubmitSm:
    """The submit_sm that says the same to one of the destinations."""
    return SubmitSm(
        service_type=pdu.service_type,
        source_addr_ton=pdu.source_addr_ton,
        source_addr_npi=pdu.source_addr_npi,
        source_addr=pdu.source_addr,
        dest_addr_ton=to.dest_addr_ton,
        dest_addr_npi=to.dest_addr_npi,
        destination_addr=to.destination_addr,
        esm_class=pdu.esm_class,
        protocol_id=pdu.protocol_id,
        priority_flag=pdu.priority_flag,
        schedule_delivery_time=pdu.schedule_delivery_time,
        validity_period=pdu.validity_period,
        registered_delivery=pdu.registered_delivery,
        data_coding=pdu.data_coding,
        sm_default_msg_id=pdu.sm_default_msg_id,
        short_message=pdu.short_message,
        tlvs=pdu.tlvs,
    )


def data_sm(
    pdu: DataSm, account: AccountSettings, *, now: float, country: str, default_validity: float
) -> Message | Refusal:
    """A data_sm as intake takes it, or why not; qos_time_to_live is its validity. Source: SMPP 3.4, 4.7.1."""
    payload = tlv(pdu, _PAYLOAD)
    if payload is None:
        return Refusal.NO_PAYLOAD
    if not payload:
        return Refusal.EMPTY_TEXT
    lives = int.from_bytes(tlv(pdu, Tag.QOS_TIME_TO_LIVE) or b"", "big")
    moments = (0.0, now + min(lives or default_validity, default_validity))
    return _message(pdu, account, payload, True, moments, country, 0, 0)


def _message(
    pdu: SubmitSm | DataSm,
    account: AccountSettings,
    user_data: bytes,
    in_payload: bool,
    moments: Moments,
    country: str,
    protocol_id: int,
    priority_flag: int,
    segments: int = 0,
) -> Message | Refusal:
    tlvs = pdu.tlvs
    if tlvs:
        if any(tlv(pdu, Tag.PAYLOAD_TYPE) or b""):
            return Refusal.NOT_A_TEXT
        if tlv(pdu, Tag.USSD_SERVICE_OP) is not None:
            return Refusal.USSD
        tlvs = tuple(one for one in tlvs if one[0] not in _CONSUMED)
    if pdu.service_type and not _ADDRESS.fullmatch(pdu.service_type):
        return Refusal.BAD_SERVICE_TYPE  # no PDU of ours could repeat it
    source, source_ton, source_npi = pdu.source_addr, pdu.source_addr_ton, pdu.source_addr_npi
    if not source and account.default_source:
        source = account.default_source
        if not source.isdecimal():
            source_ton, source_npi = 5, 0
    elif not _may_send(source, account.sources):
        return Refusal.SOURCE_NOT_ALLOWED
    dest = pdu.destination_addr
    msisdn = parse_destination(dest, country, pdu.dest_addr_ton)
    if msisdn is None or (dest != msisdn and not _ADDRESS.fullmatch(dest)):
        return Refusal.UNREADABLE_DESTINATION
    esm_class, data_coding, alphabet = pdu.esm_class, pdu.data_coding, account.default_alphabet
    part = None
    if (tlvs or esm_class & UDHI) and (concat := concat_of(esm_class, user_data, tlvs)):
        kind, ref, total, number = concat
        part = Part(f"{account.system_id}|{source}|{msisdn}|{kind}|{ref}|{total}", total, number)
    return Message(
        "",
        account.system_id,
        source,
        source_ton,
        source_npi,
        dest,
        pdu.dest_addr_ton,
        pdu.dest_addr_npi,
        msisdn,
        pdu.service_type,
        esm_class,
        protocol_id,
        priority_flag,
        pdu.registered_delivery,
        data_coding,
        alphabet,
        user_data,
        in_payload,
        tlvs,
        part,
        segments or count_segments(user_data, data_coding, esm_class, alphabet, concatenated=part is not None),
        *moments,
    )


@lru_cache(maxsize=4096)
def _may_send(source: str, allowed: tuple[str, ...]) -> bool:
    if allowed:
        return source in allowed or source.lstrip("+") in allowed
    return _ADDRESS.fullmatch(source) is not None


def _moments(
    schedule: str, validity: str, now: float, default_validity: float, zone_name: str | None
) -> Moments | Refusal:
    """(schedule_at, expires_at); schedule_at 0.0 for at once, a moment that is past included."""
    zone = ZoneInfo(zone_name) if zone_name is not None else None
    try:
        starts_at = parse_absolute_or_relative(schedule, now, _BAD_SCHEDULE, zone)
    except BadTime:
        return Refusal.BAD_SCHEDULE
    if starts_at is None or starts_at <= now:
        starts_at = now
    elif starts_at > now + LONGEST_WAIT_S:
        return Refusal.BAD_SCHEDULE
    try:
        expires_at = parse_absolute_or_relative(validity, now, _BAD_VALIDITY, zone)
    except BadTime:
        return Refusal.BAD_VALIDITY
    latest = starts_at + default_validity
    if expires_at is None:
        expires_at = latest
    elif expires_at <= starts_at:
        return Refusal.BAD_VALIDITY
    return (starts_at if starts_at > now else 0.0), min(expires_at, latest)


def replacement(
    pdu: ReplaceSm, now: float, default_validity: float, zone_name: str | None = None
) -> tuple[float | None, float | None] | Refusal:
    """The new (schedule_at, expires_at) of a replace_sm; None: as it was. Source: SMPP 3.4, 4.10.1."""
    if pdu.sm_default_msg_id:
        return Refusal.CANNED_TEXT
    if not pdu.short_message:
        return Refusal.EMPTY_TEXT
    moments = _moments(pdu.schedule_delivery_time, pdu.validity_period, now, default_validity, zone_name)
    if isinstance(moments, Refusal):
        return moments
    schedule_at, expires_at = moments
    return schedule_at if pdu.schedule_delivery_time else None, expires_at if pdu.validity_period else None


def deliver_sm(item: Receipt | Mo, peer_version: int, date: Callable[[float], str] | None = None) -> DeliverSm:
    """What an ESME is sent. peer_version: interface_version of its bind; before 3.4 there are no TLVs.

    date: writes the dates of a receipt; None: the usual way. Source: SMPP 3.4, Appendix B (a receipt's text) and 4.6.1
    (its TLVs). 3.4 knows no state SCHEDULED.
    """
    if not isinstance(item, Receipt):
        return _mo(item, peer_version)
    state = _ENROUTE if item.state is _SCHEDULED else item.state
    tlvs: list[tuple[int, bytes]] = []
    if peer_version >= VERSION_3_4:
        tlvs = [(_RECEIPTED_MESSAGE_ID, item.message_id.encode("latin-1") + b"\0"), _STATE_TLVS[state]]
        if item.user_message_reference:
            tlvs.append((_USER_MESSAGE_REFERENCE, item.user_message_reference))
        if item.channel:
            tlvs.append((CHANNEL_TAG, item.channel.encode()))
        if item.tlvs:
            tlvs += item.tlvs
    text = receipt_text.write(
        item.message_id, STAT[state], item.err, item.submitted_at, item.done_at, state is _DELIVERED, date
    )
    return DeliverSm(
        0,
        0,
        tuple(tlvs),
        item.service_type,
        item.source_ton,
        item.source_npi,
        item.source,
        item.dest_ton,
        item.dest_npi,
        item.dest,
        _INTERMEDIATE if item.intermediate else _FINAL,
        short_message=text,
    )


def _mo(text: Mo, peer_version: int) -> DeliverSm:
    """A text that is too long for short_message goes as message_payload; see in_parts for peers without TLVs."""
    in_payload = len(text.user_data) > MAX_SHORT_MESSAGE_OCTETS and peer_version >= VERSION_3_4
    tlvs = text.tlvs if peer_version >= VERSION_3_4 else ()
    return DeliverSm(
        service_type=text.service_type,
        source_addr_ton=text.source_ton,
        source_addr_npi=text.source_npi,
        source_addr=text.source,
        dest_addr_ton=text.dest_ton,
        dest_addr_npi=text.dest_npi,
        destination_addr=text.dest,
        esm_class=text.esm_class,
        protocol_id=text.protocol_id,
        data_coding=text.data_coding,
        short_message=b"" if in_payload else text.user_data[:MAX_SHORT_MESSAGE_OCTETS],
        tlvs=((_PAYLOAD, text.user_data), *tlvs) if in_payload else tlvs,
    )
