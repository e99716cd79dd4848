"""The text form of a delivery receipt, written as clients expect it and read as operators send it.

Source: SMPP 3.4, Appendix B. The layout is a convention; the variations read here were seen in the field.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache
from types import MappingProxyType

import msgspec

# stat, as operators spell it -> message_state (SMPP 3.4, 5.2.28; SCHEDULED and SKIPPED are of 5.0)
_STATES = {
    "SCHEDLD": 0, "SCHEDULED": 0,
    "ENROUTE": 1, "BUFFERED": 1, "BUFFRED": 1, "BUFFERD": 1, "PENDING": 1,
    "DELIVRD": 2, "DELIVERED": 2, "DELIVERD": 2, "SUCCESS": 2,
    "EXPIRED": 3, "EXPIRD": 3,
    "DELETED": 4,
    "UNDELIV": 5, "UNDELIVERABLE": 5, "UNDELIVERED": 5, "FAILED": 5, "FAIL": 5, "NOROUTE": 5, "BLOCKED": 5,
    "ACCEPTD": 6, "ACCEPTED": 6,
    "UNKNOWN": 7,
    "REJECTD": 8, "REJECTED": 8,
    "SKIPPED": 9,
}  # fmt: skip
STATES: Mapping[str, int] = MappingProxyType(_STATES)

_KEY = re.compile(r"(?<![a-z0-9])(id|sub|dlvrd|submit[ _]?date|done[ _]?date|stat|err|text)[ \t]*:", re.IGNORECASE)
_SEPARATORS = " \t\r\n\0;,|\"'"
_WORD_END = re.compile(r"[\s\0;,|\"']")
# The layout of Appendix B to the letter, which most receipts have
_USUAL = re.compile(
    r"id:([^\s\0;,|\"']+) sub:[0-9]* dlvrd:[0-9]* submit date:([0-9]*) done date:([0-9]*)"
    r" stat:([A-Za-z]+) err:([0-9A-Za-z]*)(?: [Tt]ext:| ?$)"
)


class ReceiptText(msgspec.Struct, frozen=True):
    """What a receipt's text says; None where the operator left it out.

    stat is upper case, as sent; state is its message_state, None when the word is not known. err is the operator's
    own code, 1-5 characters in any base, and may differ from zero although the message was delivered. Dates have no
    zone on the wire and come back naive.
    """

    message_id: str | None = None
    stat: str | None = None
    state: int | None = None
    err: str | None = None
    submit_date: datetime | None = None
    done_date: datetime | None = None


def parse(body: bytes) -> ReceiptText | None:
    """Read the text of a receipt; None when it names neither an id nor a state.

    body: the joined short_message or message_payload octets without UDH, still encoded (ASCII, Latin-1 or UCS-2,
    whatever data_coding says). Fields may come in any order, with any separator; what follows the first `text:` is
    the message and is never looked at. Never raises.
    """
    text = body.decode("latin-1")
    if usual := _USUAL.match(text):
        message_id, submit_date, done_date, stat, err = usual.groups()
        return _receipt(message_id, stat, err, submit_date, done_date)
    if _looks_like_ucs2(body):
        text = body.decode("utf-16-be", "replace")
    found: dict[str, str] = {}
    keys = list(_KEY.finditer(text))
    for number, key in enumerate(keys, 1):
        name = key[1].lower().replace("_", "").replace(" ", "")
        if name == "text":
            break
        value = text[key.end() : keys[number].start() if number < len(keys) else None].strip(_SEPARATORS)
        found.setdefault(name, value)
    message_id = _word(found.get("id"))
    stat = _word(found.get("stat"))
    if message_id is None and stat is None:
        return None
    return _receipt(message_id, stat, _word(found.get("err")), found.get("submitdate"), found.get("donedate"))


def write(
    message_id: str,
    stat: str,
    err: int,
    submit_at: float,
    done_at: float,
    delivered: bool,
    date: Callable[[float], str] | None = None,
) -> bytes:
    """The text of a receipt to an ESME, fields and single spaces in their fixed order.

    err: 0-999, always written 000 when delivered. submit_at, done_at: epoch seconds, written in local time to the
    minute, or as `date` writes them. The message's own text is never repeated.
    """
    dlvrd, code = ("001", 0) if delivered else ("000", err)
    if date is None:
        submitted, done = _minute(int(submit_at // 60)), _minute(int(done_at // 60))
    else:
        submitted, done = date(submit_at), date(done_at)
    return (
        f"id:{message_id} sub:001 dlvrd:{dlvrd} submit date:{submitted} "
        f"done date:{done} stat:{stat} err:{code:03d} text:"
    ).encode("latin-1", "replace")


@lru_cache(maxsize=4096)
def _minute(minute: int) -> str:
    return time.strftime("%y%m%d%H%M", time.localtime(minute * 60))


def _looks_like_ucs2(body: bytes) -> bool:
    """Every receipt is written in ASCII letters, so in UCS-2 nearly every first octet of a pair is zero."""
    pairs = len(body) // 2
    return pairs >= 4 and body[0 : 2 * pairs : 2].count(0) * 2 > pairs


def _word(value: str | None) -> str | None:
    if not value:
        return None
    return _WORD_END.split(value, maxsplit=1)[0] or None


def _receipt(
    message_id: str | None, stat: str | None, err: str | None, submit_date: str | None, done_date: str | None
) -> ReceiptText:
    stat = stat.upper() if stat else None
    state = _STATES.get(stat) if stat else None
    return ReceiptText(message_id, stat, state, err or None, _date(submit_date), _date(done_date))


@lru_cache(maxsize=4096)
def _date(value: str | None) -> datetime | None:
    """YYMMDDhhmm, YYMMDDhhmmss, YYYYMMDDhhmm or YYYYMMDDhhmmss; None when empty, zero or not a date."""
    digits = re.sub("[^0-9]", "", value) if value else ""
    if len(digits) not in (10, 12, 14):
        return None
    if len(digits) < 14 and (date := _moment(f"20{digits}")):
        return date
    return _moment(digits) if len(digits) > 10 and digits >= "2" else None


def _moment(digits: str) -> datetime | None:
    try:
        return datetime(
            int(digits[:4]), int(digits[4:6]), int(digits[6:8]), int(digits[8:10]), int(digits[10:12]),
            int(digits[12:14] or 0),
        )  # fmt: skip
    except ValueError:
        return None
