"""How our message_id is made."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import count, product

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_EPOCH = 1_577_836_800  # 2020-01-01T00:00:00Z; six digits of base 36 then last until 2088
_OUR_HEX = re.compile(r"[0-9A-F]{8,12}")
_SOME_HEX = re.compile(r"[0-9A-Fa-f]{1,12}")
_NUMBER = re.compile(r"[0-9]{1,12}")
_TAILS = tuple("".join(pair) for pair in product(_DIGITS, repeat=2))


class Ids:
    """A source of message ids: 18 characters of [0-9a-z], in ascending order, never given twice.

    started_at: epoch seconds when this process began.
    incarnation: the process's own number from a counter in the store, so that two processes, or one restarted within
    the second or under a clock that was set back, never share a prefix.
    An id is start (6), incarnation (4) and counter (8), each in base 36.
    """

    next: Callable[[], str]

    def __init__(self, started_at: float, incarnation: int) -> None:
        start = max(0, int(started_at) - _EPOCH)
        self.next = _ids(_base36(start, 6) + _base36(incarnation % 36**4, 4)).__next__


def numbered(message_id: str, number: int) -> str:
    """The id under which the n-th message (from 1) of a submit_multi is kept; its ESME knows only the first one's."""
    return f"{message_id}.{number}" if number > 1 else message_id


def told(message_id: str) -> str:
    """The id as the ESME knows it: that of its submit_multi for all messages of one."""
    return message_id.partition(".")[0] if "." in message_id else message_id


# Ids for clients that cannot keep long ones. All numbers come from one source and each is given once, as a decimal
# number or as a hexadecimal one that has a letter in it: so no two ids are ever spelled alike, ours of 18 characters
# included, and whoever asks for one need not say which kind it is.

HEX_DIGITS = 8  # what an SMPP 3.3 client can keep; more once they are used up


def as_decimal(number: int) -> str:
    return str(number)


def as_hex(number: int) -> str:
    """ "" for a number whose hexadecimal form could be taken for a decimal one."""
    written = f"{number:0{HEX_DIGITS}X}"
    return "" if written.isdecimal() else written


def value_of_hex(message_id: str) -> str:
    """The decimal value of a hexadecimal id; any other id as it is."""
    return str(int(message_id, 16)) if _OUR_HEX.fullmatch(message_id) else message_id


def kept_decimal(message_id: str) -> str:
    """A decimal id without the zeros that its client has put before it; any other id as it is."""
    return (_NUMBER.fullmatch(message_id) and message_id.lstrip("0")) or message_id


def kept_hex(message_id: str) -> str:
    """A hexadecimal id as it was given, whatever its case and zeros, or by its decimal value; any other as it is."""
    if _NUMBER.fullmatch(message_id):
        return f"{int(message_id):0{HEX_DIGITS}X}"
    return message_id.upper().lstrip("0").rjust(HEX_DIGITS, "0") if _SOME_HEX.fullmatch(message_id) else message_id


def _ids(prefix: str) -> Iterator[str]:
    for high in count():
        head = prefix + _base36(high, 6)
        for tail in _TAILS:
            yield head + tail


def _base36(number: int, width: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = _DIGITS[digit] + digits
    return digits.rjust(width, "0")
