"""Why a request is refused, and the command_status that says so: one table (SMPP 3.4, 5.1.3)."""

from __future__ import annotations

from enum import Enum, auto

from gateway.smpp.constants import CommandStatus


class Refusal(Enum):
    """Reasons of ours for saying no to a request or a bind."""

    UNKNOWN_SYSTEM_ID = auto()
    WRONG_PASSWORD = auto()
    ADDRESS_NOT_ALLOWED = auto()
    TOO_MANY_BINDS = auto()
    BANNED = auto()
    UNREADABLE_DESTINATION = auto()
    SOURCE_NOT_ALLOWED = auto()
    BAD_SERVICE_TYPE = auto()
    EMPTY_TEXT = auto()
    CANNED_TEXT = auto()
    TEXT_GIVEN_TWICE = auto()
    NO_PAYLOAD = auto()
    BAD_REPLACE_FLAG = auto()
    BAD_SCHEDULE = auto()
    BAD_VALIDITY = auto()
    NOT_A_TEXT = auto()
    USSD = auto()
    OVER_RATE = auto()
    DISTRIBUTION_LIST = auto()
    NO_DESTINATION_TAKEN = auto()
    CLOSING = auto()
    OUR_FAULT = auto()


STATUS: dict[Refusal, int] = {
    Refusal.UNKNOWN_SYSTEM_ID: CommandStatus.ESME_RINVSYSID,
    Refusal.WRONG_PASSWORD: CommandStatus.ESME_RINVPASWD,
    Refusal.ADDRESS_NOT_ALLOWED: CommandStatus.ESME_RBINDFAIL,
    Refusal.TOO_MANY_BINDS: CommandStatus.ESME_RBINDFAIL,
    Refusal.BANNED: CommandStatus.ESME_RBINDFAIL,
    Refusal.UNREADABLE_DESTINATION: CommandStatus.ESME_RINVDSTADR,
    Refusal.SOURCE_NOT_ALLOWED: CommandStatus.ESME_RINVSRCADR,
    Refusal.BAD_SERVICE_TYPE: CommandStatus.ESME_RINVSERTYP,
    Refusal.EMPTY_TEXT: CommandStatus.ESME_RINVMSGLEN,
    Refusal.CANNED_TEXT: CommandStatus.ESME_RINVDFTMSGID,
    Refusal.TEXT_GIVEN_TWICE: CommandStatus.ESME_ROPTPARNOTALLWD,
    Refusal.NO_PAYLOAD: CommandStatus.ESME_RMISSINGOPTPARAM,
    Refusal.BAD_REPLACE_FLAG: CommandStatus.ESME_RINVREPFLAG,
    Refusal.BAD_SCHEDULE: CommandStatus.ESME_RINVSCHED,
    Refusal.BAD_VALIDITY: CommandStatus.ESME_RINVEXPIRY,
    Refusal.NOT_A_TEXT: CommandStatus.ESME_RINVOPTPARAMVAL,
    Refusal.USSD: CommandStatus.ESME_ROPTPARNOTALLWD,
    Refusal.OVER_RATE: CommandStatus.ESME_RTHROTTLED,
    Refusal.DISTRIBUTION_LIST: CommandStatus.ESME_RINVDLNAME,
    Refusal.NO_DESTINATION_TAKEN: CommandStatus.ESME_RSUBMITFAIL,
    Refusal.CLOSING: CommandStatus.ESME_RINVBNDSTS,
    Refusal.OUR_FAULT: CommandStatus.ESME_RSYSERR,
}

_NAMES = {int(status): status.name for status in CommandStatus}


def status_name(command_status: int) -> str:
    """The specification's name of a status, for metrics; unnamed ones in hexadecimal."""
    return _NAMES.get(command_status) or f"0x{command_status:08X}"
