"""The PDUs of SMPP 3.4 as values, and frame <-> value.

A class body is the wire layout of SMPP 3.4, section 4: one annotated field after the other, in order. Counts that
follow from a value (sm_length, number_of_dests, no_unsuccess) are not fields. TLVs stay raw octets in their order,
repeats and unknown tags included.
"""

from typing import ClassVar

from msgspec import Struct

from .codec import HEADER, Decoder, Encoder, fields_of, make_decoder, make_encoder
from .constants import CommandId
from .errors import BadPdu, LocalProtocolError, UnknownCommand
from .fields import (
    AddressRange,
    CString,
    DestAddresses,
    DestinationAddr,
    DistributionList,
    FinalDate,
    LongDestinationAddr,
    LongSourceAddr,
    MessageId,
    Octet,
    Password,
    ReplaceIfPresent,
    ScheduleDeliveryTime,
    ServiceType,
    SmeAddress,
    SourceAddr,
    SubmitDestinationAddr,
    SystemId,
    SystemType,
    Text,
    UnsuccessSme,
    UnsuccessSmes,
    UnusedTime,
    ValidityPeriod,
    masked,
)

# Imported names that belong to this module's interface, beside what is defined here.
__all__ = [
    "BadPdu",
    "DistributionList",
    "LocalProtocolError",
    "SmeAddress",
    "UnknownCommand",
    "UnsuccessSme",
]


class Pdu(Struct, frozen=True, gc=False):
    """What all PDUs have. tlvs: (tag, value) pairs in wire order."""

    command_id: ClassVar[int] = 0

    sequence_number: int = 0
    command_status: int = 0
    tlvs: tuple[tuple[int, bytes], ...] = ()

    def __repr__(self) -> str:
        """Fields that are not empty; text and password by length, addresses by their end, TLVs by tag and length."""
        shown = []
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if not value:
                continue
            if name == "tlvs":
                shown.append("tlvs=[" + ", ".join(f"0x{tag:04x}({len(octets)})" for tag, octets in value) + "]")
            elif isinstance(value, bytes) or name == "password":
                shown.append(f"{name}=<{len(value)}>")
            elif name in _PRIVATE:
                shown.append(f"{name}={masked(value)}")
            else:
                shown.append(f"{name}={value!r}")
        return f"{type(self).__name__}({', '.join(shown)})"


class Bind(Pdu, frozen=True, gc=False):
    """What the three bind requests share: SMPP 3.4, 4.1."""

    system_id: SystemId = ""
    password: Password = ""
    system_type: SystemType = ""
    interface_version: Octet = 0
    addr_ton: Octet = 0
    addr_npi: Octet = 0
    address_range: AddressRange = ""


class BindReceiver(Bind, frozen=True, gc=False):
    command_id: ClassVar[int] = int(CommandId.BIND_RECEIVER)


class BindTransmitter(Bind, frozen=True, gc=False):
    command_id: ClassVar[int] = int(CommandId.BIND_TRANSMITTER)


class BindTransceiver(Bind, frozen=True, gc=False):
    command_id: ClassVar[int] = int(CommandId.BIND_TRANSCEIVER)


class BindResp(Pdu, frozen=True, gc=False):
    """What the three bind responses share."""

    system_id: SystemId = ""


class BindReceiverResp(BindResp, frozen=True, gc=False):
    command_id: ClassVar[int] = int(CommandId.BIND_RECEIVER_RESP)


class BindTransmitterResp(BindResp, frozen=True, gc=False):
    command_id: ClassVar[int] = int(CommandId.BIND_TRANSMITTER_RESP)


class BindTransceiverResp(BindResp, frozen=True, gc=False):
    command_id: ClassVar[int] = int(CommandId.BIND_TRANSCEIVER_RESP)


class Outbind(Pdu, frozen=True, gc=False):
    """An SMSC asks the ESME it called to bind; no response. SMPP 3.4, 4.1.7."""

    command_id: ClassVar[int] = int(CommandId.OUTBIND)

    system_id: SystemId = ""
    password: Password = ""


class Unbind(Pdu, frozen=True, gc=False):
    command_id: ClassVar[int] = int(CommandId.UNBIND)


class UnbindResp(Pdu, frozen=True, gc=False):
    command_id: ClassVar[int] = int(CommandId.UNBIND_RESP)


class EnquireLink(Pdu, frozen=True, gc=False):
    command_id: ClassVar[int] = int(CommandId.ENQUIRE_LINK)


class EnquireLinkResp(Pdu, frozen=True, gc=False):
    command_id: ClassVar[int] = int(CommandId.ENQUIRE_LINK_RESP)


class GenericNack(Pdu, frozen=True, gc=False):
    """The answer to what has no response of its own: SMPP 3.4, 4.3."""

    command_id: ClassVar[int] = int(CommandId.GENERIC_NACK)


