"""Telephone numbers: what people and systems write -> E.164 digits without the plus ("msisdn").

Brazilian numbers have a reader of their own, because every message passes here; all others go through phonenumbers.
Numbering: Anatel Resolution 749/2022 (67 area codes; mobiles have nine digits and begin with 9 everywhere since 2016).
"""

from __future__ import annotations

import re

_DDD = r"(?:1[1-9]|2[12478]|3[1-578]|4[1-9]|5[1345]|6[1-9]|7[134579]|8[1-9]|9[1-9])"
_DDDS = tuple(str(ddd) for ddd in range(11, 100) if re.fullmatch(_DDD, str(ddd)))
_AREAS = frozenset(_DDDS)
_MOBILE = frozenset(f"55{ddd}9" for ddd in _DDDS)

# Groups: area code, mobile, mobile without its ninth digit, fixed line.
_SUBSCRIBER = rf"({_DDD})(?:(9[0-9]{{8}})|([6-9][0-9]{{7}})|([2-5][0-9]{{7}}))"
_TRUNK = r"0(?:[1-9][0-9]|[xX]{2})?"  # with the code of a long-distance carrier, or "xx" where one may put it
_ANY_BRAZILIAN = re.compile(rf"(?:(?:\+|00)?55(?:{_TRUNK})?|{_TRUNK})?{_SUBSCRIBER}")
_INTERNATIONAL_BRAZILIAN = re.compile(rf"55(?:{_TRUNK})?{_SUBSCRIBER}")
_WITHOUT_NINTH = re.compile(rf"55{_DDD}[016-9][0-9]{{7}}")
_WITH_NINTH = re.compile(rf"55{_DDD}9[016-9][0-9]{{7}}")

_FOREIGN = re.compile(r"[1-9][0-9]{6,14}")
_NATIONAL = re.compile(r"[0-9]{7,18}")
_SEPARATORS = dict.fromkeys(map(ord, " \t\u00a0\u2009\u202f-\u00ad\u2010\u2011\u2012\u2013\u2014\u2212.()[]/"))
_PERSONAL_DOMAINS = frozenset({"", "s.whatsapp.net", "c.us"})


def parse_destination(written: str, country: str, ton: int = 0) -> str | None:
    """Read a number as people and systems write it; E.164 digits without the plus, or None when it is unreadable.

    country: ISO 3166 code by which national forms are read. ton: the SMPP type of number, a hint that is often wrong:
    it only lets a valid international number without a prefix be taken for one (TON 1).
    Brazil: +55…, 0055…, 55…, national with or without the trunk 0 and a carrier code. An eight-digit mobile gets its
    ninth digit. Fixed lines are numbers too: WhatsApp Business may live there, and whether SMS does is the
    operator's word. Short codes, numbers without an area code and area codes that do not exist are unreadable.
    """
    if country != "BR":
        return _abroad(written.translate(_SEPARATORS), country, ton)
    if written.isdigit() and written.isascii():
        if len(written) == 13 and written[:5] in _MOBILE:
            return written
        if msisdn := _bare_brazilian(written):
            return msisdn
    compact = written.translate(_SEPARATORS)
    if brazilian := _ANY_BRAZILIAN.fullmatch(compact):
        return _brazilian(brazilian)
    if international := _international(compact):
        return _foreign(international)
    return _foreign(compact, doubtful=True) if ton == 1 else None


def same_person(msisdn: str) -> str:
    """One key for one person: a Brazilian mobile always with its ninth digit, any other number as it is.

    Takes digits, a leading plus, and WhatsApp ids of persons (with or without a device); other ids (groups,
    hidden identities) come back untouched. Eight digits that begin with 2-5 are a fixed line, never an old mobile.
    """
    digits = msisdn
    if not digits.isdecimal():
        local, _, domain = msisdn.partition("@")
        digits = local.partition(":")[0].removeprefix("+")
        if domain not in _PERSONAL_DOMAINS or not digits.isdecimal():
            return msisdn
    if len(digits) == 12 and _WITHOUT_NINTH.fullmatch(digits):
        return f"{digits[:4]}9{digits[4:]}"
    return digits


def ninth_digit_forms(msisdn: str) -> tuple[str, ...]:
    """Every form a person's number may be registered under, the one with the ninth digit first.

    A mobile whose ninth digit is followed by 2-5 never had an eight-digit form: that would be somebody's fixed line.
    """
    key = same_person(msisdn)
    if len(key) == 13 and _WITH_NINTH.fullmatch(key):
        return key, key[:4] + key[5:]
    return (key,)


def mask(number: str) -> str:
    """A number for logs: its last four digits, and nothing when that would be all of it."""
    digits = "".join(filter(str.isdecimal, number.partition("@")[0].partition(":")[0]))
    return f"***{digits[-4:]}" if len(digits) > 4 else "***"


def _bare_brazilian(digits: str) -> str | None:
    """Digits without a trunk prefix, other than a mobile's in full; None leaves them to the full reader."""
    length = len(digits)
    if length == 12:
        if digits[:2] != "55":
            return None
        digits = digits[2:]
    elif length == 11:
        return f"55{digits}" if digits[2] == "9" and digits[:2] in _AREAS else None
    elif length != 10:
        return None
    if digits[:2] not in _AREAS or digits[2] in "01":
        return None
    return f"55{digits}" if digits[2] < "6" else f"55{digits[:2]}9{digits[2:]}"


def _brazilian(found: re.Match[str]) -> str:
    ddd, mobile, old_mobile, fixed = found.groups()
    return f"55{ddd}{mobile}" if mobile else f"55{ddd}9{old_mobile}" if old_mobile else f"55{ddd}{fixed}"


def _abroad(compact: str, country: str, ton: int) -> str | None:
    """Read a number for a gateway outside Brazil; TON 1 is believed before the national reading."""
    international = _international(compact)
    if international or ton == 1:
        if brazilian := _INTERNATIONAL_BRAZILIAN.fullmatch(international or compact):
            return _brazilian(brazilian)
        msisdn = _foreign(international or compact, doubtful=not international)
        if international or msisdn:
            return msisdn
    return _e164(compact, country) if _NATIONAL.fullmatch(compact) else None


def _international(compact: str) -> str:
    """The digits behind + or 00; empty when the number is not marked as international."""
    if compact.startswith("+"):
        return compact[1:]
    return compact[2:] if compact.startswith("00") else ""


def _foreign(digits: str, doubtful: bool = False) -> str | None:
    """International digits of a country other than Brazil, whose own reader has already said no.

    doubtful: nothing in the number itself says that it is international, so it has to be a valid one.
    """
    if digits.startswith("55") or not _FOREIGN.fullmatch(digits):
        return None
    return _e164(f"+{digits}", None, valid=doubtful)


def _e164(written: str, country: str | None, valid: bool = False) -> str | None:
    import phonenumbers  # its tables take a while to load, and in Brazil they may never be needed

    try:
        number = phonenumbers.parse(written, country)
    except phonenumbers.NumberParseException:
        return None
    if phonenumbers.is_possible_number_with_reason(number) != phonenumbers.ValidationResult.IS_POSSIBLE:
        return None
    if valid and not phonenumbers.is_valid_number(number):
        return None
    msisdn = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164).removeprefix("+")
    return same_person(msisdn)
