"""The words of WhatsApp Web as WAHA and WPPConnect pass them on: ids, identities, acks, and what an error means.

Sources: MsgKey and ACK of WhatsApp Web, as WPPConnect's documentation and WAHA's OpenAPI document name them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from bridge.provider import HttpResponse, last_segment, retry_after
from gateway.messages.outcome import AttemptResult, ChannelDown, Refused, Status, TryLater

_KEY = re.compile(r"(?:true|false)_[^_]+_([^_]+)(?:_.*)?", re.DOTALL)
_IDENTITY = re.compile(r"([0-9]{5,20})(?::[0-9]+)?@(?:c\.us|s\.whatsapp\.net|(lid))", re.ASCII)
_LEAST_ACK = -7  # FAILED -1, EXPIRED -2, CONTENT_GONE -3 ... MD_DOWNGRADE -7
# 0 is CLOCK (not sent yet), 5 a copy to another telephone of the sender.
_ACKS = {1: Status.SENT, 2: Status.DELIVERED, 3: Status.READ, 4: Status.READ}


def message_key(written: object) -> str:
    """The part of a message's id that stays the same, "" for what is no id.

    `true_5531...@c.us_3EB0`, the same as an object (`id`, `_serialized`), or the part alone. The middle may change to a
    hidden identity. A fourth part is left off: who wrote in a group, or the `_out` that WPPConnect adds.
    """
    if isinstance(written, Mapping):
        short, whole = written.get("id"), written.get("_serialized")
        return message_key(short if isinstance(short, str) and short else whole if isinstance(whole, str) else "")
    if not isinstance(written, str):
        return ""
    found = _KEY.fullmatch(written)
    return found[1] if found is not None else last_segment(written)


def from_us(id: object, said: object) -> bool | None:
    """Is it a message of ours? None: nobody says. said: the `fromMe` beside the id; without, the id itself tells."""
    if isinstance(id, Mapping):
        said = id.get("fromMe", said)
        id = id.get("_serialized")
    if isinstance(said, bool):
        return said
    return {"true": True, "false": False}.get(id.partition("_")[0]) if isinstance(id, str) else None


def jid_of(written: object) -> str:
    """A jid as a string, also from its object form (`_serialized`); "" for what is none."""
    if isinstance(written, Mapping):
        written = written.get("_serialized")
    return written if isinstance(written, str) else ""


def identity_of(written: object) -> str:
    """The identity of a person that can be written to: `...@c.us`, or `...@lid`; "" for what is none."""
    found = _IDENTITY.fullmatch(jid_of(written))
    return f"{found[1]}@{found[2] or 'c.us'}" if found is not None else ""


def status_of(ack: object) -> Status | None:
    """What an ack says of a message, None when nothing."""
    if isinstance(ack, bool) or not isinstance(ack, int):
        return None
    return Status.FAILED if _LEAST_ACK <= ack < 0 else _ACKS.get(ack)


def moment(written: object, now: float) -> float:
    """A time in seconds since the epoch, as a number or a string; our own clock when it is absent or in the future."""
    if isinstance(written, str) and written.isascii() and written.isdigit() and len(written) < 16:
        written = int(written)
    return float(written) if isinstance(written, (int, float)) and 0 < written < now else now


def says(said: object, words: str, depth: int = 6) -> bool:
    """Does an error hold these words, in lower case? They stand in many places, also in a raw exception."""
    if isinstance(said, str):
        return words in said.lower()
    if depth and isinstance(said, list):
        return any(says(part, words, depth - 1) for part in said)
    if depth and isinstance(said, dict):
        return any(says(part, words, depth - 1) for part in said.values())
    return False


def refusal(response: HttpResponse) -> AttemptResult:
    """What an error answer to a send means where its body says nothing better. WhatsApp's own 429 comes as a 500 or a
    400 around the words of Baileys."""
    status, code = response.status, str(response.status)
    if status == 429 or says(response.json(), "rate-overlimit"):
        return TryLater(retry_after(response, 1.0), "throttled", code, counted=False)
    if status in (401, 403):
        return ChannelDown("unauthorized", code)
    if status == 404:
        return ChannelDown("unknown_instance", code)
    if status >= 500:
        return ChannelDown("provider_down", code)
    return Refused("refused", code, rejected=False)
