"""Habits of old clients that an account may ask us to follow: single switches, and presets that stand for several.

A switch is off unless it is named. What each one does is written beside it; gateway/server/dialect.py does it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from config.fields import shown

SWITCHES: Mapping[str, str] = MappingProxyType({
    "nul_terminated_text": "the text ends in a NUL that sm_length counts; it is taken off",
    "no_tlvs": "no TLV is ever sent to it, whatever interface_version it binds with",
    "hex_ids": "message ids are eight hexadecimal digits",
    "decimal_ids": "message ids are decimal numbers of up to ten digits",
    "decimal_receipt_ids": "receipts name the decimal value of a hexadecimal id",
    "receipt_seconds": "dates in receipts have seconds: YYMMDDhhmmss",
    "receipt_per_message": "a text in parts has one receipt, that of its first part",
    "already_bound": "past max_binds a bind is refused with ESME_RALYBND instead of ESME_RBINDFAIL",
    "data_sm": "receipts and texts come as data_sm instead of deliver_sm",
})  # fmt: skip

PRESETS: Mapping[str, tuple[str, ...]] = MappingProxyType({
    # SMPP 3.3 knows no TLVs, and its message_id holds eight hexadecimal digits and a NUL
    "smpp33": ("no_tlvs", "hex_ids"),
    # What Kannel calls msg-id-type 0x01: an SMSC whose submit_sm_resp has the id in hexadecimal, its receipt in decimal
    "hex_then_decimal": ("hex_ids", "decimal_receipt_ids"),
})  # fmt: skip

# A switch, what it cannot go with, and why.
CONTRADICTIONS: tuple[tuple[str, str, str], ...] = (
    ("hex_ids", "decimal_ids", "an id is written in one way; keep one of them"),
    ("no_tlvs", "data_sm", "the text of a data_sm is a TLV; keep one of them"),
)
NEEDS: tuple[tuple[str, str], ...] = (("decimal_receipt_ids", "hex_ids"),)


def named(value: object) -> str:
    """One entry of `quirks`; ValueError when there is no such switch or preset."""
    if isinstance(value, str) and (value in SWITCHES or value in PRESETS):
        return str(value)
    known = (*PRESETS, *SWITCHES)
    near = difflib.get_close_matches(value.lower(), known, 1) if isinstance(value, str) else []
    hint = f"did you mean {near[0]}?" if near else f"there is {', '.join(known)}"
    raise ValueError(f"{shown(value)} is not a quirk that is known here; {hint}")


def switches(names: Iterable[str]) -> frozenset[str]:
    """The single switches that these names stand for; names that are not known are passed over."""
    return frozenset(one for name in names for one in PRESETS.get(name, (name,)) if one in SWITCHES)


def contradiction(names: Iterable[str]) -> str | None:
    """What is wrong between the quirks of one account, as a sentence; None when nothing is."""
    wanted = switches(names)
    for one, other, why in CONTRADICTIONS:
        if one in wanted and other in wanted:
            return f"asks for {one} and {other}; {why}"
    for one, other in NEEDS:
        if one in wanted and other not in wanted:
            return f"asks for {one} without {other}; write both"
    return None