class SubmitSm(Pdu, frozen=True, gc=False):
    """SMPP 3.4, 4.4.1."""

    command_id: ClassVar[int] = int(CommandId.SUBMIT_SM)

    service_type: ServiceType = ""
    source_addr_ton: Octet = 0
    source_addr_npi: Octet = 0
    source_addr: SourceAddr = ""
    dest_addr_ton: Octet = 0
    dest_addr_npi: Octet = 0
    destination_addr: SubmitDestinationAddr = ""
    esm_class: Octet = 0
    protocol_id: Octet = 0
    priority_flag: Octet = 0
    schedule_delivery_time: ScheduleDeliveryTime = ""
    validity_period: ValidityPeriod = ""
    registered_delivery: Octet = 0
    replace_if_present_flag: ReplaceIfPresent = 0
    data_coding: Octet = 0
    sm_default_msg_id: Octet = 0
    short_message: Text = b""


class SubmitSmResp(Pdu, frozen=True, gc=False):
    command_id: ClassVar[int] = int(CommandId.SUBMIT_SM_RESP)

    message_id: MessageId = ""


class DeliverSm(Pdu, frozen=True, gc=False):
    """The layout of submit_sm, of which four fields are unused: SMPP 3.4, 4.6.1."""

    command_id: ClassVar[int] = int(CommandId.DELIVER_SM)

    service_type: ServiceType = ""
    source_addr_ton: Octet = 0
    source_addr_npi: Octet = 0
    source_addr: SourceAddr = ""
    dest_addr_ton: Octet = 0
    dest_addr_npi: Octet = 0
    destination_addr: DestinationAddr = ""
    esm_class: Octet = 0
    protocol_id: Octet = 0
    priority_flag: Octet = 0
    schedule_delivery_time: UnusedTime = ""
    validity_period: UnusedTime = ""
    registered_delivery: Octet = 0
    replace_if_present_flag: Octet = 0
    data_coding: Octet = 0
    sm_default_msg_id: Octet = 0
    short_message: Text = b""


class DeliverSmResp(Pdu, frozen=True, gc=False):
    """message_id is unused; a good answer is sent with the empty string."""

    command_id: ClassVar[int] = int(CommandId.DELIVER_SM_RESP)

    message_id: MessageId = ""


class DataSm(Pdu, frozen=True, gc=False):
    """The text is in the TLV message_payload: SMPP 3.4, 4.7.1."""

    command_id: ClassVar[int] = int(CommandId.DATA_SM)

    service_type: ServiceType = ""
    source_addr_ton: Octet = 0
    source_addr_npi: Octet = 0
    source_addr: LongSourceAddr = ""
    dest_addr_ton: Octet = 0
    dest_addr_npi: Octet = 0
    destination_addr: LongDestinationAddr = ""
    esm_class: Octet = 0
    registered_delivery: Octet = 0
    data_coding: Octet = 0


class DataSmResp(Pdu, frozen=True, gc=False):
    command_id: ClassVar[int] = int(CommandId.DATA_SM_RESP)

    message_id: MessageId = ""


class SubmitMulti(Pdu, frozen=True, gc=False):
    """SMPP 3.4, 4.5.1. dest_addresses: 1 to 254 SmeAddress or DistributionList."""

    command_id: ClassVar[int] = int(CommandId.SUBMIT_MULTI)

    service_type: ServiceType = ""
    source_addr_ton: Octet = 0
    source_addr_npi: Octet = 0
    source_addr: SourceAddr = ""
    dest_addresses: DestAddresses = ()
    esm_class: Octet = 0
    protocol_id: Octet = 0
    priority_flag: Octet = 0
    schedule_delivery_time: ScheduleDeliveryTime = ""
    validity_period: ValidityPeriod = ""
    registered_delivery: Octet = 0
    replace_if_present_flag: ReplaceIfPresent = 0
    data_coding: Octet = 0
    sm_default_msg_id: Octet = 0
    short_message: Text = b""


class SubmitMultiResp(Pdu, frozen=True, gc=False):
    command_id: ClassVar[int] = int(CommandId.SUBMIT_MULTI_RESP)

    message_id: MessageId = ""
    unsuccess_smes: UnsuccessSmes = ()


class QuerySm(Pdu, frozen=True, gc=False):
    """SMPP 3.4, 4.8.1."""

    command_id: ClassVar[int] = int(CommandId.QUERY_SM)

    message_id: MessageId = ""
    source_addr_ton: Octet = 0
    source_addr_npi: Octet = 0
    source_addr: SourceAddr = ""


class QuerySmResp(Pdu, frozen=True, gc=False):
    """final_date: absolute time, or empty while the message is not in a final state."""

    command_id: ClassVar[int] = int(CommandId.QUERY_SM_RESP)

    message_id: MessageId = ""
    final_date: FinalDate = ""
    message_state: Octet = 0
    error_code: Octet = 0


class CancelSm(Pdu, frozen=True, gc=False):
    """SMPP 3.4, 4.9.1."""

    command_id: ClassVar[int] = int(CommandId.CANCEL_SM)

    service_type: ServiceType = ""
    message_id: MessageId = ""
    source_addr_ton: Octet = 0
    source_addr_npi: Octet = 0
    source_addr: SourceAddr = ""
    dest_addr_ton: Octet = 0
    dest_addr_npi: Octet = 0
    destination_addr: DestinationAddr = ""


