"""The two lists inside PDUs: the destinations of submit_multi and the failures of its response (SMPP 3.4, 4.5)."""

import re
from struct import Struct as Layout

from .constants import CommandId, CommandStatus
from .errors import BadPdu, LocalProtocolError
from .fields import DistributionList, SmeAddress, UnsuccessSme

MAX_DESTINATIONS = 254
_SME_ADDRESS = 1
_DISTRIBUTION_LIST = 2
_NAME_CHARS = 20
_STATUS = Layout(">I")
_NAME = re.compile(r"[^\x00-\x1f\x7f]{0,20}")


def read_destinations(
    frame: bytes, text: str, at: int, sequence_number: int
) -> tuple[tuple[SmeAddress | DistributionList, ...], int]:
    """number_of_dests and its addresses from `at`; returns them and where they end.

    text: the frame as Latin-1. Raises BadPdu, or IndexError and ValueError when the frame ends inside.
    """

    def refused(status: CommandStatus) -> BadPdu:
        return BadPdu(int(CommandId.SUBMIT_MULTI), sequence_number, int(status))

    count = frame[at]
    at += 1
    if not 1 <= count <= MAX_DESTINATIONS:
        raise refused(CommandStatus.ESME_RINVNUMDESTS)
    found: list[SmeAddress | DistributionList] = []
    for _ in range(count):
        flag = frame[at]
        if flag == _SME_ADDRESS:
            ton, npi = frame[at + 1], frame[at + 2]
            end = text.index("\0", at + 3)
            if end - at - 3 > _NAME_CHARS:
                raise refused(CommandStatus.ESME_RINVDSTADR)
            found.append(SmeAddress(ton, npi, text[at + 3 : end]))
        elif flag == _DISTRIBUTION_LIST:
            end = text.index("\0", at + 1)
            if end - at - 1 > _NAME_CHARS:
                raise refused(CommandStatus.ESME_RINVDLNAME)
            found.append(DistributionList(text[at + 1 : end]))
        else:
            raise refused(CommandStatus.ESME_RINVDESTFLAG)
        at = end + 1
    return tuple(found), at


def write_destinations(destinations: tuple[SmeAddress | DistributionList, ...]) -> str:
    """number_of_dests and the addresses, as Latin-1 characters."""
    if not 1 <= len(destinations) <= MAX_DESTINATIONS:
        raise LocalProtocolError("dest_addresses: 1 to 254 of them")
    parts = [chr(len(destinations))]
    for destination in destinations:
        if isinstance(destination, SmeAddress):
            parts.append(f"\x01{_address(destination)}")
        else:
            parts.append(f"\x02{_name(destination.dl_name)}")
    return "".join(parts)


def read_unsuccesses(frame: bytes, text: str, at: int) -> tuple[tuple[UnsuccessSme, ...], int]:
    """no_unsuccess and its entries from `at`, as far as the frame goes; returns them and where they end."""
    count = frame[at] if at < len(frame) else 0
    at += 1
    found: list[UnsuccessSme] = []
    for _ in range(count):
        end = text.find("\0", at + 2)
        if end < 0 or end + 5 > len(frame):
            return tuple(found), len(frame)
        (status,) = _STATUS.unpack_from(frame, end + 1)
        found.append(UnsuccessSme(frame[at], frame[at + 1], text[at + 2 : end], status))
        at = end + 5
    return tuple(found), at


def write_unsuccesses(unsuccesses: tuple[UnsuccessSme, ...]) -> str:
    """no_unsuccess and the entries, as Latin-1 characters."""
    if len(unsuccesses) > MAX_DESTINATIONS:
        raise LocalProtocolError("unsuccess_smes: at most 254 of them")
    entries = [f"{_address(sme)}{_STATUS.pack(sme.error_status_code).decode('latin-1')}" for sme in unsuccesses]
    return chr(len(unsuccesses)) + "".join(entries)


def _address(sme: SmeAddress | UnsuccessSme) -> str:
    if not (0 <= sme.dest_addr_ton <= 255 and 0 <= sme.dest_addr_npi <= 255):
        raise LocalProtocolError("dest_addr_ton, dest_addr_npi: an octet each")
    return f"{chr(sme.dest_addr_ton)}{chr(sme.dest_addr_npi)}{_name(sme.destination_addr)}"


def _name(name: str) -> str:
    if _NAME.fullmatch(name) is None:
        raise LocalProtocolError("destination_addr, dl_name: at most 20 characters, none of them a control")
    return f"{name}\0"
