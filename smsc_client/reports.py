"""What an operator sends us: receipts and texts, as deliver_sm or data_sm.

Which of the two it is, esm_class and TLVs say, never the text: otherwise anybody with a telephone could write
"id:... stat:DELIVRD". Sources: SMPP 3.4, 5.2.12 and Appendix B.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from twisted.logger import Logger

from gateway.messages.outcome import Inbound, Report, Status
from gateway.messages.states import State
from gateway.smpp import receipt_text, segments
from gateway.smpp.constants import CommandStatus, EsmClass, Tag
from gateway.smpp.pdu import DataSm, DataSmResp, DeliverSm, DeliverSmResp, Pdu
from smsc_client.protocol import EsmeProtocol
from smsc_client.remote_ids import id_forms

__all__ = ["Incoming", "id_forms", "read"]

_MESSAGES = (DeliverSm, DataSm)
_INTERMEDIATE = int(EsmClass.INTERMEDIATE_NOTIFICATION)
_OF_RECEIPTS = int(EsmClass.DELIVERY_RECEIPT) | _INTERMEDIATE
_UDHI = int(EsmClass.UDHI)
_STILL_UNDER_WAY = frozenset({State.SCHEDULED, State.ENROUTE, State.ACCEPTED})
_SENT, _DELIVERED, _FAILED = Status.SENT, Status.DELIVERED, Status.FAILED
_ARRIVED, _UNKNOWN = State.DELIVERED, State.UNKNOWN
_SKIPPED = 9  # of SMPP 5.0; 3.4 has no such state, REJECTED says the same to an ESME
_STATES: dict[int, State] = {**{int(state): state for state in State}, _SKIPPED: State.REJECTED}

_AROUND_IDS = "\0 \t\r\n\"'"
_RECEIPTED_MESSAGE_ID = int(Tag.RECEIPTED_MESSAGE_ID)
_MESSAGE_STATE = int(Tag.MESSAGE_STATE)
_NETWORK_ERROR_CODE = int(Tag.NETWORK_ERROR_CODE)
_MESSAGE_PAYLOAD = int(Tag.MESSAGE_PAYLOAD)

# Without these nobody could join the parts of a text, or know that it is none.
_PLACING = frozenset(
    map(
        int,
        (
            Tag.SAR_MSG_REF_NUM,
            Tag.SAR_TOTAL_SEGMENTS,
            Tag.SAR_SEGMENT_SEQNUM,
            Tag.SOURCE_PORT,
            Tag.DESTINATION_PORT,
        ),
    )
)
_RMSGQFUL = int(CommandStatus.ESME_RMSGQFUL)
_RSYSERR = int(CommandStatus.ESME_RSYSERR)


class Results(Protocol):
    """What is needed of delivery's Results."""

    def reported(self, channel: str, reports: Sequence[Report], done: Callable[[bool], None]) -> None: ...
    def inbound(self, channel: str, texts: Sequence[Inbound], done: Callable[[bool], None]) -> None: ...


class Incoming:
    """Hands on what a read brought, and answers it once it is kept."""

    def __init__(self, channel: str, results: Results, log: Logger, passes: Iterable[int] = ()) -> None:
        """passes: tags of TLVs that the ESME is to see."""
        self._channel, self._results, self._log = channel, results, log
        self.passes = frozenset(passes)

    def take(self, protocol: EsmeProtocol, pdus: Sequence[Pdu], now: float) -> None:
        """pdus: requests of one read; those that carry no message (alert_notification, outbind) are passed over."""
        reports: list[Report] = []
        texts: list[Inbound] = []
        of_reports: list[DeliverSm | DataSm] = []
        of_texts: list[DeliverSm | DataSm] = []
        for pdu in pdus:
            if not isinstance(pdu, _MESSAGES):
                continue
            try:
                news = read(pdu, self._channel, now, self.passes)
            except Exception:  # whatever it holds, it costs one answer
                self._log.failure("{channel}: a message from the operator could not be read", channel=self._channel)
                _respond(protocol, (pdu,), _RSYSERR)
                continue
            if type(news) is Report:
                reports.append(news)
                of_reports.append(pdu)
            elif type(news) is Inbound:
                texts.append(news)
                of_texts.append(pdu)
        if reports:
            self._results.reported(self._channel, reports, _answer(protocol, of_reports))
        if texts:
            self._results.inbound(self._channel, texts, _answer(protocol, of_texts))


def _answer(protocol: EsmeProtocol, pdus: Sequence[DeliverSm | DataSm]) -> Callable[[bool], None]:
    return lambda kept: _respond(protocol, pdus, 0 if kept else _RMSGQFUL)


