"""Numbers of the wire as people write them, 0x58 or 88, and tables keyed by them.

A validator's ValueError says what is wrong and what would be right.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal, get_args

from pydantic import PlainValidator

from config.fields import kind_of, shown

Action = Literal["retry", "fail", "next_channel", "slow_down", "rebind"]

_NUMBER = re.compile(r"0[xX][0-9a-fA-F]{1,8}|0|[1-9]\d{0,9}")
# TLVs that carry or place a text, or name a receipt: what they say is written anew on either side.
_OURS = frozenset({0x001E, 0x0204, 0x020C, 0x020E, 0x020F, 0x0424, 0x0427, 0x1401})


def _number(value: object, most: int, right: str) -> int:
    """Decimal or hexadecimal, from 1 to `most`."""
    number = value
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        number = int(value, 16 if value.strip()[1:2] in ("x", "X") else 10)
    if isinstance(number, bool) or not isinstance(number, int):
        raise ValueError(f"expected a number, got {shown(value)}; {right}")
    if not 1 <= number <= most:
        raise ValueError(f"{shown(value)} is out of range; {right}")
    return number


def _tag(value: object) -> int:
    number = _number(value, 0xFFFF, "write the tag of a TLV such as 0x1403")
    if number in _OURS:
        raise ValueError(f"0x{number:04X} is a TLV that Pombo reads or writes itself; leave it out")
    return number


def _statuses(value: object) -> dict[int, str]:
    right = "write a command_status and what it means, such as {0x0B: fail, 88: slow_down}"
    if not isinstance(value, dict):
        raise ValueError(f"expected a mapping, got {kind_of(value)}; {right}")
    choices = get_args(Action)
    table: dict[int, str] = {}
    for key, action in value.items():
        number = _number(key, 0xFFFFFFFF, right)
        if number in table:
            raise ValueError(f"command_status {key} is given twice; keep one of them")
        if action not in choices:
            raise ValueError(f"{key}: {shown(action)} is not one of the choices; write {', '.join(choices)}")
        table[number] = action
    return table


def _tags(value: object) -> tuple[int, ...]:
    if isinstance(value, (str, int)) and not isinstance(value, bool):
        value = (value,)
    if not isinstance(value, (list, tuple)):
        raise ValueError(f"expected a list, got {kind_of(value)}; write tags of TLVs, such as [0x1400, 0x1403]")
    return tuple(dict.fromkeys(map(_tag, value)))


StatusTable = Annotated[dict[int, Action], PlainValidator(_statuses)]
Tags = Annotated[tuple[int, ...], PlainValidator(_tags)]
