"""The numbers of the specification, spelled out once more."""

import pytest
from smpp.pdu.constants import command_id_name_map, command_status_name_map, tag_name_map

from gateway.smpp.constants import CommandId, CommandStatus, MessageState, Npi, Tag, Ton


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("BIND_RECEIVER", 0x00000001),
        ("BIND_TRANSMITTER", 0x00000002),
        ("QUERY_SM", 0x00000003),
        ("SUBMIT_SM", 0x00000004),
        ("DELIVER_SM", 0x00000005),
        ("UNBIND", 0x00000006),
        ("REPLACE_SM", 0x00000007),
        ("CANCEL_SM", 0x00000008),
        ("BIND_TRANSCEIVER", 0x00000009),
        ("ENQUIRE_LINK", 0x00000015),
        ("SUBMIT_MULTI", 0x00000021),
        ("DATA_SM", 0x00000103),
    ],
)
def test_a_response_has_the_number_of_its_request_with_the_top_bit(name: str, number: int) -> None:
    assert CommandId[name] == number
    assert CommandId[f"{name}_RESP"] == number | 0x80000000


def test_commands_without_a_pair_have_their_numbers() -> None:
    assert (CommandId.GENERIC_NACK, CommandId.OUTBIND, CommandId.ALERT_NOTIFICATION) == (0x80000000, 0x0B, 0x102)


@pytest.mark.parametrize(
    ("name", "number"),
    [
        *[("ROK", 0x00), ("RINVMSGLEN", 0x01), ("RINVCMDLEN", 0x02), ("RINVCMDID", 0x03), ("RINVBNDSTS", 0x04)],
        *[("RALYBND", 0x05), ("RINVPRTFLG", 0x06), ("RINVREGDLVFLG", 0x07), ("RSYSERR", 0x08), ("RINVSRCADR", 0x0A)],
        *[("RINVDSTADR", 0x0B), ("RINVMSGID", 0x0C), ("RBINDFAIL", 0x0D), ("RINVPASWD", 0x0E), ("RINVSYSID", 0x0F)],
        *[("RCANCELFAIL", 0x11), ("RREPLACEFAIL", 0x13), ("RMSGQFUL", 0x14), ("RINVSERTYP", 0x15)],
        *[("RINVNUMDESTS", 0x33), ("RINVDLNAME", 0x34), ("RINVDESTFLAG", 0x40), ("RINVSUBREP", 0x42)],
        *[("RINVESMCLASS", 0x43), ("RCNTSUBDL", 0x44), ("RSUBMITFAIL", 0x45), ("RINVSRCTON", 0x48)],
        *[("RINVSRCNPI", 0x49), ("RINVDSTTON", 0x50), ("RINVDSTNPI", 0x51), ("RINVSYSTYP", 0x53)],
        *[("RINVREPFLAG", 0x54), ("RINVNUMMSGS", 0x55), ("RTHROTTLED", 0x58), ("RINVSCHED", 0x61)],
        *[("RINVEXPIRY", 0x62), ("RINVDFTMSGID", 0x63), ("RX_T_APPN", 0x64), ("RX_P_APPN", 0x65)],
        *[("RX_R_APPN", 0x66), ("RQUERYFAIL", 0x67), ("RINVOPTPARSTREAM", 0xC0), ("ROPTPARNOTALLWD", 0xC1)],
        *[("RINVPARLEN", 0xC2), ("RMISSINGOPTPARAM", 0xC3), ("RINVOPTPARAMVAL", 0xC4)],
        *[("RDELIVERYFAILURE", 0xFE), ("RUNKNOWNERR", 0xFF), ("RSERTYPUNAUTH", 0x100), ("RPROHIBITED", 0x101)],
        *[("RSERTYPUNAVAIL", 0x102), ("RSERTYPDENIED", 0x103), ("RINVDCS", 0x104)],
    ],
)
def test_a_status_has_its_number(name: str, number: int) -> None:
    assert CommandStatus[f"ESME_{name}"] == number


@pytest.mark.parametrize(
    ("tag", "number"),
    [
        (Tag.QOS_TIME_TO_LIVE, 0x0017),
        (Tag.PAYLOAD_TYPE, 0x0019),
        (Tag.ADDITIONAL_STATUS_INFO_TEXT, 0x001D),
        (Tag.RECEIPTED_MESSAGE_ID, 0x001E),
        (Tag.USER_MESSAGE_REFERENCE, 0x0204),
        (Tag.SOURCE_PORT, 0x020A),
        (Tag.DESTINATION_PORT, 0x020B),
        (Tag.SAR_MSG_REF_NUM, 0x020C),
        (Tag.SAR_TOTAL_SEGMENTS, 0x020E),
        (Tag.SAR_SEGMENT_SEQNUM, 0x020F),
        (Tag.SC_INTERFACE_VERSION, 0x0210),
        (Tag.CALLBACK_NUM, 0x0381),
        (Tag.NETWORK_ERROR_CODE, 0x0423),
        (Tag.MESSAGE_PAYLOAD, 0x0424),
        (Tag.DELIVERY_FAILURE_REASON, 0x0425),
        (Tag.MORE_MESSAGES_TO_SEND, 0x0426),
        (Tag.MESSAGE_STATE, 0x0427),
        (Tag.CONGESTION_STATE, 0x0428),
        (Tag.USSD_SERVICE_OP, 0x0501),
        (Tag.ITS_SESSION_INFO, 0x1383),
    ],
)
def test_a_tag_has_its_number(tag: Tag, number: int) -> None:
    assert tag == number


def test_nothing_that_smpp_pdu_names_is_missing() -> None:
    assert {member.name.lower(): member.value for member in CommandId} == command_id_name_map
    assert {s.name: s.value for s in CommandStatus} == {k: v for k, v in command_status_name_map.items() if v >= 0}
    assert {tag.name.lower(): tag.value for tag in Tag if tag is not Tag.CONGESTION_STATE} == {
        name: number for name, number in tag_name_map.items() if number >= 0
    }


def test_ton_npi_and_message_state_have_their_numbers() -> None:
    assert [int(ton) for ton in Ton] == [0, 1, 2, 3, 4, 5, 6]
    assert [int(npi) for npi in Npi] == [0, 1, 3, 4, 6, 8, 9, 10, 14, 18]
    assert [int(state) for state in MessageState] == list(range(10))