class CancelSmResp(Pdu, frozen=True, gc=False):
    command_id: ClassVar[int] = int(CommandId.CANCEL_SM_RESP)


class ReplaceSm(Pdu, frozen=True, gc=False):
    """SMPP 3.4, 4.10.1."""

    command_id: ClassVar[int] = int(CommandId.REPLACE_SM)

    message_id: MessageId = ""
    source_addr_ton: Octet = 0
    source_addr_npi: Octet = 0
    source_addr: SourceAddr = ""
    schedule_delivery_time: ScheduleDeliveryTime = ""
    validity_period: ValidityPeriod = ""
    registered_delivery: Octet = 0
    sm_default_msg_id: Octet = 0
    short_message: Text = b""


class ReplaceSmResp(Pdu, frozen=True, gc=False):
    command_id: ClassVar[int] = int(CommandId.REPLACE_SM_RESP)


class AlertNotification(Pdu, frozen=True, gc=False):
    """A phone can be reached again; no response. SMPP 3.4, 4.12.1."""

    command_id: ClassVar[int] = int(CommandId.ALERT_NOTIFICATION)

    source_addr_ton: Octet = 0
    source_addr_npi: Octet = 0
    source_addr: LongSourceAddr = ""
    esme_addr_ton: Octet = 0
    esme_addr_npi: Octet = 0
    esme_addr: LongDestinationAddr = ""


# Each request that has a response of its own, and that response.
RESPONSES: dict[type[Pdu], type[Pdu]] = {
    BindReceiver: BindReceiverResp,
    BindTransmitter: BindTransmitterResp,
    BindTransceiver: BindTransceiverResp,
    Unbind: UnbindResp,
    EnquireLink: EnquireLinkResp,
    SubmitSm: SubmitSmResp,
    DeliverSm: DeliverSmResp,
    DataSm: DataSmResp,
    SubmitMulti: SubmitMultiResp,
    QuerySm: QuerySmResp,
    CancelSm: CancelSmResp,
    ReplaceSm: ReplaceSmResp,
}
read_header = HEADER.unpack_from  # command_length, command_id, command_status, sequence_number
PDU_CLASSES: tuple[type[Pdu], ...] = (*RESPONSES, *RESPONSES.values(), GenericNack, Outbind, AlertNotification)

# The field with a person's number, where nearly all others are the same in one PDU after the other.
_VARYING: dict[type[Pdu], str] = {SubmitSm: "destination_addr", DeliverSm: "source_addr"}
DECODERS: dict[int, Decoder] = {
    cls.command_id: make_decoder(cls, cls.command_id, fields_of(cls), varying=_VARYING.get(cls, ""))
    for cls in PDU_CLASSES
}
# SMPP 3.4 leaves out the body of these when they carry an error (4.1.2, 4.1.4, 4.1.6, 4.4.2). All others keep it: some
# clients take one without it for a PDU of wrong length.
_BARE_ON_ERROR = (BindReceiverResp, BindTransmitterResp, BindTransceiverResp, SubmitSmResp)
ENCODERS: dict[type[Pdu], Encoder] = {
    cls: make_encoder(
        cls.command_id, fields_of(cls), bare_on_error=cls in _BARE_ON_ERROR, varying=_VARYING.get(cls, "")
    )
    for cls in PDU_CLASSES
}
_RESPONSES_TO = {request.command_id: response for request, response in RESPONSES.items()}
_PRIVATE = frozenset(
    name for cls in PDU_CLASSES for name, kind in fields_of(cls) if isinstance(kind, CString) and kind.private
)


def decode(frame: bytes) -> Pdu:
    """Read one complete PDU: exactly command_length octets, at least a header.

    Raises BadPdu with the command_status to answer, UnknownCommand for ids that are not of SMPP 3.4. A response never
    raises BadPdu: what is missing from it is left empty.
    """
    _, command_id, command_status, sequence_number = read_header(frame)
    pdu: Pdu = DECODERS.get(command_id, unknown)(frame, sequence_number, command_status)
    return pdu


def unknown(frame: bytes, sequence_number: int, command_status: int) -> Pdu:
    """The decoder of every other command_id."""
    raise UnknownCommand(read_header(frame)[1], sequence_number)


def encode(pdu: Pdu, sequence_number: int | None = None) -> bytes:
    """The octets of one PDU; sequence_number, when given, replaces that of the PDU.

    A bind response or submit_sm_resp with an error status and nothing else to say is its header alone. Raises
    LocalProtocolError when a value does not fit its field or a string holds control characters.
    """
    return ENCODERS[type(pdu)](pdu, pdu.sequence_number if sequence_number is None else sequence_number)


def error_response(command_id: int, sequence_number: int, command_status: int) -> bytes:
    """The octets that answer a request which went wrong."""
    return encode(_RESPONSES_TO[command_id](sequence_number=sequence_number, command_status=command_status))


def tlv(pdu: Pdu, tag: int) -> bytes | None:
    """The value of the first TLV with this tag, None when there is none."""
    for found, value in pdu.tlvs:
        if found == tag:
            return value
    return None
