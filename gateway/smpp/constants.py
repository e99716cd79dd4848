"""Numbers of SMPP by their names in the specification.

Wire numbers come from the name maps of smpp.pdu (its enums count list positions instead); what those maps lack,
mostly SMPP 5.0, is written out. The test beside this file checks them against SMPP 3.4, 5.1.2.1, 5.1.3 and 5.3.2.
"""

from enum import IntEnum
from typing import Final

from smpp.pdu.constants import command_id_name_map as _command_ids
from smpp.pdu.constants import command_status_name_map as _statuses
from smpp.pdu.constants import tag_name_map as _tags

HEADER_OCTETS: Final = 16
RESPONSE_BIT: Final = 0x80000000
MAX_SEQUENCE_NUMBER: Final = 0x7FFFFFFF
VERSION_3_4: Final = 0x34
VERSION_5_0: Final = 0x50
MAX_SHORT_MESSAGE_OCTETS: Final = 254
MAX_MESSAGE_PAYLOAD_OCTETS: Final = 65_535
MAX_PASSWORD_OCTETS: Final = 64  # SMPP 3.4, 5.2.2 says 8; the field has longer ones, and most stacks send them whole


class CommandId(IntEnum):
    """SMPP 3.4, 5.1.2.1. Bit 31 marks a response."""

    GENERIC_NACK = _command_ids["generic_nack"]
    BIND_RECEIVER = _command_ids["bind_receiver"]
    BIND_RECEIVER_RESP = _command_ids["bind_receiver_resp"]
    BIND_TRANSMITTER = _command_ids["bind_transmitter"]
    BIND_TRANSMITTER_RESP = _command_ids["bind_transmitter_resp"]
    QUERY_SM = _command_ids["query_sm"]
    QUERY_SM_RESP = _command_ids["query_sm_resp"]
    SUBMIT_SM = _command_ids["submit_sm"]
    SUBMIT_SM_RESP = _command_ids["submit_sm_resp"]
    DELIVER_SM = _command_ids["deliver_sm"]
    DELIVER_SM_RESP = _command_ids["deliver_sm_resp"]
    UNBIND = _command_ids["unbind"]
    UNBIND_RESP = _command_ids["unbind_resp"]
    REPLACE_SM = _command_ids["replace_sm"]
    REPLACE_SM_RESP = _command_ids["replace_sm_resp"]
    CANCEL_SM = _command_ids["cancel_sm"]
    CANCEL_SM_RESP = _command_ids["cancel_sm_resp"]
    BIND_TRANSCEIVER = _command_ids["bind_transceiver"]
    BIND_TRANSCEIVER_RESP = _command_ids["bind_transceiver_resp"]
    OUTBIND = _command_ids["outbind"]
    ENQUIRE_LINK = _command_ids["enquire_link"]
    ENQUIRE_LINK_RESP = _command_ids["enquire_link_resp"]
    SUBMIT_MULTI = _command_ids["submit_multi"]
    SUBMIT_MULTI_RESP = _command_ids["submit_multi_resp"]
    ALERT_NOTIFICATION = _command_ids["alert_notification"]
    DATA_SM = _command_ids["data_sm"]
    DATA_SM_RESP = _command_ids["data_sm_resp"]