def _respond(protocol: EsmeProtocol, pdus: Sequence[DeliverSm | DataSm], command_status: int) -> None:
    for pdu in pdus:
        response = DeliverSmResp if type(pdu) is DeliverSm else DataSmResp
        protocol.respond(response(sequence_number=pdu.sequence_number, command_status=command_status))
    protocol.flush()


def read(pdu: DeliverSm | DataSm, channel: str, now: float, passes: frozenset[int] = frozenset()) -> Report | Inbound:
    """A receipt if esm_class says so or receipted_message_id is there; anything else is a text to us (MO).

    passes: tags of TLVs that go on to the ESME, beside the network_error_code of a receipt.
    """
    tlvs = dict(reversed(pdu.tlvs)) if pdu.tlvs else {}
    if pdu.esm_class & _OF_RECEIPTS or _RECEIPTED_MESSAGE_ID in tlvs:
        passed: tuple[tuple[int, bytes], ...] = ()
        if passes or _NETWORK_ERROR_CODE in tlvs:
            passed = tuple(one for one in pdu.tlvs if one[0] in passes or _is_network_error_code(*one))
        return _report(pdu, tlvs, channel, now, passed)
    return Inbound(
        channel=channel,
        msisdn=_digits(pdu.source_addr),
        to=pdu.destination_addr,
        user_data=_user_data(pdu, tlvs),
        data_coding=pdu.data_coding,
        esm_class=pdu.esm_class,
        at=now,
        tlvs=tuple(one for one in pdu.tlvs if one[0] in passes or one[0] in _PLACING) if tlvs else (),
    )


def _report(
    pdu: DeliverSm | DataSm, tlvs: dict[int, bytes], channel: str, now: float, passed: tuple[tuple[int, bytes], ...]
) -> Report:
    user_data = _user_data(pdu, tlvs)
    if pdu.esm_class & _UDHI:
        user_data = user_data[segments.split_udh(pdu.esm_class, user_data)[1] :]
    text = receipt_text.parse(user_data) if user_data else None
    remote_id = tlvs.get(_RECEIPTED_MESSAGE_ID, b"").decode("latin-1").strip(_AROUND_IDS)
    if text is None:
        named, state, err = None, _state_of(tlvs), _err_of(tlvs)
    else:
        named, err = text.message_id, text.err or _err_of(tlvs)
        state = _STATES[text.state] if text.state is not None else _state_of(tlvs)
    other_ids: tuple[str, ...] = ()
    if named and named != remote_id and (by_text := named.strip(_AROUND_IDS)) and by_text != remote_id:
        if remote_id:
            other_ids = (by_text,)
        else:
            remote_id = by_text
    if pdu.esm_class & _INTERMEDIATE or state in _STILL_UNDER_WAY:
        status = _SENT
    else:
        status = _DELIVERED if state is _ARRIVED else _FAILED
    return Report(
        channel, remote_id, status, state, err, pdu.destination_addr, _digits(pdu.source_addr), now,
        other_ids=other_ids, tlvs=passed,
    )  # fmt: skip


def _user_data(pdu: DeliverSm | DataSm, tlvs: dict[int, bytes]) -> bytes:
    if type(pdu) is DeliverSm and pdu.short_message:
        return pdu.short_message
    return tlvs.get(_MESSAGE_PAYLOAD, b"")


def _state_of(tlvs: dict[int, bytes]) -> State:
    """message_state, where the text's stat is no known word; else UNKNOWN."""
    octets = tlvs.get(_MESSAGE_STATE)
    return _STATES.get(int.from_bytes(octets, "big"), _UNKNOWN) if octets else _UNKNOWN


def _err_of(tlvs: dict[int, bytes]) -> str:
    """The operator's own code by network_error_code (type, then two octets), where the text has none."""
    code = tlvs.get(_NETWORK_ERROR_CODE, b"")
    return str(int.from_bytes(code[1:3], "big")) if len(code) == 3 else ""


def _is_network_error_code(tag: int, value: bytes) -> bool:
    """One as SMPP 3.4, 5.3.2.31 has it; what an operator wrote otherwise would be the ESME's trouble."""
    return tag == _NETWORK_ERROR_CODE and len(value) == 3


def _digits(address: str) -> str:
    """The digits of a person's number; an address without any (a name) as it is."""
    digits = address if address.isascii() and address.isdigit() else re.sub("[^0-9]", "", address)
    return digits.removeprefix("00") or address
