"""What would change on a running node if it read another file: what `pombo diff A B` prints.

Values are told as the files write them; of secrets, and of what came from the environment or a file, only that they
differ.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from msgspec import Struct
from pydantic import SecretStr

from config.fields import Substituted
from config.running import Loaded, Written, listeners
from config.schema import (
    BridgeSettings,
    Config,
    HttpSettings,
    Settings,
    SmppServerSettings,
    SmscSettings,
    sender_name,
)

AT_ONCE, NEXT_START = "at once", "with the next start"
BINDS_STAY, BINDS_END = "at once; its binds stay", "its binds end"
BINDS_ANEW = "its binds are made anew"
NEW_CONNECTIONS = "for new connections"
STARTS_ANEW = "the channel starts anew; what it holds waits"
LONGEST = 60
SENDERS = "senders"  # of a channel: told one by one


class Change(Struct, frozen=True):
    """place: `smpp_server.accounts billing`. what: `throughput 500/s -> 200/s`. effect: when, and what it costs."""

    place: str
    what: str
    effect: str

    def __str__(self) -> str:
        return f"{self.place}: {self.what} ({self.effect})"


def changes(before: Loaded, after: Loaded) -> list[Change]:
    """Every difference between two configurations as config.load.load_as_written gives them, in the order of the
    sections."""
    (old, was), (new, will) = before, after
    return [
        *_top(old, new, was, will),
        *_server(old, new, was, will),
        *_channels("smsc_client", old.smsc_client, new.smsc_client, was, will),
        *_channels("bridge", old.bridge, new.bridge, was, will),
        *_routes(old, new, was, will),
        *([] if old.replies == new.replies else [Change("replies", "differ", AT_ONCE)]),
    ]


def _top(old: Config, new: Config, was: Written, will: Written) -> Iterator[Change]:
    for key in ("node", "currency", "country", "dry_run"):
        if getattr(old, key) != getattr(new, key):
            what = f"{_shown(was, key)} -> {_shown(will, key)}"
            yield Change(key, what, NEXT_START if key in ("node", "dry_run") else AT_ONCE)
    for section in ("store", "http", "log"):
        for what in _fields(getattr(old, section), getattr(new, section), was.get(section), will.get(section)):
            certificates = section == "http" and what.startswith("listen ") and _in_use(old.http, new.http)
            yield Change(section, what, NEW_CONNECTIONS if certificates else NEXT_START)


def _server(old: Config, new: Config, was: Written, will: Written) -> Iterator[Change]:
    before, after = old.smpp_server, new.smpp_server
    texts = _mapping(was.get("smpp_server")), _mapping(will.get("smpp_server"))
    for key in type(before).model_fields:
        if key != "accounts" and getattr(before, key) != getattr(after, key):
            what = f"{key} {_shown(texts[0], key)} -> {_shown(texts[1], key)}"
            waits = key == "listen" and not _in_use(before, after)
            yield Change("smpp_server", what, NEXT_START if waits else NEW_CONNECTIONS)
    place = "smpp_server.accounts"
    pairs = _pairs(before.accounts, after.accounts, texts[0].get("accounts"), texts[1].get("accounts"), "system_id")
    for name, one, other, written, now_written in pairs:
        if other is None:
            yield Change(f"{place} {name}", "is gone", BINDS_END)
        elif one is None:
            yield Change(f"{place} {name}", "is new", AT_ONCE)
        else:
            same = (one.password, one.password_hash) == (other.password, other.password_hash)
            for what in _fields(one, other, written, now_written):
                yield Change(f"{place} {name}", what, BINDS_STAY if same else BINDS_END)


def _in_use(old: HttpSettings | SmppServerSettings, new: HttpSettings | SmppServerSettings) -> bool:
    """Are these the addresses that are open, perhaps with other certificates?"""
    return listeners(old.listen, new.listen) == new.listen


def _channels(
    section: str, old: Sequence[Settings], new: Sequence[Settings], was: Written, will: Written
) -> Iterator[Change]:
    for name, one, other, written, now_written in _pairs(old, new, was.get(section), will.get(section), "name"):
        place = f"{section} {name}"
        if other is None:
            yield Change(place, "is gone", "what waits for it goes to the next channel of its route")
        elif one is None:
            yield Change(place, "is new", AT_ONCE)
        else:
            effect = STARTS_ANEW
            if isinstance(one, SmscSettings):
                anew = any(getattr(one, key) != getattr(other, key) for key in SmscSettings.IN_BINDS)
                effect = BINDS_ANEW if anew else BINDS_STAY
            for what in _fields(one, other, written, now_written):
                yield Change(place, what, effect)
            if isinstance(one, BridgeSettings) and isinstance(other, BridgeSettings):
                yield from _senders(place, one, other, written, now_written)


def _senders(place: str, old: BridgeSettings, new: BridgeSettings, was: Written, will: Written) -> Iterator[Change]:
    pairs = _pairs(old.senders, new.senders, was.get("senders"), will.get("senders"), "instance")
    for instance, one, other, written, now_written in pairs:
        sender = f"{place}: sender {(one or other).name or sender_name(instance)}"
        if other is None or one is None:
            yield Change(sender, "is gone" if other is None else "is new", STARTS_ANEW)
        else:
            for what in _fields(one, other, written, now_written):
                yield Change(sender, what, STARTS_ANEW)
    kept = [[one.instance for one in some] for some in (old.senders, new.senders)]
    if [one for one in kept[0] if one in kept[1]] != [one for one in kept[1] if one in kept[0]]:
        yield Change(place, "its senders are in another order", STARTS_ANEW)


def _routes(old: Config, new: Config, was: Written, will: Written) -> Iterator[Change]:
    for name, one, other, written, now_written in _pairs(
        old.routes, new.routes, was.get("routes"), will.get("routes"), "name"
    ):
        if other is None or one is None:
            yield Change(f"routes {name}", "is gone" if other is None else "is new", "at once, for new messages")
        else:
            for what in _fields(one, other, written, now_written):
                yield Change(f"routes {name}", what, "at once, for new messages")
    before, after = ([route.name for route in some] for some in (old.routes, new.routes))
    kept = [name for name in before if name in after]
    if kept != [name for name in after if name in before]:
        yield Change("routes", f"their order is now {', '.join(after)}", "at once, for new messages")


def _pairs(
    old: Sequence[Any], new: Sequence[Any], was: Any, will: Any, key: str
) -> Iterator[tuple[str, Any, Any, Written, Written]]:
    """(name, before, after, both as written) of what one of two lists has, or both and not alike."""
    before = {getattr(one, key): (one, _mapping(text)) for one, text in zip(old, was or (), strict=True)}
    after = {getattr(one, key): (one, _mapping(text)) for one, text in zip(new, will or (), strict=True)}
    nothing: tuple[None, Written] = (None, {})
    for name in [*before, *(name for name in after if name not in before)]:
        (one, text), (other, now_text) = before.get(name, nothing), after.get(name, nothing)
        if one != other:
            yield name, one, other, text, now_text


def _fields(old: Settings, new: Settings, was: Any, will: Any, prefix: str = "") -> Iterator[str]:
    """`key before -> after` for every key that differs; keys of a section within are dotted."""
    texts = _mapping(was), _mapping(will)
    for attribute, field in type(old).model_fields.items():
        one, other = getattr(old, attribute), getattr(new, attribute)
        if one == other or attribute == SENDERS:
            continue
        key = field.alias or attribute
        if isinstance(one, Settings) and isinstance(other, Settings):
            yield from _fields(one, other, texts[0].get(key), texts[1].get(key), f"{prefix}{key}.")
        elif isinstance(one, SecretStr) or isinstance(other, SecretStr) or not field.repr:
            yield f"{prefix}{key} differs"
        else:
            yield f"{prefix}{key} {_shown(texts[0], key)} -> {_shown(texts[1], key)}"


def _shown(written: Written, key: str) -> str:
    value = written.get(key)
    if value is None:
        return "(default)"
    shown = _text(value)
    return shown if len(shown) <= LONGEST else f"{shown[: LONGEST - 3]}..."


def _text(value: Any) -> str:
    if isinstance(value, Substituted):
        return value.written
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_text(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_text, value)) + "]"
    return {True: "true", False: "false"}.get(value, str(value)) if isinstance(value, bool) else str(value)


def _mapping(value: Any) -> Written:
    return value if isinstance(value, dict) else {}