class CommandStatus(IntEnum):
    """SMPP 3.4, 5.1.3 and SMPP 5.0, 4.7.6. Unknown values are legal: keep a status as int."""

    ESME_ROK = _statuses["ESME_ROK"]
    ESME_RINVMSGLEN = _statuses["ESME_RINVMSGLEN"]
    ESME_RINVCMDLEN = _statuses["ESME_RINVCMDLEN"]
    ESME_RINVCMDID = _statuses["ESME_RINVCMDID"]
    ESME_RINVBNDSTS = _statuses["ESME_RINVBNDSTS"]
    ESME_RALYBND = _statuses["ESME_RALYBND"]
    ESME_RINVPRTFLG = _statuses["ESME_RINVPRTFLG"]
    ESME_RINVREGDLVFLG = _statuses["ESME_RINVREGDLVFLG"]
    ESME_RSYSERR = _statuses["ESME_RSYSERR"]
    ESME_RINVSRCADR = _statuses["ESME_RINVSRCADR"]
    ESME_RINVDSTADR = _statuses["ESME_RINVDSTADR"]
    ESME_RINVMSGID = _statuses["ESME_RINVMSGID"]
    ESME_RBINDFAIL = _statuses["ESME_RBINDFAIL"]
    ESME_RINVPASWD = _statuses["ESME_RINVPASWD"]
    ESME_RINVSYSID = _statuses["ESME_RINVSYSID"]
    ESME_RCANCELFAIL = _statuses["ESME_RCANCELFAIL"]
    ESME_RREPLACEFAIL = _statuses["ESME_RREPLACEFAIL"]
    ESME_RMSGQFUL = _statuses["ESME_RMSGQFUL"]
    ESME_RINVSERTYP = _statuses["ESME_RINVSERTYP"]
    ESME_RINVNUMDESTS = _statuses["ESME_RINVNUMDESTS"]
    ESME_RINVDLNAME = _statuses["ESME_RINVDLNAME"]
    ESME_RINVDESTFLAG = _statuses["ESME_RINVDESTFLAG"]
    ESME_RINVSUBREP = _statuses["ESME_RINVSUBREP"]
    ESME_RINVESMCLASS = _statuses["ESME_RINVESMCLASS"]
    ESME_RCNTSUBDL = _statuses["ESME_RCNTSUBDL"]
    ESME_RSUBMITFAIL = _statuses["ESME_RSUBMITFAIL"]
    ESME_RINVSRCTON = _statuses["ESME_RINVSRCTON"]
    ESME_RINVSRCNPI = _statuses["ESME_RINVSRCNPI"]
    ESME_RINVDSTTON = _statuses["ESME_RINVDSTTON"]
    ESME_RINVDSTNPI = _statuses["ESME_RINVDSTNPI"]
    ESME_RINVSYSTYP = _statuses["ESME_RINVSYSTYP"]
    ESME_RINVREPFLAG = _statuses["ESME_RINVREPFLAG"]
    ESME_RINVNUMMSGS = _statuses["ESME_RINVNUMMSGS"]
    ESME_RTHROTTLED = _statuses["ESME_RTHROTTLED"]
    ESME_RINVSCHED = _statuses["ESME_RINVSCHED"]
    ESME_RINVEXPIRY = _statuses["ESME_RINVEXPIRY"]
    ESME_RINVDFTMSGID = _statuses["ESME_RINVDFTMSGID"]
    ESME_RX_T_APPN = _statuses["ESME_RX_T_APPN"]
    ESME_RX_P_APPN = _statuses["ESME_RX_P_APPN"]
    ESME_RX_R_APPN = _statuses["ESME_RX_R_APPN"]
    ESME_RQUERYFAIL = _statuses["ESME_RQUERYFAIL"]
    ESME_RINVOPTPARSTREAM = _statuses["ESME_RINVOPTPARSTREAM"]
    ESME_ROPTPARNOTALLWD = _statuses["ESME_ROPTPARNOTALLWD"]
    ESME_RINVPARLEN = _statuses["ESME_RINVPARLEN"]
    ESME_RMISSINGOPTPARAM = _statuses["ESME_RMISSINGOPTPARAM"]
    ESME_RINVOPTPARAMVAL = _statuses["ESME_RINVOPTPARAMVAL"]
    ESME_RDELIVERYFAILURE = _statuses["ESME_RDELIVERYFAILURE"]
    ESME_RUNKNOWNERR = _statuses["ESME_RUNKNOWNERR"]
    ESME_RSERTYPUNAUTH = _statuses["ESME_RSERTYPUNAUTH"]
    ESME_RPROHIBITED = _statuses["ESME_RPROHIBITED"]
    ESME_RSERTYPUNAVAIL = _statuses["ESME_RSERTYPUNAVAIL"]
    ESME_RSERTYPDENIED = _statuses["ESME_RSERTYPDENIED"]
    ESME_RINVDCS = _statuses["ESME_RINVDCS"]
    ESME_RINVSRCADDRSUBUNIT = _statuses["ESME_RINVSRCADDRSUBUNIT"]
    ESME_RINVDSTADDRSUBUNIT = _statuses["ESME_RINVDSTADDRSUBUNIT"]
    ESME_RINVBCASTFREQINT = _statuses["ESME_RINVBCASTFREQINT"]
    ESME_RINVBCASTALIAS_NAME = _statuses["ESME_RINVBCASTALIAS_NAME"]
    ESME_RINVBCASTAREAFMT = _statuses["ESME_RINVBCASTAREAFMT"]
    ESME_RINVNUMBCAST_AREAS = _statuses["ESME_RINVNUMBCAST_AREAS"]
    ESME_RINVBCASTCNTTYPE = _statuses["ESME_RINVBCASTCNTTYPE"]
    ESME_RINVBCASTMSGCLASS = _statuses["ESME_RINVBCASTMSGCLASS"]
    ESME_RBCASTFAIL = _statuses["ESME_RBCASTFAIL"]
    ESME_RBCASTQUERYFAIL = _statuses["ESME_RBCASTQUERYFAIL"]
    ESME_RBCASTCANCELFAIL = _statuses["ESME_RBCASTCANCELFAIL"]
    ESME_RINVBCAST_REP = _statuses["ESME_RINVBCAST_REP"]
    ESME_RINVBCASTSRVGRP = _statuses["ESME_RINVBCASTSRVGRP"]
    ESME_RINVBCASTCHANIND = _statuses["ESME_RINVBCASTCHANIND"]


