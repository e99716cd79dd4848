"""What an error command_status in a submit_sm_resp, data_sm_resp or bind response means for us as the ESME.

The specification names the codes (SMPP 3.4, 5.1.3) but not what to do about them; this is this gateway's reading.
"""

from enum import Enum

from .constants import CommandStatus as Status


class Verdict(Enum):
    """PERMANENT: this message fails now. TEMPORARY: try it again later, see retry_limit. THROTTLED: slow the link down
    and try again, which does not count as a retry. CONFIGURATION: this message fails now, and someone must look at our
    settings. LINK: the session is of no use; the message goes back uncounted.
    """

    PERMANENT = "permanent"
    TEMPORARY = "temporary"
    THROTTLED = "throttled"
    CONFIGURATION = "configuration"
    LINK = "link"


UNCLEAR_RETRIES = 2

_LINK = (
    Status.ESME_RINVBNDSTS,
    Status.ESME_RALYBND,
    Status.ESME_RBINDFAIL,
    Status.ESME_RINVPASWD,
    Status.ESME_RINVSYSID,
    Status.ESME_RINVSYSTYP,
)
_LINK_ALARMS = frozenset({Status.ESME_RINVPASWD, Status.ESME_RINVSYSID, Status.ESME_RINVSYSTYP})
_THROTTLED = (Status.ESME_RTHROTTLED,)
_PERMANENT = (
    Status.ESME_RINVMSGLEN,
    Status.ESME_RINVDSTADR,
    Status.ESME_RINVMSGID,
    Status.ESME_RINVSUBREP,
    Status.ESME_RX_P_APPN,
    Status.ESME_RX_R_APPN,
)
_TEMPORARY = (
    Status.ESME_RSYSERR,
    Status.ESME_RMSGQFUL,
    Status.ESME_RX_T_APPN,
    Status.ESME_RSERTYPUNAVAIL,
)
# Operators use these for anything: a few retries, then the message fails. All codes not named here count as such.
_UNCLEAR = (
    Status.ESME_RSUBMITFAIL,
    Status.ESME_RDELIVERYFAILURE,
    Status.ESME_RUNKNOWNERR,
    Status.ESME_RCANCELFAIL,
    Status.ESME_RREPLACEFAIL,
    Status.ESME_RQUERYFAIL,
)

_VERDICTS: dict[int, Verdict] = {
    **{int(status): Verdict.CONFIGURATION for status in Status if status is not Status.ESME_ROK},
    **{int(status): Verdict.LINK for status in _LINK},
    **{int(status): Verdict.THROTTLED for status in _THROTTLED},
    **{int(status): Verdict.PERMANENT for status in _PERMANENT},
    **{int(status): Verdict.TEMPORARY for status in (*_TEMPORARY, *_UNCLEAR)},
}
_UNLIMITED = frozenset(int(status) for status in (*_TEMPORARY, *_THROTTLED, *_LINK))
_TEMPORARY_REASONS = (0, 3)
_PERMANENT_REASONS = (1, 2)


def classify(command_status: int, delivery_failure_reason: int | None = None) -> Verdict:
    """What to do about an error status; vendor and reserved codes are TEMPORARY.

    delivery_failure_reason: that TLV's value (SMPP 3.4, 5.3.2.33), which decides about ESME_RDELIVERYFAILURE.
    Raises ValueError for ESME_ROK, which is not an error.
    """
    if command_status == Status.ESME_ROK:
        raise ValueError("ESME_ROK is not an error")
    if command_status == Status.ESME_RDELIVERYFAILURE and delivery_failure_reason in _PERMANENT_REASONS:
        return Verdict.PERMANENT
    return _VERDICTS.get(command_status, Verdict.TEMPORARY)


def retry_limit(command_status: int, delivery_failure_reason: int | None = None) -> int | None:
    """How often a message may be tried again after this status; None: as long as it is valid."""
    if classify(command_status, delivery_failure_reason) in (Verdict.PERMANENT, Verdict.CONFIGURATION):
        return 0
    if command_status == Status.ESME_RDELIVERYFAILURE and delivery_failure_reason in _TEMPORARY_REASONS:
        return None
    return None if command_status in _UNLIMITED else UNCLEAR_RETRIES


def needs_attention(command_status: int) -> bool:
    """Whether someone must act: our settings, our credentials or our PDUs are wrong."""
    return command_status in _LINK_ALARMS or classify(command_status) is Verdict.CONFIGURATION


def is_known(command_status: int) -> bool:
    """Whether SMPP 3.4 or 5.0 defines the code; others deserve a note the first time they are seen."""
    return command_status == Status.ESME_ROK or command_status in _VERDICTS
