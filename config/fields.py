"""The kinds of value a setting can have. A validator's ValueError says what is wrong and what would be right.

Values that came through `${NAME}` or `${file:...}` are `Substituted`: they are text whatever the field wants, are
turned into numbers here, and are never shown.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BeforeValidator, PlainValidator, SecretStr, ValidationInfo, WithJsonSchema

from config import endpoints, store_url, units
from config.countries import COUNTRIES

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
MOST_OF_A_PASSWORD = 64  # octets that a bind is read with


class Substituted(str):
    """Text that came from the environment or a file. `written` is how the configuration wrote it."""

    written: str


def shown(value: object) -> str:
    """How an error names a value that is no secret; for anything that could be one, only where it came from."""
    if isinstance(value, Substituted):
        return f"the value of {value.written}"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float, Decimal)):
        return f"the number {value}"
    if isinstance(value, str):
        return f'"{value}"' if 0 < len(value) <= 60 and value.isprintable() else kind_of(value)
    return kind_of(value)


def kind_of(value: object) -> str:
    """What sort of thing a value is, in the words of YAML."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "true or false"
        case int() | float() | Decimal():
            return "a number"
        case str() | SecretStr():
            return "text" if value else "empty text"
        case list() | tuple():
            return "a list"
        case dict():
            return "a mapping"
    return type(value).__name__


def _text(value: object) -> str:
    if isinstance(value, str):
        return str(value)
    if isinstance(value, bool):
        raise ValueError(f"expected text, got a word that YAML reads as {shown(value)}; put it in quotes")
    if isinstance(value, (int, float)):
        raise ValueError(f"expected text, got {shown(value)}; put it in quotes")
    raise ValueError(f"expected text, got {kind_of(value)}")


def text(pattern: str = r"[^\x00-\x1f\x7f]+", right: str = "write at least one printable character") -> BeforeValidator:
    """Text that matches a pattern as a whole; `right` tells what would be right."""
    compiled = re.compile(pattern)

    def check(value: object) -> str:
        given = _text(value)
        if not compiled.fullmatch(given):
            raise ValueError(f"{shown(value)} does not fit; {right}")
        return given

    return BeforeValidator(check)


def _secret(value: object) -> object:
    if isinstance(value, SecretStr):
        return value
    if not isinstance(value, str):
        hint = "; put it in quotes" if isinstance(value, (bool, int, float)) else "; write ${NAME} or ${file:/path}"
        raise ValueError(f"expected text, got {kind_of(value)}{hint}")
    if not value:
        raise ValueError("is empty; give it a value, best as ${NAME} or ${file:/path}")
    if "\x00" in value or "\n" in value or "\r" in value:
        raise ValueError("has a line break or a NUL in it; give one line of text")
    return str(value)


def _account_password(value: object) -> object:
    given = _secret(value)
    if isinstance(given, str) and len(given.encode()) > MOST_OF_A_PASSWORD:
        raise ValueError(f"is longer than {MOST_OF_A_PASSWORD} octets, which no bind can carry; give a shorter one")
    return given


def _password_hash(value: object) -> object:
    from config.secrets import check_hash

    given = _secret(value)
    check_hash(given.get_secret_value() if isinstance(given, SecretStr) else str(given))
    return given


def whole(low: int, high: int) -> BeforeValidator:
    """A whole number between two bounds, both included."""

    def check(value: object) -> int:
        number = value
        if isinstance(value, Substituted) and re.fullmatch(r"\d{1,18}", value.strip()):
            number = int(value)
        if isinstance(number, bool) or not isinstance(number, int):
            hint = " without quotes" if isinstance(value, str) and value.strip().isdigit() else ""
            raise ValueError(f"expected a whole number, got {shown(value)}; write one from {low} to {high}{hint}")
        if not low <= number <= high:
            raise ValueError(f"{shown(value)} is out of range; write one from {low} to {high}")
        return number

    return BeforeValidator(check)


def _flag(value: object) -> bool:
    if isinstance(value, Substituted) and value.strip() in ("true", "false"):
        return value.strip() == "true"
    if not isinstance(value, bool):
        raise ValueError(f"expected true or false, got {shown(value)}")
    return value


def _dry_run(value: object) -> bool | str:
    if isinstance(value, str) and value.strip() == "lookups":
        return "lookups"
    try:
        return _flag(value)
    except ValueError:
        raise ValueError(f"expected true, false or lookups, got {shown(value)}") from None


