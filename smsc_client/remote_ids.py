"""The other ways an operator may write the id it gave a message.

One product answers the submit with a hexadecimal id and reports it in decimal, another drops leading zeros or changes
the case between the two. Nobody can tell from an id alone which it is ("1001" is both), so all forms are looked up,
and the caller checks that the receipt's source is the message's destination.
"""

from __future__ import annotations

import re

_DECIMAL = re.compile(r"[0-9]+")
_HEX = re.compile(r"[0-9a-f]+")
_DASHED = re.compile(r"([0-9a-f]{8})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{12})")
_SUFFIX = re.compile(r"(.{4,}?)[-_.:/#+]\d{1,3}")  # a part's number behind the id
_WIDTHS = (8, 10, 16, 9, 11, 12, 20, 32)  # that ids are padded to with zeros; the common ones first


def id_forms(remote_id: str) -> tuple[str, ...]:
    """All other forms of an id, likeliest first, without the id itself. Some fifty at most."""
    exact = remote_id
    cleaned = remote_id.strip("\0 \t\r\n\"'")
    forms: dict[str, None] = {}
    if cleaned:
        _add_forms(forms, cleaned)
        if part := _SUFFIX.fullmatch(cleaned):
            _add_forms(forms, part[1])
    forms.pop(exact, None)
    forms.pop("", None)
    return tuple(forms)


def _add_forms(forms: dict[str, None], text: str) -> None:
    lower = text.lower()
    if lower.startswith("0x") and _HEX.fullmatch(lower[2:]):
        lower = lower[2:]
    _both_cases(forms, text)
    forms[text.lstrip("0")] = None
    _both_cases(forms, lower)
    short = lower.lstrip("0") or "0"
    _both_cases(forms, short)
    if uuid := _DASHED.fullmatch(lower):
        _both_cases(forms, "-".join(uuid.groups()))
        _both_cases(forms, "".join(uuid.groups()))
    if not _HEX.fullmatch(lower):
        return
    _both_cases(forms, "0" + short)
    _both_cases(forms, "00" + short)
    if len(short) > 20:
        return
    others = []
    if _DECIMAL.fullmatch(lower):
        others.append(f"{int(short):x}")
    others.append(str(int(short, 16)))
    for other in others:
        _both_cases(forms, other)
    for number in (short, *others):
        for width in _WIDTHS:
            if len(number) < width:
                _both_cases(forms, number.rjust(width, "0"))


def _both_cases(forms: dict[str, None], text: str) -> None:
    forms[text] = None
    forms[text.lower()] = None
    forms[text.upper()] = None
