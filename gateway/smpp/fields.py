"""What the fields of a PDU look like on the wire, as annotations of its struct.

A C-Octet String is a `str` (Latin-1 in both directions), an Octet String `bytes`, an integer `int`. Every kind knows
the command_status that a bad value earns. Source: SMPP 3.4, 3.1 and 5.2.
"""

from typing import Annotated

from msgspec import Struct

from .constants import MAX_PASSWORD_OCTETS
from .constants import CommandStatus as Status


class Integer(Struct, frozen=True):
    """One octet. A request with a value above `largest` is answered with `status`."""

    largest: int = 255
    status: int = 0


class CString(Struct, frozen=True):
    """A string ended by NUL; `octets` is its maximum and includes the NUL.

    ascii: octets above 0x7F are refused. required: an empty string is refused. may_be_absent: the body may end before
    it. private: a phone number, of which repr shows the last four characters.
    """

    octets: int
    status: int = int(Status.ESME_RINVCMDLEN)
    ascii: bool = False
    required: bool = False
    may_be_absent: bool = False
    private: bool = False


class ShortMessage(Struct, frozen=True):
    """sm_length and the octets it counts; sm_length itself is not kept."""


class Destinations(Struct, frozen=True):
    """number_of_dests and that many dest_address: SMPP 3.4, 4.5.1.1."""


class Unsuccesses(Struct, frozen=True):
    """no_unsuccess and that many unsuccess_sme: SMPP 3.4, 4.5.2.1."""


Kind = Integer | CString | ShortMessage | Destinations | Unsuccesses


class SmeAddress(Struct, frozen=True, gc=False):
    """dest_flag 1 in submit_multi: one phone."""

    dest_addr_ton: int = 0
    dest_addr_npi: int = 0
    destination_addr: str = ""

    def __repr__(self) -> str:
        return f"SmeAddress({masked(self.destination_addr)})"


class DistributionList(Struct, frozen=True, gc=False):
    """dest_flag 2 in submit_multi."""

    dl_name: str = ""


class UnsuccessSme(Struct, frozen=True, gc=False):
    """A destination that submit_multi could not serve, and the command_status that says why."""

    dest_addr_ton: int = 0
    dest_addr_npi: int = 0
    destination_addr: str = ""
    error_status_code: int = 0

    def __repr__(self) -> str:
        return f"UnsuccessSme({masked(self.destination_addr)}, 0x{self.error_status_code:x})"


def masked(address: str) -> str:
    """The address as it may be shown: its last four characters, fewer of a short one."""
    return "****" + address[4:][-4:] if address else ""


_SOURCE = int(Status.ESME_RINVSRCADR)
_DESTINATION = int(Status.ESME_RINVDSTADR)

Octet = Annotated[int, Integer()]
ReplaceIfPresent = Annotated[int, Integer(1, int(Status.ESME_RINVREPFLAG))]
SystemId = Annotated[str, CString(16, int(Status.ESME_RINVSYSID), ascii=True)]
Password = Annotated[str, CString(MAX_PASSWORD_OCTETS + 1, int(Status.ESME_RINVPASWD))]
SystemType = Annotated[str, CString(13, int(Status.ESME_RINVSYSTYP), ascii=True)]
AddressRange = Annotated[str, CString(41, int(Status.ESME_RBINDFAIL), may_be_absent=True)]
ServiceType = Annotated[str, CString(6, int(Status.ESME_RINVSERTYP))]
SourceAddr = Annotated[str, CString(21, _SOURCE, private=True)]
LongSourceAddr = Annotated[str, CString(65, _SOURCE, private=True)]
DestinationAddr = Annotated[str, CString(21, _DESTINATION, private=True)]
SubmitDestinationAddr = Annotated[str, CString(21, _DESTINATION, required=True, private=True)]
LongDestinationAddr = Annotated[str, CString(65, _DESTINATION, private=True)]
ScheduleDeliveryTime = Annotated[str, CString(17, int(Status.ESME_RINVSCHED), ascii=True)]
ValidityPeriod = Annotated[str, CString(17, int(Status.ESME_RINVEXPIRY), ascii=True)]
UnusedTime = Annotated[str, CString(17)]
FinalDate = Annotated[str, CString(17)]
MessageId = Annotated[str, CString(65, int(Status.ESME_RINVMSGID))]
Text = Annotated[bytes, ShortMessage()]
DestAddresses = Annotated[tuple[SmeAddress | DistributionList, ...], Destinations()]
UnsuccessSmes = Annotated[tuple[UnsuccessSme, ...], Unsuccesses()]