def _ratio(value: object) -> float:
    number = value
    if isinstance(value, Substituted) and re.fullmatch(r"\d(\.\d+)?", value.strip()):
        number = float(value)
    if isinstance(number, bool) or not isinstance(number, (int, float)) or not 0 <= number <= 1:
        raise ValueError(f"expected a share from 0 to 1, got {shown(value)}; write one such as 0.5")
    return float(number)


def _quantity(
    what: str, form: str, read: Callable[[str], float], zero: bool
) -> Callable[[object, ValidationInfo], float]:
    def check(value: object, info: ValidationInfo) -> float:
        if isinstance(value, str):
            try:
                number = read(value)
            except ValueError:
                raise ValueError(f"expected a {what}, got {shown(value)}; {form}") from None
        elif isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ValueError(f"expected a {what}, got {shown(value)}; {form}")
        elif info.context and value != 0:  # from a file: a number without its unit
            raise ValueError(f"expected a {what}, got {shown(value)} without a unit; {form}")
        else:
            number = float(value)
        if number < 0 or (number == 0 and not zero) or number > 1e10:
            size = "is too long or too large" if number > 0 else "has to be more than zero"
            raise ValueError(f"{shown(value)} {size}; {form}")
        return number

    return check


def _money(value: object) -> Decimal:
    if isinstance(value, Decimal):
        return value
    if not isinstance(value, str):
        raise ValueError(f"expected money as a decimal string, got {shown(value)}; {units.MONEY_FORM}")
    try:
        return units.money(value)
    except ValueError:
        raise ValueError(f"expected money as a decimal string, got {shown(value)}; {units.MONEY_FORM}") from None


def _read_by(read: Callable[[str], Any], show: bool = True) -> Callable[[object], str]:
    """A validator of text that `read` accepts; the text itself is kept."""

    def check(value: object) -> str:
        given = _text(value)
        try:
            read(given)
        except ValueError as error:
            name = shown(value) if show else "the value"
            raise ValueError(f"{name} {error}") from None
        return given

    return check


def _network(value: object) -> Network:
    if isinstance(value, (ipaddress.IPv4Network, ipaddress.IPv6Network)):
        return value
    given = _text(value)
    try:
        return ipaddress.ip_network(given)
    except ValueError:
        pass
    try:
        right = str(ipaddress.ip_network(given, strict=False))
    except ValueError:
        raise ValueError(f"{shown(value)} is not a network; write one such as 10.0.0.0/8 or 192.0.2.7") from None
    raise ValueError(f"{shown(value)} names a host inside a network; write {right}")


def _regex(value: object) -> str:
    given = _text(value)
    if not given:
        raise ValueError("is empty; write a regular expression")
    try:
        re.compile(given)
    except (re.error, OverflowError, RecursionError) as error:
        reason = error.msg if isinstance(error, re.error) else "it is too large"
        place = f" at character {error.pos + 1}" if isinstance(error, re.error) and error.pos is not None else ""
        raise ValueError(f"is not a regular expression ({reason}{place}); write one as Python's re reads it") from None
    return given


def _url(value: object) -> str:
    given = _text(value)
    right = "write one such as http://127.0.0.1:8080"
    try:
        parts = urlsplit(given)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good or any(c.isspace() for c in given):
        raise ValueError(f"is not an http or https URL; {right}")
    if parts.query or parts.fragment:
        raise ValueError(f"has a query or a fragment; {right}")
    return given.rstrip("/")


def _prefix(value: object) -> str:
    given = _text(value)
    found = re.fullmatch(r"\+?(\d{1,15})", given)
    if found is None:
        right = 'write digits with the country code, such as "5511"'
        raise ValueError(f"{shown(value)} is not the beginning of a number; {right}")
    return found[1]


def _one_or_more(value: object) -> object:
    return (value,) if isinstance(value, (str, int, float)) and not isinstance(value, bool) else value


def _hours(value: object) -> tuple[int, int]:
    if isinstance(value, (list, tuple)) and len(value) == 2 and all(type(v) is int for v in value):
        return value[0], value[1]
    given = value if isinstance(value, str) else ""
    try:
        return units.hours(given)
    except ValueError as error:
        raise ValueError(f"expected hours, got {shown(value)}; {error}") from None