class Tag(IntEnum):
    """TLV tags: SMPP 3.4, 5.3.2; congestion_state: SMPP 5.0, 4.8.4.18."""

    DEST_ADDR_SUBUNIT = _tags["dest_addr_subunit"]
    DEST_NETWORK_TYPE = _tags["dest_network_type"]
    DEST_BEARER_TYPE = _tags["dest_bearer_type"]
    DEST_TELEMATICS_ID = _tags["dest_telematics_id"]
    SOURCE_ADDR_SUBUNIT = _tags["source_addr_subunit"]
    SOURCE_NETWORK_TYPE = _tags["source_network_type"]
    SOURCE_BEARER_TYPE = _tags["source_bearer_type"]
    SOURCE_TELEMATICS_ID = _tags["source_telematics_id"]
    QOS_TIME_TO_LIVE = _tags["qos_time_to_live"]
    PAYLOAD_TYPE = _tags["payload_type"]
    ADDITIONAL_STATUS_INFO_TEXT = _tags["additional_status_info_text"]
    RECEIPTED_MESSAGE_ID = _tags["receipted_message_id"]
    MS_MSG_WAIT_FACILITIES = _tags["ms_msg_wait_facilities"]
    PRIVACY_INDICATOR = _tags["privacy_indicator"]
    SOURCE_SUBADDRESS = _tags["source_subaddress"]
    DEST_SUBADDRESS = _tags["dest_subaddress"]
    USER_MESSAGE_REFERENCE = _tags["user_message_reference"]
    USER_RESPONSE_CODE = _tags["user_response_code"]
    SOURCE_PORT = _tags["source_port"]
    DESTINATION_PORT = _tags["destination_port"]
    SAR_MSG_REF_NUM = _tags["sar_msg_ref_num"]
    LANGUAGE_INDICATOR = _tags["language_indicator"]
    SAR_TOTAL_SEGMENTS = _tags["sar_total_segments"]
    SAR_SEGMENT_SEQNUM = _tags["sar_segment_seqnum"]
    SC_INTERFACE_VERSION = _tags["sc_interface_version"]
    CALLBACK_NUM_PRES_IND = _tags["callback_num_pres_ind"]
    CALLBACK_NUM_ATAG = _tags["callback_num_atag"]
    NUMBER_OF_MESSAGES = _tags["number_of_messages"]
    CALLBACK_NUM = _tags["callback_num"]
    DPF_RESULT = _tags["dpf_result"]
    SET_DPF = _tags["set_dpf"]
    MS_AVAILABILITY_STATUS = _tags["ms_availability_status"]
    NETWORK_ERROR_CODE = _tags["network_error_code"]
    MESSAGE_PAYLOAD = _tags["message_payload"]
    DELIVERY_FAILURE_REASON = _tags["delivery_failure_reason"]
    MORE_MESSAGES_TO_SEND = _tags["more_messages_to_send"]
    MESSAGE_STATE = _tags["message_state"]
    CONGESTION_STATE = 0x0428
    USSD_SERVICE_OP = _tags["ussd_service_op"]
    DISPLAY_TIME = _tags["display_time"]
    SMS_SIGNAL = _tags["sms_signal"]
    MS_VALIDITY = _tags["ms_validity"]
    ALERT_ON_MESSAGE_DELIVERY = _tags["alert_on_message_delivery"]
    ITS_REPLY_TYPE = _tags["its_reply_type"]
    ITS_SESSION_INFO = _tags["its_session_info"]


class Ton(IntEnum):
    """Type of number: SMPP 3.4, 5.2.5."""

    UNKNOWN = 0
    INTERNATIONAL = 1
    NATIONAL = 2
    NETWORK_SPECIFIC = 3
    SUBSCRIBER_NUMBER = 4
    ALPHANUMERIC = 5
    ABBREVIATED = 6


class Npi(IntEnum):
    """Numbering plan indicator: SMPP 3.4, 5.2.6."""

    UNKNOWN = 0
    ISDN = 1
    DATA = 3
    TELEX = 4
    LAND_MOBILE = 6
    NATIONAL = 8
    PRIVATE = 9
    ERMES = 10
    INTERNET = 14
    WAP_CLIENT_ID = 18


class MessageState(IntEnum):
    """SMPP 3.4, 5.2.28; SCHEDULED and SKIPPED: SMPP 5.0, 4.7.15."""

    SCHEDULED = 0
    ENROUTE = 1
    DELIVERED = 2
    EXPIRED = 3
    DELETED = 4
    UNDELIVERABLE = 5
    ACCEPTED = 6
    UNKNOWN = 7
    REJECTED = 8
    SKIPPED = 9


class EsmClass:
    """Bits of esm_class: SMPP 3.4, 5.2.12."""

    MODE_MASK: Final = 0x03
    TYPE_MASK: Final = 0x3C
    DELIVERY_RECEIPT: Final = 0x04
    DELIVERY_ACK: Final = 0x08
    USER_ACK: Final = 0x10
    INTERMEDIATE_NOTIFICATION: Final = 0x20
    UDHI: Final = 0x40
    REPLY_PATH: Final = 0x80


class RegisteredDelivery:
    """Bits of registered_delivery: SMPP 3.4, 5.2.17; SUCCESS_ONLY: SMPP 5.0, 4.7.21."""

    RECEIPT_MASK: Final = 0x03
    NONE: Final = 0
    ALWAYS: Final = 1
    FAILURE_ONLY: Final = 2
    SUCCESS_ONLY: Final = 3
    INTERMEDIATE: Final = 0x10