def _body(value: object) -> tuple[str, ...] | dict[str, str]:
    right = 'write a list such as ["{name}", "{amount}"], or a mapping of parameter names'
    if isinstance(value, dict) and all(isinstance(v, str) and isinstance(k, str) for k, v in value.items()):
        return dict(value)
    if isinstance(value, (list, tuple)) and all(isinstance(v, str) for v in value):
        return tuple(value)
    if isinstance(value, (dict, list, tuple)):
        raise ValueError(f"holds something that is not text; {right}")
    raise ValueError(f"expected a list or a mapping, got {kind_of(value)}; {right}")


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _country(value: object) -> str:
    given = _text(value)
    if given in COUNTRIES:
        return given
    raise ValueError(f"{shown(value)} is not a country; write the two capital letters of ISO 3166, such as BR")


def _time_zone(value: object) -> str:
    given = _text(value)
    try:
        return ZoneInfo(given).key
    except (ValueError, OSError, ZoneInfoNotFoundError):
        right = "write a name of the tz database, such as America/Sao_Paulo, or UTC"
        raise ValueError(f"{shown(value)} is not a time zone that this machine knows; {right}") from None


NAME_FORM = "write up to 40 letters, digits, dots, dashes and underscores"

# What each kind looks like in a file, for config.json_schema.


def _text_in(form: str, pattern: str = "") -> WithJsonSchema:
    """Text of a form; `form` also names how its default is written."""
    known = {"format": form, "pattern": pattern}
    return WithJsonSchema({"type": "string", **{key: value for key, value in known.items() if value}})


_IN_DURATIONS = WithJsonSchema({"type": ["string", "integer"], "format": "duration", "pattern": units.DURATION})
_TEXTS = {"type": "string"}
_BODY = {"type": ["array", "object"], "items": _TEXTS, "additionalProperties": _TEXTS}


Text = Annotated[str, text()]
Name = Annotated[str, text(r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,39}", NAME_FORM)]
SystemId = Annotated[str, text(r"[\x21-\x7e]{1,15}", "write 1 to 15 ASCII characters, no spaces (SMPP 3.4, 5.2.1)")]
SystemType = Annotated[str, text(r"[\x20-\x7e]{0,12}", "write up to 12 printable ASCII characters (SMPP 3.4, 5.2.3)")]
SourceAddr = Annotated[str, text(r"[\x20-\x7e]{1,20}", "write 1 to 20 printable ASCII characters (SMPP 3.4, 5.2.8)")]
Secret = Annotated[SecretStr, BeforeValidator(_secret), _text_in("")]
AccountPassword = Annotated[SecretStr, BeforeValidator(_account_password), _text_in("")]
PasswordHash = Annotated[SecretStr, BeforeValidator(_password_hash), _text_in("")]
Flag = Annotated[bool, BeforeValidator(_flag)]
DryRun = Annotated[bool | Literal["lookups"], BeforeValidator(_dry_run)]
Ratio = Annotated[float, BeforeValidator(_ratio)]
Duration = Annotated[
    float, BeforeValidator(_quantity("duration", units.DURATION_FORM, units.duration, zero=False)), _IN_DURATIONS
]
DurationOrZero = Annotated[
    float, BeforeValidator(_quantity("duration", units.DURATION_FORM, units.duration, zero=True)), _IN_DURATIONS
]
Rate = Annotated[
    float, BeforeValidator(_quantity("rate", units.RATE_FORM, units.rate, zero=False)), _text_in("rate", units.RATE)
]
Money = Annotated[Decimal, BeforeValidator(_money), _text_in("money", units.MONEY)]
ListenEndpoint = Annotated[str, BeforeValidator(_read_by(endpoints.server))]
ConnectEndpoint = Annotated[str, BeforeValidator(_read_by(endpoints.client))]
StoreAddress = Annotated[str, BeforeValidator(_read_by(store_url.parse, show=False))]
Cidr = Annotated[Network, PlainValidator(_network), _text_in("")]
Regex = Annotated[str, BeforeValidator(_regex)]
HttpUrl = Annotated[str, BeforeValidator(_url)]
Prefix = Annotated[str, BeforeValidator(_prefix)]
Hours = Annotated[tuple[int, int], PlainValidator(_hours), _text_in("", units.HOURS)]
Body = Annotated[tuple[str, ...] | dict[str, str], PlainValidator(_body), WithJsonSchema(_BODY)]
OneOrMore = BeforeValidator(_one_or_more)
Lower = BeforeValidator(_lower)
TimeZone = Annotated[str, BeforeValidator(_time_zone)]
Country = Annotated[str, BeforeValidator(_country)]
